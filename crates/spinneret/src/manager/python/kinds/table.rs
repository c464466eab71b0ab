//! A `dict`: keys and values in the order in which the keys came.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use spinneret_pickle::{
    Change, Dialect, Exception, Object, Value, ValueRef, View,
    semantics::{self, Key},
};

use super::{
    errors::{key_error, type_error, value_error},
    iterator::iterate,
};
use crate::manager::python::objects::Objects;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The place of each key. Places grow, and are never used again.
    places: HashMap<Key, u64>,
    /// Keys and values by their places.
    entries: BTreeMap<u64, (Value, Value)>,
    last_place: u64,
}

impl Table {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn contains(&self, key: &Key) -> bool {
        self.places.contains_key(key)
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        let (_, value) = self.entries.get(self.places.get(key)?)?;
        Some(value)
    }

    /// Sets a value. A key that was there stays as it is, and where it is.
    pub fn insert(&mut self, key: Key, value: Value) {
        if let Some(place) = self.places.get(&key)
            && let Some((_, old)) = self.entries.get_mut(place)
        {
            *old = value;
            return;
        }
        self.last_place += 1;
        self.entries.insert(self.last_place, (key.value().clone(), value));
        self.places.insert(key, self.last_place);
    }

    pub fn remove(&mut self, key: &Key) -> Option<Value> {
        let place = self.places.remove(key)?;
        let (_, value) = self.entries.remove(&place)?;
        Some(value)
    }

    /// Takes out what came last.
    pub fn pop(&mut self) -> Option<(Value, Value)> {
        let (_, (key, value)) = self.entries.pop_last()?;
        if let Ok(key) = Key::new(key.clone()) {
            self.places.remove(&key);
        }
        Some((key, value))
    }

    pub fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Value, Value)> {
        self.entries.values()
    }

    /// The first key behind a place, and its own place. Everything is behind place 0.
    pub fn key_behind(&self, place: u64) -> Option<(u64, &Value)> {
        let (place, (key, _)) =
            self.entries.range((Bound::Excluded(place), Bound::Unbounded)).next()?;
        Some((*place, key))
    }

    /// As a value.
    pub fn to_value(&self) -> Value {
        Value::dict(self.iter().cloned())
    }

    /// `update()`: what the positional argument has, if there is one, then the keywords.
    pub fn update(
        &mut self,
        source: Option<&Value>,
        keywords: Vec<(String, Value)>,
        objects: &Objects,
        dialect: Dialect,
    ) -> Result<(), Exception> {
        if let Some(source) = source {
            self.absorb(source.as_ref(), objects, dialect)?;
        }
        for (name, value) in keywords {
            self.insert(Key::new(Value::native(name))?, objects.keep(&value));
        }
        Ok(())
    }

    /// Takes in a mapping, or pairs.
    fn absorb(
        &mut self,
        source: ValueRef<'_>,
        objects: &Objects,
        dialect: Dialect,
    ) -> Result<(), Exception> {
        let mut set = |(key, value): (ValueRef<'_>, ValueRef<'_>)| {
            let (key, value) = (key.to_value(), value.to_value());
            self.insert(Key::new(objects.keep(&key))?, objects.keep(&value));
            Ok(())
        };
        match source.view() {
            View::Dict(mut pairs) => return pairs.try_for_each(set),
            View::Object(object) => {
                let mut is_mapping = false;
                for change in object.changes() {
                    if let Change::SetItems(mut pairs) = change {
                        is_mapping = true;
                        pairs.try_for_each(&mut set)?;
                    }
                }
                match wrapped(&object) {
                    Some(mapping) => return self.absorb(mapping, objects, dialect),
                    None if is_mapping => return Ok(()),
                    None => {}
                }
            }
            _ => {}
        }
        for (number, pair) in iterate(source, dialect)?.iter().enumerate() {
            let parts = semantics::iterate(pair.as_ref(), dialect).map_err(|_| {
                type_error(format!(
                    "cannot convert dictionary update sequence element #{number} to a sequence"
                ))
            })?;
            let [key, value] = <[Value; 2]>::try_from(parts).map_err(|parts| {
                let length = parts.len();
                value_error(format!(
                    "dictionary update sequence element #{number} has length {length}; 2 is \
                     required"
                ))
            })?;
            self.insert(Key::new(objects.keep(&key))?, objects.keep(&value));
        }
        Ok(())
    }

    /// The value of a key that must be there.
    pub fn item(&self, key: Value) -> Result<Value, Exception> {
        let key = Key::new(key)?;
        self.get(&key).cloned().ok_or_else(|| key_error(key.value().clone()))
    }
}

/// What a `Counter`, or an `OrderedDict` of Python 2.7, is made of.
fn wrapped<'a>(object: &Object<'a>) -> Option<ValueRef<'a>> {
    let class = object.class()?;
    let known = class.is("collections", "OrderedDict") || class.is("collections", "Counter");
    let mut args = object.args().filter(|_| known)?;
    args.next()
}
