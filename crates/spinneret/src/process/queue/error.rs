//! Why a message was not put, or none was got.

use super::backend::Fault;

/// Why an item was not put; it comes back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no space until the timeout.
    #[error("the queue is full")]
    Full(T),
    /// The queue was closed.
    #[error("the queue is closed: it takes no more items")]
    Closed(T),
    /// The item could not be turned into bytes, or is larger than a queue can carry.
    #[error("the item could not be serialized: {cause}")]
    Unserializable {
        /// The item.
        item: T,
        /// The serializer's words.
        cause: String,
    },
    /// The queue itself does not work.
    #[error("{source}")]
    Broken {
        /// The item.
        item: T,
        /// What is wrong with the queue.
        source: QueueError,
    },
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item)
            | Self::Closed(item)
            | Self::Unserializable { item, .. }
            | Self::Broken { item, .. } => item,
        }
    }
}

impl<T> PutError<T> {
    /// The same about something else.
    pub(super) fn map<R>(self, change: impl FnOnce(T) -> R) -> PutError<R> {
        match self {
            Self::Full(item) => PutError::Full(change(item)),
            Self::Closed(item) => PutError::Closed(change(item)),
            Self::Unserializable { item, cause } => {
                PutError::Unserializable { item: change(item), cause }
            }
            Self::Broken { item, source } => PutError::Broken { item: change(item), source },
        }
    }
}

/// Without the item, which need not be printable.
impl<T> std::fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Unserializable { cause, .. } => {
                f.debug_struct("Unserializable").field("cause", cause).finish_non_exhaustive()
            }
            Self::Broken { source, .. } => {
                f.debug_struct("Broken").field("source", source).finish_non_exhaustive()
            }
        }
    }
}

/// Why no item was got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There was none until the timeout.
    #[error("the queue is empty")]
    Empty,
    /// The queue was closed, and nothing is left in it.
    #[error("the queue is closed and empty")]
    Closed,
    /// A message is not of the queue's type. It is no longer in the queue.
    #[error("a message of {} bytes could not be read as an item: {cause}", message.len())]
    Undecodable {
        /// What was in the queue.
        message: Vec<u8>,
        /// The deserializer's words.
        cause: String,
    },
    /// The queue itself does not work.
    #[error(transparent)]
    Broken(#[from] QueueError),
}

/// Why [`get_many`](super::Queue::get_many) stopped.
#[derive(thiserror::Error)]
#[error("after {} items: {error}", items.len())]
pub struct GetManyError<T> {
    /// What was got all the same.
    pub items: Vec<T>,
    /// What was wrong.
    #[source]
    pub error: GetError,
}

impl<T> std::fmt::Debug for GetManyError<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetManyError")
            .field("items", &self.items.len())
            .field("error", &self.error)
            .finish()
    }
}

/// What is wrong with a queue.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct QueueError(#[from] Fault);

/// `task_done` was called more often than there were items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task_done() was called more often than items were put")]
pub struct TooManyDone;

/// A lease that is not its holder's, or no longer: the queue took the holder for dead, or a fork has
/// but a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost: its item is back in the queue, or another process has it")]
pub struct LeaseLost;
