//! The shared objects of a manager, by ident.
//!
//! An object is there for as long as clients refer to it, or a proxy for it lies in a value that
//! the manager keeps: then it is pinned. Such a value's message carries the pins, so that they last
//! exactly as long as anything of the message does.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Limits, ReadError, Value};

use super::{
    object::Object,
    proxy::{self, mentions_proxies},
};

/// How deep objects are put in the place of proxies.
const DEEPEST: usize = 64;
/// How many of them, each time that one comes: those that have two others in them, which have two
/// others in them, come to any number.
const MOST: usize = 1 << 14;

/// What names an object. Never used for another one.
pub(crate) type Ident = Arc<str>;

/// See the module.
pub(crate) struct Objects {
    table: Mutex<Table>,
    /// Whether a proxy was ever found in a message.
    seen_proxies: AtomicBool,
    graveyard: Mutex<Graveyard>,
    /// For pins to find back.
    this: Weak<Self>,
}

struct Table {
    by_ident: HashMap<Ident, Entry>,
    /// The number of the last ident. Starts at random, so that the idents of a manager that ran
    /// here before mean nothing to this one.
    last: u64,
}

struct Entry {
    object: Arc<dyn Object>,
    /// References of clients.
    references: u64,
    /// Messages that have a proxy for it.
    pins: u64,
    /// Whether it stays without any of them.
    permanent: bool,
}

/// Objects that are to be dropped. Dropping one may drop the last proxy for another; one after the
/// other, or a long chain of them would exhaust the stack.
#[derive(Default)]
struct Graveyard {
    waiting: Vec<Arc<dyn Object>>,
    digging: bool,
}

impl Objects {
    pub fn new() -> Arc<Self> {
        let random = crate::manager::authkey::random_bytes::<4>().unwrap_or([0; 4]);
        let last = (1 << 44) | u64::from(u32::from_be_bytes(random)) << 12;
        Arc::new_cyclic(|this| Self {
            table: Mutex::new(Table { by_ident: HashMap::new(), last }),
            seen_proxies: AtomicBool::new(false),
            graveyard: Mutex::default(),
            this: this.clone(),
        })
    }

    /// Takes in an object to which one client refers.
    pub fn share(&self, object: Arc<dyn Object>) -> Ident {
        self.insert(Entry { object, references: 1, pins: 0, permanent: false })
    }

    /// Takes in an object that stays.
    pub fn publish(&self, object: Arc<dyn Object>) -> Ident {
        self.insert(Entry { object, references: 0, pins: 0, permanent: true })
    }

    fn insert(&self, entry: Entry) -> Ident {
        let mut table = self.table.lock();
        table.last += 1;
        let ident: Ident = format!("{:x}", table.last).into();
        table.by_ident.insert(Arc::clone(&ident), entry);
        ident
    }

    pub fn get(&self, ident: &str) -> Option<Arc<dyn Object>> {
        self.table.lock().by_ident.get(ident).map(|entry| Arc::clone(&entry.object))
    }

    /// Counts one more reference; false if there is no such object.
    pub fn incref(&self, ident: &str) -> bool {
        let mut table = self.table.lock();
        let Some(entry) = table.by_ident.get_mut(ident) else {
            return false;
        };
        entry.references += 1;
        true
    }

    /// Counts one reference less; false if there is none.
    pub fn decref(&self, ident: &str) -> bool {
        self.lower(ident, |entry| &mut entry.references)
    }

    /// Lowers one of an object's counts, and lets go of the object if nothing is left.
    fn lower(&self, ident: &str, count: impl FnOnce(&mut Entry) -> &mut u64) -> bool {
        let mut table = self.table.lock();
        let Some(entry) = table.by_ident.get_mut(ident) else {
            return false;
        };
        let count = count(entry);
        let Some(less) = count.checked_sub(1) else {
            return false;
        };
        *count = less;
        if entry.references + entry.pins == 0 && !entry.permanent {
            let gone = table.by_ident.remove(ident);
            // Dropping the object may lower other counts.
            drop(table);
            if let Some(gone) = gone {
                self.bury(gone.object);
            }
        }
        true
    }

    fn bury(&self, object: Arc<dyn Object>) {
        let mut graveyard = self.graveyard.lock();
        graveyard.waiting.push(object);
        if std::mem::replace(&mut graveyard.digging, true) {
            return;
        }
        while let Some(object) = graveyard.waiting.pop() {
            drop(graveyard);
            drop(object);
            graveyard = self.graveyard.lock();
        }
        graveyard.digging = false;
    }

    /// How many objects clients refer to.
    pub fn count(&self) -> usize {
        self.table.lock().by_ident.values().filter(|entry| entry.references > 0).count()
    }

    /// Every object and how many references to it clients have, by ident.
    pub fn list(&self) -> Vec<(Ident, u64, Arc<dyn Object>)> {
        let table = self.table.lock();
        let entries = table
            .by_ident
            .iter()
            .map(|(ident, entry)| (Arc::clone(ident), entry.references, Arc::clone(&entry.object)));
        let mut list: Vec<_> = entries.collect();
        drop(table);
        list.sort_by(|one, other| one.0.cmp(&other.0));
        list
    }

    /// The object that a proxy stands for; `None` if the value is no proxy, or none of ours.
    pub fn resolve(&self, value: &Value) -> Option<Arc<dyn Object>> {
        self.get(proxy::ident(value.as_ref())?)
    }

    /// Reads a message. What of ours it has proxies for stays for as long as anything of the
    /// message does.
    pub fn read(&self, message: Bytes, limits: &Limits) -> Result<Value, ReadError> {
        if !mentions_proxies(&message) {
            return Value::read(&message, limits);
        }
        let pins = Arc::new(OnceLock::new());
        let carrier = Carrier { message, _pins: Arc::clone(&pins) };
        let value = Value::read(&Bytes::from_owner(carrier), limits)?;
        self.seen_proxies.store(true, Ordering::Relaxed);
        let _ = pins.set(self.pins_of(&value));
        Ok(value)
    }

    /// Writes a message of its own for a value to be kept as, with the pins that it needs.
    pub fn pinned(&self, message: Vec<u8>, value: &Value) -> Bytes {
        let message = Bytes::from(message.into_boxed_slice());
        if !self.any_proxies(&message) {
            return message;
        }
        Bytes::from_owner(Carrier { message, _pins: Arc::new(self.pins_of(value).into()) })
    }

    /// The value for keeping: a copy, so that it does not keep the whole message that it came in,
    /// unless it has proxies, whose objects would not be there then.
    pub fn keep(&self, value: &Value) -> Value {
        if self.seen_proxies.load(Ordering::Relaxed) && proxy::any(value.as_ref()) {
            value.clone()
        } else {
            value.detach()
        }
    }

    /// Whether there may be proxies in a message.
    pub fn any_proxies(&self, message: &[u8]) -> bool {
        self.seen_proxies.load(Ordering::Relaxed) && mentions_proxies(message)
    }

    /// The value with objects in the place of their proxies, as they are now.
    ///
    /// # Errors
    /// If one of them cannot be a value.
    pub fn referents(&self, value: &Value, dialect: Dialect) -> Result<Value, NoValue> {
        self.referents_within(value, dialect, &mut Vec::new(), &mut { MOST })
    }

    /// `within`: what the value is the referent of, outermost first. `left`: how many more objects
    /// are put in.
    fn referents_within(
        &self,
        value: &Value,
        dialect: Dialect,
        within: &mut Vec<Ident>,
        left: &mut usize,
    ) -> Result<Value, NoValue> {
        let mut referents = HashMap::new();
        for ident in proxy::idents(value.as_ref()) {
            // What contains itself, or too much, has proxies in the end.
            if within.len() >= DEEPEST || *left == 0 || within.iter().any(|outer| **outer == *ident)
            {
                continue;
            }
            let Some(object) = self.get(ident) else {
                continue;
            };
            let Some(referent) = object.value(dialect) else {
                return Err(NoValue(object.repr(dialect)));
            };
            *left -= 1;
            within.push(ident.into());
            referents.insert(ident, self.referents_within(&referent, dialect, within, left)?);
            within.pop();
        }
        if referents.is_empty() {
            return Ok(value.clone());
        }
        Ok(value.replace(&mut |object| referents.get(proxy::ident(object)?).cloned()))
    }

    fn pins_of(&self, value: &Value) -> Box<[Pin]> {
        let idents = proxy::idents(value.as_ref());
        let mut table = self.table.lock();
        let pin = |ident: &str| {
            let (ident, _) = table.by_ident.get_key_value(ident)?;
            let ident = Arc::clone(ident);
            table.by_ident.get_mut(&ident)?.pins += 1;
            Some(Pin { objects: self.this.clone(), ident })
        };
        idents.into_iter().filter_map(pin).collect()
    }
}

/// An object that cannot be a value.
#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be pickled")]
pub(crate) struct NoValue(String);

/// Keeps an object.
struct Pin {
    objects: Weak<Objects>,
    ident: Ident,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(objects) = self.objects.upgrade() {
            objects.lower(&self.ident, |entry| &mut entry.pins);
        }
    }
}

/// A message, and what it keeps.
struct Carrier {
    message: Bytes,
    /// Set once it was read.
    _pins: Arc<OnceLock<Box<[Pin]>>>,
}

impl AsRef<[u8]> for Carrier {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

#[cfg(test)]
mod tests;
