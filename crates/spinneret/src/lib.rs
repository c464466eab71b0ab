//! Threads, processes, coroutines and machines behind one API.
//!
//! Write the work once as a plain function marked [`macro@task`], then choose where it runs.
//!
//! # What works where
//!
//! | | Linux | macOS | Windows |
//! | --- | --- | --- | --- |
//! | [`thread`], [`sync`], [`queue`], [`ThreadPool`] | yes | yes | yes |
//! | [`manager`], [`ClusterPool`] | yes | yes | yes |
//! | [`coroutine`], [`CoroutinePool`] | green threads on x86-64 with glibc, else threads | threads | threads |
//! | [`process::Process`], [`ProcessPool`] | yes | yes | yes |
//! | [`process::Queue`] | in shared memory | by a broker | by a broker |
//! | `process::fork` | yes | yes | no |
//! | `pipe` | yes | yes | no |
//! | `shared`, `process::sync` | yes | no | no |
//!
//! What is not there on a system is not in the crate there, so a program that uses it does not compile.
//!
//! How well it is tested: on Linux in all its parts. What macOS and Windows have in place of shared
//! memory, the broker and pools without rings, is run on Linux too, by all the tests that the rest has
//! to pass. What only macOS or only Windows has (the watch over a process, large messages of pipes,
//! starting a child, the queue's door) is **type-checked only**: nobody has run it there.

mod cooperate;
#[cfg(feature = "coroutine")]
pub mod coroutine;
#[cfg(all(any(test, fuzzing), shared_memory))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(all(doctest, shared_memory))]
mod guide;
pub mod manager;
#[cfg(target_os = "linux")]
mod os;
#[cfg(unix)]
pub mod pipe;
pub mod pool;
pub mod process;
pub mod queue;
#[cfg(target_os = "linux")]
pub mod shared;
mod signal;
pub mod sync;
pub mod task;
pub mod thread;

pub use spinneret_macros::{exposed, task};

#[cfg(feature = "coroutine")]
pub use self::coroutine::Pool as CoroutinePool;
pub use self::pool::{ClusterPool, Pool, ProcessPool, TaskHandle, ThreadPool};
pub use self::task::{Outcome, Task, TaskError};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// For code that [`macro@task`] generates; no promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use linkme;

    pub use crate::manager::exposed::generated as exposed;
    pub use crate::task::registry::{Entry, TASKS};
}
