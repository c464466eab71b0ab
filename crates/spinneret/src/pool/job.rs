//! A task on its way to a worker process.

use std::sync::Arc;

use super::ticket::EncodedTicket;
use crate::process::attachment::Descriptor;
use crate::task::Task;
use crate::task::registry::Entry;

/// A task to run, with everything that is needed to run it again.
pub struct Job {
    pub(super) task: &'static str,
    pub(super) signature: u64,
    pub(super) args: Vec<u8>,
    pub(super) fds: Vec<Arc<Descriptor>>,
    /// How many workers died of it.
    pub(super) deaths: u32,
    /// Whether it may wait behind others in one worker. Those of `apply` may not: a long one would
    /// hold up the next, which might even be waiting for each other.
    pub(super) chunkable: bool,
    pub(super) ticket: Box<dyn EncodedTicket>,
}

impl Job {
    /// A task that came by name, without descriptors.
    pub(super) fn by_name(entry: Entry, args: Vec<u8>, ticket: Box<dyn EncodedTicket>) -> Self {
        let (task, signature) = (entry.name(), entry.signature());
        Self { task, signature, args, fds: Vec::new(), deaths: 0, chunkable: false, ticket }
    }

    pub(super) fn new<T: Task>(
        mut args: Vec<u8>,
        fds: Vec<Arc<Descriptor>>,
        chunkable: bool,
        ticket: Box<dyn EncodedTicket>,
    ) -> Self {
        // There may be a million of them.
        args.shrink_to_fit();
        Self { task: T::NAME, signature: T::SIGNATURE, args, fds, deaths: 0, chunkable, ticket }
    }
}
