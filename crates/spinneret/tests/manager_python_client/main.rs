//! What a client promises to programs that use Python's servers and our own by the same face.
//!
//! Every test runs against each Python on this machine, which serves what `server.py` has, and
//! against a manager of ours, which serves the same.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test, as it should")]

mod connections;
mod containers;
mod ends;
mod locks;
mod objects;
#[path = "../manager_python/pythons.rs"]
#[allow(dead_code, reason = "those tests start clients, these servers")]
mod pythons;
mod queues;
mod waiting;

use std::{
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{AuthKey, ManagerError, pickle::ExceptionKind};

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_mins(1);
/// Long enough to see that something does not happen.
const SHORT: Duration = Duration::from_millis(30);

fn key() -> AuthKey {
    AuthKey::new("qiye")
}

/// Waits until something is so, which it must become.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "it never came about that {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The exception that a call raised in the server.
#[track_caller]
fn raised<T: std::fmt::Debug>(called: Result<T, ManagerError>) -> ExceptionKind {
    let error = called.unwrap_err();
    let Some(exception) = error.remote() else { panic!("nothing was raised: {error:?}") };
    exception.kind().clone()
}
