//! Types' names, lengths, indices, slices and iteration.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{Key, array::character, array_items, number::Number, quote::code_points, type_error};
use crate::{
    Change, Dialect, Exception, ExceptionKind, Global, Items, Object, Pairs, Value, ValueRef, View,
};

/// Elements that a value is taken apart into, at most: a `range` of few bytes has any number.
const MOST_ITEMS: usize = 1 << 24;

/// The name of a value's type, as Python's messages have it.
pub fn type_name(value: ValueRef<'_>, dialect: Dialect) -> Cow<'_, str> {
    let python2 = dialect.is_python2();
    Cow::Borrowed(match value.view() {
        View::None => "NoneType",
        View::Bool(_) => "bool",
        View::Int(int) if python2 && int.is_long() => "long",
        View::Int(_) => "int",
        View::Float(_) => "float",
        View::Complex { .. } => "complex",
        View::Text(_) if python2 => "unicode",
        View::Text(_) => "str",
        View::Str2(_) | View::Bytes(_) if python2 => "str",
        View::Str2(bytes) if bytes.is_ascii() => "str",
        View::Str2(_) | View::Bytes(_) => "bytes",
        View::ByteArray(_) => "bytearray",
        View::Tuple(_) => "tuple",
        View::List(_) => "list",
        View::Dict(_) => "dict",
        View::Set(_) => "set",
        View::FrozenSet(_) => "frozenset",
        View::Slice { .. } => "slice",
        View::Range { .. } if python2 => "xrange",
        View::Range { .. } => "range",
        View::Array(_) => "array.array",
        View::Global(_) => "type",
        View::Object(object) => {
            return object.class().map_or(Cow::Borrowed("object"), |class| {
                // As for classes written in Python, whose modules messages leave out.
                Cow::Borrowed(class.name.rsplit('.').next().unwrap_or(class.name))
            });
        }
    })
}

/// A class's name with its module, unless it is built in.
pub(super) fn class_name(class: Global<'_>) -> Cow<'_, str> {
    match class.module {
        "builtins" => Cow::Borrowed(class.name),
        module => Cow::Owned(format!("{module}.{}", class.name)),
    }
}

/// `len()`.
///
/// # Errors
/// Python's `TypeError` if the value has none.
pub fn length(value: ValueRef<'_>, dialect: Dialect) -> Result<usize, Exception> {
    Ok(match value.view() {
        View::Text(text) => code_points(text.as_bytes()).count(),
        View::Str2(bytes) => bytes.len(),
        View::Bytes(bytes) | View::ByteArray(bytes) => bytes.len(),
        View::Tuple(items) | View::List(items) => items.len(),
        View::Dict(pairs) => distinct(pairs.map(|(key, _)| key)),
        View::Set(items) | View::FrozenSet(items) => distinct(items),
        View::Array(array) if array_items(&array).is_some() => {
            array_items(&array).map_or(0, |items| items.len())
        }
        View::Range { start, stop, step } => {
            let parts = (start.as_i64(), stop.as_i64(), step.as_i64());
            let (Some(start), Some(stop), Some(step)) = parts else {
                let text = "Python int too large to convert to C ssize_t";
                return Err(Exception::with_message(ExceptionKind::OverflowError, text));
            };
            let way = if step < 0 { (stop, start) } else { (start, stop) };
            let way = (i128::from(way.1) - i128::from(way.0)).max(0).unsigned_abs();
            way.div_ceil(step.unsigned_abs().max(1).into()) as usize
        }
        _ => {
            let name = type_name(value, dialect);
            return Err(type_error(format!("object of type '{name}' has no len()")));
        }
    })
}

/// How many of the values are different keys.
fn distinct<'a>(items: impl Iterator<Item = ValueRef<'a>>) -> usize {
    let mut keys = HashSet::new();
    items.filter(|item| Key::new(item.to_value()).map_or(true, |key| keys.insert(key))).count()
}

/// `bool()`. Objects of unknown classes are true.
pub fn truth(value: ValueRef<'_>) -> bool {
    let view = value.view();
    match Number::of(&view) {
        Some(Number::Int(int)) => int.as_i64() != Some(0),
        Some(Number::Float(float)) => float != 0.0,
        Some(Number::Complex(real, imaginary)) => real != 0.0 || imaginary != 0.0,
        None if matches!(view, View::None) => false,
        None => length(value, Dialect::Python38).map_or(true, |length| length > 0),
    }
}

/// The value as an index.
///
/// # Errors
/// Python's `TypeError` if it is no integer, its `IndexError` if it has more than 64 bits.
pub fn index(value: ValueRef<'_>, dialect: Dialect) -> Result<i64, Exception> {
    let name = || type_name(value, dialect);
    match value.view() {
        View::Bool(bool) => Ok(bool.into()),
        View::Int(int) => int.as_i64().ok_or_else(|| {
            let text = format!("cannot fit '{}' into an index-sized integer", name());
            Exception::with_message(ExceptionKind::IndexError, text)
        }),
        _ => {
            let what = if dialect.is_python2() { "index" } else { "integer" };
            Err(type_error(format!("'{}' object cannot be interpreted as an {what}", name())))
        }
    }
}

/// The value as the bound of a slice: any integer, those beyond 64 bits as the nearest one; `None`
/// if it is something else.
pub fn bound(value: ValueRef<'_>) -> Option<i64> {
    match value.view() {
        View::Bool(bool) => Some(bool.into()),
        View::Int(int) => Some(
            int.as_i64().unwrap_or_else(|| if int.to_f64() < 0.0 { i64::MIN } else { i64::MAX }),
        ),
        _ => None,
    }
}

/// Which elements of a sequence a slice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The place of the first one, or where it would be.
    pub start: usize,
    /// From one to the next; never 0.
    pub step: i64,
    /// How many they are.
    pub count: usize,
}

impl Span {
    /// Their places, in the slice's order.
    pub fn places(self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
        // All are places of a sequence in memory, so that nothing overflows.
        let (start, step) = (self.start.cast_signed(), self.step as isize);
        (0..self.count)
            .map(move |n| start.wrapping_add(step.wrapping_mul(n.cast_signed())).cast_unsigned())
    }
}

/// The elements that `[start:stop:step]` means in a sequence of that length.
///
/// # Errors
/// Python's `TypeError` if one of the three is neither an integer nor `None`, its `ValueError` if
/// the step is 0.
pub fn slice([start, stop, step]: [ValueRef<'_>; 3], length: usize) -> Result<Span, Exception> {
    let part = |value: ValueRef<'_>| match bound(value) {
        None if !value.is_none() => Err(type_error(
            "slice indices must be integers or None or have an __index__ method".to_owned(),
        )),
        bound => Ok(bound),
    };
    let (step, start, stop) = (part(step)?.unwrap_or(1), part(start)?, part(stop)?);
    if step == 0 {
        let text = "slice step cannot be zero";
        return Err(Exception::with_message(ExceptionKind::ValueError, text));
    }
    // A sequence in memory is shorter than that.
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // Backwards, places go from -1 (before the first) to the last.
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |index: i64| {
        let index = if index < 0 { index.saturating_add(length) } else { index };
        index.clamp(lowest, highest)
    };
    let (from, to) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let start = start.map_or(from, place);
    let way = stop.map_or(to, place) - start;
    let way = if (way < 0) == (step < 0) { way.unsigned_abs() } else { 0 };
    let count = way.div_ceil(step.unsigned_abs()) as usize;
    Ok(Span { start: usize::try_from(start).unwrap_or(0), step, count })
}

/// What a loop over the value gives.
///
/// # Errors
/// Python's `TypeError` if one cannot loop over it, and `MemoryError` if that gives more than
/// 2^24 elements.
pub fn iterate(value: ValueRef<'_>, dialect: Dialect) -> Result<Vec<Value>, Exception> {
    let python2 = dialect.is_python2();
    Ok(match value.view() {
        View::Tuple(items) | View::List(items) => items.map(ValueRef::to_value).collect(),
        View::Set(items) | View::FrozenSet(items) => unique(items),
        View::Dict(pairs) => {
            unique_pairs(pairs).into_iter().map(|(key, _)| key.to_value()).collect()
        }
        View::Text(text) => code_points(text.as_bytes()).map(character).collect(),
        View::Str2(bytes) if python2 || bytes.is_ascii() => {
            bytes.iter().map(|&byte| Value::str2(vec![byte])).collect()
        }
        View::Bytes(bytes) if python2 => {
            bytes.iter().map(|&byte| Value::str2(vec![byte])).collect()
        }
        View::Str2(bytes) => bytes.iter().map(|&byte| Value::int(byte.into())).collect(),
        View::Bytes(bytes) | View::ByteArray(bytes) => {
            bytes.iter().map(|&byte| Value::int(byte.into())).collect()
        }
        View::Range { start, step, .. } => {
            let count = length(value, dialect)?;
            if count > MOST_ITEMS {
                let kind = ExceptionKind::Other {
                    module: "builtins".to_owned(),
                    name: "MemoryError".to_owned(),
                };
                return Err(Exception::bare(kind));
            }
            // Those whose length is known have all parts in 64 bits.
            let (start, step) = (start.as_i64().unwrap_or(0), step.as_i64().unwrap_or(1));
            let numbers = (0..).take(count).map(|n| start.wrapping_add(step.wrapping_mul(n)));
            numbers.map(Value::int).collect()
        }
        View::Array(array) => {
            array_items(&array).ok_or_else(|| type_error("array is damaged".to_owned()))?
        }
        View::Object(object) if holds_items(&object) => object
            .changes()
            .flat_map(|change| match change {
                Change::Append(items) | Change::Add(items) => {
                    items.map(ValueRef::to_value).collect()
                }
                Change::SetItems(pairs) => pairs.map(|(key, _)| key.to_value()).collect(),
                Change::State(_) => Vec::new(),
            })
            .collect(),
        _ => {
            let name = type_name(value, dialect);
            return Err(type_error(format!("'{name}' object is not iterable")));
        }
    })
}

/// Whether an object is filled with items, as subclasses of `list` and `dict` are, and `deque`.
fn holds_items(object: &Object<'_>) -> bool {
    object.changes().any(|change| !matches!(change, Change::State(_)))
}

/// Each element of a set once.
fn unique(items: Items<'_>) -> Vec<Value> {
    let mut keys = HashSet::new();
    items
        .map(ValueRef::to_value)
        .filter(|item| Key::new(item.clone()).map_or(true, |key| keys.insert(key)))
        .collect()
}

/// Each key of a `dict` once, where it came first, with its last value.
pub(super) fn unique_pairs(pairs: Pairs<'_>) -> Vec<(ValueRef<'_>, ValueRef<'_>)> {
    let mut places = HashMap::new();
    let mut unique: Vec<(ValueRef<'_>, ValueRef<'_>)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let place = Key::new(key.to_value())
            .map_or(unique.len(), |key| *places.entry(key).or_insert(unique.len()));
        match unique.get_mut(place) {
            Some((_, last)) => *last = value,
            None => unique.push((key, value)),
        }
    }
    unique
}
