//! Green threads of three hubs and threads of the system wait for each other by futexes, so often
//! that a lost wake-up would show: then a count stays behind, and the test says which.
//!
//! `SPINNERET_STRESS` multiplies the rounds; 100 makes millions of waits.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::patched;
use spinneret_green::Builder;

const HUBS: usize = 3;
const THREADS: usize = 3;
const COROUTINES: usize = 9;
const ALL: usize = THREADS + COROUTINES;

fn rounds(usual: usize) -> usize {
    let factor = std::env::var("SPINNERET_STRESS").ok().and_then(|factor| factor.parse().ok());
    usual * factor.unwrap_or(1)
}

/// Runs `work` with each number up to [`ALL`], in coroutines and in threads of the system, and
/// waits as long as `progress` grows.
fn everywhere(
    progress: &Arc<AtomicUsize>,
    work: impl Fn(usize, &AtomicUsize) + Clone + Send + 'static,
) {
    patched(HUBS);
    let ended = Arc::new(AtomicUsize::new(0));
    for n in 0..ALL {
        let (work, progress, ended) = (work.clone(), Arc::clone(progress), Arc::clone(&ended));
        let body = move || {
            work(n, &progress);
            ended.fetch_add(1, Ordering::SeqCst);
        };
        if n < THREADS {
            thread::spawn(body);
        } else {
            drop(Builder::new().hub(n).spawn(body).unwrap());
        }
    }
    let (mut before, mut since) = (usize::MAX, Instant::now());
    while ended.load(Ordering::SeqCst) < ALL {
        let now = progress.load(Ordering::SeqCst);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < common::LONG, "it stands still after {now} steps");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_contended_mutex_counts_exactly() {
    let rounds = rounds(2_000);
    let (progress, counter) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(0_usize)));
    let shared = Arc::clone(&counter);
    everywhere(&progress, move |n, progress| {
        for round in 0..rounds {
            let mut held = shared.lock().unwrap();
            let before = *held;
            if (round + n) % 16 == 0 {
                // Held over a suspension, so that others really wait.
                thread::yield_now();
            }
            *held = before + 1;
            drop(held);
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(*counter.lock().unwrap(), ALL * rounds);
}

#[test]
fn a_token_goes_round_by_conditions() {
    let rounds = rounds(500);
    let progress = Arc::new(AtomicUsize::new(0));
    let ring = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let shared = Arc::clone(&ring);
    everywhere(&progress, move |n, progress| {
        let (mutex, condition) = &*shared;
        for _ in 0..rounds {
            let mut token = mutex.lock().unwrap();
            while *token % ALL != n {
                token = condition.wait(token).unwrap();
            }
            *token += 1;
            condition.notify_all();
            drop(token);
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(*ring.0.lock().unwrap(), ALL * rounds);
}

#[test]
fn pairs_hand_over_by_rendezvous() {
    let rounds = rounds(1_000);
    let progress = Arc::new(AtomicUsize::new(0));
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for _ in 0..ALL {
        let (sender, receiver) = mpsc::sync_channel::<usize>(0);
        senders.push(Mutex::new(Some(sender)));
        receivers.push(Mutex::new(Some(receiver)));
    }
    let (senders, receivers) = (Arc::new(senders), Arc::new(receivers));
    // Each receives from the one before and sends to the one after; the first begins.
    everywhere(&progress, move |n, progress| {
        let to = senders[(n + 1) % ALL].lock().unwrap().take().unwrap();
        let from = receivers[n].lock().unwrap().take().unwrap();
        for round in 0..rounds {
            if n == 0 {
                to.send(round).unwrap();
                assert_eq!(from.recv().unwrap(), round);
            } else {
                assert_eq!(from.recv().unwrap(), round);
                to.send(round).unwrap();
            }
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(progress.load(Ordering::SeqCst), ALL * rounds);
}

#[test]
fn crossbeam_and_parking_lot_lose_nothing() {
    let rounds = rounds(2_000);
    let progress = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = crossbeam_channel::bounded::<usize>(2);
    let sum = Arc::new(parking_lot::Mutex::new(0));
    let shared = Arc::clone(&sum);
    // An even number of workers: half of each kind sends.
    everywhere(&progress, move |n, progress| {
        for round in 0..rounds {
            if n % 2 == 0 {
                sender.send(round).unwrap();
            } else {
                let got = receiver.recv().unwrap();
                *shared.lock() += got;
            }
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(*sum.lock(), ALL / 2 * (0..rounds).sum::<usize>());
}

/// `futex` of two words, as C programs call it.
fn futex(
    operation: i32,
    [word, other]: [&AtomicU32; 2],
    value: u32,
    fourth: usize,
    expected: u32,
) -> i64 {
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    let (word, other) = (word.as_ptr(), other.as_ptr());
    // SAFETY: both words live.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, fourth, other, expected) }
}

#[test]
fn waiters_that_are_moved_to_another_word_are_woken_there() {
    let rounds = rounds(50);
    let progress = Arc::new(AtomicUsize::new(0));
    let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let waiting = Arc::new(AtomicUsize::new(0));
    let woken = Arc::new(AtomicUsize::new(0));
    let shared = (Arc::clone(&words), Arc::clone(&waiting), Arc::clone(&woken));
    everywhere(&progress, move |n, progress| {
        let ([first, second], waiting, woken) = (&*shared.0, &shared.1, &shared.2);
        for round in 0..rounds as u32 {
            if n == 0 {
                // The others of this round are waiting, or about to.
                while waiting.load(Ordering::SeqCst) != (ALL - 1) * (round as usize + 1) {
                    thread::yield_now();
                }
                // Whoever comes later finds the word changed.
                first.store(round + 1, Ordering::SeqCst);
                // One is woken and the rest moved; then the rest is woken at the other word.
                futex(libc::FUTEX_CMP_REQUEUE, [first, second], 1, 1000, round + 1);
                while woken.load(Ordering::SeqCst) != (ALL - 1) * (round as usize + 1) {
                    futex(libc::FUTEX_WAKE, [second, first], 1000, 0, 0);
                    futex(libc::FUTEX_REQUEUE, [first, second], 0, 1000, 0);
                    thread::yield_now();
                }
            } else {
                waiting.fetch_add(1, Ordering::SeqCst);
                while first.load(Ordering::SeqCst) == round {
                    futex(libc::FUTEX_WAIT, [first, second], round, 0, 0);
                }
                woken.fetch_add(1, Ordering::SeqCst);
                // Not into the next round before all have left this one.
                while woken.load(Ordering::SeqCst) < (ALL - 1) * (round as usize + 1) {
                    thread::yield_now();
                }
            }
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(woken.load(Ordering::SeqCst), (ALL - 1) * rounds);
}

#[test]
fn timed_waits_that_race_with_their_wake_end_either_way() {
    let rounds = rounds(300);
    let progress = Arc::new(AtomicUsize::new(0));
    let pair = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let shared = Arc::clone(&pair);
    everywhere(&progress, move |n, progress| {
        let (mutex, condition) = &*shared;
        for round in 0..rounds {
            if n % 2 == 0 {
                *mutex.lock().unwrap() += 1;
                condition.notify_one();
                if round % 8 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
            } else {
                let mut held = mutex.lock().unwrap();
                while *held == 0 {
                    held = condition.wait_timeout(held, Duration::from_micros(60)).unwrap().0;
                }
                *held -= 1;
            }
            progress.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(*pair.0.lock().unwrap(), 0);
}
