//! The pair of task manager and task worker with either half in Python, in every combination.

use std::{path::Path, process::Command, thread};

use super::{
    programs::{assert_managed, assert_shared, example, free_port, start},
    pythons::{self, Python},
};

/// A half in Python: it runs on every version as it is.
fn script(python: &Python, name: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python");
    let mut command = python.command();
    // No files beside it.
    command.arg("-B").arg(folder.join(name));
    command
}

/// A manager and its workers do the ten tasks, and all of them end well.
#[track_caller]
fn assert_work(manager: Command, workers: Vec<Command>) {
    let port = free_port();
    let manager = start(manager, port);
    let workers = workers.into_iter().map(|worker| start(worker, port)).collect();
    assert_managed(manager);
    assert_shared(workers);
}

/// With every Python, all at once: the programs mostly sleep.
fn with_each(work: impl Fn(&Python) + Sync) {
    thread::scope(|scope| {
        for python in pythons::all() {
            scope.spawn(|| work(python));
        }
    });
}

#[test]
fn both_halves_may_be_in_python() {
    with_each(|python| {
        let worker = || script(python, "task_worker.py");
        assert_work(script(python, "task_manager.py"), vec![worker(), worker()]);
    });
}

#[test]
fn workers_in_python_work_for_our_manager() {
    with_each(|python| {
        let worker = || script(python, "task_worker.py");
        assert_work(example("task_manager"), vec![worker(), worker()]);
    });
}

#[test]
fn our_workers_work_for_a_manager_in_python() {
    with_each(|python| {
        let worker = || example("task_worker");
        assert_work(script(python, "task_manager.py"), vec![worker(), worker()]);
    });
}

#[test]
fn workers_in_every_language_and_version_share_the_work() {
    let mut workers = vec![example("task_worker")];
    workers.extend(pythons::all().iter().map(|python| script(python, "task_worker.py")));
    assert_work(example("task_manager"), workers);
}
