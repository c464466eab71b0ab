//! Random calls of containers, compared with what Python's own do.

use spinneret_pickle::{Dialect, Limits, Value, ValueRef, View, semantics};
use spinneret_test_pythons::{self as pythons, Python};

use super::{World, raised, written};
use crate::manager::python::{args::Args, object::Answer};

/// Objects for each Python, and calls on each of them.
const SCALE: [&str; 2] = ["400", "25"];

fn tuple<const N: usize>(value: ValueRef<'_>) -> [ValueRef<'_>; N] {
    value.items().unwrap().collect::<Vec<_>>().try_into().unwrap()
}

fn args(positional: ValueRef<'_>, keywords: ValueRef<'_>) -> Args {
    let View::Dict(keywords) = keywords.view() else { panic!("a dict") };
    let keyword = |(name, value): (ValueRef<'_>, ValueRef<'_>)| {
        (name.as_str().unwrap().to_owned(), value.to_value())
    };
    let positional = positional.items().unwrap().map(ValueRef::to_value);
    Args::new(positional.collect(), keywords.map(keyword).collect())
}

/// Replays what a Python did with its own containers.
fn replay(python: &Python, seed: &str) {
    let script =
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/manager/python/kinds/tests/containers.py");
    let output = python.command().arg("-B").arg(script).arg(seed).args(SCALE).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dialect = Dialect::of(&output.stdout);
    let answer = Value::read(&output.stdout.into(), &Limits::default()).unwrap();
    let wrong: Vec<String> =
        answer.items().unwrap().filter_map(|object| difference(object, dialect)).collect();
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

/// The first difference between what Python did with an object and what we do.
fn difference(object: ValueRef<'_>, dialect: Dialect) -> Option<String> {
    let world = World::new(dialect);
    let [kind, positional, keywords, made, calls] = tuple(object);
    let kind = kind.as_str().unwrap();
    let show = |value: ValueRef<'_>| semantics::repr(value, dialect);
    let what = format!("{kind}{}", show(positional));
    let told = |ours: &str, what: &str, pythons: ValueRef<'_>| {
        let pythons = pythons.as_str().unwrap();
        (!alike(ours, pythons)).then(|| format!("{what}\n    ours   {ours}\n    python {pythons}"))
    };
    let object = match super::create(kind, world.call(0, args(positional, keywords))).unwrap() {
        Ok(object) => object,
        Err(exception) => return told(&raised(&exception, dialect), &what, made),
    };
    if let Some(told) = told("", &what, made) {
        return Some(told);
    }
    for call in calls.items().unwrap() {
        let [method, positional, keywords, expected, then] = tuple(call);
        let method = method.as_str().unwrap();
        let what = format!("{}.{method}{}", object.repr(dialect), show(positional));
        let answer = object.clone().call(method, world.call(0, args(positional, keywords)));
        let Answer::Now(outcome) = answer else { panic!("{what} waits") };
        let told = told(&written(outcome, dialect), &what, expected)
            .or_else(|| told(&object.repr(dialect), &format!("after {what}"), then));
        if told.is_some() {
            return told;
        }
    }
    None
}

/// What may differ is how many arguments Python says there should have been and in which words,
/// and what it says of slices, which 3.13 has changed.
fn alike(ours: &str, pythons: &str) -> bool {
    let counted = |text: &str| {
        text.starts_with("TypeError") && (text.contains(" argument") || text.contains("expected"))
    };
    let iterable = |text: &str| {
        ["can only assign an iterable", "must assign iterable to extended slice"]
            .iter()
            .any(|end| text.ends_with(end))
    };
    ours == pythons || counted(ours) && counted(pythons) || iterable(ours) && iterable(pythons)
}

#[test]
fn containers_do_what_those_of_python_3_do() {
    replay(pythons::newest(), "1");
    replay(pythons::newest(), "2");
}

#[test]
fn containers_do_what_those_of_python_2_do() {
    let Some(python) = Python::find((2, 7)) else {
        println!("skipped: there is no Python 2.7 on this machine");
        return;
    };
    replay(python, "1");
    replay(python, "2");
}
