//! What users see: items instead of bytes.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backend::Core;
use super::batch::Batch;
use super::builder::Builder;
use super::error::{GetError, GetManyError, PutError, QueueError, TooManyDone};
use super::lease::Lease;
use super::terms::{How, Put, Take};
#[cfg(unix)]
use crate::pipe::Waitable;
#[cfg(unix)]
use crate::pipe::wait::source::Source;
use crate::process::attachment;
use crate::task::LARGEST;

/// A queue between processes; see the [module](super).
///
/// Several processes and threads may put and get at once. Cloning gives another handle of the same
/// queue. So does sending it: as an argument of a task, in a message of a pipe, but not over the
/// network. Its memory goes when the last handle does, in whatever process.
pub struct Queue<T> {
    core: Arc<Core>,
    item: PhantomData<fn(T) -> T>,
}

/// How many messages are put in one go.
const CHUNK: usize = 1024;

/// A chunk is not extended beyond so many bytes.
const CHUNK_BYTES: usize = 256 * 1024;

thread_local! {
    /// Where items become bytes and back; kept for its memory.
    static SCRATCH: Cell<Option<Box<Batch>>> = const { Cell::new(None) };
}

/// Runs `work` with an empty batch. Serializing an item may itself use a queue, then with another.
fn with_scratch<R>(work: impl FnOnce(&mut Batch) -> R) -> R {
    let mut batch = SCRATCH.take().unwrap_or_default();
    let result = work(&mut batch);
    batch.clear();
    SCRATCH.set(Some(batch));
    result
}

/// A moment too far away to be a time is as good as none.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    None,
    Until(Option<Instant>),
}

impl<T> Queue<T> {
    /// A queue of at most `max_items` items; 0 for as many as its memory (1 MiB) holds.
    ///
    /// # Errors
    /// If the system refuses the memory.
    pub fn new(max_items: usize) -> Result<Self, QueueError> {
        let builder = Self::builder();
        if max_items == 0 { builder } else { builder.max_items(max_items) }.build()
    }

    /// A queue with settings.
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    /// How many items wait. In the next moment it may be another number.
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether no item waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes no more items: puts fail with `Closed`, in every process. What is in the queue can
    /// still be got; then gets fail with `Closed` as well.
    pub fn close(&self) {
        self.core.close();
    }

    /// Whether somebody closed the queue.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Says that the work for one item that was got is done. ([`Lease::done`] says it by itself.)
    ///
    /// # Errors
    /// If that was said of all items before.
    pub fn task_done(&self) -> Result<(), TooManyDone> {
        if self.core.task_done() { Ok(()) } else { Err(TooManyDone) }
    }

    /// Waits until the work for every item that was ever put is done.
    pub fn join(&self) {
        self.core.join(None);
    }

    /// Waits for that no longer than `timeout`; says whether it came.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.core.join(deadline(timeout))
    }

    pub(super) fn of(core: Core) -> Self {
        Self { core: Arc::new(core), item: PhantomData }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts an item, and waits for space as long as it takes.
    ///
    /// # Errors
    /// If the queue is closed, or the item cannot be serialized; it comes back.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Patience::Until(None))
    }

    /// Puts an item, and waits for space no longer than `timeout`.
    ///
    /// # Errors
    /// As [`put`](Self::put), and `Full`.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, Patience::Until(deadline(timeout)))
    }

    /// Puts an item if there is space.
    ///
    /// # Errors
    /// As [`put`](Self::put), and `Full`.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Patience::None)
    }

    /// Puts items, many at a time, and waits for space as long as it takes. They stay in their order
    /// but others' items may come between them.
    ///
    /// # Errors
    /// As [`put`](Self::put); the items that were taken from the iterator and not put come back. Give
    /// it a `&mut` iterator to have the rest, too.
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        let mut items = items.into_iter();
        loop {
            // The items are kept until they are in: whatever is wrong, they come back.
            let mut chunk = Vec::new();
            let put = with_scratch(|batch| {
                while chunk.len() < CHUNK && batch.bytes.len() < CHUNK_BYTES {
                    let Some(item) = items.next() else { break };
                    let encoded = encode(&item, batch);
                    chunk.push(item);
                    if let Err(cause) = encoded {
                        // Those before it are put.
                        let put = self.put_batch(batch, Patience::Until(None));
                        return put.and(Err((batch.len(), Fail::Unserializable(cause))));
                    }
                }
                self.put_batch(batch, Patience::Until(None))
            });
            if let Err((count, fail)) = put {
                return Err(fail.with(chunk.split_off(count)));
            }
            if chunk.is_empty() {
                return Ok(());
            }
        }
    }

    fn put_within(&self, item: T, patience: Patience) -> Result<(), PutError<T>> {
        let put = with_scratch(|batch| {
            encode(&item, batch).map_err(Fail::Unserializable)?;
            self.put_batch(batch, patience).map_err(|(_, fail)| fail)
        });
        put.map_err(|fail| fail.with(item))
    }

    /// Puts all of a batch; on an error says how many are in.
    pub(super) fn put_batch(&self, batch: &Batch, patience: Patience) -> Result<(), (usize, Fail)> {
        let mut count = 0;
        while count < batch.len() {
            match self.core.try_put(batch, count) {
                Ok(Put::Closed) => return Err((count, Fail::Closed)),
                Ok(Put::Done(0)) => {
                    let in_time = match patience {
                        Patience::None => false,
                        Patience::Until(deadline) => {
                            self.core.wait_for_space(batch.get(count).len(), deadline)
                        }
                    };
                    if !in_time {
                        return Err((count, Fail::Full));
                    }
                }
                Ok(Put::Done(more)) => count += more,
                Err(fault) => return Err((count, Fail::Broken(fault.into()))),
            }
        }
        Ok(())
    }
}

/// A [`PutError`] without its item.
pub(super) enum Fail {
    Full,
    Closed,
    Unserializable(String),
    Broken(QueueError),
}

impl Fail {
    pub(super) fn with<T>(self, item: T) -> PutError<T> {
        match self {
            Self::Full => PutError::Full(item),
            Self::Closed => PutError::Closed(item),
            Self::Unserializable(cause) => PutError::Unserializable { item, cause },
            Self::Broken(source) => PutError::Broken { item, source },
        }
    }
}

pub(super) fn encode<T: Serialize>(item: &T, batch: &mut Batch) -> Result<(), String> {
    batch.push(false, |bytes| {
        let start = bytes.len();
        let mut serializer = rmp_serde::Serializer::new(&mut *bytes).with_struct_map();
        attachment::without(|| item.serialize(&mut serializer)).map_err(|(error, refusal)| {
            match refusal {
                None => error.to_string(),
                Some(_) => "items of a queue cannot hold queues, pipes or shared memory: send \
                            those through a pipe, or as arguments"
                    .to_owned(),
            }
        })?;
        match bytes.len() - start {
            length if length > LARGEST => {
                Err(format!("it takes {length} bytes, more than the {LARGEST} that are allowed"))
            }
            _ => Ok(()),
        }
    })
}

pub(super) fn decode<T: DeserializeOwned>(message: &[u8]) -> Result<T, GetError> {
    attachment::decode(message, Vec::new()).map_err(|error| GetError::Undecodable {
        message: message.to_vec(),
        cause: error.to_string(),
    })
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the next item, and waits for one as long as it takes.
    ///
    /// # Errors
    /// If the queue is closed and empty, or what was put is no `T`.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_within(Patience::Until(None))
    }

    /// Takes the next item, and waits for one no longer than `timeout`.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Empty`.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_within(Patience::Until(deadline(timeout)))
    }

    /// Takes the next item if there is one.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Empty`.
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_within(Patience::None)
    }

    /// Takes up to `most` items, and waits for the first as long as it takes.
    ///
    /// # Errors
    /// As [`get`](Self::get); with what was got beside what could not be read.
    pub fn get_many(&self, most: usize) -> Result<Vec<T>, GetManyError<T>> {
        self.get_many_within(most, Patience::Until(None))
    }

    pub(super) fn get_many_within(
        &self,
        most: usize,
        patience: Patience,
    ) -> Result<Vec<T>, GetManyError<T>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        with_scratch(|batch| {
            if let Err(error) = self.take(most, How::Get, patience, batch) {
                return Err(GetManyError { items: Vec::new(), error });
            }
            let mut items = Vec::with_capacity(batch.len());
            let mut wrong = None;
            for index in 0..batch.len() {
                match decode(batch.get(index)) {
                    Ok(item) => items.push(item),
                    Err(error) => wrong = Some(error),
                }
            }
            match wrong {
                None => Ok(items),
                Some(error) => Err(GetManyError { items, error }),
            }
        })
    }

    /// Takes the next item on lease, and waits for one as long as it takes: unless
    /// [`done`](Lease::done) is called, the item goes back to the queue when the lease is dropped or
    /// this process ends.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn lease(&self) -> Result<Lease<T>, GetError> {
        self.lease_within(Patience::Until(None))
    }

    /// Takes the next item on lease, and waits for one no longer than `timeout`.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Empty`.
    pub fn lease_timeout(&self, timeout: Duration) -> Result<Lease<T>, GetError> {
        self.lease_within(Patience::Until(deadline(timeout)))
    }

    /// Takes the next item on lease if there is one.
    ///
    /// # Errors
    /// As [`get`](Self::get), and `Empty`.
    pub fn try_lease(&self) -> Result<Lease<T>, GetError> {
        self.lease_within(Patience::None)
    }

    fn get_within(&self, patience: Patience) -> Result<T, GetError> {
        with_scratch(|batch| {
            self.take(1, How::Get, patience, batch)?;
            decode(batch.get(0))
        })
    }

    fn lease_within(&self, patience: Patience) -> Result<Lease<T>, GetError> {
        let owner = self.core.owner().map_err(QueueError::from)?;
        with_scratch(|batch| {
            self.take(1, How::Lease(owner), patience, batch)?;
            Lease::new(Arc::clone(&self.core), owner, batch)
        })
    }

    /// Takes at least one message.
    fn take(
        &self,
        most: usize,
        how: How,
        patience: Patience,
        batch: &mut Batch,
    ) -> Result<(), GetError> {
        loop {
            match self.core.try_take(most, how, batch).map_err(QueueError::from)? {
                Take::Closed => return Err(GetError::Closed),
                Take::Done(0) => {}
                Take::Done(_) => return Ok(()),
            }
            let in_time = match (patience, how) {
                (Patience::None, _) => false,
                (Patience::Until(deadline), How::Get) => self.core.wait_for_items(deadline),
                (Patience::Until(deadline), How::Lease(_)) => self.core.wait_to_lease(deadline),
            };
            if !in_time {
                return Err(GetError::Empty);
            }
        }
    }
}

/// Ready when there is an item to get, or never will be.
#[cfg(unix)]
impl<T> Source for Queue<T> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn is_ready(&self) -> bool {
        self.core.is_ready()
    }
}

#[cfg(unix)]
impl<T> Waitable for Queue<T> {}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), item: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish_non_exhaustive()
    }
}
