//! Threads, processes, coroutines and machines behind one API.
//!
//! Write the work once as a plain function marked [`macro@task`], then choose where it runs.

pub mod manager;
pub mod pool;
pub mod process;
pub mod task;

pub use spinneret_macros::task;
