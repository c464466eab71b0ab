//! The items that are held, by lease number, and when which of them are to come back.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::Instant,
};

use super::{Item, Owner};

/// So many more entries than live ones are put up with before anything is tidied.
const SLACK: usize = 64;

/// An item that somebody holds.
#[derive(Debug)]
pub(super) struct Held {
    pub item: Item,
    pub owner: Owner,
    /// None for a lease that lasts as long as its owner.
    pub deadline: Option<Instant>,
}

/// All leases of a queue. Their numbers count up with every delivery, so that their order is the
/// queue's.
///
/// Most leases end soon and in about the order in which they began. So the recent ones are in a
/// ring where a number is a place, and the few that outlive their neighbours move to a map: a
/// lease costs a few nanoseconds, and one that is held for hours does not keep the room of all
/// that came after it.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The leases from number `first` on, without gaps; `None` for one that is over.
    recent: VecDeque<Option<Held>>,
    first: u64,
    /// Leases in `recent` that are not over.
    live: usize,
    /// Leases with numbers below `first`.
    old: HashMap<u64, Held>,
    /// For every lease with a deadline an entry, and some for what is over or was extended.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Leases {
    pub fn len(&self) -> usize {
        self.live + self.old.len()
    }

    /// Begins a lease and returns its number, 1 or more.
    pub fn begin(&mut self, held: Held) -> u64 {
        // 0 is no lease's number.
        self.first = self.first.max(1);
        while self.recent.len() > SLACK + 4 * self.live {
            if let Some(Some(straggler)) = self.recent.pop_front() {
                self.old.insert(self.first, straggler);
                self.live -= 1;
            }
            self.first += 1;
        }
        let lease = self.first + self.recent.len() as u64;
        if let Some(deadline) = held.deadline {
            self.watch(deadline, lease);
        }
        self.recent.push_back(Some(held));
        self.live += 1;
        lease
    }

    pub fn get(&self, lease: u64) -> Option<&Held> {
        match self.place(lease) {
            Some(place) => self.recent.get(place)?.as_ref(),
            None => self.old.get(&lease),
        }
    }

    /// Ends a lease and hands out what was held.
    pub fn end(&mut self, lease: u64) -> Option<Held> {
        let Some(place) = self.place(lease) else {
            return self.old.remove(&lease);
        };
        let held = self.recent.get_mut(place)?.take()?;
        self.live -= 1;
        while let Some(None) = self.recent.front() {
            self.recent.pop_front();
            self.first += 1;
        }
        Some(held)
    }

    /// Gives a lease another deadline.
    pub fn extend(&mut self, lease: u64, deadline: Option<Instant>) {
        let held = match self.place(lease) {
            Some(place) => self.recent.get_mut(place).and_then(Option::as_mut),
            None => self.old.get_mut(&lease),
        };
        if let Some(held) = held {
            held.deadline = deadline;
            if let Some(deadline) = deadline {
                self.watch(deadline, lease);
            }
        }
    }

    fn place(&self, lease: u64) -> Option<usize> {
        lease.checked_sub(self.first).map(|place| usize::try_from(place).unwrap_or(usize::MAX))
    }

    /// All leases and their numbers, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Held)> {
        let recent = (self.first..).zip(&self.recent);
        let recent = recent.filter_map(|(lease, held)| Some((lease, held.as_ref()?)));
        recent.chain(self.old.iter().map(|(lease, held)| (*lease, held)))
    }

    fn watch(&mut self, deadline: Instant, lease: u64) {
        self.deadlines.push(Reverse((deadline, lease)));
        if self.deadlines.len() > SLACK + 4 * self.len() {
            let mut deadlines = std::mem::take(&mut self.deadlines);
            // The one just pushed may be of a lease that is only about to begin.
            deadlines.retain(|Reverse(entry)| entry.1 == lease || self.means(*entry));
            self.deadlines = deadlines;
        }
    }

    /// Whether an entry is of a lease that still has this deadline.
    fn means(&self, (deadline, lease): (Instant, u64)) -> bool {
        self.get(lease).is_some_and(|held| held.deadline == Some(deadline))
    }

    /// A lease whose deadline is not after `now`, which its entry is then forgotten for.
    pub fn pop_expired(&mut self, now: Instant) -> Option<u64> {
        while let Some(Reverse(entry)) = self.deadlines.peek().copied() {
            if entry.0 > now {
                return None;
            }
            self.deadlines.pop();
            if self.means(entry) {
                return Some(entry.1);
            }
        }
        None
    }

    /// The earliest deadline of a lease.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        while let Some(Reverse(entry)) = self.deadlines.peek().copied() {
            if self.means(entry) {
                return Some(entry.0);
            }
            self.deadlines.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{super::ItemId, *};

    fn held(owner: Owner, deadline: Option<Instant>) -> Held {
        let item =
            Item { payload: Bytes::new(), id: ItemId::new(0, owner), deliveries: 1, released: 0 };
        Held { item, owner, deadline }
    }

    #[test]
    fn a_lease_that_outlives_a_million_others_does_not_keep_their_room() {
        let mut leases = Leases::default();
        let first = leases.begin(held(7, None));
        for round in 0..1_000_000 {
            let lease = leases.begin(held(round, None));
            assert_eq!(leases.end(lease).unwrap().owner, round);
        }
        assert!(leases.recent.len() <= 2 * SLACK, "{}", leases.recent.len());
        assert_eq!((leases.len(), leases.get(first).unwrap().owner), (1, 7));
        assert_eq!(leases.iter().map(|(lease, _)| lease).collect::<Vec<_>>(), [first]);
        assert_eq!(leases.end(first).unwrap().owner, 7);
        assert!(leases.end(first).is_none() && leases.len() == 0);
    }

    #[test]
    fn numbers_count_up_whatever_ends_in_between() {
        let mut leases = Leases::default();
        let mut last = 0;
        for round in 0..1000 {
            let lease = leases.begin(held(round, None));
            assert!(lease > last);
            last = lease;
            if round % 3 != 0 {
                leases.end(lease);
            }
        }
        assert_eq!(leases.len(), leases.iter().count());
        assert_eq!(leases.len(), 334);
    }

    #[test]
    fn deadlines_of_ended_leases_are_forgotten() {
        let now = Instant::now();
        let mut leases = Leases::default();
        let kept = leases.begin(held(1, Some(now)));
        for _ in 0..100_000 {
            let lease = leases.begin(held(2, Some(now + Duration::from_mins(1))));
            leases.end(lease);
        }
        assert!(leases.deadlines.len() <= 2 * SLACK, "{}", leases.deadlines.len());
        assert_eq!(leases.next_deadline(), Some(now));
        assert_eq!(leases.pop_expired(now), Some(kept));
        assert_eq!(leases.next_deadline(), None);
    }

    #[test]
    fn an_extended_lease_expires_at_its_new_deadline_only() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut leases = Leases::default();
        let lease = leases.begin(held(1, Some(now)));
        leases.extend(lease, Some(later));
        assert_eq!(leases.pop_expired(now), None);
        assert_eq!(leases.next_deadline(), Some(later));
        assert_eq!(leases.pop_expired(later), Some(lease));
    }
}
