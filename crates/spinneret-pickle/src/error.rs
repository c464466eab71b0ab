//! What can be wrong with a pickle, and how large it may be.

use thiserror::Error;

use crate::Dialect;

/// How much a pickle may ask of its reader; see [`Value::read`](crate::Value::read).
///
/// The memory that reading takes is bounded by the input whatever the limits are: at most some
/// 50 bytes for each byte of it, and strings are not copied. The limits bound it further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole pickle.
    pub bytes: usize,
    /// Values in it, each element and each string counted.
    pub nodes: usize,
    /// Values inside one another. Python's own picklers end at 1,000 before 3.12 and at some
    /// thousands since.
    pub depth: usize,
}

impl Default for Limits {
    /// 4 GiB, 16,777,216 values, 10,000 inside one another.
    fn default() -> Self {
        let bytes = usize::try_from(4_u64 << 30).unwrap_or(usize::MAX);
        Self { bytes, nodes: 1 << 24, depth: 10_000 }
    }
}

/// Why bytes are no pickle that can be read. Offsets count bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It ends in the middle.
    #[error("the pickle ends too early: byte {offset} begins something that is not all there")]
    Truncated {
        /// Where what is cut off begins.
        offset: usize,
    },
    /// Something follows its end.
    #[error("the pickle ends before byte {offset}, but more follows")]
    Trailing {
        /// The first byte too many.
        offset: usize,
    },
    /// A byte that is no opcode of protocols 0 to 5.
    #[error("byte {offset} of the pickle is {opcode:#04x}, which is no opcode")]
    UnknownOpcode {
        /// The byte.
        opcode: u8,
        /// Where it is.
        offset: usize,
    },
    /// An opcode whose meaning is not in the pickle: persistent ids, the extension registry,
    /// buffers passed beside it.
    #[error(
        "the pickle uses {opcode} at byte {offset}, which refers to something outside of it; \
         pickle the object itself"
    )]
    Refused {
        /// Python's name of the opcode.
        opcode: &'static str,
        /// Where it is.
        offset: usize,
    },
    /// A protocol newer than 5.
    #[error("the pickle is of protocol {0}; protocols 0 to 5 are known")]
    UnknownProtocol(u8),
    /// What belongs to an opcode is malformed.
    #[error("byte {offset} of the pickle: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where the opcode is.
        offset: usize,
    },
    /// An opcode refers to a memo entry that nothing has made.
    #[error("byte {offset} of the pickle refers to memo entry {index}, which is not there")]
    NotInMemo {
        /// The number of the entry.
        index: u64,
        /// Where the opcode is.
        offset: usize,
    },
    /// More bytes than the limit.
    #[error("the pickle has {bytes} bytes, and at most {limit} are allowed")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// More values than the limit.
    #[error("the pickle has more than the {limit} values that are allowed")]
    TooManyNodes {
        /// How many are allowed.
        limit: usize,
    },
    /// Deeper than the limit.
    #[error("the pickle has more than the {limit} values inside one another that are allowed")]
    TooDeep {
        /// How many are allowed.
        limit: usize,
    },
}

/// Why a value cannot be written for a version of Python.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// That version has nothing of the kind.
    #[error("{what} cannot be written for {dialect}")]
    Unrepresentable {
        /// What it is.
        what: &'static str,
        /// For which version.
        dialect: Dialect,
    },
    /// A set that contains itself in a way that only newer versions can read.
    #[error("a set that contains itself cannot be written for {0}")]
    Cycle(Dialect),
}
