//! Items in the order in which they are to be taken: by priority, then first come, first served.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use super::Item;

/// The items that may be taken now.
///
/// As long as no priority but 0 is used, this is one `VecDeque` and two tests.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Items of priority 0, head first.
    plain: VecDeque<Item>,
    /// Items of other priorities, the most urgent lane first. No lane is empty.
    lanes: BTreeMap<Reverse<i8>, VecDeque<Item>>,
    /// Items in `lanes`.
    in_lanes: usize,
}

impl Line {
    pub fn len(&self) -> usize {
        self.plain.len() + self.in_lanes
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push_back(&mut self, item: Item) {
        self.lane(&item).push_back(item);
    }

    /// Puts an item before all others of its priority.
    pub fn push_front(&mut self, item: Item) {
        self.lane(&item).push_front(item);
    }

    /// The lane for an item that is about to be pushed.
    fn lane(&mut self, item: &Item) -> &mut VecDeque<Item> {
        match item.id.priority() {
            0 => &mut self.plain,
            priority => {
                self.in_lanes += 1;
                self.lanes.entry(Reverse(priority)).or_default()
            }
        }
    }

    /// The lane that has its turn; `None` is the plain one.
    fn turn(&self) -> Option<Reverse<i8>> {
        let (first, _) = self.lanes.first_key_value()?;
        (first.0 > 0 || self.plain.is_empty()).then_some(*first)
    }

    pub fn front(&self) -> Option<&Item> {
        match self.turn() {
            None => self.plain.front(),
            Some(lane) => self.lanes.get(&lane)?.front(),
        }
    }

    pub fn pop_front(&mut self) -> Option<Item> {
        let Some(turn) = self.turn() else {
            return self.plain.pop_front();
        };
        let lane = self.lanes.get_mut(&turn)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&turn);
        }
        self.in_lanes -= usize::from(item.is_some());
        item
    }

    /// All items in the order in which they would be taken.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        let before = self.lanes.range(..Reverse(0)).flat_map(|(_, lane)| lane);
        let after = self.lanes.range(Reverse(0)..).flat_map(|(_, lane)| lane);
        before.chain(&self.plain).chain(after)
    }
}

/// The items that nobody may take yet.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// By the time from which they may be taken, then in the order of their puts.
    items: BTreeMap<(Instant, u64), Item>,
}

impl Delayed {
    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn insert(&mut self, due: Instant, item: Item) {
        self.items.insert((due, item.id.sequence()), item);
    }

    /// When the first may be taken.
    pub fn next(&self) -> Option<Instant> {
        self.items.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes out the first item whose time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<Item> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// All items and their times, the next first.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &Item)> {
        self.items.iter().map(|((due, _), item)| (*due, item))
    }
}
