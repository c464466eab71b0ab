//! Queues between processes.
//!
//! A [`Queue`] carries values from any process that has it to any other, through memory that they
//! share. It travels as an argument of a task or in a message; every copy is the same queue.
//!
//! ```
//! use spinneret::process::Queue;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = Queue::new(100)?;
//! queue.put("https://example.org/".to_owned())?;
//! assert_eq!(queue.len(), 1);
//! assert_eq!(queue.get()?, "https://example.org/");
//! # Ok(())
//! # }
//! ```
//!
//! # What a kill can do
//! Any process may be killed at any instant, `kill -9` included. What it had put is in the queue, in
//! whole or not at all; what it had got is its own; what it had [leased](Queue::lease) comes back.
//! Nobody else waits for it longer than a moment. `README.md` beside the source says why.
//!
//! Where processes cannot share memory (on other systems than Linux) a thread of the process that made
//! the queue keeps it, and the others reach it by a local socket. A kill does no more harm there, but
//! the queue ends with that process: then puts and gets fail with `Broken`, a `join` returns, and the
//! queue says that it is empty and closed.
//!
//! # Words
//! They are Python's (`multiprocessing.Queue`, `JoinableQueue`) with two differences: a queue is
//! always bounded, and an item is in the queue when `put` returns: no feeder thread can lose it.

#[cfg(shared_memory)]
mod asleep;
mod batch;
#[cfg(not(shared_memory))]
mod broker;
mod builder;
#[cfg(shared_memory)]
mod core;
mod error;
mod face;
#[cfg(all(shared_memory, any(test, fuzzing)))]
pub(crate) mod hostile;
#[cfg(shared_memory)]
mod large;
#[cfg(shared_memory)]
mod layout;
mod lease;
#[cfg(shared_memory)]
mod leases;
#[cfg(shared_memory)]
mod member;
#[cfg(shared_memory)]
mod record;
#[cfg(shared_memory)]
mod signal;
mod terms;
mod travel;
mod waiting;

#[cfg(not(shared_memory))]
use self::broker as backend;
#[cfg(shared_memory)]
use self::core as backend;

#[cfg(shared_memory)]
pub(crate) use self::batch::Batch;
pub use self::builder::Builder;
#[cfg(shared_memory)]
pub(crate) use self::core::{Core, Fault};
pub use self::error::{GetError, GetManyError, LeaseLost, PutError, QueueError, TooManyDone};
pub use self::face::Queue;
pub use self::lease::Lease;
#[cfg(shared_memory)]
pub(crate) use self::terms::{How, Options, Put, Take};

#[cfg(shared_memory)]
#[cfg(test)]
mod tests;
