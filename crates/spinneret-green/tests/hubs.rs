//! Descriptors that are used on several hubs at once, and closed from any of them.
#![cfg(green_threads)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::{finish, patched, tcp_pair, until};
use spinneret_green::{Builder, JoinHandle};

const HUBS: usize = 3;

fn on_hub<T: Send + 'static>(
    hub: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    Builder::new().hub(hub).spawn(work).unwrap()
}

#[test]
fn waiters_on_every_hub_are_woken_when_one_closes() {
    patched(HUBS);
    for closer in 0..HUBS {
        let (here, there) = tcp_pair();
        let number = here.as_raw_fd();
        let waiting = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..2 * HUBS)
            .map(|n| {
                let waiting = Arc::clone(&waiting);
                on_hub(n, move || {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let mut byte = [0_u8];
                    // SAFETY: there is room for a byte.
                    let got = unsafe { libc::recv(number, byte.as_mut_ptr().cast(), 1, 0) };
                    (got, std::io::Error::last_os_error().raw_os_error())
                })
            })
            .collect();
        until(|| waiting.load(Ordering::SeqCst) == 2 * HUBS);
        // Those who were about to wait do so by now, or find it closed.
        thread::sleep(Duration::from_millis(20));
        finish(on_hub(closer, move || drop(here)));
        for waiter in waiters {
            assert_eq!(finish(waiter), (-1, Some(libc::EBADF)));
        }
        drop(there);
    }
}

#[test]
fn readers_on_every_hub_get_all_bytes_between_them() {
    patched(HUBS);
    let (here, mut there) = tcp_pair();
    let readers: Vec<_> = (0..2 * HUBS)
        .map(|n| {
            let mut socket = here.try_clone().unwrap();
            on_hub(n, move || {
                let (mut buffer, mut sum) = ([0; 100], 0);
                while let size @ 1.. = socket.read(&mut buffer).unwrap() {
                    sum += size;
                    thread::yield_now();
                }
                sum
            })
        })
        .collect();
    drop(here);
    for _ in 0..400 {
        there.write_all(&[1; 333]).unwrap();
        thread::sleep(Duration::from_micros(50));
    }
    drop(there);
    assert_eq!(readers.into_iter().map(finish).sum::<usize>(), 400 * 333);
}

#[test]
fn one_listener_is_accepted_from_on_every_hub() {
    patched(HUBS);
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    let served: Arc<Vec<AtomicUsize>> = Arc::new((0..HUBS).map(|_| AtomicUsize::new(0)).collect());
    for hub in 0..HUBS {
        let (listener, served) = (Arc::clone(&listener), Arc::clone(&served));
        drop(on_hub(hub, move || {
            loop {
                let (mut socket, _) = listener.accept().unwrap();
                let served = Arc::clone(&served);
                drop(on_hub(hub, move || {
                    let mut byte = [0];
                    socket.read_exact(&mut byte).unwrap();
                    socket.write_all(&byte).unwrap();
                    served[hub].fetch_add(1, Ordering::SeqCst);
                }));
            }
        }));
    }
    let clients: Vec<_> = (0..300_usize)
        .map(|n| {
            on_hub(n, move || {
                let mut socket = TcpStream::connect(address).unwrap();
                let sent = [(n % 200) as u8];
                socket.write_all(&sent).unwrap();
                let mut back = [0];
                socket.read_exact(&mut back).unwrap();
                assert_eq!(back, sent);
            })
        })
        .collect();
    clients.into_iter().for_each(finish);
    until(|| served.iter().map(|one| one.load(Ordering::SeqCst)).sum::<usize>() == 300);
}

#[test]
fn numbers_that_are_closed_and_reused_everywhere_strand_nobody() {
    patched(HUBS);
    let rounds = 200;
    let all: Vec<_> = (0..4 * HUBS)
        .map(|n| {
            on_hub(n, move || {
                for round in 0..rounds {
                    let (here, there) = tcp_pair();
                    let number = here.as_raw_fd();
                    let closed = Arc::new(AtomicBool::new(false));
                    let told = Arc::clone(&closed);
                    // On another hub; by its number, which may be another's by then.
                    let waiter = on_hub(n + round, move || {
                        while !told.load(Ordering::SeqCst) {
                            let mut byte = [0_u8];
                            let place = byte.as_mut_ptr().cast();
                            // Nobody ever sends, so this takes nothing from whose it may be.
                            // SAFETY: there is room for a byte.
                            let got = unsafe { libc::recv(number, place, 1, libc::MSG_PEEK) };
                            assert!(got <= 0);
                            thread::yield_now();
                        }
                    });
                    if round % 3 == 0 {
                        thread::sleep(Duration::from_micros(100));
                    }
                    closed.store(true, Ordering::SeqCst);
                    drop(here);
                    waiter.join().unwrap();
                    drop(there);
                }
            })
        })
        .collect();
    all.into_iter().for_each(finish);
}
