//! The caller's end of a task.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::de::DeserializeOwned;

use crate::task::{Outcome, TaskError, decode};

/// A task that was submitted. Wait for it with [`get`](TaskHandle::get), or `.await` it.
///
/// Dropping the handle does not cancel the task.
pub struct TaskHandle<T> {
    slot: Arc<Slot>,
    task: &'static str,
    output: PhantomData<fn() -> T>,
}

/// Where the outcome of one task is put down.
#[derive(Default)]
pub(super) struct Slot {
    inner: Mutex<Inner>,
    /// Notified once, when the state becomes `Done`.
    done: Condvar,
}

#[derive(Default)]
struct Inner {
    state: State,
    /// Who awaits the handle; none unless it was polled.
    waker: Option<Waker>,
}

#[derive(Default)]
enum State {
    #[default]
    Queued,
    Running,
    /// Final; the outcome is gone once the handle has given it out.
    Done(Option<Outcome<Vec<u8>>>),
}

impl Slot {
    /// Marks the task as running; `false` if it was cancelled before.
    pub(super) fn start(&self) -> bool {
        let mut inner = self.inner.lock();
        let queued = matches!(inner.state, State::Queued);
        if queued {
            inner.state = State::Running;
        }
        queued
    }

    /// Marks the task as waiting again: its worker died and it is to be run once more.
    pub(super) fn requeue(&self) {
        let mut inner = self.inner.lock();
        if matches!(inner.state, State::Running) {
            inner.state = State::Queued;
        }
    }

    /// Puts down the outcome, unless there is one.
    pub(super) fn finish(&self, outcome: Outcome<Vec<u8>>) {
        self.finish_if(outcome, |state| !matches!(state, State::Done(_)));
    }

    fn finish_if(&self, outcome: Outcome<Vec<u8>>, condition: impl FnOnce(&State) -> bool) -> bool {
        let mut inner = self.inner.lock();
        if !condition(&inner.state) {
            return false;
        }
        inner.state = State::Done(Some(outcome));
        let waker = inner.waker.take();
        drop(inner);
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T: DeserializeOwned> TaskHandle<T> {
    pub(super) fn new(slot: Arc<Slot>, task: &'static str) -> Self {
        Self { slot, task, output: PhantomData }
    }

    /// Waits for the outcome, however long it takes.
    pub fn get(self) -> Outcome<T> {
        let mut inner = self.slot.inner.lock();
        loop {
            if let State::Done(outcome) = &mut inner.state {
                return self.decode(outcome.take());
            }
            self.slot.done.wait(&mut inner);
        }
    }

    /// Waits for the outcome no longer than `timeout`, then gives the handle back.
    pub fn get_timeout(self, timeout: Duration) -> Result<Outcome<T>, Self> {
        // A timeout too far away to be a time is as good as none.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return Ok(self.get());
        };
        let mut inner = self.slot.inner.lock();
        loop {
            if let State::Done(outcome) = &mut inner.state {
                return Ok(self.decode(outcome.take()));
            }
            if self.slot.done.wait_until(&mut inner, deadline).timed_out() {
                break;
            }
        }
        if let State::Done(outcome) = &mut inner.state {
            return Ok(self.decode(outcome.take()));
        }
        drop(inner);
        Err(self)
    }

    /// Whether the outcome is there, so that [`get`](Self::get) returns at once.
    pub fn is_done(&self) -> bool {
        matches!(self.slot.inner.lock().state, State::Done(_))
    }

    /// Cancels the task if no worker has it yet; its outcome is then `Cancelled`.
    ///
    /// Returns `false`, and changes nothing, if a worker runs it or it is done: what runs, runs to
    /// its end, or to the pool's task timeout.
    pub fn cancel(&self) -> bool {
        self.slot.finish_if(Err(TaskError::Cancelled), |state| matches!(state, State::Queued))
    }

    fn decode(&self, outcome: Option<Outcome<Vec<u8>>>) -> Outcome<T> {
        // `None` only for a future that is polled again after it was ready.
        let bytes = outcome.unwrap_or(Err(TaskError::Cancelled))?;
        decode(&bytes).map_err(|cause| undecodable(self.task, &cause))
    }
}

/// The outcome of a task whose result cannot be read.
pub(super) fn undecodable(task: &str, cause: &impl ToString) -> TaskError {
    TaskError::Undecodable { what: format!("the result of `{task}`"), cause: cause.to_string() }
}

impl<T: DeserializeOwned> Future for TaskHandle<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut inner = self.slot.inner.lock();
        if let State::Done(outcome) = &mut inner.state {
            return Poll::Ready(self.decode(outcome.take()));
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

    fn handle() -> (Arc<Slot>, TaskHandle<u8>) {
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
        slot.finish(Ok(encode(&3u8).unwrap()));
        slot.finish(Err(TaskError::Cancelled));
        assert!(handle.is_done());
        assert_eq!(handle.get(), Ok(3));
    }

    #[test]
    fn a_handle_that_is_not_done_in_time_is_given_back() {
        let (slot, handle) = handle();
        let handle = handle.get_timeout(Duration::from_millis(1)).expect_err("not done");
        slot.finish(Ok(encode(&"text").unwrap()));
        match handle.get_timeout(Duration::MAX) {
            Ok(Err(TaskError::Undecodable { what, .. })) => assert_eq!(what, "the result of `f`"),
            other => panic!("{other:?}"),
        }
    }
}
