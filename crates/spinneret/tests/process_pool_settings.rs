//! What a process pool can be asked for, and what its tasks may carry.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use spinneret::pipe::{Connection, pipe};
use spinneret::pool::{PoolError, worker_state};
use spinneret::process::Queue;
use spinneret::shared::Value;
use spinneret::{Pool, ProcessPool, TaskError};

#[spinneret::task]
fn double(n: u64) -> u64 {
    2 * n
}

#[spinneret::task]
fn pid() -> u32 {
    process::id()
}

#[spinneret::task]
fn wait_for(file: PathBuf) -> bool {
    eventually(|| file.exists());
    true
}

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn note(log: &Path, text: &str) {
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    writeln!(log, "{text}").unwrap();
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[spinneret::task]
fn add(total: Value<u64>, n: u64) {
    *total.lock().unwrap() += n;
}

#[spinneret::task]
fn feed(queue: Queue<u64>, n: u64) {
    queue.put(n).unwrap();
}

#[spinneret::task]
fn partner(first: Connection<u64>) -> Connection<u64> {
    let (ours, theirs) = pipe().unwrap();
    first.send(&1).unwrap();
    ours.send(&2).unwrap();
    theirs
}

#[test]
fn arguments_and_results_may_hold_queues_pipes_and_shared_memory() {
    let pool = ProcessPool::new(2).unwrap();
    let total = Value::new(0_u64).unwrap();
    let outcomes = pool.map(add, (1..=200).map(|n| (total.clone(), n))).unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(total.get().unwrap(), 200 * 201 / 2);

    let queue = Queue::new(0).unwrap();
    for outcome in pool.imap_unordered(feed, (0..50).map(|n| (queue.clone(), n))) {
        outcome.unwrap();
    }
    let mut fed: Vec<u64> = (0..50).map(|_| queue.try_get().unwrap()).collect();
    fed.sort_unstable();
    assert_eq!(fed, (0..50).collect::<Vec<_>>());

    let (ours, theirs) = pipe().unwrap();
    let returned = pool.apply(partner, theirs).unwrap();
    assert_eq!((ours.recv().unwrap(), returned.recv().unwrap()), (1, 2));
}

/// Adds, or dies of it.
#[spinneret::task]
fn add_or_die(total: Value<u64>, log: PathBuf) {
    note(&log, "called");
    if lines(&log) == 1 {
        process::abort();
    }
    *total.lock().unwrap() += 1;
}

#[test]
fn a_task_that_is_run_again_has_its_shared_memory_again() {
    let folder = tempfile::tempdir().unwrap();
    let pool = ProcessPool::builder().workers(1).retries(1).build().unwrap();
    let total = Value::new(0_u64).unwrap();
    pool.apply(add_or_die, (total.clone(), folder.path().join("log"))).unwrap();
    assert_eq!(total.get().unwrap(), 1);
}

#[spinneret::task]
fn set_up(log: PathBuf, start: u64) {
    note(&log, "set up");
    worker_state::set(start);
}

#[spinneret::task]
fn count_up() -> u64 {
    worker_state::with(|count: &mut u64| {
        *count += 1;
        *count
    })
    .unwrap()
}

#[spinneret::task]
fn die() {
    process::abort();
}

#[test]
fn every_worker_is_set_up_before_its_first_task_also_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let pool =
        ProcessPool::builder().workers(2).initializer(set_up, (log.clone(), 10)).build().unwrap();
    assert_eq!(lines(&log), 2);
    drop(pool);
    let pool = ProcessPool::builder().workers(1).initializer(set_up, (log, 10)).build().unwrap();
    assert_eq!((pool.apply(count_up, ()), pool.apply(count_up, ())), (Ok(11), Ok(12)));
    pool.apply(die, ()).unwrap_err();
    assert_eq!(pool.apply(count_up, ()), Ok(11), "a new worker with a new state");
}

#[spinneret::task]
fn refuse(text: String) {
    panic!("{text}");
}

#[test]
fn a_pool_whose_initializer_fails_does_not_start() {
    let built =
        ProcessPool::builder().workers(2).initializer(refuse, "no model".to_owned()).build();
    match built {
        Err(PoolError::Initializer(TaskError::Panicked { message, .. })) => {
            assert_eq!(message, "no model");
        }
        other => panic!("{other:?}"),
    }
}

#[spinneret::task]
fn set_up_with(total: Value<u64>) {
    *total.lock().unwrap() += 1;
    worker_state::set(total);
}

#[spinneret::task]
fn total_so_far() -> u64 {
    worker_state::with(|total: &mut Value<u64>| total.get().unwrap()).unwrap()
}

#[test]
fn an_initializer_may_bring_shared_memory() {
    let total = Value::new(0_u64).unwrap();
    let pool =
        ProcessPool::builder().workers(3).initializer(set_up_with, total.clone()).build().unwrap();
    assert_eq!(total.get().unwrap(), 3);
    assert_eq!(pool.apply(total_so_far, ()), Ok(3));
}

#[spinneret::task]
fn fatal(log: PathBuf) {
    note(&log, "called");
    process::abort();
}

#[test]
fn a_task_that_kills_its_workers_is_given_up_whatever_the_retries() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let pool = ProcessPool::builder().workers(2).retries(100).build().unwrap();
    assert!(matches!(pool.apply(fatal, log.clone()), Err(TaskError::WorkerDied { .. })));
    assert_eq!(lines(&log), 3);
    let log = folder.path().join("other");
    let pool = ProcessPool::builder().workers(1).retries(100).poison_limit(1).build().unwrap();
    assert!(matches!(pool.apply(fatal, log.clone()), Err(TaskError::WorkerDied { .. })));
    assert_eq!(lines(&log), 1);
    assert!(matches!(
        ProcessPool::builder().poison_limit(0).build(),
        Err(PoolError::Zero("poison_limit"))
    ));
}

#[spinneret::task]
fn grow(bytes: usize) -> u32 {
    worker_state::set(vec![1_u8; bytes]);
    process::id()
}

#[test]
fn a_worker_that_has_grown_is_replaced_after_its_task() {
    let pool = ProcessPool::builder().workers(1).memory_limit(64 << 20).build().unwrap();
    let first = pool.apply(pid, ()).unwrap();
    assert_eq!(pool.apply(grow, 200 << 20), Ok(first));
    eventually(|| pool.apply(pid, ()).unwrap() != first);
    assert_eq!((pool.snapshot().failed, pool.snapshot().restarts), (0, 0));
}

#[test]
fn tasks_handed_to_the_workers_can_still_be_cancelled_until_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = ProcessPool::builder().workers(1).chunk_size(1).build().unwrap();
    let running = pool.apply_async(wait_for, file.clone()).unwrap();
    eventually(|| pool.snapshot().running == 1);
    // More than can be handed out at once: some wait in the pool, some in the ring.
    let waiting: Vec<_> = (0..3000).map(|n| pool.apply_async(double, n).unwrap()).collect();
    assert!(!running.cancel());
    for handle in waiting.iter().step_by(2) {
        assert!(handle.cancel());
        assert!(!handle.cancel());
    }
    std::fs::write(file, "").unwrap();
    assert_eq!(running.get(), Ok(true));
    for (n, handle) in waiting.into_iter().enumerate() {
        let expected = if n % 2 == 0 { Err(TaskError::Cancelled) } else { Ok(2 * n as u64) };
        assert_eq!(handle.get(), expected, "number {n}");
    }
    pool.close();
    pool.join().unwrap();
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1501, 1500));
}

#[spinneret::task]
fn log_it(log: PathBuf, go: PathBuf) {
    eventually(|| go.exists());
    note(&log, "ran");
}

#[test]
fn dropping_an_iterator_cancels_what_has_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let (log, first, rest) = (path("log"), path("first"), path("rest"));
    let pool = ProcessPool::builder().workers(1).chunk_size(1).build().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let inputs = std::iter::once(&first).chain(std::iter::repeat_n(&rest, 99));
            let mut outcomes = pool.imap(log_it, inputs.map(|go| (log.clone(), go.clone())));
            outcomes.next()
        });
        eventually(|| pool.snapshot().queued >= 50);
        std::fs::write(&first, "").unwrap();
        assert_eq!(waiter.join().unwrap(), Some(Ok(())));
    });
    // The second has begun, or not; the iterator is gone.
    std::fs::write(&rest, "").unwrap();
    eventually(|| pool.snapshot().queued == 0 && pool.snapshot().running == 0);
    assert!(lines(&log) <= 2, "{} ran", lines(&log));
}

/// Runs a pool of its own.
#[spinneret::task]
fn nest(depth: u32) -> u32 {
    if depth == 0 {
        return 1;
    }
    let pool = ProcessPool::new(2).unwrap();
    pool.map(nest, [depth - 1, depth - 1]).unwrap().into_iter().map(Result::unwrap).sum()
}

#[test]
fn pools_may_be_nested() {
    assert_eq!(ProcessPool::new(1).unwrap().apply(nest, 2), Ok(4));
}

#[test]
fn many_tasks_need_no_more_descriptors_than_few() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let pool = ProcessPool::new(2).unwrap();
    let before = descriptors();
    let handles = pool.map_async(double, 0..100_000).unwrap();
    assert_eq!(descriptors(), before);
    for (n, handle) in handles.into_iter().enumerate() {
        assert_eq!(handle.get(), Ok(2 * n as u64));
    }
    assert_eq!(pool.imap(double, 0..100_000).flatten().count(), 100_000);
    assert_eq!(descriptors(), before);
}

#[spinneret::task]
fn reverse(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().rev().collect()
}

#[test]
fn arguments_and_results_of_every_size_travel() {
    let pool = ProcessPool::new(2).unwrap();
    let sizes: [usize; 11] = [0, 1, 63, 64, 4095, 65_000, 65_536, 65_537, 1 << 20, 2 << 20, 3];
    let inputs: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|n| (n % 251) as u8).collect()).collect();
    for (input, outcome) in inputs.iter().zip(pool.map(reverse, inputs.clone()).unwrap()) {
        assert!(outcome.unwrap().iter().rev().eq(input), "{} bytes differ", input.len());
    }
}
