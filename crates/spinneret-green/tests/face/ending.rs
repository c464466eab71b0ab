//! How coroutines end before their time: cancelling, timeouts, groups.

use super::*;

#[test]
fn cancelling_ends_explicit_waits_and_runs_destructors() {
    everywhere(|| {
        let waits: [fn(); 5] = [
            || sleep(EVER),
            || drop(spawn(|| sleep(EVER)).join()),
            || block_on(std::future::pending()),
            || Group::new().spawn(|| sleep(EVER)).join().unwrap(),
            || {
                loop {
                    yield_now();
                }
            },
        ];
        for wait in waits {
            let drops = Arc::new(AtomicUsize::new(0));
            let (counts, began) = (Counts(Arc::clone(&drops)), Arc::new(AtomicUsize::new(0)));
            let begins = Arc::clone(&began);
            let handle = spawn(move || {
                let _counts = counts;
                begins.fetch_add(1, Ordering::SeqCst);
                wait();
            });
            eventually(|| began.load(Ordering::SeqCst) == 1);
            handle.cancel();
            assert!(is_cancelled(&handle.join()));
            assert_eq!(drops.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_cancelled_future_is_dropped() {
    let drops = Arc::new(AtomicUsize::new(0));
    let counts = Counts(Arc::clone(&drops));
    let handle = spawn(async move {
        let _counts = counts;
        std::future::pending::<()>().await;
    });
    handle.cancel();
    assert!(is_cancelled(&handle.join()));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn cancelling_what_has_ended_changes_nothing() {
    let handle = spawn(|| 5);
    eventually(|| handle.is_finished());
    handle.cancel();
    assert_eq!(handle.join().unwrap(), 5);
}

#[test]
fn destructors_of_a_cancelled_coroutine_may_wait() {
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            sleep(Duration::from_millis(1));
            yield_now();
            let answer = spawn(|| 1).join().unwrap() + block_on(async { 1 });
            self.0.fetch_add(answer, Ordering::SeqCst);
        }
    }
    let sum = Arc::new(AtomicUsize::new(0));
    let waits = Waits(Arc::clone(&sum));
    let handle = spawn(move || {
        let _waits = waits;
        sleep(EVER);
    });
    handle.cancel();
    assert!(is_cancelled(&handle.join()));
    assert_eq!(sum.load(Ordering::SeqCst), 2);
}

#[test]
fn a_cancellation_within_a_shield_comes_when_it_ends() {
    let handle = spawn(|| {
        let group = Group::new();
        let began = Arc::new(AtomicUsize::new(0));
        let begins = Arc::clone(&began);
        let child = group.spawn(move || {
            struct Slow;
            impl Drop for Slow {
                fn drop(&mut self) {
                    sleep(Duration::from_millis(20));
                }
            }
            let _slow = Slow;
            begins.fetch_add(1, Ordering::SeqCst);
            sleep(EVER);
        });
        eventually(|| began.load(Ordering::SeqCst) == 1);
        drop(group);
        assert!(child.is_finished());
        sleep(EVER);
    });
    sleep(SOON);
    handle.cancel();
    sleep(SOON);
    handle.cancel();
    assert!(is_cancelled(&handle.join()));
}

#[test]
fn a_dropped_group_ends_its_children() {
    everywhere(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let group = Group::new();
        let children: Vec<JoinHandle<()>> = (0..10)
            .map(|_| {
                let counts = Counts(Arc::clone(&drops));
                group.spawn(move || {
                    let _counts = counts;
                    sleep(EVER);
                })
            })
            .collect();
        let future = group.spawn(std::future::pending::<()>());
        assert_eq!(group.len(), 11);
        drop(group);
        assert!(children.iter().all(JoinHandle::is_finished));
        assert!(is_cancelled(&future.join()));
        assert!(join_all(children).iter().all(is_cancelled));
        assert_eq!(drops.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn a_panic_ends_the_group_around_it() {
    let child = Arc::new(AtomicUsize::new(0));
    let counts = Counts(Arc::clone(&child));
    let parent = spawn(move || {
        let group = Group::new();
        drop(group.spawn(move || {
            let _counts = counts;
            sleep(EVER);
        }));
        panic!("over");
    });
    assert!(parent.join().map(|(): ()| ()).is_err());
    assert_eq!(child.load(Ordering::SeqCst), 1);
}

#[test]
fn a_group_waits_for_those_that_come_later() {
    let group = Arc::new(Group::new());
    let done = Arc::new(AtomicUsize::new(0));
    let (inner, counts) = (Arc::downgrade(&group), Counts(Arc::clone(&done)));
    drop(group.spawn(move || {
        sleep(SOON);
        let group = inner.upgrade().unwrap();
        drop(group.spawn(move || {
            let _counts = counts;
            sleep(SOON);
        }));
    }));
    group.join();
    assert_eq!(done.load(Ordering::SeqCst), 1);
    assert!(group.is_empty());
    let again = Arc::clone(&group);
    spawn(async move { again.join_async().await }).join().unwrap();
}

#[test]
fn a_timeout_ends_explicit_waits_and_runs_destructors() {
    everywhere(|| {
        let waits: [fn(); 4] = [
            || sleep(EVER),
            || drop(spawn(|| sleep(EVER)).join()),
            || block_on(std::future::pending()),
            || {
                loop {
                    yield_now();
                }
            },
        ];
        for wait in waits {
            let drops = Arc::new(AtomicUsize::new(0));
            let counts = Counts(Arc::clone(&drops));
            let result = timeout(SOON, || {
                let _counts = counts;
                wait();
            });
            assert_eq!(result, Err(TimedOut { limit: SOON }));
            assert_eq!(drops.load(Ordering::SeqCst), 1);
        }
        // It is over with it.
        sleep(2 * SOON);
        assert_eq!(timeout(EVER, || spawn(|| 3).join().unwrap()), Ok(3));
        assert_eq!(timeout(Duration::MAX, || 4), Ok(4));
    });
}

#[test]
fn the_timeout_whose_time_is_up_is_the_one_that_fails() {
    everywhere(|| {
        let inner = timeout(EVER, || timeout(SOON, || sleep(EVER)));
        assert_eq!(inner, Ok(Err(TimedOut { limit: SOON })));
        let outer = timeout(SOON, || timeout(EVER, || sleep(EVER)));
        assert_eq!(outer, Err(TimedOut { limit: SOON }));
        let later = 2 * SOON;
        let both = timeout(later, || {
            let inner = timeout(SOON, || sleep(EVER));
            assert_eq!(inner, Err(TimedOut { limit: SOON }));
            sleep(EVER);
        });
        assert_eq!(both, Err(TimedOut { limit: later }));
        let panics = catch_unwind(|| timeout(EVER, || panic!("through")));
        assert!(panics.is_err());
    });
}

#[test]
fn a_cancellation_goes_through_a_timeout() {
    let handle = spawn(|| timeout(EVER, || sleep(EVER)));
    sleep(SOON);
    handle.cancel();
    assert!(is_cancelled(&handle.join()));
}

#[test]
fn a_swallowed_cancellation_can_be_followed_by_another() {
    let swallowed = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&swallowed);
    let handle = spawn(move || {
        drop(catch_unwind(AssertUnwindSafe(|| sleep(EVER))));
        counts.fetch_add(1, Ordering::SeqCst);
        sleep(EVER);
    });
    handle.cancel();
    // Where it was cancelled before it began there is nothing to swallow.
    eventually(|| swallowed.load(Ordering::SeqCst) == 1 || handle.is_finished());
    handle.cancel();
    assert!(is_cancelled(&handle.join()));
}
