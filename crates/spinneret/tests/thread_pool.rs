//! What only a pool of threads does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize, Serializer};
use spinneret::pool::PoolError;
use spinneret::{Pool, TaskError, ThreadPool};

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Can neither be serialized nor read back.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "u8")]
struct Stays(usize);

impl TryFrom<u8> for Stays {
    type Error = String;

    fn try_from(_: u8) -> Result<Self, String> {
        Err("it was to stay".to_owned())
    }
}

impl Serialize for Stays {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it was to stay"))
    }
}

#[spinneret::task]
fn next(number: Stays) -> Stays {
    Stays(number.0 + 1)
}

#[test]
fn arguments_and_results_are_not_serialized() {
    let pool = ThreadPool::new(2).unwrap();
    assert_eq!(pool.apply(next, Stays(1)), Ok(Stays(2)));
    assert_eq!(pool.map(next, [Stays(2)]).unwrap(), [Ok(Stays(3))]);
    assert_eq!(pool.imap(next, [Stays(3)]).next(), Some(Ok(Stays(4))));
}

#[spinneret::task]
fn thread_name() -> Option<String> {
    std::thread::current().name().map(ToOwned::to_owned)
}

#[test]
fn threads_bear_the_prefix_and_a_number() {
    let pool = ThreadPool::builder().workers(2).thread_name_prefix("fetcher").build().unwrap();
    let names: Vec<_> = pool.snapshot().workers.into_iter().map(|worker| worker.name).collect();
    assert_eq!(names, ["fetcher_0", "fetcher_1"]);
    assert!(names.contains(&pool.apply(thread_name, ()).unwrap().unwrap()));
    let pool = ThreadPool::new(1).unwrap();
    assert_eq!(pool.apply(thread_name, ()), Ok(Some("ThreadPool_0".to_owned())));
    let worker = &pool.snapshot().workers[0];
    assert_eq!((worker.pid, worker.memory), (std::process::id(), None));
}

#[test]
fn the_initializer_runs_once_in_each_thread_before_any_task() {
    let ran: Arc<Mutex<Vec<_>>> = Arc::default();
    let log = Arc::clone(&ran);
    let initializer = move || log.lock().push(std::thread::current().name().unwrap().to_owned());
    let pool = ThreadPool::builder().workers(3).initializer(initializer).build().unwrap();
    let mut names = ran.lock().clone();
    names.sort();
    assert_eq!(names, ["ThreadPool_0", "ThreadPool_1", "ThreadPool_2"]);
    pool.map(thread_name, vec![(); 20]).unwrap();
    assert_eq!(ran.lock().len(), 3);
}

#[test]
fn a_pool_whose_initializer_panics_does_not_start() {
    let first = AtomicBool::new(true);
    let initializer = move || assert!(!first.swap(false, Ordering::Relaxed), "not today");
    match ThreadPool::builder().workers(2).initializer(initializer).build() {
        Err(error @ PoolError::Initializer(TaskError::Panicked { .. })) => {
            assert!(error.to_string().contains("not today"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

static SHARED: Mutex<Option<Arc<ThreadPool>>> = Mutex::new(None);
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the last handle on the pool that runs it, and ends the pool.
#[spinneret::task]
fn end_own_pool() -> bool {
    let pool = SHARED.lock().take().unwrap();
    TAKEN.store(true, Ordering::Relaxed);
    eventually(|| Arc::strong_count(&pool) == 1);
    pool.close();
    let refused = matches!(pool.join(), Err(PoolError::WithinTask));
    pool.terminate();
    drop(pool);
    refused
}

#[test]
fn a_task_that_ends_its_own_pool_does_not_wait_for_itself() {
    let pool = Arc::new(ThreadPool::new(2).unwrap());
    *SHARED.lock() = Some(Arc::clone(&pool));
    let handle = pool.apply_async(end_own_pool, ()).unwrap();
    eventually(|| TAKEN.load(Ordering::Relaxed));
    drop(pool);
    let outcome = handle.get_timeout(Duration::from_secs(30)).expect("it waits for itself");
    assert_eq!(outcome, Ok(true));
}

/// Panics as it is dropped.
#[derive(Debug, Serialize, Deserialize)]
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

static GATE: Mutex<()> = Mutex::new(());

#[spinneret::task]
fn make_mine() -> Mine {
    drop(GATE.lock());
    Mine
}

#[spinneret::task]
fn panic_with_mine() {
    std::panic::panic_any(Mine);
}

#[test]
fn values_that_panic_when_dropped_cost_no_thread() {
    let pool = ThreadPool::new(1).unwrap();
    let gate = GATE.lock();
    // Nobody takes the results, so that the thread has to drop them.
    drop(pool.map_async(make_mine, [(), (), ()]).unwrap());
    drop(gate);
    assert!(pool.apply(panic_with_mine, ()).is_err());
    assert_eq!(pool.apply(thread_name, ()), Ok(Some("ThreadPool_0".to_owned())));
    assert_eq!((pool.snapshot().done, pool.snapshot().failed), (4, 1));
}

static MEETING: std::sync::OnceLock<Barrier> = std::sync::OnceLock::new();

#[spinneret::task]
fn meet() -> String {
    MEETING.get_or_init(|| Barrier::new(3)).wait();
    format!("{:?}", std::thread::current().id())
}

#[test]
fn tasks_can_meet() {
    let pool = ThreadPool::new(3).unwrap();
    let threads: BTreeSet<_> = pool.imap(meet, [(), (), ()]).map(Result::unwrap).collect();
    assert_eq!(threads.len(), 3);
}
