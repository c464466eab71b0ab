//! One plain value under a lock.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytemuck::Pod;

use crate::os::{Block, Found, Hold, Kind, Layout, MemoryError, Unfit, travels};
use crate::process::sync::{LockResult, OwnerDied, sealed, until};

/// A plain value that processes share, with a lock.
///
/// Clones and copies in other processes are the same value. Python's `multiprocessing.Value`.
///
/// The lock is as [`Lock`](crate::process::sync::Lock): taken twice by one thread it is a deadlock,
/// which [`lock_timeout`](Self::lock_timeout) ends. That goes for [`get`](Self::get) and
/// [`set`](Self::set) under a guard too.
///
/// # Examples
/// ```
/// use spinneret::shared::Value;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let value = Value::new(1_i64)?;
/// *value.lock().unwrap() += 1;
/// assert_eq!(value.get().unwrap(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Value<T: Pod> {
    block: Arc<Block>,
    /// As fit for threads as that.
    like: PhantomData<Mutex<T>>,
}

travels!(Value<T: Pod>);

/// Having the lock of a [`Value`], and so the value, until it is dropped. It stays with its thread.
#[must_use = "the lock is released at once if its guard is dropped"]
pub struct ValueGuard<'a, T: Pod> {
    hold: Hold<'a>,
    like: PhantomData<MutexGuard<'a, T>>,
}

impl<T: Pod> Value<T> {
    /// A new value.
    pub fn new(initial: T) -> Result<Self, MemoryError> {
        let value = Self::over(Block::create(Layout::one::<T>(Kind::Value), 1, 0)?);
        // SAFETY: it has the size and alignment of a `T`, and nobody else has it yet.
        unsafe { value.block.payload().cast::<T>().write(initial) };
        Ok(value)
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Block::attach(fd, Layout::one::<T>(Kind::Value)).map(Self::over)
    }

    fn over(block: Block) -> Self {
        Self { block: Arc::new(block), like: PhantomData }
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> LockResult<ValueGuard<'_, T>> {
        ValueGuard::new(Hold::take(&self.block))
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<LockResult<ValueGuard<'_, T>>> {
        Hold::try_take(&self.block).map(ValueGuard::new)
    }

    /// Waits for the lock; `None` if it is not free in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockResult<ValueGuard<'_, T>>> {
        Hold::take_until(&self.block, until(timeout)).map(ValueGuard::new)
    }

    /// What the value is. If a process died while it had the lock, the value as it left it is in the
    /// error's guard.
    pub fn get(&self) -> Result<T, OwnerDied<ValueGuard<'_, T>>> {
        self.lock().map(|value| *value)
    }

    /// Replaces the value, and with it whatever a dead process left.
    pub fn set(&self, value: T) {
        *self.lock().unwrap_or_else(OwnerDied::into_inner) = value;
    }
}

impl<T: Pod> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), like: PhantomData }
    }
}

impl<T: Pod> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

impl<'a, T: Pod> ValueGuard<'a, T> {
    #[inline]
    fn new((hold, found): (Hold<'a>, Found)) -> LockResult<Self> {
        OwnerDied::check(Self { hold, like: PhantomData }, found)
    }
}

impl<T: Pod> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it has the size and alignment of a `T`, for which any bytes will do, and is ours
        // while we have the lock.
        unsafe { &*self.hold.block().payload().cast::<T>() }
    }
}

impl<T: Pod> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the lock is taken once at a time.
        unsafe { &mut *self.hold.block().payload().cast::<T>() }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Pod> sealed::Holds for ValueGuard<'_, T> {
    fn hold(&self) -> &Hold<'_> {
        &self.hold
    }
}

impl<T: Pod> sealed::Lends for ValueGuard<'_, T> {}
