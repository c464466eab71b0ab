//! How a task can fail other than by its own result.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What became of a task: the value it returned, or why there is none.
///
/// A task that returns a `Result` of its own has it inside the value.
pub type Outcome<T> = Result<T, TaskError>;

/// Why a task has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task panicked. Its worker lives on.
    #[error("the task panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
        /// Where it came from; empty if the panic hook was replaced after the worker started.
        backtrace: String,
    },
    /// The worker process died while it ran the task, as often as the pool's retries allow.
    #[error("the worker process died while it ran the task ({})", death(*signal, *exit_code, *out_of_memory))]
    WorkerDied {
        /// The signal that ended it, such as 9 for SIGKILL.
        signal: Option<i32>,
        /// The status with which it ended, if the task called `exit`.
        exit_code: Option<i32>,
        /// Whether the kernel seems to have killed it for want of memory: it died of SIGKILL, not
        /// from the pool's hand, and the count of such kills in our control group went up. A best
        /// effort: `false` outside control groups, and where an allocation failed
        /// without a kill (the process then aborts itself: signal 6).
        out_of_memory: bool,
    },
    /// The task ran longer than the pool's task timeout, and was ended: a process that ran it was
    /// killed, a coroutine's wait was given up.
    #[error("the task did not end within {after:?}, and was ended")]
    TimedOut {
        /// The timeout it exceeded.
        after: Duration,
    },
    /// The task was cancelled, or its pool ended first.
    #[error("the task was cancelled")]
    Cancelled,
    /// Arguments or a result could not be turned into bytes or back.
    #[error("{what} could not be encoded or decoded: {cause}")]
    Undecodable {
        /// What it was, such as "the result of `crate::f`".
        what: String,
        /// The serializer's words.
        cause: String,
    },
    /// The connection to the manager that had the task is gone; it may have run, in part or wholly.
    #[error("the connection to the manager is gone ({reason}); the task may have run all the same")]
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The worker has no task of this name, or one with other types.
    #[error("the worker cannot run the task `{name}`: {hint}")]
    UnknownTask {
        /// The name that was asked for.
        name: String,
        /// What to do about it.
        hint: String,
    },
}

fn death(signal: Option<i32>, exit_code: Option<i32>, out_of_memory: bool) -> String {
    match (signal, exit_code) {
        (Some(signal), _) if out_of_memory => format!("signal {signal}, out of memory"),
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "cause unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_journey_and_says_what_happened() {
        let errors = [
            (
                TaskError::Panicked { message: "no".into(), backtrace: "0: main".into() },
                "the task panicked: no",
            ),
            (
                TaskError::WorkerDied { signal: Some(9), exit_code: None, out_of_memory: true },
                "the worker process died while it ran the task (signal 9, out of memory)",
            ),
            (
                TaskError::WorkerDied { signal: None, exit_code: Some(3), out_of_memory: false },
                "the worker process died while it ran the task (exit status 3)",
            ),
            (
                TaskError::TimedOut { after: Duration::from_millis(1500) },
                "the task did not end within 1.5s, and was ended",
            ),
            (TaskError::Cancelled, "the task was cancelled"),
            (
                TaskError::Undecodable { what: "the result".into(), cause: "eof".into() },
                "the result could not be encoded or decoded: eof",
            ),
            (
                TaskError::Disconnected { reason: "it was closed".into() },
                "the connection to the manager is gone (it was closed); the task may have run all \
                 the same",
            ),
            (
                TaskError::UnknownTask { name: "f".into(), hint: "add it".into() },
                "the worker cannot run the task `f`: add it",
            ),
        ];
        for (error, text) in errors {
            assert_eq!(error.to_string(), text);
            let bytes = super::super::encode(&error).unwrap();
            assert_eq!(super::super::decode::<TaskError>(&bytes).unwrap(), error);
        }
    }
}
