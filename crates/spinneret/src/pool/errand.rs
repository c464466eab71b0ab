//! Tasks that came by name from another machine, for a pool of this one to run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::error::PoolError;
use super::handle::Recall;
use super::ticket::EncodedTicket;
use super::traits::Pool;
use super::{ProcessPool, ProcessPoolBuilder, ThreadPool, ThreadPoolBuilder};
use crate::process::attachment::Arrived;
use crate::task::registry::Entry;
use crate::task::{EncodeError, Outcome, TaskError};

/// Whether somebody wants the outcome of an errand, and whether it has begun: for who sent it, who
/// may be asked at any time.
#[derive(Default)]
pub(crate) struct Wish {
    dropped: AtomicBool,
    begun: AtomicBool,
    /// Who knows better whether it has begun, and under which number.
    place: Mutex<Option<(Weak<dyn Recall>, u64)>>,
}

impl Wish {
    pub(crate) fn is_wanted(&self) -> bool {
        !self.dropped.load(Ordering::Acquire)
    }

    /// The outcome is of no interest any more.
    pub(crate) fn give_up(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    pub(super) fn mark_begun(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether it runs, or has: else it waits for a worker that is free, or for one to be started.
    pub(crate) fn has_begun(&self) -> bool {
        let place = self.place.lock().clone();
        match place.and_then(|(pool, number)| Some((pool.upgrade()?, number))) {
            Some((pool, number)) => pool.has_begun(number),
            None => self.begun.load(Ordering::Acquire),
        }
    }
}

/// A task to run, and whom to tell.
pub(crate) struct Errand {
    pub(super) entry: Entry,
    pub(super) args: Vec<u8>,
    pub(super) ticket: ErrandTicket,
}

/// Takes the outcome of an errand, on a thread that it must not hold up.
pub(crate) type Report = Box<dyn FnOnce(Outcome<Vec<u8>>) + Send>;

impl Errand {
    /// An errand that is run as long as it is wanted. `report` is called in any case, with `Cancelled`
    /// if it is not run.
    pub(crate) fn new(entry: Entry, args: Vec<u8>, wish: Arc<Wish>, report: Report) -> Self {
        let ticket = ErrandTicket { task: entry.name(), wish, report: Some(report) };
        Self { entry, args, ticket }
    }
}

/// The duty to report how an errand ended.
pub(super) struct ErrandTicket {
    task: &'static str,
    wish: Arc<Wish>,
    /// `None` once it was called.
    report: Option<Report>,
}

impl ErrandTicket {
    /// Reports the outcome, with the descriptors in it, which cannot leave this machine.
    pub(super) fn end<D>(mut self, outcome: Outcome<(Vec<u8>, Vec<D>)>) {
        let outcome = outcome.and_then(|(bytes, fds)| match fds.as_slice() {
            [] => Ok(bytes),
            _ => Err(TaskError::Undecodable {
                what: format!("the result of `{}`", self.task),
                cause: EncodeError::NotSendableOverNetwork { what: "it" }.to_string(),
            }),
        });
        self.report(outcome);
    }

    fn report(&mut self, outcome: Outcome<Vec<u8>>) {
        if let Some(report) = self.report.take() {
            report(outcome);
        }
    }

    /// Marks the task as running; `false` if nobody wants it any more.
    pub(super) fn begin(&self) -> bool {
        self.wish.mark_begun();
        self.wish.is_wanted()
    }
}

impl EncodedTicket for ErrandTicket {
    #[cfg(not(shared_memory))]
    fn start(&self) -> bool {
        self.wish.is_wanted()
    }

    fn hand_out(&self, by: Weak<dyn Recall>, number: u64) -> bool {
        *self.wish.place.lock() = Some((by, number));
        self.wish.is_wanted()
    }

    fn is_wanted(&self) -> bool {
        self.wish.is_wanted()
    }

    #[cfg(not(shared_memory))]
    fn wish(&self) -> Option<Arc<Wish>> {
        Some(Arc::clone(&self.wish))
    }

    fn requeue(&self) {}

    fn deliver(self: Box<Self>, outcome: Outcome<Arrived>) {
        self.end(outcome);
    }
}

impl Drop for ErrandTicket {
    fn drop(&mut self) {
        self.report(Err(TaskError::Cancelled));
    }
}

/// A pool that runs errands.
pub(crate) enum LocalPool {
    Processes(ProcessPool),
    Threads(ThreadPool),
}

/// What a [`LocalPool`] is built from.
#[derive(Debug)]
pub(crate) enum LocalPoolBuilder {
    Processes(ProcessPoolBuilder),
    Threads(ThreadPoolBuilder),
}

impl LocalPoolBuilder {
    pub(crate) fn build(self) -> Result<LocalPool, PoolError> {
        Ok(match self {
            // Whoever sent an errand decides whether it is tried again.
            Self::Processes(builder) => LocalPool::Processes(builder.retries(0).build()?),
            Self::Threads(builder) => LocalPool::Threads(builder.build()?),
        })
    }
}

impl LocalPool {
    /// How many errands it runs at the same time.
    pub(crate) fn workers(&self) -> usize {
        match self {
            Self::Processes(pool) => pool.workers(),
            Self::Threads(pool) => pool.workers(),
        }
    }

    /// Runs an errand when a worker is free.
    pub(crate) fn run(&self, errand: Errand) {
        match self {
            Self::Processes(pool) => pool.run_errand(errand),
            Self::Threads(pool) => pool.run_errand(errand),
        }
    }

    /// Ends what nobody wants any more. Threads cannot be killed, and run on.
    pub(crate) fn end_unwanted(&self) {
        match self {
            Self::Processes(pool) => pool.end_unwanted(),
            Self::Threads(_) => {}
        }
    }

    /// Ends everything at once, and returns when it has ended: threads run to their tasks' end.
    pub(crate) fn terminate(&self) {
        match self {
            Self::Processes(pool) => pool.terminate(),
            Self::Threads(pool) => pool.terminate(),
        }
    }
}
