//! What pools refuse to do.

use std::io;

use crate::manager::ManagerError;
use crate::process::StartError;
use crate::task::{EncodeError, TaskError};

/// Why a pool could not be started, or waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// A setting that must be at least 1 is 0.
    #[error("a pool cannot have {0} = 0: give at least 1")]
    Zero(&'static str),
    /// A worker process could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system refused the memory that pool and workers share.
    #[error("the memory that a pool shares with its workers could not be set up: {0}")]
    Memory(String),
    /// The system refused a thread.
    #[error("a thread of the pool could not be started: {0}")]
    Thread(#[source] io::Error),
    /// The manager that leads to the workers cannot be asked.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The initializer of a worker failed.
    #[error("the initializer of a worker failed: {0}")]
    Initializer(#[source] TaskError),
    /// A task waits for the end of the pool that runs it, which would never come.
    #[error("a task cannot join the pool that runs it: join it elsewhere")]
    WithinTask,
    /// `join` waits for the end of a pool, which would never come while it takes tasks.
    #[error("the pool still takes tasks: call close() or terminate() before join()")]
    NotClosed,
}

/// Why a task was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Its arguments could not be serialized. Nothing was submitted.
    #[error("the arguments of the task `{task}` could not be serialized: {cause}")]
    Unserializable {
        /// The task's name.
        task: &'static str,
        /// The serializer's words.
        cause: String,
    },
    /// Its arguments hold a queue, pipe or shared memory of this machine, and the task is to run on
    /// another. Nothing was submitted.
    #[error(
        "the arguments of the task `{task}` (`{what}`) hold a queue, pipe or shared memory of this \
         machine, which cannot be sent over the network: use a queue of a manager"
    )]
    NotSendableOverNetwork {
        /// The task's name.
        task: &'static str,
        /// The type of its arguments.
        what: &'static str,
    },
    /// The connection to the manager is gone. Its pool is of no use any more.
    #[error("the connection to the manager is gone ({reason}): make another pool")]
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The pool was closed or terminated.
    #[error("the pool is closed: it takes no more tasks")]
    Closed,
}

/// For callers that make no difference between a task that failed and one that was not taken.
impl From<SubmitError> for TaskError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Unserializable { task, cause } => {
                Self::Undecodable { what: format!("the arguments of `{task}`"), cause }
            }
            SubmitError::NotSendableOverNetwork { task, what } => {
                let cause = EncodeError::NotSendableOverNetwork { what }.to_string();
                Self::Undecodable { what: format!("the arguments of `{task}`"), cause }
            }
            SubmitError::Disconnected { reason } => Self::Disconnected { reason },
            SubmitError::Closed => Self::Cancelled,
        }
    }
}
