//! One at a time, as often as it likes.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::died::{LockResult, OwnerDied, sealed};
use super::until;
use crate::os::{Block, Found, Hold, Kind, Layout, MemoryError, Unfit, travels};

/// A lock that the thread which has it may take again; the last of its guards releases it.
///
/// A holder that dies is reported to the next taker, see [`OwnerDied`]. Clones and copies in other
/// processes are the same lock. Python's `multiprocessing.RLock`.
///
/// # Examples
/// ```
/// use spinneret::process::sync::RLock;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = RLock::new()?;
/// let outer = lock.lock().unwrap_or_else(|died| died.into_inner());
/// let inner = lock.lock().unwrap_or_else(|died| died.into_inner());
/// drop(outer);
/// // The lock is still taken.
/// assert!(std::thread::scope(|scope| scope.spawn(|| lock.try_lock().is_none()).join()).unwrap());
/// drop(inner);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RLock {
    block: Arc<Block>,
}

travels!(RLock);

/// Having an [`RLock`], until it is dropped. It stays with its thread.
#[derive(Debug)]
#[must_use = "the lock is released at once if its guard is dropped"]
pub struct RLockGuard<'a> {
    hold: Hold<'a>,
}

impl RLock {
    /// A new lock, free.
    pub fn new() -> Result<Self, MemoryError> {
        Ok(Self { block: Arc::new(Block::create(Layout::one::<()>(Kind::RLock), 1, 0)?) })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Ok(Self { block: Arc::new(Block::attach(fd, Layout::one::<()>(Kind::RLock))?) })
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    /// Waits for the lock, if not this thread has it.
    #[inline]
    pub fn lock(&self) -> LockResult<RLockGuard<'_>> {
        RLockGuard::new(Hold::take(&self.block))
    }

    /// Takes the lock if it is free or this thread's.
    #[inline]
    pub fn try_lock(&self) -> Option<LockResult<RLockGuard<'_>>> {
        Hold::try_take(&self.block).map(RLockGuard::new)
    }

    /// Waits for the lock, if not this thread has it; `None` if it is not free in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockResult<RLockGuard<'_>>> {
        Hold::take_until(&self.block, until(timeout)).map(RLockGuard::new)
    }
}

impl<'a> RLockGuard<'a> {
    #[inline]
    fn new((hold, found): (Hold<'a>, Found)) -> LockResult<Self> {
        OwnerDied::check(Self { hold }, found)
    }
}

impl sealed::Holds for RLockGuard<'_> {
    fn hold(&self) -> &Hold<'_> {
        &self.hold
    }
}
