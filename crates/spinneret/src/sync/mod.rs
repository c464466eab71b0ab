//! Locks and signals between the threads of a process, its coroutines and its async tasks, in Python's
//! words and with Rust's guards.
//!
//! | type | waits for |
//! | --- | --- |
//! | [`Lock`] | nobody else to hold it |
//! | [`RLock`] | no other *thread* to hold it: its holder may lock again |
//! | [`Semaphore`], [`BoundedSemaphore`] | one of a number of permits |
//! | [`Event`] | somebody to set it |
//! | [`Condition`] | what it protects to become as it should be |
//! | [`Barrier`] | so many threads to arrive |
//!
//! What was locked is unlocked when its guard is dropped, also by a panic: nothing is poisoned.
//! Waiting with a time limit takes a `Duration`; one that is too long to be a time is none. No
//! order among those who wait is promised. In a coroutine waiting suspends that alone, and for async
//! tasks there are the methods whose names end in `_async`; but a guard is its thread's, so it cannot be
//! kept across an `.await` of a task that may move, and an [`RLock`] knows threads and coroutines only. All but [`Barrier`] can be `static`.

mod barrier;
mod condition;
mod crowd;
mod event;
mod lock;
mod rlock;
mod semaphore;

pub use self::barrier::{Barrier, BarrierError};
pub use self::condition::{Condition, ConditionGuard};
pub use self::event::Event;
pub use self::lock::{Lock, LockGuard};
pub use self::rlock::{RLock, RLockGuard};
pub use self::semaphore::{BoundedSemaphore, OverRelease, Permit, Semaphore};

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    static LOCK: Lock<u32> = Lock::new(1);
    static RLOCK: RLock<Cell<u32>> = RLock::new(Cell::new(2));
    static SEMAPHORE: Semaphore = Semaphore::new(3);
    static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(4);
    static EVENT: Event = Event::new();
    static CONDITION: Condition<u32> = Condition::new(5);

    #[test]
    fn locks_can_be_static() {
        assert_eq!((*LOCK.lock(), RLOCK.lock().get(), *CONDITION.lock()), (1, 2, 5));
        assert_eq!((SEMAPHORE.available(), BOUNDED.available()), (3, 4));
        assert!(!EVENT.is_set());
    }
}
