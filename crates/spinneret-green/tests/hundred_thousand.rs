//! A hundred thousand coroutines sleep at once, each in a few kilobytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spinneret_green::{Backend, Patch, backend, patch, shutdown, sleep, spawn};

/// What of this process is in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
}

#[test]
fn a_hundred_thousand_sleep_in_five_kilobytes_each() {
    const COUNT: usize = 100_000;
    if *backend() != Backend::GreenThreads {
        // Nobody wants as many threads.
        return;
    }
    patch(&[Patch::Sleep]);
    spawn(|| ()).join().unwrap();
    let before = resident();
    let asleep = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..COUNT)
        .map(|number| {
            let asleep = Arc::clone(&asleep);
            spawn(move || {
                asleep.fetch_add(1, Ordering::SeqCst);
                if number % 2 == 0 {
                    sleep(Duration::from_secs(1000));
                } else {
                    std::thread::sleep(Duration::from_secs(1000));
                }
            })
        })
        .collect();
    let end = Instant::now() + Duration::from_mins(2);
    while asleep.load(Ordering::SeqCst) < COUNT {
        assert!(Instant::now() < end, "{asleep:?} sleep");
        std::thread::sleep(Duration::from_millis(1));
    }
    let each = (resident() - before) / COUNT;
    // Frames of unoptimised code need another page.
    let limit = if cfg!(debug_assertions) { 9 * 1024 + 512 } else { 5 * 1024 };
    assert!(each <= limit, "{each} bytes each");
    drop(handles);
    assert_eq!(shutdown(Duration::from_mins(2)), Ok(()));
}
