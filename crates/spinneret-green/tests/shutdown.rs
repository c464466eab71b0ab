//! The end of all coroutines. One test: there is no beginning after it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spinneret_green::{Builder, JoinError, join_all, shutdown, sleep, spawn};

struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_shutdown_cancels_what_lives_and_ends() {
    let ever = Duration::from_mins(10);
    let drops = Arc::new(AtomicUsize::new(0));
    let counts = || Counts(Arc::clone(&drops));
    let mut handles: Vec<_> = (0..50)
        .map(|_| {
            let counts = counts();
            spawn(move || {
                let _counts = counts;
                sleep(ever);
            })
        })
        .collect();
    handles.extend((0..50).map(|_| {
        let counts = counts();
        spawn(async move {
            let _counts = counts;
            tokio::time::sleep(ever).await;
        })
    }));
    sleep(Duration::from_millis(10));
    assert_eq!(shutdown(Duration::from_mins(1)), Ok(()));
    for result in join_all(handles) {
        assert!(matches!(result, Err(JoinError::Cancelled)), "{result:?}");
    }
    assert_eq!(drops.load(Ordering::SeqCst), 100);
    let refused = Builder::new().spawn(|| ()).unwrap_err();
    assert!(refused.to_string().contains("shut down"), "{refused}");
    assert!(Builder::new().spawn(async {}).is_err());
    assert_eq!(shutdown(Duration::ZERO), Ok(()));
}
