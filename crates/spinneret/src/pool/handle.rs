//! The caller's end of a task.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::ticket::{Arrived, open};
use crate::signal::{Mutex, Signal, Wait};
use crate::task::{Outcome, TaskError};

/// A task that was submitted. Wait for it with [`get`](TaskHandle::get), or `.await` it.
///
/// Dropping the handle does not cancel the task.
pub struct TaskHandle<T> {
    slot: Arc<Slot<T>>,
    /// The task's name.
    task: &'static str,
}

/// A pool that has handed tasks out, and may get them back before they begin.
pub(super) trait Recall: Send + Sync {
    /// Cancels the task with this number, which delivers the outcome; `false` if it has begun.
    fn recall(&self, number: u64) -> bool;

    /// Whether the task with this number runs, or has.
    fn has_begun(&self, number: u64) -> bool;

    /// Books endings in the caller's thread until `done`, but not for long.
    fn help(&self, done: &dyn Fn() -> bool);
}

/// Where the outcome of one task is put down.
pub struct Slot<T> {
    inner: Mutex<Inner<T>>,
    /// The state has become `Done`.
    done: Signal,
}

struct Inner<T> {
    state: State<T>,
    /// Who can take the task back while it runs or waits for a worker, and under which number.
    recall: Option<(Weak<dyn Recall>, u64)>,
    /// Who awaits the handle; none unless it was polled.
    waker: Option<Waker>,
}

enum State<T> {
    Queued,
    Running,
    /// Final; the outcome is gone once the handle has given it out.
    Done(Option<Outcome<Arrived<T>>>),
}

impl<T> Inner<T> {
    /// The outcome if it is there.
    fn take(&mut self) -> Option<Outcome<Arrived<T>>> {
        match &mut self.state {
            // None within only for a future that is polled again after it was ready.
            State::Done(outcome) => Some(outcome.take().unwrap_or(Err(TaskError::Cancelled))),
            _ => None,
        }
    }
}

// By hand: a slot has a default whether or not `T` has.
impl<T> Default for Slot<T> {
    fn default() -> Self {
        let inner = Inner { state: State::Queued, recall: None, waker: None };
        Self { inner: Mutex::new(inner), done: Signal::new() }
    }
}

impl<T> Slot<T> {
    /// Marks the task as running; `false` if it was cancelled before.
    pub(super) fn start(&self) -> bool {
        let mut inner = self.inner.lock();
        let queued = matches!(inner.state, State::Queued);
        if queued {
            inner.state = State::Running;
        }
        queued
    }

    /// Marks the task as handed out, from where it may still be recalled; `false` if it was cancelled
    /// before.
    pub(super) fn hand_out(&self, by: Weak<dyn Recall>, number: u64) -> bool {
        let mut inner = self.inner.lock();
        let queued = matches!(inner.state, State::Queued);
        if queued {
            inner.state = State::Running;
            inner.recall = Some((by, number));
        }
        queued
    }

    /// Marks the task as waiting again: its worker died and it is to be run once more.
    pub(super) fn requeue(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Running) {
            inner.state = State::Queued;
            inner.recall = None;
        }
    }

    /// Puts down the outcome, unless there is one.
    pub(super) fn finish(&self, outcome: Outcome<Arrived<T>>) {
        self.finish_if(outcome, |state| !matches!(state, State::Done(_)));
    }

    fn finish_if(
        &self,
        outcome: Outcome<Arrived<T>>,
        condition: impl FnOnce(&State<T>) -> bool,
    ) -> bool {
        let mut inner = self.inner.lock();
        if !condition(&inner.state) {
            return false;
        }
        inner.state = State::Done(Some(outcome));
        let waker = inner.waker.take();
        drop(inner);
        self.done.all();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T: DeserializeOwned> TaskHandle<T> {
    pub(super) fn new(slot: Arc<Slot<T>>, task: &'static str) -> Self {
        Self { slot, task }
    }

    /// Waits for the outcome, however long it takes.
    pub fn get(self) -> Outcome<T> {
        let outcome = self.slot.done.wait(&self.slot.inner, Wait::Ever, Inner::take);
        outcome.map_or(Err(TaskError::Cancelled), |outcome| self.open(outcome))
    }

    /// Waits for the outcome of a task that was just submitted. Should it come at once, this thread
    /// takes it in by itself, rather than to be woken by the one that does.
    pub(super) fn get_soon(self) -> Outcome<T> {
        let recall = self.slot.inner.lock().recall.clone();
        if let Some(pool) = recall.and_then(|(pool, _)| pool.upgrade()) {
            pool.help(&|| self.is_done());
        }
        self.get()
    }

    /// Waits for the outcome no longer than `timeout`, then gives the handle back.
    pub fn get_timeout(self, timeout: Duration) -> Result<Outcome<T>, Self> {
        match self.slot.done.wait(&self.slot.inner, timeout.into(), Inner::take) {
            Some(outcome) => Ok(self.open(outcome)),
            None => Err(self),
        }
    }

    /// Whether the outcome is there, so that [`get`](Self::get) returns at once.
    pub fn is_done(&self) -> bool {
        matches!(self.slot.inner.lock().state, State::Done(_))
    }

    /// Cancels the task if no worker has begun it; its outcome is then `Cancelled`.
    ///
    /// Returns `false`, and changes nothing, if a worker runs it or it is done: what runs, runs to
    /// its end, or to the pool's task timeout.
    pub fn cancel(&self) -> bool {
        if self.slot.finish_if(Err(TaskError::Cancelled), |state| matches!(state, State::Queued)) {
            return true;
        }
        // Outside of the lock, which the pool takes to deliver the outcome.
        let recall = match &mut *self.slot.inner.lock() {
            Inner { state: State::Running, recall, .. } => recall.clone(),
            _ => None,
        };
        recall.is_some_and(|(pool, number)| pool.upgrade().is_some_and(|pool| pool.recall(number)))
    }

    fn open(&self, outcome: Outcome<Arrived<T>>) -> Outcome<T> {
        open(outcome, self.task)
    }
}

impl<T: DeserializeOwned> Future for TaskHandle<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut inner = self.slot.inner.lock();
        if let Some(outcome) = inner.take() {
            drop(inner);
            return Poll::Ready(self.open(outcome));
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.slot.inner.lock().state {
            State::Queued => "queued",
            State::Running => "running",
            State::Done(_) => "done",
        };
        f.debug_struct("TaskHandle").field("task", &self.task).field("state", &state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::encode;

    fn handle() -> (Arc<Slot<u8>>, TaskHandle<u8>) {
        let slot = Arc::new(Slot::default());
        (Arc::clone(&slot), TaskHandle::new(slot, "f"))
    }

    #[test]
    fn a_queued_task_can_be_cancelled_once_and_never_starts() {
        let (slot, handle) = handle();
        assert!(handle.cancel());
        assert!(!handle.cancel());
        assert!(!slot.start());
        assert_eq!(handle.get(), Err(TaskError::Cancelled));
    }

    #[test]
    fn a_running_task_cannot_be_cancelled_until_it_is_queued_again() {
        let (slot, handle) = handle();
        assert!(slot.start());
        assert!(!handle.cancel());
        slot.requeue();
        assert!(handle.cancel());
    }

    #[test]
    fn the_first_outcome_stays() {
        let (slot, handle) = handle();
        slot.finish(Ok(Arrived::Value(3)));
        slot.finish(Err(TaskError::Cancelled));
        assert!(handle.is_done());
        assert_eq!(handle.get(), Ok(3));
    }

    #[test]
    fn a_handle_that_is_not_done_in_time_is_given_back() {
        let (slot, handle) = handle();
        let handle = handle.get_timeout(Duration::from_millis(1)).expect_err("not done");
        slot.finish(Ok(Arrived::Encoded(encode(&"text").unwrap(), Vec::new())));
        match handle.get_timeout(Duration::MAX) {
            Ok(Err(TaskError::Undecodable { what, .. })) => assert_eq!(what, "the result of `f`"),
            other => panic!("{other:?}"),
        }
    }
}
