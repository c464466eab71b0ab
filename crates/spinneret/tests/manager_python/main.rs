//! What a manager promises to programs of Python, with every Python on this machine.
//!
//! Each Python is looked for by its name in `PATH` and under pyenv's root. The scripts it runs are
//! in `scripts/`, and work in Python 2.7 and 3.

#![allow(clippy::unwrap_used, reason = "a helper that panics fails its test, as it should")]

mod cpython_suite;
mod examples;
mod exposed;
mod kinds;
#[path = "../manager/programs.rs"]
mod programs;
mod pythons;
mod queues;
mod sessions;

use std::{
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{AuthKey, Manager, ManagerBuilder, QueueOptions};

/// Longer than anything takes that works.
const LONG: Duration = Duration::from_mins(1);

fn key() -> AuthKey {
    AuthKey::new("qiye")
}

fn builder() -> ManagerBuilder {
    Manager::builder().listen("127.0.0.1:0").authkey(key())
}

/// A manager with one queue `q`.
fn manager(options: QueueOptions) -> Manager {
    builder().register("q", options).start().unwrap()
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
