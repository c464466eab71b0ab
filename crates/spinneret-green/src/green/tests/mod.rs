//! Green threads by themselves, without the patched calls.

mod libraries;
mod tasks;
mod thread_locals;
mod waits;
mod watch;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::{Settings, park, spawn, start};
use crate::task::{Spec, Task, Woken};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);

/// Three hubs; tests that share a process share them.
fn hubs() {
    let settings =
        Settings { hubs: 3, stack_size: 256 << 10, slow_after: Duration::from_millis(100) };
    start(&settings).unwrap();
}

/// What a green thread returns, or its panic.
struct Handle<T> {
    task: Task,
    result: mpsc::Receiver<thread::Result<T>>,
}

impl<T> Handle<T> {
    fn join(self) -> thread::Result<T> {
        self.result.recv_timeout(LONG).unwrap()
    }
}

fn go<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Handle<T> {
    go_with(Spec::default(), work)
}

/// On one hub, the first.
fn go_first<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Handle<T> {
    go_with(Spec { hub: Some(0), ..Spec::default() }, work)
}

fn go_with<T: Send + 'static>(spec: Spec, work: impl FnOnce() -> T + Send + 'static) -> Handle<T> {
    hubs();
    let (send, result) = mpsc::channel();
    let body = move || {
        let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
    };
    Handle { task: spawn(spec, Box::new(body)).unwrap(), result }
}

fn sleep(time: Duration) -> Woken {
    let until = Instant::now() + time;
    loop {
        match park(Some(until)) {
            Woken::Unparked => {}
            over => return over,
        }
    }
}

/// Waits until `ready`, in an operating system's thread.
fn until(mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !ready() {
        assert!(Instant::now() < end, "waited for long in vain");
        thread::sleep(Duration::from_millis(1));
    }
}
