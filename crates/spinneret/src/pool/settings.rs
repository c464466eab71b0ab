//! How a process pool is set up.

use std::sync::Arc;
use std::time::Duration;

use crate::process::attachment::Descriptor;

/// What a [`ProcessPoolBuilder`](super::ProcessPoolBuilder) gathers.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) retries: u32,
    /// How many workers a task may kill before it is not tried again, whatever the retries.
    pub(super) poison_limit: u32,
    pub(super) task_timeout: Option<Duration>,
    pub(super) max_tasks_per_worker: Option<u32>,
    /// Bytes.
    pub(super) memory_limit: Option<u64>,
    /// `None`: chosen by how long tasks take.
    pub(super) chunk_size: Option<usize>,
    pub(super) initializer: Option<Initializer>,
}

/// A task that each worker runs before any other.
#[derive(Clone, Debug)]
pub(super) struct Initializer {
    pub(super) task: &'static str,
    pub(super) signature: u64,
    pub(super) args: Vec<u8>,
    pub(super) fds: Vec<Arc<Descriptor>>,
}

impl Settings {
    /// Whether a task that has killed so many workers is to be tried again.
    pub(super) fn tries_again(&self, deaths: u32) -> bool {
        deaths <= self.retries && deaths < self.poison_limit
    }
}

/// How many times in a row a worker may fail before it has done anything, until tasks are failed
/// rather than kept waiting.
pub(super) const PATIENCE: u32 = 8;

/// The pauses between such failures: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long a worker may leave work lying, where tasks have a timeout: it takes it at once unless it
/// is stopped or the machine is out of breath.
pub(super) const RESPONSE: Duration = Duration::from_secs(5);

/// How often a worker's memory is looked at.
pub(super) const MEMORY: Duration = Duration::from_millis(200);

/// How long to wait before the next start, after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE)
}

/// An automatic chunk aims at this much work, which makes the journey a small part of it.
const CHUNK_TIME: Duration = Duration::from_millis(20);

/// The most tasks in an automatic chunk.
const CHUNK_TASKS: usize = 256;

/// How many tasks to take at once: enough for [`CHUNK_TIME`] if they take as long as the ones
/// before, few enough to leave a share for every worker, and one while nothing is known.
pub(super) fn automatic_chunk(queued: usize, workers: usize, pace: Option<Duration>) -> usize {
    let Some(pace) = pace else { return 1 };
    let timely = CHUNK_TIME.as_nanos() / pace.as_nanos().max(1);
    let timely = usize::try_from(timely).unwrap_or(usize::MAX);
    timely.min(queued / (4 * workers)).clamp(1, CHUNK_TASKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_chunks_follow_the_pace_and_leave_shares() {
        assert_eq!(automatic_chunk(1_000_000, 4, None), 1);
        assert_eq!(automatic_chunk(1_000_000, 4, Some(Duration::from_secs(1))), 1);
        assert_eq!(automatic_chunk(1_000_000, 4, Some(Duration::from_millis(1))), 20);
        assert_eq!(automatic_chunk(1_000_000, 4, Some(Duration::ZERO)), CHUNK_TASKS);
        assert_eq!(automatic_chunk(64, 4, Some(Duration::from_micros(1))), 4);
        assert_eq!(automatic_chunk(1, 4, Some(Duration::from_micros(1))), 1);
    }
}
