//! What the tests of patched calls share.

#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use spinneret_green::{Config, JoinHandle, configure, patch_all, spawn};

/// So long a test waits for what should come at once.
pub const LONG: Duration = Duration::from_mins(1);

/// Patches everything and has so many hubs, in a test's process of its own.
pub fn patched(hubs: usize) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A debug build's stacks are large.
        configure(Config::new().hubs(hubs).stack_size(512 << 10)).unwrap();
        let report = patch_all();
        assert!(report.impossible().is_none(), "{report}");
    });
}

/// Runs `work` as a coroutine and waits for its end, but not for ever.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    finish(spawn(work))
}

/// Waits for a coroutine's end, but not for ever.
pub fn finish<T: Send + 'static>(handle: JoinHandle<T>) -> T {
    let end = Instant::now() + LONG;
    while !handle.is_finished() {
        assert!(Instant::now() < end, "a coroutine hangs");
        thread::sleep(Duration::from_millis(1));
    }
    handle.join().unwrap()
}

/// Waits until `what` holds, but not for ever.
pub fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !what() {
        assert!(Instant::now() < end, "it does not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A coroutine that counts as long as its hub is not held up.
pub struct Ticker {
    ticks: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
}

impl Ticker {
    /// On the first hub.
    pub fn start() -> Self {
        let (ticks, end) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let this = Self { ticks: Arc::clone(&ticks), end: Arc::clone(&end) };
        let tick = move || {
            while !end.load(Ordering::Relaxed) {
                ticks.fetch_add(1, Ordering::Relaxed);
                spinneret_green::sleep(Duration::from_micros(500));
            }
        };
        drop(spinneret_green::Builder::new().hub(0).spawn(tick).unwrap());
        this
    }

    pub fn count(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Waits, from a thread of the system, until it ticked some times more: the hub goes on.
    pub fn goes_on(&self) {
        let before = self.count();
        until(|| self.count() >= before + 3);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

/// Runs `wait` as a coroutine of the first hub, and checks that the hub goes on while it waits;
/// then `end` lets it come to its end.
pub fn suspends<T: Send + 'static>(
    wait: impl FnOnce() -> T + Send + 'static,
    end: impl FnOnce(),
) -> T {
    let begun = Arc::new(AtomicBool::new(false));
    let ticker = Ticker::start();
    let told = Arc::clone(&begun);
    let work = move || {
        told.store(true, Ordering::SeqCst);
        wait()
    };
    let handle = spinneret_green::Builder::new().hub(0).spawn(work).unwrap();
    until(|| begun.load(Ordering::SeqCst));
    for _ in 0..3 {
        ticker.goes_on();
        assert!(!handle.is_finished(), "it did not wait");
    }
    end();
    finish(handle)
}

/// A pair of connected TCP sockets.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    (one, other)
}

/// Serves connections in threads of the system that echo all they get.
pub fn echo_threads() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(size @ 1..) = socket.read(&mut buffer) {
                    if socket.write_all(&buffer[..size]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
