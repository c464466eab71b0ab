//! Unchanged locks, channels and parking suspend their coroutine and not its hub.
#![cfg(green_threads)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::large_stack_arrays
)]

mod common;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::{finish, patched, run, suspends, until};
use spinneret_green::{Builder, JoinHandle, join_all, spawn};

/// Three coroutines per hub that run `work` with their number.
fn several<T: Send + 'static>(
    work: impl Fn(usize) -> T + Clone + Send + 'static,
) -> Vec<JoinHandle<T>> {
    (0..6)
        .map(|n| {
            let work = work.clone();
            Builder::new().hub(n).spawn(move || work(n)).unwrap()
        })
        .collect()
}

#[test]
fn a_mutex_held_by_a_thread_suspends_only_who_wants_it() {
    patched(1);
    let mutex = Arc::new(Mutex::new(1));
    let held = mutex.lock().unwrap();
    let wanted = Arc::clone(&mutex);
    let lock = move || {
        *wanted.lock().unwrap() += 1;
    };
    suspends(lock, || drop(held));
    assert_eq!(*mutex.lock().unwrap(), 2);
}

#[test]
fn a_mutex_held_over_a_suspension_is_given_on() {
    patched(2);
    let mutex = Arc::new(Mutex::new(0));
    let work = Arc::clone(&mutex);
    let all = several(move |_| {
        for _ in 0..20 {
            let mut held = work.lock().unwrap();
            let before = *held;
            thread::sleep(Duration::from_micros(200));
            *held = before + 1;
        }
    });
    all.into_iter().for_each(finish);
    assert_eq!(*mutex.lock().unwrap(), 120);
}

#[test]
fn a_condition_is_signalled_to_all_and_to_one() {
    patched(2);
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    let shared = Arc::clone(&pair);
    let all = several(move |_| {
        let (mutex, condition) = &*shared;
        let mut tickets = mutex.lock().unwrap();
        while *tickets == 0 {
            tickets = condition.wait(tickets).unwrap();
        }
        *tickets -= 1;
    });
    thread::sleep(Duration::from_millis(10));
    *pair.0.lock().unwrap() += 1;
    pair.1.notify_one();
    until(|| all.iter().filter(|one| one.is_finished()).count() == 1);
    *pair.0.lock().unwrap() += 5;
    pair.1.notify_all();
    all.into_iter().for_each(finish);
}

#[test]
fn a_timed_wait_for_a_condition_times_out() {
    patched(1);
    let timed_out = run(|| {
        let mutex = Mutex::new(());
        let start = Instant::now();
        let wait = Condvar::new().wait_timeout(mutex.lock().unwrap(), Duration::from_millis(30));
        (wait.unwrap().1.timed_out(), start.elapsed() >= Duration::from_millis(30))
    });
    assert_eq!(timed_out, (true, true));
}

#[test]
fn readers_share_and_a_writer_waits_for_them() {
    patched(1);
    let lock = Arc::new(RwLock::new(1));
    let held = lock.read().unwrap();
    let reader = Arc::clone(&lock);
    assert_eq!(run(move || *reader.read().unwrap()), 1);
    let writer = Arc::clone(&lock);
    suspends(move || *writer.write().unwrap() = 2, || drop(held));
    assert_eq!(*lock.read().unwrap(), 2);
}

#[test]
fn a_barrier_lets_coroutines_and_a_thread_go_together() {
    patched(2);
    let barrier = Arc::new(Barrier::new(7));
    let shared = Arc::clone(&barrier);
    let all = several(move |_| shared.wait().is_leader());
    let leads = barrier.wait().is_leader();
    let leaders = all.into_iter().map(finish).filter(|leads| *leads).count();
    assert_eq!(leaders + usize::from(leads), 1);
}

#[test]
fn who_comes_second_waits_until_it_is_initialised() {
    static ONCE: Once = Once::new();
    static CELL: OnceLock<usize> = OnceLock::new();
    patched(1);
    let begun = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&begun);
    let all = several(move |n| {
        let value = *CELL.get_or_init(|| {
            shared.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            n
        });
        ONCE.call_once(|| thread::sleep(Duration::from_millis(20)));
        assert!(ONCE.is_completed());
        value
    });
    let values: Vec<usize> = all.into_iter().map(finish).collect();
    assert!(values.iter().all(|value| *value == values[0]));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

#[test]
fn channels_bounded_unbounded_and_rendezvous_carry_everything() {
    patched(2);
    for bound in [Some(0), Some(1), Some(8), None] {
        let (sum_sent, sum_got) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut all = Vec::new();
        // Two channels in a row: each value passes through a third coroutine.
        let (to_middle, middle) = mpsc::channel::<usize>();
        if let Some(bound) = bound {
            let (sender, receiver) = mpsc::sync_channel(bound);
            all.extend(several(move |n| {
                for round in 0..50 {
                    sender.send(n * 1000 + round).unwrap();
                }
            }));
            all.push(spawn(move || {
                for value in receiver {
                    to_middle.send(value).unwrap();
                }
            }));
        } else {
            all.extend(several(move |n| {
                for round in 0..50 {
                    to_middle.send(n * 1000 + round).unwrap();
                }
            }));
        }
        let (sent, got) = (Arc::clone(&sum_sent), Arc::clone(&sum_got));
        sent.store((0..6).flat_map(|n| (0..50).map(move |r| n * 1000 + r)).sum(), Ordering::SeqCst);
        all.push(spawn(move || got.store(middle.iter().sum(), Ordering::SeqCst)));
        all.into_iter().for_each(finish);
        assert_eq!(sum_sent.load(Ordering::SeqCst), sum_got.load(Ordering::SeqCst), "{bound:?}");
    }
}

#[test]
fn a_rendezvous_within_one_hub_meets() {
    patched(1);
    let (sender, receiver) = mpsc::sync_channel(0);
    let got = suspends(
        move || receiver.recv().unwrap(),
        move || {
            run(move || sender.send(5).unwrap());
        },
    );
    assert_eq!(got, 5);
}

#[test]
fn a_receive_with_a_timeout_ends_by_it() {
    patched(1);
    let (sender, receiver) = mpsc::channel::<()>();
    let outcome = run(move || receiver.recv_timeout(Duration::from_millis(30)));
    assert_eq!(outcome, Err(mpsc::RecvTimeoutError::Timeout));
    drop(sender);
}

#[test]
fn park_is_ended_by_unpark_of_this_coroutine_only() {
    patched(1);
    let (sender, receiver) = mpsc::channel();
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    let work = move || {
        sender.send(thread::current()).unwrap();
        while !told.load(Ordering::SeqCst) {
            thread::park();
        }
        thread::park_timeout(Duration::from_millis(20));
    };
    suspends(work, || {
        let parked = receiver.recv().unwrap();
        // Another coroutine's park is not meant.
        let other = spawn(|| thread::park_timeout(Duration::from_millis(50)));
        done.store(true, Ordering::SeqCst);
        parked.unpark();
        finish(other);
    });
}

#[test]
fn scoped_threads_are_waited_for() {
    patched(1);
    let gate = Arc::new(Barrier::new(2));
    let shared = Arc::clone(&gate);
    let sum = suspends(
        move || {
            let numbers = [1, 2, 3];
            let shared = &shared;
            thread::scope(|scope| {
                let doubled: Vec<_> = numbers
                    .iter()
                    .map(|n| {
                        scope.spawn(move || {
                            if *n == 2 {
                                shared.wait();
                                4
                            } else {
                                n * 2
                            }
                        })
                    })
                    .collect();
                doubled.into_iter().map(|one| one.join().unwrap()).sum::<i32>()
            })
        },
        || {
            gate.wait();
        },
    );
    assert_eq!(sum, 12);
}

#[test]
fn a_joined_thread_suspends_and_gives_its_value_or_panic() {
    patched(1);
    let gate = Arc::new(Barrier::new(2));
    let shared = Arc::clone(&gate);
    let join = move || {
        let thread = thread::Builder::new().name("joined".into());
        let joined = thread.spawn(move || {
            shared.wait();
            thread::current().name().map(str::to_owned)
        });
        joined.unwrap().join().unwrap()
    };
    let name = suspends(join, || {
        gate.wait();
    });
    assert_eq!(name.as_deref(), Some("joined"));
    let panics = run(|| thread::spawn(|| panic!("as it should")).join().is_err());
    assert!(panics);
}

#[test]
fn crossbeam_channels_and_selection_suspend() {
    patched(2);
    let (sender, receiver) = crossbeam_channel::bounded(0);
    let (never, other) = crossbeam_channel::unbounded::<usize>();
    let workers = several(move |_| {
        let mut sum = 0;
        loop {
            crossbeam_channel::select! {
                recv(receiver) -> value => match value {
                    Ok(value) => sum += value,
                    Err(_) => return sum,
                },
                recv(other) -> _ => unreachable!(),
            }
        }
    });
    let source = spawn(move || (0..500_usize).for_each(|n| sender.send(n).unwrap()));
    finish(source);
    let sum: usize = workers.into_iter().map(finish).sum();
    assert_eq!(sum, (0..500).sum());
    drop(never);

    let (sender, receiver) = crossbeam_channel::bounded(1);
    let got = suspends(move || receiver.recv().unwrap(), move || sender.send(7).unwrap());
    assert_eq!(got, 7);
}

#[test]
fn parking_lot_suspends_with_all_its_locks() {
    patched(2);
    let mutex = Arc::new(parking_lot::Mutex::new(1));
    let held = mutex.lock();
    let wanted = Arc::clone(&mutex);
    suspends(move || *wanted.lock() += 1, || drop(held));
    assert_eq!(*mutex.lock(), 2);

    let shared = Arc::new((parking_lot::Mutex::new(0), parking_lot::Condvar::new()));
    let waiters = Arc::clone(&shared);
    let all = several(move |_| {
        let mut count = waiters.0.lock();
        *count += 1;
        waiters.1.notify_all();
        while *count < 6 {
            waiters.1.wait(&mut count);
        }
    });
    all.into_iter().for_each(finish);

    let reentrant = Arc::new(parking_lot::ReentrantMutex::new(()));
    let again = Arc::clone(&reentrant);
    let held = run(move || {
        let _one = again.lock();
        let _two = again.lock();
        thread::sleep(Duration::from_millis(5));
        let other = Arc::clone(&again);
        // Another coroutine of the same hub is not its owner.
        spawn(move || other.try_lock().is_none()).join().unwrap()
    });
    assert!(held);
    let timed = run(|| {
        let mutex = parking_lot::Mutex::new(());
        let _held = mutex.lock();
        mutex.try_lock_for(Duration::from_millis(20)).is_none()
    });
    assert!(timed);
}

/// Lets others run while its owner unwinds.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        assert!(thread::panicking());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_panic_poisons_what_its_own_coroutine_held_and_nothing_else() {
    patched(1);
    let (mine, others) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let held = Arc::clone(&others);
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let calm = spawn(move || {
        let _held = held.lock().unwrap();
        tell.send(()).unwrap();
        ended.recv().unwrap_err();
        assert!(!thread::panicking());
    });
    told.recv().unwrap();
    let poisoned = Arc::clone(&mine);
    let fails = spawn(move || {
        let _held = poisoned.lock().unwrap();
        let _slow = Slow;
        panic!("as it should");
    });
    assert!(fails.join().is_err());
    drop(end);
    finish(calm);
    assert!(mine.is_poisoned());
    assert!(!others.is_poisoned());
}

#[test]
fn panics_are_caught_where_they_were_thrown_while_others_panic_too() {
    patched(1);
    let all = several(|n| {
        (0..5_usize)
            .map(|round| {
                let payload = catch_unwind(AssertUnwindSafe(|| {
                    thread::sleep(Duration::from_micros(300));
                    std::panic::panic_any((n, round));
                }));
                *payload.unwrap_err().downcast::<(usize, usize)>().unwrap()
            })
            .all(|(number, round)| number == n && round < 5)
    });
    assert!(join_all(all).into_iter().all(Result::unwrap));
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static HELD: RefCell<Vec<Counted>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn thread_locals_are_the_coroutines_and_dropped_at_its_end() {
    patched(1);
    let dropped = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&dropped);
    let all = several(move |_| {
        HELD.with_borrow_mut(|held| {
            assert!(held.is_empty());
            held.push(Counted(Arc::clone(&shared)));
            // Borrowed over a suspension: a shared one would panic.
            thread::sleep(Duration::from_millis(3));
        });
        thread::current().id()
    });
    let mut ids: Vec<_> = all.into_iter().map(finish).map(|id| format!("{id:?}")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each coroutine is a thread to std");
    until(|| dropped.load(Ordering::SeqCst) == 6);
}

#[test]
fn coroutines_print() {
    patched(2);
    let all = several(|n| {
        for round in 0..20 {
            println!("coroutine {n}, line {round}");
            thread::yield_now();
        }
    });
    all.into_iter().for_each(finish);
}

#[test]
fn a_coroutine_is_told_its_own_stack() {
    patched(1);
    run(|| {
        let here = 0_u8;
        // SAFETY: all zeros are attributes that nothing was said about.
        let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
        // SAFETY: the call has no preconditions.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: there is room for the attributes.
        let got = unsafe { libc::pthread_getattr_np(this, &raw mut attributes) };
        assert_eq!(got, 0);
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        // SAFETY: the attributes were just made.
        let got = unsafe {
            libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size)
        };
        assert_eq!(got, 0);
        let (here, low) = (&raw const here as usize, low as usize);
        assert!(low < here && here < low + size && size <= 512 << 10, "{low:x} {here:x} {size}");
        // SAFETY: as above.
        unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    });
}
