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
    lease::{Lease, LeaseToken},
    link::Link,
    store::{self, Delivery, PutOptions, Settle},
    wire::{LONGEST_REASON, Name, PutEnd, Reply, Request, Wait, clip},
};

/// A batch is put in pieces of about this many bytes, or a single larger item.
const PIECE_BYTES: usize = 256 << 10;
/// A batch is put in pieces of at most this many items.
const PIECE_ITEMS: usize = 4096;

/// A manager's queue of items of type `T`, used over a connection or within the manager's process.
///
/// Items travel as pickles, so that Python can read and write them. A queue of
/// `spinneret_pickle::Value` has items of whatever kind a Python program puts. Clones share one
/// connection, and what they lease belongs to it. Every method that blocks the thread has an async
/// twin, named `..._async`, whose future may be dropped at any time: what it would have taken stays
/// in the queue. ([`take_dead_async`](Self::take_dead_async) is the exception.)
///
/// # Queues of Python servers
/// The same face serves a queue of a Python server, as far as that can follow: `put`, `get` and
/// their kin, `len`, `join` and [`task_done_after_get`](Self::task_done_after_get) work as they do in
/// Python; `close` needs Python 3.13. Leases, dead letters and numbers are
/// [`ManagerError::Unsupported`] there. It knows no deliveries: an item is given away for good when
/// it leaves the server. One that is no `T` is in the error and nowhere else, from where it can be
/// [read](Undecodable::read) and put back; if others came with it that are `T`s, so that there is no
/// error, it goes to the queue's end. So does what a dropped future would have taken.
///
/// # Delivery
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
    /// Its number, unique among the queue's dead letters; later ones have higher ones. That of a durable
    /// queue is never given again, not after a restart either.
    pub id: u64,
    /// The item, if it is a `T`.
    pub item: Result<T, Undecodable>,
    /// `connection lost`, `lease deadline passed`, `holder panicked`, `manager ended`,
    /// `failed: ...` or `undecodable: ...`.
    pub reason: String,
    /// How often it was delivered.
    pub deliveries: u32,
}

/// An item that waits in a queue, as [`Queue::peek`] finds it.
#[derive(Clone, Debug)]
pub struct Waiting<T> {
    /// The item, if it is a `T`.
    pub item: Result<T, Undecodable>,
    /// Its priority; 0 unless it was put with another.
    pub priority: i8,
    /// How often it was delivered and came back.
    pub deliveries: u32,
    /// How long nobody may take it yet; zero if it may be taken.
    pub delay: Duration,
}

impl<T> Queue<T>
where
    T: Serialize + DeserializeOwned,
{
    pub(crate) fn new(link: Link, name: Name) -> Self {
        Self { link, name, items: PhantomData }
    }

    /// Puts an item; false if it was dropped as a duplicate.
    async fn put_within<P: Packed>(
        &self,
        item: T,
        wait: Option<Duration>,
        pack: impl FnOnce(Bytes) -> P,
    ) -> Result<bool, PutError<T>> {
        let put = match encode(&item) {
            Ok(bytes) => self.put_piece(vec![pack(bytes)], wait.into()).await,
            Err(error) => Err(error),
        };
        match put {
            Ok(Put { end: PutEnd::All, duplicates, .. }) => Ok(duplicates == 0),
            Ok(Put { end: PutEnd::Full, .. }) => Err(PutError::Full(item)),
            Ok(Put { end: PutEnd::Closed, .. }) => Err(PutError::Closed(item)),
            Err(error) => Err(PutError::Manager { error, item }),
        }
    }

    /// Puts items in order; returns how many of them were dropped as duplicates.
    async fn put_all_within<I, P: Packed>(
        &self,
        items: Vec<I>,
        wait: Option<Duration>,
        pack: impl Fn(&I) -> Result<P, ManagerError>,
    ) -> Result<usize, PutError<Vec<I>>> {
        let end = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut rest = items.into_iter();
        let mut duplicates = 0;
        while !rest.as_slice().is_empty() {
            // One after the other: a piece must not overtake one that finds the queue full.
            let (piece, bad) = piece(rest.as_slice(), &pack);
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let put = match (piece.is_empty(), bad) {
                (true, Some(error)) => Err(error),
                _ => self.put_piece(piece, left.into()).await,
            };
            let failed = match put {
                Ok(put) => {
                    duplicates += put.duplicates;
                    rest.by_ref().take(put.accepted).for_each(drop);
                    match put.end {
                        PutEnd::All => continue,
                        PutEnd::Full => PutError::Full(()),
                        PutEnd::Closed => PutError::Closed(()),
                    }
                }
                Err(error) => PutError::Manager { error, item: () },
            };
            return Err(failed.map(|()| rest.collect()));
        }
        Ok(duplicates)
    }

    async fn put_piece<P: Packed>(&self, items: Vec<P>, wait: Wait) -> Result<Put, ManagerError> {
        let limit = self.link.max_item();
        if let Some(size) = items.iter().map(Packed::size).find(|size| *size > limit) {
            return Err(ManagerError::TooLarge { size, limit });
        }
        match self.link.call(P::request(self.name.clone(), wait, items)).await? {
            Reply::Put { accepted, duplicates, end } => {
                let (accepted, duplicates) = (accepted as usize, duplicates as usize);
                Ok(Put { accepted, duplicates, end })
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn get_within(&self, max: usize, wait: Wait) -> Result<Vec<T>, GetError> {
        let given = self.ask(max, None, wait).await?;
        let leases = given.iter().map(|delivery| delivery.lease).collect();
        let mut got = Got { link: &self.link, queue: &self.name, leases, good: 0 };
        let (mut items, mut bad) = (Vec::with_capacity(given.len()), Vec::new());
        for delivery in given {
            match decode(&delivery.payload) {
                Ok(item) => {
                    items.push(item);
                    got.leases[got.good] = delivery.lease;
                    got.good += 1;
                }
                Err(error) => bad.push((self.token(&delivery), error)),
            }
        }
        got.leases.truncate(got.good);
        // Only now the items are the caller's, and nothing can come between: there is no `await`
        // any more. If the connection breaks before the manager hears of it, they come again,
        // which is better than not at all.
        got.done();
        self.bury(bad, items.is_empty())?;
        Ok(items)
    }

    async fn lease_within(
        &self,
        max: usize,
        hold: Duration,
        wait: Wait,
    ) -> Result<Vec<Lease<T>>, GetError> {
        let taken = self.take(max, Some(hold), wait).await?;
        Ok(taken.into_iter().map(|Taken { item, token }| Lease::new(item, token)).collect())
    }

    /// Takes items to work on, at least one.
    async fn take(
        &self,
        max: usize,
        hold: Option<Duration>,
        wait: Wait,
    ) -> Result<Vec<Taken<T>>, GetError> {
        // All of them before any is decoded: a `T` that panics in this leaves none behind.
        let given = self.ask(max, hold, wait).await?;
        let given: Vec<_> =
            given.into_iter().map(|delivery| (self.token(&delivery), delivery.payload)).collect();
        let (mut good, mut bad) = (Vec::with_capacity(given.len()), Vec::new());
        for (token, payload) in given {
            match decode(&payload) {
                Ok(item) => good.push(Taken { item, token }),
                Err(error) => bad.push((token, error)),
            }
        }
        self.bury(bad, good.is_empty())?;
        Ok(good)
    }

    /// Asks for items, at least one.
    async fn ask(
        &self,
        max: usize,
        hold: Option<Duration>,
        wait: Wait,
    ) -> Result<Vec<Delivery>, GetError> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let lease = Request::Lease { queue: self.name.clone(), max, hold, wait };
        match self.link.call(lease).await? {
            Reply::Leased(given) => Ok(given),
            Reply::Empty => Err(GetError::Empty),
            Reply::Closed => Err(GetError::Closed),
            other => Err(unexpected(&other).into()),
        }
    }

    fn token(&self, delivery: &Delivery) -> LeaseToken {
        LeaseToken::new(&self.link, &self.name, delivery.lease, delivery.deliveries)
    }

    /// Makes items that cannot be read dead letters; an error with the first if there were no
    /// others. Where there are no dead letters they go back, but for the one in the error.
    fn bury(
        &self,
        bad: Vec<(LeaseToken, Undecodable)>,
        no_others: bool,
    ) -> Result<(), Undecodable> {
        let mut first = None;
        for (token, error) in bad {
            tracing::warn!(queue = self.name.as_str(), %error, "an item cannot be read");
            let how = if no_others && first.is_none() && matches!(self.link, Link::Python(_)) {
                Settle::Done
            } else {
                let reason = format!("undecodable: not a {}: {}", type_name::<T>(), error.reason);
                Settle::Fail { reason: clip(&reason, LONGEST_REASON).into() }
            };
            let (queue, leases) = (self.name.clone(), vec![token.id()]);
            token.forget();
            self.link.tell(Request::Settle { queue, leases, how });
            first.get_or_insert(error);
        }
        match first {
            Some(error) if no_others => Err(error),
            _ => Ok(()),
        }
    }

    /// Queued items from the first after `skip` on, up to `max`.
    async fn peek_within(&self, skip: usize, max: usize) -> Result<Vec<Waiting<T>>, ManagerError> {
        let mut found: Vec<Waiting<T>> = Vec::new();
        while found.len() < max {
            let left = u32::try_from(max - found.len()).unwrap_or(u32::MAX);
            let skip = (skip + found.len()) as u64;
            let ask = Request::Peek { queue: self.name.clone(), skip, max: left };
            let more = match self.link.call(ask).await? {
                Reply::Peeked(more) => more,
                other => return Err(unexpected(&other)),
            };
            if more.is_empty() {
                break;
            }
            found.extend(more.into_iter().map(|waiting| {
                let store::Waiting { priority, deliveries, delay, payload } = waiting;
                Waiting { item: decode(&payload), priority, deliveries, delay }
            }));
        }
        Ok(found)
    }

    async fn join_within(&self, wait: Wait) -> Result<bool, ManagerError> {
        match self.link.call(Request::Join { queue: self.name.clone(), wait }).await? {
            Reply::Joined(all_done) => Ok(all_done),
            other => Err(unexpected(&other)),
        }
    }

    /// The oldest dead letters.
    async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter<T>>, ManagerError> {
        let mut found: Vec<DeadLetter<T>> = Vec::new();
        while found.len() < max {
            let after = found.last().map_or(0, |dead| dead.id);
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
                let (id, item) = (dead.id, decode(&dead.payload));
                DeadLetter { id, item, reason, deliveries }
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
}

/// What a get was given, while it is decoded; goes back if that panics.
struct Got<'a> {
    link: &'a Link,
    queue: &'a Name,
    /// First those that could be decoded, then those that are yet to be.
    leases: Vec<u64>,
    good: usize,
}

impl Got<'_> {
    /// Strikes them off.
    fn done(mut self) {
        self.settle(Settle::Done);
    }

    fn settle(&mut self, how: Settle) {
        let leases = std::mem::take(&mut self.leases);
        if !leases.is_empty() {
            self.link.tell(Request::Settle { queue: self.queue.clone(), leases, how });
        }
    }
}

impl Drop for Got<'_> {
    fn drop(&mut self) {
        self.settle(Settle::Return { reason: "holder panicked".into() });
    }
}

/// The first items, encoded: as many as go in one piece, up to one that cannot be encoded, and the
/// error of that one.
fn piece<I, P: Packed>(
    items: &[I],
    pack: impl Fn(&I) -> Result<P, ManagerError>,
) -> (Vec<P>, Option<ManagerError>) {
    let (mut piece, mut bytes) = (Vec::new(), 0);
    for item in items.iter().take(PIECE_ITEMS) {
        match pack(item) {
            Ok(item) if piece.is_empty() || bytes + item.size() <= PIECE_BYTES => {
                bytes += item.size();
                piece.push(item);
            }
            Ok(_) => break,
            Err(error) => return (piece, Some(error)),
        }
    }
    (piece, None)
}

/// An item as it is put.
trait Packed: Sized {
    /// Bytes of the item.
    fn size(&self) -> usize;
    fn request(queue: Name, wait: Wait, items: Vec<Self>) -> Request;
}

impl Packed for Bytes {
    fn size(&self) -> usize {
        self.len()
    }

    fn request(queue: Name, wait: Wait, items: Vec<Self>) -> Request {
        Request::Put { queue, wait, items }
    }
}

impl Packed for (Bytes, PutOptions) {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn request(queue: Name, wait: Wait, items: Vec<Self>) -> Request {
        Request::PutWith { queue, wait, items }
    }
}

/// How a put ended.
struct Put {
    /// The first so many items are dealt with.
    accepted: usize,
    duplicates: usize,
    end: PutEnd,
}

/// The first of what was asked for one by one. A manager gives no empty batch.
fn first<T>(items: Vec<T>) -> Result<T, GetError> {
    items.into_iter().next().ok_or(GetError::Empty)
}
