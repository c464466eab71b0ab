//! One queue as a state machine: no clock, no threads, no waiting.
//!
//! Time comes in as an argument and answers go out at once, so that every rule of the queue can be
//! tested by itself. [`shared`](super::shared) adds the waiting around it.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Who holds a lease: one connection, or one handle within the manager's process.
pub(crate) type Owner = u64;

/// What an item in a batch is counted for beyond its payload, in bytes: more than goes with it.
pub(crate) const ITEM_HEAD: usize = 24;

/// How a queue is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    pub(crate) maxsize: u64,
    pub(crate) max_deliveries: u32,
}

impl QueueOptions {
    /// An unbounded queue whose items are delivered up to 5 times.
    pub fn new() -> Self {
        Self { maxsize: 0, max_deliveries: 5 }
    }

    /// The number of queued items from which puts wait. Leased items do not count. 0 is no bound.
    #[must_use]
    pub fn maxsize(mut self, items: usize) -> Self {
        self.maxsize = items as u64;
        self
    }

    /// How often an item is delivered before it becomes a dead letter. 0 is no limit.
    #[must_use]
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.max_deliveries = deliveries;
        self
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A queue in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Items waiting to be taken.
    pub queued: u64,
    /// Items taken and not yet done.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
    /// Items that `join` waits for: queued and leased ones.
    pub unfinished: u64,
    /// Items ever put.
    pub puts: u64,
    /// Deliveries ever made; an item that came back counts again.
    pub delivered: u64,
    /// Items ever done.
    pub done: u64,
    /// Queued items from which puts wait; 0 is no bound.
    pub maxsize: u64,
    /// Whether the queue is closed to new items.
    pub closed: bool,
}

/// An item on its way to whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The lease under which it is held.
    pub lease: u64,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
    pub payload: Bytes,
}

/// An item that nobody will be given any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    pub id: u64,
    pub deliveries: u32,
    pub reason: Arc<str>,
    pub payload: Bytes,
}

/// What its holder says about a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// The item is done with.
    Done,
    /// The item was not tried: back to the head, and this delivery does not count for its limit.
    Release,
    /// The item was tried in vain: back to the head, unless it has used up its deliveries.
    Return { reason: Arc<str> },
    /// The item is hopeless: to the dead letters.
    Fail { reason: Arc<str> },
    /// The holder needs this long from now.
    Extend { hold: Duration },
}

/// What became of an offer of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    Full,
    Closed,
}

/// What there is for somebody who asks for items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Items(Vec<Delivery>),
    Empty,
    Closed,
}

/// A queued item. Millions of them may wait, so nothing here that is not needed for each.
#[derive(Clone, Debug)]
struct Item {
    payload: Bytes,
    deliveries: u32,
    /// Deliveries that ended with a release and do not count for the limit.
    released: u32,
}

#[derive(Debug)]
struct Held {
    item: Item,
    owner: Owner,
    /// None for a lease that lasts as long as its owner.
    deadline: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    options: QueueOptions,
    /// Head first.
    items: VecDeque<Item>,
    /// By lease number. Numbers grow with every delivery, so that their order is the queue's.
    leases: HashMap<u64, Held>,
    /// Every lease that has a deadline, and no other.
    deadlines: BTreeSet<(Instant, u64)>,
    /// Oldest, and so lowest number, first.
    dead: VecDeque<Dead>,
    last_lease: u64,
    last_dead: u64,
    puts: u64,
    delivered: u64,
    done: u64,
    closed: bool,
}

impl Store {
    pub fn new(options: QueueOptions) -> Self {
        Self {
            options,
            items: VecDeque::new(),
            leases: HashMap::new(),
            deadlines: BTreeSet::new(),
            dead: VecDeque::new(),
            last_lease: 0,
            last_dead: 0,
            puts: 0,
            delivered: 0,
            done: 0,
            closed: false,
        }
    }

    pub fn options(&self) -> QueueOptions {
        self.options
    }

    pub fn stats(&self) -> QueueStats {
        let (queued, leased) = (self.items.len() as u64, self.leases.len() as u64);
        QueueStats {
            queued,
            leased,
            dead: self.dead.len() as u64,
            unfinished: queued + leased,
            puts: self.puts,
            delivered: self.delivered,
            done: self.done,
            maxsize: self.options.maxsize,
            closed: self.closed,
        }
    }

    /// Whether nothing is queued or leased.
    pub fn is_finished(&self) -> bool {
        self.items.is_empty() && self.leases.is_empty()
    }

    /// Whether somebody who waits for items should look again.
    pub fn concerns_takers(&self) -> bool {
        self.closed || !self.items.is_empty()
    }

    /// Whether somebody who waits for room should look again.
    pub fn concerns_putters(&self) -> bool {
        self.closed || self.has_room()
    }

    fn has_room(&self) -> bool {
        self.options.maxsize == 0 || (self.items.len() as u64) < self.options.maxsize
    }

    /// Takes in as many of the items as there is room for, leaving the rest.
    pub fn offer(&mut self, items: &mut VecDeque<Bytes>) -> Offer {
        if self.closed && !items.is_empty() {
            return Offer::Closed;
        }
        while !items.is_empty() {
            if !self.has_room() {
                return Offer::Full;
            }
            if let Some(payload) = items.pop_front() {
                self.items.push_back(Item { payload, deliveries: 0, released: 0 });
                self.puts += 1;
            }
        }
        Offer::Taken
    }

    /// Gives an owner up to `max` items from the head, but no more than `max_bytes` beyond the
    /// first, to hold until the deadline.
    pub fn take(
        &mut self,
        owner: Owner,
        max: usize,
        max_bytes: usize,
        deadline: Option<Instant>,
    ) -> Take {
        if self.items.is_empty() {
            // An item that another holds may still come back; the owner's own cannot while it
            // waits for more, so waiting for them could wait for ever.
            let drained = self.closed && self.leases.values().all(|held| held.owner == owner);
            return if drained { Take::Closed } else { Take::Empty };
        }
        let mut given = Vec::with_capacity(max.min(self.items.len()));
        let mut bytes = 0;
        while given.len() < max {
            let Some(next) = self.items.front() else {
                break;
            };
            bytes += next.payload.len() + ITEM_HEAD;
            if bytes > max_bytes && !given.is_empty() {
                break;
            }
            let Some(mut item) = self.items.pop_front() else {
                break;
            };
            item.deliveries = item.deliveries.saturating_add(1);
            self.delivered += 1;
            self.last_lease += 1;
            let lease = self.last_lease;
            given.push(Delivery {
                lease,
                deliveries: item.deliveries,
                payload: item.payload.clone(),
            });
            if let Some(deadline) = deadline {
                self.deadlines.insert((deadline, lease));
            }
            self.leases.insert(lease, Held { item, owner, deadline });
        }
        Take::Items(given)
    }

    /// Settles an owner's leases and returns those that it does not hold (any more).
    pub fn settle(&mut self, owner: Owner, leases: &[u64], how: &Settle, now: Instant) -> Vec<u64> {
        let mut lost = Vec::new();
        let mut mine: Vec<u64> = leases.to_vec();
        mine.retain(|lease| {
            let held = self.leases.get(lease).is_some_and(|held| held.owner == owner);
            if !held {
                lost.push(*lease);
            }
            held
        });
        // Last first, so that what goes back to the head keeps its order.
        mine.sort_unstable_by(|a, b| b.cmp(a));
        for lease in mine {
            if let Settle::Extend { hold } = how {
                self.extend(lease, now.checked_add(*hold));
            } else if let Some(item) = self.end(lease) {
                match how {
                    Settle::Done => self.done += 1,
                    Settle::Release => {
                        let released = item.released.saturating_add(1);
                        self.items.push_front(Item { released, ..item });
                    }
                    Settle::Return { reason } => self.give_back(item, reason),
                    Settle::Fail { reason } => self.bury(&item, Arc::clone(reason)),
                    Settle::Extend { .. } => {}
                }
            } else {
                // The same number twice in one request.
                lost.push(lease);
            }
        }
        lost
    }

    /// Ends a lease and hands out its item.
    fn end(&mut self, lease: u64) -> Option<Item> {
        let held = self.leases.remove(&lease)?;
        if let Some(deadline) = held.deadline {
            self.deadlines.remove(&(deadline, lease));
        }
        Some(held.item)
    }

    fn extend(&mut self, lease: u64, deadline: Option<Instant>) {
        let Some(held) = self.leases.get_mut(&lease) else {
            return;
        };
        let before = std::mem::replace(&mut held.deadline, deadline);
        if let Some(before) = before {
            self.deadlines.remove(&(before, lease));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, lease));
        }
    }

    /// Puts an item back at the head, or among the dead letters if it was delivered too often.
    fn give_back(&mut self, item: Item, reason: &Arc<str>) {
        let counted = item.deliveries.saturating_sub(item.released);
        if self.options.max_deliveries != 0 && counted >= self.options.max_deliveries {
            self.bury(&item, Arc::clone(reason));
        } else {
            self.items.push_front(item);
        }
    }

    fn bury(&mut self, item: &Item, reason: Arc<str>) {
        self.last_dead += 1;
        self.dead.push_back(Dead {
            id: self.last_dead,
            deliveries: item.deliveries,
            reason,
            // A copy: a dead letter may stay for long, and must not keep a whole batch in memory.
            payload: Bytes::copy_from_slice(&item.payload),
        });
    }

    /// Takes back every lease whose deadline is not after `now`; returns how many.
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut over = Vec::new();
        while let Some(&(deadline, lease)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            over.push(lease);
        }
        self.take_back(over, "lease deadline passed")
    }

    /// Takes back every lease of an owner that is gone; returns how many.
    pub fn owner_gone(&mut self, owner: Owner) -> usize {
        let held = self.leases.iter().filter(|(_, held)| held.owner == owner);
        let held = held.map(|(lease, _)| *lease).collect();
        self.take_back(held, "connection lost")
    }

    fn take_back(&mut self, mut leases: Vec<u64>, reason: &str) -> usize {
        if leases.is_empty() {
            return 0;
        }
        let reason = Arc::from(reason);
        leases.sort_unstable_by(|a, b| b.cmp(a));
        for lease in &leases {
            if let Some(item) = self.end(*lease) {
                self.give_back(item, &reason);
            }
        }
        leases.len()
    }

    /// The earliest time at which [`expire`](Self::expire) has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// How many leases an owner holds.
    pub fn held_by(&self, owner: Owner) -> usize {
        self.leases.values().filter(|held| held.owner == owner).count()
    }

    /// Takes items back that were done too early: their taker gave up before it had them.
    pub fn restore(&mut self, items: Vec<(u32, Bytes)>) {
        for (deliveries, payload) in items.into_iter().rev() {
            // Nobody has tried them, so that none of these deliveries counts.
            self.items.push_front(Item { payload, deliveries, released: deliveries });
            self.done = self.done.saturating_sub(1);
        }
    }

    /// Up to `max` dead letters with numbers above `after`, oldest first, but no more than
    /// `max_bytes` beyond the first.
    pub fn dead(&self, after: u64, max: usize, max_bytes: usize) -> Vec<Dead> {
        let start = self.dead.partition_point(|dead| dead.id <= after);
        let mut bytes = 0;
        let mut found = Vec::new();
        for dead in self.dead.range(start..).take(max) {
            bytes += dead.payload.len() + dead.reason.len() + ITEM_HEAD;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(dead.clone());
        }
        found
    }

    /// Removes dead letters and returns the numbers of those that were not there (any more).
    pub fn drop_dead(&mut self, ids: &[u64]) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut gone = BTreeSet::new();
        for id in ids {
            if self.dead.binary_search_by_key(id, |dead| dead.id).is_err() || !gone.insert(*id) {
                missing.push(*id);
            }
        }
        self.dead.retain(|dead| !gone.contains(&dead.id));
        missing
    }

    /// Puts all dead letters at the queue's end as if never delivered, whatever its bound and
    /// even if it is closed: they were accepted once. Returns how many.
    pub fn requeue_dead(&mut self) -> usize {
        let again = self.dead.len();
        self.items.extend(self.dead.drain(..).map(|dead| Item {
            payload: dead.payload,
            deliveries: 0,
            released: 0,
        }));
        again
    }

    /// Takes no more items from now on.
    pub fn close(&mut self) {
        self.closed = true;
    }
}

#[cfg(test)]
mod tests;
