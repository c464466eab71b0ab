//! The queue's methods that wait without blocking the thread.

use std::time::Duration;

use super::{GetError, Lease, PutError, Queue, State, put_many};
use crate::signal::Wait;

impl<T> Queue<T> {
    /// Async twin of [`put`](Self::put).
    pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within_async(item, Wait::Ever).await
    }

    /// Async twin of [`put_timeout`](Self::put_timeout).
    pub async fn put_timeout_async(&self, item: T, wait: Duration) -> Result<(), PutError<T>> {
        self.put_within_async(item, wait.into()).await
    }

    /// Async twin of [`put_many`](Self::put_many).
    pub async fn put_many_async(&self, items: Vec<T>) -> Result<(), PutError<Vec<T>>> {
        self.put_many_within_async(items, Wait::Ever).await
    }

    /// Async twin of [`put_many_timeout`](Self::put_many_timeout).
    pub async fn put_many_timeout_async(
        &self,
        items: Vec<T>,
        wait: Duration,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_many_within_async(items, wait.into()).await
    }

    /// Async twin of [`get`](Self::get).
    pub async fn get_async(&self) -> Result<T, GetError> {
        self.get_within_async(Wait::Ever).await
    }

    /// Async twin of [`get_timeout`](Self::get_timeout).
    pub async fn get_timeout_async(&self, wait: Duration) -> Result<T, GetError> {
        self.get_within_async(wait.into()).await
    }

    /// Async twin of [`get_many`](Self::get_many).
    pub async fn get_many_async(&self, max: usize, wait: Duration) -> Result<Vec<T>, GetError> {
        let shared = &*self.shared;
        let got = shared.items.wait_async(&shared.state, wait.into(), |state| state.get_many(max));
        shared.got_many(got.await)
    }

    /// Async twin of [`lease`](Self::lease).
    pub async fn lease_async(&self) -> Result<Lease<T>, GetError> {
        self.lease_within_async(Wait::Ever).await
    }

    /// Async twin of [`lease_timeout`](Self::lease_timeout).
    pub async fn lease_timeout_async(&self, wait: Duration) -> Result<Lease<T>, GetError> {
        self.lease_within_async(wait.into()).await
    }

    /// Async twin of [`join`](Self::join).
    pub async fn join_async(&self) {
        let shared = &*self.shared;
        shared.finished.wait_async(&shared.state, Wait::Ever, State::finished).await;
    }

    /// Async twin of [`join_timeout`](Self::join_timeout).
    pub async fn join_timeout_async(&self, wait: Duration) -> bool {
        let shared = &*self.shared;
        shared.finished.wait_async(&shared.state, wait.into(), State::finished).await.is_some()
    }

    async fn put_within_async(&self, item: T, wait: Wait) -> Result<(), PutError<T>> {
        let shared = &*self.shared;
        let mut item = Some(item);
        let attempt = |state: &mut State<T>| state.put(shared.bound, &mut item);
        let settled = shared.room.wait_async(&shared.state, wait, attempt).await;
        shared.put(item, settled)
    }

    async fn put_many_within_async(
        &self,
        items: Vec<T>,
        wait: Wait,
    ) -> Result<(), PutError<Vec<T>>> {
        let shared = &*self.shared;
        let mut items = items.into_iter();
        let attempt = |state: &mut State<T>| shared.put_some(state, &mut items);
        let settled = shared.room.wait_async(&shared.state, wait, attempt).await;
        put_many(items, settled)
    }

    async fn get_within_async(&self, wait: Wait) -> Result<T, GetError> {
        let shared = &*self.shared;
        shared.got(shared.items.wait_async(&shared.state, wait, State::get).await)
    }

    async fn lease_within_async(&self, wait: Wait) -> Result<Lease<T>, GetError> {
        let shared = &*self.shared;
        let leased = shared.items.wait_async(&shared.state, wait, State::lease).await;
        self.leased(leased)
    }
}
