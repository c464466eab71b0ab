//! Pools: where tasks run.
//!
//! A [`ProcessPool`] runs them in worker processes, which makes a crash of one the loss of that one
//! alone. Its methods are named after Python's `multiprocessing.pool.Pool`.

mod dispatcher;
mod error;
mod handle;
mod imap;
mod process_pool;
mod shared;

pub use self::error::{PoolError, SubmitError};
pub use self::handle::TaskHandle;
pub use self::process_pool::{Builder, ProcessPool};
pub use self::shared::{PoolSnapshot, WorkerSnapshot};
