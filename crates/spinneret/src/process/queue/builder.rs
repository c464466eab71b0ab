//! How a queue is set up.

use std::fmt;
use std::marker::PhantomData;

use super::backend::Core;
use super::error::QueueError;
use super::face::Queue;
use super::terms::Options;

/// Sets up a [`Queue`].
#[must_use = "a builder does nothing until build()"]
pub struct Builder<T> {
    options: Options,
    item: PhantomData<fn(T) -> T>,
}

impl<T> Builder<T> {
    pub(super) fn new() -> Self {
        let options = Options {
            memory: 1 << 20,
            max_items: usize::MAX,
            slots: 1024,
            #[cfg(shared_memory)]
            slot_bytes: 256,
            large_bytes: 1 << 30,
        };
        Self { options, item: PhantomData }
    }

    /// The most items that wait in the queue at once; as many as the memory holds by default.
    pub fn max_items(mut self, items: usize) -> Self {
        self.options.max_items = items;
        self
    }

    /// How many bytes of memory are set aside for waiting messages: 1 MiB by default, 64 KiB to
    /// 1 GiB, rounded up to a power of two. A message longer than an eighth of it, or than 64 KiB,
    /// gets memory of its own instead.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.options.memory = bytes;
        self
    }

    /// The most bytes that large messages take at once; 1 GiB by default. One that is larger is put
    /// when there is no other.
    pub fn large_memory(mut self, bytes: u64) -> Self {
        self.options.large_bytes = bytes;
        self
    }

    /// How many leases there can be at once, 1024 by default. Who asks for more waits.
    pub fn max_leases(mut self, leases: usize) -> Self {
        self.options.slots = leases;
        self
    }

    /// Makes the queue.
    ///
    /// # Errors
    /// If the system refuses the memory.
    pub fn build(self) -> Result<Queue<T>, QueueError> {
        Ok(Queue::of(Core::with(&self.options)?))
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Builder").field(&self.options).finish()
    }
}
