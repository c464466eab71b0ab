//! The queue's wake protocol in a model that tries every interleaving (and, for the atomics, every
//! value that a weak memory may show).
//!
//! It is the real file that runs here, over loom's atomics and a futex made of loom's parts. Nobody
//! naps: whoever sleeps does so until woken, so that a wake-up that is lost is a deadlock, which loom
//! reports. Kills are not modelled: what they cost a nap mends.
#![cfg(shared_memory)]
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use self::signal::Signal;

#[path = "../src/process/queue/signal.rs"]
mod signal;

/// What the file takes from `crate::os`.
mod os {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    pub mod atomic {
        pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
    }

    /// The unlock before it, which is a fence on some machines, is not part of the model.
    pub fn fence_after_unlock() {
        atomic::fence(atomic::Ordering::SeqCst);
    }

    /// More looks before sleeping are no other interleavings.
    pub const LOOKS: u32 = 1;

    type Sleeper = (usize, Arc<Condvar>);

    loom::lazy_static! {
        static ref SLEEPERS: Mutex<VecDeque<Sleeper>> = Mutex::new(VecDeque::new());
    }

    fn key(word: &atomic::AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }

    /// Compares and goes to sleep in one step, as the kernel does.
    pub fn wait(word: &atomic::AtomicU32, expected: u32, _: Option<Instant>) {
        let mut sleepers = SLEEPERS.lock().unwrap();
        if word.load(atomic::Ordering::SeqCst) != expected {
            return;
        }
        let bed = Arc::new(Condvar::new());
        sleepers.push_back((key(word), Arc::clone(&bed)));
        drop(bed.wait(sleepers).unwrap());
    }

    pub fn wake(word: &atomic::AtomicU32, count: u32) -> usize {
        let mut sleepers = SLEEPERS.lock().unwrap();
        let mut woken = 0;
        while woken < count as usize
            && let Some(index) = sleepers.iter().position(|(at, _)| *at == key(word))
        {
            let (_, bed) = sleepers.remove(index).unwrap();
            bed.notify_one();
            woken += 1;
        }
        woken
    }
}

/// A queue that has lost everything but its counts.
struct Model {
    items: AtomicU32,
    room: AtomicU32,
    items_signal: Signal,
    room_signal: Signal,
}

impl Model {
    fn new(room: u32) -> Arc<Self> {
        Arc::new(Self {
            items: AtomicU32::new(0),
            room: AtomicU32::new(room),
            items_signal: Signal::new(),
            room_signal: Signal::new(),
        })
    }

    fn take(from: &AtomicU32) -> bool {
        let less = |count: u32| count.checked_sub(1);
        from.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    fn wait_and_take(from: &AtomicU32, signal: &Signal) {
        while !Self::take(from) {
            signal.wait(None, || from.load(Ordering::Acquire) != 0, || ());
        }
    }

    fn put(&self) {
        Self::wait_and_take(&self.room, &self.room_signal);
        self.items.fetch_add(1, Ordering::Release);
        self.items_signal.notify(1);
    }

    fn get(&self) {
        Self::wait_and_take(&self.items, &self.items_signal);
        self.room.fetch_add(1, Ordering::Release);
        self.room_signal.notify(1);
    }
}

/// Tries interleavings of threads that put and get so often each, with `preemptions` at most, if
/// that is bounded.
fn explore(room: u32, puts: &'static [u32], gets: &'static [u32], preemptions: Option<usize>) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        let model = Model::new(room);
        let put = |count: &u32, model: &Model| (0..*count).for_each(|_| model.put());
        let get = |count: &u32, model: &Model| (0..*count).for_each(|_| model.get());
        let mut threads = Vec::new();
        for count in puts {
            let model = Arc::clone(&model);
            threads.push(thread::spawn(move || put(count, &model)));
        }
        for count in &gets[1..] {
            let model = Arc::clone(&model);
            threads.push(thread::spawn(move || get(count, &model)));
        }
        get(&gets[0], &model);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn one_consumer_never_misses_the_item_of_one_producer() {
    explore(1, &[1], &[1], None);
}

#[test]
fn a_producer_never_misses_that_there_is_room() {
    explore(1, &[2], &[2], Some(3));
}

#[test]
fn two_consumers_share_what_one_producer_puts() {
    explore(2, &[2], &[1, 1], Some(2));
}

#[test]
fn one_consumer_gets_what_two_producers_put() {
    explore(2, &[1, 1], &[2], Some(2));
}

#[test]
fn two_producers_and_two_consumers_pass_each_other_the_only_place() {
    explore(1, &[1, 1], &[1, 1], Some(1));
}
