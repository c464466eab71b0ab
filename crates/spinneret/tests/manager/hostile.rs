//! Whatever a peer sends or does not do, the manager serves the others.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use spinneret::manager::{Client, Manager, ManagerError, QueueOptions};

use super::{
    LONG, builder, client, eventually, key, manager, queue,
    raw::{Q, Raw, request},
};

#[track_caller]
fn assert_serves(manager: &Manager) {
    let queue = queue::<u32>(manager);
    queue.put(7).unwrap();
    assert_eq!(queue.get().unwrap(), 7);
}

#[test]
fn garbage_before_the_proof_closes_that_connection_only() {
    let manager = manager(QueueOptions::new());
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\xff\xff\xff\xff",
        b"\0\0\x01\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0",
        &[0; 1000],
    ] {
        let mut peer = Raw::silent(manager.local_addr());
        peer.0.write_all(garbage).unwrap();
        assert!(peer.is_closed(), "{garbage:?}");
    }
    // Ends in the middle of a message.
    drop(Raw::silent(manager.local_addr()).0.write_all(b"\0\0\0\x28{sha"));
    assert_serves(&manager);
}

#[test]
fn a_peer_that_proves_nothing_is_closed_after_a_while() {
    let manager = builder()
        .handshake_timeout(Duration::from_millis(50))
        .register("q", QueueOptions::new())
        .start()
        .unwrap();
    assert!(Raw::silent(manager.local_addr()).is_closed());
    // One that has the key, but never says hello.
    assert!(Raw::proven(manager.local_addr()).is_closed());
    assert_serves(&manager);
}

#[test]
fn silent_strangers_do_not_lock_others_out_for_long() {
    let manager = builder()
        .handshake_timeout(Duration::from_millis(50))
        .max_unauthenticated(4)
        .register("q", QueueOptions::new())
        .start()
        .unwrap();
    let strangers: Vec<_> = (0..20).map(|_| Raw::silent(manager.local_addr())).collect();
    assert_serves(&manager);
    drop(strangers);
}

#[test]
fn one_stranger_too_many_displaces_the_oldest() {
    let manager = builder()
        .handshake_timeout(LONG)
        .max_unauthenticated(2)
        .register("q", QueueOptions::new())
        .start()
        .unwrap();
    let mut first = Raw::silent(manager.local_addr());
    let mut second = Raw::silent(manager.local_addr());
    first.read().unwrap();
    second.read().unwrap();
    let mut third = Raw::silent(manager.local_addr());
    assert!(third.read().unwrap().starts_with(b"#CHALLENGE#"));
    assert!(first.is_closed());
    // Who has proven the key is no stranger any more.
    let known = Raw::greeted(manager.local_addr());
    assert!(second.is_closed());
    let _more: Vec<_> = (0..5).map(|_| Raw::silent(manager.local_addr())).collect();
    assert!(third.is_closed());
    assert_eq!(manager.connections().len(), 1);
    drop(known);
}

#[test]
fn an_answer_that_was_heard_once_opens_nothing_again() {
    let manager = manager(QueueOptions::new());
    // Challenges differ, so that an answer fits its own only.
    let answer = Raw::answer_to(&Raw::silent(manager.local_addr()).read().unwrap());
    let mut peer = Raw::silent(manager.local_addr());
    peer.read().unwrap();
    peer.write(&answer);
    assert_eq!(peer.read().unwrap(), b"#FAILURE#");
    assert!(peer.is_closed());
    assert_serves(&manager);
}

#[test]
fn a_challenge_sent_back_is_not_answered() {
    let manager = manager(QueueOptions::new());
    // Without the key: whom the manager would help to prove it.
    let mut peer = Raw::silent(manager.local_addr());
    let challenge = peer.read().unwrap();
    peer.write(&challenge);
    assert_eq!(peer.read().unwrap(), b"#FAILURE#");
    assert!(peer.is_closed());
    assert_serves(&manager);
}

#[test]
fn a_frame_that_is_cut_changes_nothing() {
    let manager = manager(QueueOptions::new());
    let put = request(1, 3, &[Q, &[0; 8], &1_u32.to_be_bytes(), b"\0\0\0\x03abc"].concat());
    let length = u32::try_from(put.len()).unwrap().to_be_bytes();
    let frame = [&length[..], &put].concat();
    for cut in 1..frame.len() {
        Raw::greeted(manager.local_addr()).0.write_all(&frame[..cut]).unwrap();
    }
    eventually("all of them are gone", || manager.connections().is_empty());
    assert_eq!(manager.queue::<u32>("q").unwrap().stats().unwrap().puts, 0);
    assert_serves(&manager);
}

#[test]
fn garbage_after_the_proof_closes_that_connection_only() {
    let manager = manager(QueueOptions::new());
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\0", b"\0\0\0\x07\0\0\0\0\0\0\0"] {
        let mut peer = Raw::greeted(manager.local_addr());
        peer.0.write_all(garbage).unwrap();
        assert!(peer.is_closed(), "{garbage:?}");
    }
    // A request that has to be answered, without a number for the answer.
    let mut peer = Raw::greeted(manager.local_addr());
    peer.write(&request(0, 4, &[Q, &[0xff; 20]].concat()));
    assert!(peer.is_closed());
    // A pickle instead of a hello.
    let mut peer = Raw::proven(manager.local_addr());
    peer.write(b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03url\x94.");
    assert!(peer.is_closed());
    drop(Raw::greeted(manager.local_addr()).0.write_all(b"\0\0\0\x28half"));
    assert_serves(&manager);
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_the_connection_goes_on() {
    let manager = manager(QueueOptions::new());
    let mut peer = Raw::greeted(manager.local_addr());
    for (id, bad) in
        [(5, request(5, 99, b"")), (6, request(6, 3, b"\0\xff")), (7, request(7, 1, b"x"))]
    {
        peer.write(&bad);
        let reply = peer.read().unwrap();
        assert_eq!(reply[..9], request(id, 135, b""), "{bad:?}");
    }
    peer.write(&request(8, 1, b""));
    assert_eq!(peer.read().unwrap(), request(8, 0, b""));
}

#[test]
fn an_oversized_frame_is_refused_before_it_is_sent() {
    let manager = builder().max_frame(20_000).register("q", QueueOptions::new()).start().unwrap();
    let mut peer = Raw::greeted(manager.local_addr());
    peer.0.write_all(&20_001_u32.to_be_bytes()).unwrap();
    assert!(peer.is_closed());
    assert_serves(&manager);
}

#[test]
fn random_requests_leave_the_manager_serving() {
    let manager = manager(QueueOptions::new());
    let mut state = 0x5eed_u64;
    let mut roll = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20 {
        let mut peer = Raw::greeted(manager.local_addr());
        for id in 1..200 {
            let length = roll() % 40;
            let mut fields: Vec<u8> = Q.to_vec();
            fields.extend((0..length).map(|_| [0, 1, 0xff, roll() as u8][(roll() % 4) as usize]));
            // Not the operations that close or remove the queue, nor the one that ends the manager.
            let op = [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20]
                [(roll() % 17) as usize];
            if peer.try_write(&request(id, op, &fields)).is_err() {
                break;
            }
        }
    }
    eventually("all of them are gone", || manager.connections().is_empty());
    manager.register("fresh", QueueOptions::new()).unwrap();
    let queue = client(&manager).queue::<u32>("fresh");
    queue.put(7).unwrap();
    assert_eq!(queue.get().unwrap(), 7);
}

#[test]
fn a_peer_that_reads_no_answers_is_not_read_either_and_delays_nobody() {
    // More than all buffers on the way hold.
    const TOO_MANY: u64 = 16_000;
    let manager = manager(QueueOptions::new());
    let mut peer = Raw::greeted(manager.local_addr());
    peer.0.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // The answer is as long as the request: these thousand numbers are none of dead letters.
    let numbers = [Q, &1000_u32.to_be_bytes(), &[7; 8000]].concat();
    let mut asked = 0;
    while asked < TOO_MANY && peer.try_write(&request(asked + 1, 10, &numbers)).is_ok() {
        asked += 1;
    }
    assert!(asked < TOO_MANY, "the manager read on and on");
    assert_serves(&manager);
    // It goes on as soon as its answers are read.
    for id in 1..=asked {
        assert_eq!(peer.read().unwrap()[..8], id.to_be_bytes());
    }
}

#[test]
fn a_peer_that_never_reads_is_cut_off_and_its_leases_go_back() {
    let manager = builder()
        .silence_timeout(Duration::from_millis(100))
        .register("q", QueueOptions::new())
        .start()
        .unwrap();
    let local = manager.queue::<String>("q").unwrap();
    local.put_many(vec!["x".repeat(1 << 20); 40]).unwrap();
    let mut peer = Raw::greeted(manager.local_addr());
    for id in 1..=40 {
        // One item each, held as long as the connection; with no time to wait.
        let fields = [Q, &1_u32.to_be_bytes(), &[0xff; 8], &[0; 8]].concat();
        let _ = peer.try_write(&request(id, 4, &fields));
    }
    eventually("it is cut off", || manager.connections().is_empty());
    assert_eq!(local.len().unwrap(), 40);
}

#[test]
fn too_many_waiting_requests_are_refused() {
    let manager = manager(QueueOptions::new());
    let mut peer = Raw::greeted(manager.local_addr());
    let wait_for_ever = [Q, &1_u32.to_be_bytes(), &[0xff; 8], &[0xff; 8]].concat();
    for id in 1..=5000 {
        peer.write(&request(id, 4, &wait_for_ever));
    }
    assert_eq!(peer.read().unwrap(), request(4097, 132, b""));
    // Those that wait come first.
    drop(peer);
    assert_serves(&manager);
}

#[test]
fn a_cancelled_request_answers_and_takes_nothing() {
    let manager = manager(QueueOptions::new());
    let mut peer = Raw::greeted(manager.local_addr());
    let wait_for_ever = [Q, &1_u32.to_be_bytes(), &[0xff; 8], &[0xff; 8]].concat();
    peer.write(&request(1, 4, &wait_for_ever));
    peer.write(&request(0, 17, &1_u64.to_be_bytes()));
    assert_eq!(peer.read().unwrap(), request(1, 134, b""));
    assert_serves(&manager);
}

#[test]
fn a_peer_of_another_version_is_told_ours() {
    let manager = manager(QueueOptions::new());
    let mut peer = Raw::proven(manager.local_addr());
    peer.write(b"\0spinneret\x12\x34anything");
    assert_eq!(peer.read().unwrap()[..12], Raw::VERSION);
    assert!(peer.is_closed());
    assert_serves(&manager);
}

/// What a client says of a server that does this.
fn meet(serve: impl FnOnce(Raw) + Send + 'static) -> ManagerError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(Raw(listener.accept().unwrap().0)));
    let error = Client::connect(address, &key()).unwrap_err();
    server.join().unwrap();
    error
}

#[test]
fn a_client_says_what_is_wrong_with_a_server() {
    let error = meet(|mut server| server.0.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap());
    assert!(matches!(error, ManagerError::NotAManager { .. }), "{error:?}");
    let error = meet(|mut server| server.write(b"hello"));
    assert!(matches!(error, ManagerError::NotAManager { .. }), "{error:?}");
    let error = meet(drop);
    assert!(matches!(error, ManagerError::Disconnected { .. }), "{error:?}");
    let error = meet(|mut server| {
        server.write(b"#CHALLENGE#{sha512}aaaaaaaaaaaaaaaaaaaa");
        let _ = server.0.read(&mut [0]);
    });
    assert!(
        matches!(&error, ManagerError::NotAManager { reason, .. } if reason.contains("digest"))
    );
    // A Python before 3.12: its challenge has 20 bytes and asks for MD5, by which a client proves
    // its key on its own machine.
    let error = meet(|mut server| {
        server.write(b"#CHALLENGE#aaaaaaaaaaaaaaaaaaaa");
        assert_eq!(server.read().unwrap().len(), 16);
    });
    assert!(matches!(error, ManagerError::Disconnected { .. }), "{error:?}");
}

/// A server that welcomes everybody, and that a client must not believe.
#[test]
fn a_client_refuses_a_server_without_the_key() {
    let error = meet(|mut server| {
        server.write(&[&b"#CHALLENGE#{sha256}"[..], &[b'a'; 40]].concat());
        server.read().unwrap();
        server.write(b"#WELCOME#");
        server.read().unwrap();
        server.write(&[&b"{sha256}"[..], &[0; 32]].concat());
        assert_eq!(server.read().unwrap(), b"#FAILURE#");
    });
    assert!(matches!(error, ManagerError::WrongKey { .. }), "{error:?}");
}
