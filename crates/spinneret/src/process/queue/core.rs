//! The queue itself: bytes in, bytes out, in memory that many processes share.
//!
//! `README.md` beside this file says why no kill can harm it.

use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::de::Error as _;
use serde::{Deserializer, Serializer};

use super::batch::Batch;
use super::layout::{Header, Mark, Shape, ShapeError};
use super::leases::Glance;
use super::member::Membership;
use super::record::{ALONE, Body, INLINE, LARGE, LARGE_BODY, units};
use super::terms::{How, Options, Put, Take};
use crate::cooperate;
use crate::os::{ALL, Held, RobustMutex, Shm, ShmError};
use crate::process::attachment;

/// What is wrong with a queue, rather than with a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Its memory holds what this code never writes.
    #[error("the queue's shared memory is damaged: {0}")]
    Damaged(&'static str),
    #[error("the queue's memory could not be used: {0}")]
    System(#[from] io::Error),
    #[error("this is no queue: {0}")]
    NoQueue(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<ShmError> for Fault {
    fn from(error: ShmError) -> Self {
        match error {
            ShmError::System(error) => Self::System(error),
            other => Self::NoQueue(other.into()),
        }
    }
}

impl From<ShapeError> for Fault {
    fn from(error: ShapeError) -> Self {
        Self::NoQueue(error.into())
    }
}

/// A lock that is held.
pub(super) struct Guard<'a>(&'a RobustMutex, PhantomData<*const ()>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread took it: a guard is not `Send`.
        unsafe { self.0.unlock() };
    }
}

/// A queue of bytes in shared memory.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) shm: Shm,
    pub(super) shape: Shape,
    /// This process's number, for leases.
    pub(super) membership: Membership,
    pub(super) glance: Glance,
}

/// A batch that was taken is not extended beyond so many bytes.
pub(super) const TAKE_BYTES: usize = 1 << 20;

impl Core {
    pub(super) fn create(shape: Shape) -> Result<Self, Fault> {
        let shape = shape.fitted();
        let shm = Shm::create("spinneret-queue", shape.end(), shape.ring)?;
        Header::of(&shm).write(&shape)?;
        Ok(Self { shm, shape, membership: Membership::default(), glance: Glance::default() })
    }

    /// A queue of the shape that is nearest to the options.
    pub(crate) fn with(options: &Options) -> Result<Self, Fault> {
        Self::create(Shape {
            ring: options.memory,
            max_items: u32::try_from(options.max_items).unwrap_or(u32::MAX),
            slots: options.slots,
            slot_bytes: options.slot_bytes,
            large_bytes: options.large_bytes,
        })
    }

    /// To another process.
    pub(crate) fn depart<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        attachment::attach(self.fd(), to)
    }

    /// The queue that came from another process.
    pub(crate) fn arrive<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::attach(attachment::detach(from)?).map_err(D::Error::custom)
    }

    /// The queue in a file that came from another process.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Self, Fault> {
        let header = Shm::attach(fd, size_of::<Header>(), 0)?;
        let shape = Shape::read(Header::of(&header))?;
        let fd = header.fd().try_clone()?;
        let shm = Shm::attach(fd, shape.end(), shape.ring)?;
        Ok(Self { shm, shape, membership: Membership::default(), glance: Glance::default() })
    }

    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        self.shm.fd()
    }

    pub(super) fn header(&self) -> &Header {
        Header::of(&self.shm)
    }

    /// Puts messages of `batch` from the one numbered `from` on, as many as there is space for.
    pub(crate) fn try_put(&self, batch: &Batch, from: usize) -> Result<Put, Fault> {
        let header = self.header();
        let guard = self.lock_producers();
        if header.closed.load(Ordering::Relaxed) != 0 {
            return Ok(Put::Closed);
        }
        // Only holders of the lock move it, so it is what the last of them left.
        let old = Mark::load(&header.tail.0, Ordering::Relaxed);
        let mut tail = old;
        let mut head = Mark::load(&header.producers.0.head_seen, Ordering::Relaxed);
        let mut count = 0;
        for index in from..batch.len() {
            let message = batch.get(index);
            let alone = if batch.items[index].alone { ALONE } else { 0 };
            let large = message.len() > self.shape.inline_most();
            let units = units(if large { LARGE_BODY } else { message.len() });
            if !self.fits(tail.since(head), units) {
                head = Mark::load(&header.head.0, Ordering::Acquire);
                let used = tail.since(head);
                if used.0 > self.shape.units() || used.1 > used.0 {
                    return Err(Fault::Damaged("the positions of its ring"));
                }
                head.store(&header.producers.0.head_seen, Ordering::Relaxed);
                if !self.fits(used, units) {
                    break;
                }
            }
            if large {
                // What is in so far is committed first: it may not wait for pages.
                tail.store(&header.tail.0, Ordering::Release);
                let place = match self.put_large(message) {
                    Ok(Some(place)) => place,
                    Err(fault) if count == 0 => return Err(fault),
                    // If it is a fault and some are in, the next call reports it.
                    Ok(None) | Err(_) => break,
                };
                let mut body = [0; LARGE_BODY];
                body[..8].copy_from_slice(&place.to_le_bytes());
                body[8..].copy_from_slice(&(message.len() as u64).to_le_bytes());
                self.write(tail, LARGE | alone, &body);
            } else {
                self.write(tail, INLINE | alone, message);
            }
            tail = tail.after(units);
            count += 1;
        }
        if tail != old {
            tail.store(&header.tail.0, Ordering::Release);
        }
        drop(guard);
        if tail != old {
            header.items.0.notify(tail.since(old).1);
        }
        Ok(Put::Done(count))
    }

    fn fits(&self, used: (u32, u32), units: u32) -> bool {
        used.0 <= self.shape.units()
            && units <= self.shape.units() - used.0
            && used.1 < self.shape.max_items
    }

    // Records start at multiples of eight bytes.
    #[allow(clippy::cast_ptr_alignment)]
    /// Appends up to `most` messages to `out`. Leases take no more than there are free slots.
    pub(crate) fn try_take(&self, most: usize, how: How, out: &mut Batch) -> Result<Take, Fault> {
        self.glance_at_the_dead();
        if !self.has_items() {
            return Ok(if self.is_drained() { Take::Closed } else { Take::Done(0) });
        }
        let header = self.header();
        let before = out.len();
        let guard = self.lock_consumers();
        let mut result = self.take_requeued(most, how, out);
        let first = out.len();
        let old = Mark::load(&header.head.0, Ordering::Relaxed);
        let mut head = old;
        let (mut garbage, mut last) = (None, false);
        while result.is_ok() && !last && out.len() - before < most {
            match self.take_next(head, how, out, out.len() == before) {
                Ok(Some(next)) => Next { head, garbage, last } = next,
                Ok(None) => break,
                Err(fault) => result = Err(fault),
            }
        }
        if head != old {
            head.store(&header.head.0, Ordering::Release);
            if let How::Lease(owner) = how {
                self.confirm(owner, out, first);
            }
            if let Some((place, len)) = garbage {
                self.clear_large(place, len);
            }
        }
        drop(guard);
        if head != old {
            // Each unit that is free now may be what one who waits needs.
            header.space.0.notify(if garbage.is_some() { ALL } else { head.since(old).0 });
        }
        if first != before {
            // Of a requeued message a slot may be free now, and pages.
            header.free.0.notify((first - before) as u32);
            header.space.0.notify(ALL);
        }
        self.tell_the_end();
        // What was copied of a message that was not taken after all.
        out.trim();
        match result {
            // If some were taken, the next call reports it.
            Err(fault) if out.len() == before => Err(fault),
            _ => Ok(Take::Done(out.len() - before)),
        }
    }

    /// Appends the message at `head` to `out`; `None` if there is no message, or it cannot be taken
    /// along with others. Under the consumers' lock.
    fn take_next(
        &self,
        head: Mark,
        how: How,
        out: &mut Batch,
        alone: bool,
    ) -> Result<Option<Next>, Fault> {
        let header = self.header();
        if out.bytes.len() >= TAKE_BYTES && !alone {
            return Ok(None);
        }
        let mut tail = Mark::load(&header.consumers.0.tail_seen, Ordering::Relaxed);
        if tail == head {
            tail = Mark::load(&header.tail.0, Ordering::Acquire);
            tail.store(&header.consumers.0.tail_seen, Ordering::Relaxed);
            if tail == head {
                return Ok(None);
            }
        }
        let record = self.read(head, tail)?;
        if record.alone && !alone {
            return Ok(None);
        }
        let garbage = match record.body {
            Body::Large { place, len } if how == How::Get || !self.keeps_messages() => {
                // So that there is one place at most to be cleared.
                if !alone {
                    return Ok(None);
                }
                Some((place, len))
            }
            _ => None,
        };
        match (how, garbage) {
            (How::Lease(owner), _) => {
                if !self.lease(&record, owner, head.sequence, out)? {
                    return Ok(None);
                }
            }
            (How::Get, Some((place, len))) => {
                self.read_large(place, len, &mut out.bytes)?;
                out.seal(0, 0);
            }
            (How::Get, None) => {
                self.copy(&record, &mut out.bytes);
                out.seal(0, 0);
            }
        }
        let last = record.alone || garbage.is_some();
        Ok(Some(Next { head: head.after(record.units()), garbage, last }))
    }

    /// Whether a take would find something, as far as can be told without the lock.
    #[inline]
    pub(crate) fn has_items(&self) -> bool {
        let header = self.header();
        // The head first: it never passes the tail, so an empty queue is seen as such.
        let head = header.head.0.load(Ordering::Acquire);
        // What a consumer has seen spares a look at the line that producers write.
        header.consumers.0.tail_seen.load(Ordering::Relaxed) != head
            || header.tail.0.load(Ordering::Acquire) != head
            || header.consumers.0.requeued.load(Ordering::Acquire) != 0
    }

    /// Whether the queue is closed, and nothing is in it or can come back to it.
    fn is_drained(&self) -> bool {
        let is_empty = || !self.has_items() && !self.others_lease();
        if !self.is_closed() || !is_empty() {
            return false;
        }
        // A message may have gone from lease to requeue and back between the looks. Under the lock it
        // cannot.
        let _guard = self.lock_consumers();
        is_empty()
    }

    /// Wakes all who wait for items that will never come.
    pub(super) fn tell_the_end(&self) {
        if self.is_closed() {
            self.header().items.0.notify(ALL);
        }
    }

    /// How many messages wait to be taken.
    pub(crate) fn len(&self) -> usize {
        let header = self.header();
        let head = Mark::load(&header.head.0, Ordering::Acquire);
        let tail = Mark::load(&header.tail.0, Ordering::Acquire);
        let requeued = header.consumers.0.requeued.load(Ordering::Relaxed);
        // Between the two looks many may have come and gone.
        tail.since(head).1.min(self.shape.max_items) as usize + requeued as usize
    }

    /// No more puts. What is in the queue can still be taken.
    pub(crate) fn close(&self) {
        let header = self.header();
        let guard = self.lock_producers();
        header.closed.store(1, Ordering::SeqCst);
        drop(guard);
        header.items.0.notify(ALL);
        header.space.0.notify(ALL);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.header().closed.load(Ordering::SeqCst) != 0
    }

    pub(super) fn lock_producers(&self) -> Guard<'_> {
        let producers = &self.header().producers.0;
        if producers.lock.lock(None) == Some(Held::OwnerDied) {
            self.header().sweep.store(1, Ordering::Relaxed);
        }
        Guard(&producers.lock, PhantomData)
    }

    pub(super) fn lock_consumers(&self) -> Guard<'_> {
        let consumers = &self.header().consumers.0;
        let held = consumers.lock.lock(None);
        let guard = Guard(&consumers.lock, PhantomData);
        if held == Some(Held::OwnerDied) {
            self.header().sweep.store(1, Ordering::Relaxed);
            self.recover();
        }
        guard
    }

    /// Whether a take would find something, or there never will be anything.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_items() || self.is_drained()
    }

    /// Waits until there is something to take, or never will be; `false` at the deadline.
    pub(crate) fn wait_for_items(&self, deadline: Option<Instant>) -> bool {
        self.header().items.0.wait(deadline, || self.is_ready(), || self.nap())
    }

    /// What one who waits does from time to time.
    pub(super) fn nap(&self) {
        cooperate::check();
        self.requeue_of_the_dead();
    }

    /// Waits until there is space for a message of `length` bytes, or the queue is closed; `false` at
    /// the deadline.
    pub(crate) fn wait_for_space(&self, length: usize, deadline: Option<Instant>) -> bool {
        let nap = || {
            cooperate::check();
            self.sweep_for(length);
        };
        self.header().space.0.wait(deadline, || self.has_space_or_end(length), nap)
    }

    pub(super) fn has_space_or_end(&self, length: usize) -> bool {
        self.has_space(length) || self.is_closed()
    }

    /// Gives back pages that a dead process left behind, if a message of this length needs any: they
    /// are nobody's to give back but ours. Should it fail, the put says so.
    pub(super) fn sweep_for(&self, length: usize) {
        if length > self.shape.inline_most() {
            let _guard = self.lock_producers();
            let _ = self.sweep_if_due();
        }
    }

    /// Whether there is space for a message, as far as can be told without the lock.
    fn has_space(&self, length: usize) -> bool {
        let header = self.header();
        // The head first: it never passes the tail.
        let head = Mark::load(&header.head.0, Ordering::Acquire);
        let used = Mark::load(&header.tail.0, Ordering::Acquire).since(head);
        if length > self.shape.inline_most() {
            return self.fits(used, units(LARGE_BODY)) && self.has_pages(length);
        }
        self.fits(used, units(length))
    }
}

/// Where a large message is, and how long.
type Pages = (u64, u64);

/// After a message was taken.
struct Next {
    /// The mark behind it.
    head: Mark,
    /// The pages to be cleared when the head has moved there.
    garbage: Option<Pages>,
    /// Whether no other may be taken along.
    last: bool,
}
