//! Begin, end, panics, names, hubs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{super::*, LONG, go, go_first, go_with, hubs, sleep, until};
use crate::task::{Spec, Woken};

#[test]
fn the_trial_passes_here() {
    assert_eq!(probe(), Ok(()));
}

#[test]
fn returns_what_its_closure_returns() {
    assert_eq!(go(|| 6 * 7).join().unwrap(), 42);
}

#[test]
fn is_current_in_itself_only() {
    assert!(current().is_none());
    let handle = go_with(Spec { name: Some("spider".into()), ..Spec::default() }, || {
        current().map(|task| (task.id(), task.name().cloned()))
    });
    let (id, name) = (handle.task.id(), Some("spider".into()));
    assert_eq!(handle.join().unwrap(), Some((id, name)));
}

#[test]
fn many_live_at_once_and_stacks_are_used_again() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    for _ in 0..3 {
        let before = DONE.load(Ordering::SeqCst);
        let handles: Vec<_> = (0..3000_u32)
            .map(|number| {
                go(move || {
                    let mut block = [number as u8; 4000];
                    std::hint::black_box(&mut block);
                    assert_eq!(sleep(Duration::from_millis(5)), Woken::TimedOut);
                    assert!(block.iter().all(|&byte| byte == number as u8));
                    DONE.fetch_add(1, Ordering::SeqCst);
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(DONE.load(Ordering::SeqCst) - before, 3000);
    }
}

#[test]
fn panics_are_caught_within_it_even_while_others_panic() {
    struct Yields;
    impl Drop for Yields {
        fn drop(&mut self) {
            // Suspended in the middle of unwinding: others run, and panic too.
            assert!(std::thread::panicking());
            yield_now();
            assert!(std::thread::panicking());
        }
    }
    let handles: Vec<_> = (0..50)
        .map(|number| {
            go_first(move || {
                let _yields = Yields;
                assert!(number % 2 == 0, "odd {number}");
                assert!(number % 2 != 0, "even {number}");
            })
        })
        .collect();
    for handle in handles {
        let panic = handle.join().unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("odd") || message.starts_with("even"), "{message}");
    }
    assert!(go_first(|| !std::thread::panicking()).join().unwrap());
}

#[test]
fn children_of_one_hub_spread_when_they_are_many() {
    let handle = go_first(|| {
        let threads = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
        for _ in 0..2000 {
            let threads = Arc::clone(&threads);
            let body = move || {
                // SAFETY: the call has no preconditions.
                threads.lock().unwrap().insert(unsafe { libc::gettid() });
                sleep(Duration::from_millis(20));
            };
            spawn(Spec::default(), Box::new(body)).unwrap();
        }
        threads
    });
    let threads = handle.join().unwrap();
    until(|| threads.lock().unwrap().len() == 3);
}

#[test]
fn async_tasks_run_on_hubs_and_are_cancelled() {
    hubs();
    let (send, receive) = std::sync::mpsc::channel();
    let ended = send.clone();
    let body = async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        send.send(std::thread::current().name().map(str::to_owned)).unwrap();
    };
    spawn_future(Spec::default(), Box::pin(body)).unwrap();
    let name = receive.recv_timeout(LONG).unwrap().unwrap();
    assert!(name.starts_with("hub-"), "{name}");

    let task = spawn_future(
        Spec::default(),
        Box::pin(async move {
            let _ended = ended;
            std::future::pending::<()>().await;
        }),
    )
    .unwrap();
    task.cancel();
    let dropped = receive.recv_timeout(LONG);
    assert_eq!(dropped, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn runs_on_a_stack_of_the_size_asked_for() {
    fn deep(bytes: usize) -> usize {
        let block = std::hint::black_box([1u8; 16 << 10]);
        let below = if bytes > block.len() { deep(bytes - block.len()) } else { 0 };
        usize::from(block[0]) + below
    }
    let spec = Spec { stack_size: 8 << 20, ..Spec::default() };
    assert!(go_with(spec, || deep(2 << 20)).join().unwrap() >= 128);
    // Too small for anything but what is given at least.
    let spec = Spec { stack_size: 1, ..Spec::default() };
    assert_eq!(go_with(spec, || 1).join().unwrap(), 1);
}
