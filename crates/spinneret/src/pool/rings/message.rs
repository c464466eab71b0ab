//! What a pool and a worker say to each other: bytes in the two rings, and now and then a word over
//! the link.

use serde::{Deserialize, Serialize};

use crate::task::{Outcome, TaskError};

/// A word of the pool, over the link.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The first: what to work on. With it come the two queues and the board.
    Setup(Setup),
    /// The descriptors in the arguments of a job; they come along.
    Attachments(u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The worker's place on the board.
    pub(super) place: usize,
    /// By which its leases are known.
    pub(super) owner: u32,
    /// How large the board is.
    pub(super) places: usize,
    pub(super) jobs: usize,
    /// After how many tasks to leave.
    pub(super) max_tasks: Option<u32>,
    /// How many tasks to take at once, if that is set.
    pub(super) chunk_size: Option<usize>,
    /// What to run before the first task: its name, signature and arguments.
    pub(super) initializer: Option<(String, u64, serde_bytes::ByteBuf)>,
}

/// A word of a worker, over the link.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum News {
    /// The initializer has run, or failed; the worker takes tasks, or leaves.
    Ready(Outcome<()>),
    /// A job needs its descriptors.
    Wants(u64),
    /// An outcome with descriptors, which come along.
    Ended(u64, #[serde(with = "serde_bytes")] Vec<u8>),
    /// The worker leaves, as it was told to.
    Leaves,
}

/// A job in the ring of tasks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JobMessage<'a> {
    /// Index and generation on the board.
    pub(super) number: u64,
    pub(super) signature: u64,
    pub(super) task: &'a str,
    /// Whether there are descriptors in its arguments.
    pub(super) attached: bool,
    pub(super) args: &'a [u8],
}

/// The bytes before a job's name and arguments.
const HEAD: usize = 8 + 8 + 4 + 4;

impl<'a> JobMessage<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.signature.to_le_bytes());
        // A name of 4 GiB does not fit into a program.
        out.extend_from_slice(&(self.task.len() as u32).to_le_bytes());
        out.extend_from_slice(&u32::from(self.attached).to_le_bytes());
        out.extend_from_slice(self.task.as_bytes());
        out.extend_from_slice(self.args);
    }

    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let (head, rest) = message.split_at_checked(HEAD)?;
        let word = |at: usize| Some(u64::from_le_bytes(head[at..at + 8].try_into().ok()?));
        let half = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
        let (task, args) = rest.split_at_checked(half(16)? as usize)?;
        let task = str::from_utf8(task).ok()?;
        Some(Self { number: word(0)?, signature: word(8)?, task, attached: half(20)? != 0, args })
    }
}

/// What became of a job, in the ring of results.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending<'a> {
    /// It returned a value.
    Value(&'a [u8]),
    /// It did not.
    Failed(TaskError),
    /// It had been cancelled.
    Skipped,
}

const VALUE: u8 = 0;
const FAILED: u8 = 1;
const SKIPPED: u8 = 2;

impl<'a> Ending<'a> {
    pub(super) fn write(&self, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&number.to_le_bytes());
        match self {
            Self::Value(bytes) => {
                out.push(VALUE);
                out.extend_from_slice(bytes);
            }
            Self::Failed(error) => {
                out.push(FAILED);
                let start = out.len();
                if rmp_serde::encode::write(out, error).is_err() {
                    // Not reached: these errors are strings and numbers. An empty one is reported
                    // as undecodable.
                    out.truncate(start);
                }
            }
            Self::Skipped => out.push(SKIPPED),
        }
    }

    pub(super) fn read(message: &'a [u8]) -> Option<(u64, Self)> {
        let (number, rest) = message.split_first_chunk()?;
        let (kind, rest) = rest.split_first()?;
        let ending = match *kind {
            VALUE => Self::Value(rest),
            FAILED => Self::Failed(rmp_serde::from_slice(rest).unwrap_or_else(|cause| {
                TaskError::Undecodable { what: "an error".to_owned(), cause: cause.to_string() }
            })),
            SKIPPED if rest.is_empty() => Self::Skipped,
            _ => return None,
        };
        Some((u64::from_le_bytes(*number), ending))
    }
}

/// Reads bytes as each of the messages; for the fuzz target `messages`.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_anything(bytes: &[u8]) {
    if let Some(job) = JobMessage::read(bytes) {
        let mut out = Vec::new();
        job.write(&mut out);
        assert_eq!(JobMessage::read(&out), Some(job));
    }
    if let Some((number, ending)) = Ending::read(bytes) {
        let mut out = Vec::new();
        ending.write(number, &mut out);
        assert_eq!(Ending::read(&out), Some((number, ending)));
    }
    let _ = rmp_serde::from_slice::<Order>(bytes);
    let _ = rmp_serde::from_slice::<News>(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_endings_come_back() {
        let job = JobMessage { number: 3, signature: 4, task: "a::b", attached: true, args: b"xy" };
        let mut out = Vec::new();
        job.write(&mut out);
        assert_eq!(JobMessage::read(&out), Some(job));
        for ending in [Ending::Value(b"x"), Ending::Failed(TaskError::Cancelled), Ending::Skipped] {
            let mut out = Vec::new();
            ending.write(9, &mut out);
            assert_eq!(Ending::read(&out), Some((9, ending)));
        }
    }

    #[test]
    fn garbage_is_none_or_an_error_but_no_panic() {
        let mut seed = 1_u64;
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 56) as u8 & 0x83
                })
                .collect();
            let _ = JobMessage::read(&bytes);
            let _ = Ending::read(&bytes);
        }
        assert_eq!(JobMessage::read(&[0; 8]), None);
        assert_eq!(Ending::read(&[0; 8]), None);
        assert_eq!(Ending::read(&[9; 20]), None);
    }
}
