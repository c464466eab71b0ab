//! Unchanged socket code of std suspends its coroutine and not its hub.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsRawFd,
        unix::net::{UnixDatagram, UnixStream},
    },
    thread,
    time::{Duration, Instant},
};

use common::{echo_threads, finish, patched, run, suspends, tcp_pair, until};
use spinneret_green::{Builder, join_all, spawn};

fn is_nonblocking(socket: &impl AsRawFd) -> bool {
    // SAFETY: the call has no preconditions.
    let flags = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0);
    flags & libc::O_NONBLOCK != 0
}

#[test]
fn a_read_suspends_until_there_is_something() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    let read = move || {
        let mut buffer = [0; 16];
        let size = here.read(&mut buffer).unwrap();
        assert!(!is_nonblocking(&here));
        buffer[..size].to_vec()
    };
    assert_eq!(suspends(read, || there.write_all(b"hello").unwrap()), b"hello");
}

#[test]
fn a_write_suspends_while_the_other_side_does_not_read() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    let data: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = data.clone();
    let write = move || here.write_all(&data).unwrap();
    suspends(write, move || {
        thread::spawn(move || {
            let mut all = Vec::new();
            there.read_to_end(&mut all).unwrap();
            assert!(all == expected);
        });
    });
}

#[test]
fn one_blocking_send_sends_all_of_it_as_it_would_in_a_thread() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        all.len()
    });
    let data = vec![7; 9_000_000];
    assert_eq!(
        run(move || (here.write(&data).unwrap(), here.shutdown(Shutdown::Write)).0),
        9_000_000
    );
    assert_eq!(reader.join().unwrap(), 9_000_000);
}

#[test]
fn gathered_writes_send_each_part_once_and_in_order() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        all
    });
    let parts: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 300_000]).collect();
    let expected = parts.concat();
    let sent = run(move || {
        let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        here.write_vectored(&slices).unwrap()
    });
    assert_eq!(sent, expected.len());
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn accept_and_connect_suspend() {
    patched(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accept = move || {
        let (mut socket, _) = listener.accept().unwrap();
        assert!(!is_nonblocking(&listener) && !is_nonblocking(&socket));
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    };
    let connect = move || {
        let mut socket = TcpStream::connect(address).unwrap();
        assert!(!is_nonblocking(&socket));
        socket.write_all(b"from a coroutine").unwrap();
    };
    let text = suspends(accept, move || drop(spawn(connect)));
    assert_eq!(text, "from a coroutine");
}

#[test]
fn a_refused_connection_is_the_same_error_as_in_a_thread() {
    patched(1);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let connect = move || TcpStream::connect(address).unwrap_err().raw_os_error();
    assert_eq!(run(connect), connect());
    let limited = move || {
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap_err().raw_os_error()
    };
    assert_eq!(run(limited), limited());
}

#[test]
fn an_own_timeout_ends_a_read_with_would_block() {
    patched(1);
    let (mut here, _there) = tcp_pair();
    here.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
    let read = move || {
        let start = Instant::now();
        let error = here.read(&mut [0; 8]).unwrap_err();
        // Changed meanwhile, through a copy of the descriptor.
        here.try_clone().unwrap().set_read_timeout(Some(Duration::from_millis(60))).unwrap();
        let again = here.read(&mut [0; 8]).unwrap_err();
        (error.kind(), again.kind(), start.elapsed() >= Duration::from_millis(90))
    };
    assert_eq!(run(read), (ErrorKind::WouldBlock, ErrorKind::WouldBlock, true));
}

#[test]
fn a_nonblocking_socket_stays_one() {
    patched(1);
    let (mut here, mut there) = tcp_pair();
    run(move || {
        here.set_nonblocking(true).unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(here.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        here.set_nonblocking(false).unwrap();
        there.write_all(b"x").unwrap();
        assert_eq!(here.read(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn two_readers_and_a_writer_share_a_descriptor() {
    patched(1);
    let (here, mut there) = tcp_pair();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut socket = here.try_clone().unwrap();
            spawn(move || {
                let mut byte = [0; 1];
                socket.read_exact(&mut byte).unwrap();
                byte[0]
            })
        })
        .collect();
    let mut socket = here.try_clone().unwrap();
    let writer = spawn(move || socket.write_all(&vec![1; 5_000_000]).unwrap());
    // By the same number, not a copy.
    let number = here.as_raw_fd();
    let same = spawn(move || {
        let mut byte = [0_u8; 1];
        // SAFETY: there is room for a byte.
        assert_eq!(unsafe { libc::recv(number, byte.as_mut_ptr().cast(), 1, 0) }, 1);
        byte[0]
    });
    until(|| readers.iter().all(|reader| !reader.is_finished()));
    there.write_all(b"abc").unwrap();
    let mut all = vec![0; 5_000_000];
    there.read_exact(&mut all).unwrap();
    let mut got: Vec<u8> = readers.into_iter().map(finish).collect();
    got.push(finish(same));
    got.sort_unstable();
    assert_eq!(got, b"abc");
    finish(writer);
}

#[test]
fn many_coroutines_of_one_hub_talk_at_once() {
    patched(1);
    let address = echo_threads();
    let clients = (0..100_u32).map(|n| {
        spawn(move || {
            let mut socket = TcpStream::connect(address).unwrap();
            for round in 0..20 {
                let sent = [n, round].map(u32::to_be_bytes).concat();
                socket.write_all(&sent).unwrap();
                let mut back = [0; 8];
                socket.read_exact(&mut back).unwrap();
                assert_eq!(back, sent[..]);
            }
        })
    });
    join_all(clients).into_iter().for_each(Result::unwrap);
}

#[test]
fn datagrams_wait_for_each_other() {
    patched(1);
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = here.local_addr().unwrap();
    let from = there.local_addr().unwrap();
    let receive = move || {
        let mut buffer = [0; 64];
        // A short read of a datagram does not mean that no other waits.
        let first = here.recv_from(&mut buffer).unwrap();
        let second = here.recv_from(&mut buffer).unwrap();
        assert_eq!((first.1, second.1), (from, from));
        (first.0, second.0)
    };
    let send = || {
        there.send_to(b"one", to).unwrap();
        there.send_to(b"other", to).unwrap();
    };
    assert_eq!(suspends(receive, send), (3, 5));
}

#[test]
fn the_end_of_a_stream_is_seen_however_it_comes() {
    patched(1);
    let rounds = 400;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender = thread::spawn(move || {
        for round in 0..rounds {
            let (mut socket, _) = listener.accept().unwrap();
            // The end comes with the data, soon after it, or while its reader waits.
            for part in 0..round % 4 {
                socket.write_all(&[7; 100]).unwrap();
                if part == round % 3 {
                    thread::sleep(Duration::from_micros(round % 7 * 50));
                }
            }
            socket.shutdown(Shutdown::Write).unwrap();
            assert_eq!(socket.read(&mut [0; 1]).unwrap(), 0);
        }
    });
    let reader = spawn(move || {
        for round in 0..rounds {
            let mut socket = TcpStream::connect(address).unwrap();
            let (mut buffer, mut sum) = ([0; 4096], 0);
            while let size @ 1.. = socket.read(&mut buffer).unwrap() {
                sum += size as u64;
            }
            assert_eq!(sum, round % 4 * 100);
        }
    });
    finish(reader);
    sender.join().unwrap();
}

#[test]
fn a_datagram_waits_for_room_in_the_queue_of_another_socket() {
    patched(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let there = UnixDatagram::bind(&path).unwrap();
    for _ in 0..2 {
        let here = UnixDatagram::unbound().unwrap();
        let mut queued = 0;
        here.set_nonblocking(true).unwrap();
        while here.send_to(b"full", &path).is_ok() {
            queued += 1;
        }
        here.set_nonblocking(false).unwrap();
        let to = path.clone();
        let send = move || here.send_to(b"late", &to).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(suspends(send, || assert_eq!(there.recv(&mut buffer).unwrap(), 4)), 4);
        for _ in 0..queued {
            there.recv(&mut buffer).unwrap();
        }
        assert_eq!(&buffer, b"late");
    }
}

#[test]
fn local_sockets_and_pipes_suspend_too() {
    patched(1);
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let read = move || {
        let mut buffer = [0; 3];
        here.read_exact(&mut buffer).unwrap();
        buffer
    };
    assert_eq!(&suspends(read, || there.write_all(b"abc").unwrap()), b"abc");

    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let read = move || {
        let mut buffer = [0; 3];
        reader.read_exact(&mut buffer).unwrap();
        (buffer, reader)
    };
    let mut other = writer.try_clone().unwrap();
    let (got, mut reader) = suspends(read, || other.write_all(b"def").unwrap());
    assert_eq!(&got, b"def");
    drop(other);

    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 249) as u8).collect();
    let expected = data.clone();
    let got = suspends(
        move || writer.write(&data).unwrap(),
        || {
            thread::spawn(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap();
                assert!(all == expected);
            });
        },
    );
    assert_eq!(got, 3_000_000);
}

#[test]
fn what_is_copied_between_files_and_sockets_suspends() {
    patched(1);
    let mut file = tempfile::tempfile().unwrap();
    let data: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 247) as u8).collect();
    file.write_all(&data).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let (mut here, mut there) = tcp_pair();
    let send = move || {
        let size = std::io::copy(&mut file, &mut here).unwrap();
        here.shutdown(Shutdown::Both).unwrap();
        size
    };
    let size = suspends(send, move || {
        thread::spawn(move || {
            let mut all = Vec::new();
            there.read_to_end(&mut all).unwrap();
            assert!(all == data);
        });
    });
    assert_eq!(size, 20_000_000);
}

#[test]
fn a_closed_descriptor_ends_its_waiters_call() {
    patched(1);
    let (here, there) = tcp_pair();
    let number = here.as_raw_fd();
    let read = move || {
        let mut byte = [0_u8; 1];
        // SAFETY: there is room for a byte.
        let got = unsafe { libc::recv(number, byte.as_mut_ptr().cast(), 1, 0) };
        (got, std::io::Error::last_os_error().raw_os_error())
    };
    // From a thread of the system; closing in a coroutine is in the stress test.
    assert_eq!(suspends(read, move || drop(here)), (-1, Some(libc::EBADF)));
    drop(there);
}

#[test]
fn closing_in_another_coroutine_wakes_and_a_reused_number_is_a_new_descriptor() {
    patched(1);
    for _ in 0..50 {
        let (here, there) = tcp_pair();
        let number = here.as_raw_fd();
        let waiter = Builder::new().hub(0).spawn(move || {
            let mut byte = [0_u8; 1];
            // SAFETY: there is room for a byte.
            unsafe { libc::recv(number, byte.as_mut_ptr().cast(), 1, 0) }
        });
        let waiter = waiter.unwrap();
        let closer = move || {
            spinneret_green::yield_now();
            drop(here);
            // The lowest free number is the one that was just closed, unless another test is
            // quick to take it.
            let (mut new, mut other) = tcp_pair();
            let reader = spawn(move || {
                let mut byte = [0; 1];
                new.read_exact(&mut byte).unwrap();
                byte[0]
            });
            spinneret_green::yield_now();
            other.write_all(b"z").unwrap();
            reader.join().unwrap()
        };
        let closer = Builder::new().hub(0).spawn(closer).unwrap();
        assert_eq!(finish(closer), b'z');
        assert_eq!(finish(waiter), -1);
        drop(there);
    }
}
