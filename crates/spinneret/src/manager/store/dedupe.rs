//! The keys of items that were put, each for a while.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use bytes::Bytes;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Keys {
    until: HashMap<Bytes, Instant>,
    /// The same, by time.
    by_time: BTreeSet<(Instant, Bytes)>,
}

impl Keys {
    /// Whether a put with this key is one too many.
    pub fn has(&self, key: &Bytes, now: Instant) -> bool {
        self.until.get(key).is_some_and(|until| *until > now)
    }

    /// Whether the key is there, its time over or not.
    pub fn knows(&self, key: &Bytes) -> bool {
        self.until.contains_key(key)
    }

    pub fn insert(&mut self, key: Bytes, until: Instant) {
        self.remove(&key);
        self.by_time.insert((until, key.clone()));
        self.until.insert(key, until);
    }

    pub fn remove(&mut self, key: &Bytes) {
        if let Some(until) = self.until.remove(key) {
            self.by_time.remove(&(until, key.clone()));
        }
    }

    /// Forgets the keys whose time is over.
    pub fn tidy(&mut self, now: Instant) {
        while let Some((until, _)) = self.by_time.first()
            && *until <= now
        {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.until.remove(&key);
            }
        }
    }
}
