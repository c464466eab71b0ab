//! `==`.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{array_items, hash::Key, number::Number};
use crate::{Change, Creation, Identity, Items, Object, Pairs, ValueRef, View};

/// Whether two values are equal, as Python's containers ask it: an object equals itself, even one
/// that is not a number.
///
/// Nothing recurses and every pair of parts is looked at once, so that it ends soon for values of
/// any depth and for those that contain themselves (for which Python gives up).
pub fn equal(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    let mut comparison = Comparison { open: vec![(one, other)], assumed: HashSet::new() };
    while let Some((one, other)) = comparison.open.pop() {
        if !comparison.alike(one, other) {
            return false;
        }
    }
    true
}

/// Text or bytes, as Python 3 would have it.
#[derive(Debug)]
pub(super) enum Str<'a> {
    Text(&'a [u8]),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Str<'a> {
    /// Not of a `bytearray`, which is no key.
    pub fn of(view: &View<'a>) -> Option<Self> {
        match view {
            View::Text(text) => Some(Self::Text(text.as_bytes())),
            View::Str2(bytes) if bytes.is_ascii() => Some(Self::Text(bytes)),
            View::Str2(bytes) => Some(Self::Bytes(Cow::Borrowed(bytes))),
            View::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            _ => None,
        }
    }
}

/// Two values are equal if all pairs of their parts are, so there is but one list of what is left
/// to be looked at.
struct Comparison<'a> {
    open: Vec<(ValueRef<'a>, ValueRef<'a>)>,
    /// Pairs that are, or were, looked at. If they are not equal, then nothing is.
    assumed: HashSet<(Identity, Identity)>,
}

impl<'a> Comparison<'a> {
    /// Compares two values but for their parts, which become open.
    fn alike(&mut self, one: ValueRef<'a>, other: ValueRef<'a>) -> bool {
        let (view, other_view) = (one.view(), other.view());
        if let (Some(number), Some(other_number)) = (Number::of(&view), Number::of(&other_view)) {
            return number.equals(other_number) || one.identity() == other.identity();
        }
        if let (Some(string), Some(other)) = (Str::of(&view), Str::of(&other_view)) {
            return match (string, other) {
                (Str::Text(one), Str::Text(other)) => one == other,
                (Str::Bytes(one), Str::Bytes(other)) => one == other,
                _ => false,
            };
        }
        let pair = (one.identity(), other.identity());
        if pair.0 == pair.1 || !self.assumed.insert(pair) {
            return true;
        }
        match (view, other_view) {
            (View::None, View::None) => true,
            (View::Tuple(one), View::Tuple(other)) | (View::List(one), View::List(other)) => {
                self.items(one, other)
            }
            (View::Dict(one), View::Dict(other)) => self.dicts(one, other),
            (View::Set(one) | View::FrozenSet(one), View::Set(other) | View::FrozenSet(other)) => {
                equal_sets(one, other)
            }
            (View::ByteArray(one), View::ByteArray(other) | View::Bytes(other))
            | (View::Bytes(one), View::ByteArray(other)) => one == other,
            (View::ByteArray(array), View::Str2(string))
            | (View::Str2(string), View::ByteArray(array)) => *array == *string,
            (
                View::Slice { start, stop, step },
                View::Slice { start: other_start, stop: other_stop, step: other_step },
            ) => {
                self.open.extend([(start, other_start), (stop, other_stop), (step, other_step)]);
                true
            }
            (
                View::Range { start, stop, step },
                View::Range { start: other_start, stop: other_stop, step: other_step },
            ) => {
                let one = Progression::new(start.as_i128(), stop.as_i128(), step.as_i128());
                let other = Progression::new(
                    other_start.as_i128(),
                    other_stop.as_i128(),
                    other_step.as_i128(),
                );
                match (one, other) {
                    (Some(one), Some(other)) => one == other,
                    _ => (start, stop, step) == (other_start, other_stop, other_step),
                }
            }
            (View::Array(one), View::Array(other)) => {
                match (array_items(&one), array_items(&other)) {
                    (Some(one), Some(other)) => {
                        one.len() == other.len()
                            && one
                                .iter()
                                .zip(&other)
                                .all(|(one, other)| equal(one.as_ref(), other.as_ref()))
                    }
                    _ => false,
                }
            }
            (View::Global(one), View::Global(other)) => one == other,
            (View::Object(one), View::Object(other)) => self.objects(&one, &other),
            _ => false,
        }
    }

    fn items(&mut self, one: Items<'a>, other: Items<'a>) -> bool {
        let same = one.len() == other.len();
        if same {
            self.open.extend(one.zip(other));
        }
        same
    }

    fn dicts(&mut self, one: Pairs<'a>, other: Pairs<'a>) -> bool {
        let (Some(one), Some(mut other)) = (by_key(one), by_key(other)) else { return false };
        if one.len() != other.len() {
            return false;
        }
        for (key, value) in one {
            let Some(other) = other.remove(&key) else { return false };
            self.open.push((value, other));
        }
        true
    }

    /// Compares how two objects are made.
    fn objects(&mut self, one: &Object<'a>, other: &Object<'a>) -> bool {
        let created = match (one.creation(), other.creation()) {
            (
                Creation::Call { callable, args },
                Creation::Call { callable: other_callable, args: other_args },
            ) => {
                self.open.extend([(callable, other_callable), (args, other_args)]);
                true
            }
            (
                Creation::New { class, args, kwargs },
                Creation::New { class: other_class, args: other_args, kwargs: other_kwargs },
            ) => {
                self.open.extend([(class, other_class), (args, other_args)]);
                self.open.extend(kwargs.zip(other_kwargs));
                kwargs.is_some() == other_kwargs.is_some()
            }
            (
                Creation::OldStyle { class, args },
                Creation::OldStyle { class: other_class, args: other_args },
            ) => {
                self.open.push((class, other_class));
                self.items(args, other_args)
            }
            _ => false,
        };
        created
            && one.changes().count() == other.changes().count()
            && one.changes().zip(other.changes()).all(|pair| match pair {
                (Change::Append(one), Change::Append(other))
                | (Change::Add(one), Change::Add(other))
                | (Change::SetItems(Pairs(one)), Change::SetItems(Pairs(other))) => {
                    self.items(one, other)
                }
                (Change::State(one), Change::State(other)) => {
                    self.open.push((one, other));
                    true
                }
                _ => false,
            })
    }
}

/// The pairs of a `dict`, the last of each key; `None` if a key is none.
fn by_key(pairs: Pairs<'_>) -> Option<HashMap<Key, ValueRef<'_>>> {
    pairs.map(|(key, value)| Some((Key::new(key.to_value()).ok()?, value))).collect()
}

/// The elements of a set; `None` if one cannot be one.
pub(super) fn elements(items: Items<'_>) -> Option<HashSet<Key>> {
    items.map(|item| Key::new(item.to_value()).ok()).collect()
}

fn equal_sets(one: Items<'_>, other: Items<'_>) -> bool {
    match (elements(one), elements(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// A `range` as what is in it: how many, the first, and how far apart.
#[derive(PartialEq, Eq)]
struct Progression(i128, Option<i128>, Option<i128>);

impl Progression {
    fn new(start: Option<i128>, stop: Option<i128>, step: Option<i128>) -> Option<Self> {
        let (start, step) = (start?, step?);
        let way = stop?.checked_sub(start)?;
        let count = match way.checked_div(step)? {
            whole if way % step != 0 && whole >= 0 && (way < 0) == (step < 0) => whole + 1,
            whole => whole,
        };
        let count = count.max(0);
        Some(Self(count, (count > 0).then_some(start), (count > 1).then_some(step)))
    }
}
