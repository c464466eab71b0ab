//! A pool leaves nothing behind: no process, no zombie, no descriptor.
//!
//! One test in a file of its own, since it counts what the whole process has.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;

use spinneret::{Pool, ProcessPool};

#[spinneret::task]
fn live_or_die(n: u32) -> u32 {
    if n.is_multiple_of(4) {
        std::process::exit(1);
    }
    n
}

fn descriptors() -> BTreeSet<String> {
    let names = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn children() -> Vec<String> {
    let mut found = Vec::new();
    for thread in fs::read_dir("/proc/self/task").unwrap() {
        let list = fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().map(str::to_owned));
    }
    found
}

#[test]
fn a_pool_that_ended_leaves_no_process_and_no_descriptor() {
    let work = || {
        let pool = ProcessPool::builder().workers(3).max_tasks_per_worker(5).build().unwrap();
        let outcomes = pool.map(live_or_die, 0..40).unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 10);
        pool
    };
    // What is opened once and for all, opened.
    drop(work());
    let before = descriptors();

    let pool = work();
    assert!(!children().is_empty());
    drop(pool);
    assert_eq!(children(), Vec::<String>::new());
    assert_eq!(descriptors(), before);

    let pool = work();
    pool.close();
    pool.join().unwrap();
    assert_eq!(children(), Vec::<String>::new());
    drop(pool);
    assert_eq!(descriptors(), before);
}
