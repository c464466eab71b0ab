//! Items that are held, and how to let go of them.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    error::ManagerError,
    items::unexpected,
    link::Link,
    runtime::block_on,
    store::Settle,
    wire::{LONGEST_REASON, Name, Reply, Request, clip},
};

/// An item that its holder works on, and that goes to another if the holder does not finish.
///
/// Dropped unfinished, it goes back to the queue's head at once; if the thread is panicking, that
/// counts as a failed delivery.
pub struct Lease<T> {
    item: T,
    token: LeaseToken,
}

/// A lease without its item, from [`Lease::into_parts`]. Dropped unfinished, the item goes back as
/// with a [`Lease`].
pub struct LeaseToken {
    link: Link,
    queue: Name,
    id: u64,
    deliveries: u32,
    /// Whether dropping gives the item back.
    held: bool,
}

impl<T> Lease<T> {
    pub(crate) fn new(item: T, token: LeaseToken) -> Self {
        Self { item, token }
    }

    /// How often the item was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.token.deliveries
    }

    /// The lease's number, unique in its queue.
    pub fn id(&self) -> u64 {
        self.token.id
    }

    /// The item and the lease apart, so that the item can be taken to pieces.
    pub fn into_parts(self) -> (T, LeaseToken) {
        (self.item, self.token)
    }

    /// Finishes the item. To keep it, take the lease apart first.
    ///
    /// # Errors
    /// [`ManagerError::LeaseLost`] if the lease is over, so that the item may be given to another;
    /// others if the manager cannot be asked.
    pub fn done(self) -> Result<(), ManagerError> {
        self.token.done()
    }

    /// Async twin of [`done`](Self::done).
    pub async fn done_async(self) -> Result<(), ManagerError> {
        self.token.done_async().await
    }

    /// Gives the item back to the queue's head. This delivery does not count for its limit.
    ///
    /// # Errors
    /// As [`done`](Self::done).
    pub fn release(self) -> Result<(), ManagerError> {
        self.token.release()
    }

    /// Async twin of [`release`](Self::release).
    pub async fn release_async(self) -> Result<(), ManagerError> {
        self.token.release_async().await
    }

    /// Gives the item up: it becomes a dead letter, with the reason `failed: ...` (cut at 1 KiB).
    ///
    /// # Errors
    /// As [`done`](Self::done).
    pub fn fail(self, reason: impl fmt::Display) -> Result<(), ManagerError> {
        self.token.fail(reason)
    }

    /// Async twin of [`fail`](Self::fail).
    pub async fn fail_async(self, reason: impl fmt::Display) -> Result<(), ManagerError> {
        self.token.fail_async(reason).await
    }

    /// Holds the item for this long from now.
    ///
    /// # Errors
    /// As [`done`](Self::done).
    pub fn extend(&self, hold: Duration) -> Result<(), ManagerError> {
        self.token.extend(hold)
    }

    /// Async twin of [`extend`](Self::extend).
    pub async fn extend_async(&self, hold: Duration) -> Result<(), ManagerError> {
        self.token.extend_async(hold).await
    }
}

impl LeaseToken {
    pub(crate) fn new(link: &Link, queue: &Name, id: u64, deliveries: u32) -> Self {
        Self { link: link.clone(), queue: queue.clone(), id, deliveries, held: true }
    }

    /// How often the item was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// The lease's number, unique in its queue.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Finishes the item.
    ///
    /// # Errors
    /// As [`Lease::done`].
    pub fn done(self) -> Result<(), ManagerError> {
        block_on(self.done_async())
    }

    /// Async twin of [`done`](Self::done).
    pub async fn done_async(self) -> Result<(), ManagerError> {
        self.end(Settle::Done).await
    }

    /// Gives the item back to the queue's head. This delivery does not count for its limit.
    ///
    /// # Errors
    /// As [`Lease::done`].
    pub fn release(self) -> Result<(), ManagerError> {
        block_on(self.release_async())
    }

    /// Async twin of [`release`](Self::release).
    pub async fn release_async(self) -> Result<(), ManagerError> {
        self.end(Settle::Release).await
    }

    /// Gives the item up: it becomes a dead letter, with the reason `failed: ...` (cut at 1 KiB).
    ///
    /// # Errors
    /// As [`Lease::done`].
    pub fn fail(self, reason: impl fmt::Display) -> Result<(), ManagerError> {
        block_on(self.fail_async(reason))
    }

    /// Async twin of [`fail`](Self::fail).
    pub async fn fail_async(self, reason: impl fmt::Display) -> Result<(), ManagerError> {
        let reason = clip(&format!("failed: {reason}"), LONGEST_REASON).into();
        self.end(Settle::Fail { reason }).await
    }

    /// Holds the item for this long from now.
    ///
    /// # Errors
    /// As [`Lease::done`].
    pub fn extend(&self, hold: Duration) -> Result<(), ManagerError> {
        block_on(self.extend_async(hold))
    }

    /// Async twin of [`extend`](Self::extend).
    pub async fn extend_async(&self, hold: Duration) -> Result<(), ManagerError> {
        one(&settle(&self.link, &self.queue, vec![self.id], Settle::Extend { hold }).await?)
    }

    /// Lets go of the lease without telling the manager: another request does.
    pub(crate) fn forget(mut self) {
        self.held = false;
    }

    async fn end(mut self, how: Settle) -> Result<(), ManagerError> {
        // From here on the request says what becomes of the item.
        self.held = false;
        one(&settle(&self.link, &self.queue, vec![self.id], how).await?)
    }
}

impl Drop for LeaseToken {
    fn drop(&mut self) {
        if self.held {
            let how = if thread::panicking() {
                Settle::Return { reason: Arc::from("holder panicked") }
            } else {
                Settle::Release
            };
            let queue = self.queue.clone();
            self.link.tell(Request::Settle { queue, leases: vec![self.id], how });
        }
    }
}

fn one(lost: &[u64]) -> Result<(), ManagerError> {
    if lost.is_empty() { Ok(()) } else { Err(ManagerError::LeaseLost) }
}

/// Settles leases of one queue; returns those that are over.
pub(crate) async fn settle(
    link: &Link,
    queue: &Name,
    leases: Vec<u64>,
    how: Settle,
) -> Result<Vec<u64>, ManagerError> {
    match link.call(Request::Settle { queue: queue.clone(), leases, how }).await? {
        Reply::Lost(lost) => Ok(lost),
        other => Err(unexpected(&other)),
    }
}

/// Finishes leases, a request for each queue that they are of; returns those that are over.
pub(crate) async fn finish(mut tokens: Vec<LeaseToken>) -> Result<Vec<u64>, ManagerError> {
    let mut lost = Vec::new();
    while let Some(first) = tokens.first() {
        let (link, queue) = (first.link.clone(), first.queue.clone());
        let (now, later): (Vec<_>, Vec<_>) =
            tokens.into_iter().partition(|token| token.queue == queue && token.link.is(&link));
        tokens = later;
        let leases = now.iter().map(LeaseToken::id).collect();
        now.into_iter().for_each(LeaseToken::forget);
        lost.extend(settle(&link, &queue, leases, Settle::Done).await?);
    }
    Ok(lost)
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T> AsRef<LeaseToken> for Lease<T> {
    fn as_ref(&self) -> &LeaseToken {
        &self.token
    }
}

impl AsRef<LeaseToken> for LeaseToken {
    fn as_ref(&self) -> &LeaseToken {
        self
    }
}

impl<T> From<Lease<T>> for LeaseToken {
    fn from(lease: Lease<T>) -> Self {
        lease.token
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("item", &self.item).field("token", &self.token).finish()
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseToken")
            .field("queue", &self.queue)
            .field("id", &self.id)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}
