//! Why processes could not be what they were to be.

use std::io;
use std::time::Duration;

use crate::task::EncodeError;

/// What a [`Process`](super::Process) reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// Its arguments could not be serialized.
    #[error("the arguments of the task `{task}` cannot be sent to a process: {cause}")]
    Arguments {
        /// The task's name.
        task: &'static str,
        /// Why not.
        #[source]
        cause: EncodeError,
    },
    /// It has not been started.
    #[error("the process `{name}` was not started: call start() first")]
    NotStarted {
        /// Its name.
        name: String,
    },
    /// It was started before, with or without success.
    #[error("the process `{name}` was started before: make a new Process to run the task again")]
    AlreadyStarted {
        /// Its name.
        name: String,
    },
    /// It is the child of another process, of which this one is a fork.
    #[error("the process `{name}` is a child of another process: only that one can wait for it")]
    NotOurs {
        /// Its name.
        name: String,
    },
    /// It could not be started, or could not become what it was to be.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The child could not read the task's arguments.
    #[error("the process `{name}` could not run its task: {cause}")]
    Undecodable {
        /// Its name.
        name: String,
        /// What it said.
        cause: String,
    },
    /// The system did not deliver a signal.
    #[error("the process `{name}` could not be signalled: {cause}")]
    Signal {
        /// Its name.
        name: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

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
