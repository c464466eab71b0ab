//! What a pool of coroutines does beyond what every pool does.

#![cfg(feature = "coroutine")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spinneret::coroutine::{self, Config, current, spawn, yield_now};
use spinneret::pool::{PoolError, worker_state};
use spinneret::{CoroutinePool, Pool, TaskError};

const EVER: Duration = Duration::from_mins(10);

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How many run, now and at most.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[spinneret::task]
fn visit(number: u32) -> u32 {
    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    coroutine::sleep(Duration::from_millis(2));
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    number + 1
}

#[spinneret::task]
fn wait_for_ever() {
    coroutine::sleep(EVER);
}

#[spinneret::task]
async fn pend_for_ever() {
    tokio::time::sleep(EVER).await;
}

#[spinneret::task]
fn own_name() -> String {
    current().unwrap().name()
}

#[spinneret::task]
async fn own_name_later() -> String {
    tokio::task::yield_now().await;
    current().unwrap().name()
}

struct Visits(u32);

#[spinneret::task]
fn count_visit() -> Option<u32> {
    yield_now();
    worker_state::with(|visits: &mut Visits| {
        visits.0 += 1;
        visits.0
    })
}

#[spinneret::task]
async fn count_visit_later() -> Option<u32> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    worker_state::with(|visits: &mut Visits| {
        visits.0 += 1;
        visits.0
    })
}

#[test]
fn two_run_at_a_time() {
    let pool = CoroutinePool::new(2).unwrap();
    let results = pool.map(visit, 0..20).unwrap();
    assert_eq!(results, (1..21).map(Ok).collect::<Vec<_>>());
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[test]
fn waits_suspend_the_task_and_not_its_hub_even_unpatched() {
    coroutine::configure(Config::new().hubs(1)).unwrap();
    let pool = CoroutinePool::new(500).unwrap();
    assert!(pool.map(visit, 0..2000).unwrap().iter().all(Result::is_ok));
    assert!(MOST.load(Ordering::SeqCst) > 100, "{MOST:?}");
}

#[test]
fn a_task_timeout_ends_what_waits_and_the_worker_goes_on() {
    let limit = Duration::from_millis(20);
    let pool = CoroutinePool::builder().workers(1).task_timeout(limit).build().unwrap();
    let timed_out = Err(TaskError::TimedOut { after: limit });
    assert_eq!(pool.apply(wait_for_ever, ()), timed_out);
    assert_eq!(pool.apply(pend_for_ever, ()), timed_out);
    assert_eq!(pool.apply(visit, 1), Ok(2));
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (1, 2));
}

#[test]
fn terminating_ends_tasks_that_wait() {
    let pool = CoroutinePool::new(2).unwrap();
    let blocking = pool.apply_async(wait_for_ever, ()).unwrap();
    let future = pool.apply_async(pend_for_ever, ()).unwrap();
    let queued = pool.apply_async(visit, 1).unwrap();
    eventually(|| pool.snapshot().running == 2);
    pool.terminate();
    assert_eq!(blocking.get(), Err(TaskError::Cancelled));
    assert_eq!(future.get(), Err(TaskError::Cancelled));
    assert_eq!(queued.get(), Err(TaskError::Cancelled));
    assert_eq!(pool.snapshot().workers, []);
}

#[test]
fn workers_have_names_states_and_an_initializer() {
    let builder = CoroutinePool::builder().workers(1).name_prefix("fetcher");
    let pool =
        builder.initializer(|| assert!(worker_state::set(Visits(10)).is_none())).build().unwrap();
    assert_eq!(pool.apply(own_name, ()).as_deref(), Ok("fetcher_0"));
    assert_eq!(pool.apply(own_name_later, ()).as_deref(), Ok("fetcher_0"));
    assert_eq!(pool.apply(count_visit, ()), Ok(Some(11)));
    assert_eq!(pool.apply(count_visit_later, ()), Ok(Some(12)));
    assert_eq!(pool.apply(count_visit, ()), Ok(Some(13)));
    let failing = CoroutinePool::builder().workers(3).initializer(|| panic!("not today")).build();
    assert!(matches!(failing, Err(PoolError::Initializer(TaskError::Panicked { .. }))));
}

#[test]
fn a_pool_can_be_used_within_coroutines_of_the_same_hub() {
    coroutine::configure(Config::new().hubs(1)).unwrap();
    let used = spawn(|| {
        let pool = CoroutinePool::new(3).unwrap();
        let handle = pool.apply_async(visit, 1).unwrap();
        assert_eq!(handle.get_timeout(EVER).unwrap(), Ok(2));
        assert_eq!(pool.apply(visit, 2), Ok(3));
        assert_eq!(pool.imap(visit, 0..10).map(Result::unwrap).sum::<u32>(), 55);
        assert_eq!(pool.imap_unordered(visit, 0..10).map(Result::unwrap).sum::<u32>(), 55);
        pool.close();
        pool.join().unwrap();
        pool.snapshot().done
    });
    assert_eq!(used.join().unwrap(), 22);
}
