//! What a manager promises to the programs that use it, over real connections.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test, as it should")]

mod callers;
mod durable;
mod examples;
mod hostile;
mod leases;
mod peers;
mod programs;
mod queues;
mod raw;
#[cfg(unix)]
mod silent;
mod tls;

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use spinneret::manager::{AuthKey, Client, Manager, ManagerBuilder, Queue, QueueOptions};
use tokio::runtime::Runtime;

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_secs(30);
/// For a lease that must not come back by its deadline.
const HOLD: Duration = Duration::from_hours(1);

fn key() -> AuthKey {
    AuthKey::new("qiye")
}

fn builder() -> ManagerBuilder {
    Manager::builder().listen("127.0.0.1:0").authkey(key())
}

/// A manager with one queue `q`.
fn manager(options: QueueOptions) -> Manager {
    builder().register("q", options).start().unwrap()
}

fn client(manager: &Manager) -> Client {
    Client::connect(manager.local_addr(), &key()).unwrap()
}

fn queue<T: Serialize + DeserializeOwned>(manager: &Manager) -> Queue<T> {
    client(manager).queue("q")
}

/// Waits until something is so, which it must become.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it never came about that {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A client whose process can be killed: it has a runtime of its own.
struct Mortal {
    runtime: Runtime,
    client: Client,
}

impl Mortal {
    fn connect(manager: &Manager) -> Self {
        let runtime = Runtime::new().unwrap();
        let address = manager.local_addr();
        let client = runtime.block_on(Client::connect_async(address, &key())).unwrap();
        Self { runtime, client }
    }

    fn queue(&self) -> Queue<String> {
        self.client.queue("q")
    }

    /// Closes the socket without a word.
    fn kill(self) {
        self.runtime.shutdown_background();
    }
}
