//! What coroutines promise, whatever they are made of: this passes on both backends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ending;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spinneret_green::{
    Builder, Group, JoinError, JoinHandle, TimedOut, block_on, current, join_all, local, sleep,
    spawn, timeout, wait_any, yield_now,
};

/// Longer than any of these tests may take.
const EVER: Duration = Duration::from_mins(10);
const SOON: Duration = Duration::from_millis(5);

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        sleep(Duration::from_millis(1));
    }
}

/// Runs `test` as a coroutine, and again in this plain thread.
fn everywhere(test: fn()) {
    test();
    if let Err(error) = spawn(test).join() {
        error.resume();
    }
}

/// Counts how often it is dropped.
struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn is_cancelled<T>(result: &Result<T, JoinError>) -> bool {
    matches!(result, Err(JoinError::Cancelled))
}

#[test]
fn both_kinds_return_values() {
    everywhere(|| {
        let text = "a".to_owned();
        assert_eq!(spawn(move || text + "b").join().unwrap(), "ab");
        assert_eq!(spawn(async { 1 + 1 }).join().unwrap(), 2);
        // A closure that makes a future is blocking code with a future as its value.
        assert_eq!(block_on(spawn(|| async { 3 }).join().unwrap()), 3);
    });
}

#[test]
fn futures_have_the_timers_and_sockets_of_tokio() {
    let future = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, server) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.unwrap().peer_addr().unwrap() == server.unwrap().0.local_addr().unwrap()
    };
    assert!(spawn(future).join().unwrap());
}

#[test]
fn block_on_gives_blocking_code_the_timers_of_tokio() {
    everywhere(|| {
        let slept = block_on(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async { 7 }).await.unwrap()
        });
        assert_eq!(slept, 7);
    });
}

#[test]
fn handles_can_be_awaited() {
    let both = async { (spawn(|| 1).await.unwrap(), spawn(async { 2 }).await.unwrap()) };
    assert_eq!(spawn(both).join().unwrap(), (1, 2));
    let failed = spawn(async { spawn(|| panic!("oh")).await.map(|(): ()| ()) });
    assert!(matches!(failed.join().unwrap(), Err(JoinError::Panicked { .. })));
}

#[test]
fn a_panic_is_an_error_with_its_message_and_value() {
    everywhere(|| {
        let seven = 7;
        let error = spawn(move || assert_ne!(seven, 7, "unlucky")).join().unwrap_err();
        assert!(error.to_string().contains("unlucky"), "{error}");
        let error = spawn(async { panic!("in a future") }).join().map(|(): ()| ()).unwrap_err();
        assert_eq!(error.to_string(), "the coroutine panicked: in a future");
        match spawn(|| std::panic::panic_any(3_u8)).join() {
            Err(JoinError::Panicked { message, payload }) => {
                assert_eq!(message, "a panic with a value that is not text");
                assert_eq!(payload.into_inner().downcast_ref(), Some(&3_u8));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn panics_inside_of_panics_stay_where_they_belong() {
    /// Joins a coroutine that panics, in a destructor.
    struct Joins(Arc<AtomicUsize>);
    impl Drop for Joins {
        fn drop(&mut self) {
            let inner = spawn(|| panic!("inner")).join().map(|(): ()| ()).unwrap_err();
            assert!(inner.to_string().contains("inner"));
            sleep(Duration::from_millis(1));
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    everywhere(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let joins = Joins(Arc::clone(&drops));
        let outer = spawn(move || {
            let _joins = joins;
            panic!("outer");
        });
        let error = outer.join().map(|(): ()| ()).unwrap_err();
        assert_eq!(error.to_string(), "the coroutine panicked: outer");
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(!std::thread::panicking());
    });
}

#[test]
fn a_caught_panic_does_not_end_the_coroutine() {
    let work = || {
        let caught = catch_unwind(|| panic!("caught")).is_err();
        yield_now();
        (caught, std::thread::panicking())
    };
    assert_eq!(spawn(work).join().unwrap(), (true, false));
}

#[test]
fn locals_are_each_coroutines_own() {
    local! {
        static COUNT: Cell<u32> = Cell::new(10);
        /// Those who visited.
        static NAMES: RefCell<Vec<String>> = RefCell::new(vec![format!("first of {}", COUNT.get())]);
    }
    let count = |n: u32| {
        COUNT.set(COUNT.get() + n);
        NAMES.with_borrow_mut(|names| names.push(n.to_string()));
        NAMES.with_borrow(|names| (COUNT.get(), names.join(",")))
    };
    let handles = (1..=50).map(|n| {
        spawn(move || {
            count(n);
            yield_now();
            sleep(Duration::from_millis(1));
            count(n)
        })
    });
    for (n, result) in (1..).zip(join_all(handles)) {
        let names = format!("first of {},{n},{n}", 10 + n);
        assert_eq!(result.unwrap(), (10 + 2 * n, names));
    }
    let futures = (1..=50).map(|n| {
        spawn(async move {
            COUNT.set(COUNT.get() + n);
            tokio::time::sleep(Duration::from_millis(1)).await;
            COUNT.set(COUNT.get() + n);
            COUNT.get()
        })
    });
    for (n, result) in (1..).zip(join_all(futures)) {
        assert_eq!(result.unwrap(), 10 + 2 * n);
    }
    assert_eq!(COUNT.get(), 10);
}

#[test]
fn locals_are_dropped_before_a_coroutine_counts_as_ended() {
    local! {
        static KEPT: RefCell<Option<Counts>> = RefCell::new(None);
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let (one, other) = (Counts(Arc::clone(&drops)), Counts(Arc::clone(&drops)));
    spawn(move || KEPT.with_borrow_mut(|kept| *kept = Some(one))).join().unwrap();
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    spawn(async move { KEPT.with_borrow_mut(|kept| *kept = Some(other)) }).join().unwrap();
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[test]
fn coroutines_know_their_names_and_numbers() {
    let who = || current().map(|coroutine| (coroutine.id(), coroutine.name()));
    assert_eq!(who(), None);
    let handle = Builder::new().name("fetcher").spawn(who).unwrap();
    let (id, name) = (handle.id(), handle.name());
    assert_eq!(name, "fetcher");
    assert_eq!(handle.join().unwrap(), Some((id, name)));
    let handle = Builder::new().name("async fetcher").spawn(async move { who() }).unwrap();
    let (id, name) = (handle.id(), handle.name());
    assert_eq!(handle.join().unwrap(), Some((id, name)));
    let handle = spawn(who);
    let id = handle.id();
    assert_eq!(handle.join().unwrap(), Some((id, format!("coroutine-{id}"))));
}

#[test]
fn wait_any_gives_the_first_that_ended() {
    everywhere(|| {
        let mut handles: Vec<_> =
            [3000, 1, 3000].map(|ms| spawn(move || sleep(Duration::from_millis(ms)))).into();
        let id = handles[1].id();
        let first = wait_any(&mut handles).unwrap();
        assert_eq!((first.id(), handles.len()), (id, 2));
        first.join().unwrap();
        handles.iter().for_each(JoinHandle::cancel);
        while let Some(handle) = wait_any(&mut handles) {
            assert!(is_cancelled(&handle.join()));
        }
        assert!(handles.is_empty());
    });
}

#[test]
fn a_coroutine_cannot_wait_for_itself() {
    let (sender, receiver) = std::sync::mpsc::channel::<JoinHandle<()>>();
    let (report, reported) = std::sync::mpsc::channel();
    let handle = spawn(move || {
        let own = receiver.recv().unwrap();
        report.send(own.join()).unwrap();
    });
    sender.send(handle).unwrap();
    let result = reported.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(matches!(result, Err(JoinError::Itself)));
}

#[test]
fn an_async_task_that_would_block_its_hub_is_told_so() {
    let result = spawn(async { spawn(|| sleep(EVER)).join() });
    assert!(matches!(result.join().unwrap(), Err(JoinError::WithinAsync)));
    // Also a task that tokio spawned, on the same hub.
    let tokios = async { tokio::spawn(async { spawn(|| sleep(EVER)).join() }).await };
    let result = spawn(tokios).join().unwrap().unwrap();
    assert!(matches!(result, Err(JoinError::WithinAsync)));
    let result = spawn(async { block_on(std::future::pending::<()>()) });
    let message = result.join().unwrap_err().to_string();
    assert!(message.contains("`.await` the future"), "{message}");
}

#[test]
fn dropped_handles_leave_coroutines_to_themselves() {
    let ends = Arc::new(AtomicUsize::new(0));
    let (one, other) = (Counts(Arc::clone(&ends)), Counts(Arc::clone(&ends)));
    drop(spawn(move || {
        sleep(SOON);
        drop(one);
    }));
    drop(spawn(async move {
        tokio::time::sleep(SOON).await;
        drop(other);
    }));
    eventually(|| ends.load(Ordering::SeqCst) == 2);
}

#[test]
fn a_thousand_coroutines_spawn_and_join_each_other() {
    let sum = spawn(|| {
        let handles = (0..1000_u64).map(|n| {
            spawn(move || {
                sleep(Duration::from_millis(n % 7));
                yield_now();
                spawn(move || n).join().unwrap()
            })
        });
        join_all(handles).into_iter().map(Result::unwrap).sum::<u64>()
    });
    assert_eq!(sum.join().unwrap(), 999 * 1000 / 2);
}

#[test]
fn what_a_coroutine_captured_is_dropped_if_it_never_began() {
    let drops = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..100)
        .map(|_| {
            let counts = Counts(Arc::clone(&drops));
            let handle = spawn(move || {
                sleep(EVER);
                drop(counts);
            });
            handle.cancel();
            handle
        })
        .collect();
    assert!(join_all(handles).iter().all(is_cancelled));
    assert_eq!(drops.load(Ordering::SeqCst), 100);
}

#[test]
fn a_future_that_is_waited_for_runs_as_the_coroutine_that_waits() {
    local! {
        static LEVEL: Cell<u32> = Cell::new(0);
    }
    let work = || {
        LEVEL.set(5);
        block_on(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            LEVEL.set(LEVEL.get() + 1);
            let blocked = spawn(|| sleep(EVER)).join();
            assert!(matches!(blocked, Err(JoinError::WithinAsync)));
            (LEVEL.get(), current().unwrap().name())
        })
    };
    let handle = Builder::new().name("waiter").spawn(work).unwrap();
    assert_eq!(handle.join().unwrap(), (6, "waiter".to_owned()));
}
