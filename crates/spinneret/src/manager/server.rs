//! The manager: what it is built from, and its listening.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use super::{
    authkey::AuthKey,
    error::ManagerError,
    hub::{ConnectionInfo, Hub},
    items,
    link::Link,
    queue::Queue,
    runtime::{background, block_on},
    session::{self, Limits},
    store::{QueueOptions, QueueStats},
    wire::{DEFAULT_MAX_FRAME, Name, Reply, Request, SMALLEST_MAX_FRAME},
};

/// Where a manager listens unless told otherwise: on this machine only.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8001";
/// How long to leave off accepting when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(100);

/// What a manager is to be; made by [`Manager::builder`].
#[derive(Debug)]
pub struct ManagerBuilder {
    address: String,
    key: Option<AuthKey>,
    queues: Vec<(String, QueueOptions)>,
    max_frame: usize,
    handshake_timeout: Duration,
    silence_timeout: Duration,
    max_unauthenticated: usize,
}

impl ManagerBuilder {
    /// The address to listen on, `HOST:PORT`; port 0 picks a free one. By default
    /// `127.0.0.1:8001`, which only programs on this machine can reach.
    #[must_use]
    pub fn listen(mut self, address: impl fmt::Display) -> Self {
        self.address = address.to_string();
        self
    }

    /// The key that clients must have.
    #[must_use]
    pub fn authkey(mut self, key: AuthKey) -> Self {
        self.key = Some(key);
        self
    }

    /// A queue that is there from the start.
    #[must_use]
    pub fn register(mut self, name: impl Into<String>, options: QueueOptions) -> Self {
        self.queues.push((name.into(), options));
        self
    }

    /// The longest frame that is read from a client that has the key, in bytes: 256 MiB by
    /// default, 16 KiB at least and 4 GiB at most. An item can be 2 KiB smaller than that.
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes.clamp(SMALLEST_MAX_FRAME, u32::MAX as usize);
        self
    }

    /// How long a client may take to prove that it has the key: 5 seconds by default.
    #[must_use]
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// After how long without a byte a client is taken for dead, and its leases go back: 30
    /// seconds by default. Clients without other work send a byte six times as often.
    #[must_use]
    pub fn silence_timeout(mut self, time: Duration) -> Self {
        self.silence_timeout = time;
        self
    }

    /// How many connections may be in the handshake at a time: 128 by default. Others wait.
    #[must_use]
    pub fn max_unauthenticated(mut self, connections: usize) -> Self {
        self.max_unauthenticated = connections.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Starts the manager on threads of spinneret's own, for programs without a runtime.
    ///
    /// # Errors
    /// If the address cannot be listened on, there is no key, or a queue's name is bad or
    /// registered twice with different options.
    pub fn start(self) -> Result<Manager, ManagerError> {
        let started = background()?.spawn(self.start_async());
        block_on(started).map_err(|error| ManagerError::Runtime(error.to_string()))?
    }

    /// Starts the manager on the current tokio runtime, which must have I/O and time enabled.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_async(self) -> Result<Manager, ManagerError> {
        let key = self.key.ok_or(ManagerError::MissingKey)?;
        let hub = Arc::new(Hub::new(self.max_frame));
        for (name, options) in self.queues {
            done(hub.call_now(0, Request::Register { queue: Name::new(&name)?, options }))?;
        }
        let cannot_listen = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => {
                ManagerError::AddressInUse { address: self.address.clone() }
            }
            _ => ManagerError::CannotListen { address: self.address.clone(), source },
        };
        let listener = TcpListener::bind(&self.address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let limits = Arc::new(Limits {
            key,
            max_frame: self.max_frame,
            handshake: self.handshake_timeout,
            silence: self.silence_timeout,
        });
        let stop = watch::Sender::new(false);
        let server = Server {
            hub: Arc::clone(&hub),
            limits,
            unproven: Arc::new(Semaphore::new(self.max_unauthenticated)),
            stop: stop.subscribe(),
        };
        let serving = tokio::spawn(server.run(listener));
        Ok(Manager { hub, address, stop, serving: Mutex::new(Some(serving)) })
    }
}

/// A server of named queues, Python's `BaseManager`.
///
/// It serves until [`shutdown`](Self::shutdown), or until it is dropped.
pub struct Manager {
    hub: Arc<Hub>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    /// Taken by the first shutdown.
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Manager {
    /// What a manager can be built from.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder {
            address: DEFAULT_ADDRESS.into(),
            key: None,
            queues: Vec::new(),
            max_frame: DEFAULT_MAX_FRAME,
            handshake_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(30),
            max_unauthenticated: 128,
        }
    }

    /// The address that the manager listens on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Adds a queue, or does nothing if it is there with the same options.
    ///
    /// # Errors
    /// If it is there with others, or the name is empty or longer than 255 bytes.
    pub fn register(&self, name: &str, options: QueueOptions) -> Result<(), ManagerError> {
        done(self.hub.call_now(0, Request::Register { queue: Name::new(name)?, options }))
    }

    /// A queue of this manager, used without the network.
    ///
    /// # Errors
    /// If there is no queue of that name.
    pub fn queue<T>(&self, name: &str) -> Result<Queue<T>, ManagerError>
    where
        T: Serialize + DeserializeOwned,
    {
        let name = Name::sought(name);
        match self.hub.call_now(0, Request::Stats { queue: name.clone() }) {
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Ok(Queue::new(Link::local(&self.hub), name)),
        }
    }

    /// Sets a named value, for clients to read.
    ///
    /// # Errors
    /// If the value cannot be written as a pickle or is too large, or the name is bad.
    pub fn set_value<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ManagerError> {
        let value = items::encode(value)?;
        done(self.hub.call_now(0, Request::Set { name: Name::new(name)?, value }))
    }

    /// Reads a named value; `None` if there is none.
    ///
    /// # Errors
    /// If the value is no `T`.
    pub fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ManagerError> {
        items::value(name, self.hub.call_now(0, Request::Get { name: Name::sought(name) }))
    }

    /// The queues and their numbers, by name.
    pub fn queues(&self) -> Vec<(String, QueueStats)> {
        let mut found: Vec<(Name, QueueStats)> = Vec::new();
        loop {
            let after = found.last().map(|(name, _)| name.clone());
            match self.hub.call_now(0, Request::Queues { after }) {
                Reply::Queues(more) if !more.is_empty() => found.extend(more),
                _ => break,
            }
        }
        found.into_iter().map(|(name, stats)| (name.as_str().into(), stats)).collect()
    }

    /// The clients that are connected now.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.hub.connections()
    }

    /// Waits until a client asks for the manager's end. It goes on serving until it is shut down.
    pub async fn wait_shutdown_async(&self) {
        self.hub.shutdown_asked().await;
    }

    /// Blocking twin of [`wait_shutdown_async`](Self::wait_shutdown_async).
    pub fn wait_shutdown(&self) {
        block_on(self.wait_shutdown_async());
    }

    /// Ends the manager: stops listening, tells whoever waits, sends what is unsent and closes all
    /// connections. Takes a few seconds at most. Items that are queued are gone.
    pub async fn shutdown_async(&self) {
        self.hub.stop();
        self.stop.send_replace(true);
        let serving = self.serving.lock().take();
        if let Some(serving) = serving
            && let Err(error) = serving.await
            && error.is_panic()
        {
            tracing::error!(%error, "the manager's listening ended badly");
        }
    }

    /// Blocking twin of [`shutdown_async`](Self::shutdown_async). Not for the only thread of the
    /// runtime that the manager was started on: there it would wait for itself.
    pub fn shutdown(&self) {
        block_on(self.shutdown_async());
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.hub.stop();
        self.stop.send_replace(true);
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("address", &self.address).finish_non_exhaustive()
    }
}

fn done(reply: Reply) -> Result<(), ManagerError> {
    match reply {
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// What runs while a manager serves.
struct Server {
    hub: Arc<Hub>,
    limits: Arc<Limits>,
    /// One permit per connection that has not proven that it has the key.
    unproven: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.accept(&listener, &mut connections) => {}
            () = self.hub.reap() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        drop(listener);
        // Each sees the same sign, and ends within a bounded time.
        while connections.join_next().await.is_some() {}
    }

    async fn accept(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        // The semaphore is never closed.
        while let Ok(permit) = Arc::clone(&self.unproven).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, address)) => {
                    prepare(&stream);
                    connections.spawn(session::serve(
                        Arc::clone(&self.hub),
                        Arc::clone(&self.limits),
                        stream,
                        address,
                        permit,
                        self.stop.clone(),
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

/// Many frames are small and answered one by one: waiting to fill packets only delays them.
pub(crate) fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}
