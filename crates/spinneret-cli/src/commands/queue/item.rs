//! Items as people and scripts read them.

use serde_json::{Map, Number, Value as Json, json};
use spinneret_pickle::{Dialect, Value, ValueRef, View, semantics::repr};

/// What is nested deeper than this is shown by its `repr`.
const DEPTH: usize = 64;
/// An item that is longer than this in JSON, in bytes or so, is shown by its `repr`, which has a
/// bound of its own: items whose parts share one another may be endless in writing.
const LONGEST: usize = 64 << 20;

/// A text as it is, anything else as Python would write it.
pub fn show(item: &Value) -> String {
    match item.as_str() {
        Some(text) => text.to_owned(),
        None => repr(item.as_ref(), Dialect::Python38),
    }
}

/// An item in JSON. What that has no form for is `{"repr": "..."}`.
pub fn json(item: &Value) -> Json {
    let mut left = LONGEST;
    form(item.as_ref(), DEPTH, &mut left).unwrap_or_else(|| json!({"repr": show(item)}))
}

/// A value in JSON; nothing if there is no room left for it.
fn form(value: ValueRef<'_>, depth: usize, left: &mut usize) -> Option<Json> {
    let text = match value.view() {
        View::None => Some(Json::Null),
        View::Bool(bool) => Some(bool.into()),
        View::Int(int) => {
            let small = int.as_i128().and_then(Number::from_i128);
            small.map(Json::Number)
        }
        View::Float(float) => Number::from_f64(float).map(Json::Number),
        View::Text(_) | View::Str2(_) => value.as_str().map(Json::from),
        View::List(items) | View::Tuple(items) if depth > 0 => {
            *left = left.checked_sub(8)?;
            return items
                .map(|item| form(item, depth - 1, left))
                .collect::<Option<_>>()
                .map(Json::Array);
        }
        View::Dict(pairs) if depth > 0 && pairs.clone().all(|(key, _)| key.as_str().is_some()) => {
            *left = left.checked_sub(8)?;
            let mut object = Map::new();
            for (key, value) in pairs {
                let key = key.as_str().unwrap_or_default();
                *left = left.checked_sub(key.len())?;
                object.insert(key.to_owned(), form(value, depth - 1, left)?);
            }
            return Some(Json::Object(object));
        }
        _ => None,
    };
    let text = text.unwrap_or_else(|| json!({"repr": repr(value, Dialect::Python38)}));
    let length = text.as_str().or_else(|| text["repr"].as_str()).map_or(8, str::len);
    *left = left.checked_sub(length)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_are_those_of_json() {
        let item = Value::dict([
            (Value::text("url"), Value::text("http://a.org/ä")),
            (Value::text("size"), Value::tuple([Value::int(-3), Value::float(0.5)])),
            (Value::text("seen"), Value::list([Value::bool(true), Value::none()])),
        ]);
        let expected = json!({"url": "http://a.org/ä", "size": [-3, 0.5], "seen": [true, null]});
        assert_eq!(json(&item), expected);
        assert_eq!(show(&Value::text("as it is")), "as it is");
        assert_eq!(show(&Value::list([Value::text("it's")])), r#"["it's"]"#);
    }

    #[test]
    fn what_json_lacks_is_written_as_python_would() {
        let repr = |item: Value| json(&item)["repr"].as_str().map(str::to_owned);
        assert_eq!(repr(Value::bytes(&b"\xff"[..])).as_deref(), Some(r"b'\xff'"));
        assert_eq!(repr(Value::float(f64::NAN)).as_deref(), Some("nan"));
        let by_number = Value::dict([(Value::int(1), Value::text("one"))]);
        assert_eq!(repr(by_number).as_deref(), Some("{1: 'one'}"));
        let huge = Value::long(&[1; 20]);
        assert!(repr(huge).is_some_and(|digits| digits.len() > 40));
        let within = json(&Value::list([Value::int(1), Value::bytes(&b"x"[..])]));
        assert_eq!(within, json!([1, {"repr": "b'x'"}]));
    }

    #[test]
    fn what_has_no_end_in_writing_is_cut_short() {
        let mut deep = Value::none();
        for _ in 0..200 {
            deep = Value::list([deep]);
        }
        assert!(json(&deep).to_string().contains(r#"{"repr":"[["#));
        // Each is twice the one before: 2^50 items in all.
        let mut wide = Value::list([Value::none()]);
        for _ in 0..50 {
            wide = Value::list([wide.clone(), wide]);
        }
        assert_eq!(form(wide.as_ref(), DEPTH, &mut 10_000), None);
        let long = Value::list([Value::text("x".repeat(1000)), Value::none()]);
        assert_eq!(form(long.as_ref(), DEPTH, &mut 1000), None);
        assert!(form(long.as_ref(), DEPTH, &mut 2000).is_some());
    }
}
