//! Waiting and waking.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{super::*, LONG, go, go_first, go_with, hubs, sleep};
use crate::task::{Spec, Task, Woken};

#[test]
fn an_unpark_before_the_park_counts_once() {
    let handle = go(|| {
        let task = current().unwrap().clone();
        task.unpark();
        task.unpark();
        let soon = Instant::now() + Duration::from_millis(5);
        (park(Some(Instant::now() + LONG)), park(Some(soon)))
    });
    assert_eq!(handle.join().unwrap(), (Woken::Unparked, Woken::TimedOut));
}

#[test]
fn deadlines_pass_in_their_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let handles: Vec<_> = [7_u64, 1, 9, 3, 5, 2, 8, 4, 6, 0]
        .into_iter()
        .map(|tenths| {
            let order = Arc::clone(&order);
            go_first(move || {
                sleep(Duration::from_millis(20 + 20 * tenths));
                order.lock().unwrap().push(tenths);
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_passed_deadline_does_not_suspend() {
    let handle = go(|| park(Some(Instant::now())));
    assert_eq!(handle.join().unwrap(), Woken::TimedOut);
}

#[test]
fn others_run_while_one_sleeps() {
    let flag = Arc::new(AtomicBool::new(false));
    let (set, seen) = (Arc::clone(&flag), flag);
    let waits = go_first(move || {
        while !seen.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(1));
        }
    });
    go_first(move || set.store(true, Ordering::SeqCst)).join().unwrap();
    waits.join().unwrap();
}

#[test]
fn cancellation_ends_this_wait_and_each_later_one() {
    let handle = go(|| {
        let woken = [park(None), park(None), sleep(LONG)];
        let future = block_on(std::future::pending::<()>());
        (woken, future)
    });
    handle.task.cancel();
    assert!(handle.task.is_cancelled());
    let expected = ([Woken::Cancelled; 3], Err(Interrupted::Cancelled));
    assert_eq!(handle.join().unwrap(), expected);
}

#[test]
fn a_firm_wait_is_not_cancelled() {
    let go_on = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&go_on);
    let handle = go(move || {
        let mut woken = 0;
        while !flag.load(Ordering::SeqCst) {
            assert_eq!(park_firmly(None), Woken::Unparked);
            woken += 1;
        }
        woken
    });
    handle.task.cancel();
    thread::sleep(Duration::from_millis(20));
    go_on.store(true, Ordering::SeqCst);
    handle.task.unpark();
    assert!((1..=2).contains(&handle.join().unwrap()));
}

#[test]
fn the_deadline_of_a_scope_ends_waits_and_futures() {
    let handle = go(|| {
        let task = current().unwrap();
        task.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
        let waits = (park(None), park(Some(Instant::now() + LONG)));
        let future = block_on(std::future::pending::<()>());
        task.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
        let restless = block_on(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        task.set_deadline(None);
        (waits, restless, future, block_on(async { 5 }))
    });
    let (waits, restless, future, after) = handle.join().unwrap();
    assert_eq!(waits, (Woken::TimedOut, Woken::TimedOut));
    assert_eq!(restless, Err::<(), _>(Interrupted::TimedOut));
    assert_eq!(future, Err(Interrupted::TimedOut));
    assert_eq!(after, Ok(5));
}

#[test]
fn futures_are_polled_on_the_hub_in_its_runtime() {
    let handle = go_first(|| {
        let on = block_on(async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let other = tokio::spawn(async { 4 }).await.unwrap();
            (other, in_green_thread())
        });
        (on, in_green_thread())
    });
    assert_eq!(handle.join().unwrap(), (Ok((4, false)), true));
}

#[test]
fn the_runtime_of_its_hub_is_entered_in_a_green_thread() {
    for _ in 0..3 {
        let handle = go_first(|| {
            let (send, receive) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                let _ = send.send(thread::current().name().map(str::to_owned));
            });
            // A runtime within, and what was entered before is back after it.
            let inner = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let within = inner.block_on(async { tokio::spawn(async { 3 }).await.unwrap() });
            drop(inner);
            let outer = tokio::runtime::Handle::current();
            (block_on(receive).unwrap().unwrap(), within, outer.runtime_flavor())
        });
        let (name, within, flavor) = handle.join().unwrap();
        assert_eq!(name.as_deref(), Some("hub-0"));
        assert_eq!(within, 3);
        assert_eq!(flavor, tokio::runtime::RuntimeFlavor::CurrentThread);
    }
}

#[test]
fn a_panic_of_a_future_is_that_of_its_green_thread() {
    let handle = go(|| block_on(async { panic!("in a future") }));
    assert_eq!(handle.join().unwrap_err().downcast_ref(), Some(&"in a future"));
}

#[test]
fn futures_that_wake_themselves_let_others_run() {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let spins = go_first(move || {
        block_on(async move {
            while !seen.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        })
    });
    go_first(move || {
        sleep(Duration::from_millis(5));
        stop.store(true, Ordering::SeqCst);
    })
    .join()
    .unwrap();
    assert_eq!(spins.join().unwrap(), Ok(()));
}

#[test]
fn async_tasks_have_their_turn_while_green_threads_yield() {
    hubs();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let spins = go_first(move || {
        while !seen.load(Ordering::SeqCst) {
            yield_now();
        }
    });
    let body = async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        stop.store(true, Ordering::SeqCst);
    };
    spawn_future(Spec { hub: Some(0), ..Spec::default() }, Box::pin(body)).unwrap();
    spins.join().unwrap();
}

/// Passes a number around between threads of all kinds: each hands it on when it is its turn.
#[test]
fn no_wake_up_is_lost_between_hubs_and_threads() {
    const ROUNDS: u64 = 3000;
    const RING: u64 = 9;
    hubs();
    let turn = Arc::new(AtomicU64::new(0));
    let ring: Arc<Mutex<Vec<Option<Task>>>> = Arc::new(Mutex::new(vec![None; RING as usize]));
    let handles: Vec<_> = (0..RING)
        .map(|me| {
            let (turn, ring) = (Arc::clone(&turn), Arc::clone(&ring));
            let spec = Spec { hub: Some(me as usize % 3), ..Spec::default() };
            go_with(spec, move || {
                let tasks: Vec<Task> = loop {
                    let tasks = ring.lock().unwrap().clone();
                    match tasks.into_iter().collect() {
                        Some(tasks) => break tasks,
                        None => _ = sleep(Duration::from_millis(1)),
                    }
                };
                let mut mine = 0;
                loop {
                    let now = turn.load(Ordering::SeqCst);
                    if now >= ROUNDS * RING {
                        break;
                    }
                    if now % RING == me {
                        mine += 1;
                        turn.store(now + 1, Ordering::SeqCst);
                        tasks[((me + 1) % RING) as usize].unpark();
                    } else {
                        assert_eq!(park(None), Woken::Unparked);
                    }
                }
                tasks.iter().for_each(Task::unpark);
                mine
            })
        })
        .collect();
    for (slot, handle) in ring.lock().unwrap().iter_mut().zip(&handles) {
        *slot = Some(handle.task.clone());
    }
    // Threads of the operating system that wake at random.
    let tasks: Vec<Task> = handles.iter().map(|handle| handle.task.clone()).collect();
    let noise = thread::spawn({
        let turn = Arc::clone(&turn);
        move || {
            while turn.load(Ordering::SeqCst) < ROUNDS * RING {
                tasks.iter().for_each(Task::unpark);
                thread::yield_now();
            }
        }
    });
    let counts: Vec<u64> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
    assert_eq!(counts, vec![ROUNDS; RING as usize]);
    noise.join().unwrap();
}
