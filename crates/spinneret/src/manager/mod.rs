//! Named queues with leases, served to processes on any machine.
//!
//! A [`Manager`] has queues and values with names; a [`Client`] uses them over the network, as
//! Python's `BaseManager` does. Whoever takes an item either has it for good ([`Queue::get`]), or
//! leases it ([`Queue::lease`]) and says when it is done. A lease that is not finished in time, or
//! whose connection breaks, goes back to the head of the queue; an item that was delivered too
//! often becomes a dead letter. So nothing is lost when a worker is killed, but an item may come
//! more than once.
//!
//! ```
//! use std::time::Duration;
//! use spinneret::manager::{AuthKey, Client, Manager, QueueOptions};
//!
//! let key = AuthKey::new("qiye");
//! let manager = Manager::builder()
//!     .listen("127.0.0.1:0")
//!     .authkey(key.clone())
//!     .register("tasks", QueueOptions::new().maxsize(100))
//!     .start()?;
//! let tasks = manager.queue::<String>("tasks")?;
//! tasks.put("http://example.org/".into())?;
//!
//! // In a worker, on any machine:
//! let client = Client::connect(manager.local_addr(), &key)?;
//! let task = client.queue::<String>("tasks").lease(Duration::from_secs(60))?;
//! assert_eq!(*task, "http://example.org/");
//! task.done()?;
//!
//! tasks.join()?;
//! manager.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Both ends prove that they have the same [`AuthKey`]; what they send then is not encrypted.
//! Items travel as pickles, which here are data only: reading one never runs anything.

mod authkey;
mod client;
mod error;
mod handshake;
mod hub;
mod items;
mod lease;
mod link;
mod queue;
mod remote;
mod runtime;
mod server;
mod session;
mod shared;
mod store;
mod stream;
mod wire;

pub use authkey::AuthKey;
pub use client::Client;
pub use error::{GetError, KeyError, ManagerError, PutError, Undecodable};
pub use hub::ConnectionInfo;
pub use lease::{Lease, LeaseToken};
pub use queue::{DeadLetter, Queue};
pub use server::{Manager, ManagerBuilder};
pub use store::{QueueOptions, QueueStats};

/// Reads bytes as each of the messages, and as items; for the fuzz target `messages`.
#[cfg(fuzzing)]
pub(crate) fn read_anything(bytes: bytes::Bytes) {
    let _ = handshake::Hello::read(&bytes);
    let _ = handshake::ServerHello::read(&bytes, wire::VERSION);
    let _ = items::decode::<(u64, Option<String>, Vec<u8>)>(&bytes);
    let _ = wire::read_request(bytes.clone());
    let _ = wire::read_reply(bytes);
}
