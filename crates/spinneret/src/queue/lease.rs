//! Items that are held, and how to let go of them.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::{Shared, Waiting};

/// An item that its holder works on. Finish it with [`done`](Self::done); dropped unfinished, also
/// by a panic, it goes back to the queue's head.
#[must_use = "a lease that is dropped gives its item back"]
pub struct Lease<T> {
    queue: Arc<Shared<T>>,
    /// `None` once it is finished.
    item: Option<Waiting<T>>,
}

impl<T> Lease<T> {
    pub(super) fn new(queue: Arc<Shared<T>>, mut item: Waiting<T>) -> Self {
        item.deliveries = item.deliveries.saturating_add(1);
        Self { queue, item: Some(item) }
    }

    /// How often the item was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.waiting().deliveries
    }

    /// Finishes the item and hands it over.
    pub fn done(mut self) -> T {
        let Some(Waiting { item, .. }) = self.item.take() else { unreachable!("{HELD}") };
        self.queue.settle(None);
        item
    }

    /// Gives the item back to the queue's head, as dropping the lease does.
    pub fn release(self) {
        drop(self);
    }

    fn waiting(&self) -> &Waiting<T> {
        let Some(item) = &self.item else { unreachable!("{HELD}") };
        item
    }
}

/// Only `done` and `drop` take the item, and both take the lease itself.
const HELD: &str = "a lease has its item until it ends";

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.waiting().item
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        let Some(Waiting { item, .. }) = &mut self.item else { unreachable!("{HELD}") };
        item
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            self.queue.settle(Some(item));
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("item", &**self)
            .field("deliveries", &self.deliveries())
            .finish_non_exhaustive()
    }
}
