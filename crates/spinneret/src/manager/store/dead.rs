//! Dead letters: items that nobody is given any more, until somebody looks after them.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{Buried, Change, Dead, ITEM_HEAD, Item, Store, hold::in_order};

impl Store {
    pub(super) fn bury(&mut self, mut item: Item, reason: Arc<str>) {
        let number = self.counters.dead.fetch_add(1, Ordering::Relaxed) + 1;
        let (id, deliveries) = (item.id, item.deliveries);
        self.note(|| Change::Bury { item: id, number, deliveries, reason: Arc::clone(&reason) });
        // A copy: a dead letter may stay for long, and must not keep a whole batch in memory.
        item.payload = Bytes::copy_from_slice(&item.payload);
        self.dead.push_back(Buried { number, item, reason });
    }

    /// Up to `max` dead letters with numbers above `after`, oldest first, but no more than
    /// `max_bytes` beyond the first.
    pub fn dead(&self, after: u64, max: usize, max_bytes: usize) -> Vec<Dead> {
        let start = self.dead.partition_point(|dead| dead.number <= after);
        let mut bytes = 0;
        let mut found = Vec::new();
        for Buried { number, item, reason } in self.dead.range(start..).take(max) {
            bytes += item.payload.len() + reason.len() + ITEM_HEAD;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            let (id, deliveries) = (*number, item.deliveries);
            let (reason, payload) = (Arc::clone(reason), item.payload.clone());
            found.push(Dead { id, deliveries, reason, payload });
        }
        found
    }

    fn buried(&self, number: u64) -> Option<&Buried> {
        let at = self.dead.binary_search_by_key(&number, |dead| dead.number).ok()?;
        self.dead.get(at)
    }

    /// Notes that dead letters are going to be [dropped](Self::drop_dead).
    pub fn plan_drop_dead(&mut self, numbers: &[u64]) {
        if self.journal.is_some() {
            let dead = numbers.iter().filter_map(|number| self.buried(*number));
            let items = dead.map(|dead| dead.item.id).collect();
            self.note(|| Change::DropDead(items));
        }
    }

    /// Removes dead letters and returns the numbers of those that were not there (any more).
    pub fn drop_dead(&mut self, numbers: &[u64]) -> Vec<u64> {
        let mut missing = Vec::new();
        let mut gone = BTreeSet::new();
        for number in numbers {
            if self.buried(*number).is_none() || !gone.insert(*number) {
                missing.push(*number);
            }
        }
        self.dead.retain(|dead| !gone.contains(&dead.number));
        missing
    }

    /// Finds the dead letters that are going to be [queued again](Self::requeue_dead): those of
    /// these numbers that are there, or all.
    pub fn plan_requeue_dead(&mut self, numbers: Option<&[u64]>) -> Vec<u64> {
        let numbers: Vec<u64> = match numbers {
            Some(numbers) => {
                numbers.iter().copied().filter(|n| self.buried(*n).is_some()).collect()
            }
            None => self.dead.iter().map(|dead| dead.number).collect(),
        };
        let numbers = in_order(&numbers).into_owned();
        if self.journal.is_some() {
            let dead = numbers.iter().filter_map(|number| self.buried(*number));
            let places = dead.map(|dead| (dead.item.id, self.next_id(0).sequence())).collect();
            self.note(|| Change::Requeue(places));
        }
        numbers
    }

    /// Puts dead letters at the queue's end as if never delivered, whatever its bound and even if
    /// it is closed: they were accepted once. Returns how many.
    pub fn requeue_dead(&mut self, numbers: &[u64]) -> usize {
        let (again, dead): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.dead)
            .into_iter()
            .partition(|dead| numbers.binary_search(&dead.number).is_ok());
        self.dead = dead;
        let count = again.len();
        for Buried { item, .. } in again {
            self.line.push_back(Item { deliveries: 0, released: 0, ..item });
        }
        count
    }
}
