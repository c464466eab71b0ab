//! `hash()`: values as keys.

use std::{
    borrow::Cow,
    collections::{HashSet, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
    sync::LazyLock,
};

use super::{
    equal,
    equal::Str,
    number::{Number, to_bigint, to_i64},
    type_error, type_name,
};
use crate::{Dialect, Exception, ExceptionKind, Int, Value, ValueRef, View};

/// Keys in keys, at most. (What is nested deeper is refused, so comparing keys cannot exhaust the
/// stack.)
const DEPTH: usize = 100;

/// Parts of a key, at most, those that come more than once counted every time.
const PARTS: usize = 1 << 20;

/// Seeded once, so that nobody can choose keys that collide.
static SEEDS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A value that is a key of a `dict` or an element of a `set`: equal keys are one.
#[derive(Clone, Debug)]
pub struct Key {
    value: Value,
    hash: u64,
}

impl Key {
    /// The value as a key.
    ///
    /// # Errors
    /// Python's `TypeError` if it cannot be one, and `RecursionError` if it is nested too deeply.
    pub fn new(value: Value) -> Result<Self, Exception> {
        Self::within(value, 0, &mut { PARTS })
    }

    /// The value as a key, `depth` deep in another one, of which so many parts are left.
    fn within(value: Value, depth: usize, parts: &mut usize) -> Result<Self, Exception> {
        let mut hashing = Hashing { hasher: SEEDS.build_hasher(), parts };
        hashing.feed(value.as_ref(), depth)?;
        let hash = hashing.hasher.finish();
        Ok(Self { value, hash })
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && equal(self.value.as_ref(), other.value.as_ref())
    }
}

// Also a value that is not a number equals itself, see `equal`; but a copy does not, as in Python.
impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// What kinds of keys can be equal, so that they must have equal hashes.
#[derive(Hash)]
enum Tag {
    None,
    Int,
    LargeInt,
    Float,
    Complex,
    Text,
    Bytes,
    Tuple,
    Set,
    Range,
    Global,
    Object,
}

struct Hashing<'p, H> {
    hasher: H,
    /// How many more parts there may be.
    parts: &'p mut usize,
}

impl<H: Hasher> Hashing<'_, H> {
    fn feed(&mut self, value: ValueRef<'_>, depth: usize) -> Result<(), Exception> {
        *self.parts = self.parts.saturating_sub(1);
        if depth > DEPTH || *self.parts == 0 {
            let kind = ExceptionKind::Other {
                module: "builtins".to_owned(),
                name: "RecursionError".to_owned(),
            };
            return Err(Exception::with_message(kind, "key is nested too deeply"));
        }
        let view = value.view();
        if let Some(number) = Number::of(&view) {
            self.number(number);
            return Ok(());
        }
        if let Some(string) = Str::of(&view) {
            match string {
                Str::Text(text) => (Tag::Text, text).hash(&mut self.hasher),
                Str::Bytes(bytes) => (Tag::Bytes, Cow::as_ref(&bytes)).hash(&mut self.hasher),
            }
            return Ok(());
        }
        match view {
            View::None => Tag::None.hash(&mut self.hasher),
            View::Tuple(items) => {
                (Tag::Tuple, items.len()).hash(&mut self.hasher);
                for item in items {
                    self.feed(item, depth + 1)?;
                }
            }
            View::FrozenSet(items) => {
                // In no order, so that the hashes of the elements are put together in none; each
                // once, as equal elements are one. To compare them would take far longer: it hashes
                // what is in them again.
                let elements: HashSet<u64> = items
                    .map(|item| Ok(Key::within(item.to_value(), depth + 1, self.parts)?.hash))
                    .collect::<Result<_, Exception>>()?;
                let all = elements.iter().fold(0, |all: u64, one| all.wrapping_add(*one));
                (Tag::Set, elements.len(), all).hash(&mut self.hasher);
            }
            // Ranges are equal if their numbers are, however they are written.
            View::Range { .. } => Tag::Range.hash(&mut self.hasher),
            View::Global(global) => (Tag::Global, global).hash(&mut self.hasher),
            // What it is made of may contain itself, and need not be hashable.
            View::Object(object) => (Tag::Object, object.class()).hash(&mut self.hasher),
            _ => {
                let name = type_name(value, Dialect::Python38);
                return Err(type_error(format!("unhashable type: '{name}'")));
            }
        }
        Ok(())
    }

    fn number(&mut self, number: Number<'_>) {
        let hasher = &mut self.hasher;
        match number {
            Number::Int(int) => feed_int(int, hasher),
            Number::Complex(real, imaginary) if imaginary != 0.0 => {
                (Tag::Complex, bits(real), bits(imaginary)).hash(hasher);
            }
            Number::Float(float) | Number::Complex(float, _) => match to_i64(float + 0.0) {
                Some(small) => feed_int(Int::small(small, false), hasher),
                None if float.is_finite() && float.trunc().total_cmp(&float).is_eq() => {
                    (Tag::LargeInt, to_bigint(float)).hash(hasher);
                }
                None => (Tag::Float, bits(float)).hash(hasher),
            },
        }
    }
}

/// The same for both zeros.
fn bits(float: f64) -> u64 {
    (float + 0.0).to_bits()
}

fn feed_int(int: Int<'_>, hasher: &mut impl Hasher) {
    match int.as_i64() {
        Some(small) => (Tag::Int, small).hash(hasher),
        None => (Tag::LargeInt, int.to_bigint()).hash(hasher),
    }
}
