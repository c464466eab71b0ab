//! Having the lock of an object in shared memory.

use std::marker::PhantomData;
use std::sync::MutexGuard;
use std::time::Instant;

use super::{Block, Found};

/// The lock of a [`Block`], given back on drop. It stays with the thread that took it.
#[derive(Debug)]
pub struct Hold<'a> {
    block: &'a Block,
    /// As little to be sent to another thread as that.
    like: PhantomData<MutexGuard<'a, ()>>,
}

impl<'a> Hold<'a> {
    fn new((block, found): (&'a Block, Found)) -> (Self, Found) {
        (Self { block, like: PhantomData }, found)
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn take(block: &'a Block) -> (Self, Found) {
        Self::new((block, block.lock_for_good()))
    }

    /// Waits for the lock until the deadline.
    #[inline]
    pub(crate) fn take_until(block: &'a Block, deadline: Option<Instant>) -> Option<(Self, Found)> {
        block.lock(deadline).map(|found| Self::new((block, found)))
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_take(block: &'a Block) -> Option<(Self, Found)> {
        block.try_lock().map(|found| Self::new((block, found)))
    }

    pub(crate) fn block(&self) -> &'a Block {
        self.block
    }

    /// Declares what the lock protects to be in order.
    pub(crate) fn vouch(&self) {
        self.block.vouch();
    }

    /// Is without the lock while `pause`, which does not panic, runs; has it again afterwards.
    /// The caller has the guard to itself, so nobody uses what the lock protects meanwhile.
    pub(crate) fn release_during(&self, pause: impl FnOnce()) -> Found {
        // SAFETY: this thread has the lock, since a hold cannot leave it.
        unsafe { self.block.unlock() };
        pause();
        self.block.lock_for_good()
    }
}

impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this thread has the lock, since a hold cannot leave it.
        unsafe { self.block.unlock() };
    }
}
