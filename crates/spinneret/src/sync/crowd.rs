//! Those who wait for a lock in other ways than by blocking their thread: coroutines and async tasks.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::cooperate;

/// Beside a lock that threads wait for by themselves. Whoever gives the lock back calls
/// [`left`](Self::left); who waits announces that, and then tries: so one of them sees the other.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    waiting: AtomicUsize,
    free: Notify,
}

impl Crowd {
    pub(super) const fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), free: Notify::const_new() }
    }

    /// The lock was given back: one who waits may try.
    pub(super) fn left(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.free.notify_one();
        }
    }

    /// Suspends the coroutine that asks until the attempt succeeds; it is made by that coroutine
    /// itself. `None` at the deadline.
    pub(super) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let _waits = Waits::new(&self.waiting);
        loop {
            let mut free = pin!(self.free.notified());
            // Before the attempt, so that nothing after it is missed.
            free.as_mut().enable();
            if let Some(result) = attempt() {
                return Some(result);
            }
            if cooperate::wait(cooperate::until(deadline, free)).is_none() {
                return attempt();
            }
        }
    }

    /// As [`wait`](Self::wait), in an async task, and without a deadline.
    pub(super) async fn wait_async<R>(&self, mut attempt: impl FnMut() -> Option<R>) -> R {
        let _waits = Waits::new(&self.waiting);
        loop {
            let mut free = pin!(self.free.notified());
            free.as_mut().enable();
            if let Some(result) = attempt() {
                return result;
            }
            free.await;
        }
    }
}

/// Counts one who waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a timeout ends; `None` if it is longer than time goes.
pub(super) fn end(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
