//! Numbers without a lock.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicIsize, AtomicU32, AtomicU64, AtomicUsize};

use bytemuck::Pod;

use crate::os::{Block, Kind, Layout, MemoryError, Unfit, travels};

/// A number that the machine changes in one step: `u32`, `i32`, `u64`, `i64`, `usize`, `isize`. (A
/// flag between processes is an [`Event`](crate::process::sync::Event).)
pub trait Word: Pod + Send + Sync + sealed::Sealed {
    /// The standard library's atomic for it.
    type Atomic: fmt::Debug + Send + Sync;
}

mod sealed {
    /// # Safety
    /// `Word::Atomic` has the type's size and no rules for its bytes.
    pub unsafe trait Sealed {}
}

macro_rules! words {
    ($($word:ty => $atomic:ty),* $(,)?) => {$(
        // SAFETY: the standard library says so of its atomics of numbers.
        unsafe impl sealed::Sealed for $word {}

        impl Word for $word {
            type Atomic = $atomic;
        }
    )*};
}

words! {
    u32 => AtomicU32, i32 => AtomicI32, u64 => AtomicU64, i64 => AtomicI64,
    usize => AtomicUsize, isize => AtomicIsize,
}

/// A number that processes share without a lock: `Atomic<u64>` is used as an
/// [`AtomicU64`](std::sync::atomic::AtomicU64).
///
/// No death can leave it half changed. Clones and copies in other processes are the same number.
/// Python's `multiprocessing.RawValue`, made safe.
///
/// # Examples
/// ```
/// use std::sync::atomic::Ordering;
///
/// use spinneret::shared::Atomic;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pages = Atomic::new(0_u64)?;
/// pages.fetch_add(2, Ordering::Relaxed);
/// assert_eq!(pages.load(Ordering::Relaxed), 2);
/// # Ok(())
/// # }
/// ```
pub struct Atomic<T: Word> {
    block: Arc<Block>,
    like: PhantomData<T>,
}

travels!(Atomic<T: Word>);

/// Numbers in a row that processes share without a lock: an `AtomicArray<u64>` is used as a slice of
/// [`AtomicU64`](std::sync::atomic::AtomicU64)s.
///
/// Clones and copies in other processes are the same array. Python's `multiprocessing.RawArray`,
/// made safe.
///
/// # Examples
/// ```
/// use std::sync::atomic::Ordering;
///
/// use spinneret::shared::AtomicArray;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counts = AtomicArray::new(3, 1_u32)?;
/// counts[1].fetch_add(4, Ordering::Relaxed);
/// assert_eq!(counts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u32>(), 7);
/// # Ok(())
/// # }
/// ```
pub struct AtomicArray<T: Word> {
    block: Arc<Block>,
    like: PhantomData<T>,
}

travels!(AtomicArray<T: Word>);

impl<T: Word> Atomic<T> {
    /// A new number.
    pub fn new(initial: T) -> Result<Self, MemoryError> {
        let atomic = Self::over(Block::create(Layout::one::<T>(Kind::Atomic), 1, 0)?);
        // SAFETY: it has the size and alignment of a `T`, and nobody else has it yet.
        unsafe { atomic.block.payload().cast::<T>().write(initial) };
        Ok(atomic)
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Block::attach(fd, Layout::one::<T>(Kind::Atomic)).map(Self::over)
    }

    fn over(block: Block) -> Self {
        Self { block: Arc::new(block), like: PhantomData }
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }
}

impl<T: Word> AtomicArray<T> {
    /// A new array of `len` numbers that are all `initial`.
    pub fn new(len: usize, initial: T) -> Result<Self, MemoryError> {
        let array = Self::over(Block::create(Layout::many::<T>(Kind::AtomicArray), len, 0)?);
        let start = array.block.payload().cast::<T>();
        // SAFETY: so many fit, they are aligned, and nobody else has them yet.
        unsafe { slice::from_raw_parts_mut(start, len) }.fill(initial);
        Ok(array)
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Block::attach(fd, Layout::many::<T>(Kind::AtomicArray)).map(Self::over)
    }

    fn over(block: Block) -> Self {
        Self { block: Arc::new(block), like: PhantomData }
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }
}

/// How far payloads are aligned at least, and so any atomic: on some machines atomics are aligned
/// to more than their numbers.
const _: () = assert!(align_of::<AtomicU64>() <= 64 && align_of::<AtomicI64>() <= 64);

impl<T: Word> Deref for Atomic<T> {
    type Target = T::Atomic;

    fn deref(&self) -> &T::Atomic {
        // SAFETY: it has the size of a `T` and so of its atomic, for which any bytes will do.
        unsafe { &*self.block.payload().cast() }
    }
}

impl<T: Word> Deref for AtomicArray<T> {
    type Target = [T::Atomic];

    fn deref(&self) -> &[T::Atomic] {
        // SAFETY: so many fit; each has the size of its number, and any bytes will do.
        unsafe { slice::from_raw_parts(self.block.payload().cast(), self.block.len()) }
    }
}

impl<T: Word> Clone for Atomic<T> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), like: PhantomData }
    }
}

impl<T: Word> Clone for AtomicArray<T> {
    fn clone(&self) -> Self {
        Self { block: Arc::clone(&self.block), like: PhantomData }
    }
}

impl<T: Word> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Word> fmt::Debug for AtomicArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
