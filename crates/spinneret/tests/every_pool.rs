//! What every pool does, whatever its workers are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use spinneret::manager::{self, AuthKey, Manager, WorkerBuilder};
use spinneret::pool::{PoolError, SubmitError};
use spinneret::{ClusterPool, Outcome, Pool, ProcessPool, TaskError, TaskHandle, ThreadPool};

/// The suite for a pool, given how one of so many workers is started.
macro_rules! suite {
    ($pool:ident, $start:expr) => {
        mod $pool {
            use super::*;

            suite!(@ $start; outcomes_come_in_the_order_of_inputs,
                tuples_are_several_arguments,
                async_tasks_run,
                a_panic_is_an_outcome_with_its_message_and_backtrace,
                a_tasks_own_error_is_inside_its_value,
                workers_run_at_the_same_time,
                the_same_workers_serve_call_after_call,
                a_handle_can_be_waited_for_with_a_limit_and_awaited,
                a_queued_task_can_be_cancelled_and_a_running_one_cannot,
                imap_takes_inputs_lazily_and_keeps_few_on_their_way,
                imap_unordered_gives_what_is_done_first,
                imap_unordered_gives_every_outcome_once,
                a_closed_pool_ends_its_work_and_takes_no_more,
                imap_of_a_pool_that_closes_ends,
                a_terminated_pool_cancels_what_waits,
                a_dropped_pool_is_terminated,
                the_snapshot_counts_tasks_by_worker,
                a_task_can_have_a_pool_of_its_own,
                many_threads_can_share_a_pool,
                no_workers_are_refused);
        }
    };
    (@ $start:expr; $($test:ident),*) => {
        $(
            #[test]
            fn $test() {
                super::$test(&$start);
            }
        )*
    };
}

suite!(threads, ThreadPool::new);
#[cfg(feature = "coroutine")]
suite!(coroutines, coroutines);
suite!(processes, ProcessPool::new);
suite!(machines, machines);
suite!(machines_with_threads, machines_with_threads);

/// How a pool of so many workers is started.
trait Start<P>: Fn(usize) -> Result<P, PoolError> {}

impl<P, F: Fn(usize) -> Result<P, PoolError>> Start<P> for F {}

/// A pool that runs so many tasks at once, which block as they would in threads.
#[cfg(feature = "coroutine")]
fn coroutines(workers: usize) -> Result<spinneret::CoroutinePool, PoolError> {
    spinneret::coroutine::patch_all();
    spinneret::CoroutinePool::new(workers)
}

/// A pool of so many workers, each of which runs one task at a time in a process.
fn machines(workers: usize) -> Result<ClusterPool, PoolError> {
    cluster(workers, WorkerBuilder::concurrency)
}

/// The same with threads.
fn machines_with_threads(workers: usize) -> Result<ClusterPool, PoolError> {
    cluster(workers, |worker, slots| worker.threads(ThreadPool::builder().workers(slots)))
}

fn cluster(
    workers: usize,
    settle: impl Fn(WorkerBuilder, usize) -> WorkerBuilder,
) -> Result<ClusterPool, PoolError> {
    let key = AuthKey::new("qiye");
    let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
    let address = manager.local_addr();
    for number in 0..workers.max(1) {
        let worker = manager::worker(address).authkey(key.clone()).name(format!("w{number}"));
        // There is no worker without a slot.
        let worker = settle(worker, usize::from(workers > 0)).start()?;
        // It ends with the test's process, and so does the manager.
        std::mem::forget(worker);
    }
    std::mem::forget(manager);
    ClusterPool::connect(address, &key)
}

#[spinneret::task]
fn square(n: u64) -> u64 {
    n * n
}

#[spinneret::task]
fn power(base: u64, exponent: u32) -> u64 {
    base.pow(exponent)
}

#[spinneret::task]
async fn later(n: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    n + 1
}

#[spinneret::task]
fn fail(kind: String) -> Result<(), String> {
    assert!(kind != "panic", "it was asked to {kind}");
    Err(kind)
}

/// Runs until the file is there.
#[spinneret::task]
fn wait_for(file: PathBuf) -> bool {
    eventually(|| file.exists());
    true
}

#[spinneret::task]
fn who() -> String {
    format!("{} {:?}", std::process::id(), std::thread::current().id())
}

#[spinneret::task]
fn sum_of_squares(n: u64) -> u64 {
    let pool = ThreadPool::new(2).unwrap();
    pool.map(square, 0..n).unwrap().into_iter().map(Result::unwrap).sum()
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

fn outcomes_come_in_the_order_of_inputs<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    let expected: Vec<Outcome<u64>> = (0..300).map(|n| Ok(n * n)).collect();
    assert_eq!(pool.map(square, 0..300).unwrap(), expected);
    assert_eq!(pool.imap(square, 0..300).collect::<Vec<_>>(), expected);
    let handles = pool.map_async(square, 0..300).unwrap();
    assert_eq!(handles.into_iter().map(TaskHandle::get).collect::<Vec<_>>(), expected);
    assert_eq!(pool.map(square, []).unwrap(), []);
    assert_eq!(pool.imap(square, []).next(), None);
}

fn tuples_are_several_arguments<P: Pool>(start: &impl Start<P>) {
    let pool = start(1).unwrap();
    assert_eq!(pool.apply(power, (2, 10)), Ok(1024));
    assert_eq!(pool.map(power, [(2, 3), (3, 2)]).unwrap(), [Ok(8), Ok(9)]);
}

fn async_tasks_run<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    assert_eq!(pool.map(later, 0..5).unwrap(), (1..6).map(Ok).collect::<Vec<_>>());
}

fn a_panic_is_an_outcome_with_its_message_and_backtrace<P: Pool>(start: &impl Start<P>) {
    let pool = start(1).unwrap();
    match pool.apply(fail, "panic".into()) {
        Err(TaskError::Panicked { message, backtrace }) => {
            assert_eq!(message, "it was asked to panic");
            assert!(backtrace.contains("every_pool::fail"), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
    let outcome = pool.apply(power, (10, 20));
    assert!(matches!(outcome, Err(TaskError::Panicked { .. })), "{outcome:?}");
    assert_eq!(pool.apply(square, 2), Ok(4), "the worker goes on");
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1, 2));
    assert_eq!(pool.snapshot().restarts, 0);
}

fn a_tasks_own_error_is_inside_its_value<P: Pool>(start: &impl Start<P>) {
    let pool = start(1).unwrap();
    assert_eq!(pool.apply(fail, "fail".into()), Ok(Err("fail".to_owned())));
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1, 0));
}

fn workers_run_at_the_same_time<P: Pool>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let pool = start(2).unwrap();
    let first = pool.apply_async(wait_for, a.clone()).unwrap();
    let second = pool.apply_async(wait_for, b.clone()).unwrap();
    eventually(|| pool.snapshot().running == 2);
    create(&b);
    assert_eq!(second.get(), Ok(true));
    assert!(!first.is_done());
    create(&a);
    assert_eq!(first.get(), Ok(true));
}

fn the_same_workers_serve_call_after_call<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        seen.insert(pool.apply(who, ()).unwrap());
        seen.extend(pool.map(who, [(), ()]).unwrap().into_iter().map(Result::unwrap));
    }
    assert!(seen.len() <= 2, "{seen:?}");
}

fn a_handle_can_be_waited_for_with_a_limit_and_awaited<P: Pool>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = start(1).unwrap();
    let handle = pool.apply_async(wait_for, file.clone()).unwrap();
    let handle = handle.get_timeout(Duration::from_millis(5)).expect_err("it still waits");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = runtime.block_on(async {
        let mut handle = handle;
        // Polled before it is done, so that it must wake us.
        let pending =
            poll_fn(|context| Poll::Ready(Pin::new(&mut handle).poll(context).is_pending()));
        assert!(pending.await);
        create(&file);
        handle.await
    });
    assert_eq!(outcome, Ok(true));
}

fn a_queued_task_can_be_cancelled_and_a_running_one_cannot<P: Pool>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = start(1).unwrap();
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

fn imap_takes_inputs_lazily_and_keeps_few_on_their_way<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    let taken = Cell::new(0_u64);
    let inputs = (0..).inspect(|_| taken.set(taken.get() + 1));
    let mut outcomes = pool.imap(square, inputs);
    assert_eq!(taken.get(), 0);
    for given in 0..3000 {
        assert_eq!(outcomes.next(), Some(Ok(given * given)));
        assert!(taken.get() <= given + 2 * 64, "{} taken after {given}", taken.get());
    }
    drop(outcomes);
    eventually(|| pool.snapshot().queued == 0 && pool.snapshot().running == 0);
    assert_eq!(pool.snapshot().done + pool.snapshot().failed, taken.get());
    assert_eq!(pool.apply(square, 3), Ok(9));
}

fn imap_unordered_gives_what_is_done_first<P: Pool>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("slow");
    let fast = folder.path().join("fast");
    create(&fast);
    let pool = start(2).unwrap();
    let mut outcomes = pool.imap_unordered(wait_for, [slow.clone(), fast]);
    assert_eq!(outcomes.next(), Some(Ok(true)));
    create(&slow);
    assert_eq!(outcomes.next(), Some(Ok(true)));
    assert_eq!(outcomes.next(), None);
    assert_eq!(outcomes.next(), None);
}

fn imap_unordered_gives_every_outcome_once<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    let got: Vec<u64> = pool.imap_unordered(square, 0..3000).map(Result::unwrap).collect();
    assert_eq!(got.len(), 3000);
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), (0..3000).map(|n| n * n).collect());
    assert_eq!(pool.snapshot().done, 3000);
}

fn a_closed_pool_ends_its_work_and_takes_no_more<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    let handles: Vec<_> = (0..50).map(|n| pool.apply_async(square, n).unwrap()).collect();
    assert!(matches!(pool.join(), Err(PoolError::NotClosed)));
    pool.close();
    assert!(matches!(pool.apply_async(square, 1), Err(SubmitError::Closed)));
    assert!(matches!(pool.map(square, 0..2), Err(SubmitError::Closed)));
    assert_eq!(pool.apply(square, 1), Err(TaskError::Cancelled));
    pool.join().unwrap();
    assert!(handles.iter().all(TaskHandle::is_done));
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.get(), Ok(n * n));
    }
    assert_eq!(pool.snapshot().workers, []);
    pool.join().unwrap();
}

fn imap_of_a_pool_that_closes_ends<P: Pool>(start: &impl Start<P>) {
    let pool = start(1).unwrap();
    let mut outcomes = pool.imap(square, 1..);
    assert_eq!(outcomes.next(), Some(Ok(1)));
    pool.close();
    let rest: Vec<_> = outcomes.collect();
    let cancelled = rest.iter().position(Result::is_err).expect("the input that was not taken");
    assert_eq!(rest[cancelled..], [Err(TaskError::Cancelled)]);
    assert_eq!(rest[..cancelled], (2..).map(|n| Ok(n * n)).take(cancelled).collect::<Vec<_>>());
}

fn a_terminated_pool_cancels_what_waits<P: Pool + Sync>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = start(1).unwrap();
    let running = pool.apply_async(wait_for, file.clone()).unwrap();
    let queued = pool.apply_async(square, 2).unwrap();
    eventually(|| pool.snapshot().running == 1);
    std::thread::scope(|scope| {
        scope.spawn(|| pool.terminate());
        assert_eq!(queued.get(), Err(TaskError::Cancelled));
        // For workers that cannot be killed.
        create(&file);
    });
    assert!(matches!(running.get(), Ok(true) | Err(TaskError::Cancelled)));
    assert!(matches!(pool.apply_async(square, 1), Err(SubmitError::Closed)));
    pool.join().unwrap();
    assert_eq!(pool.snapshot().workers, []);
}

fn a_dropped_pool_is_terminated<P: Pool>(start: &impl Start<P>) {
    let pool = start(1).unwrap();
    let handles = pool.map_async(sum_of_squares, vec![1000; 200]).unwrap();
    drop(pool);
    assert!(handles.iter().all(TaskHandle::is_done));
    assert_eq!(handles.into_iter().next_back().unwrap().get(), Err(TaskError::Cancelled));
}

fn the_snapshot_counts_tasks_by_worker<P: Pool>(start: &impl Start<P>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let pool = start(2).unwrap();
    assert!(pool.map(square, 0..99).unwrap().iter().all(Result::is_ok));
    let running = pool.apply_async(wait_for, file.clone()).unwrap();
    eventually(|| pool.snapshot().running == 1);
    let before = pool.snapshot();
    assert_eq!((before.done, before.failed, before.queued, before.restarts), (99, 0, 0, 0));
    let names: BTreeSet<_> = before.workers.iter().map(|worker| worker.name.clone()).collect();
    assert_eq!(names.len(), 2, "{before:?}");
    assert!(before.workers.iter().all(|worker| worker.alive && worker.pid != 0));
    let busy = || pool.snapshot().workers.iter().map(|worker| worker.busy).sum::<Duration>();
    let first = busy();
    eventually(|| busy() >= first + Duration::from_millis(5));
    create(&file);
    assert_eq!(running.get(), Ok(true));
    let tasks = pool.snapshot().workers.iter().map(|worker| worker.tasks).sum::<u64>();
    assert_eq!(tasks, 100);
    let rest = busy();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(busy(), rest, "nothing runs");
}

fn a_task_can_have_a_pool_of_its_own<P: Pool>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
    assert_eq!(pool.map(sum_of_squares, [3, 4]).unwrap(), [Ok(5), Ok(14)]);
}

fn many_threads_can_share_a_pool<P: Pool + Sync>(start: &impl Start<P>) {
    let pool = start(2).unwrap();
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

fn no_workers_are_refused<P: Pool>(start: &impl Start<P>) {
    assert!(matches!(start(0), Err(PoolError::Zero("workers"))));
}
