//! Mutual exclusion: `Lock`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::crowd::{Crowd, end};
use crate::cooperate;

/// Lets one at a time have what it protects, or do what only one may do: Python's
/// `threading.Lock`.
///
/// A thread that locks it twice waits for itself, for ever. [`lock_timeout`](Self::lock_timeout)
/// gives up instead, and [`RLock`](super::RLock) lets it through.
///
/// ```
/// use std::time::Duration;
///
/// use spinneret::sync::Lock;
///
/// let total = Lock::new(0);
/// std::thread::scope(|scope| {
///     for number in 1..=3 {
///         let total = &total;
///         scope.spawn(move || *total.lock() += number);
///     }
/// });
/// let held = total.lock();
/// assert_eq!(*held, 6);
/// assert!(total.lock_timeout(Duration::from_millis(1)).is_none());
/// ```
#[derive(Default)]
pub struct Lock<T = ()> {
    mutex: Mutex<T>,
    crowd: Crowd,
}

/// What a [`Lock`] protects, until it is dropped.
#[must_use = "the lock is unlocked when its guard is dropped"]
pub struct LockGuard<'a, T> {
    /// `None` only while it is dropped.
    value: Option<MutexGuard<'a, T>>,
    crowd: &'a Crowd,
}

impl<T> Lock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        Self { mutex: Mutex::new(value), crowd: Crowd::new() }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> LockGuard<'_, T> {
        if cooperate::within() {
            loop {
                if let Some(guard) = self.crowd.wait(None, || self.try_lock()) {
                    return guard;
                }
            }
        }
        self.guard(self.mutex.lock())
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        self.mutex.try_lock().map(|value| self.guard(value))
    }

    /// Waits for the lock up to this long.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockGuard<'_, T>> {
        if cooperate::within() {
            return self.crowd.wait(end(timeout), || self.try_lock());
        }
        self.mutex.try_lock_for(timeout).map(|value| self.guard(value))
    }

    /// Async twin of [`lock`](Self::lock).
    pub async fn lock_async(&self) -> LockGuard<'_, T> {
        self.crowd.wait_async(|| self.try_lock()).await
    }

    fn guard<'a>(&'a self, value: MutexGuard<'a, T>) -> LockGuard<'a, T> {
        LockGuard { value: Some(value), crowd: &self.crowd }
    }

    /// Whether somebody holds it, at this moment.
    pub fn is_locked(&self) -> bool {
        self.mutex.is_locked()
    }

    /// What it protects; nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.mutex.get_mut()
    }

    /// What it protected.
    pub fn into_inner(self) -> T {
        self.mutex.into_inner()
    }
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until the guard is dropped")
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there until the guard is dropped")
    }
}

impl<T> Drop for LockGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.crowd.left();
    }
}

impl<T: fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("Lock");
        match self.try_lock() {
            Some(value) => lock.field("value", &*value).finish(),
            None => lock.finish_non_exhaustive(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_lock_lets_one_at_a_time_through() {
        let lock = Lock::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let mut number = lock.lock();
                        // In two steps, so that another in between would show.
                        let before = *number;
                        thread::yield_now();
                        *number = before + 1;
                    }
                });
            }
        });
        assert_eq!(lock.into_inner(), 4000);
    }

    #[test]
    fn a_lock_that_is_held_is_not_given_even_to_its_holder() {
        let lock = Lock::new(());
        let guard = lock.lock();
        assert!(lock.is_locked());
        assert!(lock.try_lock().is_none());
        assert!(lock.lock_timeout(SOON).is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| lock.lock_timeout(LONG).is_some());
            thread::sleep(SOON);
            drop(guard);
            assert!(other.join().unwrap());
        });
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn a_panic_unlocks() {
        let lock = Lock::new(1);
        thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _guard = lock.lock();
                panic!("with the lock held");
            });
            assert!(panicked.join().is_err());
        });
        assert_eq!(lock.lock_timeout(LONG).as_deref(), Some(&1));
    }
}
