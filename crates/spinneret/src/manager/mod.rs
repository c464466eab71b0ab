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
//! A manager is also where [`ClusterPool`](crate::ClusterPool)s meet the workers that run their tasks:
//! programs that called [`worker`]`(address).serve()`.
//!
//! Both ends prove that they have the same [`AuthKey`]. What they send then is encrypted only with
//! [TLS](tls), which any network but the machine's own calls for.
//! Items travel as pickles, which here are data only: reading one never runs anything.
//!
//! # Python
//! Programs of Python 2.7 and 3.6 to 3.13 use a manager as they would use Python's own, unchanged:
//!
//! ```python
//! from multiprocessing.managers import BaseManager
//!
//! class Queues(BaseManager):
//!     pass
//!
//! Queues.register('tasks')
//! manager = Queues(address=('127.0.0.1', 8001), authkey=b'qiye')
//! manager.connect()
//! tasks = manager.tasks()
//! tasks.put('http://example.org/')
//! ```
//!
//! They find the manager's queues and [exposed objects](exposed) by their names, and can make
//! whatever a `SyncManager` makes but a `Pool`, which would run their code in the manager. Each
//! is answered in the pickles of its own version, so that all of them share a queue, also with
//! programs in Rust: text is text everywhere; bytes of Python 3 are `str` in 2.7, and a `str` of
//! 2.7 is text in Python 3 if it is ASCII and else bytes. Objects of classes that only they know
//! pass through as they are.
//!
//! What is otherwise than with Python's own server:
//! - A client that dies in a blocking `get()` takes no item with it, and the locks that it holds are
//!   free again. (There, the next item goes to the dead client, and a lock stays locked; an `RLock`
//!   may even pass for the next client's that connects.) With
//!   [`python_leases`](ManagerBuilder::python_leases), not even one that dies at work loses an item.
//! - `Barrier(action=...)` and `list.sort(key=...)` are refused, since they are the client's code.
//! - Python before 3.12 proves its key by MD5, which is taken from clients on the same machine only,
//!   unless [`allow_md5`](ManagerBuilder::allow_md5) is given.
//! - Proxies can be put into queues, lists and `dict`s whatever address the client came by.

mod alarm;
mod authkey;
mod client;
mod cluster;
mod courier;
#[cfg(unix)]
mod direct;
mod durable;
mod error;
pub mod exposed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handshake;
mod hub;
mod items;
mod lease;
mod linger;
pub(crate) mod link;
mod outbox;
mod python;
mod queue;
mod remote;
pub(crate) mod runtime;
mod server;
mod session;
mod shared;
mod store;
mod strangers;
mod stream;
pub mod tls;
pub(crate) mod wire;

pub(crate) use items::unexpected;

/// Objects of a manager, ours or Python's own, as types of Rust.
pub mod proxy {
    #[doc(inline)]
    pub use super::python::client::*;
}
/// Values of Python and its exceptions.
#[doc(inline)]
pub use spinneret_pickle as pickle;

pub use authkey::AuthKey;
pub use client::{Client, ClientBuilder};
pub use cluster::{ClusterStats, Worker, WorkerBuilder, WorkerInfo, WorkerSummary, worker};
pub use durable::DataError;
pub use error::{GetError, KeyError, ManagerError, PutError, Undecodable};
pub use exposed::Exposed;
pub use hub::{ConnectionInfo, ConnectionKind};
pub use lease::{Lease, LeaseToken};
pub use queue::{DeadLetter, Queue, Waiting};
pub use server::{Manager, ManagerBuilder};
pub use store::{PutOptions, QueueOptions, QueueStats};
pub use tls::{TlsClient, TlsError, TlsServer};

/// Reads bytes as each of the messages, and as items; for the fuzz target `messages`.
#[cfg(all(any(test, fuzzing), shared_memory))]
pub(crate) fn read_anything(bytes: bytes::Bytes) {
    let _ = handshake::Hello::read(&bytes);
    let _ = handshake::ServerHello::read(&bytes, wire::VERSION);
    let _ = items::decode::<(u64, Option<String>, Vec<u8>)>(&bytes);
    python::fuzz::read_anything(bytes.clone());
    let _ = wire::read_request(bytes.clone());
    let _ = wire::read_reply(bytes);
}
