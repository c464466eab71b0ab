//! [`Value`] among types that have serde's traits: between this crate's own two ends it is carried as
//! it is, opaque objects and cycles included; to and from others as plain data.
//!
//! serde knows no such type, so the two sides agree on the name of a newtype struct and pass the
//! value beside serde, in a slot of the thread.

use std::{cell::Cell, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::Error as _,
};

use crate::{Value, ValueRef, View};

/// The agreed name.
const NAME: &str = "$spinneret_pickle::Value";

/// Containers inside one another for other formats, since writing them recurses.
const MAX_DEPTH: usize = 128;

thread_local! {
    /// The value that is being passed.
    static PASSED: Cell<Option<Value>> = const { Cell::new(None) };
}

/// The value that goes by that name, if it is one.
pub(super) fn take(name: &'static str) -> Option<Value> {
    if name == NAME { PASSED.take() } else { None }
}

/// Passes the value if it is asked for by that name.
pub(super) fn offer(name: &'static str, value: ValueRef<'_>) -> bool {
    if name == NAME {
        PASSED.set(Some(value.to_value()));
    }
    name == NAME
}

impl Serialize for Value {
    /// To anything but a pickle only plain data can be written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PASSED.set(Some(self.clone()));
        let written = serializer.serialize_newtype_struct(NAME, &Plain(self.as_ref(), MAX_DEPTH));
        PASSED.take();
        written
    }
}

/// For other formats, and how much deeper it may go.
struct Plain<'a>(ValueRef<'a>, usize);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let depth = self.1.checked_sub(1).ok_or_else(|| S::Error::custom("it is too deep"))?;
        let plain = |value| Plain(value, depth);
        match self.0.view() {
            View::None => serializer.serialize_unit(),
            View::Bool(value) => serializer.serialize_bool(value),
            View::Int(value) => match (value.as_i64(), value.as_u128(), value.as_i128()) {
                (Some(value), ..) => serializer.serialize_i64(value),
                (_, Some(value), _) => match u64::try_from(value) {
                    Ok(value) => serializer.serialize_u64(value),
                    Err(_) => serializer.serialize_u128(value),
                },
                (.., Some(value)) => serializer.serialize_i128(value),
                _ => Err(S::Error::custom("an integer has more than 128 bits")),
            },
            View::Float(value) => serializer.serialize_f64(value),
            View::Text(text) => match text.as_str() {
                Some(text) => serializer.serialize_str(text),
                None => Err(S::Error::custom("text has lone surrogates")),
            },
            View::Str2(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_bytes(bytes),
            },
            View::Bytes(bytes) | View::ByteArray(bytes) => serializer.serialize_bytes(&bytes),
            View::Tuple(items) | View::List(items) | View::Set(items) | View::FrozenSet(items) => {
                serializer.collect_seq(items.map(plain))
            }
            View::Dict(pairs) => {
                serializer.collect_map(pairs.map(|(key, value)| (plain(key), plain(value))))
            }
            _ => Err(S::Error::custom("it is no plain data")),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PASSED.take();
        deserializer.deserialize_newtype_struct(NAME, Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of Python")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(PASSED.take().unwrap_or(Value::none()))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::none())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, content: D) -> Result<Value, D::Error> {
        content.deserialize_any(self)
    }

    fn visit_some<D: Deserializer<'de>>(self, content: D) -> Result<Value, D::Error> {
        content.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::int(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::long(&value.to_le_bytes()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Value::int(value)),
            Err(_) => Ok(Value::long(&u128::from(value).to_le_bytes())),
        }
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        let mut bytes = [0; 17];
        bytes[..16].copy_from_slice(&value.to_le_bytes());
        Ok(Value::long(&bytes))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::bytes(Bytes::copy_from_slice(value)))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::bytes(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::list(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = items.next_entry()? {
            pairs.push(pair);
        }
        Ok(Value::dict(pairs))
    }
}
