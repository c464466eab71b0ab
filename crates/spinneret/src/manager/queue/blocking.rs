//! The queue's methods that block the thread.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::{DeadLetter, Queue, Waiting};
use crate::manager::{
    error::{GetError, ManagerError, PutError},
    lease::{Lease, LeaseToken},
    runtime::block_on,
    store::{PutOptions, QueueStats},
};

impl<T> Queue<T>
where
    T: Serialize + DeserializeOwned,
{
    /// Puts an item at the end, waiting for room.
    ///
    /// # Errors
    /// Gives the item back if the queue is closed or the manager cannot be asked.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        block_on(self.put_async(item))
    }

    /// Puts an item at the end, waiting for room up to this long.
    ///
    /// # Errors
    /// Gives the item back if the queue stays full or is closed, or the manager cannot be asked.
    pub fn put_timeout(&self, item: T, wait: Duration) -> Result<(), PutError<T>> {
        block_on(self.put_timeout_async(item, wait))
    }

    /// Puts an item at the end if there is room.
    ///
    /// # Errors
    /// Gives the item back if the queue is full or closed, or the manager cannot be asked.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        block_on(self.try_put_async(item))
    }

    /// Puts items at the end in order, waiting for room; much cheaper than one by one.
    ///
    /// # Errors
    /// Gives back the items from the first that was not put, if the queue is closed, an item
    /// cannot be written or the manager cannot be asked.
    pub fn put_many(&self, items: Vec<T>) -> Result<(), PutError<Vec<T>>> {
        block_on(self.put_many_async(items))
    }

    /// Puts items at the end in order, waiting for room up to this long.
    ///
    /// # Errors
    /// Gives back the items from the first that was not put.
    pub fn put_many_timeout(&self, items: Vec<T>, wait: Duration) -> Result<(), PutError<Vec<T>>> {
        block_on(self.put_many_timeout_async(items, wait))
    }

    /// Puts an item with a priority, a delay or a dedupe key, waiting for room. False if it was
    /// dropped: another with its key was put not long ago.
    ///
    /// ```
    /// use std::time::Duration;
    /// use spinneret::manager::{AuthKey, Manager, PutOptions, QueueOptions};
    ///
    /// let manager = Manager::builder()
    ///     .listen("127.0.0.1:0")
    ///     .authkey(AuthKey::new("qiye"))
    ///     .register("pages", QueueOptions::new())
    ///     .start()?;
    /// let pages = manager.queue::<String>("pages")?;
    /// let once = PutOptions::new().dedupe("a", Duration::from_secs(3600));
    /// assert!(pages.put_with("a".into(), once.clone())?);
    /// assert!(!pages.put_with("a".into(), once)?, "it is there already");
    /// pages.put_with("urgent".into(), PutOptions::new().priority(9))?;
    /// assert_eq!(pages.get()?, "urgent");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_with(&self, item: T, options: PutOptions) -> Result<bool, PutError<T>> {
        block_on(self.put_with_async(item, options))
    }

    /// As [`put_with`](Self::put_with), waiting for room up to this long.
    ///
    /// # Errors
    /// As [`put_timeout`](Self::put_timeout).
    pub fn put_with_timeout(
        &self,
        item: T,
        options: PutOptions,
        wait: Duration,
    ) -> Result<bool, PutError<T>> {
        block_on(self.put_with_timeout_async(item, options, wait))
    }

    /// Puts items in order, each in its own way, waiting for room. Returns how many of them were
    /// dropped as duplicates.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many).
    pub fn put_many_with(
        &self,
        items: Vec<(T, PutOptions)>,
    ) -> Result<usize, PutError<Vec<(T, PutOptions)>>> {
        block_on(self.put_many_with_async(items))
    }

    /// As [`put_many_with`](Self::put_many_with), waiting for room up to this long.
    ///
    /// # Errors
    /// As [`put_many_timeout`](Self::put_many_timeout).
    pub fn put_many_with_timeout(
        &self,
        items: Vec<(T, PutOptions)>,
        wait: Duration,
    ) -> Result<usize, PutError<Vec<(T, PutOptions)>>> {
        block_on(self.put_many_with_timeout_async(items, wait))
    }

    /// Takes the item at the head for good, waiting for one.
    ///
    /// Over a connection an item is struck off only when it has arrived: one whose taker died while
    /// waiting goes to another. The manager hears of the arrival with the client's next request or
    /// within about 25 milliseconds, and until then counts the item as leased; if the connection
    /// breaks before, the item comes again.
    ///
    /// # Errors
    /// If the queue is closed and drained, the item is no `T`, or the manager cannot be asked.
    pub fn get(&self) -> Result<T, GetError> {
        block_on(self.get_async())
    }

    /// Takes the item at the head for good, waiting for one up to this long.
    ///
    /// # Errors
    /// If there is none, the queue is closed and drained, the item is no `T`, or the manager
    /// cannot be asked.
    pub fn get_timeout(&self, wait: Duration) -> Result<T, GetError> {
        block_on(self.get_timeout_async(wait))
    }

    /// Takes the item at the head for good, if there is one.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn try_get(&self) -> Result<T, GetError> {
        block_on(self.try_get_async())
    }

    /// Takes from one item to `max` for good, waiting for the first up to this long. Items that
    /// are no `T`s become dead letters.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout), if there is not one `T`.
    pub fn get_many(&self, max: usize, wait: Duration) -> Result<Vec<T>, GetError> {
        block_on(self.get_many_async(max, wait))
    }

    /// Takes the item at the head to work on it, waiting for one. If it is not finished within
    /// `hold`, or the connection breaks, it goes back to the head, for another.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn lease(&self, hold: Duration) -> Result<Lease<T>, GetError> {
        block_on(self.lease_async(hold))
    }

    /// As [`lease`](Self::lease), waiting for an item up to `wait`.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn lease_timeout(&self, hold: Duration, wait: Duration) -> Result<Lease<T>, GetError> {
        block_on(self.lease_timeout_async(hold, wait))
    }

    /// Takes from one item to `max` to work on them, waiting for the first up to `wait`.
    ///
    /// # Errors
    /// As [`get_many`](Self::get_many).
    pub fn lease_many(
        &self,
        max: usize,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease<T>>, GetError> {
        block_on(self.lease_many_async(max, hold, wait))
    }

    /// Finishes a leased item.
    ///
    /// # Errors
    /// [`ManagerError::LeaseLost`] if the lease is over; others if the manager cannot be asked.
    pub fn task_done(&self, lease: impl Into<LeaseToken>) -> Result<(), ManagerError> {
        block_on(self.task_done_async(lease))
    }

    /// Finishes leased items. Returns the numbers of leases that were over already: their items
    /// may be given to others.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn task_done_many<L: Into<LeaseToken>>(
        &self,
        leases: impl IntoIterator<Item = L>,
    ) -> Result<Vec<u64>, ManagerError> {
        block_on(self.task_done_many_async(leases))
    }

    /// Holds leased items of this queue for this long from now. Returns the numbers of leases that
    /// were over already.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn extend_many<L: AsRef<LeaseToken>>(
        &self,
        leases: &[L],
        hold: Duration,
    ) -> Result<Vec<u64>, ManagerError> {
        block_on(self.extend_many_async(leases, hold))
    }

    /// Says that an item that was got is done, as a worker in Python says by `task_done()`: once
    /// for each item, when the work on it is over.
    ///
    /// It is for queues of Python's kind: those of a Python server, and what
    /// [`Client::new_queue`](crate::manager::Client::new_queue) makes. There an item that was got
    /// counts as undone until this is called, and [`join`](Self::join) waits for it. In a manager's
    /// named queue an item that was got is done at once (to have `join` wait for it, lease it), and
    /// this does nothing; so a worker that calls it works with both.
    ///
    /// # Errors
    /// [`ManagerError::TaskDoneTooOften`] if it was called for every item already; others if the
    /// manager cannot be asked.
    pub fn task_done_after_get(&self) -> Result<(), ManagerError> {
        block_on(self.task_done_after_get_async())
    }

    /// Waits until every item that was put is done or a dead letter.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn join(&self) -> Result<(), ManagerError> {
        block_on(self.join_async())
    }

    /// As [`join`](Self::join), for up to this long; false if there is still something to do.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn join_timeout(&self, wait: Duration) -> Result<bool, ManagerError> {
        block_on(self.join_timeout_async(wait))
    }

    /// How many items are queued; leased ones do not count.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    #[expect(clippy::len_without_is_empty, reason = "either may fail, and both may be old news")]
    pub fn len(&self) -> Result<usize, ManagerError> {
        block_on(self.len_async())
    }

    /// The queue in numbers.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn stats(&self) -> Result<QueueStats, ManagerError> {
        block_on(self.stats_async())
    }

    /// Closes the queue: puts fail from now on, and gets fail once it is drained. While another
    /// connection holds an item, gets wait for that, since it may come back; not for what is held
    /// without a deadline by one that waits for an item itself. What comes back when nobody waits
    /// any more is there for the next get.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn close(&self) -> Result<(), ManagerError> {
        block_on(self.close_async())
    }

    /// Up to `max` dead letters, oldest first. They stay.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn dead(&self, max: usize) -> Result<Vec<DeadLetter<T>>, ManagerError> {
        block_on(self.dead_async(max))
    }

    /// Takes up to `max` dead letters for good, oldest first.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn take_dead(&self, max: usize) -> Result<Vec<DeadLetter<T>>, ManagerError> {
        block_on(self.take_dead_async(max))
    }

    /// Puts all dead letters at the queue's end, as if never delivered. Returns how many.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn requeue_dead(&self) -> Result<usize, ManagerError> {
        block_on(self.requeue_dead_async())
    }

    /// Puts the dead letters of these numbers at the end as if never delivered. Returns how many
    /// of them there were.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn requeue_dead_letters(&self, ids: &[u64]) -> Result<usize, ManagerError> {
        block_on(self.requeue_dead_letters_async(ids))
    }

    /// Removes the dead letters of these numbers. Returns the numbers of those that were not
    /// there.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn drop_dead(&self, ids: &[u64]) -> Result<Vec<u64>, ManagerError> {
        block_on(self.drop_dead_async(ids))
    }

    /// Looks at up to `max` queued items after the first `skip` without taking them, in the order
    /// in which they would be taken now; delayed ones come last.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn peek(&self, skip: usize, max: usize) -> Result<Vec<Waiting<T>>, ManagerError> {
        block_on(self.peek_async(skip, max))
    }
}
