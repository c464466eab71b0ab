//! Mutual exclusion between threads that may lock again: `RLock`.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

use super::crowd::{Crowd, end};
use crate::cooperate;

/// A lock that its holder may take again: Python's `threading.RLock`.
///
/// It counts its holds, and is free for others when the last guard of its thread is dropped. Since
/// a thread can have several guards they only lend what is protected; put it into a `Cell` or a
/// `RefCell` to change it.
///
/// ```
/// use std::cell::Cell;
///
/// use spinneret::sync::RLock;
///
/// let number = RLock::new(Cell::new(0));
/// let outer = number.lock();
/// let inner = number.lock();
/// inner.set(outer.get() + 1);
/// assert_eq!((outer.get(), inner.holds()), (1, 2));
/// ```
#[derive(Default)]
pub struct RLock<T = ()> {
    mutex: ReentrantMutex<Counted<T>>,
    crowd: Crowd,
}

#[derive(Default)]
struct Counted<T> {
    /// The guards that exist, all of one thread: only it can read or change the number.
    holds: Cell<usize>,
    value: T,
}

/// What an [`RLock`] protects, until it is dropped.
#[must_use = "the lock is unlocked when its guard is dropped"]
pub struct RLockGuard<'a, T> {
    /// `None` only while it is dropped.
    held: Option<ReentrantMutexGuard<'a, Counted<T>>>,
    crowd: &'a Crowd,
}

impl<T> RLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        let mutex = ReentrantMutex::new(Counted { holds: Cell::new(0), value });
        Self { mutex, crowd: Crowd::new() }
    }

    /// Waits until no other thread holds the lock.
    pub fn lock(&self) -> RLockGuard<'_, T> {
        if cooperate::within() {
            loop {
                if let Some(guard) = self.crowd.wait(None, || self.try_lock()) {
                    return guard;
                }
            }
        }
        RLockGuard::new(self.mutex.lock(), &self.crowd)
    }

    /// Takes the lock if no other thread holds it.
    pub fn try_lock(&self) -> Option<RLockGuard<'_, T>> {
        self.mutex.try_lock().map(|held| RLockGuard::new(held, &self.crowd))
    }

    /// Waits up to this long until no other thread holds the lock.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<RLockGuard<'_, T>> {
        if cooperate::within() {
            return self.crowd.wait(end(timeout), || self.try_lock());
        }
        self.mutex.try_lock_for(timeout).map(|held| RLockGuard::new(held, &self.crowd))
    }

    /// Whether some thread holds it, at this moment.
    pub fn is_locked(&self) -> bool {
        self.mutex.is_locked()
    }

    /// What it protects; nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.mutex.get_mut().value
    }

    /// What it protected.
    pub fn into_inner(self) -> T {
        self.mutex.into_inner().value
    }
}

impl<'a, T> RLockGuard<'a, T> {
    fn new(held: ReentrantMutexGuard<'a, Counted<T>>, crowd: &'a Crowd) -> Self {
        held.holds.set(held.holds.get() + 1);
        Self { held: Some(held), crowd }
    }

    fn held(&self) -> &Counted<T> {
        self.held.as_ref().expect("it is there until the guard is dropped")
    }

    /// How often the thread holds the lock.
    pub fn holds(&self) -> usize {
        self.held().holds.get()
    }
}

impl<T> Drop for RLockGuard<'_, T> {
    fn drop(&mut self) {
        let holds = &self.held().holds;
        holds.set(holds.get() - 1);
        self.held = None;
        self.crowd.left();
    }
}

impl<T> Deref for RLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held().value
    }
}

impl<T: fmt::Debug> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RLock");
        match self.try_lock() {
            Some(value) => lock.field("value", &*value).finish(),
            None => lock.finish_non_exhaustive(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
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
    fn an_rlock_counts_its_holds_and_is_free_after_the_last() {
        let lock = RLock::new(Cell::new(0));
        let elsewhere =
            || thread::scope(|scope| scope.spawn(|| lock.try_lock().is_some()).join().unwrap());
        let first = lock.lock();
        let second = lock.try_lock().unwrap();
        let third = lock.lock_timeout(SOON).unwrap();
        assert_eq!(third.holds(), 3);
        third.set(5);
        // The order of the drops is free.
        drop(first);
        drop(third);
        assert_eq!((second.holds(), second.get()), (1, 5));
        assert!(!elsewhere());
        drop(second);
        assert!(!lock.is_locked());
        assert!(elsewhere());
    }

    #[test]
    fn an_rlock_keeps_other_threads_out() {
        let lock = RLock::new(Cell::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let outer = lock.lock();
                        let before = outer.get();
                        thread::yield_now();
                        lock.lock().set(before + 1);
                    }
                });
            }
        });
        assert_eq!(lock.into_inner().get(), 4000);
    }

    #[test]
    fn another_thread_gives_up_in_time() {
        let lock = RLock::new(());
        let _guard = lock.lock();
        thread::scope(|scope| {
            let other = scope.spawn(|| lock.lock_timeout(SOON).is_none());
            assert!(other.join().unwrap());
        });
    }

    #[test]
    fn a_panic_gives_all_holds_back() {
        let lock = RLock::new(2);
        thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _guards = (lock.lock(), lock.lock());
                panic!("with the lock held twice");
            });
            assert!(panicked.join().is_err());
        });
        let guard = lock.lock_timeout(LONG).unwrap();
        assert_eq!((*guard, guard.holds()), (2, 1));
    }
}
