//! What has to be written down so that a queue can be built again.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

use super::ItemId;

/// One change of a durable queue's state. One that is about an item which is not there any more
/// changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An item came in, at the end of the line.
    Put { item: ItemId, due: Option<Instant>, payload: Bytes },
    /// How often an item was delivered, and from when on it may be again.
    Tries { item: ItemId, deliveries: u32, released: u32, due: Option<Instant> },
    /// Items are done with, or somebody's for good.
    Gone(Vec<ItemId>),
    /// An item became a dead letter of this number.
    Bury { item: ItemId, number: u64, deliveries: u32, reason: Arc<str> },
    /// Dead letters were removed.
    DropDead(Vec<ItemId>),
    /// Dead letters went to the end of the line, each at this place of the sequence of puts.
    Requeue(Vec<(ItemId, u64)>),
    /// So many more items, or fewer, are taken and not done.
    Taken(i64),
    /// A dedupe key is in use until this time.
    Key { key: Bytes, until: Instant },
    /// The queue takes no more items.
    Close,
}
