//! One queue as a state machine: no clock, no threads, no waiting.
//!
//! Time comes in as an argument and answers go out at once, so that every rule of the queue can be
//! tested by itself. [`shared`](super::shared) adds the waiting around it.
//!
//! A durable queue's store also notes each [`Change`] for whoever writes them down. What must not
//! be seen before it is written has two halves there: [`offer`](Store::offer) and
//! [`admit`](Store::admit), [`settle`](Store::settle) and [`ended`](Store::ended). In memory the
//! first half is all.

mod dead;
mod dedupe;
mod hold;
mod item;
mod journal;
mod leases;
mod line;
mod options;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dedupe::Keys;
use leases::Leases;
use line::{Delayed, Line};

pub(crate) use item::{
    Ask, Batch, Buried, Dead, Delivery, ITEM_HEAD, Item, ItemId, Offer, Offered, Owner, Past,
    Settle, Settled, Take, Waiting,
};
pub(crate) use journal::Change;
pub(crate) use options::{Backoff, Dedupe};
pub use options::{PutOptions, QueueOptions, QueueStats};

/// The last numbers that were given. All queues of a data folder share them, so that no number is
/// another's when a queue is removed and made anew.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Of places in the sequence of puts.
    pub puts: AtomicU64,
    /// Of dead letters.
    pub dead: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Store {
    options: QueueOptions,
    line: Line,
    delayed: Delayed,
    leases: Leases,
    /// Who waits for items, and in how many requests each.
    waits: HashMap<Owner, usize>,
    /// Oldest, and so lowest number, first.
    dead: VecDeque<Buried>,
    keys: Keys,
    /// Items that are gone from the queue but still waited for.
    taken: u64,
    /// Items that will be queued once they are written.
    incoming: u64,
    /// Leases that will be over once this is written.
    ending: u64,
    /// Taken items that will be done once this is written.
    finishing: u64,
    /// How many of the items here were reported done before anybody took them; forgotten with the
    /// manager's end. Never more than there are to be waited for.
    ahead: u64,
    puts: u64,
    delivered: u64,
    done: u64,
    closed: bool,
    /// Where items and dead letters get their numbers.
    counters: Arc<Counters>,
    /// What is to be written down; `None` if nothing ever is.
    journal: Option<Vec<Change>>,
}

impl Store {
    /// An empty queue in memory.
    pub fn new(options: QueueOptions) -> Self {
        Self {
            options,
            line: Line::default(),
            delayed: Delayed::default(),
            leases: Leases::default(),
            waits: HashMap::new(),
            dead: VecDeque::new(),
            keys: Keys::default(),
            taken: 0,
            incoming: 0,
            ending: 0,
            finishing: 0,
            ahead: 0,
            puts: 0,
            delivered: 0,
            done: 0,
            closed: false,
            counters: Arc::default(),
            journal: None,
        }
    }

    /// A durable queue as it was when its manager ended. What was held then is at its place in
    /// the line again, or a dead letter if that was its last delivery.
    pub fn durable(options: QueueOptions, counters: Arc<Counters>, past: Past) -> Self {
        let journal = Some(Vec::new());
        let mut store = Self { counters, journal, ..Self::new(options) };
        store.dead = past.dead.into();
        store.taken = past.taken;
        store.closed = past.closed;
        past.keys.into_iter().for_each(|(key, until)| store.keys.insert(key, until));
        let reason = Arc::from("manager ended");
        for (item, due) in past.items {
            if store.used_up(&item) {
                store.bury(item, Arc::clone(&reason));
            } else {
                store.join_line(item, due);
            }
        }
        store
    }

    /// What has to be written down since this was last asked.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(journal) = &mut self.journal {
            journal.push(change());
        }
    }

    fn note_tries(&mut self, item: &Item, due: Option<Instant>) {
        let Item { id, deliveries, released, .. } = *item;
        self.note(|| Change::Tries { item: id, deliveries, released, due });
    }

    pub fn options(&self) -> QueueOptions {
        self.options
    }

    pub fn set_options(&mut self, options: QueueOptions) {
        self.options = options;
    }

    fn queued(&self) -> u64 {
        (self.line.len() + self.delayed.len()) as u64
    }

    pub fn stats(&self) -> QueueStats {
        let queued = self.queued();
        let leased = self.leases.len() as u64 + self.ending;
        let taken = self.taken + self.finishing;
        QueueStats {
            queued,
            delayed: self.delayed.len() as u64,
            leased,
            dead: self.dead.len() as u64,
            taken,
            unfinished: (queued + leased + taken).saturating_sub(self.ahead),
            puts: self.puts,
            delivered: self.delivered,
            done: self.done,
            maxsize: self.options.maxsize,
            closed: self.closed,
        }
    }

    /// Whether nothing is queued, leased or taken but what was reported done ahead.
    pub fn is_finished(&self) -> bool {
        self.pending() + self.finishing <= self.ahead
    }

    /// Items that are not done, nor about to be.
    fn pending(&self) -> u64 {
        self.queued() + self.leases.len() as u64 + self.ending + self.taken
    }

    /// Whether somebody who waits for items should look again.
    pub fn concerns_takers(&self) -> bool {
        self.closed || !self.line.is_empty()
    }

    /// Whether somebody who waits for room should look again.
    pub fn concerns_putters(&self) -> bool {
        self.closed || self.has_room()
    }

    fn has_room(&self) -> bool {
        self.options.maxsize == 0 || self.queued() + self.incoming < self.options.maxsize
    }

    fn next_id(&self, priority: i8) -> ItemId {
        ItemId::new(priority, self.counters.puts.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Takes as many items out of the batch as there is room for. They are in the queue once they
    /// are [admitted](Self::admit), those of a queue in memory at once.
    pub fn offer(&mut self, batch: &mut Batch, now: Instant) -> (Offer, Offered) {
        let mut offered = Offered::default();
        if self.closed && batch.len() > 0 {
            return (Offer::Closed, offered);
        }
        while batch.len() > 0 {
            let double = batch.key().is_some_and(|key| self.keys.has(key, now));
            if !double && !self.has_room() {
                return (Offer::Full, offered);
            }
            let Some((payload, options)) = batch.pop() else {
                break;
            };
            offered.accepted += 1;
            if let Some(Dedupe { key, ttl }) = options.dedupe {
                if double {
                    offered.duplicates += 1;
                    offered.relied.push(key);
                    continue;
                }
                let until = now + ttl;
                self.keys.tidy(now);
                self.keys.insert(key.clone(), until);
                self.note(|| Change::Key { key: key.clone(), until });
                offered.claimed.push(key);
            }
            let due = (!options.delay.is_zero()).then(|| now + options.delay);
            let item =
                Item { payload, id: self.next_id(options.priority), deliveries: 0, released: 0 };
            if let Some(journal) = &mut self.journal {
                let payload = item.payload.clone();
                journal.push(Change::Put { item: item.id, due, payload });
                offered.items.push((item, due));
                self.incoming += 1;
            } else {
                self.puts += 1;
                self.join_line(item, due);
            }
        }
        (Offer::Taken, offered)
    }

    /// Lets offered items in, or forgets them if they could not be written. False if that is so,
    /// or was for an item that made a duplicate of one of these.
    pub fn admit(&mut self, offered: Offered, written: bool) -> bool {
        self.incoming -= offered.items.len() as u64;
        if !written {
            offered.claimed.iter().for_each(|key| self.keys.remove(key));
            return false;
        }
        self.puts += offered.items.len() as u64;
        for (item, due) in offered.items {
            self.join_line(item, due);
        }
        offered.relied.iter().all(|key| self.keys.knows(key))
    }

    fn join_line(&mut self, item: Item, due: Option<Instant>) {
        match due {
            Some(due) => self.delayed.insert(due, item),
            None => self.line.push_back(item),
        }
    }

    /// Lets the delayed items whose time has come join the line.
    fn ripen(&mut self, now: Instant) {
        while let Some(item) = self.delayed.pop_due(now) {
            // Those that come back have waited before.
            if item.deliveries == 0 {
                self.line.push_back(item);
            } else {
                self.line.push_front(item);
            }
        }
    }

    /// The earliest time at which [`expire`](Self::expire) has something to do.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        let lease = self.leases.next_deadline();
        lease.into_iter().chain(self.delayed.next()).min()
    }

    /// When the first delay is over.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.next()
    }

    /// The owner of each lease.
    pub fn holders(&self) -> impl Iterator<Item = Owner> {
        self.leases.iter().map(|(_, held)| held.owner)
    }

    /// Up to `max` queued items after the first `skip`, in the order in which they would be taken
    /// now, delayed ones last; no more than `max_bytes` beyond the first.
    pub fn peek(&self, skip: usize, max: usize, max_bytes: usize, now: Instant) -> Vec<Waiting> {
        let ready = self.line.iter().map(|item| (Duration::ZERO, item));
        let delayed = self.delayed.iter();
        let delayed = delayed.map(|(due, item)| (due.saturating_duration_since(now), item));
        let mut bytes = 0;
        let mut found = Vec::new();
        for (delay, item) in ready.chain(delayed).skip(skip).take(max) {
            bytes += item.payload.len() + ITEM_HEAD;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(Waiting {
                priority: item.id.priority(),
                deliveries: item.deliveries,
                delay,
                payload: item.payload.clone(),
            });
        }
        found
    }

    /// Notes that the queue is going to be [closed](Self::close).
    pub fn plan_close(&mut self) {
        self.note(|| Change::Close);
    }

    /// Takes no more items from now on.
    pub fn close(&mut self) {
        self.closed = true;
    }
}

#[cfg(test)]
mod tests;
