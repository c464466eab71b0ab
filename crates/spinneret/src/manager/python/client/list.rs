//! A list that programs share: [`List`].

use std::{marker::PhantomData, ops::Range};

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::{ExceptionKind, Value};

use super::{
    proxy::{Proxy, kind},
    twins::twins,
    values::{count, from_value, to_value, to_values},
};
use crate::manager::error::ManagerError;

/// A list of `T` that programs share: Python's `list` of a manager.
///
/// Indices count from the end if they are negative, as in Python. Each call is one step for all who
/// use the list; several are not, for that take a [`Lock`](super::Lock) around them.
///
/// ```
/// use spinneret::manager::{AuthKey, Client, Manager};
///
/// let key = AuthKey::new("qiye");
/// let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
/// let client = Client::connect(manager.local_addr(), &key)?;
/// let list = client.new_list(&["b".to_string(), "a".to_string()])?;
/// list.append(&"c".to_string())?;
/// list.sort()?;
/// assert_eq!(list.to_vec()?, ["a", "b", "c"]);
/// assert_eq!(list.get(-1)?, Some("c".to_string()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct List<T> {
    pub(super) proxy: Proxy,
    // Neither owns items nor lends them.
    items: PhantomData<fn() -> (T,)>,
}

impl<T: Serialize + DeserializeOwned> List<T> {
    twins! {
        /// How many items there are.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        len / len_async(self) -> usize {
            from_value("__len__", &self.proxy.ask("__len__", vec![]).await?)
        }

        /// The item at an index, if there is one.
        ///
        /// # Errors
        /// If the item is no `T`, or the manager cannot be asked.
        get / get_async(self, index: i64) -> Option<T> {
            self.found("__getitem__", vec![Value::int(index)]).await
        }

        /// The items in a range of indices, as far as they are there.
        ///
        /// # Errors
        /// If an item is no `T`, or the manager cannot be asked.
        slice / slice_async(self, range: Range<usize>) -> Vec<T> {
            let items = self.proxy.ask("__getitem__", vec![slice(&range)]).await?;
            from_value("__getitem__", &items)
        }

        /// All items.
        ///
        /// # Errors
        /// If an item is no `T`, or the manager cannot be asked.
        to_vec / to_vec_async(self) -> Vec<T> {
            from_value("#GETVALUE", &self.proxy.value().await?)
        }

        /// Puts another item at an index.
        ///
        /// # Errors
        /// An `IndexError` in [`ManagerError::Remote`] if there is no such index; others if the item
        /// cannot be written or the manager cannot be asked.
        set / set_async(self, index: i64, item: &T) -> () {
            let args = vec![Value::int(index), to_value(item)?];
            self.proxy.ask("__setitem__", args).await.map(drop)
        }

        /// Adds an item at the end.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        append / append_async(self, item: &T) -> () {
            self.proxy.ask("append", vec![to_value(item)?]).await.map(drop)
        }

        /// Adds items at the end.
        ///
        /// # Errors
        /// If an item cannot be written or the manager cannot be asked.
        extend / extend_async(self, items: &[T]) -> () {
            let items = Value::list(to_values(items)?);
            self.proxy.ask("extend", vec![items]).await.map(drop)
        }

        /// Puts an item before that at an index, or at the end if there is none.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        insert / insert_async(self, index: i64, item: &T) -> () {
            self.proxy.ask("insert", vec![Value::int(index), to_value(item)?]).await.map(drop)
        }

        /// Takes the last item, if there is one.
        ///
        /// # Errors
        /// If the item is no `T` (and gone), or the manager cannot be asked.
        pop / pop_async(self) -> Option<T> {
            self.found("pop", vec![]).await
        }

        /// Takes the item at an index, if there is one.
        ///
        /// # Errors
        /// As [`pop`](Self::pop).
        pop_at / pop_at_async(self, index: i64) -> Option<T> {
            self.found("pop", vec![Value::int(index)]).await
        }

        /// Removes the first item that equals this one; false if there is none.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        remove / remove_async(self, item: &T) -> bool {
            match self.proxy.ask("remove", vec![to_value(item)?]).await {
                Ok(_) => Ok(true),
                Err(error) if error.raised(&ExceptionKind::ValueError) => Ok(false),
                Err(error) => Err(error),
            }
        }

        /// Removes the items in a range of indices, as far as they are there.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        remove_range / remove_range_async(self, range: Range<usize>) -> () {
            self.proxy.ask("__delitem__", vec![slice(&range)]).await.map(drop)
        }

        /// Removes all items.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        clear / clear_async(self) -> () {
            self.remove_range_async(0..usize::MAX).await
        }

        /// Whether an item equals this one.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        contains / contains_async(self, item: &T) -> bool {
            let found = self.proxy.ask("__contains__", vec![to_value(item)?]).await?;
            from_value("__contains__", &found)
        }

        /// The index of the first item that equals this one.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        position / position_async(self, item: &T) -> Option<usize> {
            match self.proxy.ask("index", vec![to_value(item)?]).await {
                Ok(index) => from_value("index", &index).map(Some),
                Err(error) if error.raised(&ExceptionKind::ValueError) => Ok(None),
                Err(error) => Err(error),
            }
        }

        /// How many items equal this one.
        ///
        /// # Errors
        /// If the item cannot be written or the manager cannot be asked.
        count / count_async(self, item: &T) -> usize {
            from_value("count", &self.proxy.ask("count", vec![to_value(item)?]).await?)
        }

        /// Turns the order round.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        reverse / reverse_async(self) -> () {
            self.proxy.ask("reverse", vec![]).await.map(drop)
        }

        /// Sorts the items as Python does.
        ///
        /// # Errors
        /// A `TypeError` in [`ManagerError::Remote`] if they cannot be compared; others if the
        /// manager cannot be asked.
        sort / sort_async(self) -> () {
            self.proxy.ask("sort", vec![]).await.map(drop)
        }
    }

    /// What is at a place that may not be there.
    async fn found(&self, method: &str, args: Vec<Value>) -> Result<Option<T>, ManagerError> {
        match self.proxy.ask(method, args).await {
            Ok(item) => from_value(method, &item).map(Some),
            Err(error) if error.raised(&ExceptionKind::IndexError) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Python's `start:stop`.
pub(crate) fn slice(range: &Range<usize>) -> Value {
    let ends = [count(range.start), count(range.end), Value::none()];
    Value::reduce(Value::global("builtins", "slice"), ends)
}

kind!(List<T>);
