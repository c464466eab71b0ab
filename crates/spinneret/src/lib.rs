//! Threads, processes, coroutines and machines behind one API.
//!
//! Write the work once as a plain function marked [`macro@task`], then choose where it runs.

pub mod manager;
pub mod pool;
pub mod process;
pub mod task;

pub use spinneret_macros::task;

pub use self::pool::{ProcessPool, TaskHandle};
pub use self::task::{Outcome, Task, TaskError};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// For code that [`macro@task`] generates; no promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use linkme;

    pub use crate::task::registry::{Entry, TASKS};
}
