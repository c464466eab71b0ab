//! Pickles as types of Rust.

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor, value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};
use thiserror::Error;

use super::value;
use crate::{Int, Items, Limits, Pairs, ReadError, Value, ValueRef, View};

/// How many containers may be inside one another: whatever reads them recurses.
const MAX_DEPTH: u32 = 128;

/// What comes out is at most this, or this many times the pickle.
const FREE_ROOM: usize = 64 << 20;
const ROOM_PER_BYTE: usize = 64;

/// What a value counts for, besides its bytes.
const VALUE_SIZE: usize = 16;

/// Why a pickle is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is none that can be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Too many containers are inside one another, as in a list that contains itself.
    #[error("it has more than {MAX_DEPTH} containers inside one another")]
    TooDeep,
    /// It refers to the same things so often that it would become huge.
    #[error("it would become huge: it refers to the same values too often")]
    TooLarge,
    /// It is of something else.
    #[error("{0}")]
    Custom(String),
}

impl serde::de::Error for DecodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// Reads a value from a pickle of any protocol with the limits that are the default.
///
/// ```
/// use spinneret_pickle::from_bytes;
///
/// // pickle.dumps({'depth': [1, 2]}, 2)
/// let pickle = b"\x80\x02}q\x00X\x05\x00\x00\x00depthq\x01]q\x02(K\x01K\x02es.";
/// let map: std::collections::HashMap<String, Vec<u32>> = from_bytes(&pickle[..].into()).unwrap();
/// assert_eq!(map["depth"], [1, 2]);
/// ```
///
/// What comes out takes at most 64 MiB or, if that is more, 64 times the size of the pickle, however
/// often it refers to the same values.
pub fn from_bytes<T: DeserializeOwned>(pickle: &Bytes) -> Result<T, DecodeError> {
    from_bytes_with(pickle, &Limits::default())
}

/// As [`from_bytes`], with other limits.
pub fn from_bytes_with<T: DeserializeOwned>(
    pickle: &Bytes,
    limits: &Limits,
) -> Result<T, DecodeError> {
    let value = Value::read(pickle, limits)?;
    decode(&value, pickle.len())
}

/// Reads a value from an object of Python, of which it may borrow strings.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, DecodeError> {
    decode(value, 0)
}

fn decode<'de, T: Deserialize<'de>>(value: &'de Value, size: usize) -> Result<T, DecodeError> {
    let room = Cell::new(FREE_ROOM.max(size.saturating_mul(ROOM_PER_BYTE)));
    T::deserialize(Decoder { value: value.as_ref(), depth: 0, room: &room })
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Decoder<'de, 'r> {
    value: ValueRef<'de>,
    /// How many containers it is in.
    depth: u32,
    /// How much may still come out.
    room: &'r Cell<usize>,
}

impl<'de, 'r> Decoder<'de, 'r> {
    fn take_room(self, bytes: usize) -> Result<(), DecodeError> {
        let left = self.room.get().checked_sub(bytes).ok_or(DecodeError::TooLarge)?;
        self.room.set(left);
        Ok(())
    }

    /// For what is in it.
    fn inside(self) -> Result<Inside<'r>, DecodeError> {
        if self.depth < MAX_DEPTH {
            Ok(Inside { depth: self.depth + 1, room: self.room })
        } else {
            Err(DecodeError::TooDeep)
        }
    }

    fn sequence<V: Visitor<'de>>(
        self,
        items: Items<'de>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut sequence = Sequence { items, inside: self.inside()? };
        let value = visitor.visit_seq(&mut sequence)?;
        match sequence.items.len() {
            0 => Ok(value),
            left => Err(DecodeError::custom(format_args!("it has {left} elements too many"))),
        }
    }
}

fn visit_int<'de, V: Visitor<'de>>(int: Int<'_>, visitor: V) -> Result<V::Value, DecodeError> {
    if let Some(value) = int.as_i64() {
        return visitor.visit_i64(value);
    }
    match (int.as_u128(), int.as_i128()) {
        (Some(value), _) => match u64::try_from(value) {
            Ok(value) => visitor.visit_u64(value),
            Err(_) => visitor.visit_u128(value),
        },
        (None, Some(value)) => visitor.visit_i128(value),
        (None, None) => {
            Err(DecodeError::invalid_value(Unexpected::Other("integer beyond 128 bits"), &visitor))
        }
    }
}

impl<'de> Deserializer<'de> for Decoder<'de, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.take_room(VALUE_SIZE)?;
        match self.value.view() {
            View::None => visitor.visit_unit(),
            View::Bool(value) => visitor.visit_bool(value),
            View::Int(value) => visit_int(value, visitor),
            View::Float(value) => visitor.visit_f64(value),
            View::Text(text) => {
                self.take_room(text.as_bytes().len())?;
                match text.as_str() {
                    Some(text) => visitor.visit_borrowed_str(text),
                    None => Err(unexpected("text with lone surrogates", &visitor)),
                }
            }
            View::Str2(bytes) => {
                self.take_room(bytes.len())?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            View::Bytes(bytes) | View::ByteArray(bytes) => {
                self.take_room(bytes.len())?;
                match bytes {
                    Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
                    Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
                }
            }
            View::Tuple(items) | View::List(items) | View::Set(items) | View::FrozenSet(items) => {
                self.sequence(items, visitor)
            }
            View::Dict(pairs) => {
                let mut map = Map { pairs, value: None, inside: self.inside()? };
                let value = visitor.visit_map(&mut map)?;
                match map.pairs.len() {
                    0 => Ok(value),
                    left => Err(DecodeError::custom(format_args!("it has {left} items too many"))),
                }
            }
            View::Object(object) => Err(match object.class() {
                Some(class) => unexpected(&format!("object of {class}"), &visitor),
                None => unexpected("object", &visitor),
            }),
            View::Complex { .. } => Err(unexpected("complex", &visitor)),
            View::Slice { .. } => Err(unexpected("slice", &visitor)),
            View::Range { .. } => Err(unexpected("range", &visitor)),
            View::Array(_) => Err(unexpected("array", &visitor)),
            View::Global(global) => Err(unexpected(&global.to_string(), &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.value.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if value::offer(name, self.value) {
            visitor.visit_unit()
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.take_room(VALUE_SIZE)?;
        let (name, content) = match self.value.view() {
            View::Text(_) | View::Str2(_) => (self.value, None),
            View::Dict(mut pairs) if pairs.len() == 1 => match pairs.next() {
                Some((name, content)) => (name, Some(content)),
                None => return self.deserialize_any(visitor),
            },
            View::Tuple(mut items) if items.len() == 1 || items.len() == 2 => match items.next() {
                Some(name) => (name, items.next()),
                None => return self.deserialize_any(visitor),
            },
            _ => return self.deserialize_any(visitor),
        };
        let Some(name) = name.as_str() else { return self.deserialize_any(visitor) };
        let Inside { depth, room } = self.inside()?;
        let content = content.map(|value| Decoder { value, depth, room });
        visitor.visit_enum(Variant { name, content })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

fn unexpected<'de, V: Visitor<'de>>(what: &str, visitor: &V) -> DecodeError {
    DecodeError::invalid_type(Unexpected::Other(what), visitor)
}

/// What goes on for what is in a container.
#[derive(Clone, Copy)]
struct Inside<'r> {
    depth: u32,
    room: &'r Cell<usize>,
}

impl Inside<'_> {
    fn read<'de, T: DeserializeSeed<'de>>(
        self,
        value: ValueRef<'de>,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(Decoder { value, depth: self.depth, room: self.room })
    }
}

struct Sequence<'de, 'r> {
    items: Items<'de>,
    inside: Inside<'r>,
}

impl<'de> SeqAccess<'de> for &mut Sequence<'de, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.items.next().map(|item| self.inside.read(item, seed)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Map<'de, 'r> {
    pairs: Pairs<'de>,
    /// Of the key that came last.
    value: Option<ValueRef<'de>>,
    inside: Inside<'r>,
}

impl<'de> MapAccess<'de> for &mut Map<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value);
        self.inside.read(key, seed).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        let value =
            self.value.take().ok_or_else(|| DecodeError::custom("a value without a key"))?;
        self.inside.read(value, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

/// A variant of an enum.
struct Variant<'de, 'r> {
    name: &'de str,
    content: Option<Decoder<'de, 'r>>,
}

impl<'de> EnumAccess<'de> for Variant<'de, '_> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self), DecodeError> {
        let name = seed.deserialize(BorrowedStrDeserializer::<DecodeError>::new(self.name))?;
        Ok((name, self))
    }
}

impl<'de, 'r> Variant<'de, 'r> {
    fn content(self) -> Result<Decoder<'de, 'r>, DecodeError> {
        let name = self.name;
        self.content.ok_or_else(|| {
            DecodeError::custom(format_args!("the variant {name} comes without its content"))
        })
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            Some(content) => Deserialize::deserialize(content),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.content()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.content()?.deserialize_any(visitor)
    }
}
