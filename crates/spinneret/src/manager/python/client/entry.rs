//! What a [`Client`] makes and finds in its manager, of any kind.

use serde::{Serialize, de::DeserializeOwned};
use spinneret_pickle::Value;

use super::{
    cells::{Namespace, SharedArray, SharedValue},
    condition::{Barrier, Condition, Event},
    dict::{Dict, pairs},
    list::List,
    locks::{Lock, RLock, Semaphore},
    proxy::Proxy,
    queue::Queues,
    twins::twins,
    values::{arguments, count, to_value, to_values},
};
use crate::manager::{client::Client, error::ManagerError, link::Link, queue::Queue};

/// Objects of the kinds that Python's `SyncManager` has, and such as a program has registered.
///
/// They are the same on a manager of ours and on a Python server; the latter has them if it is a
/// `SyncManager` (`multiprocessing.Manager()`), while a bare `BaseManager` has only what its program
/// registers. An object lives as long as somebody has a proxy of it.
impl Client {
    twins! {
        /// An object that the manager's program registered under a name, made with those arguments
        /// (`()` for none): what `manager.name(...)` gives in Python.
        ///
        /// # Errors
        /// A `KeyError` in [`ManagerError::Remote`] if there is no such name; others if the
        /// arguments cannot be written or the manager cannot be asked.
        object / object_async(self, name: &str, args: impl Serialize) -> Proxy {
            let (positional, keywords) = arguments(&args)?;
            let made = self.python().create(name, positional, keywords).await;
            made.map(Proxy::new)
        }

        /// A new queue without a name, with room for so many items; 0 is no bound.
        ///
        /// It is one of Python's, on a manager of ours too: see [`Queue`] for what those lack.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_queue / new_queue_async[T: Serialize + DeserializeOwned](
            self, maxsize: usize
        ) -> Queue<T> {
            self.made("Queue", vec![count(maxsize)]).await.map(Into::into)
        }

        /// A new list of those items.
        ///
        /// # Errors
        /// If an item cannot be written or the manager cannot be asked.
        new_list / new_list_async[T: Serialize + DeserializeOwned](self, items: &[T]) -> List<T> {
            let items = Value::list(to_values(items)?);
            self.made("list", vec![items]).await.map(Into::into)
        }

        /// A new map of those entries.
        ///
        /// # Errors
        /// If an entry cannot be written, a key cannot be hashed, or the manager cannot be asked.
        new_dict / new_dict_async[
            K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned
        ](self, entries: &[(K, V)]) -> Dict<K, V> {
            self.made("dict", vec![pairs(entries)?]).await.map(Into::into)
        }

        /// A new lock.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_lock / new_lock_async(self) -> Lock {
            self.made("Lock", vec![]).await.map(Into::into)
        }

        /// A new lock that its holder may take again.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_rlock / new_rlock_async(self) -> RLock {
            self.made("RLock", vec![]).await.map(Into::into)
        }

        /// A new semaphore with so many permits, to which more may be added.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_semaphore / new_semaphore_async(self, permits: usize) -> Semaphore {
            self.made("Semaphore", vec![count(permits)]).await.map(Into::into)
        }

        /// A new semaphore with so many permits and never more.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_bounded_semaphore / new_bounded_semaphore_async(self, permits: usize) -> Semaphore {
            self.made("BoundedSemaphore", vec![count(permits)]).await.map(Into::into)
        }

        /// A new condition with a lock of its own.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_condition / new_condition_async(self) -> Condition {
            self.made("Condition", vec![]).await.map(Into::into)
        }

        /// A new condition with a lock that is there already: that of a [`Lock`] or [`RLock`] of
        /// this client's manager, by its `as_proxy()`. Several conditions may share one.
        ///
        /// Locking the condition locks it, and waiting unlocks it meanwhile. A guard of the lock
        /// itself excludes those of the condition as any other does.
        ///
        /// Servers of Python know their locks by the address, so connect to exactly the one that
        /// they have. One of Python 3 calls the lock over connections to itself: its process needs
        /// the manager's `authkey`, and it can wait and notify with a `Lock` only.
        ///
        /// # Errors
        /// A `TypeError` in [`ManagerError::Remote`] if it is no lock (Python finds that out when it
        /// is used); others if the manager cannot be asked.
        new_condition_with / new_condition_with_async(self, lock: &Proxy) -> Condition {
            self.made("Condition", vec![lock.to_value()]).await.map(Into::into)
        }

        /// A new event, which is not set.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_event / new_event_async(self) -> Event {
            self.made("Event", vec![]).await.map(Into::into)
        }

        /// A new barrier of so many parties.
        ///
        /// # Errors
        /// If the manager cannot be asked; Python 2.7 has no barriers.
        new_barrier / new_barrier_async(self, parties: usize) -> Barrier {
            self.made("Barrier", vec![count(parties)]).await.map(Into::into)
        }

        /// A new value. The typecode is one of Python's module `array`, such as `i` or `d`; it only
        /// tells people what is meant.
        ///
        /// # Errors
        /// If the value cannot be written or the manager cannot be asked.
        new_value / new_value_async[T: Serialize + DeserializeOwned](
            self, typecode: &str, value: &T
        ) -> SharedValue<T> {
            let args = vec![Value::native(typecode), to_value(value)?];
            self.made("Value", args).await.map(Into::into)
        }

        /// A new array of those numbers, kept as the typecode says, which is one of Python's module
        /// `array`: `b`, `h`, `i`, `l`, `q` for integers of 8, 16, 32, 64 and 64 bits, in upper case
        /// without a sign, `f` and `d` for floating-point numbers of 32 and 64 bits.
        ///
        /// # Errors
        /// If there is no such type, it has no such numbers, or the manager cannot be asked.
        new_array / new_array_async[T: Serialize + DeserializeOwned](
            self, typecode: &str, items: &[T]
        ) -> SharedArray<T> {
            let args = vec![Value::native(typecode), Value::list(to_values(items)?)];
            self.made("Array", args).await.map(Into::into)
        }

        /// A new namespace without names.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        new_namespace / new_namespace_async(self) -> Namespace {
            self.made("Namespace", vec![]).await.map(Into::into)
        }
    }

    async fn made(&self, typeid: &str, args: Vec<Value>) -> Result<Proxy, ManagerError> {
        self.python().create(typeid, args, vec![]).await.map(Proxy::new)
    }
}

/// The queue by Python's protocol, with what that lacks: see [`Queue`]. Does not ask the server: if it
/// is an object of another kind, the first use says so.
impl<T: Serialize + DeserializeOwned> From<Proxy> for Queue<T> {
    fn from(proxy: Proxy) -> Self {
        let (queues, name) = Queues::of(proxy);
        Self::new(Link::Python(queues), name)
    }
}
