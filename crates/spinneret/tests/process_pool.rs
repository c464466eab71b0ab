//! What only a process pool does when all goes well; `every_pool.rs` has the rest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, Serializer};
use spinneret::pool::{PoolError, SubmitError};
use spinneret::{Outcome, Pool, ProcessPool, TaskError};

#[spinneret::task]
fn pid() -> u32 {
    process::id()
}

#[spinneret::task]
fn square(n: u64) -> u64 {
    n * n
}

/// Runs until the file is there.
#[spinneret::task]
fn wait_for(file: PathBuf) -> bool {
    eventually(|| file.exists());
    true
}

#[spinneret::task]
fn length(bytes: Vec<u8>) -> (usize, Vec<u8>) {
    (bytes.len(), bytes)
}

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn map_gives_outcomes_in_the_order_of_inputs() {
    let pool = ProcessPool::new(2).unwrap();
    let expected: Vec<Outcome<u64>> = (0..1000).map(|n| Ok(n * n)).collect();
    assert_eq!(pool.map(square, 0..1000).unwrap(), expected);
    assert_eq!(pool.map(square, []).unwrap(), []);
    let snapshot = pool.snapshot();
    assert_eq!(
        (snapshot.done, snapshot.failed, snapshot.queued, snapshot.running),
        (1000, 0, 0, 0)
    );
    assert_eq!(snapshot.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 1000);
}

#[test]
fn the_same_processes_serve_call_after_call() {
    let pool = ProcessPool::new(2).unwrap();
    let before: BTreeSet<u32> = pool.snapshot().workers.iter().map(|worker| worker.pid).collect();
    assert_eq!(before.len(), 2);
    assert!(!before.contains(&process::id()));
    for _ in 0..20 {
        assert!(before.contains(&pool.apply(pid, ()).unwrap()));
    }
    let after: BTreeSet<u32> = pool.snapshot().workers.iter().map(|worker| worker.pid).collect();
    assert_eq!(before, after);
}

#[test]
fn large_arguments_and_results_travel() {
    let pool = ProcessPool::builder().workers(1).chunk_size(8).build().unwrap();
    let bytes = |n: usize| vec![n as u8; n * 700_000];
    for (n, outcome) in pool.map(length, (0..8).map(bytes)).unwrap().into_iter().enumerate() {
        assert!(outcome == Ok((n * 700_000, bytes(n))), "number {n} differs");
    }
}

#[test]
fn a_terminated_pool_cancels_what_runs_and_what_waits() {
    let pool = ProcessPool::new(1).unwrap();
    let never = PathBuf::from("/nonexistent/file");
    let running = pool.apply_async(wait_for, never.clone()).unwrap();
    let queued = pool.apply_async(wait_for, never.clone()).unwrap();
    eventually(|| pool.snapshot().running == 1);
    pool.terminate();
    assert_eq!(running.get(), Err(TaskError::Cancelled));
    assert_eq!(queued.get(), Err(TaskError::Cancelled));
    assert_eq!(pool.snapshot().failed, 2);
    pool.join().unwrap();
}

#[test]
fn dropping_a_pool_terminates_it() {
    let pool = ProcessPool::new(1).unwrap();
    let running = pool.apply_async(wait_for, PathBuf::from("/nonexistent/file")).unwrap();
    eventually(|| pool.snapshot().running == 1);
    drop(pool);
    assert_eq!(running.get(), Err(TaskError::Cancelled));
}

#[test]
fn a_worker_is_replaced_after_its_maximum_of_tasks() {
    let pool = ProcessPool::builder().workers(1).max_tasks_per_worker(2).build().unwrap();
    let pids: Vec<u32> = (0..6).map(|_| pool.apply(pid, ()).unwrap()).collect();
    assert!(pids.chunks(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    assert_eq!(pids.iter().collect::<BTreeSet<_>>().len(), 3);
    assert_eq!(pool.snapshot().restarts, 0);
    // A chunk is cut where the worker's share ends.
    assert_eq!(pool.map(square, 0..9).unwrap().len(), 9);
}

#[test]
fn settings_of_zero_are_refused() {
    let builder = ProcessPool::builder;
    for (builder, name) in [
        (builder().workers(0), "workers"),
        (builder().max_tasks_per_worker(0), "max_tasks_per_worker"),
        (builder().chunk_size(0), "chunk_size"),
        (builder().task_timeout(Duration::ZERO), "task_timeout"),
    ] {
        match builder.build() {
            Err(PoolError::Zero(setting)) => assert_eq!(setting, name),
            other => panic!("{other:?}"),
        }
    }
}

/// Cannot be serialized if odd.
#[derive(Debug, PartialEq, Deserialize)]
struct Even(u8);

impl Serialize for Even {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(2) {
            serializer.serialize_newtype_struct("Even", &self.0)
        } else {
            Err(serde::ser::Error::custom("this is odd"))
        }
    }
}

#[spinneret::task]
fn unwrap_even(wrapped: Even) -> u8 {
    wrapped.0
}

#[spinneret::task]
fn wrap_even(bare: u8) -> Even {
    Even(bare)
}

#[test]
fn an_unserializable_argument_is_the_callers_error_at_once() {
    let pool = ProcessPool::new(1).unwrap();
    match pool.apply_async(unwrap_even, Even(1)) {
        Err(SubmitError::Unserializable { task, cause }) => {
            assert_eq!(task, "process_pool::unwrap_even");
            assert_eq!(cause, "this is odd");
        }
        other => panic!("{other:?}"),
    }
    assert!(pool.map(unwrap_even, [Even(0), Even(1)]).is_err());
    assert_eq!(pool.snapshot().done, 0, "nothing ran");
    let undecodable = |outcome: &Outcome<u8>| matches!(outcome, Err(TaskError::Undecodable { .. }));
    assert!(undecodable(&pool.apply(unwrap_even, Even(3))));
    let outcomes: Vec<_> = pool.imap(unwrap_even, (0..4).map(Even)).collect();
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(0), &Ok(2)));
    assert!(undecodable(&outcomes[1]) && undecodable(&outcomes[3]));
}

#[test]
fn an_unserializable_result_is_the_tasks_error() {
    let pool = ProcessPool::new(1).unwrap();
    match pool.apply(wrap_even, 1) {
        Err(TaskError::Undecodable { what, cause }) => {
            assert_eq!(what, "the result of `process_pool::wrap_even`");
            assert_eq!(cause, "this is odd");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(wrap_even, 2), Ok(Even(2)));
}

#[spinneret::task]
fn sum_of_squares(n: u64) -> u64 {
    let pool = ProcessPool::new(2).unwrap();
    pool.map(square, 0..n).unwrap().into_iter().map(Result::unwrap).sum()
}

#[test]
fn a_task_can_have_a_pool_of_its_own() {
    let pool = ProcessPool::new(2).unwrap();
    let sums = pool.map(sum_of_squares, [3, 4]).unwrap();
    assert_eq!(sums, [Ok(5), Ok(14)]);
}
