//! Pools: where tasks run.
//!
//! A [`ThreadPool`] runs them in threads of this process, which costs next to nothing. A
//! [`CoroutinePool`] runs them in coroutines, for those that wait most of the time. A [`ProcessPool`]
//! runs them in worker processes, which makes a crash of one the loss of that one alone. A
//! [`ClusterPool`] runs them on other machines. What they have in common is the trait [`Pool`],
//! named after Python's `multiprocessing.pool.Pool`.

mod cluster;
#[cfg(feature = "coroutine")]
mod coroutine_pool;
mod crew;
mod engine;
mod errand;
mod error;
mod handle;
mod imap;
mod job;
#[cfg(not(shared_memory))]
mod links;
mod process_pool;
mod progress;
#[cfg(shared_memory)]
mod rings;
mod settings;
mod snapshot;
mod thread_pool;
mod ticket;
mod traits;
pub mod worker_state;

#[cfg(not(shared_memory))]
use self::links as works;
#[cfg(shared_memory)]
use self::rings as works;

pub use self::cluster::{ClusterPool, ClusterPoolBuilder};
#[cfg(feature = "coroutine")]
pub use self::coroutine_pool::{CoroutinePool, CoroutinePoolBuilder};
pub(crate) use self::errand::{Errand, LocalPool, LocalPoolBuilder, Wish};
pub use self::error::{PoolError, SubmitError};
pub use self::handle::TaskHandle;
pub use self::process_pool::{ProcessPool, ProcessPoolBuilder};
pub use self::snapshot::{PoolSnapshot, WorkerSnapshot};
pub use self::thread_pool::{ThreadPool, ThreadPoolBuilder};
pub use self::traits::Pool;

#[cfg(all(any(test, fuzzing), shared_memory))]
pub(crate) use self::rings::read_anything;
pub(crate) use self::works::serve;
