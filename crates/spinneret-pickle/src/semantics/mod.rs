//! What Python's operators make of values: `==`, `hash()`, `<`, `sorted()`, `repr()`, iteration,
//! indices and slices, without Python.
//!
//! Values of Python 2.7 and of Python 3 meet here, so there is one notion of what is equal, that of
//! Python 3 for what it has: `1 == 1.0 == True`, text is never equal to `bytes`, and a `str` of
//! Python 2.7 is text if it is ASCII, else bytes. That is also how 2.7 compares its own strings.
//! Where the versions differ in what can be seen, a [`Dialect`](crate::Dialect) says whose way is wanted.
//!
//! Objects of classes that exist only in Python are equal if they are built in the same way from
//! equal parts; they can be hashed, but they have no order.
//!
//! ```
//! use spinneret_pickle::{Dialect, Value, semantics};
//!
//! let values = Value::list([Value::int(1), Value::text("it's"), Value::float(1e16)]);
//! assert_eq!(semantics::repr(values.as_ref(), Dialect::Python38), r#"[1, "it's", 1e+16]"#);
//! assert_eq!(semantics::repr(values.as_ref(), Dialect::Python2), r#"[1, u"it's", 1e+16]"#);
//! assert!(semantics::equal(Value::int(1).as_ref(), Value::bool(true).as_ref()));
//! ```

mod array;
mod equal;
mod hash;
mod number;
mod order;
mod quote;
mod repr;
mod sequence;
mod sort;

pub use array::array_items;
pub use equal::equal;
pub use hash::Key;
pub use order::less;
pub use quote::code_point;
pub use repr::repr;
pub use sequence::{Span, bound, index, iterate, length, slice, truth, type_name};
pub use sort::sort;

use crate::{Exception, ExceptionKind};

pub(crate) fn type_error(text: String) -> Exception {
    Exception::with_message(ExceptionKind::TypeError, text)
}

#[cfg(test)]
mod tests;
