//! What travels between our own peers: requests, replies and how they are written.
//!
//! A frame is a 4-byte big-endian length and that many bytes. A request is its number (u64), an
//! operation (u8) and its fields; a reply is the request's number, a status (u8) and its fields.
//! All numbers are big-endian, names have a 2-byte length, texts and items a 4-byte one, and times
//! are microseconds. Request number 0 asks for no reply.
//!
//! The handle within the manager's process makes the same requests without writing them.

mod cluster;
mod decode;
mod encode;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    error::ManagerError,
    store::{Dead, Delivery, PutOptions, QueueOptions, QueueStats, Settle, Waiting},
};

pub(crate) use cluster::*;
pub(crate) use decode::{Malformed, read_reply, read_request};
pub(crate) use encode::Frame;

/// The protocol's version; the two ends must agree.
pub(crate) const VERSION: u16 = 2;
/// What a connection's first frame starts with. No pickle does: `\0` is no pickle opcode.
pub(crate) const MAGIC: &[u8] = b"\0spinneret";
/// The longest frame unless the manager says otherwise, in bytes.
pub(crate) const DEFAULT_MAX_FRAME: usize = 256 << 20;
/// The smallest limit that leaves room for one item and everything around it.
pub(crate) const SMALLEST_MAX_FRAME: usize = 16 << 10;
/// What may surround an item in a frame, in bytes: heads, names and reasons.
pub(crate) const FRAME_OVERHEAD: usize = 2 << 10;
/// A reply that carries several items is cut at about this many bytes.
pub(crate) const BATCH_BYTES: usize = 4 << 20;
/// The most items in one put. In memory each takes many times the few bytes that an empty one has in
/// a frame, so that the frame's length alone does not say what a put costs.
pub(crate) const MOST_PUT_ITEMS: usize = 1 << 16;
/// The longest reason that is kept with a dead letter, in bytes.
pub(crate) const LONGEST_REASON: usize = 1 << 10;
/// The longest name of a queue, value or peer, in bytes.
const LONGEST_NAME: usize = 255;

/// The name of a queue or value; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(Arc<str>);

impl Name {
    /// A name that may be registered.
    pub fn new(name: &str) -> Result<Self, ManagerError> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(ManagerError::BadName { name: clip(name, 64).into() });
        }
        Ok(Self(name.into()))
    }

    /// A name to look up. One that is too long is cut to a length that none can be registered
    /// with, so that it stays unknown.
    pub fn sought(name: &str) -> Self {
        Self(clip(name, LONGEST_NAME + 4).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The longest start of a text that has at most `most` bytes.
pub(crate) fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// How long a request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

impl Wait {
    /// When the wait ends, if ever.
    pub fn until(self, now: Instant) -> Option<Instant> {
        match self {
            Self::No => Some(now),
            Self::For(time) => now.checked_add(time),
            Self::Forever => None,
        }
    }
}

impl From<Option<Duration>> for Wait {
    fn from(time: Option<Duration>) -> Self {
        match time {
            None => Self::Forever,
            Some(Duration::ZERO) => Self::No,
            Some(time) => Self::For(time),
        }
    }
}

/// What a peer asks of the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ping,
    Register {
        queue: Name,
        options: QueueOptions,
    },
    /// Answered by `Put`.
    Put {
        queue: Name,
        wait: Wait,
        items: Vec<Bytes>,
    },
    /// A put of items that are not all plain. Answered by `Put`. As with plain ones, no more than
    /// [`MOST_PUT_ITEMS`].
    PutWith {
        queue: Name,
        wait: Wait,
        items: Vec<(Bytes, PutOptions)>,
    },
    /// Answered by `Leased`, `Empty` or `Closed`. Without `hold`, the lease lasts as long as the
    /// connection: the first half of a get, whose second is `Settle::Done`.
    Lease {
        queue: Name,
        max: u32,
        hold: Option<Duration>,
        wait: Wait,
    },
    /// Answered by `Lost`.
    Settle {
        queue: Name,
        leases: Vec<u64>,
        how: Settle,
    },
    /// That many items are done: such as were settled as `Taken`, and others ahead. Refused as a
    /// whole, with `TaskDoneTooOften`, if fewer are unfinished.
    TaskDone {
        queue: Name,
        count: u64,
    },
    Stats {
        queue: Name,
    },
    /// The queues whose names come after this one, as many as fit.
    Queues {
        after: Option<Name>,
    },
    /// Queued items after the first `skip`. Answered by `Peeked`.
    Peek {
        queue: Name,
        skip: u64,
        max: u32,
    },
    Dead {
        queue: Name,
        after: u64,
        max: u32,
    },
    /// Answered by `Lost`.
    DropDead {
        queue: Name,
        ids: Vec<u64>,
    },
    /// Without `ids`, all dead letters. Answered by `Count`.
    RequeueDead {
        queue: Name,
        ids: Option<Vec<u64>>,
    },
    Close {
        queue: Name,
    },
    /// The queue, and all that is in it, is to be there no more.
    Remove {
        queue: Name,
    },
    /// Answered by `Joined`.
    Join {
        queue: Name,
        wait: Wait,
    },
    Set {
        name: Name,
        value: Bytes,
    },
    Get {
        name: Name,
    },
    Shutdown,
    /// Answered by `Cluster` or `Done`.
    Cluster(ClusterRequest),
    /// Ends the wait of an earlier request, which then answers at once. Has no answer of its own.
    Cancel {
        request: u64,
    },
}

impl Request {
    /// Whether the request may take its time.
    pub fn may_wait(&self) -> bool {
        let wait = match self {
            Self::Put { wait, .. }
            | Self::PutWith { wait, .. }
            | Self::Lease { wait, .. }
            | Self::Join { wait, .. } => *wait,
            Self::Cluster(request) => return request.may_wait(),
            _ => Wait::No,
        };
        wait != Wait::No
    }

    /// What the request takes in memory beyond the bytes of its frame.
    pub fn overhead(&self) -> usize {
        match self {
            Self::Put { items, .. } => size_of_val(&items[..]),
            Self::PutWith { items, .. } => size_of_val(&items[..]),
            _ => 0,
        }
    }
}

/// Why a put ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutEnd {
    /// All are accepted, or some of them are and the rest may be put again at once.
    All,
    Full,
    Closed,
}

/// What the manager answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Put {
        /// The first so many of the items.
        accepted: u32,
        /// So many of the accepted items are dropped as duplicates.
        duplicates: u32,
        end: PutEnd,
    },
    Leased(Vec<Delivery>),
    Empty,
    Closed,
    /// Those of the numbers that were not held, or not there.
    Lost(Vec<u64>),
    Stats(QueueStats),
    Queues(Vec<(Name, QueueStats)>),
    Peeked(Vec<Waiting>),
    Dead(Vec<Dead>),
    Count(u64),
    Value(Option<Bytes>),
    Joined(bool),
    Cluster(ClusterReply),
    Refused(Refusal),
}

/// Why the manager does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    UnknownQueue(Name),
    QueueExists(Name),
    BadName(Name),
    TaskDoneTooOften(Name),
    TooLarge {
        size: u64,
        limit: u64,
    },
    TooManyWaiting,
    ShutDown,
    /// The request was cancelled, so that nobody should read this.
    Cancelled,
    /// The request makes no sense to this manager.
    BadRequest(String),
    /// It could not be written to the manager's data folder, for this reason.
    Storage(String),
    /// The manager's own machine fails it.
    Internal(String),
}

impl From<Refusal> for ManagerError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownQueue(name) => Self::UnknownQueue { name: name.as_str().into() },
            Refusal::QueueExists(name) => Self::QueueExists { name: name.as_str().into() },
            Refusal::BadName(name) => Self::BadName { name: name.as_str().into() },
            Refusal::TaskDoneTooOften(name) => {
                Self::TaskDoneTooOften { name: name.as_str().into() }
            }
            Refusal::TooLarge { size, limit } => Self::TooLarge {
                size: usize::try_from(size).unwrap_or(usize::MAX),
                limit: usize::try_from(limit).unwrap_or(usize::MAX),
            },
            Refusal::TooManyWaiting => Self::TooManyWaiting,
            Refusal::ShutDown => Self::ShutDown,
            Refusal::Cancelled => Self::Protocol("it cancelled a request by itself".into()),
            Refusal::BadRequest(text) => Self::Protocol(format!("it refused a request: {text}")),
            Refusal::Storage(reason) => Self::Storage { reason },
            Refusal::Internal(text) => Self::Runtime(text),
        }
    }
}

#[cfg(test)]
mod tests;
