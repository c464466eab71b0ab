//! Conditions, events and barriers.

use std::thread;

use spinneret::manager::{pickle::ExceptionKind, proxy::Condition};

use crate::{
    LONG, SHORT,
    ends::{End, each},
    eventually, raised,
};

#[test]
fn a_condition_wakes_those_who_wait_for_what_has_changed() {
    each(|end| {
        let client = end.client();
        let changed = client.new_condition().unwrap();
        let number = client.new_value("i", &0).unwrap();
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut guard = changed.lock().unwrap();
                        guard.wait_for(|| number.get().unwrap() == 7).unwrap();
                        guard.unlock().unwrap();
                    })
                })
                .collect();
            let mut guard = changed.lock().unwrap();
            number.set(&7).unwrap();
            guard.notify_all().unwrap();
            guard.unlock().unwrap();
            for thread in waiting {
                thread.join().unwrap();
            }
        });
    });
}

#[test]
fn conditions_share_a_lock_that_was_there_before() {
    each(|end| {
        let client = end.client();
        let (lock, number) = (client.new_lock().unwrap(), client.new_value("i", &0).unwrap());
        let [even, odd] = [(); 2].map(|()| client.new_condition_with(lock.as_proxy()).unwrap());
        let guard = even.lock().unwrap();
        assert!(odd.try_lock().unwrap().is_none() && lock.try_lock().unwrap().is_none());
        guard.unlock().unwrap();
        let guard = lock.lock().unwrap();
        assert!(even.try_lock().unwrap().is_none() && odd.try_lock().unwrap().is_none());
        guard.unlock().unwrap();

        // Each waits for the other's turn, on a condition of its own.
        let takes_turns = |mine: &Condition, others: &Condition, rest: i32| {
            let mut guard = mine.lock().unwrap();
            while number.get().unwrap() < 6 {
                guard.wait_for(|| number.get().unwrap() % 2 == rest).unwrap();
                number.set(&(number.get().unwrap() + 1)).unwrap();
                guard.unlock().unwrap();
                others.lock().unwrap().notify_one().unwrap();
                guard = mine.lock().unwrap();
            }
            guard.unlock().unwrap();
        };
        thread::scope(|scope| {
            let evens = scope.spawn(|| takes_turns(&even, &odd, 0));
            takes_turns(&odd, &even, 1);
            evens.join().unwrap();
        });
        assert!(number.get().unwrap() >= 6);
        lock.lock().unwrap().unlock().unwrap();
    });
}

#[test]
fn a_condition_of_a_lock_that_its_holder_may_take_again_waits() {
    each(|end| {
        let client = end.client();
        let lock = client.new_rlock().unwrap();
        let changed = client.new_condition_with(lock.as_proxy()).unwrap();
        let mut guard = changed.lock().unwrap();
        assert!(lock.try_lock().unwrap().is_none());
        if end.is_ours() || end.is_python_2() {
            assert!(!guard.wait_timeout(SHORT).unwrap());
            guard.notify_all().unwrap();
        }
        guard.unlock().unwrap();
        let again = lock.lock().unwrap();
        assert!(changed.try_lock().unwrap().is_none());
        again.unlock().unwrap();
    });
    let ours = End::ours();
    let event = ours.client().new_event().unwrap();
    let refused = ours.client().new_condition_with(event.as_proxy());
    assert_eq!(raised(refused), ExceptionKind::TypeError);
}

#[test]
fn waiting_for_a_condition_ends_in_time_and_holds_the_lock_again() {
    each(|end| {
        let changed = end.client().new_condition().unwrap();
        let mut guard = changed.lock().unwrap();
        assert!(!guard.wait_timeout(SHORT).unwrap());
        assert!(!guard.wait_for_timeout(|| false, SHORT).unwrap());
        assert!(guard.wait_for_timeout(|| true, SHORT).unwrap());
        guard.notify_one().unwrap();
        guard.notify(3).unwrap();
        assert!(changed.try_lock().unwrap().is_none());
        guard.unlock().unwrap();
        assert!(changed.try_lock().unwrap().is_some());
    });
}

#[test]
fn an_event_wakes_all_who_wait_for_it() {
    each(|end| {
        let event = end.client().new_event().unwrap();
        assert!(!event.is_set().unwrap() && !event.wait_timeout(SHORT).unwrap());
        thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| event.wait())).collect();
            event.set().unwrap();
            for thread in waiting {
                thread.join().unwrap().unwrap();
            }
        });
        assert!(event.is_set().unwrap() && event.wait_timeout(LONG).unwrap());
        event.clear().unwrap();
        assert!(!event.is_set().unwrap());
    });
}

#[test]
fn a_barrier_lets_all_go_when_the_last_is_there() {
    each(|end| {
        let barrier = end.client().new_barrier(3);
        if end.is_python_2() {
            assert_eq!(raised(barrier), ExceptionKind::KeyError);
            return;
        }
        let barrier = barrier.unwrap();
        assert_eq!((barrier.parties().unwrap(), barrier.waiting().unwrap()), (3, 0));
        thread::scope(|scope| {
            let two: Vec<_> = (0..2).map(|_| scope.spawn(|| barrier.wait().unwrap())).collect();
            eventually("two are there", || barrier.waiting().unwrap() == 2);
            let mut numbers = vec![barrier.wait_timeout(LONG).unwrap()];
            numbers.extend(two.into_iter().map(|thread| thread.join().unwrap()));
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2]);
        });
        assert_eq!(raised(barrier.wait_timeout(SHORT)), ExceptionKind::BrokenBarrier);
        assert!(barrier.is_broken().unwrap());
        barrier.reset().unwrap();
        assert!(!barrier.is_broken().unwrap());
        barrier.abort().unwrap();
        assert_eq!(raised(barrier.wait()), ExceptionKind::BrokenBarrier);
    });
}
