//! What a process pool does when all goes well.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, Serializer};
use spinneret::pool::{PoolError, SubmitError};
use spinneret::{Outcome, ProcessPool, TaskError};

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

fn create(file: &Path) {
    std::fs::write(file, "").unwrap();
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
fn workers_run_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let pool = ProcessPool::new(2).unwrap();
    let first = pool.apply_async(wait_for, a.clone()).unwrap();
    let second = pool.apply_async(wait_for, b.clone()).unwrap();
    eventually(|| pool.snapshot().running == 2);
    create(&b);
    assert_eq!(second.get(), Ok(true));
    assert!(!first.is_done());
    create(&a);
    assert_eq!(first.get(), Ok(true));
}

#[test]
fn a_handle_can_be_waited_for_with_a_limit_and_awaited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = ProcessPool::new(1).unwrap();
    let handle = pool.apply_async(wait_for, file.clone()).unwrap();
    let handle = handle.get_timeout(Duration::from_millis(5)).expect_err("it still waits");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(async {
        let mut handle = handle;
        // Polled before it is done, so that it must wake us.
        let pending = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut handle).poll(context).is_pending())
        });
        assert!(pending.await);
        create(&file);
        handle.await
    });
    assert_eq!(outcome, Ok(true));
}

#[test]
fn a_queued_task_can_be_cancelled_and_a_running_one_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = ProcessPool::new(1).unwrap();
    let running = pool.apply_async(wait_for, file.clone()).unwrap();
    let queued = pool.apply_async(square, 2).unwrap();
    let last = pool.apply_async(square, 3).unwrap();
    eventually(|| pool.snapshot().running == 1);
    assert_eq!(pool.snapshot().queued, 2);
    assert!(!running.cancel());
    assert!(queued.cancel());
    assert_eq!(queued.get(), Err(TaskError::Cancelled));
    create(&file);
    assert_eq!(running.get(), Ok(true));
    assert_eq!(last.get(), Ok(9));
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (2, 1));
}

#[test]
fn imap_takes_inputs_lazily_and_keeps_few_on_their_way() {
    let pool = ProcessPool::new(2).unwrap();
    let taken = Cell::new(0_u64);
    let inputs = (0..).inspect(|_| taken.set(taken.get() + 1));
    let mut outcomes = pool.imap(square, inputs);
    assert_eq!(taken.get(), 0);
    for given in 0..3000 {
        assert_eq!(outcomes.next(), Some(Ok(given * given)));
        assert!(taken.get() <= given + 2 * 64, "{} taken after {given}", taken.get());
    }
    drop(outcomes);
    let end = pool.snapshot();
    eventually(|| pool.snapshot().queued == 0 && pool.snapshot().running == 0);
    assert!(end.done <= taken.get());
    assert_eq!(pool.apply(square, 3), Ok(9));
}

#[test]
fn imap_unordered_gives_what_is_done_first() {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("slow");
    let fast = folder.path().join("fast");
    create(&fast);
    let pool = ProcessPool::builder().workers(2).chunk_size(1).build().unwrap();
    let inputs = [slow.clone(), fast.clone(), fast];
    let mut outcomes = pool.imap_unordered(wait_for, inputs);
    assert_eq!(outcomes.next(), Some(Ok(true)));
    assert_eq!(outcomes.next(), Some(Ok(true)));
    create(&slow);
    assert_eq!(outcomes.next(), Some(Ok(true)));
    assert_eq!(outcomes.next(), None);
    assert_eq!(outcomes.next(), None);
}

#[test]
fn imap_unordered_gives_every_outcome_once() {
    let pool = ProcessPool::new(2).unwrap();
    let got: BTreeSet<u64> = pool.imap_unordered(square, 0..5000).map(Result::unwrap).collect();
    assert_eq!(got, (0..5000).map(|n| n * n).collect());
    assert_eq!(pool.snapshot().done, 5000);
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
fn a_closed_pool_ends_its_work_and_takes_no_more() {
    let pool = ProcessPool::new(2).unwrap();
    let handles: Vec<_> = (0..50).map(|n| pool.apply_async(square, n).unwrap()).collect();
    assert!(matches!(pool.join(), Err(PoolError::NotClosed)));
    pool.close();
    assert!(matches!(pool.apply_async(square, 1), Err(SubmitError::Closed)));
    assert!(matches!(pool.map(square, 0..2), Err(SubmitError::Closed)));
    assert_eq!(pool.apply(square, 1), Err(TaskError::Cancelled));
    pool.join().unwrap();
    assert!(handles.iter().all(spinneret::TaskHandle::is_done));
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.get(), Ok(n * n));
    }
    assert_eq!(pool.snapshot().workers, []);
    pool.join().unwrap();
}

#[test]
fn imap_of_a_pool_that_closes_ends() {
    let pool = ProcessPool::new(1).unwrap();
    let mut outcomes = pool.imap(square, 1..);
    assert_eq!(outcomes.next(), Some(Ok(1)));
    pool.close();
    let rest: Vec<_> = outcomes.collect();
    let cancelled = rest.iter().position(Result::is_err).expect("the input that was not taken");
    assert_eq!(rest[cancelled..], [Err(TaskError::Cancelled)]);
    assert_eq!(rest[..cancelled], (2..).map(|n| Ok(n * n)).take(cancelled).collect::<Vec<_>>());
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

#[test]
fn many_threads_can_share_a_pool() {
    let pool = ProcessPool::new(2).unwrap();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                for n in start * 50..start * 50 + 50 {
                    assert_eq!(pool.apply(square, n), Ok(n * n));
                }
            });
        }
    });
    assert_eq!(pool.snapshot().done, 200);
}
