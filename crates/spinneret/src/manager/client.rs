//! The client: a program's connection to a manager elsewhere.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    authkey::AuthKey,
    error::ManagerError,
    items,
    link::Link,
    queue::Queue,
    remote::Remote,
    runtime::{background, block_on},
    store::{QueueOptions, QueueStats},
    wire::{Name, Reply, Request},
};

/// A connection to a manager, shared by its clones and by the queues made from it.
///
/// It ends when the last of them is dropped, or breaks; leases held over it then go back. It does
/// not connect again by itself: calls fail with [`ManagerError::Disconnected`] from then on.
///
/// Blocking calls may be made on any thread. A client made by [`connect`](Self::connect) is served
/// by threads of spinneret's own; one made by [`connect_async`](Self::connect_async) is served by
/// the runtime it was made on, so that blocking that runtime's only thread would wait for ever.
#[derive(Clone)]
pub struct Client {
    link: Link,
    address: Arc<str>,
}

impl Client {
    /// Connects to the manager at `HOST:PORT`. Takes up to 10 seconds.
    ///
    /// # Errors
    /// If the address names no host, nothing listens there or it cannot be reached, the keys
    /// differ, or what answers is no manager of this version.
    pub fn connect(address: impl fmt::Display, key: &AuthKey) -> Result<Self, ManagerError> {
        Self::connect_as(address, key, "")
    }

    /// Async twin of [`connect`](Self::connect), for the current tokio runtime, which must have
    /// I/O and time enabled.
    pub async fn connect_async(
        address: impl fmt::Display,
        key: &AuthKey,
    ) -> Result<Self, ManagerError> {
        Self::connect_as_async(address, key, "").await
    }

    /// Connects under a name that the manager lists among its connections.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_as(
        address: impl fmt::Display,
        key: &AuthKey,
        name: &str,
    ) -> Result<Self, ManagerError> {
        let (address, key, name) = (address.to_string(), key.clone(), name.to_owned());
        let connected =
            background()?.spawn(async move { Self::connect_as_async(address, &key, &name).await });
        block_on(connected).map_err(|error| ManagerError::Runtime(error.to_string()))?
    }

    /// Async twin of [`connect_as`](Self::connect_as).
    pub async fn connect_as_async(
        address: impl fmt::Display,
        key: &AuthKey,
        name: &str,
    ) -> Result<Self, ManagerError> {
        let address = address.to_string();
        let remote = Remote::connect(&address, key, name.to_owned()).await?;
        Ok(Self { link: Link::Remote(Arc::new(remote)), address: address.into() })
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A queue of the manager. Does not ask it: if there is no such queue, the first use says so.
    pub fn queue<T>(&self, name: &str) -> Queue<T>
    where
        T: Serialize + DeserializeOwned,
    {
        Queue::new(self.link.clone(), Name::sought(name))
    }

    /// Adds a queue to the manager, or does nothing if it is there with the same options.
    ///
    /// # Errors
    /// If it is there with others, the name is empty or longer than 255 bytes, or the manager
    /// cannot be asked.
    pub fn register(&self, name: &str, options: QueueOptions) -> Result<(), ManagerError> {
        block_on(self.register_async(name, options))
    }

    /// Async twin of [`register`](Self::register).
    pub async fn register_async(
        &self,
        name: &str,
        options: QueueOptions,
    ) -> Result<(), ManagerError> {
        self.link.call(Request::Register { queue: Name::new(name)?, options }).await.map(drop)
    }

    /// Sets a named value, for other clients to read.
    ///
    /// # Errors
    /// If the value cannot be written as a pickle or is too large, the name is bad, or the manager
    /// cannot be asked.
    pub fn set_value<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ManagerError> {
        block_on(self.set_value_async(name, value))
    }

    /// Async twin of [`set_value`](Self::set_value).
    pub async fn set_value_async<T: Serialize>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<(), ManagerError> {
        let (name, value) = (Name::new(name)?, items::encode(value)?);
        if value.len() > self.link.max_item() {
            return Err(ManagerError::TooLarge { size: value.len(), limit: self.link.max_item() });
        }
        self.link.call(Request::Set { name, value }).await.map(drop)
    }

    /// Reads a named value; `None` if there is none.
    ///
    /// # Errors
    /// If the value is no `T`, or the manager cannot be asked.
    pub fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ManagerError> {
        block_on(self.value_async(name))
    }

    /// Async twin of [`value`](Self::value).
    pub async fn value_async<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ManagerError> {
        let reply = self.link.call(Request::Get { name: Name::sought(name) }).await?;
        items::value(name, reply)
    }

    /// The manager's queues and their numbers, by name.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn queues(&self) -> Result<Vec<(String, QueueStats)>, ManagerError> {
        block_on(self.queues_async())
    }

    /// Async twin of [`queues`](Self::queues).
    pub async fn queues_async(&self) -> Result<Vec<(String, QueueStats)>, ManagerError> {
        let mut found: Vec<(Name, QueueStats)> = Vec::new();
        loop {
            let after = found.last().map(|(name, _)| name.clone());
            match self.link.call(Request::Queues { after }).await? {
                Reply::Queues(more) if more.is_empty() => break,
                Reply::Queues(more) => found.extend(more),
                other => return Err(items::unexpected(&other)),
            }
        }
        Ok(found.into_iter().map(|(name, stats)| (name.as_str().into(), stats)).collect())
    }

    /// Asks the manager and waits for its answer: shows that it is there.
    ///
    /// # Errors
    /// If it is not.
    pub fn ping(&self) -> Result<(), ManagerError> {
        block_on(self.ping_async())
    }

    /// Async twin of [`ping`](Self::ping).
    pub async fn ping_async(&self) -> Result<(), ManagerError> {
        self.link.call(Request::Ping).await.map(drop)
    }

    /// Asks the manager to end. Its program decides what to do about that.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn shutdown(&self) -> Result<(), ManagerError> {
        block_on(self.shutdown_async())
    }

    /// Async twin of [`shutdown`](Self::shutdown).
    pub async fn shutdown_async(&self) -> Result<(), ManagerError> {
        self.link.call(Request::Shutdown).await.map(drop)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}
