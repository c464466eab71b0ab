//! The client: a program's connection to a manager elsewhere.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    authkey::AuthKey,
    error::ManagerError,
    items,
    link::Link,
    python::client::{Queues, Server},
    queue::Queue,
    remote::{Dial, Remote},
    runtime::{background, block_on},
    store::{QueueOptions, QueueStats},
    tls::TlsClient,
    wire::{Name, Reply, Request},
};

/// A connection to a manager, shared by its clones and by the queues made from it.
///
/// It ends when the last of them is dropped, or breaks; leases held over it then go back. It does
/// not connect again by itself: calls fail with [`ManagerError::Disconnected`] from then on.
///
/// Blocking calls may be made on any thread, and async ones in any runtime. A client made by
/// [`connect`](Self::connect) is best for blocking calls, which use its socket themselves; what else
/// there is to do for it, threads of spinneret's own do. One made by [`connect_async`](Self::connect_async) is served by
/// the runtime it was made on, so that blocking that runtime's only thread would wait for ever.
#[derive(Clone)]
pub struct Client {
    link: Link,
    /// The way to its objects, by Python's protocol.
    python: Arc<Server>,
    address: Arc<str>,
}

/// How to connect to a manager; made by [`Client::builder`].
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder {
    name: String,
    tls: Option<TlsClient>,
    allow_md5: bool,
}

impl ClientBuilder {
    /// A name that the manager lists among its connections.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Connects over TLS only.
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Whether a server on another machine may have the key proven by MD5, which is all that Python
    /// before 3.12 can do; by default only one on this machine may.
    #[must_use]
    pub fn allow_md5(mut self, allow: bool) -> Self {
        self.allow_md5 = allow;
        self
    }

    /// Connects to the manager at `HOST:PORT`, or to a server of Python. Takes up to 10 seconds.
    ///
    /// # Errors
    /// If the address names no host, nothing listens there or it cannot be reached, the keys
    /// differ, or what answers is no manager of this version. With TLS also if its files cannot be
    /// used, or one end does not trust the other's certificate.
    pub fn connect(
        self,
        address: impl fmt::Display,
        key: &AuthKey,
    ) -> Result<Client, ManagerError> {
        let (address, key) = (address.to_string(), key.clone());
        let connected = background()?.spawn(self.reach(address, key, true));
        block_on(connected).map_err(|error| ManagerError::Runtime(error.to_string()))?
    }

    /// Async twin of [`connect`](Self::connect), for the current tokio runtime, which must have
    /// I/O and time enabled.
    pub async fn connect_async(
        self,
        address: impl fmt::Display,
        key: &AuthKey,
    ) -> Result<Client, ManagerError> {
        // Connecting needs a lot of room once, which its caller's future need not keep.
        Box::pin(self.reach(address.to_string(), key.clone(), false)).await
    }

    async fn reach(
        self,
        address: String,
        key: AuthKey,
        blocking: bool,
    ) -> Result<Client, ManagerError> {
        let tls = self.tls.map(|tls| tls.load(&address)).transpose()?;
        let dial = Dial { key, name: self.name, tls, allow_md5: self.allow_md5, blocking };
        let address: Arc<str> = address.into();
        let remote = Remote::connect(&address, dial.clone()).await?;
        let (link, python) = if let Some(remote) = remote {
            let python = Server::ours(Arc::clone(&address), dial);
            (Link::Remote(Arc::new(remote)), python)
        } else {
            let python = Server::greet(Arc::clone(&address), dial).await?;
            (Link::Python(Queues::new(Arc::clone(&python))), python)
        };
        Ok(Client { link, python, address })
    }
}

impl Client {
    /// What a connection can be made with.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Connects to the manager at `HOST:PORT`, or to a server of Python there, such as a
    /// `BaseManager`: which of the two it is, the client finds out. Takes up to 10 seconds.
    ///
    /// # Errors
    /// If the address names no host, nothing listens there or it cannot be reached, the keys
    /// differ, or what answers is neither, or a manager of another version.
    pub fn connect(address: impl fmt::Display, key: &AuthKey) -> Result<Self, ManagerError> {
        Self::builder().connect(address, key)
    }

    /// Async twin of [`connect`](Self::connect), for the current tokio runtime, which must have
    /// I/O and time enabled.
    pub async fn connect_async(
        address: impl fmt::Display,
        key: &AuthKey,
    ) -> Result<Self, ManagerError> {
        Self::builder().connect_async(address, key).await
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
        Self::builder().name(name).connect(address, key)
    }

    /// Async twin of [`connect_as`](Self::connect_as).
    pub async fn connect_as_async(
        address: impl fmt::Display,
        key: &AuthKey,
        name: &str,
    ) -> Result<Self, ManagerError> {
        Self::builder().name(name).connect_async(address, key).await
    }

    /// Whether it is a server of Python that answers, and not a manager of ours.
    pub fn is_python(&self) -> bool {
        matches!(self.link, Link::Python(_))
    }

    pub(super) fn python(&self) -> &Arc<Server> {
        &self.python
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

    /// Removes a queue and all that is in it. Whoever waits for it gets
    /// [`ManagerError::UnknownQueue`].
    ///
    /// # Errors
    /// If there is no queue of that name, or its end cannot be stored (then it is back when the
    /// manager starts again), or the manager cannot be asked; [`ManagerError::Unsupported`] if it is
    /// a server of Python, whose queues are its program's.
    pub fn remove(&self, name: &str) -> Result<(), ManagerError> {
        block_on(self.remove_async(name))
    }

    /// Async twin of [`remove`](Self::remove).
    pub async fn remove_async(&self, name: &str) -> Result<(), ManagerError> {
        self.link.call(Request::Remove { queue: Name::sought(name) }).await.map(drop)
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

    /// Where its requests go.
    pub(crate) fn link(&self) -> &Link {
        &self.link
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
