//! Locks, semaphores, events, conditions and barriers between processes.
//!
//! Each lies in shared memory of its own (a memfd). It is made in one process and sent to others
//! inside the arguments of a task or in messages; clones and copies are the same object. It takes a
//! file descriptor or two in every process that has it.
//!
//! # When a process dies
//! Whatever kills a process, even SIGKILL in the middle of a call, the others go on:
//! - A **lock** whose holder died passes to the next taker, with the news: [`OwnerDied`].
//! - A **semaphore** gets back the permits of the dead.
//! - **Events**, **conditions** and **barriers** are words that change in one step: there is nothing
//!   to leave half done. A barrier that misses a party can be timed out, see [`Barrier`].
//! - Who **waits** relies on no wake-up: one that was lost with the dead costs 50 ms at most.
//!
//! Processes that share an object trust each other, as threads do: what is received is checked, but
//! one that writes into the memory by other means than these can harm all.
//!
//! Linux only. For threads alone, locks of the standard library cost less.

mod barrier;
mod condition;
mod died;
mod event;
mod lock;
mod rlock;
mod semaphore;

use std::time::{Duration, Instant};

pub use self::barrier::{Barrier, BarrierError};
pub use self::condition::Condition;
pub(crate) use self::died::sealed;
pub use self::died::{Exclusive, Guard, LockResult, OwnerDied};
pub use self::event::Event;
pub use self::lock::{Lock, LockGuard};
pub use self::rlock::{RLock, RLockGuard};
pub use self::semaphore::{BoundedSemaphore, Permit, Semaphore, TooManyPermits};
pub use crate::os::MemoryError;

/// When a timeout ends; `None` if it is longer than time goes.
pub(crate) fn until(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
