//! What a pool and its workers know of each other without a message: words in shared memory.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::os::{Shm, ShmError};

/// The state of a worker, which it writes and its pool reads (but for `leave`).
#[repr(C, align(128))]
pub(super) struct Place {
    /// The number of the job that runs; 0 if none does.
    current: AtomicU64,
    /// When that began, by [`clock`].
    since: AtomicU64,
    /// How many tasks have ended.
    tasks: AtomicU64,
    /// How long they took, in nanoseconds.
    busy: AtomicU64,
    /// Set by the pool: the worker is to leave when no task runs.
    leave: AtomicU32,
}

/// How far a job has come that was handed out. Beside it in its word stands a generation, so that a
/// word that is used again is not taken for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No worker has begun it.
    Waiting,
    /// A worker has; whether it still runs, its outcome tells.
    Begun,
    /// Nobody wants it: who comes to it is to skip it.
    Cancelled,
}

/// The words of all workers and all jobs that are handed out.
#[derive(Debug)]
pub(super) struct Board {
    shm: Shm,
    places: usize,
    jobs: usize,
}

/// Generations go up to here and start anew: two bits of the word are the stage's.
pub(super) const GENERATIONS: u32 = 1 << 30;

impl Board {
    fn bytes(places: usize, jobs: usize) -> usize {
        places * size_of::<Place>() + jobs * size_of::<AtomicU32>()
    }

    pub(super) fn create(places: usize, jobs: usize) -> Result<Self, ShmError> {
        let shm = Shm::create("spinneret-pool", Self::bytes(places, jobs), 0)?;
        Ok(Self { shm, places, jobs })
    }

    pub(super) fn attach(fd: OwnedFd, places: usize, jobs: usize) -> Result<Self, ShmError> {
        let shm = Shm::attach(fd, Self::bytes(places, jobs), 0)?;
        Ok(Self { shm, places, jobs })
    }

    pub(super) fn fd(&self) -> &Arc<OwnedFd> {
        self.shm.fd()
    }

    pub(super) fn place(&self, place: usize) -> &Place {
        assert!(place < self.places, "place {place} of {}", self.places);
        // SAFETY: a place consists of atomics.
        unsafe { self.shm.get(place * size_of::<Place>()) }
    }

    fn word(&self, index: u32) -> &AtomicU32 {
        let index = index as usize;
        assert!(index < self.jobs, "job {index} of {}", self.jobs);
        let start = self.places * size_of::<Place>();
        // SAFETY: an atomic may have any value.
        unsafe { self.shm.get(start + index * size_of::<AtomicU32>()) }
    }

    pub(super) fn hand_out(&self, index: u32, generation: u32) {
        self.word(index).store(word(generation, Stage::Waiting), Ordering::Release);
    }

    /// Moves a job from `Waiting` to another stage; `false` if it is no longer there.
    pub(super) fn advance(&self, index: u32, generation: u32, stage: Stage) -> bool {
        let (from, to) = (word(generation, Stage::Waiting), word(generation, stage));
        self.word(index).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(super) fn stage(&self, index: u32) -> Stage {
        match self.word(index).load(Ordering::Acquire) & 3 {
            0 => Stage::Waiting,
            1 => Stage::Begun,
            _ => Stage::Cancelled,
        }
    }
}

fn word(generation: u32, stage: Stage) -> u32 {
    let stage = match stage {
        Stage::Waiting => 0,
        Stage::Begun => 1,
        Stage::Cancelled => 2,
    };
    generation << 2 | stage
}

impl Place {
    /// For a new worker.
    pub(super) fn reset(&self) {
        for word in [&self.current, &self.since, &self.tasks, &self.busy] {
            word.store(0, Ordering::Relaxed);
        }
        self.leave.store(0, Ordering::Release);
    }

    /// The worker begins a job.
    pub(super) fn begin(&self, number: u64, now: u64) {
        self.since.store(now, Ordering::Relaxed);
        self.current.store(number, Ordering::Release);
    }

    /// The worker has ended a job, after so many nanoseconds.
    pub(super) fn end(&self, took: u64) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        self.busy.fetch_add(took, Ordering::Relaxed);
        self.current.store(0, Ordering::Release);
    }

    /// The number of the job that runs, and since when.
    pub(super) fn running(&self) -> Option<(u64, u64)> {
        let number = self.current.load(Ordering::Acquire);
        let since = self.since.load(Ordering::Acquire);
        // Read again: `since` may already be another job's.
        (number != 0 && self.current.load(Ordering::Acquire) == number).then_some((number, since))
    }

    pub(super) fn tasks(&self) -> u64 {
        self.tasks.load(Ordering::Relaxed)
    }

    /// For how long tasks have run, the present one included.
    pub(super) fn busy(&self) -> Duration {
        let running = self.running().map_or(0, |(_, since)| clock().saturating_sub(since));
        Duration::from_nanos(self.busy.load(Ordering::Relaxed) + running)
    }

    pub(super) fn ask_to_leave(&self) {
        self.leave.store(1, Ordering::Release);
    }

    pub(super) fn is_to_leave(&self) -> bool {
        self.leave.load(Ordering::Acquire) != 0
    }
}

/// Nanoseconds of the system's monotonic clock, which is the same for all processes.
pub(super) fn clock() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Never negative, and good for centuries.
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_begun_or_cancelled_but_not_both() {
        let board = Board::create(1, 2).unwrap();
        board.hand_out(1, 7);
        assert!(board.advance(1, 7, Stage::Begun));
        assert!(!board.advance(1, 7, Stage::Cancelled));
        assert_eq!(board.stage(1), Stage::Begun);
        board.hand_out(1, 8);
        assert!(!board.advance(1, 7, Stage::Begun), "the word is another job's");
        assert!(board.advance(1, 8, Stage::Cancelled));
    }

    #[test]
    fn both_sides_see_what_a_worker_does() {
        let ours = Board::create(2, 1).unwrap();
        let theirs = Board::attach(ours.fd().try_clone().unwrap(), 2, 1).unwrap();
        theirs.place(1).begin(5, clock());
        assert_eq!(ours.place(1).running().map(|(number, _)| number), Some(5));
        assert_eq!(ours.place(0).running(), None);
        theirs.place(1).end(1000);
        assert_eq!((ours.place(1).tasks(), ours.place(1).running()), (1, None));
        assert_eq!(ours.place(1).busy(), Duration::from_micros(1));
    }
}
