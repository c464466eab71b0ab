//! What pools and workers of a cluster ask of the manager, and what it answers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    manager::cluster::ClusterStats,
    task::{Outcome, TaskError},
};

/// A task as programs that may differ know it: they mean the same only if both fields agree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskKey {
    pub name: Arc<str>,
    pub signature: u64,
}

/// How a pool wants all its jobs to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long a job may run.
    pub timeout: Option<Duration>,
    /// How many more times a job is run whose worker died.
    pub retries: u32,
    /// How many workers one job may kill, whatever the retries.
    pub poison_limit: u32,
    /// The most jobs that a worker is given for each of its slots; 0 leaves it to the worker.
    pub chunk: u32,
}

/// A job on its way to the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// The pool's own number for it. Of two that wait, the lower one is given out first.
    pub id: u64,
    pub task: TaskKey,
    pub args: Bytes,
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recruit {
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub pid: u32,
    /// How many jobs it runs at the same time.
    pub slots: u32,
    pub tasks: Vec<TaskKey>,
}

/// A job on its way to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// Under which the worker has it; never used for another, nor for the same one again.
    pub lease: u64,
    pub task: TaskKey,
    pub timeout: Option<Duration>,
    pub args: Bytes,
}

/// What has happened at a worker since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// How many jobs it wants to have at the same time, those that run included.
    pub depth: u32,
    /// Leases whose jobs were begun and have not ended.
    pub begun: Vec<u64>,
    pub ended: Vec<Ended>,
    /// Leases given back, none of which was begun.
    pub returned: Vec<u64>,
}

/// The end of a job at a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub lease: u64,
    pub took: Duration,
    pub outcome: Outcome<Bytes>,
    /// The outcome stands, but the job still holds its slot. Another end will follow, whose outcome
    /// is of no interest.
    pub still_runs: bool,
}

/// About how many bytes an outcome takes in a frame.
pub(crate) fn weight(outcome: &Outcome<Bytes>) -> usize {
    match outcome {
        Ok(value) => value.len(),
        Err(TaskError::Panicked { message, backtrace }) => message.len() + backtrace.len(),
        Err(_) => 0,
    }
}

/// What a pool is told of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Begun(u64),
    /// The worker that ran it died; it waits to be run once more.
    Again(u64),
    Ended(u64, Outcome<Bytes>),
}

/// What is asked. A connection is one pool at most, and one worker at most; both end with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterRequest {
    /// Makes the connection a pool.
    Open(Terms),
    Submit(Vec<Order>),
    /// Cancels jobs that have not begun. Answered by `Cancelled`; they have no `Ended`.
    Cancel(Vec<u64>),
    /// Waits for `News`.
    Listen,
    /// Ends the pool: what it has left is dropped where it waits, and stopped where it runs.
    Leave,
    /// Makes the connection a worker.
    Enlist(Recruit),
    /// Waits for `Work`.
    Fetch,
    Report(Report),
    /// The worker wants no more jobs. What it was given and has not fetched goes to others.
    Retire,
    /// Answered by `Stats`.
    Stats,
}

impl ClusterRequest {
    /// Whether the request may take its time.
    pub fn may_wait(&self) -> bool {
        matches!(self, Self::Listen | Self::Fetch)
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterReply {
    News {
        events: Vec<Event>,
        /// How many jobs all workers together run at the same time.
        slots: u32,
    },
    Cancelled(Vec<u64>),
    Work {
        jobs: Vec<Given>,
        /// Leases whose outcome nobody wants any more.
        revoked: Vec<u64>,
        /// Leases to be given back if they have not begun: another worker has nothing to do.
        recalled: Vec<u64>,
    },
    Stats(ClusterStats),
    /// The connection is no pool, or no worker, or not any more.
    Gone,
}
