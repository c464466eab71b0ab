//! Coroutines that do not end when they are told to are left, and counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spinneret_green::{Builder, Config, configure, shutdown, sleep, spawn};

const EVER: Duration = Duration::from_mins(10);

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    configure(Config::new().hubs(2)).unwrap();
    let started = Arc::new(AtomicUsize::new(0));
    let starts = || {
        let started = Arc::clone(&started);
        move || _ = started.fetch_add(1, Ordering::SeqCst)
    };

    // It takes the cancellation for a panic like others, and goes on.
    let start = starts();
    let stubborn = Builder::new().hub(0).spawn(move || {
        start();
        while catch_unwind(AssertUnwindSafe(|| sleep(EVER))).is_err() {}
    });
    // It never waits, so nothing reaches it.
    let start = starts();
    let spins = Builder::new().hub(1).spawn(move || {
        start();
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            hint::spin_loop();
        }
    });
    let good = spawn(|| sleep(EVER));
    let end = Instant::now() + Duration::from_mins(1);
    while started.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(1));
    }

    // The good one may be queued behind the one that spins.
    let left = shutdown(Duration::from_millis(200)).unwrap_err().coroutines;
    assert!((2..=3).contains(&left), "{left}");
    drop((stubborn, spins, good));
}
