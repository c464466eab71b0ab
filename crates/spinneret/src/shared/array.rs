//! Plain values in a row under one lock.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytemuck::Pod;

use crate::os::{Block, Found, Hold, Kind, Layout, MemoryError, Unfit, travels};
use crate::process::sync::{LockResult, OwnerDied, sealed, until};

/// An array of plain values that processes share, with one lock. Its length is fixed.
///
/// Clones and copies in other processes are the same array. Python's `multiprocessing.Array`. The
/// lock is as that of a [`Value`](super::Value).
///
/// # Examples
/// ```
/// use spinneret::shared::Array;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let array = Array::new(3, 0_u8)?;
/// array.lock().unwrap()[1] = 7;
/// assert_eq!(array.to_vec().unwrap(), [0, 7, 0]);
/// # Ok(())
/// # }
/// ```
pub struct Array<T: Pod> {
    block: Arc<Block>,
    /// As fit for threads as that.
    like: PhantomData<Mutex<T>>,
}

travels!(Array<T: Pod>);

/// Having the lock of an [`Array`], and so its elements, until it is dropped. It stays with its
/// thread.
#[must_use = "the lock is released at once if its guard is dropped"]
pub struct ArrayGuard<'a, T: Pod> {
    hold: Hold<'a>,
    like: PhantomData<MutexGuard<'a, T>>,
}

impl<T: Pod> Array<T> {
    /// A new array of `len` elements that are all `initial`.
    pub fn new(len: usize, initial: T) -> Result<Self, MemoryError> {
        let array = Self::zeroed(len)?;
        // SAFETY: nobody else has it yet.
        unsafe { array.elements() }.fill(initial);
        Ok(array)
    }

    /// A new array that is a copy of `elements`.
    pub fn from_slice(elements: &[T]) -> Result<Self, MemoryError> {
        let array = Self::zeroed(elements.len())?;
        // SAFETY: nobody else has it yet.
        unsafe { array.elements() }.copy_from_slice(elements);
        Ok(array)
    }

    fn zeroed(len: usize) -> Result<Self, MemoryError> {
        Block::create(Layout::many::<T>(Kind::Array), len, 0).map(Self::over)
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Block::attach(fd, Layout::many::<T>(Kind::Array)).map(Self::over)
    }

    fn over(block: Block) -> Self {
        Self { block: Arc::new(block), like: PhantomData }
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    /// # Safety
    /// Nobody else has the array yet.
    #[allow(clippy::mut_from_ref, reason = "the caller vouches for it")]
    unsafe fn elements(&self) -> &mut [T] {
        let start = self.block.payload().cast();
        // SAFETY: so many fit, they are aligned, and any bytes will do.
        unsafe { slice::from_raw_parts_mut(start, self.len()) }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> LockResult<ArrayGuard<'_, T>> {
        ArrayGuard::new(Hold::take(&self.block))
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock(&self) -> Option<LockResult<ArrayGuard<'_, T>>> {
        Hold::try_take(&self.block).map(ArrayGuard::new)
    }

    /// Waits for the lock; `None` if it is not free in time.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<LockResult<ArrayGuard<'_, T>>> {
        Hold::take_until(&self.block, until(timeout)).map(ArrayGuard::new)
    }

    /// A copy of the elements. If a process died while it had the lock, the array as it left it is
    /// in the error's guard.
    pub fn to_vec(&self) -> Result<Vec<T>, OwnerDied<ArrayGuard<'_, T>>> {
        self.lock().map(|array| array.to_vec())
    }
}

impl<T: Pod> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), like: PhantomData }
    }
}

impl<T: Pod> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<'a, T: Pod> ArrayGuard<'a, T> {
    #[inline]
    fn new((hold, found): (Hold<'a>, Found)) -> LockResult<Self> {
        OwnerDied::check(Self { hold, like: PhantomData }, found)
    }
}

impl<T: Pod> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let block = self.hold.block();
        // SAFETY: so many fit, they are aligned, any bytes will do, and they are ours while we have
        // the lock.
        unsafe { slice::from_raw_parts(block.payload().cast(), block.len()) }
    }
}

impl<T: Pod> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let block = self.hold.block();
        // SAFETY: as in `deref`; the lock is taken once at a time.
        unsafe { slice::from_raw_parts_mut(block.payload().cast(), block.len()) }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Pod> sealed::Holds for ArrayGuard<'_, T> {
    fn hold(&self) -> &Hold<'_> {
        &self.hold
    }
}

impl<T: Pod> sealed::Lends for ArrayGuard<'_, T> {}
