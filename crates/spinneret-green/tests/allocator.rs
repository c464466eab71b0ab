//! An allocator with a cache per thread has one per hub.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use spinneret_green::{Backend, Config, HubAllocator, backend, configure, join_all, sleep, spawn};

/// Gives each set of thread-locals a number when it first allocates, as one that makes a cache.
struct Counting;

static CACHES: AtomicUsize = AtomicUsize::new(0);
static COUNTS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CACHE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) && CACHE.get() == 0 {
            CACHE.set(1 + CACHES.fetch_add(1, Ordering::Relaxed));
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: HubAllocator<Counting> = HubAllocator(Counting);

#[test]
fn a_cache_per_hub_is_enough() {
    configure(Config::new().hubs(2)).unwrap();
    spawn(|| ()).join().unwrap();
    COUNTS.store(true, Ordering::Relaxed);
    let handles: Vec<_> = (0..200_u32)
        .map(|number| {
            spawn(move || {
                let mut blocks = vec![vec![number as u8; 100]];
                sleep(Duration::from_millis(1));
                blocks.push(vec![number as u8; 5000]);
                blocks.concat()
            })
        })
        .collect();
    let lengths: HashSet<_> =
        join_all(handles).into_iter().map(|result| result.unwrap().len()).collect();
    assert_eq!(lengths, HashSet::from([5100]));
    if *backend() == Backend::GreenThreads {
        // Two hubs, this thread, the watchdog.
        let caches = CACHES.load(Ordering::Relaxed);
        assert!((1..=4).contains(&caches), "{caches}");
    }
}
