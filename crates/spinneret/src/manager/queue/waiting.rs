//! The queue's async methods.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{DeadLetter, Queue, Waiting, first};
use crate::manager::{
    error::{GetError, ManagerError, PutError},
    items::{encode, unexpected},
    lease::{Lease, LeaseToken, finish, settle},
    link::Link,
    store::{PutOptions, QueueStats, Settle},
    wire::{Reply, Request, Wait},
};

impl<T> Queue<T>
where
    T: Serialize + DeserializeOwned,
{
    /// Async twin of [`put`](Self::put).
    pub async fn put_async(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, None, plain).await.map(drop)
    }

    /// Async twin of [`put_timeout`](Self::put_timeout).
    pub async fn put_timeout_async(&self, item: T, wait: Duration) -> Result<(), PutError<T>> {
        self.put_within(item, Some(wait), plain).await.map(drop)
    }

    /// Async twin of [`try_put`](Self::try_put).
    pub async fn try_put_async(&self, item: T) -> Result<(), PutError<T>> {
        self.put_within(item, Some(Duration::ZERO), plain).await.map(drop)
    }

    /// Async twin of [`put_many`](Self::put_many).
    pub async fn put_many_async(&self, items: Vec<T>) -> Result<(), PutError<Vec<T>>> {
        self.put_all_within(items, None, encode).await.map(drop)
    }

    /// Async twin of [`put_many_timeout`](Self::put_many_timeout).
    pub async fn put_many_timeout_async(
        &self,
        items: Vec<T>,
        wait: Duration,
    ) -> Result<(), PutError<Vec<T>>> {
        self.put_all_within(items, Some(wait), encode).await.map(drop)
    }

    /// Async twin of [`put_with`](Self::put_with).
    pub async fn put_with_async(&self, item: T, options: PutOptions) -> Result<bool, PutError<T>> {
        self.put_within(item, None, |item| (item, options)).await
    }

    /// Async twin of [`put_with_timeout`](Self::put_with_timeout).
    pub async fn put_with_timeout_async(
        &self,
        item: T,
        options: PutOptions,
        wait: Duration,
    ) -> Result<bool, PutError<T>> {
        self.put_within(item, Some(wait), |item| (item, options)).await
    }

    /// Async twin of [`put_many_with`](Self::put_many_with).
    pub async fn put_many_with_async(
        &self,
        items: Vec<(T, PutOptions)>,
    ) -> Result<usize, PutError<Vec<(T, PutOptions)>>> {
        self.put_all_within(items, None, with_options).await
    }

    /// Async twin of [`put_many_with_timeout`](Self::put_many_with_timeout).
    pub async fn put_many_with_timeout_async(
        &self,
        items: Vec<(T, PutOptions)>,
        wait: Duration,
    ) -> Result<usize, PutError<Vec<(T, PutOptions)>>> {
        self.put_all_within(items, Some(wait), with_options).await
    }

    /// Async twin of [`get`](Self::get).
    pub async fn get_async(&self) -> Result<T, GetError> {
        self.get_within(1, Wait::Forever).await.and_then(first)
    }

    /// Async twin of [`get_timeout`](Self::get_timeout).
    pub async fn get_timeout_async(&self, wait: Duration) -> Result<T, GetError> {
        self.get_within(1, Some(wait).into()).await.and_then(first)
    }

    /// Async twin of [`try_get`](Self::try_get).
    pub async fn try_get_async(&self) -> Result<T, GetError> {
        self.get_within(1, Wait::No).await.and_then(first)
    }

    /// Async twin of [`get_many`](Self::get_many).
    pub async fn get_many_async(&self, max: usize, wait: Duration) -> Result<Vec<T>, GetError> {
        self.get_within(max, Some(wait).into()).await
    }

    /// Async twin of [`lease`](Self::lease).
    pub async fn lease_async(&self, hold: Duration) -> Result<Lease<T>, GetError> {
        self.lease_within(1, hold, Wait::Forever).await.and_then(first)
    }

    /// Async twin of [`lease_timeout`](Self::lease_timeout).
    pub async fn lease_timeout_async(
        &self,
        hold: Duration,
        wait: Duration,
    ) -> Result<Lease<T>, GetError> {
        self.lease_within(1, hold, Some(wait).into()).await.and_then(first)
    }

    /// Async twin of [`lease_many`](Self::lease_many).
    pub async fn lease_many_async(
        &self,
        max: usize,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Lease<T>>, GetError> {
        self.lease_within(max, hold, Some(wait).into()).await
    }

    /// Async twin of [`task_done`](Self::task_done).
    pub async fn task_done_async(&self, lease: impl Into<LeaseToken>) -> Result<(), ManagerError> {
        let token: LeaseToken = lease.into();
        token.done_async().await
    }

    /// Async twin of [`task_done_many`](Self::task_done_many).
    pub async fn task_done_many_async<L: Into<LeaseToken>>(
        &self,
        leases: impl IntoIterator<Item = L>,
    ) -> Result<Vec<u64>, ManagerError> {
        finish(leases.into_iter().map(Into::into).collect()).await
    }

    /// Async twin of [`extend_many`](Self::extend_many).
    pub async fn extend_many_async<L: AsRef<LeaseToken>>(
        &self,
        leases: &[L],
        hold: Duration,
    ) -> Result<Vec<u64>, ManagerError> {
        let leases = leases.iter().map(|lease| lease.as_ref().id()).collect();
        settle(&self.link, &self.name, leases, Settle::Extend { hold }).await
    }

    /// Async twin of [`task_done_after_get`](Self::task_done_after_get).
    pub async fn task_done_after_get_async(&self) -> Result<(), ManagerError> {
        match &self.link {
            Link::Python(queues) => queues.task_done(&self.name).await,
            Link::Local(_) | Link::Remote(_) => Ok(()),
        }
    }

    /// Async twin of [`join`](Self::join).
    pub async fn join_async(&self) -> Result<(), ManagerError> {
        self.join_within(Wait::Forever).await.map(drop)
    }

    /// Async twin of [`join_timeout`](Self::join_timeout).
    pub async fn join_timeout_async(&self, wait: Duration) -> Result<bool, ManagerError> {
        self.join_within(Some(wait).into()).await
    }

    /// Async twin of [`len`](Self::len).
    pub async fn len_async(&self) -> Result<usize, ManagerError> {
        if let Link::Python(queues) = &self.link {
            return queues.len(&self.name).await;
        }
        Ok(usize::try_from(self.stats_async().await?.queued).unwrap_or(usize::MAX))
    }

    /// Async twin of [`stats`](Self::stats).
    pub async fn stats_async(&self) -> Result<QueueStats, ManagerError> {
        match self.link.call(Request::Stats { queue: self.name.clone() }).await? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(unexpected(&other)),
        }
    }

    /// Async twin of [`close`](Self::close).
    pub async fn close_async(&self) -> Result<(), ManagerError> {
        self.link.call(Request::Close { queue: self.name.clone() }).await.map(drop)
    }

    /// Async twin of [`peek`](Self::peek).
    pub async fn peek_async(
        &self,
        skip: usize,
        max: usize,
    ) -> Result<Vec<Waiting<T>>, ManagerError> {
        self.peek_within(skip, max).await
    }

    /// Async twin of [`dead`](Self::dead).
    pub async fn dead_async(&self, max: usize) -> Result<Vec<DeadLetter<T>>, ManagerError> {
        self.dead_letters(max).await
    }

    /// Async twin of [`take_dead`](Self::take_dead). If its future is dropped before its end, dead
    /// letters may be gone.
    pub async fn take_dead_async(&self, max: usize) -> Result<Vec<DeadLetter<T>>, ManagerError> {
        let found = self.dead_letters(max).await?;
        let ids: Vec<u64> = found.iter().map(|letter| letter.id).collect();
        // Two may see the same letter; it belongs to the one who removes it.
        let taken = self.drop_dead_async(&ids).await?;
        Ok(found.into_iter().filter(|letter| !taken.contains(&letter.id)).collect())
    }

    /// Async twin of [`requeue_dead`](Self::requeue_dead).
    pub async fn requeue_dead_async(&self) -> Result<usize, ManagerError> {
        self.requeue(None).await
    }

    /// Async twin of [`requeue_dead_letters`](Self::requeue_dead_letters).
    pub async fn requeue_dead_letters_async(&self, ids: &[u64]) -> Result<usize, ManagerError> {
        self.requeue(Some(ids.to_vec())).await
    }

    /// Async twin of [`drop_dead`](Self::drop_dead).
    pub async fn drop_dead_async(&self, ids: &[u64]) -> Result<Vec<u64>, ManagerError> {
        let drop = Request::DropDead { queue: self.name.clone(), ids: ids.to_vec() };
        match self.link.call(drop).await? {
            Reply::Lost(missing) => Ok(missing),
            other => Err(unexpected(&other)),
        }
    }

    async fn requeue(&self, ids: Option<Vec<u64>>) -> Result<usize, ManagerError> {
        match self.link.call(Request::RequeueDead { queue: self.name.clone(), ids }).await? {
            Reply::Count(count) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            other => Err(unexpected(&other)),
        }
    }
}

/// An item without options.
fn plain(item: Bytes) -> Bytes {
    item
}

/// An item with the options that came with it.
fn with_options<T: Serialize>(
    (item, options): &(T, PutOptions),
) -> Result<(Bytes, PutOptions), ManagerError> {
    Ok((encode(item)?, options.clone()))
}
