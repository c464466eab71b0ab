//! The queue's methods that wait without holding up the thread.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Queue;
use super::batch::Batch;
use super::error::{GetError, GetManyError, PutError};
use super::face::{Fail, Patience, deadline, encode};
use super::lease::Lease;

/// What one waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Something to take.
    Items,
    /// Something to lease.
    Lease,
    /// Space for a message of so many bytes.
    Space(usize),
    /// That everything is done.
    Idle,
}

/// All of them need a tokio runtime with its timers, and panic outside of one.
impl<T> Queue<T> {
    /// Async twin of [`join`](Self::join).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn join_async(&self) {
        self.wait_for(What::Idle, None).await;
    }

    /// Async twin of [`join_timeout`](Self::join_timeout).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn join_timeout_async(&self, timeout: Duration) -> bool {
        self.wait_for(What::Idle, deadline(timeout)).await
    }

    /// Waits for it; `false` at the deadline.
    #[cfg(shared_memory)]
    async fn wait_for(&self, what: What, deadline: Option<Instant>) -> bool {
        self.core().wait_async(what, deadline).await
    }

    /// The same where the broker has to be asked, which blocks: on a thread that may be blocked, in
    /// slices, so that a runtime that ends does not wait for us.
    #[cfg(not(shared_memory))]
    async fn wait_for(&self, what: What, deadline: Option<Instant>) -> bool {
        loop {
            let slice = super::face::deadline(Duration::from_millis(200));
            let end = deadline.map_or(slice, |deadline| slice.map(|slice| slice.min(deadline)));
            let core = std::sync::Arc::clone(self.core());
            let wait = move || match what {
                What::Items => core.wait_for_items(end),
                What::Lease => core.wait_to_lease(end),
                What::Space(length) => core.wait_for_space(length, end),
                What::Idle => core.join(end),
            };
            // A panic in it cannot be; if so, we look again.
            if tokio::task::spawn_blocking(wait).await.unwrap_or(false) {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return false;
            }
        }
    }
}

impl<T: Serialize> Queue<T> {
    /// Async twin of [`put`](Self::put). Dropping the future leaves the item out of the queue.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        self.put_by(item, None).await
    }

    /// Async twin of [`put_timeout`](Self::put_timeout).
    ///
    /// # Errors
    /// As [`put_timeout`](Self::put_timeout).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn put_timeout_async(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_by(item, deadline(timeout)).await
    }

    /// Async twin of [`put_many`](Self::put_many). Dropping the future leaves those that were not put
    /// out of the queue.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn put_many_async(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<(), PutError<Vec<T>>> {
        for item in items {
            self.put_by(item, None).await.map_err(|error| error.map(|item| vec![item]))?;
        }
        Ok(())
    }

    async fn put_by(&self, item: T, deadline: Option<Instant>) -> Result<(), PutError<T>> {
        let mut batch = Batch::default();
        if let Err(cause) = encode(&item, &mut batch) {
            return Err(PutError::Unserializable { item, cause });
        }
        let length = batch.get(0).len();
        let mut in_time = true;
        loop {
            match self.put_batch(&batch, Patience::None) {
                Ok(()) => return Ok(()),
                Err((_, Fail::Full)) if in_time => {}
                Err((_, fail)) => return Err(fail.with(item)),
            }
            in_time = self.wait_for(What::Space(length), deadline).await;
        }
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Async twin of [`get`](Self::get). Dropping the future leaves the item in the queue.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn get_async(&self) -> Result<T, GetError> {
        self.take_by(What::Items, None, Self::try_get).await
    }

    /// Async twin of [`get_timeout`](Self::get_timeout).
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn get_timeout_async(&self, timeout: Duration) -> Result<T, GetError> {
        self.take_by(What::Items, deadline(timeout), Self::try_get).await
    }

    /// Async twin of [`get_many`](Self::get_many).
    ///
    /// # Errors
    /// As [`get_many`](Self::get_many).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn get_many_async(&self, most: usize) -> Result<Vec<T>, GetManyError<T>> {
        loop {
            match self.get_many_within(most, Patience::None) {
                Err(GetManyError { items, error: GetError::Empty }) if items.is_empty() => {}
                other => return other,
            }
            self.wait_for(What::Items, None).await;
        }
    }

    /// Async twin of [`lease`](Self::lease).
    ///
    /// # Errors
    /// As [`lease`](Self::lease).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn lease_async(&self) -> Result<Lease<T>, GetError> {
        self.take_by(What::Lease, None, Self::try_lease).await
    }

    /// Async twin of [`lease_timeout`](Self::lease_timeout).
    ///
    /// # Errors
    /// As [`lease_timeout`](Self::lease_timeout).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn lease_timeout_async(&self, timeout: Duration) -> Result<Lease<T>, GetError> {
        self.take_by(What::Lease, deadline(timeout), Self::try_lease).await
    }

    async fn take_by<R>(
        &self,
        what: What,
        deadline: Option<Instant>,
        attempt: fn(&Self) -> Result<R, GetError>,
    ) -> Result<R, GetError> {
        let mut in_time = true;
        loop {
            match attempt(self) {
                Err(GetError::Empty) if in_time => {}
                other => return other,
            }
            in_time = self.wait_for(what, deadline).await;
        }
    }
}
