//! What processes share is gone, memory and descriptors, when the last of its handles is.
//!
//! One test in a file of its own, since it counts what the whole process has.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod family;

use std::fs;
use std::sync::atomic::Ordering::SeqCst;

use spinneret::process::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore,
};
use spinneret::shared::{Array, Atomic, AtomicArray, Value};

use family::{Child, GENEROUS};

type Shared = (Value<u64>, Array<u8>, Atomic<u32>, AtomicArray<u64>);
type Locks = (Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition, Barrier);

#[spinneret::task]
fn use_all(shared: Shared, locks: Locks) {
    let ((value, array, atomic, atomics), (lock, rlock, semaphore, bounded, event, ..)) =
        (&shared, &locks);
    let _guards = (value.lock().unwrap(), array.lock().unwrap(), lock.lock().unwrap());
    let _more = (rlock.lock().unwrap(), semaphore.acquire(), bounded.acquire());
    atomic.fetch_add(1, SeqCst);
    atomics[0].fetch_add(1, SeqCst);
    event.set();
    std::thread::sleep(GENEROUS);
}

/// How many descriptors there are, and how many mappings of ours.
fn open() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("/memfd:")).count())
}

fn killed_in_the_middle() -> (Shared, Locks) {
    let shared = (
        Value::new(0).unwrap(),
        Array::new(10_000, 0).unwrap(),
        Atomic::new(0).unwrap(),
        AtomicArray::new(4, 0).unwrap(),
    );
    let locks = (
        Lock::new().unwrap(),
        RLock::new().unwrap(),
        Semaphore::new(1).unwrap(),
        BoundedSemaphore::new(1).unwrap(),
        Event::new().unwrap(),
        Condition::new().unwrap(),
        Barrier::new(2).unwrap(),
    );
    let child = Child::start(use_all, (shared.clone(), locks.clone()));
    assert!(locks.4.wait_timeout(GENEROUS));
    child.kill();
    assert!(shared.0.lock().is_err());
    assert_eq!((locks.2.available(), locks.3.available()), (1, 1));
    (shared, locks)
}

#[test]
fn what_was_shared_with_a_killed_process_leaves_nothing_behind() {
    // What is opened once and for all, opened.
    drop(killed_in_the_middle());
    let before = open();
    let all = killed_in_the_middle();
    // Each has its memory; semaphores have two descriptors.
    assert_eq!(open(), (before.0 + 13, before.1 + 11));
    drop(all);
    for _ in 0..3 {
        drop(killed_in_the_middle());
    }
    assert_eq!(open(), before);
}
