//! The manager, and the crawl it may be for, as JSON, for the page and for scripts.

use std::time::SystemTime;

use serde::Serialize;
use spinneret::manager::{ConnectionInfo, ConnectionKind};

use super::history::History;
use super::metrics::unix_seconds;
use super::{Figures, Watched};
use crate::numbers::Numbers;

/// How many connections and workers are listed; there may be thousands.
const LISTED: usize = 200;

/// All of it.
#[derive(Serialize)]
pub struct State {
    version: &'static str,
    /// Where the manager listens.
    address: String,
    /// Unix time in seconds; another one means another manager, whose samples count anew.
    started: f64,
    /// Seconds since then.
    uptime: f64,
    /// The number of the last sample, for the next `since`.
    sample: u64,
    /// Null: the manager is not a crawl's.
    crawl: Option<Figures>,
    queues: Vec<Queue>,
    connections: Listed<Connection>,
    workers: Listed<Worker>,
}

#[derive(Serialize)]
struct Queue {
    #[serde(flatten)]
    numbers: Numbers,
    /// Over the last seconds.
    puts_per_second: f32,
    delivered_per_second: f32,
    history: Samples,
}

/// The last samples, one a second, oldest first; the last of each is that of [`State::sample`].
#[derive(Default, Serialize)]
struct Samples {
    queued: Vec<u64>,
    puts: Vec<f32>,
    delivered: Vec<f32>,
}

/// The first of something, and how many there are.
#[derive(Serialize)]
struct Listed<T> {
    total: usize,
    first: Vec<T>,
}

impl<T> Listed<T> {
    fn new<S>(all: Vec<S>, show: impl FnMut(S) -> T) -> Self {
        Self { total: all.len(), first: all.into_iter().take(LISTED).map(show).collect() }
    }
}

#[derive(Serialize)]
struct Connection {
    address: String,
    name: String,
    kind: &'static str,
    version: String,
    encrypted: bool,
    leases: usize,
}

/// A worker of cluster pools.
#[derive(Serialize)]
struct Worker {
    name: String,
    address: String,
    host: String,
    pid: u32,
    /// How many tasks it may run at once, runs now, and has ended.
    slots: u32,
    running: u32,
    tasks: u64,
}

/// The state now, with samples whose numbers are above `since`.
pub fn state(watched: &Watched, since: u64) -> State {
    let history = watched.history.lock();
    let queues = watched.manager.queues().into_iter().map(|(name, stats)| {
        let (puts, delivered) = history.rates(&name);
        Queue {
            puts_per_second: tenths(puts),
            delivered_per_second: tenths(delivered),
            history: samples(&history, &name, since),
            numbers: Numbers::new(name, &stats),
        }
    });
    State {
        version: env!("CARGO_PKG_VERSION"),
        address: watched.manager.local_addr().to_string(),
        started: unix_seconds(watched.started),
        uptime: SystemTime::now()
            .duration_since(watched.started)
            .map_or(0.0, |up| up.as_secs_f64()),
        sample: history.last(),
        crawl: watched.crawl.as_ref().map(|crawl| crawl.borrow().clone()),
        queues: queues.collect(),
        connections: Listed::new(watched.manager.connections(), |connection| {
            let (kind, version) = kind(&connection);
            Connection {
                address: connection.address.to_string(),
                kind,
                version,
                encrypted: connection.encrypted,
                leases: connection.leases,
                name: connection.name,
            }
        }),
        workers: Listed::new(watched.manager.workers(), |worker| Worker {
            address: worker.address.to_string(),
            slots: worker.slots,
            running: worker.running,
            tasks: worker.tasks,
            pid: worker.pid,
            name: worker.name,
            host: worker.host,
        }),
    }
}

fn samples(history: &History, queue: &str, since: u64) -> Samples {
    let mut samples = Samples::default();
    for sample in history.samples(queue, since) {
        samples.queued.push(sample.queued);
        samples.puts.push(tenths(sample.puts));
        samples.delivered.push(tenths(sample.delivered));
    }
    samples
}

/// Rounded, to be short.
fn tenths(rate: f32) -> f32 {
    (rate * 10.0).round() / 10.0
}

/// Which protocol a peer speaks, and which version of it.
pub fn kind(connection: &ConnectionInfo) -> (&'static str, String) {
    match connection.kind {
        ConnectionKind::Spinneret { version } => ("spinneret", version.to_string()),
        ConnectionKind::Python { protocol } => ("python", format!("pickle {protocol}")),
        // A kind that came later than this page.
        _ => ("other", String::new()),
    }
}
