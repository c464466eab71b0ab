use super::*;
use crate::{Dialect, Limits, Value, View};

fn read(pickle: &'static [u8]) -> Value {
    Value::read(&pickle.into(), &Limits::default()).unwrap()
}

/// Lists in lists.
fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::list([]), |inner, _| Value::list([inner]))
}

#[test]
fn text_of_python_2_is_text_where_it_is_ascii_and_else_bytes() {
    let ascii = Value::str2(&b"a"[..]);
    let other = Value::str2(&b"\xff"[..]);
    assert!(equal(ascii.as_ref(), Value::text("a").as_ref()));
    assert!(!equal(ascii.as_ref(), Value::bytes(&b"a"[..]).as_ref()));
    assert!(equal(other.as_ref(), Value::bytes(&b"\xff"[..]).as_ref()));
    assert!(!equal(other.as_ref(), Value::text("\u{ff}").as_ref()));
    let keys = [ascii, Value::native("a"), Value::text("a")].map(|key| Key::new(key).unwrap());
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn one_is_the_same_key_whatever_its_type() {
    let ones = [
        Value::int(1),
        Value::bool(true),
        Value::float(1.0),
        Value::long(&[1]),
        Value::complex(1.0, -0.0),
    ];
    let keys = ones.map(|one| Key::new(Value::tuple([one])).unwrap());
    let different: std::collections::HashSet<_> = keys.into_iter().collect();
    assert_eq!(different.len(), 1);
}

#[test]
fn objects_of_unknown_classes_are_equal_if_they_are_made_alike() {
    let object = |state: i64| {
        let class = Value::global("shop", "Article");
        let state = Value::dict([(Value::text("price"), Value::int(state))]);
        Value::object(class, [Value::text("a")], Some(state))
    };
    assert!(equal(object(1).as_ref(), object(1).as_ref()));
    assert!(!equal(object(1).as_ref(), object(2).as_ref()));
    assert_eq!(Key::new(object(1)).unwrap(), Key::new(object(1)).unwrap());
    assert_ne!(Key::new(object(1)).unwrap(), Key::new(object(2)).unwrap());
    let refusal = less(object(1).as_ref(), object(2).as_ref(), Dialect::Python38).unwrap_err();
    let text = "'<' not supported between instances of 'Article' and 'Article'";
    assert_eq!(refusal.message(), Some(text));
    assert!(!less(object(1).as_ref(), object(2).as_ref(), Dialect::Python2).unwrap());
    assert_eq!(repr(object(1).as_ref(), Dialect::Python38), "<shop.Article object>");
}

#[test]
fn what_contains_itself_is_compared_and_written() {
    // a = []; a.append(a); b = (a, {1: b})
    let list = read(b"\x80\x02]q\x00h\x00a.");
    let other = read(b"\x80\x02]q\x00h\x00a.");
    assert!(equal(list.as_ref(), other.as_ref()));
    assert!(!less(list.as_ref(), other.as_ref(), Dialect::Python38).unwrap());
    assert_eq!(repr(list.as_ref(), Dialect::Python38), "[[...]]");
    let dict = read(b"\x80\x02}q\x00K\x01h\x00s.");
    assert_eq!(repr(dict.as_ref(), Dialect::Python2), "{1: {...}}");
    assert!(!equal(list.as_ref(), dict.as_ref()));
}

#[test]
fn depth_costs_no_stack() {
    let (one, other) = (nested(100_000), nested(100_000));
    assert!(equal(one.as_ref(), other.as_ref()));
    assert!(!less(one.as_ref(), other.as_ref(), Dialect::Python38).unwrap());
    assert_eq!(repr(one.as_ref(), Dialect::Python38).len(), 200_002);
    let key = (0..1000).fold(Value::int(1), |inner, _| Value::tuple([inner]));
    assert_eq!(Key::new(key).unwrap_err().kind().names().1, "RecursionError");
    let key = (0..90).fold(Value::int(1), |inner, _| Value::frozenset([inner]));
    assert_eq!(Key::new(key.clone()).unwrap(), Key::new(key).unwrap());
}

#[test]
fn what_grows_when_it_is_unfolded_is_cut() {
    // Each has the one before twice: a billion parts.
    let shared = (0..30).fold(Value::list([]), |inner, _| Value::list([inner.clone(), inner]));
    assert!(equal(shared.as_ref(), shared.as_ref()));
    let twin = (0..30).fold(Value::list([]), |inner, _| Value::list([inner.clone(), inner]));
    assert!(equal(shared.as_ref(), twin.as_ref()));
    assert!(repr(shared.as_ref(), Dialect::Python38).ends_with("..."));
    let key = (0..30).fold(Value::int(1), |inner, _| Value::tuple([inner.clone(), inner]));
    assert!(Key::new(key).is_err());
    // range(10 ** 12)
    let range = Value::reduce(
        Value::global("builtins", "range"),
        [Value::int(0), Value::int(1_000_000_000_000), Value::int(1)],
    );
    assert_eq!(length(range.as_ref(), Dialect::Python38).unwrap(), 1_000_000_000_000);
    let refusal = iterate(range.as_ref(), Dialect::Python38).unwrap_err();
    assert_eq!(refusal.kind().names().1, "MemoryError");
}

#[test]
fn python_2_puts_everything_in_an_order() {
    let mut values = vec![
        Value::text("b"),
        Value::tuple([Value::int(1)]),
        Value::dict([(Value::int(1), Value::int(2))]),
        Value::list([]),
        Value::int(3),
        Value::none(),
        Value::str2(&b"a"[..]),
        Value::float(-1.0),
        Value::dict([]),
    ];
    sort(&mut values, false, Dialect::Python2).unwrap();
    let sorted = Value::list(values);
    let expected = "[None, -1.0, 3, {}, {1: 2}, [], 'a', (1,), u'b']";
    assert_eq!(repr(sorted.as_ref(), Dialect::Python2), expected);
}

#[test]
fn a_sort_that_fails_loses_nothing() {
    let numbers =
        (0..500_i64).map(|n| if n == 400 { Value::none() } else { Value::int(n * 7 % 500) });
    let mut values: Vec<Value> = numbers.collect();
    assert!(sort(&mut values, true, Dialect::Python38).is_err());
    let nones = values.iter().filter(|value| value.is_none()).count();
    let keys: std::collections::HashSet<_> =
        values.into_iter().map(|value| Key::new(value).unwrap()).collect();
    assert_eq!((keys.len(), nones), (500, 1));
}

#[test]
fn equal_values_keep_their_order_in_both_directions() {
    for reverse in [false, true] {
        // Compared by their first parts only: the second are objects that are all the same to 2.7.
        let tagged = |n: i64| {
            let class = Value::global("m", "C");
            Value::tuple([Value::int(n % 3), Value::object(class, [Value::int(n)], None)])
        };
        let mut values: Vec<Value> = (0..300).map(tagged).collect();
        sort(&mut values, reverse, Dialect::Python2).unwrap();
        let mut expected: Vec<i64> = (0..300).collect();
        expected.sort_by_key(|n| if reverse { 2 - n % 3 } else { n % 3 });
        let numbers: Vec<i64> = values
            .iter()
            .map(|value| {
                let second = value.items().unwrap().nth(1).unwrap();
                let View::Object(object) = second.view() else { panic!("an object") };
                object.args().unwrap().next().unwrap().as_i64().unwrap()
            })
            .collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn a_set_of_sets_costs_no_more_than_its_parts() {
    // Two sets of the two before, over and over: to compare them while they are hashed would take
    // more than three times as long on each level.
    let mut pair = [Value::int(1), Value::int(2)];
    for _ in 0..16 {
        pair = [pair.clone(), pair].map(Value::frozenset);
    }
    let [one, other] = pair.map(Key::new);
    assert!(one.is_ok() && other.is_ok());
}

#[test]
fn an_array_has_numbers_and_characters_in_it_and_nothing_else() {
    let array = |typecode: &str, items: Vec<Value>| {
        let parts = [Value::text(typecode), Value::list(items)];
        Value::reduce(Value::global("array", "array"), parts)
    };
    let numbers = array("i", vec![Value::int(1), Value::int(2)]);
    assert_eq!(repr(numbers.as_ref(), Dialect::Python38), "array('i', [1, 2])");
    let long = Value::text("x".repeat(1 << 10));
    for (typecode, wrong) in [("i", numbers), ("u", long.clone()), ("i", long)] {
        let text = repr(array(typecode, vec![wrong; 3]).as_ref(), Dialect::Python38);
        assert_eq!(text, format!("array('{typecode}', ...)"));
    }
    let deep = (0..2_400).fold(Value::int(1), |inner, _| array("i", vec![inner]));
    let (bytes, limits) = (deep.write(Dialect::Python38).unwrap(), Limits::default());
    let [one, other] = [(); 2].map(|()| Value::read(&bytes.clone().into(), &limits).unwrap());
    assert!(!equal(one.as_ref(), other.as_ref()), "such an array is not looked into");
}

#[test]
fn integers_of_any_length_are_shown_and_compared_in_good_time() {
    let mut bytes = vec![0; 8 << 20];
    bytes.push(0x12);
    let large = Value::long(&bytes);
    let text = repr(large.as_ref(), Dialect::Python38);
    assert!(text.starts_with("0x120000"), "{}", &text[..20]);
    assert_eq!(bound(large.as_ref()), Some(i64::MAX));
    assert_eq!(large.as_f64(), Some(f64::INFINITY));
    bytes.push(0xff);
    assert_eq!(Value::long(&bytes).as_f64(), Some(f64::NEG_INFINITY));

    let mut greatest = vec![0; 120];
    greatest.push(1);
    assert_eq!(Value::long(&greatest).as_f64(), Some(2_f64.powi(960)));
}
