//! The queue where processes cannot share memory: a thread of the process that made it keeps it, and
//! the others ask.
//!
//! Where the rooms are: [`store`] is the queue as a plain state, [`desk`] waiting for it, [`server`]
//! the broker's threads, [`client`] how other processes ask, [`wire`] what they say, [`door`] where
//! connections come from.
//!
//! # Why a kill loses nothing
//! A request that did not arrive whole was not made. What is taken is put back if the reply can no
//! longer be sent, which a local socket says when the process at its other end is dead; what was sent
//! is the process's own. Each process that leases has a connection on which nothing is said: when it
//! ends, by whatever cause, the leases come back.

mod client;
mod desk;
mod door;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserializer, Serializer};
use serde_bytes::Bytes;

use self::client::{Client, is};
use self::desk::Desk;
use self::door::Door;
use self::store::NOBODY;
use self::wire::{Reply, Request, Until};
use super::batch::Batch;
use super::terms::{How, Options, Put, Take};
use crate::cooperate;

/// What is wrong with a queue, rather than with a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(
        "the queue is gone: on this system it ends with the process that made it, which has ended"
    )]
    Gone,
    #[error("the queue could not be reached: {0}")]
    System(#[from] io::Error),
    #[cfg(unix)]
    #[error("what came is something else than a queue")]
    NoQueue,
    #[error("the queue's process said what it never says: {0}")]
    Strange(String),
}

/// A queue of bytes, here or in another process.
#[derive(Debug)]
pub(crate) struct Core {
    /// In the process that made it.
    home: Option<Home>,
    client: Client,
}

#[derive(Debug)]
struct Home {
    desk: Arc<Desk>,
    /// The process: a fork of it has a copy of the desk, which is not the queue.
    process: u32,
    /// The number of the process, for leases.
    owner: u32,
}

impl Core {
    pub(crate) fn with(options: &Options) -> Result<Self, Fault> {
        let desk = Arc::new(Desk::new(options));
        let (door, inside) = door::open()?;
        server::open(Arc::clone(&desk), inside)?;
        let owner = desk.enter();
        let home = Some(Home { desk, process: std::process::id(), owner });
        Ok(Self { home, client: Client::new(door) })
    }

    /// To another process.
    pub(crate) fn depart<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.client.door().depart(to)
    }

    /// The queue that came from another process.
    pub(crate) fn arrive<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { home: None, client: Client::new(Door::arrive(from)?) })
    }

    fn home(&self) -> Option<&Home> {
        self.home.as_ref().filter(|home| home.process == std::process::id())
    }

    fn desk(&self) -> Option<&Desk> {
        self.home().map(|home| &*home.desk)
    }

    /// This process's number, which its leases bear.
    pub(crate) fn owner(&self) -> Result<u32, Fault> {
        self.home().map_or_else(|| self.client.owner(), |home| Ok(home.owner))
    }

    fn known_owner(&self) -> u32 {
        let owner = self.home().map_or_else(|| self.client.known_owner(), |home| Some(home.owner));
        owner.unwrap_or(NOBODY)
    }

    /// Puts messages of `batch` from the one numbered `from` on, as many as there is space for.
    pub(crate) fn try_put(&self, batch: &Batch, from: usize) -> Result<Put, Fault> {
        let messages =
            (from..batch.len()).map(|index| (batch.get(index), batch.items[index].alone));
        if let Some(desk) = self.desk() {
            return Ok(desk.put(messages));
        }
        let messages = messages.map(|(bytes, alone)| (Bytes::new(bytes), alone)).collect();
        self.client.ask(&Request::Put(messages), |reply| match reply {
            Reply::Put(count) => Some(Put::Done(usize::try_from(count).ok()?)),
            Reply::Closed => Some(Put::Closed),
            _ => None,
        })
    }

    /// Appends up to `most` messages to `out`. Leases take no more than there are free.
    pub(crate) fn try_take(&self, most: usize, how: How, out: &mut Batch) -> Result<Take, Fault> {
        let lessee = match how {
            How::Get => None,
            How::Lease(owner) => Some(owner),
        };
        let owner = lessee.unwrap_or_else(|| self.known_owner());
        let mut append = |bytes: &[u8], lease, deliveries| {
            out.bytes.extend_from_slice(bytes);
            out.seal(lease, deliveries);
        };
        if let Some(desk) = self.desk() {
            let mut taken = Vec::new();
            let take = desk.take(most, lessee, owner, &mut taken);
            for one in taken {
                append(&one.message.bytes, one.lease.unwrap_or(0), one.message.deliveries);
            }
            return Ok(take);
        }
        let request = Request::Take { most: most as u64, lease: lessee.is_some(), owner };
        self.client.ask(&request, |reply| match reply {
            Reply::Taken(items) => {
                for item in &items {
                    append(item.bytes, item.lease, item.deliveries);
                }
                Some(Take::Done(items.len()))
            }
            Reply::Closed => Some(Take::Closed),
            _ => None,
        })
    }

    /// How many messages wait to be taken.
    pub(crate) fn len(&self) -> usize {
        if let Some(desk) = self.desk() {
            return desk.len();
        }
        let len = self.client.ask(&Request::Len, |reply| match reply {
            Reply::Len(len) => usize::try_from(len).ok(),
            _ => None,
        });
        len.unwrap_or(0)
    }

    /// No more puts. What is in the queue can still be taken.
    pub(crate) fn close(&self) {
        match self.desk() {
            Some(desk) => desk.close(),
            // A queue that is gone is closed.
            None => drop(self.client.ask(&Request::Close, is)),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self.desk() {
            Some(desk) => desk.is_closed(),
            None => self.client.ask(&Request::IsClosed, is).unwrap_or(true),
        }
    }

    /// Waits until there is something to take, or never will be; `false` at the deadline.
    pub(crate) fn wait_for_items(&self, deadline: Option<Instant>) -> bool {
        let owner = self.known_owner();
        patiently(deadline, |deadline| match self.desk() {
            Some(desk) => desk.wait_for_items(owner, deadline),
            // What is wrong the next attempt will say.
            None => self.client.wait(Until::Items(owner), deadline).unwrap_or(true),
        })
    }

    /// Waits until there is something to take and a lease to be had, or there never will be anything;
    /// `false` at the deadline.
    pub(crate) fn wait_to_lease(&self, deadline: Option<Instant>) -> bool {
        let owner = self.known_owner();
        patiently(deadline, |deadline| match self.desk() {
            Some(desk) => desk.wait_to_lease(owner, deadline),
            None => self.client.wait(Until::Lease(owner), deadline).unwrap_or(true),
        })
    }

    /// Whether a take would find something, or there never will be anything.
    #[cfg(unix)]
    pub(crate) fn is_ready(&self) -> bool {
        self.wait_for_items(Some(Instant::now()))
    }

    /// Waits until there is space for a message of `length` bytes, or the queue is closed; `false` at
    /// the deadline.
    pub(crate) fn wait_for_space(&self, length: usize, deadline: Option<Instant>) -> bool {
        patiently(deadline, |deadline| match self.desk() {
            Some(desk) => desk.wait_for_space(length, deadline),
            None => self.client.wait(Until::Space(length as u64), deadline).unwrap_or(true),
        })
    }

    /// Waits until the work for every message is done; `false` at the deadline, or if the queue is
    /// gone.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> bool {
        patiently(deadline, |deadline| match self.desk() {
            Some(desk) => desk.join(deadline),
            None => self.client.wait(Until::Idle, deadline).unwrap_or(false),
        })
    }

    /// A task that was got is done; `false` if all were already.
    pub(crate) fn task_done(&self) -> bool {
        match self.desk() {
            Some(desk) => desk.task_done(),
            None => self.client.ask(&Request::TaskDone, is).unwrap_or(false),
        }
    }

    /// The work of a lease is done; `false` if the lease is no longer the owner's.
    pub(crate) fn acknowledge(&self, lease: u32, owner: u32) -> bool {
        match self.desk() {
            Some(desk) => desk.acknowledge(lease, owner),
            None => self.client.ask(&Request::Acknowledge { lease, owner }, is).unwrap_or(false),
        }
    }

    /// The message of a lease goes back to the queue; `false` if it is no longer the owner's.
    pub(crate) fn release(&self, lease: u32, owner: u32) -> bool {
        match self.desk() {
            Some(desk) => desk.release(lease, owner),
            None => self.client.ask(&Request::Release { lease, owner }, is).unwrap_or(false),
        }
    }
}

/// Waits; in a coroutine on a thread of its own, slice by slice, so that it can be cancelled.
fn patiently(deadline: Option<Instant>, wait: impl Fn(Option<Instant>) -> bool + Sync) -> bool {
    if !cooperate::within() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return wait(deadline);
    }
    loop {
        let slice = Instant::now() + Duration::from_millis(50);
        let end = deadline.map_or(slice, |deadline| deadline.min(slice));
        if cooperate::blocking(|| wait(Some(end))) {
            return true;
        }
        cooperate::check();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return false;
        }
    }
}
