//! Calls of well-known functions, which stand for the plain values that they return.
//!
//! What has been changed after the call is no plain value: then it is an object.

use std::{borrow::Cow, sync::Arc};

use crate::{
    Array, ArrayData, Int, Items, Pairs, ValueRef, View,
    graph::{Graph, NO_CHANGE, NodeId},
    object::Global,
};

/// The value of a call, if it is a well-known one.
pub(crate) fn call(
    graph: &Arc<Graph>,
    id: NodeId,
    callable: NodeId,
    args: NodeId,
) -> Option<View<'_>> {
    if graph.first_step(id) != NO_CHANGE {
        return None;
    }
    let Global { module, name } = ValueRef::at(graph, callable).as_global()?;
    let View::Tuple(args) = ValueRef::at(graph, args).view() else { return None };
    match (module, name) {
        ("builtins", _) => builtin(name, args),
        ("_codecs", "encode") => encoded(args).map(View::Bytes),
        ("array", "array") => array(args),
        ("array", "_array_reconstructor") => rebuilt_array(args),
        _ => None,
    }
}

/// Exactly that many.
fn exactly<const N: usize>(args: Items<'_>) -> Option<[ValueRef<'_>; N]> {
    if args.len() != N {
        return None;
    }
    args.collect::<Vec<_>>().try_into().ok()
}

fn builtin<'a>(name: &str, mut args: Items<'a>) -> Option<View<'a>> {
    Some(match name {
        "set" => View::Set(collected(args)?),
        "frozenset" => View::FrozenSet(collected(args)?),
        "list" => View::List(collected(args)?),
        "tuple" => View::Tuple(collected(args)?),
        "dict" if args.len() == 0 => View::Dict(Pairs(args)),
        "bytes" if args.len() == 0 => View::Bytes(Cow::Borrowed(&[])),
        "bytearray" => View::ByteArray(match args.len() {
            0 => Cow::Borrowed(&[]),
            1 => match args.next()?.view() {
                View::Bytes(bytes) => bytes,
                _ => return None,
            },
            _ => encoded(args)?,
        }),
        "complex" => {
            let [real, imaginary] = exactly(args)?;
            View::Complex { real: real.as_f64()?, imaginary: imaginary.as_f64()? }
        }
        "slice" => {
            let [start, stop, step] = exactly(args)?;
            View::Slice { start, stop, step }
        }
        "range" => {
            let [start, stop, step] = exactly(args)?;
            View::Range { start: int(start)?, stop: int(stop)?, step: int(step)? }
        }
        _ => return None,
    })
}

fn int(value: ValueRef<'_>) -> Option<Int<'_>> {
    match value.view() {
        View::Int(int) => Some(int),
        _ => None,
    }
}

/// What `set()`, `set([..])` and the like have in them.
fn collected(mut args: Items<'_>) -> Option<Items<'_>> {
    match args.len() {
        0 => Some(args),
        1 => args.next()?.items(),
        _ => None,
    }
}

/// `(text, 'latin-1')`: how bytes are written for protocols that have none.
fn encoded(args: Items<'_>) -> Option<Cow<'_, [u8]>> {
    let [text, coding] = exactly(args)?;
    if !matches!(coding.as_str()?, "latin1" | "latin-1" | "iso-8859-1") {
        return None;
    }
    let text = match text.view() {
        View::Text(text) => text.as_str()?,
        View::Str2(bytes) if bytes.is_ascii() => text.as_str()?,
        _ => return None,
    };
    if text.is_ascii() {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).ok())
        .collect::<Option<_>>()
        .map(Cow::Owned)
}

fn array(args: Items<'_>) -> Option<View<'_>> {
    let [typecode, data] = exactly(args)?;
    let data = match data.view() {
        View::List(items) => ArrayData::Items(items),
        View::Bytes(Cow::Borrowed(bytes)) => ArrayData::Native(bytes),
        _ => return None,
    };
    Some(View::Array(Array { typecode: char(typecode)?, data }))
}

fn rebuilt_array(args: Items<'_>) -> Option<View<'_>> {
    let [class, typecode, format, data] = exactly(args)?;
    let (format, data) = match (format.as_i64()?, data.view()) {
        (format, View::Bytes(Cow::Borrowed(bytes))) => (u8::try_from(format).ok()?, bytes),
        _ => return None,
    };
    if !class.as_global()?.is("array", "array") {
        return None;
    }
    Some(View::Array(Array { typecode: char(typecode)?, data: ArrayData::Coded(format, data) }))
}

fn char(value: ValueRef<'_>) -> Option<char> {
    let mut chars = value.as_str()?.chars();
    chars.next().filter(|_| chars.next().is_none())
}
