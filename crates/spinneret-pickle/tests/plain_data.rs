//! Types of Rust to pickles and back.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spinneret_pickle::{
    DecodeError, Dialect, EncodeError, Limits, Value, View, from_bytes, from_value, to_bytes,
};

const DIALECTS: [Dialect; 3] = [Dialect::Python2, Dialect::Python3, Dialect::Python38];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Image {
    url: String,
    depth: u32,
    size: Option<(u16, u16)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype(u8);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tuple(u8, String, f64, bool);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Nothing,
    One(i32),
    Two(i32, String),
    Named { image: Image, done: bool },
}

fn image() -> Image {
    Image { url: "http://пример/1.png".into(), depth: 3, size: Some((640, 480)) }
}

#[track_caller]
fn is_read_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    for dialect in DIALECTS {
        let pickle = Bytes::from(to_bytes(value, dialect).unwrap());
        assert_eq!(Dialect::of(&pickle), dialect);
        assert_eq!(from_bytes::<T>(&pickle).unwrap(), *value, "{dialect}");
        // And as Python would pass it on.
        let passed = Value::read(&pickle, &Limits::default()).unwrap();
        for dialect in DIALECTS {
            let pickle = Bytes::from(passed.write(dialect).unwrap());
            assert_eq!(from_bytes::<T>(&pickle).unwrap(), *value, "{dialect}");
        }
    }
}

#[test]
fn every_kind_of_value_is_read_back() {
    is_read_back(&image());
    is_read_back(&(Unit, Newtype(7), Tuple(1, "é".into(), -0.5, true), 'ж'));
    is_read_back(&vec![
        Kind::Nothing,
        Kind::One(-1),
        Kind::Two(300, "x".into()),
        Kind::Named { image: image(), done: false },
    ]);
    is_read_back(&BTreeMap::from([
        ("a".to_owned(), vec![Some(1.5), None]),
        (String::new(), vec![]),
    ]));
    is_read_back(&HashMap::from([(1_u64, 'a'), (u64::MAX, 'b')]));
    is_read_back(&serde_bytes::ByteBuf::from(vec![0xff; 70_000]));
    is_read_back(&"я".repeat(50_000));
    is_read_back(&((), ((),), ((), (), ()), ((), (), (), ())));
    is_read_back(&(f32::MIN_POSITIVE, f64::MAX, f64::INFINITY));
}

#[test]
fn every_integer_of_128_bits_is_read_back() {
    for shift in 0..128 {
        let power = 1_u128 << shift;
        for value in [power - 1, power, power + 1] {
            is_read_back(&value);
            is_read_back(&(value as u64));
            is_read_back(&(value as i64));
            is_read_back(&value.cast_signed());
            is_read_back(&value.cast_signed().wrapping_neg());
        }
    }
    is_read_back(&u128::MAX);
    is_read_back(&i128::MIN);
    is_read_back(&i64::MIN);
}

#[test]
fn an_integer_that_does_not_fit_is_an_error() {
    let pickle = Bytes::from(to_bytes(&u64::MAX, Dialect::Python38).unwrap());
    assert!(matches!(from_bytes::<i64>(&pickle), Err(DecodeError::Custom(_))));
    // 2 ** 128
    let mut large = b"\x80\x02\x8a\x11".to_vec();
    large.extend_from_slice(&[0; 16]);
    large.extend_from_slice(b"\x01.");
    let error = from_bytes::<u128>(&large.into()).unwrap_err();
    assert!(error.to_string().contains("128 bits"), "{error}");
}

#[test]
fn the_forms_are_those_that_python_programs_know() {
    let shown = |value: &dyn Fn() -> Vec<u8>| {
        format!("{:?}", Value::read(&value().into(), &Limits::default()).unwrap())
    };
    let encoded = |kind: Kind| shown(&|| to_bytes(&kind, Dialect::Python3).unwrap());
    assert_eq!(encoded(Kind::Nothing), r#""Nothing""#);
    assert_eq!(encoded(Kind::One(1)), r#"{"One": 1}"#);
    assert_eq!(encoded(Kind::Two(1, "x".into())), r#"{"Two": [1, "x"]}"#);
    let named = encoded(Kind::Named { image: Image { size: None, ..image() }, done: true });
    assert_eq!(
        named,
        r#"{"Named": {"image": {"url": "http://пример/1.png", "depth": 3, "size": None}, "done": True}}"#
    );
    assert_eq!(shown(&|| to_bytes(&Unit, Dialect::Python3).unwrap()), "None");
    assert_eq!(
        shown(&|| to_bytes(&Tuple(1, "a".into(), 0.5, false), Dialect::Python3).unwrap()),
        r#"tuple[1, "a", 0.5, False]"#
    );
}

#[test]
fn a_string_of_any_python_is_a_string() {
    for pickle in [
        &b"Vurl\np0\n."[..],
        b"S'url'\np0\n.",
        b"\x80\x02X\x03\x00\x00\x00urlq\x00.",
        b"\x80\x03X\x03\x00\x00\x00urlq\x00.",
        b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8c\x03url\x94.",
        b"\x80\x02U\x03urlq\x00.",
    ] {
        assert_eq!(from_bytes::<String>(&Bytes::from_static(pickle)).unwrap(), "url");
    }
    let bytes: serde_bytes::ByteBuf = from_bytes(&(&b"\x80\x02U\x02\xff\x00."[..]).into()).unwrap();
    assert_eq!(&bytes[..], b"\xff\x00");
}

#[test]
fn sets_are_sequences() {
    for pickle in [
        &b"\x80\x04\x8f\x94(K\x01K\x02\x90."[..],
        b"\x80\x02c__builtin__\nset\n](K\x01K\x02e\x85R.",
    ] {
        let set: std::collections::BTreeSet<u8> = from_bytes(&Bytes::from_static(pickle)).unwrap();
        assert_eq!(set.into_iter().collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn strings_may_be_borrowed() {
    let value = Value::tuple([Value::text("text"), Value::bytes(&b"bytes"[..])]);
    let (text, bytes): (&str, &[u8]) = from_value(&value).unwrap();
    assert_eq!((text, bytes), ("text", &b"bytes"[..]));
}

#[test]
fn what_is_no_plain_data_is_an_error_that_names_it() {
    let error = from_bytes::<String>(&(&b"cos\nsystem\n(S'true'\ntR."[..]).into()).unwrap_err();
    assert!(error.to_string().contains("os.system"), "{error}");
    let error = from_bytes::<(u8,)>(&(&b"\x80\x02K\x01K\x02\x86."[..]).into()).unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");
}

#[test]
fn a_tuple_of_another_length_than_it_said_is_an_error() {
    struct Wrong;
    impl Serialize for Wrong {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde::ser::SerializeTuple::end(serializer.serialize_tuple(2)?)
        }
    }
    let mut out = b"before".to_vec();
    let error = spinneret_pickle::to_writer(&mut out, &Wrong, Dialect::Python2).unwrap_err();
    assert!(matches!(error, EncodeError::Custom(_)));
    assert_eq!(out, b"before");
}

#[test]
fn a_value_among_plain_data_is_carried_whole() {
    // An object of a class of which nothing is known, twice.
    let object = b"\x80\x04\x8c\x01m\x8c\x01C\x93)\x81\x94}\x8c\x01aK\x01sbh\x00\x86.";
    let object = Value::read(&(&object[..]).into(), &Limits::default()).unwrap();
    let both = vec![(1, object.clone()), (2, object)];
    let pickle = Bytes::from(to_bytes(&both, Dialect::Python38).unwrap());
    for (_, value) in from_bytes::<Vec<(u8, Value)>>(&pickle).unwrap() {
        let items: Vec<_> = value.items().unwrap().collect();
        assert_eq!(items[0].identity(), items[1].identity());
        let View::Object(object) = items[0].view() else { panic!("{value:?}") };
        assert!(object.class().unwrap().is("m", "C"));
    }
}

#[test]
fn a_value_is_plain_data_for_other_formats() {
    let value = Value::dict([(Value::text("a"), Value::list([Value::int(1), Value::none()]))]);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r#"{"a":[1,null]}"#);
    let back: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(format!("{back:?}"), format!("{value:?}"));
    assert!(serde_json::to_string(&Value::global("os", "system")).is_err());
}

#[test]
fn what_contains_itself_is_an_error() {
    #[derive(Debug, Deserialize)]
    struct List(#[allow(dead_code)] Vec<List>);
    let error = from_bytes::<List>(&(&b"]q\x00h\x00a."[..]).into()).unwrap_err();
    assert_eq!(error, DecodeError::TooDeep);
}

/// Lists in lists of strings, as deep as they are.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Tree {
    Leaf(#[allow(dead_code)] String),
    List(#[allow(dead_code)] Vec<Tree>),
}

#[test]
fn what_would_become_huge_is_an_error() {
    // Each list has the one before ten times: 10 ** 9 strings from 300 bytes.
    let mut pickle = b"X\x01\x00\x00\x00aq\x00".to_vec();
    for level in 0..9_u8 {
        pickle.extend_from_slice(b"](");
        for _ in 0..10 {
            pickle.extend_from_slice(&[b'h', level]);
        }
        pickle.extend_from_slice(&[b'e', b'q', level + 1]);
    }
    pickle.push(b'.');
    let nested =
        from_bytes::<Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<Vec<String>>>>>>>>>>(&pickle.clone().into());
    assert_eq!(nested.unwrap_err(), DecodeError::TooLarge);
    assert_eq!(from_bytes::<Tree>(&pickle.into()).unwrap_err(), DecodeError::TooLarge);
}
