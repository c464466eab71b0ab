//! What Python's operators make of values, compared with what Python itself says, for thousands of
//! random values of every version on the machine.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test, as it should")]

use spinneret_pickle::{
    Dialect, Exception, ExceptionKind, Limits, Value, ValueRef, View,
    semantics::{self, Key},
};
use spinneret_test_pythons::{self as pythons, Python};

/// Random values for each Python.
const COUNT: usize = 800;

/// What a Python says, and its dialect.
fn ask(python: &Python, seed: usize) -> (Value, Dialect) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/semantics.py");
    let output = python
        .command()
        .arg("-B")
        .arg(script)
        .args([seed.to_string(), COUNT.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dialect = Dialect::of(&output.stdout);
    (Value::read(&output.stdout.into(), &Limits::default()).unwrap(), dialect)
}

/// Part of the answer.
fn part<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = ValueRef<'a>> {
    let View::Dict(pairs) = answer.view() else { panic!("a dict") };
    pairs.get(name).unwrap().items().unwrap()
}

fn tuple<const N: usize>(value: ValueRef<'_>) -> [ValueRef<'_>; N] {
    value.items().unwrap().collect::<Vec<_>>().try_into().unwrap()
}

fn number(count: usize) -> Value {
    Value::int(count.try_into().unwrap())
}

fn count(value: ValueRef<'_>) -> usize {
    value.as_i64().unwrap().try_into().unwrap()
}

fn describe(exception: &Exception) -> String {
    let name = exception.kind().names().1;
    if let ExceptionKind::Other { name, .. } = exception.kind()
        && name == "UnicodeDecodeError"
    {
        return name.clone();
    }
    format!("{name}: {}", exception.message().unwrap_or_default())
}

/// Compares an attempt of Python's with ours.
#[track_caller]
fn same(expected: ValueRef<'_>, ours: Result<Value, Exception>, what: &dyn Fn() -> String) {
    let [done, outcome] = tuple(expected);
    match ours {
        Ok(value) => {
            assert_eq!(done.as_bool(), Some(true), "{}: {outcome:?}, not {value:?}", what());
            let [one, other] =
                [value.as_ref(), outcome].map(|value| semantics::repr(value, Dialect::Python38));
            assert_eq!(one, other, "{}", what());
        }
        Err(exception) => {
            let expected = outcome.as_str().unwrap_or_default();
            let ours = describe(&exception);
            assert_eq!(done.as_bool(), Some(false), "{}: {outcome:?}, not {ours}", what());
            assert!(expected.starts_with(&ours), "{}: {expected}, not {ours}", what());
        }
    }
}

fn check(answer: &Value, dialect: Dialect) {
    let values: Vec<_> = part(answer, "values").collect();
    let show = |value: ValueRef<'_>| semantics::repr(value, dialect);
    for (value, expected) in values.iter().zip(part(answer, "reprs")) {
        let expected = match expected.view() {
            View::Text(text) => text.to_string_lossy().into_owned(),
            _ => expected.as_str().unwrap().to_owned(),
        };
        assert_eq!(show(*value), expected);
    }
    for (value, expected) in values.iter().zip(part(answer, "truths")) {
        assert_eq!(Some(semantics::truth(*value)), expected.as_bool(), "{}", show(*value));
    }
    for (value, expected) in values.iter().zip(part(answer, "lengths")) {
        let length = semantics::length(*value, dialect).map(number);
        same(expected, length, &|| format!("len({})", show(*value)));
    }
    for (value, expected) in values.iter().zip(part(answer, "hashes")) {
        let hash = Key::new(value.to_value()).map(|_| Value::int(0));
        same(expected, hash, &|| format!("hash({})", show(*value)));
    }
    for (value, expected) in values.iter().zip(part(answer, "types")) {
        let name = semantics::type_name(*value, dialect);
        assert_eq!(name.rsplit('.').next(), expected.as_str());
    }
    for pair in part(answer, "pairs") {
        let [one, other, expected] = tuple(pair);
        let [one, other] = [one, other].map(|index| values[count(index)]);
        let View::Dict(expected) = expected.view() else { panic!("a dict") };
        let equal = expected.get("equal").unwrap().as_bool().unwrap();
        let what = || format!("{} and {}", show(one), show(other));
        assert_eq!(semantics::equal(one, other), equal, "{}", what());
        if let (Ok(one), Ok(other)) = (Key::new(one.to_value()), Key::new(other.to_value())) {
            assert_eq!(one == other, equal, "{} as keys", what());
        }
        let less = expected.get("less").unwrap();
        if !less.is_none() {
            same(less, semantics::less(one, other, dialect).map(Value::bool), &what);
        }
    }
    for list in part(answer, "lists") {
        let [items, reverse, expected] = tuple(list);
        let mut sorted: Vec<Value> = items.items().unwrap().map(ValueRef::to_value).collect();
        let count = sorted.len();
        let outcome = semantics::sort(&mut sorted, reverse.as_bool().unwrap(), dialect);
        assert_eq!(sorted.len(), count);
        if outcome.is_err() && count > 3 {
            // Which two without an order meet first differs between versions.
            assert_eq!(tuple::<2>(expected)[0].as_bool(), Some(false), "sorted {}", show(items));
            continue;
        }
        same(expected, outcome.map(|()| Value::list(sorted)), &|| {
            format!("sorted {}", show(items))
        });
    }
    for slice in part(answer, "slices") {
        let [bounds, length, expected] = tuple(slice);
        let span = semantics::slice(tuple(bounds), count(length));
        let places = span.map(|span| Value::list(span.places().map(number)));
        same(expected, places, &|| format!("{length:?} elements, {}", show(bounds)));
    }
    for iteration in part(answer, "iterations") {
        let [value, expected] = tuple(iteration);
        let items = semantics::iterate(value, dialect).map(Value::list);
        same(expected, items, &|| format!("list({})", show(value)));
    }
}

#[test]
fn values_are_to_us_what_they_are_to_every_python() {
    for (seed, python) in pythons::all().iter().enumerate() {
        println!("{}", python.path.display());
        let (answer, dialect) = ask(python, seed);
        check(&answer, dialect);
    }
}

#[test]
fn every_character_is_written_as_python_3_writes_it() {
    let (answer, _) = ask(pythons::newest(), 0);
    let mut wrong = Vec::new();
    for (code, printable) in part(&answer, "printable").enumerate() {
        let Some(char) = char::from_u32(code as u32) else { continue };
        let text = semantics::repr(Value::text(char).as_ref(), Dialect::Python38);
        let as_it_is = text.trim_matches('\'') == char.to_string() || "'\\".contains(char);
        if as_it_is != printable.as_bool().unwrap() {
            wrong.push(code);
        }
    }
    // Versions of Unicode differ in what they know: only new characters may.
    assert!(wrong.len() < 400, "{} characters, such as {:x?}", wrong.len(), &wrong[..20]);
}
