//! Items, and what is said about them.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::PutOptions;

/// Who holds a lease: one connection, or one handle within the manager's process.
pub(crate) type Owner = u64;

/// What an item in a batch is counted for beyond its payload, in bytes: more than goes with it.
pub(crate) const ITEM_HEAD: usize = 24;

/// An item's number: its priority in the top byte and its place in the sequence of puts below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ItemId(pub u64);

impl ItemId {
    /// Bits of the sequence: enough for a million puts a second for two thousand years.
    const SEQUENCE: u32 = 56;

    pub fn new(priority: i8, sequence: u64) -> Self {
        Self(u64::from(priority.cast_unsigned()) << Self::SEQUENCE | sequence)
    }

    pub fn priority(self) -> i8 {
        ((self.0 >> Self::SEQUENCE) as u8).cast_signed()
    }

    pub fn sequence(self) -> u64 {
        self.0 & ((1 << Self::SEQUENCE) - 1)
    }
}

/// An item on its way to whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The lease under which it is held.
    pub lease: u64,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
    pub payload: Bytes,
}

/// An item that nobody will be given any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub id: u64,
    pub deliveries: u32,
    pub reason: Arc<str>,
    pub payload: Bytes,
}

/// A queued item that somebody looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub priority: i8,
    pub deliveries: u32,
    /// How long nobody may take it yet.
    pub delay: Duration,
    pub payload: Bytes,
}

/// What its holder says about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// The item is done with.
    Done,
    /// The item is the holder's for good, but `join` waits for a [`task_done`](super::Store::task_done): Python's
    /// `get()`.
    Taken,
    /// The item was not tried: back to the head, and this delivery does not count for its limit.
    Release,
    /// The item was tried in vain: back to the head, perhaps after a pause, unless it has used up
    /// its deliveries.
    Return { reason: Arc<str> },
    /// The item is hopeless: to the dead letters.
    Fail { reason: Arc<str> },
    /// The holder needs this long from now.
    Extend { hold: Duration },
}

/// Items to be put, first one first.
#[derive(Debug)]
pub(crate) enum Batch {
    Plain(VecDeque<Bytes>),
    Special(VecDeque<(Bytes, PutOptions)>),
}

impl Batch {
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(items) => items.len(),
            Self::Special(items) => items.len(),
        }
    }

    /// The first item's key, if it has one.
    pub(super) fn key(&self) -> Option<&Bytes> {
        match self {
            Self::Plain(_) => None,
            Self::Special(items) => Some(&items.front()?.1.dedupe.as_ref()?.key),
        }
    }

    pub(super) fn pop(&mut self) -> Option<(Bytes, PutOptions)> {
        match self {
            Self::Plain(items) => Some((items.pop_front()?, PutOptions::default())),
            Self::Special(items) => items.pop_front(),
        }
    }
}

/// What became of an offer of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    Full,
    Closed,
}

/// Items that an offer took in. Those of a durable queue are nobody's until they are written.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// How many of the batch are dealt with, duplicates included.
    pub accepted: usize,
    pub duplicates: usize,
    /// The times are those before which nobody may take the item.
    pub(super) items: Vec<(Item, Option<Instant>)>,
    /// Keys that came with the items.
    pub(super) claimed: Vec<Bytes>,
    /// Keys because of which others were dropped.
    pub(super) relied: Vec<Bytes>,
}

/// How many items somebody asks for, and how long to hold them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub max: usize,
    /// No more bytes than this beyond the first item.
    pub max_bytes: usize,
    /// `None` for as long as the owner is there.
    pub hold: Option<Duration>,
}

/// What there is for somebody who asks for items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Items(Vec<Delivery>),
    Empty,
    Closed,
}

/// What became of leases that were settled.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Those that were not held (any more).
    pub lost: Vec<u64>,
    /// Items of a durable queue that are gone once this is written.
    pub(super) ending: Vec<Item>,
    /// Whether they are then to be waited for.
    pub(super) taken: bool,
    /// How many of those were reported done ahead.
    pub(super) ahead: u64,
}

/// An item. Millions of them may wait, so nothing here that is not needed for each.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub payload: Bytes,
    pub id: ItemId,
    pub deliveries: u32,
    /// Deliveries that ended with a release and do not count for the limit.
    pub released: u32,
}

impl Item {
    /// How many deliveries count for the limit.
    pub(super) fn tries(&self) -> u32 {
        self.deliveries.saturating_sub(self.released)
    }
}

/// A dead letter.
#[derive(Debug)]
pub(crate) struct Buried {
    pub number: u64,
    pub item: Item,
    pub reason: Arc<str>,
}

/// What is known of a durable queue when its manager starts.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// In the line's order, with the times before which nobody may take them.
    pub items: Vec<(Item, Option<Instant>)>,
    /// By number.
    pub dead: Vec<Buried>,
    pub keys: Vec<(Bytes, Instant)>,
    pub taken: u64,
    pub closed: bool,
}
