//! The queue as its users see it: items of a Rust type, in and out.

mod blocking;
mod waiting;

use std::{
    any::type_name,
    fmt,
    marker::PhantomData,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{GetError, ManagerError, PutError, Undecodable},
    items::{decode, encode, unexpected},
    lease::{Lease, LeaseToken, settle},
    link::Link,
    store::{Delivery, Settle},
    wire::{LONGEST_REASON, Name, PutEnd, Reply, Request, Wait, clip},
};

/// A batch is put in pieces of about this many bytes, or a single larger item.
const PIECE_BYTES: usize = 256 << 10;
/// A batch is put in pieces of at most this many items.
const PIECE_ITEMS: usize = 4096;

/// A manager's queue of items of type `T`, used over a connection or within the manager's process.
///
/// Items travel as pickles, so that Python can read and write them. Integers beyond the range of
/// `i64` are written but not read: let larger ones travel as text. Clones share one connection,
/// and what they lease belongs to it. Every method that blocks the thread has an async twin, named
/// `..._async`, whose future may be dropped at any time: what it would have taken stays in the
/// queue. ([`take_dead_async`](Self::take_dead_async) is the exception.)
///
/// An item comes at least once: if the connection breaks between taking and finishing it, it is
/// given to another, and whether a put was done may stay unknown.
pub struct Queue<T> {
    link: Link,
    name: Name,
    // Neither owns items nor lends them.
    items: PhantomData<fn(T) -> T>,
}

/// An item that is given to nobody any more, and why.
#[derive(Clone, Debug)]
pub struct DeadLetter<T> {
    /// The item, if it is a `T`.
    pub item: Result<T, Undecodable>,
    /// `connection lost`, `lease deadline passed`, `holder panicked`, `failed: ...` or
    /// `undecodable: ...`.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u32,
}

impl<T> Queue<T>
where
    T: Serialize + DeserializeOwned,
{
    pub(crate) fn new(link: Link, name: Name) -> Self {
        Self { link, name, items: PhantomData }
    }

    async fn put_within(&self, item: T, wait: Option<Duration>) -> Result<(), PutError<T>> {
        let put = match encode(&item) {
            Ok(bytes) => self.put_piece(vec![bytes], wait.into()).await,
            Err(error) => Err(error),
        };
        match put {
            Ok((_, PutEnd::All)) => Ok(()),
            Ok((_, PutEnd::Full)) => Err(PutError::Full(item)),
            Ok((_, PutEnd::Closed)) => Err(PutError::Closed(item)),
            Err(error) => Err(PutError::Manager { error, item }),
        }
    }

    async fn put_all_within(
        &self,
        items: Vec<T>,
        wait: Option<Duration>,
    ) -> Result<(), PutError<Vec<T>>> {
        let end = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut rest = items.into_iter();
        while !rest.as_slice().is_empty() {
            // One after the other: a piece must not overtake one that finds the queue full.
            let (piece, bad) = piece(rest.as_slice());
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let put = match (piece.is_empty(), bad) {
                (true, Some(error)) => Err(error),
                _ => self.put_piece(piece, left.into()).await,
            };
            let failed = match put {
                Ok((accepted, end)) => {
                    rest.by_ref().take(accepted).for_each(drop);
                    match end {
                        PutEnd::All => continue,
                        PutEnd::Full => PutError::Full(()),
                        PutEnd::Closed => PutError::Closed(()),
                    }
                }
                Err(error) => PutError::Manager { error, item: () },
            };
            return Err(failed.map(|()| rest.collect()));
        }
        Ok(())
    }

    async fn put_piece(
        &self,
        items: Vec<Bytes>,
        wait: Wait,
    ) -> Result<(usize, PutEnd), ManagerError> {
        let limit = self.link.max_item();
        if let Some(item) = items.iter().find(|item| item.len() > limit) {
            return Err(ManagerError::TooLarge { size: item.len(), limit });
        }
        let put = Request::Put { queue: self.name.clone(), wait, items };
        match self.link.call(put).await? {
            Reply::Put { accepted, end } => Ok((accepted as usize, end)),
            other => Err(unexpected(&other)),
        }
    }

    async fn get_within(&self, max: usize, wait: Wait) -> Result<Vec<T>, GetError> {
        let (mut items, mut leases) = (Vec::new(), Vec::new());
        let mut unconfirmed =
            Unconfirmed { link: &self.link, queue: &self.name, items: Vec::new() };
        for Taken { item, token, payload } in self.take(max, None, wait).await? {
            items.push(item);
            leases.push(token.id());
            unconfirmed.items.push((token.deliveries(), payload));
            token.forget();
        }
        // Only now the items are the caller's. If the connection breaks before the manager says
        // so, they may come again, which is better than not at all.
        let confirmed = settle(&self.link, &self.name, leases, Settle::Done).await;
        unconfirmed.items.clear();
        if let Err(error) = confirmed {
            tracing::debug!(%error, "items that were got may come again");
        }
        Ok(items)
    }

    async fn lease_within(
        &self,
        max: usize,
        hold: Duration,
        wait: Wait,
    ) -> Result<Vec<Lease<T>>, GetError> {
        let taken = self.take(max, Some(hold), wait).await?;
        Ok(taken.into_iter().map(|Taken { item, token, .. }| Lease::new(item, token)).collect())
    }

    /// Takes items, at least one.
    async fn take(
        &self,
        max: usize,
        hold: Option<Duration>,
        wait: Wait,
    ) -> Result<Vec<Taken<T>>, GetError> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let lease = Request::Lease { queue: self.name.clone(), max, hold, wait };
        let given = match self.link.call(lease).await? {
            Reply::Leased(given) => given,
            Reply::Empty => return Err(GetError::Empty),
            Reply::Closed => return Err(GetError::Closed),
            other => return Err(unexpected(&other).into()),
        };
        // All of them before any is decoded: a `T` that panics in this leaves none behind.
        let given: Vec<_> = given
            .into_iter()
            .map(|Delivery { lease, deliveries, payload }| {
                (LeaseToken::new(&self.link, &self.name, lease, deliveries), payload)
            })
            .collect();
        let (mut good, mut bad) = (Vec::with_capacity(given.len()), Vec::new());
        for (token, payload) in given {
            match decode(&payload) {
                Ok(item) => good.push(Taken { item, token, payload }),
                Err(error) => bad.push((token, error)),
            }
        }
        self.bury(bad, good.is_empty())?;
        Ok(good)
    }

    /// Makes items that cannot be read dead letters; an error if there were no others.
    fn bury(
        &self,
        bad: Vec<(LeaseToken, Undecodable)>,
        no_others: bool,
    ) -> Result<(), Undecodable> {
        let mut first = None;
        for (token, error) in bad {
            tracing::warn!(queue = self.name.as_str(), %error, "an item became a dead letter");
            let reason = format!("undecodable: not a {}: {}", type_name::<T>(), error.reason);
            let reason = clip(&reason, LONGEST_REASON).into();
            let (queue, leases) = (self.name.clone(), vec![token.id()]);
            token.forget();
            self.link.tell(Request::Settle { queue, leases, how: Settle::Fail { reason } });
            first.get_or_insert(error);
        }
        match first {
            Some(error) if no_others => Err(error),
            _ => Ok(()),
        }
    }

    async fn join_within(&self, wait: Wait) -> Result<bool, ManagerError> {
        match self.link.call(Request::Join { queue: self.name.clone(), wait }).await? {
            Reply::Joined(all_done) => Ok(all_done),
            other => Err(unexpected(&other)),
        }
    }

    /// The oldest dead letters and their numbers.
    async fn dead_letters(&self, max: usize) -> Result<Vec<(u64, DeadLetter<T>)>, ManagerError> {
        let mut found: Vec<(u64, DeadLetter<T>)> = Vec::new();
        while found.len() < max {
            let after = found.last().map_or(0, |(id, _)| *id);
            let left = u32::try_from(max - found.len()).unwrap_or(u32::MAX);
            let ask = Request::Dead { queue: self.name.clone(), after, max: left };
            let more = match self.link.call(ask).await? {
                Reply::Dead(more) => more,
                other => return Err(unexpected(&other)),
            };
            if more.is_empty() {
                break;
            }
            found.extend(more.into_iter().map(|dead| {
                let (deliveries, reason) = (dead.deliveries, dead.reason.to_string());
                (dead.id, DeadLetter { item: decode(&dead.payload), reason, deliveries })
            }));
        }
        Ok(found)
    }
}

impl<T> Queue<T> {
    /// The queue's name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone(), name: self.name.clone(), items: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An item that was given to this process.
struct Taken<T> {
    item: T,
    token: LeaseToken,
    payload: Bytes,
}

/// Items of a get whose future may be dropped while the manager is told that they are done.
struct Unconfirmed<'a> {
    link: &'a Link,
    queue: &'a Name,
    /// Empty once they are the caller's.
    items: Vec<(u32, Bytes)>,
}

impl Drop for Unconfirmed<'_> {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            let items = std::mem::take(&mut self.items);
            self.link.tell(Request::Restore { queue: self.queue.clone(), items });
        }
    }
}

/// The first items, encoded: as many as go in one piece, up to one that cannot be encoded, and the
/// error of that one.
fn piece<T: Serialize>(items: &[T]) -> (Vec<Bytes>, Option<ManagerError>) {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for item in items.iter().take(PIECE_ITEMS) {
        match encode(item) {
            Ok(item) if piece.is_empty() || bytes + item.len() <= PIECE_BYTES => {
                bytes += item.len();
                piece.push(item);
            }
            Ok(_) => break,
            Err(error) => return (piece, Some(error)),
        }
    }
    (piece, None)
}

/// The first of what was asked for one by one. A manager gives no empty batch.
fn first<T>(items: Vec<T>) -> Result<T, GetError> {
    items.into_iter().next().ok_or(GetError::Empty)
}
