//! One connection with many callers: some block, some await, and the socket is everybody's.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{Client, ManagerError, QueueOptions};

use super::{HOLD, LONG, builder, client, eventually, key, manager, queue, raw::Raw};

#[test]
fn every_thread_gets_its_own_answers() {
    const THREADS: u32 = 8;
    const ROUNDS: u32 = 300;
    let manager = manager(QueueOptions::new());
    for thread in 0..THREADS {
        manager.register(&format!("q{thread}"), QueueOptions::new()).unwrap();
    }
    let client = client(&manager);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = client.queue::<(u32, u32)>(&format!("q{thread}"));
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    queue.put((thread, round)).unwrap();
                    assert_eq!(queue.get().unwrap(), (thread, round));
                }
            });
        }
    });
}

#[test]
fn a_caller_that_waits_does_not_hold_up_others() {
    let manager = manager(QueueOptions::new());
    manager.register("other", QueueOptions::new()).unwrap();
    let client = client(&manager);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let queue = client.queue::<u32>("q");
            thread::spawn(move || queue.get().unwrap())
        })
        .collect();
    // Whoever reads for all of them is replaced when its item comes.
    let (queue, other) = (client.queue::<u32>("q"), client.queue::<u32>("other"));
    for n in 0..4 {
        for round in 0..50 {
            other.put(round).unwrap();
            assert_eq!(other.get().unwrap(), round);
        }
        queue.put(n).unwrap();
    }
    let mut got: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3]);
}

#[test]
fn blocking_and_awaiting_callers_share_a_connection() {
    let manager = manager(QueueOptions::new());
    let client = client(&manager);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let awaiting = client.queue::<u32>("q");
    let blocking = client.queue::<u32>("q");
    let answering = thread::spawn(move || {
        runtime.block_on(async {
            let mut sum = 0;
            for _ in 0..200 {
                sum += awaiting.get_async().await.unwrap();
            }
            sum
        })
    });
    for n in 0..200 {
        blocking.put(n).unwrap();
        if n % 50 == 0 {
            // Long enough for the connection to be left to those who await.
            thread::sleep(Duration::from_millis(40));
        }
    }
    assert_eq!(answering.join().unwrap(), 199 * 200 / 2);
}

#[test]
fn what_was_got_is_done_soon_without_another_call() {
    let manager = manager(QueueOptions::new());
    let local = manager.queue::<u32>("q").unwrap();
    let queue = queue::<u32>(&manager);
    for n in 0..20 {
        local.put(n).unwrap();
        assert_eq!(queue.get().unwrap(), n);
        eventually("the manager knows", || local.stats().unwrap().done == u64::from(n) + 1);
        // Sometimes the background task has taken over meanwhile, sometimes not.
        thread::sleep(Duration::from_millis(u64::from(n) * 3));
    }
}

#[test]
fn what_was_got_is_done_though_its_client_ends_at_once() {
    let manager = manager(QueueOptions::new());
    let local = manager.queue::<u32>("q").unwrap();
    for n in 0..20 {
        local.put(n).unwrap();
        assert_eq!(queue::<u32>(&manager).get().unwrap(), n);
    }
    eventually("all clients are gone", || manager.connections().is_empty());
    let stats = local.stats().unwrap();
    assert_eq!((stats.done, stats.queued, stats.leased), (20, 0, 0));
}

#[test]
fn large_items_pass_a_blocking_client() {
    let manager = manager(QueueOptions::new());
    let client = client(&manager);
    let large = "x".repeat(40 << 20);
    let getting = thread::spawn({
        let queue = client.queue::<String>("q");
        move || queue.get().unwrap()
    });
    client.queue::<String>("q").put(large.clone()).unwrap();
    assert!(getting.join().unwrap() == large);
}

#[test]
fn a_caller_may_wait_longer_than_a_silent_peer_may_live() {
    // Long enough for a busy machine, on which a sign of life may come late.
    let silence = Duration::from_secs(1);
    let manager =
        builder().silence_timeout(silence).register("q", QueueOptions::new()).start().unwrap();
    let queue = queue::<u32>(&manager);
    let waiting = thread::spawn(move || queue.get().unwrap());
    thread::sleep(3 * silence);
    manager.queue::<u32>("q").unwrap().put(7).unwrap();
    assert_eq!(waiting.join().unwrap(), 7);
}

/// A manager that says hello, and that it is to be heard of every so often.
fn impostor(silence: Duration) -> (std::net::SocketAddr, thread::JoinHandle<Raw>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut raw = Raw(listener.accept().unwrap().0);
        raw.welcome();
        raw.read().unwrap();
        let silence = u32::try_from(silence.as_millis()).unwrap().to_be_bytes();
        raw.write(&[&Raw::VERSION[..], &(1_u32 << 20).to_be_bytes(), &silence].concat());
        raw
    });
    (address, serving)
}

#[test]
fn a_manager_that_falls_silent_is_given_up() {
    let (address, serving) = impostor(Duration::from_millis(150));
    let client = Client::connect(address, &key()).unwrap();
    let silent = serving.join().unwrap();
    let start = Instant::now();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.ping())
        })
        .collect();
    for thread in waiting {
        let error = thread.join().unwrap().unwrap_err();
        assert!(matches!(error, ManagerError::Disconnected { .. }), "{error:?}");
    }
    assert!(start.elapsed() < LONG);
    drop(silent);
}

#[test]
fn a_connection_that_is_cut_within_a_frame_ends_all_calls() {
    let (address, serving) = impostor(LONG);
    let client = Client::connect(address, &key()).unwrap();
    let mut manager = serving.join().unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || client.queue::<u32>("q").lease(HOLD).map(drop).unwrap_err())
        })
        .collect();
    manager.read().unwrap();
    std::io::Write::write_all(&mut manager.0, b"\0\0\0\x28half").unwrap();
    drop(manager);
    for thread in waiting {
        let error = thread.join().unwrap().to_string();
        assert!(error.contains("connect again"), "{error}");
    }
    assert!(client.ping().is_err(), "nor do later ones wait");
}
