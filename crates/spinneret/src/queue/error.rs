//! Why an item was not put or got.

use std::fmt;

/// Why an item was not put. It comes back with the error.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError<T> {
    /// There was no room in time.
    #[error("the queue is full")]
    Full(T),
    /// The queue takes no more items.
    #[error("the queue is closed")]
    Closed(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

// By hand: an item need not be `Debug` for its error to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Why no item was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// There was none in time.
    #[error("the queue is empty")]
    Empty,
    /// The queue is closed and drained: there will be none.
    #[error("the queue is closed and drained")]
    Closed,
}
