//! The manager: what it is built from, and its listening.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet, spawn_blocking},
};

use super::{
    authkey::AuthKey,
    cluster::{ClusterStats, WorkerInfo},
    durable::DataFolder,
    error::ManagerError,
    exposed::{self, Exposed},
    hub::{ConnectionInfo, Hub},
    items,
    link::Link,
    python,
    queue::Queue,
    runtime::{background, block_on},
    session::{self, Limits},
    store::{QueueOptions, QueueStats},
    strangers::Strangers,
    stream::prepare,
    tls::{Policy, TlsServer},
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
    objects: Vec<(String, exposed::Registered)>,
    max_frame: usize,
    handshake_timeout: Duration,
    silence_timeout: Duration,
    max_unauthenticated: usize,
    allow_md5: bool,
    python_leases: Option<python::Leasing>,
    tls: Option<TlsServer>,
    allow_plaintext: bool,
    data: Option<PathBuf>,
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

    /// An object of this program's own that is there from the start; see [`exposed`].
    #[must_use]
    pub fn register_object(mut self, name: impl Into<String>, object: impl Exposed) -> Self {
        self.objects.push((name.into(), exposed::Registered::new(object)));
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

    /// How many connections may be in the handshake at a time: 512 by default. One more closes the
    /// oldest of the address that has the most of them.
    #[must_use]
    pub fn max_unauthenticated(mut self, connections: usize) -> Self {
        self.max_unauthenticated = connections.max(1);
        self
    }

    /// Speaks TLS with clients that do. Those on other machines must, unless
    /// [`allow_plaintext`](Self::allow_plaintext) says otherwise.
    #[must_use]
    pub fn tls(mut self, tls: TlsServer) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Lets clients on other machines do without TLS though there is some: Python's, for instance.
    /// Whoever is on the way can then read what they send, and change it.
    #[must_use]
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// Lets clients on other machines prove that they have the key by HMAC-MD5, which is all that
    /// Python before 3.12 can do. Clients on this machine always may.
    #[must_use]
    pub fn allow_md5(mut self, allow: bool) -> Self {
        self.allow_md5 = allow;
        self
    }

    /// Makes a Python client's `get()` from a queue of the manager a lease: the item is done with
    /// its `task_done()` on the same thread, and goes back to the queue if the thread's connection
    /// ends before, or after `hold` if that is given.
    ///
    /// Without it, Python's items are gone once they were got, and `task_done()` only counts.
    #[must_use]
    pub fn python_leases(mut self, hold: Option<Duration>) -> Self {
        self.python_leases = Some(python::Leasing { hold });
        self
    }

    /// Keeps queues and named values in this folder, which is made if it is not there: what was
    /// acknowledged survives the manager's end, however it ends, and a power loss. A queue can be
    /// left out by [`QueueOptions::memory_only`].
    ///
    /// All queues that are in the folder are there again when the manager starts, with what they
    /// had. Items that somebody held are back in their places; if that was their last delivery
    /// they are dead letters, `manager ended`. A queue that is then registered with other options
    /// than before takes the new ones; after that first time they have to agree, as ever.
    ///
    /// Everything stays in memory too, so that only writing gets slower.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Starts the manager on threads of spinneret's own, for programs without a runtime.
    ///
    /// # Errors
    /// If the address cannot be listened on, there is no key, a file for TLS or the data folder
    /// cannot be used, or a queue's name is bad or registered twice with different options.
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
        let tls = Policy {
            tls: self.tls.as_ref().map(TlsServer::load).transpose()?,
            allow_plaintext: self.allow_plaintext,
        };
        let hub = Arc::new(match self.data {
            None => Hub::new(self.max_frame),
            Some(folder) => {
                let opening = spawn_blocking(move || DataFolder::open(&folder)).await;
                let (data, found) =
                    opening.map_err(|error| ManagerError::Runtime(error.to_string()))??;
                Hub::durable(self.max_frame, data, found)
            }
        });
        for (name, options) in self.queues {
            done(hub.call(0, Request::Register { queue: Name::new(&name)?, options }).await)?;
        }
        let cannot_listen = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => {
                ManagerError::AddressInUse { address: self.address.clone() }
            }
            _ => ManagerError::CannotListen { address: self.address.clone(), source },
        };
        let listener = TcpListener::bind(&self.address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        if !address.ip().to_canonical().is_loopback() {
            warn_of_plaintext(address, &tls);
        }
        let python =
            Arc::new(python::Server::new(&hub, address, self.max_frame, self.python_leases));
        for (name, object) in self.objects {
            python.register(&Name::new(&name)?, object.0)?;
        }
        let limits = Arc::new(Limits {
            key,
            python: Arc::clone(&python),
            allow_md5: self.allow_md5,
            max_frame: self.max_frame,
            handshake: self.handshake_timeout,
            silence: self.silence_timeout,
            tls,
        });
        let stop = watch::Sender::new(false);
        let server = Server {
            hub: Arc::clone(&hub),
            limits,
            strangers: Strangers::new(self.max_unauthenticated),
            stop: stop.subscribe(),
        };
        let serving = tokio::spawn(server.run(listener));
        Ok(Manager { hub, python, address, stop, serving: Mutex::new(Some(serving)) })
    }
}

/// A server of named queues, Python's `BaseManager`.
///
/// It serves until [`shutdown`](Self::shutdown), or until it is dropped.
pub struct Manager {
    hub: Arc<Hub>,
    python: Arc<python::Server>,
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
            objects: Vec::new(),
            max_frame: DEFAULT_MAX_FRAME,
            handshake_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(30),
            max_unauthenticated: 512,
            allow_md5: false,
            python_leases: None,
            tls: None,
            allow_plaintext: false,
            data: None,
        }
    }

    /// The address that the manager listens on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Adds a queue, or does nothing if it is there with the same options.
    ///
    /// # Errors
    /// If it is there with others, the name is empty or longer than 255 bytes, or it cannot be
    /// stored.
    pub fn register(&self, name: &str, options: QueueOptions) -> Result<(), ManagerError> {
        let register = Request::Register { queue: Name::new(name)?, options };
        done(block_on(self.hub.call(0, register)))
    }

    /// Removes a queue and all that is in it. Whoever waits for it gets
    /// [`ManagerError::UnknownQueue`].
    ///
    /// # Errors
    /// If there is no queue of that name, or that cannot be stored: then it is back when the
    /// manager starts again.
    pub fn remove(&self, name: &str) -> Result<(), ManagerError> {
        done(block_on(self.hub.call(0, Request::Remove { queue: Name::sought(name) })))
    }

    /// Adds an object of this program's own, whose methods clients call by name; see [`exposed`].
    ///
    /// # Errors
    /// If a queue or another object has the name, or it is empty or longer than 255 bytes.
    pub fn register_object(&self, name: &str, object: impl Exposed) -> Result<(), ManagerError> {
        self.python.register(&Name::new(name)?, exposed::Registered::new(object).0)
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
    /// If the value cannot be written as a pickle, is too large or cannot be stored, or the name is
    /// bad.
    pub fn set_value<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ManagerError> {
        let value = items::encode(value)?;
        done(block_on(self.hub.call(0, Request::Set { name: Name::new(name)?, value })))
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

    /// The workers that serve tasks to [`ClusterPool`](crate::ClusterPool)s through this manager.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        self.cluster().workers
    }

    /// What the pools and workers of machines that use this manager do now.
    pub fn cluster(&self) -> ClusterStats {
        self.hub.cluster()
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
    /// connections. Takes a few seconds at most. Items that are queued are gone, unless the manager
    /// has a data folder, which is then closed.
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
        self.hub.close_data_async().await;
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
        // At once, so that another manager can have the folder.
        self.hub.close_data();
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
    strangers: Arc<Strangers>,
    stop: watch::Receiver<bool>,
}

impl Server {
    async fn run(self, listener: TcpListener) {
        // They end with this one, after the last connection.
        let mut helpers = JoinSet::new();
        let hub = Arc::clone(&self.hub);
        helpers.spawn(async move { hub.linger.run().await });
        if let Some(courier) = self.hub.courier().cloned() {
            helpers.spawn(async move { courier.run().await });
        }
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
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // So that what has ended costs nothing any more.
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, address)) => {
                    prepare(&stream);
                    let stranger = self.strangers.admit(address.ip());
                    let id = stranger.id();
                    let task = connections.spawn(session::serve(
                        Arc::clone(&self.hub),
                        Arc::clone(&self.limits),
                        stream,
                        address,
                        stranger,
                        self.stop.clone(),
                    ));
                    self.strangers.serve(id, task);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Mostly for want of descriptors: nobody needs one less than a stranger.
                    self.strangers.evict();
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// Says what others can see and do, once, before anything is sent.
fn warn_of_plaintext(address: SocketAddr, tls: &Policy) {
    const EXPOSED: &str = "whoever is on the way to a client can read all items and values, and \
                           put in or change some; the key itself never travels";
    match (&tls.tls, tls.allow_plaintext) {
        (None, _) => {
            tracing::warn!(%address, "listening beyond this machine without TLS: {EXPOSED}");
        }
        (Some(_), true) => {
            tracing::warn!(%address, "clients without TLS are allowed beyond this machine: {EXPOSED}");
        }
        (Some(_), false) => {}
    }
}
