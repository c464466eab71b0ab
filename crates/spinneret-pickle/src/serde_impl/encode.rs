//! Types of Rust as pickles.

use serde::{
    Serialize,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
        SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
    },
};
use thiserror::Error;

use super::value;
use crate::{
    Dialect, WriteError, opcode as op,
    write::{self, emit::Emit},
};

/// Why a value of Rust cannot be written as a pickle.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// That Python has nothing of the kind.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its `Serialize` failed.
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// Writes a value as a pickle, in the forms that [the crate](crate#types-of-rust) lists.
///
/// ```
/// use spinneret_pickle::{Dialect, to_bytes};
///
/// // pickle.loads(..) == ('url', 1.5)
/// let pickle = to_bytes(&("url", 1.5), Dialect::Python38).unwrap();
/// assert_eq!(pickle, b"\x80\x04\x8c\x03urlG\x3f\xf8\0\0\0\0\0\0\x86.");
/// ```
pub fn to_bytes<T: Serialize + ?Sized>(
    value: &T,
    dialect: Dialect,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    to_writer(&mut out, value, dialect)?;
    Ok(out)
}

/// Appends a value as a pickle. After an error, what was appended so far is gone again.
pub fn to_writer<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    value: &T,
    dialect: Dialect,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut emit = Emit::new(out, dialect);
    emit.begin();
    let encoded = value.serialize(&mut Encoder(&mut emit));
    emit.op(op::STOP);
    if encoded.is_err() {
        out.truncate(start);
    }
    encoded
}

struct Encoder<'a, 'o>(&'a mut Emit<'o>);

impl<'a, 'e, 'o> Encoder<'e, 'o> {
    /// Begins a container that is filled with `many`.
    fn container(&'a mut self, empty: u8, many: u8) -> Filling<'a, 'e, 'o> {
        self.0.op(empty);
        Filling { encoder: self, many, any: false, variant: false }
    }

    /// Begins a variant: a dict with its name.
    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.0.op(op::EMPTY_DICT);
        Ok(self.0.native(name.as_bytes())?)
    }
}

type Done = Result<(), EncodeError>;

impl<'a, 'e, 'o> Serializer for &'a mut Encoder<'e, 'o> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Filling<'a, 'e, 'o>;
    type SerializeTuple = Tuple<'a, 'e, 'o>;
    type SerializeTupleStruct = Tuple<'a, 'e, 'o>;
    type SerializeTupleVariant = Filling<'a, 'e, 'o>;
    type SerializeMap = Filling<'a, 'e, 'o>;
    type SerializeStruct = Filling<'a, 'e, 'o>;
    type SerializeStructVariant = Filling<'a, 'e, 'o>;

    fn serialize_bool(self, value: bool) -> Done {
        self.0.bool(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Done {
        self.0.int(value, false);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Done {
        match i64::try_from(value) {
            Ok(value) => self.0.int(value, false),
            Err(_) => self.0.long(&value.to_le_bytes())?,
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Done {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Done {
        self.serialize_i128(value.into())
    }

    fn serialize_u128(self, value: u128) -> Done {
        if let Ok(value) = i128::try_from(value) {
            self.serialize_i128(value)
        } else {
            // One byte more, or it would be negative.
            let mut bytes = [0; 17];
            bytes[..16].copy_from_slice(&value.to_le_bytes());
            Ok(self.0.long(&bytes)?)
        }
    }

    fn serialize_f32(self, value: f32) -> Done {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Done {
        self.0.float(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Done {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Done {
        Ok(self.0.text(value.as_bytes())?)
    }

    fn serialize_bytes(self, value: &[u8]) -> Done {
        Ok(self.0.bytes(value)?)
    }

    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.0.op(op::NONE);
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Done {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        Ok(self.0.native(variant.as_bytes())?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Done {
        match value::take(name) {
            Some(value) => Ok(write::embed(self.0, &value)?),
            None => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.0.op(op::SETITEM);
        Ok(())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Self::SerializeSeq, EncodeError> {
        Ok(self.container(op::EMPTY_LIST, op::APPENDS))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, EncodeError> {
        if len > 3 {
            self.0.op(op::MARK);
        }
        Ok(Tuple { encoder: self, len, count: 0 })
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, EncodeError> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, EncodeError> {
        self.variant(variant)?;
        Ok(Filling { variant: true, ..self.container(op::EMPTY_LIST, op::APPENDS) })
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Self::SerializeMap, EncodeError> {
        Ok(self.container(op::EMPTY_DICT, op::SETITEMS))
    }

    fn serialize_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, EncodeError> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, EncodeError> {
        self.variant(variant)?;
        Ok(Filling { variant: true, ..self.container(op::EMPTY_DICT, op::SETITEMS) })
    }
}

/// A list or dict that is being filled.
struct Filling<'a, 'e, 'o> {
    encoder: &'a mut Encoder<'e, 'o>,
    /// The opcode that puts everything into it.
    many: u8,
    /// Whether there is anything in it yet.
    any: bool,
    /// Whether it is the content of an enum's variant.
    variant: bool,
}

impl Filling<'_, '_, '_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        if !self.any {
            self.any = true;
            self.encoder.0.op(op::MARK);
        }
        item.serialize(&mut *self.encoder)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Done {
        if !self.any {
            self.any = true;
            self.encoder.0.op(op::MARK);
        }
        self.encoder.0.native(name.as_bytes())?;
        value.serialize(&mut *self.encoder)
    }

    // As serde's methods are.
    #[allow(clippy::unnecessary_wraps)]
    fn finish(self) -> Done {
        if self.any {
            self.encoder.0.op(self.many);
        }
        if self.variant {
            self.encoder.0.op(op::SETITEM);
        }
        Ok(())
    }
}

impl SerializeSeq for Filling<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.item(item)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeTupleVariant for Filling<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.item(item)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeMap for Filling<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.item(value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeStruct for Filling<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.field(name, value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

impl SerializeStructVariant for Filling<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.field(name, value)
    }

    fn end(self) -> Done {
        self.finish()
    }
}

/// A tuple whose elements are being written.
struct Tuple<'a, 'e, 'o> {
    encoder: &'a mut Encoder<'e, 'o>,
    /// How many there are to be.
    len: usize,
    /// How many there are so far.
    count: usize,
}

impl SerializeTuple for Tuple<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        self.count += 1;
        item.serialize(&mut *self.encoder)
    }

    fn end(self) -> Done {
        let Self { encoder, len, count } = self;
        if len != count {
            let what = format_args!("a tuple was to have {len} elements and has {count}");
            return Err(EncodeError::custom(what));
        }
        encoder.0.op(match len {
            0 => op::EMPTY_TUPLE,
            1 => op::TUPLE1,
            2 => op::TUPLE2,
            3 => op::TUPLE3,
            _ => op::TUPLE,
        });
        Ok(())
    }
}

impl SerializeTupleStruct for Tuple<'_, '_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        SerializeTuple::serialize_element(self, item)
    }

    fn end(self) -> Done {
        SerializeTuple::end(self)
    }
}
