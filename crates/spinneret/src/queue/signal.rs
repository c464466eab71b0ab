//! Waiting for a change of what a mutex guards, by threads and by async tasks alike.

use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Never,
    Until(Instant),
    Ever,
}

impl From<Duration> for Wait {
    /// A time too far away to be one is as good as none.
    fn from(wait: Duration) -> Self {
        Instant::now().checked_add(wait).map_or(Self::Ever, Self::Until)
    }
}

/// Tells those who wait that an attempt of theirs may succeed now.
///
/// Who is woken tries again, and may find that another was faster; so it harms nothing to wake too
/// many. [`one`](Self::one) wakes a thread and a task, since it cannot know which is there.
#[derive(Debug, Default)]
pub(super) struct Signal {
    threads: Condvar,
    tasks: Notify,
}

impl Signal {
    /// After a change that one who waits can make use of.
    pub(super) fn one(&self) {
        self.threads.notify_one();
        self.tasks.notify_one();
    }

    /// After a change that concerns all.
    pub(super) fn all(&self) {
        self.threads.notify_all();
        self.tasks.notify_waiters();
    }

    /// Makes an attempt, and another after each signal until one succeeds or time is up.
    pub(super) fn wait<S, R>(
        &self,
        state: &Mutex<S>,
        wait: Wait,
        mut attempt: impl FnMut(&mut S) -> Option<R>,
    ) -> Option<R> {
        let mut state = state.lock();
        loop {
            if let Some(result) = attempt(&mut state) {
                return Some(result);
            }
            match wait {
                Wait::Never => return None,
                Wait::Ever => self.threads.wait(&mut state),
                Wait::Until(end) => {
                    if self.threads.wait_until(&mut state, end).timed_out() {
                        // The signal may have come along with the end.
                        return attempt(&mut state);
                    }
                }
            }
        }
    }

    /// Async twin of [`wait`](Self::wait). What succeeded is in the returned value, so that nothing
    /// is lost if the future is dropped.
    pub(super) async fn wait_async<S, R>(
        &self,
        state: &Mutex<S>,
        wait: Wait,
        mut attempt: impl FnMut(&mut S) -> Option<R>,
    ) -> Option<R> {
        loop {
            let mut signal = pin!(self.tasks.notified());
            // Before the attempt, so that no signal after it is missed.
            signal.as_mut().enable();
            let result = attempt(&mut state.lock());
            if result.is_some() {
                return result;
            }
            match wait {
                Wait::Never => return None,
                Wait::Ever => signal.await,
                Wait::Until(end) => {
                    if tokio::time::timeout_at(end.into(), signal).await.is_err() {
                        return attempt(&mut state.lock());
                    }
                }
            }
        }
    }
}
