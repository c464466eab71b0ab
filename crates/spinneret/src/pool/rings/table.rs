//! The table of a pool's jobs: those that wait, and those that are handed out.

use std::collections::VecDeque;

use super::board::GENERATIONS;
use crate::pool::error::PoolError;
use crate::pool::job::Job;
use crate::pool::ticket::EncodedTicket;
use crate::process::WorkerHandle;
use crate::process::attachment::Arrived;
use crate::process::queue::Batch;
use crate::task::{Outcome, TaskError};

/// What changes of a pool's books.
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) backlog: VecDeque<Job>,
    pub(super) table: Vec<Entry>,
    /// Indices of `table` that are free.
    pub(super) free: Vec<u32>,
    /// One for each place; `None` while it is vacant.
    pub(super) workers: Vec<Option<WorkerHandle>>,
    /// How many workers were ready for the first time; or why one was not.
    pub(super) ready: usize,
    pub(super) failure: Option<PoolError>,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) restarts: u64,
    /// Whether the supervisor has ended.
    pub(super) ended: bool,
    /// Messages on their way to the ring; kept for its memory.
    pub(super) batch: Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Closed,
    Terminated,
}

/// An index of the table.
#[derive(Default)]
pub(super) struct Entry {
    /// Goes up whenever the index is used again.
    pub(super) generation: u32,
    /// `None` if it was cancelled, or the index is free.
    pub(super) job: Option<Job>,
}

/// An outcome and where it goes, to be delivered outside of the lock.
pub(super) type Delivery = (Box<dyn EncodedTicket>, Outcome<Arrived>);

/// The number of the job that has an index now, by which workers and handles know it.
pub(super) fn number(index: u32, generation: u32) -> u64 {
    // Never 0, which on the board means none.
    u64::from(generation + 1) << 32 | u64::from(index)
}

/// Index and generation.
pub(super) fn parts(number: u64) -> (u32, u32) {
    (number as u32, ((number >> 32) as u32).wrapping_sub(1))
}

impl State {
    /// For a pool that starts, of which so many jobs may be handed out at once.
    pub(super) fn new(workers: usize, capacity: usize) -> Self {
        Self {
            phase: Phase::Open,
            backlog: VecDeque::new(),
            table: (0..capacity).map(|_| Entry::default()).collect(),
            // Some ten thousand at most.
            free: (0..capacity as u32).rev().collect(),
            workers: (0..workers).map(|_| None).collect(),
            ready: 0,
            failure: None,
            done: 0,
            failed: 0,
            restarts: 0,
            ended: false,
            batch: Batch::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Closed => self.backlog.is_empty() && self.free.len() == self.table.len(),
            Phase::Terminated => true,
        }
    }

    /// Frees the index of a job that a worker no longer has; the job, unless it was cancelled.
    pub(super) fn release(&mut self, number: u64) -> Option<Job> {
        let (index, generation) = parts(number);
        let entry = self.table.get_mut(index as usize)?;
        if entry.generation != generation {
            return None;
        }
        entry.generation = (generation + 1) % (GENERATIONS - 1);
        self.free.push(index);
        entry.job.take()
    }

    /// Books an ending; `None` for a job that was skipped.
    pub(super) fn end(
        &mut self,
        number: u64,
        outcome: Option<Outcome<Arrived>>,
    ) -> Option<Delivery> {
        let job = self.release(number)?;
        let outcome = outcome.unwrap_or(Err(TaskError::Cancelled));
        if outcome.is_ok() {
            self.done += 1;
        } else {
            self.failed += 1;
        }
        Some((job.ticket, outcome))
    }

    pub(super) fn cancel_backlog(&mut self) -> Vec<Delivery> {
        let jobs = std::mem::take(&mut self.backlog);
        self.failed += jobs.len() as u64;
        jobs.into_iter().map(|job| (job.ticket, Err(TaskError::Cancelled))).collect()
    }

    pub(super) fn cancel_table(&mut self) -> Vec<Delivery> {
        let jobs: Vec<_> = self.table.iter_mut().filter_map(|entry| entry.job.take()).collect();
        self.failed += jobs.len() as u64;
        jobs.into_iter().map(|job| (job.ticket, Err(TaskError::Cancelled))).collect()
    }
}
