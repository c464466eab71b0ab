//! Worker processes: the program starts itself anew, and the copy runs tasks by name.
//!
//! Nothing has to be set up. A pool starts `/proc/self/exe` (elsewhere the current executable)
//! with one end of a socket pair as its standard input and the variable `SPINNERET_WORKER` in its
//! environment. A function that the loader calls before `main` sees the variable and serves tasks
//! from there, so that `main`, or a test harness, never starts in a worker. Never does a process
//! fork without exec, so threads and locks of the parent are no danger.
//!
//! # What a worker is like
//! - Its standard input is empty (`/dev/null`); standard output and error are those of the parent.
//! - It ignores SIGINT and SIGPIPE. Ctrl-C at the terminal ends the parent, which ends it.
//! - It dies at once when its parent does, by whatever cause and whatever it is doing: it watches
//!   both the socket and, on Linux, the parent itself.
//! - Tasks run on its main thread, one after the other. A panic is caught, printed to standard error
//!   by the usual hook, and reported. `async` tasks run on one current-thread tokio runtime, which
//!   stands still between tasks.
//! - What `main` would have set up (a logger, a panic hook) is not there, and constructors of other
//!   crates that the linker put behind ours have not run.
//!
//! # Greeting
//! Both sides send a protocol version, a build id (device, inode, size and modification time of
//! the program's file) and the names and signatures of their tasks. What does not match is a
//! [`StartError`] that says what to do.

mod entry;
mod frame;
mod link;
mod memory;
mod message;
mod serve;
mod worker;

use std::io;
use std::time::Duration;

pub use self::entry::init;
pub(crate) use self::worker::{Exit, Lost, WorkerHandle, WorkerProcess, put_job};

/// Why a worker process could not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A worker would run `main` instead of tasks: the linker dropped our start-up hook, or the
    /// program adds tasks by hand, which only happens in `main`.
    #[error(
        "a worker could not tell that it is one: call spinneret::process::init() first in main, \
         after any registry::add(...)"
    )]
    NotInitialised,
    /// This process is itself a worker whose `main` runs as if it were not. Starting workers from
    /// here would never end.
    #[error(
        "this process was started as a worker, yet its main runs: call \
         spinneret::process::init() first in main, before anything that starts workers"
    )]
    WithinWorker,
    /// The system refused a new process, socket or thread.
    #[error("a worker process could not be started: {0}")]
    Spawn(#[source] io::Error),
    /// The process ended before it greeted.
    #[error(
        "a worker process ended before it was ready (signal {signal:?}, exit status {exit_code:?}): \
         its standard error may say why"
    )]
    Died {
        /// The signal that ended it.
        signal: Option<i32>,
        /// The status with which it ended.
        exit_code: Option<i32>,
    },
    /// The process did not greet in time.
    #[error(
        "a worker process did not report within {after:?}: if the program calls \
         spinneret::process::init(), it must be the first call in main"
    )]
    Silent {
        /// How long we waited.
        after: Duration,
    },
    /// What it sent is no greeting.
    #[error("a worker process sent an unreadable greeting: {cause}")]
    Handshake {
        /// What was wrong with it.
        cause: String,
    },
    /// It speaks another version of the protocol between pool and worker.
    #[error(
        "the pool speaks version {ours} of the worker protocol, the worker version {theirs}: \
         build both with the same version of spinneret"
    )]
    Version {
        /// This process's version.
        ours: u32,
        /// The worker's.
        theirs: u32,
    },
    /// It runs another build of the program.
    #[error(
        "the worker runs another build ({theirs}) than this process ({ours}): the program's file \
         was replaced while it ran, start the program again"
    )]
    Build {
        /// This process's build id.
        ours: String,
        /// The worker's.
        theirs: String,
    },
    /// It lacks tasks, or has them with other types.
    #[error(
        "the worker lacks tasks of this process, or has them with other argument or result types: \
         `{}`. If they are added by hand, add them before spinneret::process::init()",
        names.join("`, `")
    )]
    Tasks {
        /// The names of the tasks.
        names: Vec<String>,
    },
}
