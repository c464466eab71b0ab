//! Items in somebody's hands: taking them, and the ways back.

use std::{borrow::Cow, collections::hash_map::Entry, sync::Arc, time::Instant};

use super::{
    Ask, Change, Delivery, ITEM_HEAD, Item, Owner, Settle, Settled, Store, Take, leases::Held,
};

impl Store {
    /// Gives an owner items from the head.
    pub fn take(&mut self, owner: Owner, ask: Ask, now: Instant) -> Take {
        self.ripen(now);
        if self.line.is_empty() {
            return if self.is_drained_for(owner) { Take::Closed } else { Take::Empty };
        }
        let deadline = ask.hold.and_then(|hold| now.checked_add(hold));
        let mut given = Vec::with_capacity(ask.max.min(self.line.len()));
        let mut bytes = 0;
        while given.len() < ask.max {
            let Some(next) = self.line.front() else {
                break;
            };
            bytes += next.payload.len() + ITEM_HEAD;
            if bytes > ask.max_bytes && !given.is_empty() {
                break;
            }
            let Some(mut item) = self.line.pop_front() else {
                break;
            };
            item.deliveries = item.deliveries.saturating_add(1);
            self.delivered += 1;
            // A get is no try: it ends with its item's delivery.
            if ask.hold.is_some() {
                self.note_tries(&item, None);
            }
            let (deliveries, payload) = (item.deliveries, item.payload.clone());
            let lease = self.leases.begin(Held { item, owner, deadline });
            given.push(Delivery { lease, deliveries, payload });
        }
        Take::Items(given)
    }

    /// Whether the queue is closed and nothing can come for an owner that asks for items.
    ///
    /// What another holds may still come back, but not while it waits for what this one holds:
    /// so leases count neither if they are the owner's own, nor if they last as long as an owner
    /// that [waits](Self::begin_wait). One of those who would wait for each other is told that the
    /// queue is drained, and what it then gives back is the next one's.
    fn is_drained_for(&self, owner: Owner) -> bool {
        let in_vain = |held: &Held| {
            held.owner == owner || held.deadline.is_none() && self.waits.contains_key(&held.owner)
        };
        self.closed
            && self.queued() == 0
            && self.incoming + self.ending == 0
            && self.leases.iter().all(|(_, held)| in_vain(held))
    }

    /// Notes that an owner waits for items from now on, unless the queue is drained for it: then
    /// this is false.
    pub fn begin_wait(&mut self, owner: Owner) -> bool {
        let begins = !self.is_drained_for(owner);
        if begins {
            *self.waits.entry(owner).or_default() += 1;
        }
        begins
    }

    /// Notes that one wait of an owner is over.
    pub fn end_wait(&mut self, owner: Owner) {
        if let Entry::Occupied(mut waits) = self.waits.entry(owner) {
            *waits.get_mut() -= 1;
            if *waits.get() == 0 {
                waits.remove();
            }
        }
    }

    /// Takes items back that were taken but never reached their taker: as if it never had asked.
    pub fn untake(&mut self, owner: Owner, leases: &[u64]) {
        for lease in leases.iter().rev() {
            if self.leases.get(*lease).is_some_and(|held| held.owner == owner)
                && let Some(Held { mut item, .. }) = self.leases.end(*lease)
            {
                item.deliveries -= 1;
                self.delivered -= 1;
                self.note_tries(&item, None);
                self.line.push_front(item);
            }
        }
    }

    /// Settles an owner's leases. Items of a durable queue that this ends are gone once they have
    /// [ended](Self::ended).
    pub fn settle(&mut self, owner: Owner, leases: &[u64], how: &Settle, now: Instant) -> Settled {
        let mut settled = Settled { taken: *how == Settle::Taken, ..Settled::default() };
        let mut gone = Vec::new();
        let sorted = in_order(leases);
        // Last first, so that what goes back to the head keeps its order.
        for lease in sorted.iter().rev().copied() {
            if self.leases.get(lease).is_none_or(|held| held.owner != owner) {
                settled.lost.push(lease);
                continue;
            }
            if let Settle::Extend { hold } = how {
                self.leases.extend(lease, now.checked_add(*hold));
                continue;
            }
            let Some(Held { item, .. }) = self.leases.end(lease) else {
                continue;
            };
            match how {
                Settle::Done | Settle::Taken if self.journal.is_some() => {
                    gone.push(item.id);
                    settled.ending.push(item);
                }
                Settle::Done => self.done += 1,
                Settle::Taken if self.use_ahead(1) == 1 => self.done += 1,
                Settle::Taken => self.taken += 1,
                Settle::Release => self.release(item),
                Settle::Return { reason } => self.give_back(item, reason, now),
                Settle::Fail { reason } => self.bury(item, Arc::clone(reason)),
                Settle::Extend { .. } => {}
            }
        }
        if !gone.is_empty() {
            let count = gone.len() as u64;
            self.ending += count;
            self.note(|| Change::Gone(gone));
            if settled.taken {
                settled.ahead = self.use_ahead(count);
                let left = count - settled.ahead;
                if left > 0 {
                    self.note(|| Change::Taken(left.cast_signed()));
                }
            }
        }
        self.trim_ahead();
        settled
    }

    /// Lets the items go that leases were ended for, or takes them back, untried, if that could
    /// not be written.
    pub fn ended(&mut self, settled: Settled, written: bool) {
        let count = settled.ending.len() as u64;
        self.ending -= count;
        match (written, settled.taken) {
            (true, false) => self.done += count,
            (true, true) => {
                self.done += settled.ahead;
                self.taken += count - settled.ahead;
            }
            (false, _) => {
                self.ahead += settled.ahead;
                settled.ending.into_iter().for_each(|item| self.release(item));
            }
        }
        self.trim_ahead();
    }

    /// Reports so many items done: taken ones, and if there are fewer of those, others ahead, as
    /// Python's queues count puts and not gets. Begins to count the taken ones as done and returns
    /// their number; `None`, and nothing is done, if there are fewer items at all.
    pub fn task_done(&mut self, count: u64) -> Option<u64> {
        if count > self.pending().saturating_sub(self.ahead) {
            return None;
        }
        let taken = count.min(self.taken);
        self.taken -= taken;
        self.finishing += taken;
        self.ahead += count - taken;
        if taken > 0 {
            self.note(|| Change::Taken(-taken.cast_signed()));
        }
        Some(taken)
    }

    /// Counts taken items as done, or as taken again if that could not be written.
    pub fn task_done_ended(&mut self, taken: u64, written: bool) {
        self.finishing -= taken;
        *(if written { &mut self.done } else { &mut self.taken }) += taken;
    }

    /// How many of so many items were reported done ahead, which they are now.
    fn use_ahead(&mut self, count: u64) -> u64 {
        let used = count.min(self.ahead);
        self.ahead -= used;
        used
    }

    /// Forgets what was reported ahead of items that have come to another end.
    fn trim_ahead(&mut self) {
        self.ahead = self.ahead.min(self.pending());
    }

    /// Puts an item back at the head, untried.
    fn release(&mut self, mut item: Item) {
        item.released = item.released.saturating_add(1);
        self.note_tries(&item, None);
        self.line.push_front(item);
    }

    /// Puts an item back after a delivery in vain: at the head, into a pause, or among the dead
    /// letters if it was delivered too often.
    fn give_back(&mut self, item: Item, reason: &Arc<str>, now: Instant) {
        if self.used_up(&item) {
            self.bury(item, Arc::clone(reason));
            return;
        }
        let due = self.options.backoff.map(|backoff| now + backoff.pause(item.tries()));
        self.note_tries(&item, due);
        match due {
            Some(due) => self.delayed.insert(due, item),
            None => self.line.push_front(item),
        }
    }

    pub(super) fn used_up(&self, item: &Item) -> bool {
        self.options.max_deliveries != 0 && item.tries() >= self.options.max_deliveries
    }

    /// Takes back every lease whose deadline is not after `now`, and ends the delays that are
    /// over; returns how many leases.
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut over = Vec::new();
        while let Some(lease) = self.leases.pop_expired(now) {
            over.push(lease);
        }
        let count = self.take_back(over, "lease deadline passed", now);
        self.ripen(now);
        self.keys.tidy(now);
        count
    }

    /// Takes back every lease of an owner that is gone; returns how many.
    pub fn owner_gone(&mut self, owner: Owner, now: Instant) -> usize {
        let held = self.leases.iter().filter(|(_, held)| held.owner == owner);
        let held = held.map(|(lease, _)| lease).collect();
        self.take_back(held, "connection lost", now)
    }

    fn take_back(&mut self, mut leases: Vec<u64>, reason: &str, now: Instant) -> usize {
        if leases.is_empty() {
            return 0;
        }
        let reason = Arc::from(reason);
        leases.sort_unstable();
        for lease in leases.iter().rev() {
            if let Some(Held { item, .. }) = self.leases.end(*lease) {
                self.give_back(item, &reason, now);
            }
        }
        self.trim_ahead();
        leases.len()
    }
}

/// The same numbers, the lowest first.
pub(super) fn in_order(numbers: &[u64]) -> Cow<'_, [u64]> {
    if numbers.is_sorted() {
        return numbers.into();
    }
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.into()
}
