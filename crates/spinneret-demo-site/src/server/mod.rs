//! A small HTTP/1.1 server over raw sockets: half of what it must do is to misbehave, which a
//! server library rightly forbids.

mod connection;
mod reply;
mod traps;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::DemoSite;
pub use traps::TRAPS;
pub(crate) use traps::Trap;

/// How a site is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Waited before each response, as a far server would.
    pub latency: Duration,
    /// Whether there is a `robots.txt`; without one, everything is allowed.
    pub robots: bool,
}

impl Default for ServeOptions {
    /// No latency, with `robots.txt`.
    fn default() -> Self {
        Self { latency: Duration::ZERO, robots: true }
    }
}

/// One request, as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The path and query asked for, as the client wrote them.
    pub target: String,
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// When its header was complete.
    pub at: Instant,
    /// The `User-Agent`, if it sent one.
    pub user_agent: Option<String>,
}

/// A running server. Dropping it stops the server at once.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    accepting: JoinHandle<()>,
}

/// What all connections of one server share.
#[derive(Debug)]
struct Shared {
    site: DemoSite,
    options: ServeOptions,
    address: SocketAddr,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    hits: Vec<Hit>,
    counts: BTreeMap<String, u64>,
    connections: u64,
    running: usize,
    peak: usize,
}

impl Shared {
    /// The log stays whole whatever panicked while it was held: each change is one step.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; returns how many there were for this target, this one included.
    fn record(&self, hit: Hit) -> u64 {
        let mut log = self.log();
        let count = log.counts.entry(hit.target.clone()).or_default();
        *count += 1;
        let count = *count;
        log.hits.push(hit);
        count
    }
}

/// Counts a request as running until it is dropped, however the connection ends.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut log = shared.log();
        log.running += 1;
        log.peak = log.peak.max(log.running);
        drop(log);
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.log().running -= 1;
    }
}

/// Serves `site` on `listener` in a task of the current runtime.
///
/// # Panics
///
/// Outside a tokio runtime with input and output and time enabled.
pub async fn serve(listener: TcpListener, site: DemoSite, options: ServeOptions) -> ServerHandle {
    let address = listener.local_addr().expect("a bound listener knows its address");
    let shared = Arc::new(Shared { site, options, address, log: Mutex::default() });
    let (stop, stopped) = oneshot::channel();
    let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
    ServerHandle { address, shared, stop: Some(stop), accepting }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    // Dropping the set, here or when this task is aborted, ends every connection.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, _)) = accepted {
            shared.log().connections += 1;
            connections.spawn(connection::converse(stream, Arc::clone(&shared)));
        } else {
            // Out of file descriptors, most likely: others will end and free some.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    drop(listener);
    connections.shutdown().await;
}

impl ServerHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The address of a page or image: `http://HOST:PORT` and the given path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often each path with its query was asked for, whatever the answer was.
    pub fn hits(&self) -> BTreeMap<String, u64> {
        self.shared.log().counts.clone()
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Hit> {
        self.shared.log().hits.clone()
    }

    /// Every `User-Agent` that was seen.
    pub fn user_agents(&self) -> BTreeSet<String> {
        let log = self.shared.log();
        log.hits.iter().filter_map(|hit| hit.user_agent.clone()).collect()
    }

    /// The most requests that were being answered at the same time.
    pub fn max_concurrent(&self) -> usize {
        self.shared.log().peak
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.log().connections
    }

    /// Stops accepting, closes every connection and waits until that is done.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the task has ended already.
            let _ = stop.send(());
        }
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
