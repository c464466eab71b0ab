//! What can go wrong in a pipe.

use std::io;

use crate::task::EncodeError;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The other end is gone.
    #[error("the other end of the pipe is closed, or its process has ended")]
    Closed,
    /// The message could not become bytes. Nothing was sent.
    #[error("the message cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// The system refused.
    #[error("the message could not be sent: {0}")]
    Io(#[source] io::Error),
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The other end is gone, and everything that it sent was received.
    #[error("the other end of the pipe is closed, or its process has ended")]
    Eof,
    /// There was none in time.
    #[error("no message came in time")]
    Empty,
    /// A message came that is no such value. It is gone; the next one can be received.
    #[error("a message cannot be read as {type_name}: {cause}")]
    Undecodable {
        /// The type that was asked for.
        type_name: &'static str,
        /// Why it is none.
        cause: String,
    },
    /// What came was sent by `send_bytes`: this is it. Receive such with `recv_bytes`.
    #[error("{} bytes came where a value was expected: the other end used send_bytes", .0.len())]
    Bytes(Vec<u8>),
    /// What came was sent by `send`, and is gone. Receive such with `recv`.
    #[error("a value came where bytes were expected: the other end used send")]
    NotBytes,
    /// The system refused.
    #[error("no message could be received: {0}")]
    Io(#[source] io::Error),
}
