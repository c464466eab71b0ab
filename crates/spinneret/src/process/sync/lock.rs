//! One at a time.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::died::{LockResult, OwnerDied, sealed};
use super::until;
use crate::os::{Block, Found, Hold, Kind, Layout, MemoryError, Unfit, travels};

/// A lock that one thread of one process has at a time.
///
/// A holder that dies is reported to the next taker, see [`OwnerDied`]. Taken twice by the same
/// thread it is a deadlock: [`lock_timeout`](Self::lock_timeout) then gives up, and
/// [`RLock`](super::RLock) is made for it. Waiting is in no order.
///
/// Clones and copies in other processes are the same lock. Python's `multiprocessing.Lock`.
///
/// # Examples
/// ```
/// use spinneret::process::sync::Lock;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Lock::new()?;
/// let guard = lock.lock().unwrap_or_else(|died| died.into_inner());
/// assert!(lock.try_lock().is_none());
/// drop(guard);
/// assert!(lock.try_lock().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    block: Arc<Block>,
}

travels!(Lock);

/// Having a [`Lock`], until it is dropped. It stays with its thread:
/// ```compile_fail,E0277
/// let lock = spinneret::process::sync::Lock::new().unwrap();
/// let guard = lock.lock().unwrap();
/// std::thread::scope(|scope| scope.spawn(move || drop(guard)));
/// ```
#[derive(Debug)]
#[must_use = "the lock is released at once if its guard is dropped"]
pub struct LockGuard<'a> {
    hold: Hold<'a>,
}

impl Lock {
    /// A new lock, free.
    pub fn new() -> Result<Self, MemoryError> {
        Ok(Self { block: Arc::new(Block::create(Layout::one::<()>(Kind::Lock), 1, 0)?) })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Ok(Self { block: Arc::new(Block::attach(fd, Layout::one::<()>(Kind::Lock))?) })
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> LockResult<LockGuard<'_>> {
        LockGuard::new(Hold::take(&self.block))
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<LockResult<LockGuard<'_>>> {
        Hold::try_take(&self.block).map(LockGuard::new)
    }

    /// Waits for the lock; `None` if it is not free in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockResult<LockGuard<'_>>> {
        Hold::take_until(&self.block, until(timeout)).map(LockGuard::new)
    }
}

impl<'a> LockGuard<'a> {
    #[inline]
    fn new((hold, found): (Hold<'a>, Found)) -> LockResult<Self> {
        OwnerDied::check(Self { hold }, found)
    }
}

impl sealed::Holds for LockGuard<'_> {
    fn hold(&self) -> &Hold<'_> {
        &self.hold
    }
}

impl sealed::Lends for LockGuard<'_> {}
