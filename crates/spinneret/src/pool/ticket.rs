//! The pool's end of a task: where its outcome is put down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use serde::de::DeserializeOwned;

#[cfg(not(shared_memory))]
use super::errand::Wish;
use super::handle::{Recall, Slot};
use super::imap::Arrival;
use super::progress::Progress;
use crate::process::attachment::{self, Descriptor};
use crate::task::{Outcome, TaskError};

/// A result as it arrived from a worker.
pub enum Arrived<T> {
    /// From a thread, which hands over the value itself.
    Value(T),
    /// From beyond this process, with the descriptors in it; decoded in the thread of who takes it.
    Encoded(Vec<u8>, Vec<Descriptor>),
}

/// Reads the outcome of `task`.
pub(super) fn open<T: DeserializeOwned>(outcome: Outcome<Arrived<T>>, task: &str) -> Outcome<T> {
    match outcome? {
        Arrived::Value(value) => Ok(value),
        Arrived::Encoded(bytes, fds) => {
            attachment::decode(&bytes, fds).map_err(|cause| TaskError::Undecodable {
                what: format!("the result of `{task}`"),
                cause: cause.to_string(),
            })
        }
    }
}

/// The duty to report the outcome of one task.
///
/// Dropping it undelivered cancels the task, so that no caller waits for what will not come.
pub struct Ticket<T> {
    /// `None` once the outcome is delivered.
    destination: Option<Destination<T>>,
    progress: Progress,
}

/// The outcome of the input with this index.
pub(super) type Numbered<T> = (u64, Outcome<Arrived<T>>);

pub(super) enum Destination<T> {
    Handle(Arc<Slot<T>>),
    /// An iterator; the flag says that it is gone.
    Stream {
        index: u64,
        results: Sender<Numbered<T>>,
        arrival: Arc<Arrival>,
        dropped: Arc<AtomicBool>,
    },
}

impl<T> Ticket<T> {
    /// A ticket for a task that counts in the progress from here on.
    pub(super) fn new(destination: Destination<T>, progress: &Progress) -> Self {
        progress.submitted();
        Self { destination: Some(destination), progress: progress.clone() }
    }

    /// Marks the task as running; `false` if nobody wants it any more.
    pub(super) fn start(&self) -> bool {
        match &self.destination {
            Some(Destination::Handle(slot)) => slot.start(),
            Some(Destination::Stream { dropped, .. }) => !dropped.load(Ordering::Relaxed),
            None => false,
        }
    }

    /// Delivers a result that never left this process.
    pub(super) fn deliver(mut self, outcome: Outcome<T>) {
        self.finish(outcome.map(Arrived::Value));
    }

    fn finish(&mut self, outcome: Outcome<Arrived<T>>) {
        let Some(destination) = self.destination.take() else { return };
        self.progress.finished();
        match destination {
            Destination::Handle(slot) => slot.finish(outcome),
            Destination::Stream { index, results, arrival, .. } => {
                // The iterator may be gone, with nobody left to tell.
                if results.send((index, outcome)).is_ok() {
                    arrival.wake();
                }
            }
        }
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.finish(Err(TaskError::Cancelled));
    }
}

/// A [`Ticket`] of any type, for pools whose results arrive as bytes.
pub(super) trait EncodedTicket: Send {
    /// Marks the task as running; `false` if nobody wants it any more.
    #[cfg(not(shared_memory))]
    fn start(&self) -> bool;

    /// Marks the task as handed out, from where it may still be recalled; `false` if nobody wants it
    /// any more.
    fn hand_out(&self, by: Weak<dyn Recall>, number: u64) -> bool;

    /// Whether somebody waits for the outcome.
    fn is_wanted(&self) -> bool;

    /// What tells [`is_wanted`](Self::is_wanted) where the ticket is not at hand, if that can change
    /// while the task runs.
    #[cfg(not(shared_memory))]
    fn wish(&self) -> Option<Arc<Wish>> {
        None
    }

    /// Marks the task as waiting again: its worker died and it is to be run once more.
    fn requeue(&self);

    /// Delivers the outcome.
    fn deliver(self: Box<Self>, outcome: Outcome<attachment::Arrived>);
}

impl<T: Send> EncodedTicket for Ticket<T> {
    #[cfg(not(shared_memory))]
    fn start(&self) -> bool {
        Self::start(self)
    }

    fn hand_out(&self, by: Weak<dyn Recall>, number: u64) -> bool {
        match &self.destination {
            Some(Destination::Handle(slot)) => slot.hand_out(by, number),
            _ => self.start(),
        }
    }

    fn is_wanted(&self) -> bool {
        !matches!(&self.destination,
            Some(Destination::Stream { dropped, .. }) if dropped.load(Ordering::Relaxed))
    }

    fn requeue(&self) {
        if let Some(Destination::Handle(slot)) = &self.destination {
            slot.requeue();
        }
    }

    fn deliver(mut self: Box<Self>, outcome: Outcome<attachment::Arrived>) {
        self.finish(outcome.map(|(bytes, fds)| Arrived::Encoded(bytes, fds)));
    }
}
