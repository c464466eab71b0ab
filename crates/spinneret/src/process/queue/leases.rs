//! Leases: messages that were taken, but not for good.
//!
//! A lease is a slot in shared memory that knows its owner and keeps the message. It is written in
//! the same critical section as the move of the head, and before it: until the head has moved the
//! slot says `Taking`, which the next holder of the lock reads as "leased" or "never happened",
//! depending on where it finds the head.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::batch::Batch;
use super::core::{Core, Fault, TAKE_BYTES};
use super::layout::{Mark, Slot};
use super::record::{Body, Record};
use super::terms::How;
use crate::os::{ALL, NAP};

/// What a slot is used for; fits into a word, so that it changes by one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    /// The owner is about to move the head over the message.
    Taking {
        owner: u32,
    },
    Leased {
        owner: u32,
        deliveries: u32,
    },
    /// The message waits to be taken again, before those in the ring.
    Requeued {
        deliveries: u32,
    },
}

/// Counts stop here.
const MOST_DELIVERIES: u32 = (1 << 30) - 1;

impl State {
    pub(super) fn of(slot: &Slot) -> Self {
        let word = slot.state.load(Ordering::Acquire);
        let (owner, deliveries) = (word as u32, (word >> 32) as u32 & MOST_DELIVERIES);
        match word >> 62 {
            0 => Self::Free,
            1 => Self::Taking { owner },
            2 => Self::Leased { owner, deliveries },
            _ => Self::Requeued { deliveries },
        }
    }

    pub(super) fn set(self, slot: &Slot) {
        let word = |kind: u64, owner: u32, deliveries: u32| {
            kind << 62 | u64::from(deliveries.min(MOST_DELIVERIES)) << 32 | u64::from(owner)
        };
        let word = match self {
            Self::Free => 0,
            Self::Taking { owner } => word(1, owner, 0),
            Self::Leased { owner, deliveries } => word(2, owner, deliveries),
            Self::Requeued { deliveries } => word(3, 0, deliveries),
        };
        slot.state.store(word, Ordering::Release);
    }
}

/// When this process last looked for dead owners.
#[derive(Debug)]
pub(super) struct Glance {
    born: Instant,
    /// In milliseconds after `born`.
    last: AtomicU64,
}

impl Default for Glance {
    fn default() -> Self {
        Self { born: Instant::now(), last: AtomicU64::new(0) }
    }
}

impl Glance {
    /// Whether it was longer ago than a nap; if so, it is now.
    fn is_due(&self) -> bool {
        let now = self.born.elapsed().as_millis() as u64;
        let due = now >= self.last.load(Ordering::Relaxed) + NAP.as_millis() as u64;
        if due {
            self.last.store(now, Ordering::Relaxed);
        }
        due
    }
}

/// The word that says which acknowledgement was begun: 0 for none.
const REDO: u64 = 1 << 63;

impl Core {
    /// Whether leases keep their messages, so that they can be requeued by anybody.
    pub(super) fn keeps_messages(&self) -> bool {
        self.shape.slot_bytes > 0
    }

    fn slot(&self, index: usize) -> &Slot {
        self.shape.slot(&self.shm, index)
    }

    /// Slots with their indices and states.
    fn slots(&self) -> impl Iterator<Item = (usize, &Slot, State)> {
        (0..self.shape.slots).map(|index| {
            let slot = self.slot(index);
            (index, slot, State::of(slot))
        })
    }

    /// Leases the record that is next and appends its message to `out`; `false` if there is no free
    /// slot. [`Core::confirm`] completes it, after the head has moved.
    pub(super) fn lease(
        &self,
        record: &Record,
        owner: u32,
        sequence: u32,
        out: &mut Batch,
    ) -> Result<bool, Fault> {
        let Some(index) = self.free_slot() else { return Ok(false) };
        let slot = self.slot(index);
        let start = out.bytes.len();
        match record.body {
            Body::Inline { .. } => self.copy(record, &mut out.bytes),
            Body::Large { place, len } => self.read_large(place, len, &mut out.bytes)?,
        }
        let message = &out.bytes[start..];
        let place = match record.body {
            _ if !self.keeps_messages() => {
                let tag = message.first_chunk().map_or(0, |tag| u64::from_le_bytes(*tag));
                slot.tag.store(tag, Ordering::Relaxed);
                0
            }
            Body::Large { place, .. } => place,
            Body::Inline { len, .. } if len <= self.shape.slot_bytes => {
                let slab = self.shape.slab(&self.shm, index);
                // SAFETY: the slab has `slot_bytes` for each slot, and this one is free: under the
                // lock it is ours.
                unsafe { slab.copy_from_nonoverlapping(message.as_ptr(), len) };
                0
            }
            Body::Inline { .. } => self.write_large(message)?,
        };
        slot.place.store(place, Ordering::Relaxed);
        slot.len.store(message.len() as u64, Ordering::Relaxed);
        slot.sequence.store(sequence, Ordering::Relaxed);
        State::Taking { owner }.set(slot);
        // Before the head moves: the message must never seem to be nowhere.
        self.header().consumers.0.leased.fetch_add(1, Ordering::Release);
        out.seal(index as u32, 0);
        Ok(true)
    }

    fn free_slot(&self) -> Option<usize> {
        let hint = &self.header().consumers.0.slot_hint;
        let (start, count) = (hint.load(Ordering::Relaxed) as usize, self.shape.slots);
        let free = (0..count)
            .map(|step| (start + step) % count)
            .find(|index| State::of(self.slot(*index)) == State::Free)?;
        // At most `MOST_SLOTS`.
        hint.store((free + 1) as u32, Ordering::Relaxed);
        Some(free)
    }

    /// The head has moved: what was being taken is leased.
    pub(super) fn confirm(&self, owner: u32, out: &Batch, first: usize) {
        for item in &out.items[first..] {
            State::Leased { owner, deliveries: 0 }.set(self.slot(item.slot as usize));
        }
    }

    /// Takes requeued messages, the oldest first.
    pub(super) fn take_requeued(
        &self,
        most: usize,
        how: How,
        out: &mut Batch,
    ) -> Result<(), Fault> {
        let books = &self.header().consumers.0;
        if books.requeued.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let head = Mark::load(&self.header().head.0, Ordering::Relaxed).sequence;
        let mut waiting: Vec<_> = self
            .slots()
            .filter_map(|(index, slot, state)| match state {
                State::Requeued { deliveries } => {
                    let age = head.wrapping_sub(slot.sequence.load(Ordering::Relaxed));
                    Some((age, index, deliveries))
                }
                _ => None,
            })
            .collect();
        books.requeued.store(waiting.len() as u32, Ordering::Relaxed);
        waiting.sort_unstable_by_key(|(age, ..)| std::cmp::Reverse(*age));
        let start = out.bytes.len();
        for (_, index, deliveries) in waiting.into_iter().take(most) {
            if out.bytes.len() - start >= TAKE_BYTES {
                break;
            }
            let slot = self.slot(index);
            self.copy_leased(index, &mut out.bytes)?;
            out.seal(index as u32, deliveries);
            match how {
                How::Get => {
                    State::Free.set(slot);
                    self.clear_slot(slot);
                }
                How::Lease(owner) => {
                    State::Leased { owner, deliveries }.set(slot);
                    books.leased.fetch_add(1, Ordering::Release);
                }
            }
            books.requeued.fetch_sub(1, Ordering::Release);
        }
        Ok(())
    }

    fn copy_leased(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let slot = self.slot(index);
        let (place, len) = (slot.place.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        if place != 0 {
            return self.read_large(place, len, out);
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > self.shape.slot_bytes {
            return Err(Fault::Damaged("the length of a leased message"));
        }
        out.reserve(len);
        let spare = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: the slab has `slot_bytes` for each slot; `reserve` has made room.
        unsafe { spare.copy_from_nonoverlapping(self.shape.slab(&self.shm, index), len) };
        // SAFETY: just written.
        unsafe { out.set_len(out.len() + len) };
        Ok(())
    }

    /// Gives back the pages of a slot that is free.
    fn clear_slot(&self, slot: &Slot) {
        let (place, len) = (slot.place.load(Ordering::Relaxed), slot.len.load(Ordering::Relaxed));
        if place != 0 {
            self.clear_large(place, len);
        }
    }

    /// The work of a lease is done; `false` if the lease is no longer the owner's.
    pub(crate) fn acknowledge(&self, index: u32, owner: u32) -> bool {
        let books = &self.header().consumers.0;
        let guard = self.lock_consumers();
        let slot = self.slot(index as usize);
        if !matches!(State::of(slot), State::Leased { owner: holder, .. } if holder == owner) {
            return false;
        }
        let done = books.done.load(Ordering::Relaxed).wrapping_add(1);
        books.redo.store(REDO | u64::from(index) << 32 | u64::from(done), Ordering::Release);
        State::Free.set(slot);
        books.done.store(done, Ordering::Release);
        books.redo.store(0, Ordering::Release);
        books.leased.fetch_sub(1, Ordering::Relaxed);
        self.clear_slot(slot);
        drop(guard);
        let header = self.header();
        header.idle.0.notify(ALL);
        header.space.0.notify(ALL);
        header.free.0.notify(1);
        self.tell_the_end();
        true
    }

    /// The message of a lease goes back to the queue; `false` if it is no longer the owner's.
    pub(crate) fn release(&self, index: u32, owner: u32) -> bool {
        let books = &self.header().consumers.0;
        let guard = self.lock_consumers();
        let slot = self.slot(index as usize);
        let State::Leased { owner: holder, deliveries } = State::of(slot) else { return false };
        if holder != owner {
            return false;
        }
        State::Requeued { deliveries }.set(slot);
        books.requeued.fetch_add(1, Ordering::Release);
        books.leased.fetch_sub(1, Ordering::Release);
        drop(guard);
        self.tell_requeued(1);
        true
    }

    /// A task that was got is done; `false` if all were already.
    pub(crate) fn task_done(&self) -> bool {
        let books = &self.header().consumers.0;
        let guard = self.lock_consumers();
        if self.is_idle() {
            return false;
        }
        books.done.fetch_add(1, Ordering::Release);
        drop(guard);
        self.header().idle.0.notify(ALL);
        true
    }

    /// Whether every message that was put is done.
    pub(crate) fn is_idle(&self) -> bool {
        // What is done first. The other way round, a task that puts another before it is done could
        // come in between, and the one it put would be overlooked.
        let done = self.header().consumers.0.done.load(Ordering::Acquire);
        Mark::load(&self.header().tail.0, Ordering::Acquire).sequence == done
    }

    /// Waits until every message that was put is done; `false` at the deadline.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> bool {
        self.header().idle.0.wait(deadline, || self.is_idle(), || self.nap())
    }

    /// Whether other processes hold leases, which may come back.
    pub(super) fn others_lease(&self) -> bool {
        if !self.keeps_messages() || self.header().consumers.0.leased.load(Ordering::Acquire) == 0 {
            return false;
        }
        let own = self.membership.number();
        self.slots().any(|(_, _, state)| match state {
            State::Taking { owner } | State::Leased { owner, .. } => own != Some(owner),
            State::Free | State::Requeued { .. } => false,
        })
    }

    /// Whether a message could be leased if there were one: a slot is free, or keeps the message
    /// already.
    pub(super) fn has_slot(&self) -> bool {
        let books = &self.header().consumers.0;
        let (leased, requeued) =
            (books.leased.load(Ordering::Relaxed), books.requeued.load(Ordering::Relaxed));
        // The sum may be too large for a moment, so before we say no we count ourselves.
        !self.keeps_messages()
            || requeued > 0
            || (leased as usize) < self.shape.slots
            || self.slots().any(|(_, _, state)| state == State::Free)
    }

    /// Waits until there is something to lease and a slot for it, or never will be anything; `false`
    /// at the deadline.
    pub(crate) fn wait_to_lease(&self, deadline: Option<Instant>) -> bool {
        if !self.wait_for_items(deadline) {
            return false;
        }
        if self.has_slot() {
            return true;
        }
        // The wake-up that was ours may be of use to one who needs no slot.
        self.header().items.0.notify(1);
        let ready = || self.has_slot() || !self.has_items();
        self.header().free.0.wait(deadline, ready, || self.nap())
    }

    /// Wakes those who can take what was requeued.
    fn tell_requeued(&self, count: u32) {
        if count > 0 {
            self.header().items.0.notify(count);
            self.header().free.0.notify(count);
        }
    }

    /// Requeues what dead processes had leased.
    pub(crate) fn requeue_of_the_dead(&self) {
        let books = &self.header().consumers.0;
        if !self.keeps_messages() || books.leased.load(Ordering::Acquire) == 0 {
            return;
        }
        let guard = self.lock_consumers();
        let count = self.requeue(|owner| !self.membership.is_alive(self.fd(), owner));
        drop(guard);
        self.tell_requeued(count);
    }

    /// Does so now and then: for those who never sleep, since they poll or are never without work.
    pub(super) fn glance_at_the_dead(&self) {
        if self.keeps_messages()
            && self.header().consumers.0.leased.load(Ordering::Relaxed) != 0
            && self.glance.is_due()
        {
            self.requeue_of_the_dead();
        }
    }

    /// Requeues what owners had leased; says how many messages. Under the consumers' lock.
    pub(super) fn requeue(&self, is_dead: impl Fn(u32) -> bool) -> u32 {
        let books = &self.header().consumers.0;
        let mut verdicts = std::collections::HashMap::new();
        let mut count = 0;
        for (_, slot, state) in self.slots() {
            if let State::Leased { owner, deliveries } = state
                && *verdicts.entry(owner).or_insert_with(|| is_dead(owner))
            {
                State::Requeued { deliveries: deliveries.saturating_add(1) }.set(slot);
                books.requeued.fetch_add(1, Ordering::Release);
                books.leased.fetch_sub(1, Ordering::Release);
                count += 1;
            }
        }
        count
    }

    /// This process's number, which the slots of its leases bear.
    pub(crate) fn owner(&self) -> Result<u32, Fault> {
        self.membership.join(self.fd(), |number| {
            // A process that had the number before, and died, may have left leases.
            let guard = self.lock_consumers();
            let count = self.requeue(|owner| owner == number);
            drop(guard);
            self.tell_requeued(count);
        })
    }

    /// Puts in order what a process left that died with the consumers' lock.
    #[cold]
    pub(super) fn recover(&self) {
        let header = self.header();
        let books = &header.consumers.0;
        let redo = books.redo.load(Ordering::Acquire);
        if redo & REDO != 0 {
            let index = (redo & !REDO) as usize >> 32;
            if index < self.shape.slots {
                State::Free.set(self.slot(index));
            }
            books.done.store(redo as u32, Ordering::Release);
            books.redo.store(0, Ordering::Release);
        }
        let head = Mark::load(&header.head.0, Ordering::Acquire).sequence;
        let (mut leased, mut requeued) = (0, 0);
        for (_, slot, state) in self.slots() {
            match state {
                State::Free => {}
                State::Taking { owner } => {
                    let sequence = slot.sequence.load(Ordering::Relaxed);
                    if head.wrapping_sub(sequence).cast_signed() > 0 {
                        State::Leased { owner, deliveries: 0 }.set(slot);
                        leased += 1;
                    } else {
                        State::Free.set(slot);
                    }
                }
                State::Leased { .. } => leased += 1,
                State::Requeued { .. } => requeued += 1,
            }
        }
        books.leased.store(leased, Ordering::Relaxed);
        books.requeued.store(requeued, Ordering::Relaxed);
    }

    /// Ends the lease of one who keeps only the tag, without the lock: the slot is the owner's, and
    /// nobody else touches it while that lives.
    pub(crate) fn settle(&self, index: u32) {
        State::Free.set(self.slot(index as usize));
    }

    /// The tags of what an owner, which is dead, has leased; the slots are free afterwards.
    pub(crate) fn seize(&self, owner: u32) -> Vec<u64> {
        let _guard = self.lock_consumers();
        let mut tags = Vec::new();
        for (_, slot, state) in self.slots() {
            if matches!(state, State::Leased { owner: holder, .. } if holder == owner) {
                tags.push(slot.tag.load(Ordering::Relaxed));
                State::Free.set(slot);
            }
        }
        tags
    }
}
