//! Single values that programs share: [`SharedValue`], [`SharedArray`] and [`Namespace`].

use std::{marker::PhantomData, ops::Range};

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::{ArrayData, ExceptionKind, Value, ValueRef, View};

use super::{
    list::slice,
    proxy::{Proxy, kind},
    twins::twins,
    values::{from_value, to_value},
};
use crate::manager::error::ManagerError;

/// A value that programs share: Python's `Value` of a manager.
///
/// Reading and setting are two steps: whoever counts takes a [`Lock`](super::Lock) around them.
pub struct SharedValue<T> {
    pub(super) proxy: Proxy,
    // Neither owns the value nor lends it.
    items: PhantomData<fn() -> (T,)>,
}

/// Numbers of one type that programs share: Python's `Array` of a manager.
pub struct SharedArray<T> {
    pub(super) proxy: Proxy,
    // Neither owns items nor lends them.
    items: PhantomData<fn() -> (T,)>,
}

/// Values with names that programs share: Python's `Namespace` of a manager.
pub struct Namespace {
    pub(super) proxy: Proxy,
}

impl<T: Serialize + DeserializeOwned> SharedValue<T> {
    twins! {
        /// The value.
        ///
        /// # Errors
        /// If it is no `T`, or the manager cannot be asked.
        get / get_async(self) -> T {
            from_value("get", &self.proxy.ask("get", vec![]).await?)
        }

        /// Sets the value.
        ///
        /// # Errors
        /// If it cannot be written, or the manager cannot be asked.
        set / set_async(self, value: &T) -> () {
            self.proxy.ask("set", vec![to_value(value)?]).await.map(drop)
        }
    }
}

impl<T: Serialize + DeserializeOwned> SharedArray<T> {
    twins! {
        /// How many items there are; that never changes.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        len / len_async(self) -> usize {
            from_value("__len__", &self.proxy.ask("__len__", vec![]).await?)
        }

        /// The item at an index, which counts from the end if it is negative; `None` if there is
        /// none.
        ///
        /// # Errors
        /// If the item is no `T`, or the manager cannot be asked.
        get / get_async(self, index: i64) -> Option<T> {
            match self.proxy.ask("__getitem__", vec![Value::int(index)]).await {
                Ok(item) => from_value("__getitem__", &item).map(Some),
                Err(error) if error.raised(&ExceptionKind::IndexError) => Ok(None),
                Err(error) => Err(error),
            }
        }

        /// Sets the item at an index.
        ///
        /// # Errors
        /// In [`ManagerError::Remote`] an `IndexError` if there is no such index, an `OverflowError`
        /// or `TypeError` if the array's type has no such value; others if the manager cannot be
        /// asked.
        set / set_async(self, index: i64, item: &T) -> () {
            let args = vec![Value::int(index), to_value(item)?];
            self.proxy.ask("__setitem__", args).await.map(drop)
        }

        /// The items in a range of indices, as far as they are there.
        ///
        /// # Errors
        /// If an item is no `T`, or the manager cannot be asked.
        slice / slice_async(self, range: Range<usize>) -> Vec<T> {
            array_items("__getitem__", &self.proxy.ask("__getitem__", vec![slice(&range)]).await?)
        }

        /// All items.
        ///
        /// # Errors
        /// If an item is no `T`, or the manager cannot be asked.
        to_vec / to_vec_async(self) -> Vec<T> {
            self.slice_async(0..usize::MAX).await
        }
    }
}

impl Namespace {
    twins! {
        /// The value of a name, if it has one. Names with a leading underscore are Python's own.
        ///
        /// # Errors
        /// If the value is no `T`, or the manager cannot be asked.
        get / get_async[T: DeserializeOwned](self, name: &str) -> Option<T> {
            match self.proxy.ask("__getattribute__", vec![Value::native(name)]).await {
                Ok(value) => from_value(name, &value).map(Some),
                Err(error) if error.raised(&ExceptionKind::AttributeError) => Ok(None),
                Err(error) => Err(error),
            }
        }

        /// Sets the value of a name.
        ///
        /// # Errors
        /// If it cannot be written, or the manager cannot be asked.
        set / set_async(self, name: &str, value: impl Serialize) -> () {
            let args = vec![Value::native(name), to_value(&value)?];
            self.proxy.ask("__setattr__", args).await.map(drop)
        }

        /// Removes a name; false if it had no value.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        remove / remove_async(self, name: &str) -> bool {
            match self.proxy.ask("__delattr__", vec![Value::native(name)]).await {
                Ok(_) => Ok(true),
                Err(error) if error.raised(&ExceptionKind::AttributeError) => Ok(false),
                Err(error) => Err(error),
            }
        }
    }
}

/// The items of an `array.array`.
fn array_items<T: DeserializeOwned>(method: &str, value: &Value) -> Result<Vec<T>, ManagerError> {
    let View::Array(array) = value.view() else {
        return from_value(method, value);
    };
    let items: Vec<Value> = match array.data {
        ArrayData::Items(items) => items.map(ValueRef::to_value).collect(),
        ArrayData::Native(bytes) => numbers(array.typecode, bytes).ok_or_else(|| {
            ManagerError::Protocol(format!("it sent an array of type `{}`", array.typecode))
        })?,
        _ => return Err(ManagerError::Protocol("it sent an array in an odd format".into())),
    };
    from_value(method, &Value::list(items))
}

/// Numbers as they lie in the memory of a 64-bit Linux machine.
fn numbers(typecode: char, bytes: &[u8]) -> Option<Vec<Value>> {
    /// Each word of so many bytes as the number that it is.
    macro_rules! words {
        ($type:ty, $number:expr) => {{
            let (words, rest) = bytes.as_chunks::<{ size_of::<$type>() }>();
            let number = |word: &[u8; _]| $number(<$type>::from_le_bytes(*word));
            rest.is_empty().then(|| words.iter().map(number).collect())
        }};
    }
    match typecode {
        'b' => words!(i8, |number| Value::int(i64::from(number))),
        'B' => words!(u8, |number| Value::int(i64::from(number))),
        'h' => words!(i16, |number| Value::int(i64::from(number))),
        'H' => words!(u16, |number| Value::int(i64::from(number))),
        'i' => words!(i32, |number| Value::int(i64::from(number))),
        'I' => words!(u32, |number| Value::int(i64::from(number))),
        'l' | 'q' => words!(i64, Value::int),
        'L' | 'Q' => words!(u64, |number: u64| Value::long(&i128::from(number).to_le_bytes())),
        'f' => words!(f32, |number| Value::float(f64::from(number))),
        'd' => words!(f64, Value::float),
        _ => None,
    }
}

kind!(SharedValue<T>);
kind!(SharedArray<T>);
kind!(Namespace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_are_read_from_memory() {
        let of = |typecode, bytes: &[u8]| -> Vec<i64> {
            numbers(typecode, bytes).unwrap().iter().map(|item| item.as_i64().unwrap()).collect()
        };
        assert_eq!(of('b', &[255, 1]), [-1, 1]);
        assert_eq!(of('B', &[255, 1]), [255, 1]);
        assert_eq!(of('h', &[254, 255]), [-2]);
        assert_eq!(of('H', &[254, 255]), [65534]);
        assert_eq!(of('i', &[255; 4]), [-1]);
        assert_eq!(of('I', &[255; 4]), [i64::from(u32::MAX)]);
        assert_eq!(of('l', &[255; 16]), [-1, -1]);
        assert_eq!(of('Q', &[1, 0, 0, 0, 0, 0, 0, 0]), [1]);
        let floats = numbers('d', &2.5_f64.to_le_bytes()).unwrap();
        assert_eq!(floats[0].as_f64(), Some(2.5));
        assert!(numbers('i', &[1, 2, 3]).is_none() && numbers('u', &[0; 4]).is_none());
    }
}
