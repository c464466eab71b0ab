//! An item that was taken on lease.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::backend::Core;
use super::batch::Batch;
use super::error::{GetError, LeaseLost};
use super::face::decode;

/// An item that goes back to its queue unless its work is [`done`](Self::done): when the lease is
/// dropped, or when its process ends by whatever cause.
pub struct Lease<T> {
    item: T,
    ticket: Ticket,
    deliveries: u32,
}

/// The right to a slot; gives the message back when dropped.
struct Ticket {
    core: Arc<Core>,
    owner: u32,
    slot: u32,
    /// The process that has the lease: a fork of it does not.
    process: u32,
    over: bool,
}

impl<T> Lease<T> {
    /// The lease of the one message in `batch`. One that cannot be read would come back for ever,
    /// so it is taken for good and goes into the error.
    pub(super) fn new(core: Arc<Core>, owner: u32, batch: &Batch) -> Result<Self, GetError>
    where
        T: DeserializeOwned,
    {
        let item = batch.items[0];
        let process = std::process::id();
        let ticket = Ticket { core, owner, slot: item.slot, process, over: false };
        match decode(batch.get(0)) {
            Ok(value) => Ok(Self { item: value, ticket, deliveries: item.deliveries + 1 }),
            Err(error) => {
                // Ours since a moment ago, so it cannot be lost.
                let _ = ticket.acknowledge();
                Err(error)
            }
        }
    }

    /// How often the item was delivered to somebody who died with it, this time included: 1 if nobody
    /// did. (Who gives it back is not counted.)
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// The work is done: the item leaves the queue for good, and counts for
    /// [`join`](super::Queue::join). Returns it.
    ///
    /// # Errors
    /// If the lease was lost, or is that of the process that this one was forked from.
    pub fn done(self) -> Result<T, LeaseLost> {
        let Self { item, ticket, .. } = self;
        if ticket.acknowledge() { Ok(item) } else { Err(LeaseLost) }
    }

    /// Gives the item back, for others or for later; dropping the lease does the same.
    pub fn release(self) {
        drop(self);
    }
}

impl Ticket {
    fn acknowledge(mut self) -> bool {
        self.over = true;
        self.process == std::process::id() && self.core.acknowledge(self.slot, self.owner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.over && self.process == std::process::id() {
            // If it was lost, somebody else sees to it.
            self.core.release(self.slot, self.owner);
        }
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("item", &self.item)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}
