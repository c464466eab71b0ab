//! Results one by one, from inputs one by one.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use super::engine::Engine;
use super::error::SubmitError;
use super::ticket::{Arrived, Destination, Numbered, Ticket, open};
use crate::cooperate;
use crate::task::{Outcome, Task, TaskError};

/// How many inputs per worker may be on their way at once, unless chunks are larger.
pub(super) const WINDOW: usize = 64;

/// While a result is at hand, how many inputs are taken before it is given out. More than one, so
/// that the workers' supply grows; few, so that a slow source of inputs does not hold it up.
const AHEAD: usize = 2;

/// Tells a coroutine, which waits for a result, that there is one.
pub(super) type Arrival = AtomicWaker;

/// The iterator behind `imap` and `imap_unordered`.
///
/// It takes inputs only while the caller waits for a result, and never has more than a fixed number
/// on their way, so that neither inputs nor results pile up. Dropping it cancels what has not begun.
pub(super) struct Imap<'pool, E: Engine + ?Sized, T: Task, I> {
    pool: &'pool E,
    task: PhantomData<T>,
    /// `None` once it is exhausted, or the pool takes no more.
    inputs: Option<I>,
    ordered: bool,
    taken: u64,
    given: u64,
    results: Receiver<Numbered<T::Output>>,
    /// Cloned into every job; kept so that `results` never ends.
    sender: Sender<Numbered<T::Output>>,
    /// Results at hand, by the index of their input; at most as many as the pool's window.
    held: BTreeMap<u64, Outcome<Arrived<T::Output>>>,
    /// Told after each result.
    arrival: Arc<Arrival>,
    dropped: Arc<AtomicBool>,
}

impl<'pool, E: Engine + ?Sized, T: Task, I: Iterator<Item = T::Args>> Imap<'pool, E, T, I> {
    pub(super) fn new(pool: &'pool E, inputs: I, ordered: bool) -> Self {
        let (sender, results) = channel();
        Self {
            pool,
            task: PhantomData,
            inputs: Some(inputs),
            ordered,
            taken: 0,
            given: 0,
            results,
            sender,
            held: BTreeMap::new(),
            arrival: Arc::default(),
            dropped: Arc::default(),
        }
    }

    /// Submits inputs as far as the window allows.
    fn top_up(&mut self) {
        let mut ahead = 0;
        // Asked each time: a pool of machines has more or fewer workers by the hour.
        let window = self.pool.window() as u64;
        while self.taken - self.given < window && (ahead < AHEAD || !self.is_ready()) {
            let Some(args) = self.inputs.as_mut().and_then(Iterator::next) else {
                self.inputs = None;
                return;
            };
            let index = self.taken;
            self.taken += 1;
            ahead += 1;
            match self.submit(index, args) {
                Ok(()) => {}
                // The job is gone, and has delivered its outcome: `Cancelled` or `Disconnected`.
                Err(SubmitError::Closed | SubmitError::Disconnected { .. }) => self.inputs = None,
                Err(error) => drop(self.held.insert(index, Err(error.into()))),
            }
        }
    }

    fn submit(&self, index: u64, args: T::Args) -> Result<(), SubmitError> {
        let job = E::job::<T>(args, true, || {
            let (results, dropped) = (self.sender.clone(), Arc::clone(&self.dropped));
            let arrival = Arc::clone(&self.arrival);
            let stream = Destination::Stream { index, results, arrival, dropped };
            Ticket::new(stream, self.pool.progress())
        })?;
        self.pool.submit(std::iter::once(job))
    }

    /// Whether the next result can be given out without waiting.
    fn is_ready(&mut self) -> bool {
        self.held.extend(self.results.try_iter());
        if self.ordered { self.held.contains_key(&self.given) } else { !self.held.is_empty() }
    }

    /// Waits for a result.
    fn receive(&self) -> Result<Numbered<T::Output>, RecvError> {
        if !cooperate::within() {
            return self.results.recv();
        }
        cooperate::wait(poll_fn(|context| {
            // Before the look, so that no result after it is missed.
            self.arrival.register(context.waker());
            match self.results.try_recv() {
                Ok(result) => Poll::Ready(Ok(result)),
                Err(TryRecvError::Empty) => Poll::Pending,
                Err(TryRecvError::Disconnected) => Poll::Ready(Err(RecvError)),
            }
        }))
    }

    fn take(&mut self) -> Option<Outcome<Arrived<T::Output>>> {
        if self.ordered {
            self.held.remove(&self.given)
        } else {
            self.held.pop_first().map(|(_, outcome)| outcome)
        }
    }
}

impl<E: Engine + ?Sized, T: Task, I: Iterator<Item = T::Args>> Iterator for Imap<'_, E, T, I> {
    type Item = Outcome<T::Output>;

    fn next(&mut self) -> Option<Self::Item> {
        self.top_up();
        if self.taken == self.given {
            return None;
        }
        let outcome = loop {
            if let Some(outcome) = self.take() {
                break outcome;
            }
            match self.receive() {
                Ok((index, outcome)) => drop(self.held.insert(index, outcome)),
                // Not reached: we hold a sender ourselves.
                Err(_) => break Err(TaskError::Cancelled),
            }
        };
        self.given += 1;
        Some(open(outcome, T::NAME))
    }
}

impl<E: Engine + ?Sized, T: Task, I> Drop for Imap<'_, E, T, I> {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        if self.taken > self.given {
            self.pool.cancel_unwanted();
        }
    }
}
