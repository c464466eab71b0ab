//! Types of Rust that have serde's traits, in the forms that the crate's documentation lists.

mod decode;
mod encode;
mod value;

pub use decode::{DecodeError, from_bytes, from_bytes_with, from_value};
pub use encode::{EncodeError, to_bytes, to_writer};
