//! Coroutines: ordinary blocking code by the ten thousand, beside async tasks. What gevent gives
//! Python.
//!
//! [`spawn`] takes a closure of blocking code, unchanged, which becomes a *green thread*, or a
//! future, which becomes an async task. Both run on a few threads, the hubs. A wait suspends the
//! coroutine and lets the others of its hub go on:
//!
//! - all that this crate waits for, always: queues, pipes, locks, pools, managers, of this process
//!   and between processes;
//! - once [`patch_all`] was called, everything else too: `std::net` and the HTTP clients built on it,
//!   `std::sync`, `thread::sleep`, name look-ups, child processes.
//!
//! ```
//! use std::time::Duration;
//!
//! use spinneret::coroutine::{self, join_all, spawn};
//!
//! coroutine::patch_all();
//! let visits = ["url_1", "url_2", "url_3"].map(|url| {
//!     spawn(move || {
//!         std::thread::sleep(Duration::from_millis(1)); // As a blocking HTTP client would.
//!         url.len()
//!     })
//! });
//! assert_eq!(join_all(visits).into_iter().map(Result::unwrap).sum::<usize>(), 15);
//! ```
//!
//! Where green threads cannot work (anything but Linux on x86-64 with a known glibc) each closure
//! gets a thread of the system, and [`backend`] says so; the outcomes are the same.
//!
//! [`Pool`] runs [tasks](macro@crate::task) as coroutines: [`CoroutinePool`](crate::CoroutinePool) is
//! another name for it.

pub use spinneret_green::{
    Backend, Builder, Config, ConfigureError, Current, Group, HubAllocator, JoinError, JoinHandle,
    Local, Patch, Payload, Report, Resolver, Spawn, StillRunning, TimedOut, backend, block_on,
    configure, current, is_patched, join_all, kind, local, patch, patch_all, shutdown, sleep,
    spawn, timeout, wait_any, yield_now,
};

pub use crate::pool::{CoroutinePool as Pool, CoroutinePoolBuilder as PoolBuilder};
