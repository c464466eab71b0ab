//! Waiting for a change of what a mutex guards, by threads, coroutines and async tasks alike.

use std::pin::pin;
use std::sync::{Condvar, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::cooperate;

/// A mutex for short moments, within which nobody waits.
///
/// That of the standard library, unpoisoned, and not that of `parking_lot`: its locks are handed over
/// now and then, perhaps to a coroutine that is suspended, and for good if its hub then wants the
/// lock too.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Takes the lock. A coroutine is not suspended for it, so none has another such lock meanwhile
    /// that its hub may want.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                cooperate::on_thread(|| self.0.lock()).unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
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
pub(crate) struct Signal {
    threads: Condvar,
    tasks: Notify,
}

impl Signal {
    pub(crate) const fn new() -> Self {
        Self { threads: Condvar::new(), tasks: Notify::const_new() }
    }

    /// After a change that one who waits can make use of.
    pub(crate) fn one(&self) {
        self.threads.notify_one();
        self.tasks.notify_one();
    }

    /// After a change that concerns all.
    pub(crate) fn all(&self) {
        self.threads.notify_all();
        self.tasks.notify_waiters();
    }

    /// Makes an attempt, and another after each signal until one succeeds or time is up.
    pub(crate) fn wait<S, R>(
        &self,
        state: &Mutex<S>,
        wait: Wait,
        mut attempt: impl FnMut(&mut S) -> Option<R>,
    ) -> Option<R> {
        let mut held = state.lock();
        loop {
            if let Some(result) = attempt(&mut held) {
                return Some(result);
            }
            if matches!(wait, Wait::Never) {
                return None;
            }
            if cooperate::within() {
                drop(held);
                return cooperate::wait(self.wait_async(state, wait, attempt));
            }
            held = match wait {
                Wait::Until(end) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        // The signal may have come along with the end.
                        return attempt(&mut held);
                    }
                    let woken = self.threads.wait_timeout(held, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.threads.wait(held).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Async twin of [`wait`](Self::wait). What succeeded is in the returned value, so that nothing
    /// is lost if the future is dropped.
    pub(crate) async fn wait_async<S, R>(
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
