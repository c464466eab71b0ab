//! A list's items by index and by slice.

use std::ops::Range;

use spinneret_pickle::{
    Dialect, Exception, Value, View,
    semantics::{self, Span, index},
};

use super::kept;
use crate::manager::python::{
    args::Args,
    kinds::{
        errors::{index_error, type_error, value_error},
        iterator::iterate,
        places::{clamped, place},
    },
    objects::Objects,
};

/// The methods that have subscripts; `None` if there is no such.
pub(super) fn call(
    items: &mut Vec<Value>,
    method: &str,
    args: Args,
    objects: &Objects,
    dialect: Dialect,
) -> Result<Option<Value>, Exception> {
    Ok(Some(match method {
        "__getitem__" => {
            let ([at], []) = args.positional(method)?;
            get(items, &at, dialect)?
        }
        "__setitem__" => {
            let ([at, value], []) = args.positional(method)?;
            set(items, &at, &value, objects, dialect)?;
            Value::none()
        }
        "__delitem__" => {
            let ([at], []) = args.positional(method)?;
            delete(items, &at, dialect)?;
            Value::none()
        }
        "__getslice__" => {
            let ([from, to], []) = args.positional(method)?;
            let places = plain([&from, &to], items.len(), dialect)?;
            Value::list(items[places].iter().cloned())
        }
        "__setslice__" => {
            let ([from, to, value], []) = args.positional(method)?;
            let places = plain([&from, &to], items.len(), dialect)?;
            items.splice(places, kept(source(&value, dialect)?, objects));
            Value::none()
        }
        "__delslice__" => {
            let ([from, to], []) = args.positional(method)?;
            items.drain(plain([&from, &to], items.len(), dialect)?);
            Value::none()
        }
        _ => return Ok(None),
    }))
}

/// What stands in brackets.
enum Subscript {
    Item(i64),
    Slice(Span),
}

fn subscript(at: &Value, length: usize, dialect: Dialect) -> Result<Subscript, Exception> {
    match at.view() {
        View::Int(_) | View::Bool(_) => index(at.as_ref(), dialect).map(Subscript::Item),
        View::Slice { start, stop, step } => {
            semantics::slice([start, stop, step], length).map(Subscript::Slice)
        }
        _ => {
            let name = semantics::type_name(at.as_ref(), dialect);
            let kinds = if dialect.is_python2() { "integers" } else { "integers or slices" };
            Err(type_error(format!("list indices must be {kinds}, not {name}")))
        }
    }
}

fn get(items: &[Value], at: &Value, dialect: Dialect) -> Result<Value, Exception> {
    match subscript(at, items.len(), dialect)? {
        Subscript::Item(index) => place(index, items.len())
            .map(|place| items[place].clone())
            .ok_or_else(|| index_error("list index out of range")),
        Subscript::Slice(span) => Ok(Value::list(span.places().map(|place| items[place].clone()))),
    }
}

fn set(
    items: &mut Vec<Value>,
    at: &Value,
    value: &Value,
    objects: &Objects,
    dialect: Dialect,
) -> Result<(), Exception> {
    match subscript(at, items.len(), dialect)? {
        Subscript::Item(index) => {
            let place = assigned(index, items.len())?;
            items[place] = objects.keep(value);
        }
        Subscript::Slice(span) if span.step == 1 => {
            let values = source(value, dialect)?;
            items.splice(span.start..span.start + span.count, kept(values, objects));
        }
        Subscript::Slice(span) => {
            let values = iterate(value.as_ref(), dialect)
                .map_err(|_| type_error("must assign iterable to extended slice"))?;
            if values.len() != span.count {
                let (given, count) = (values.len(), span.count);
                return Err(value_error(format!(
                    "attempt to assign sequence of size {given} to extended slice of size {count}"
                )));
            }
            for (place, value) in span.places().zip(kept(values, objects)) {
                items[place] = value;
            }
        }
    }
    Ok(())
}

fn delete(items: &mut Vec<Value>, at: &Value, dialect: Dialect) -> Result<(), Exception> {
    match subscript(at, items.len(), dialect)? {
        Subscript::Item(index) => {
            let place = assigned(index, items.len())?;
            items.remove(place);
        }
        Subscript::Slice(span) => {
            let mut places: Vec<usize> = span.places().collect();
            places.sort_unstable();
            let mut gone = places.into_iter().peekable();
            let mut place = 0;
            items.retain(|_| {
                let keep = gone.next_if_eq(&place).is_none();
                place += 1;
                keep
            });
        }
    }
    Ok(())
}

fn assigned(index: i64, length: usize) -> Result<usize, Exception> {
    place(index, length).ok_or_else(|| index_error("list assignment index out of range"))
}

/// The places of `[from:to]`, as Python 2.7 asks for it.
fn plain(
    [from, to]: [&Value; 2],
    length: usize,
    dialect: Dialect,
) -> Result<Range<usize>, Exception> {
    let from = clamped(index(from.as_ref(), dialect)?, length);
    let to = clamped(index(to.as_ref(), dialect)?, length);
    Ok(from..to.max(from))
}

/// What a slice is set to.
fn source(value: &Value, dialect: Dialect) -> Result<Vec<Value>, Exception> {
    iterate(value.as_ref(), dialect).map_err(|_| type_error("can only assign an iterable"))
}

/// A bound of `index()`.
pub(super) fn bound(value: &Value) -> Result<i64, Exception> {
    semantics::bound(value.as_ref())
        .ok_or_else(|| type_error("slice indices must be integers or have an __index__ method"))
}
