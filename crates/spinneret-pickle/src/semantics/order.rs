//! `<`.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    Key, array_items, equal, equal::elements, number::Number, sequence::unique_pairs, type_error,
    type_name,
};
use crate::{Dialect, Exception, ExceptionKind, Items, Pairs, Value, ValueRef, View};

/// Whether one value is less than another.
///
/// In Python 3 only values of like types have an order. Python 2.7 has one for anything: `None`
/// comes first, then numbers, then everything else by the names of the types. Objects of one
/// unknown class, which it orders by their addresses, are all the same here.
///
/// # Errors
/// Python's `TypeError` if there is no order, and Python 2.7's `UnicodeDecodeError` if text is
/// compared with bytes beyond ASCII.
pub fn less(one: ValueRef<'_>, other: ValueRef<'_>, dialect: Dialect) -> Result<bool, Exception> {
    let (mut one, mut other) = (one, other);
    loop {
        // Sequences are ordered as their first elements that differ.
        let (left, right) = match (one.view(), other.view()) {
            (View::Tuple(left), View::Tuple(right)) | (View::List(left), View::List(right)) => {
                (left, right)
            }
            (View::Array(left), View::Array(right)) => {
                return less_items(array_items(&left), array_items(&right), dialect);
            }
            (view, other_view) => return less_simple((one, &view), (other, &other_view), dialect),
        };
        match first_difference(left.clone(), right.clone()) {
            Some(difference) => (one, other) = difference,
            None => return Ok(left.len() < right.len()),
        }
    }
}

fn first_difference<'a>(one: Items<'a>, other: Items<'a>) -> Option<(ValueRef<'a>, ValueRef<'a>)> {
    one.zip(other).find(|(one, other)| !equal(*one, *other))
}

/// The elements of arrays, which are numbers or characters.
fn less_items(
    one: Option<Vec<Value>>,
    other: Option<Vec<Value>>,
    dialect: Dialect,
) -> Result<bool, Exception> {
    let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
    let mut pairs = one.iter().zip(&other);
    match pairs.find(|(one, other)| !equal(one.as_ref(), other.as_ref())) {
        Some((one, other)) => less(one.as_ref(), other.as_ref(), dialect),
        None => Ok(one.len() < other.len()),
    }
}

type Viewed<'v, 'a> = (ValueRef<'a>, &'v View<'a>);

/// Values that are not two sequences of one type.
fn less_simple(
    (one, view): Viewed<'_, '_>,
    (other, other_view): Viewed<'_, '_>,
    dialect: Dialect,
) -> Result<bool, Exception> {
    let python2 = dialect.is_python2();
    if let (Some(left), Some(right)) = (Number::of(view), Number::of(other_view)) {
        if !matches!((left, right), (Number::Complex(..), _) | (_, Number::Complex(..))) {
            return Ok(left.compare(right) == Some(Ordering::Less));
        }
        if python2 {
            return Err(type_error("no ordering relation is defined for complex numbers".into()));
        }
        return Err(unordered(one, other, dialect));
    }
    match (view, other_view) {
        (View::Text(left), View::Text(right)) => return Ok(left.as_bytes() < right.as_bytes()),
        (View::Set(left) | View::FrozenSet(left), View::Set(right) | View::FrozenSet(right)) => {
            return Ok(match (elements(left.clone()), elements(right.clone())) {
                (Some(left), Some(right)) => left.len() < right.len() && left.is_subset(&right),
                _ => false,
            });
        }
        _ => {}
    }
    if python2 {
        less2((one, view), (other, other_view))
    } else {
        less3((one, view), (other, other_view), dialect)
    }
}

/// Text or bytes of Python 3.
fn less3(
    (one, view): Viewed<'_, '_>,
    (other, other_view): Viewed<'_, '_>,
    dialect: Dialect,
) -> Result<bool, Exception> {
    fn text<'a>(view: &View<'a>) -> Option<&'a [u8]> {
        match view {
            View::Text(text) => Some(text.as_bytes()),
            View::Str2(bytes) if bytes.is_ascii() => Some(bytes),
            _ => None,
        }
    }
    fn bytes<'v>(view: &'v View<'_>) -> Option<&'v [u8]> {
        match view {
            View::Str2(bytes) if !bytes.is_ascii() => Some(bytes),
            View::Bytes(bytes) | View::ByteArray(bytes) => Some(bytes),
            _ => None,
        }
    }
    if let (Some(one), Some(other)) = (text(view), text(other_view)) {
        return Ok(one < other);
    }
    if let (Some(one), Some(other)) = (bytes(view), bytes(other_view)) {
        return Ok(one < other);
    }
    Err(unordered(one, other, dialect))
}

fn unordered(one: ValueRef<'_>, other: ValueRef<'_>, dialect: Dialect) -> Exception {
    let (one, other) = (type_name(one, dialect), type_name(other, dialect));
    type_error(format!("'<' not supported between instances of '{one}' and '{other}'"))
}

/// Anything, in Python 2.7.
fn less2(
    (one, view): Viewed<'_, '_>,
    (other, other_view): Viewed<'_, '_>,
) -> Result<bool, Exception> {
    let string = |view: &View<'_>| match view {
        View::Str2(bytes) => Some(bytes.to_vec()),
        View::Bytes(bytes) | View::ByteArray(bytes) => Some(bytes.to_vec()),
        _ => None,
    };
    match (view, other_view) {
        (View::Dict(one), View::Dict(other)) => {
            return Ok(compare_dicts(one.clone(), other.clone())? == Ordering::Less);
        }
        (View::Set(_) | View::FrozenSet(_), _) | (_, View::Set(_) | View::FrozenSet(_)) => {
            return Err(type_error("can only compare to a set".to_owned()));
        }
        (View::Text(text), bytes) | (bytes, View::Text(text)) if string(bytes).is_some() => {
            let bytes = string(bytes).unwrap_or_default();
            if let Some(place) = bytes.iter().position(|byte| !byte.is_ascii()) {
                return Err(not_ascii(bytes, i64::try_from(place).unwrap_or(i64::MAX)));
            }
            let order = text.as_bytes().cmp(&bytes);
            return Ok(if matches!(view, View::Text(_)) { order.is_lt() } else { order.is_gt() });
        }
        _ => {}
    }
    if let (Some(one), Some(other)) = (string(view), string(other_view)) {
        return Ok(one < other);
    }
    Ok(rank(one, view) < rank(other, other_view))
}

/// What orders values of different types.
fn rank<'a>(value: ValueRef<'a>, view: &View<'a>) -> (u8, Cow<'a, str>) {
    match view {
        View::None => (0, Cow::Borrowed("")),
        _ if Number::of(view).is_some() => (1, Cow::Borrowed("")),
        _ => (2, type_name(value, Dialect::Python2)),
    }
}

/// Fewer pairs come first; then what has the smallest key that the other has not, or with another
/// value.
fn compare_dicts(one: Pairs<'_>, other: Pairs<'_>) -> Result<Ordering, Exception> {
    let (one, other) = (unique_pairs(one), unique_pairs(other));
    if one.len() != other.len() {
        return Ok(one.len().cmp(&other.len()));
    }
    let difference = smallest_difference(&one, &other)?;
    let Some((key, value)) = difference else { return Ok(Ordering::Equal) };
    let Some((other_key, other_value)) = smallest_difference(&other, &one)? else {
        return Ok(Ordering::Equal);
    };
    let order = compare2(key, other_key)?;
    if order.is_ne() { Ok(order) } else { compare2(value, other_value) }
}

fn compare2(one: ValueRef<'_>, other: ValueRef<'_>) -> Result<Ordering, Exception> {
    if equal(one, other) {
        return Ok(Ordering::Equal);
    }
    let less = less(one, other, Dialect::Python2)?;
    Ok(if less { Ordering::Less } else { Ordering::Greater })
}

/// The pair with the smallest key whose value the other does not have under this key.
fn smallest_difference<'a>(
    pairs: &[(ValueRef<'a>, ValueRef<'a>)],
    other: &[(ValueRef<'a>, ValueRef<'a>)],
) -> Result<Option<(ValueRef<'a>, ValueRef<'a>)>, Exception> {
    let key = |key: ValueRef<'_>| Key::new(key.to_value()).ok();
    let by_key: std::collections::HashMap<_, _> =
        other.iter().map(|&(of, value)| (key(of), value)).collect();
    let mut smallest: Option<(ValueRef<'a>, ValueRef<'a>)> = None;
    for &(of, value) in pairs {
        if by_key.get(&key(of)).is_some_and(|other| equal(value, *other)) {
            continue;
        }
        if smallest.map_or(Ok(true), |(least, _)| less(of, least, Dialect::Python2))? {
            smallest = Some((of, value));
        }
    }
    Ok(smallest)
}

fn not_ascii(bytes: Vec<u8>, place: i64) -> Exception {
    let kind = ExceptionKind::Other {
        module: "builtins".to_owned(),
        name: "UnicodeDecodeError".to_owned(),
    };
    Exception::new(
        kind,
        [
            Value::native("ascii"),
            Value::bytes(bytes),
            Value::int(place),
            Value::int(place + 1),
            Value::native("ordinal not in range(128)"),
        ],
    )
}
