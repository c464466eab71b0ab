//! A map that programs share: [`Dict`].

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::{ExceptionKind, Value};

use super::{
    proxy::{Proxy, kind},
    twins::twins,
    values::{from_value, to_value},
};
use crate::manager::error::ManagerError;

/// A map from `K` to `V` that programs share: Python's `dict` of a manager.
///
/// A key must be something that Python can hash: a number, text, bytes, a tuple of such. Each call
/// is one step for all who use the map.
///
/// ```
/// use spinneret::manager::{AuthKey, Client, Manager};
///
/// let key = AuthKey::new("qiye");
/// let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
/// let client = Client::connect(manager.local_addr(), &key)?;
/// let ages = client.new_dict::<String, u32>(&[])?;
/// ages.insert(&"ada".into(), &36)?;
/// assert_eq!(ages.get(&"ada".into())?, Some(36));
/// assert_eq!(ages.get(&"bob".into())?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Dict<K, V> {
    pub(super) proxy: Proxy,
    // Neither owns items nor lends them.
    items: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Dict<K, V>
where
    K: Serialize + DeserializeOwned,
    V: Serialize + DeserializeOwned,
{
    twins! {
        /// How many entries there are.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        len / len_async(self) -> usize {
            from_value("__len__", &self.proxy.ask("__len__", vec![]).await?)
        }

        /// The value of a key, if there is one.
        ///
        /// # Errors
        /// If the value is no `V`, the key cannot be written or hashed, or the manager cannot be
        /// asked.
        get / get_async(self, key: &K) -> Option<V> {
            self.found("__getitem__", vec![to_value(key)?]).await
        }

        /// Sets the value of a key.
        ///
        /// # Errors
        /// If key or value cannot be written, the key cannot be hashed, or the manager cannot be
        /// asked.
        insert / insert_async(self, key: &K, value: &V) -> () {
            let args = vec![to_value(key)?, to_value(value)?];
            self.proxy.ask("__setitem__", args).await.map(drop)
        }

        /// Sets the values of several keys.
        ///
        /// # Errors
        /// As [`insert`](Self::insert).
        extend / extend_async(self, entries: &[(K, V)]) -> () {
            self.proxy.ask("update", vec![pairs(entries)?]).await.map(drop)
        }

        /// The value of a key, which is this one from now on if there was none.
        ///
        /// # Errors
        /// As [`insert`](Self::insert), and if the value is no `V`.
        get_or_insert / get_or_insert_async(self, key: &K, value: &V) -> V {
            let args = vec![to_value(key)?, to_value(value)?];
            from_value("setdefault", &self.proxy.ask("setdefault", args).await?)
        }

        /// Takes the value of a key out, if there is one.
        ///
        /// # Errors
        /// As [`get`](Self::get); a value that is no `V` is gone.
        remove / remove_async(self, key: &K) -> Option<V> {
            self.found("pop", vec![to_value(key)?]).await
        }

        /// Takes an entry out, in Python 3 the newest; `None` if there are none.
        ///
        /// # Errors
        /// If the entry is no `(K, V)` (and gone), or the manager cannot be asked.
        pop / pop_async(self) -> Option<(K, V)> {
            self.found("popitem", vec![]).await
        }

        /// Whether there is such a key.
        ///
        /// # Errors
        /// If the key cannot be written or hashed, or the manager cannot be asked.
        contains_key / contains_key_async(self, key: &K) -> bool {
            let found = self.proxy.ask("__contains__", vec![to_value(key)?]).await?;
            from_value("__contains__", &found)
        }

        /// All keys, in the order of their insertion (since Python 3.6).
        ///
        /// # Errors
        /// If a key is no `K`, or the manager cannot be asked.
        keys / keys_async(self) -> Vec<K> {
            from_value("keys", &self.proxy.ask("keys", vec![]).await?)
        }

        /// All values, in the order of their keys.
        ///
        /// # Errors
        /// If a value is no `V`, or the manager cannot be asked.
        values / values_async(self) -> Vec<V> {
            from_value("values", &self.proxy.ask("values", vec![]).await?)
        }

        /// All entries, in the order of their keys.
        ///
        /// # Errors
        /// If an entry is no `(K, V)`, or the manager cannot be asked.
        to_vec / to_vec_async(self) -> Vec<(K, V)> {
            from_value("items", &self.proxy.ask("items", vec![]).await?)
        }

        /// Removes all entries.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        clear / clear_async(self) -> () {
            self.proxy.ask("clear", vec![]).await.map(drop)
        }
    }

    /// What belongs to a key that may not be there.
    async fn found<T: DeserializeOwned>(
        &self,
        method: &str,
        args: Vec<Value>,
    ) -> Result<Option<T>, ManagerError> {
        match self.proxy.ask(method, args).await {
            Ok(value) => from_value(method, &value).map(Some),
            Err(error) if error.raised(&ExceptionKind::KeyError) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Entries as a `dict`.
pub(crate) fn pairs<K: Serialize, V: Serialize>(entries: &[(K, V)]) -> Result<Value, ManagerError> {
    let mut pairs = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        pairs.push((to_value(key)?, to_value(value)?));
    }
    Ok(Value::dict(pairs))
}

kind!(Dict<K, V>);
