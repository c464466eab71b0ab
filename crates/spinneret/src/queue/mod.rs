//! A queue between the threads and async tasks of one process.
//!
//! It has the vocabulary of the queues between processes and machines
//! ([`manager::Queue`](crate::manager::Queue)): `put`, `get`, `lease`, `join`, `close`.
//!
//! ```
//! use spinneret::queue::{GetError, Queue};
//!
//! let queue = Queue::bounded(2);
//! let numbers = queue.clone();
//! let writer = std::thread::spawn(move || {
//!     for number in 1..=3 {
//!         numbers.put(number).expect("nobody closes it before");
//!     }
//!     numbers.close();
//! });
//! let mut sum = 0;
//! while let Ok(number) = queue.get() {
//!     sum += number;
//! }
//! assert_eq!(sum, 6);
//! assert_eq!(queue.get(), Err(GetError::Closed));
//! # writer.join().unwrap();
//! ```

mod error;
mod lease;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

pub use self::error::{GetError, PutError};
pub use self::lease::Lease;
use crate::signal::{Mutex, Signal, Wait};

/// First in, first out, for any number of writers and readers. Clones are the same queue.
///
/// Methods that block the thread have async twins, named `..._async`. Dropping the future of one
/// loses no item that is in the queue; an item that was to be put is dropped with the future. Those
/// with a time limit need a tokio runtime, the others run anywhere.
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// How many items may wait.
    bound: usize,
    state: Mutex<State<T>>,
    /// There is something to get, or it is known that there will be nothing.
    items: Signal,
    /// There is room, or it is known that there will be none.
    room: Signal,
    /// Nothing is queued or leased.
    finished: Signal,
}

struct State<T> {
    queue: VecDeque<Waiting<T>>,
    /// Items that were leased and may come back.
    leased: usize,
    closed: bool,
}

/// An item in the queue.
struct Waiting<T> {
    item: T,
    /// How often it was leased before.
    deliveries: u32,
}

impl<T> Queue<T> {
    /// A queue that always has room.
    pub fn new() -> Self {
        Self::bounded(usize::MAX)
    }

    /// A queue in which no more than `bound` items wait. Leased items do not count, and have room
    /// when they come back. With 0 there is never room.
    pub fn bounded(bound: usize) -> Self {
        let state = State { queue: VecDeque::new(), leased: 0, closed: false };
        let state = Mutex::new(state);
        let (items, room, finished) = <(Signal, Signal, Signal)>::default();
        Self { shared: Arc::new(Shared { bound, state, items, room, finished }) }
    }

    /// Puts an item at the end, waiting for room.
    ///
    /// # Errors
    /// [`Closed`](PutError::Closed), with the item.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Wait::Ever)
    }

    /// Puts an item at the end, waiting for room up to this long.
    ///
    /// # Errors
    /// [`Full`](PutError::Full) or [`Closed`](PutError::Closed), with the item.
    pub fn put_timeout(&self, item: T, wait: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, wait.into())
    }

    /// Puts an item at the end if there is room.
    ///
    /// # Errors
    /// As [`put_timeout`](Self::put_timeout).
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Wait::Never)
    }

    /// Puts items at the end in order, waiting for room. Items of others may come between them if
    /// it has to wait.
    ///
    /// # Errors
    /// [`Closed`](PutError::Closed), with the items from the first that was not put.
    pub fn put_many(&self, items: Vec<T>) -> Result<(), PutError<Vec<T>>> {
        self.put_many_within(items, Wait::Ever)
    }

    /// As [`put_many`](Self::put_many), waiting for room up to this long.
    ///
    /// # Errors
    /// [`Full`](PutError::Full) or [`Closed`](PutError::Closed), with the items from the first that
    /// was not put.
    pub fn put_many_timeout(&self, items: Vec<T>, wait: Duration) -> Result<(), PutError<Vec<T>>> {
        self.put_many_within(items, wait.into())
    }

    /// Takes the item at the head for good, waiting for one.
    ///
    /// # Errors
    /// [`Closed`](GetError::Closed) once the queue is closed and drained. As long as a leased item
    /// may come back it is not drained: finish what you hold before you ask for more.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_within(Wait::Ever)
    }

    /// Takes the item at the head for good, waiting for one up to this long.
    ///
    /// # Errors
    /// [`Empty`](GetError::Empty), or [`Closed`](GetError::Closed) once the queue is closed and
    /// drained.
    pub fn get_timeout(&self, wait: Duration) -> Result<T, GetError> {
        self.get_within(wait.into())
    }

    /// Takes the item at the head for good, if there is one.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_within(Wait::Never)
    }

    /// Takes from one item to `max` for good, waiting for the first up to this long.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn get_many(&self, max: usize, wait: Duration) -> Result<Vec<T>, GetError> {
        let shared = &*self.shared;
        let got = shared.items.wait(&shared.state, wait.into(), |state| state.get_many(max));
        shared.got_many(got)
    }

    /// Takes the item at the head to work on it, waiting for one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn lease(&self) -> Result<Lease<T>, GetError> {
        self.lease_within(Wait::Ever)
    }

    /// Takes the item at the head to work on it, waiting for one up to this long.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn lease_timeout(&self, wait: Duration) -> Result<Lease<T>, GetError> {
        self.lease_within(wait.into())
    }

    /// Finishes a leased item: [`Lease::done`] in Python's word for it.
    pub fn task_done(&self, lease: Lease<T>) {
        lease.done();
    }

    /// Waits until every item that was put is finished: got, or leased and [`done`](Lease::done).
    pub fn join(&self) {
        let shared = &*self.shared;
        shared.finished.wait(&shared.state, Wait::Ever, State::finished);
    }

    /// As [`join`](Self::join), for up to this long; `false` if there is still something to do.
    pub fn join_timeout(&self, wait: Duration) -> bool {
        let shared = &*self.shared;
        shared.finished.wait(&shared.state, wait.into(), State::finished).is_some()
    }

    /// How many items wait; leased ones do not count.
    pub fn len(&self) -> usize {
        self.shared.state.lock().queue.len()
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes the queue: puts fail from now on, and gets fail once it is drained.
    pub fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.items.all();
        self.shared.room.all();
    }

    /// Whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
    }

    fn put_within(&self, item: T, wait: Wait) -> Result<(), PutError<T>> {
        let shared = &*self.shared;
        let mut item = Some(item);
        let settled =
            shared.room.wait(&shared.state, wait, |state| state.put(shared.bound, &mut item));
        shared.put(item, settled)
    }

    fn put_many_within(&self, items: Vec<T>, wait: Wait) -> Result<(), PutError<Vec<T>>> {
        let shared = &*self.shared;
        let mut items = items.into_iter();
        let settled =
            shared.room.wait(&shared.state, wait, |state| shared.put_some(state, &mut items));
        put_many(items, settled)
    }

    fn get_within(&self, wait: Wait) -> Result<T, GetError> {
        let shared = &*self.shared;
        shared.got(shared.items.wait(&shared.state, wait, State::get))
    }

    fn lease_within(&self, wait: Wait) -> Result<Lease<T>, GetError> {
        let shared = &*self.shared;
        let leased = shared.items.wait(&shared.state, wait, State::lease);
        self.leased(leased)
    }

    fn leased(&self, leased: Option<Result<Waiting<T>, GetError>>) -> Result<Lease<T>, GetError> {
        let item = leased.unwrap_or(Err(GetError::Empty))?;
        self.shared.room.one();
        Ok(Lease::new(Arc::clone(&self.shared), item))
    }
}

/// What came of an attempt to put many, after which some may be left over.
fn put_many<T>(rest: vec::IntoIter<T>, settled: Option<()>) -> Result<(), PutError<Vec<T>>> {
    match settled {
        _ if rest.as_slice().is_empty() => Ok(()),
        Some(()) => Err(PutError::Closed(rest.collect())),
        None => Err(PutError::Full(rest.collect())),
    }
}

impl<T> Shared<T> {
    /// What came of an attempt to put an item, after which it may be left over.
    fn put(&self, item: Option<T>, settled: Option<()>) -> Result<(), PutError<T>> {
        match (item, settled) {
            (None, _) => {
                self.items.one();
                Ok(())
            }
            (Some(item), Some(())) => Err(PutError::Closed(item)),
            (Some(item), None) => Err(PutError::Full(item)),
        }
    }

    /// Puts as many as there is room for; `None` to be continued.
    fn put_some(&self, state: &mut State<T>, items: &mut vec::IntoIter<T>) -> Option<()> {
        if state.closed {
            return Some(());
        }
        let room = self.bound.saturating_sub(state.queue.len());
        let put = items.by_ref().take(room).map(|item| Waiting { item, deliveries: 0 });
        state.queue.extend(put);
        if room > 0 {
            // At once, so that those who get make more room.
            self.items.all();
        }
        items.as_slice().is_empty().then_some(())
    }

    fn got(&self, got: Option<Result<(T, Left), GetError>>) -> Result<T, GetError> {
        let (item, left) = got.unwrap_or(Err(GetError::Empty))?;
        self.room.one();
        self.tell(left);
        Ok(item)
    }

    fn got_many(&self, got: Option<Result<(Vec<T>, Left), GetError>>) -> Result<Vec<T>, GetError> {
        let (items, left) = got.unwrap_or(Err(GetError::Empty))?;
        self.room.all();
        self.tell(left);
        Ok(items)
    }

    /// Ends a lease, with the item if it comes back.
    fn settle(&self, back: Option<Waiting<T>>) {
        let mut state = self.state.lock();
        state.leased -= 1;
        let returned = back.is_some();
        // Not `extend`, which is for the other end.
        if let Some(item) = back {
            state.queue.push_front(item);
        }
        let left = state.left();
        drop(state);
        if returned {
            self.items.one();
        }
        self.tell(left);
    }

    /// Wakes those who wait for the end.
    fn tell(&self, left: Left) {
        if left == Left::Nothing {
            self.finished.all();
            // Some may wait for an item that will not come if the queue is closed.
            self.items.all();
        }
    }
}

/// Whether anything is queued or leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Something,
    Nothing,
}

impl<T> State<T> {
    fn left(&self) -> Left {
        if self.queue.is_empty() && self.leased == 0 { Left::Nothing } else { Left::Something }
    }

    fn finished(&mut self) -> Option<()> {
        (self.left() == Left::Nothing).then_some(())
    }

    /// Takes the item if there is room for it, and leaves it if the queue is closed; `None` to wait.
    fn put(&mut self, bound: usize, item: &mut Option<T>) -> Option<()> {
        if self.closed {
            return Some(());
        }
        if self.queue.len() < bound {
            self.queue.extend(item.take().map(|item| Waiting { item, deliveries: 0 }));
            return Some(());
        }
        None
    }

    fn get(&mut self) -> Option<Result<(T, Left), GetError>> {
        match self.queue.pop_front() {
            Some(Waiting { item, .. }) => Some(Ok((item, self.left()))),
            None => self.nothing(),
        }
    }

    fn get_many(&mut self, max: usize) -> Option<Result<(Vec<T>, Left), GetError>> {
        if self.queue.is_empty() {
            return self.nothing();
        }
        let some = ..max.min(self.queue.len());
        let items = self.queue.drain(some).map(|Waiting { item, .. }| item).collect();
        Some(Ok((items, self.left())))
    }

    fn lease(&mut self) -> Option<Result<Waiting<T>, GetError>> {
        match self.queue.pop_front() {
            Some(item) => {
                self.leased += 1;
                Some(Ok(item))
            }
            None => self.nothing(),
        }
    }

    /// Why there is no item: `None` if there may be one yet.
    fn nothing<R>(&self) -> Option<Result<R, GetError>> {
        (self.closed && self.left() == Left::Nothing).then_some(Err(GetError::Closed))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Queue")
            .field("len", &state.queue.len())
            .field("leased", &state.leased)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
