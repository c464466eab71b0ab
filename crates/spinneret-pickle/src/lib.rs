//! Python's pickles as data: read without running anything, written for Python 2.7 to 3.13.
//!
//! - [`Value`]: any object of Python. What it is tells [`View`]; objects of classes that exist only
//!   in Python are carried as they are and written again, sharing and cycles included.
//! - [`Dialect`]: for which Python a pickle is written.
//! - [`to_bytes`] and [`from_bytes`]: types of Rust that have serde's traits.
//! - [`Exception`]: exceptions of Python with their classes told apart.
//! - [`semantics`]: what Python itself would say of a value: `==`, order, `repr`.
//!
//! A pickle is a program for a small machine, and Python runs it, calls of any function included.
//! Here the machine runs symbolically: each step is noted as data, and written again as a program
//! that makes an equal object. So nothing is ever called, and nothing has to be known of a class.
//!
//! ```
//! use spinneret_pickle::{Dialect, Limits, Value, View};
//!
//! // An object of a class that only some Python program has: C(), with its attribute `me` itself.
//! let pickle = b"\x80\x04\x8c\x03app\x8c\x01C\x93)\x81\x94}\x8c\x02meh\x00sb.";
//! let value = Value::read(&pickle[..].into(), &Limits::default())?;
//! let View::Object(object) = value.view() else { panic!("an object") };
//! assert_eq!(object.class().unwrap().to_string(), "app.C");
//! let View::Dict(attributes) = object.state().unwrap().view() else { panic!("a dict") };
//! assert_eq!(attributes.get("me").unwrap().identity(), value.as_ref().identity());
//!
//! // The same for Python 2.7.
//! let written = value.write(Dialect::Python2)?;
//! assert_eq!(written, b"\x80\x02capp\nC\n)\x81q\x00}X\x02\0\0\0meh\x00sb.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What whoever reads may rely on
//!
//! The bytes may come from anybody. What is read takes memory in proportion to the pickle and to
//! what it claims to be never; [`Limits`] bounds it further. Nothing here recurses with the depth of a
//! value: reading, writing, copying, dropping. What asks for something that is not in the pickle
//! (persistent ids, the extension registry, buffers beside it) is refused with a typed error.
//!
//! # From one Python to another
//!
//! | | for Python 2.7 | for Python 3 |
//! | --- | --- | --- |
//! | `str` of Python 2.7 | itself | text if it is ASCII, else `bytes` |
//! | `unicode` of 2.7, `str` of 3 | `unicode` | `str` |
//! | `bytes` of Python 3 | `str` | itself |
//! | `int` beyond 64 bits | `long` | `int` |
//! | names of the standard library | those of Python 2 | those of Python 3 |
//! | sets before 3.4 | made of lists | before 3.8, made of lists |
//! | nested classes | by `getattr` | before 3.8, by `getattr` |
//!
//! What fails then fails by nature: a class that the other Python does not have, or an object made
//! with keyword arguments in Python 2.7.
//!
//! # Types of Rust
//!
//! | Rust | Python |
//! | --- | --- |
//! | `bool`, integers up to 128 bits, floats | `bool`, `int`, `float` |
//! | `str`, `String`, `char` | `str` (2.7: `unicode`) |
//! | bytes of `serde_bytes` and the like | `bytes` (2.7: `str`) |
//! | `()`, unit structs, `None` | `None` |
//! | `Some(x)`, newtype structs | as `x` |
//! | sequences; tuples and tuple structs | `list`; `tuple` |
//! | maps; structs | `dict`; `dict` with the fields' names as keys |
//! | unit variants of enums | their name as a `str` |
//! | other variants | a `dict` of one item, name to content: the one value, a `list` of several, a `dict` of fields |
//! | [`Value`] | whatever it is |
//!
//! It is read likewise, and more: a sequence from any of `list`, `tuple`, `set` and `frozenset`; text from
//! 8-bit strings of Python 2.7 that are UTF-8, which are bytes otherwise; an enum also from a tuple of
//! name and content.

#![forbid(unsafe_code)]
#![allow(clippy::similar_names, reason = "`stop` and `step` are what Python calls them")]

mod debug;
mod detach;
mod dialect;
mod error;
mod exception;
mod graph;
mod int;
mod items;
mod names;
mod object;
mod opcode;
mod read;
mod replace;
mod resolve;
pub mod semantics;
mod serde_impl;
mod value;
mod view;
mod write;

pub use dialect::Dialect;
pub use error::{Limits, ReadError, WriteError};
pub use exception::{Exception, ExceptionKind};
pub use int::Int;
pub use items::{Items, Pairs};
pub use object::{Array, ArrayData, Change, Creation, Global, Object};
pub use serde_impl::{
    DecodeError, EncodeError, from_bytes, from_bytes_with, from_value, to_bytes, to_writer,
};
pub use value::Value;
pub use view::{Identity, Text, ValueRef, View};

/// The README, whose example is tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
