//! Locks and permits, and what becomes of those that were held.

use std::{sync::Arc, thread, time::Duration};

use spinneret::manager::{
    Client, ManagerError,
    pickle::ExceptionKind,
    proxy::{Condition, Lock},
};

use crate::{
    LONG, SHORT,
    ends::{End, each, each_python},
    eventually, key, raised,
};

#[test]
fn a_lock_is_held_by_one_until_its_guard_is_gone() {
    each(|end| {
        let client = end.client();
        let lock = client.new_lock().unwrap();
        let guard = lock.lock().unwrap();
        assert!(lock.try_lock().unwrap().is_none());
        if end.is_python_2() {
            let error = lock.lock_timeout(SHORT).unwrap_err();
            assert!(matches!(error, ManagerError::Unsupported { .. }), "{error:?}");
        } else {
            assert!(lock.lock_timeout(SHORT).unwrap().is_none());
        }
        guard.unlock().unwrap();
        drop(lock.try_lock().unwrap().expect("it is free"));
        eventually("the dropped guard unlocked it", || lock.try_lock().unwrap().is_some());
    });
}

#[test]
fn a_lock_makes_a_sum_of_many_come_out_right() {
    each(|end| {
        let client = end.client();
        let (lock, sum) = (client.new_lock().unwrap(), client.new_value("i", &0).unwrap());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let guard = lock.lock().unwrap();
                        sum.set(&(sum.get().unwrap() + 1)).unwrap();
                        guard.unlock().unwrap();
                    }
                });
            }
        });
        assert_eq!(sum.get().unwrap(), 40);
    });
}

#[test]
fn an_rlock_is_taken_again_by_its_holder_alone() {
    each(|end| {
        let lock = end.client().new_rlock().unwrap();
        let outer = lock.lock().unwrap();
        let inner = outer.clone();
        assert_eq!(outer.holds(), 2);
        outer.unlock().unwrap();
        assert!(lock.try_lock().unwrap().is_none(), "it is still held once");
        inner.unlock().unwrap();
        assert!(lock.try_lock().unwrap().is_some());
    });
}

#[test]
fn a_semaphore_has_so_many_permits() {
    each(|end| {
        let client = end.client();
        let semaphore = client.new_semaphore(2).unwrap();
        let (one, two) = (semaphore.acquire().unwrap(), semaphore.acquire().unwrap());
        assert!(semaphore.try_acquire().unwrap().is_none());
        one.release().unwrap();
        let again = semaphore.try_acquire().unwrap().expect("one is free");
        semaphore.release().unwrap();
        let third = semaphore.try_acquire().unwrap().expect("one was added");
        for permit in [two, again, third] {
            permit.release().unwrap();
        }

        let bounded = client.new_bounded_semaphore(1).unwrap();
        assert_eq!(raised(bounded.release()), ExceptionKind::ValueError);
    });
}

#[test]
fn a_waiting_lock_is_had_when_it_is_free() {
    each(|end| {
        let lock = end.client().new_lock().unwrap();
        let guard = lock.lock().unwrap();
        let other: Lock = end.client().object("Lock", ()).unwrap().into();
        drop(other.lock().unwrap());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| lock.lock().unwrap().unlock());
            thread::sleep(SHORT);
            guard.unlock().unwrap();
            waiting.join().unwrap().unwrap();
        });
    });
}

/// Without this a Python server would have a lock that nobody holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_given_up_while_it_is_waited_for_is_free() {
    let ends = crate::pythons::all().iter().map(End::python).chain([End::ours()]);
    for end in ends {
        let client = Client::connect_async(end.address(), &key()).await.unwrap();
        let lock = client.new_lock_async().await.unwrap();
        let guard = lock.lock_async().await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(100), lock.lock_async()).await;
        assert!(given_up.is_err());
        guard.unlock_async().await.unwrap();
        let start = std::time::Instant::now();
        while lock.try_lock_async().await.unwrap().is_none() {
            assert!(start.elapsed() < LONG, "nobody holds it, and nobody gets it");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[test]
fn guards_can_be_sent_to_other_threads() {
    each_python(|end| {
        let lock = Arc::new(end.client().new_rlock().unwrap());
        let guard = lock.lock().unwrap();
        thread::spawn(move || guard.unlock().unwrap()).join().unwrap();
        assert!(lock.try_lock().unwrap().is_some(), "a lock belongs to its connection");
    });
}

/// A client whose process dies, as far as the manager can tell.
#[test]
fn a_manager_of_ours_unlocks_what_the_dead_held() {
    let end = End::ours();
    let client = end.client();
    let condition = client.new_condition().unwrap();
    let lock = client.new_lock().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let held = runtime.block_on(async {
        let dying = Client::connect_async(end.address(), &key()).await.unwrap();
        let lock = dying.received_async(&lock.as_proxy().to_value()).await.unwrap();
        let condition = dying.received_async(&condition.as_proxy().to_value()).await.unwrap();
        let condition = Condition::from(condition).lock_async().await.unwrap();
        (Lock::from(lock).lock_async().await.unwrap(), condition)
    });
    assert!(lock.try_lock().unwrap().is_none() && condition.try_lock().unwrap().is_none());
    runtime.shutdown_background();
    drop(held);
    assert!(lock.lock_timeout(LONG).unwrap().is_some());
    assert!(condition.lock_timeout(LONG).unwrap().is_some());
}
