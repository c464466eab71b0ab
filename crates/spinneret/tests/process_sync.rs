//! Locks, semaphores, events, conditions and barriers between processes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod family;

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use spinneret::process::sync::{
    Barrier, BarrierError, BoundedSemaphore, Condition, Event, Lock, OwnerDied, RLock, Semaphore,
    TooManyPermits,
};
use spinneret::shared::{Atomic, Value};

use family::{Child, GENEROUS, Pauses, eventually};

/// Long enough to time out by, where that is what must happen.
const SHORT: Duration = Duration::from_millis(20);

#[spinneret::task]
fn enter(lock: Lock, rlock: RLock, inside: Atomic<i32>, most: Atomic<i32>) {
    for round in 0..2000 {
        let alone = || {
            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            inside.fetch_sub(1, SeqCst);
        };
        if round % 2 == 0 {
            let _outer = lock.lock().unwrap();
            let _inner = rlock.lock().unwrap();
            let _again = rlock.lock_timeout(GENEROUS).unwrap().unwrap();
            alone();
        } else {
            let _guard = lock.lock_timeout(GENEROUS).unwrap().unwrap();
            alone();
        }
    }
}

#[test]
fn one_is_inside_at_a_time() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let (inside, most) = (Atomic::new(0_i32).unwrap(), Atomic::new(0_i32).unwrap());
    let args = || (lock.clone(), rlock.clone(), inside.clone(), most.clone());
    let children: Vec<_> = (0..3).map(|_| Child::start(enter, args())).collect();
    children.iter().for_each(Child::join);
    assert_eq!(most.load(SeqCst), 1);
}

#[spinneret::task]
fn hold(lock: Lock, rlock: RLock, held: Event) {
    let _guards = (lock.lock().unwrap(), rlock.lock().unwrap(), rlock.lock().unwrap());
    held.set();
    thread::sleep(GENEROUS);
}

#[test]
fn a_killed_holder_is_reported_to_the_next_and_not_waited_for() {
    let (lock, rlock, held) = (Lock::new().unwrap(), RLock::new().unwrap(), Event::new().unwrap());
    let child = Child::start(hold, (lock.clone(), rlock.clone(), held.clone()));
    assert!(held.wait_timeout(GENEROUS));
    assert!(lock.try_lock().is_none() && rlock.try_lock().is_none());
    thread::scope(|scope| {
        // Those who wait already go on as well.
        let waiter = scope.spawn(|| {
            let guard = lock.lock_timeout(GENEROUS).expect("the dead are not waited for");
            drop(guard.unwrap_err().into_inner());
        });
        child.kill();
        waiter.join().unwrap();
    });
    drop(lock.lock().unwrap());

    let died = rlock.lock_timeout(GENEROUS).expect("the dead are not waited for").unwrap_err();
    // Until somebody vouches every taker is told.
    let _guards = (rlock.lock().unwrap_err().into_inner(), died, rlock.lock().unwrap());
}

#[test]
fn a_lock_taken_twice_times_out_and_an_rlock_counts() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let _guard = lock.lock().unwrap();
    assert!(lock.lock_timeout(SHORT).is_none());
    assert!(lock.try_lock().is_none());

    let elsewhere =
        || thread::scope(|scope| scope.spawn(|| rlock.try_lock().is_some()).join().unwrap());
    let outer = rlock.lock().unwrap();
    let inner = rlock.try_lock().unwrap().unwrap();
    drop(outer);
    assert!(!elsewhere());
    drop(inner);
    assert!(elsewhere());
}

#[spinneret::task]
fn take(semaphore: Semaphore, count: usize, taken: Event) {
    let _permits: Vec<_> = (0..count).map(|_| semaphore.acquire()).collect();
    taken.set();
    thread::sleep(GENEROUS);
}

#[test]
fn the_permits_of_a_killed_process_come_back() {
    let (semaphore, taken) = (Semaphore::new(3).unwrap(), Event::new().unwrap());
    let child = Child::start(take, (semaphore.clone(), 2, taken.clone()));
    assert!(taken.wait_timeout(GENEROUS));
    let _mine = semaphore.acquire();
    assert_eq!(semaphore.available(), 0);
    assert!(semaphore.try_acquire().is_none() && semaphore.acquire_timeout(SHORT).is_none());
    thread::scope(|scope| {
        let waiter = || {
            let permit = semaphore.acquire_timeout(GENEROUS);
            std::mem::forget(permit.expect("the dead keep nothing"));
        };
        let waiters = [scope.spawn(waiter), scope.spawn(waiter)];
        child.kill();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
    assert_eq!(semaphore.available(), 0);
}

#[spinneret::task]
fn come_and_go(semaphore: Semaphore, inside: Atomic<u32>, stop: Event) {
    while !stop.is_set() {
        let permit = semaphore.acquire_timeout(GENEROUS).expect("there is one before long");
        inside.fetch_add(1, SeqCst);
        drop(permit);
    }
}

#[test]
fn semaphores_lose_no_permit_to_kills_at_random_instants() {
    let (semaphore, stop) = (Semaphore::new(2).unwrap(), Event::new().unwrap());
    let entered = Atomic::new(0_u32).unwrap();
    let args = || (semaphore.clone(), entered.clone(), stop.clone());
    let survivor = Child::start(come_and_go, args());
    let mut pauses = Pauses::new(2);
    for _ in 0..40 {
        let victims = [Child::start(come_and_go, args()), Child::start(come_and_go, args())];
        for victim in &victims {
            pauses.pause();
            victim.kill();
        }
        let before = entered.load(SeqCst);
        eventually("the survivor goes on", || entered.load(SeqCst) != before);
    }
    stop.set();
    survivor.join();
    assert_eq!(semaphore.available(), 2);
}

#[spinneret::task]
fn consume(items: Semaphore, consumed: Atomic<u32>) {
    loop {
        items.acquire().forget();
        consumed.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_permit_may_stand_for_an_item() {
    let (items, consumed) = (Semaphore::new(0).unwrap(), Atomic::new(0_u32).unwrap());
    let _consumers = [0, 1].map(|_| Child::start(consume, (items.clone(), consumed.clone())));
    for _ in 0..500 {
        items.release().unwrap();
    }
    eventually("all items are consumed", || consumed.load(SeqCst) == 500);
    assert_eq!(items.available(), 0);
}

#[test]
fn a_bounded_semaphore_never_has_more_permits_than_at_first() {
    for most in [0, 2] {
        let semaphore = BoundedSemaphore::new(most).unwrap();
        assert_eq!(semaphore.release(), Err(TooManyPermits { most }));
        let permits: Vec<_> = (0..most).map(|_| semaphore.acquire()).collect();
        assert_eq!(semaphore.release(), Err(TooManyPermits { most }));
        for permit in permits {
            permit.forget();
            assert_eq!(semaphore.release(), Ok(()));
        }
        assert_eq!(semaphore.available(), most as usize);
    }
    let plain = Semaphore::new(u32::MAX - 1).unwrap();
    assert_eq!(plain.release(), Ok(()));
    assert_eq!(plain.release(), Err(TooManyPermits { most: u32::MAX }));
}

#[spinneret::task]
fn wait_for(event: Event, ready: Semaphore, woken: Semaphore) {
    ready.release().unwrap();
    event.wait();
    woken.release().unwrap();
}

#[test]
fn an_event_wakes_all_who_wait_and_outlives_a_waiter() {
    let (event, ready) = (Event::new().unwrap(), Semaphore::new(0).unwrap());
    let woken = Semaphore::new(0).unwrap();
    let args = || (event.clone(), ready.clone(), woken.clone());
    let mut waiters: Vec<_> = (0..3).map(|_| Child::start(wait_for, args())).collect();
    for _ in 0..3 {
        ready.acquire_timeout(GENEROUS).unwrap().forget();
    }
    // One that is killed while it waits is not missed.
    waiters.pop().unwrap().kill();
    eventually("those who live are woken", || {
        event.set();
        assert!(event.is_set() && event.wait_timeout(Duration::ZERO));
        event.clear();
        woken.available() == 2
    });
    waiters.iter().for_each(Child::join);
    assert!(!event.wait_timeout(SHORT));
}

#[spinneret::task]
fn fetch(stock: Value<u32>, changed: Condition, fetched: Atomic<u32>) {
    loop {
        let guard = stock.lock().unwrap_or_else(OwnerDied::into_inner);
        let guard = changed.wait_while(guard, |stock| **stock == 0);
        *guard.unwrap_or_else(OwnerDied::into_inner) -= 1;
        fetched.fetch_add(1, SeqCst);
    }
}

#[test]
fn conditions_lose_no_notification_to_waiters_killed_at_random_instants() {
    let (stock, changed) = (Value::new(0).unwrap(), Condition::new().unwrap());
    let fetched = Atomic::new(0_u32).unwrap();
    let args = || (stock.clone(), changed.clone(), fetched.clone());
    let _survivor = Child::start(fetch, args());
    let mut pauses = Pauses::new(3);
    for _ in 0..40 {
        let victim = Child::start(fetch, args());
        *stock.lock().unwrap_or_else(OwnerDied::into_inner) += 1;
        changed.notify_one();
        pauses.pause();
        victim.kill();
        eventually("what is in stock is fetched", || {
            *stock.lock().unwrap_or_else(OwnerDied::into_inner) == 0
        });
    }
    // A victim may have died between taking and telling.
    assert!(fetched.load(SeqCst) <= 40);
}

#[test]
fn a_condition_gives_up_the_lock_and_times_out() {
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let guard = lock.lock().unwrap();
    let (guard, notified) = condition.wait_timeout(guard, SHORT).unwrap();
    assert!(!notified && lock.try_lock().is_none());
    let (guard, met) = condition.wait_while_timeout(guard, SHORT, |_| true).unwrap();
    assert!(!met);
    let (guard, met) = condition.wait_while_timeout(guard, GENEROUS, |_| false).unwrap();
    assert!(met);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Only while the other waits.
            drop(lock.lock_timeout(GENEROUS).unwrap().unwrap());
            condition.notify_all();
        });
        drop(condition.wait(guard).unwrap());
    });
}

#[spinneret::task]
fn hold_then_die(lock: Lock, held: Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    thread::sleep(GENEROUS);
}

#[test]
fn a_waiter_learns_that_a_holder_died_meanwhile() {
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let held = Event::new().unwrap();
    let guard = lock.lock().unwrap();
    let child = Child::start(hold_then_die, (lock.clone(), held.clone()));
    thread::scope(|scope| {
        scope.spawn(|| {
            held.wait();
            child.kill();
            condition.notify_all();
        });
        drop(condition.wait(guard).unwrap_err().into_inner());
    });
    drop(lock.lock().unwrap());
}

#[spinneret::task]
fn meet(barrier: Barrier, rounds: u32, arrivals: Atomic<usize>) {
    for _ in 0..rounds {
        arrivals.fetch_add(1 << (16 * barrier.wait().unwrap()), SeqCst);
    }
}

#[test]
fn a_barrier_lets_all_pass_round_by_round_and_numbers_them() {
    let (barrier, arrivals) = (Barrier::new(3).unwrap(), Atomic::new(0_usize).unwrap());
    assert_eq!(barrier.parties(), 3);
    let args = || (barrier.clone(), 200, arrivals.clone());
    let children: Vec<_> = (0..3).map(|_| Child::start(meet, args())).collect();
    children.iter().for_each(Child::join);
    // In each round there was a first, a second and a third.
    let of_each = [0, 16, 32].map(|bits| arrivals.load(SeqCst) >> bits & 0xffff);
    assert_eq!(of_each, [200; 3]);
    assert_eq!(barrier.waiting(), 0);
}

#[test]
fn a_barrier_whose_party_was_killed_times_out_and_is_broken_for_all() {
    let (barrier, arrivals) = (Barrier::new(3).unwrap(), Atomic::new(0_usize).unwrap());
    let party = Child::start(meet, (barrier.clone(), 1000, arrivals.clone()));
    thread::scope(|scope| {
        let passed = scope.spawn(|| barrier.wait());
        barrier.wait().unwrap();
        passed.join().unwrap().unwrap();
        // The party waits in the second round.
        eventually("it arrives", || barrier.waiting() == 1);
        party.kill();
        // It has arrived. It will be missed in the third.
        let passed = scope.spawn(|| barrier.wait());
        barrier.wait().unwrap();
        passed.join().unwrap().unwrap();

        let other = scope.spawn(|| barrier.wait());
        eventually("the other arrives", || barrier.waiting() == 1);
        assert_eq!(barrier.wait_timeout(SHORT), Err(BarrierError::TimedOut));
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));

        barrier.reset();
        assert!(!barrier.is_broken());
        let parties = [0; 3].map(|_| scope.spawn(|| barrier.wait()));
        let mut numbers = parties.map(|party| party.join().unwrap().unwrap());
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2]);

        let other = scope.spawn(|| barrier.wait());
        eventually("the other arrives", || barrier.waiting() == 1);
        barrier.abort();
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        barrier.reset();
        let other = scope.spawn(|| barrier.wait());
        eventually("the other arrives", || barrier.waiting() == 1);
        barrier.reset();
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        assert!(!barrier.is_broken());
    });
}

#[spinneret::task]
fn queue_up(lock: Lock, semaphore: Semaphore, turns: Atomic<u32>, stop: Event) {
    while !stop.is_set() {
        drop(lock.lock_timeout(GENEROUS).unwrap().unwrap_or_else(OwnerDied::into_inner));
        drop(semaphore.acquire_timeout(GENEROUS).unwrap());
        turns.fetch_add(1, SeqCst);
    }
}

#[test]
fn waiters_killed_at_random_instants_take_no_wake_up_with_them() {
    let (lock, semaphore) = (Lock::new().unwrap(), Semaphore::new(1).unwrap());
    let (turns, stop) = (Atomic::new(0_u32).unwrap(), Event::new().unwrap());
    let args = || (lock.clone(), semaphore.clone(), turns.clone(), stop.clone());
    let survivor = Child::start(queue_up, args());
    let mut pauses = Pauses::new(4);
    for round in 0..40 {
        let victim = Child::start(queue_up, args());
        // Now they wait for us, for the one or the other.
        let guard = lock.lock().unwrap_or_else(OwnerDied::into_inner);
        if round % 2 == 0 {
            pauses.pause();
            victim.kill();
            drop(guard);
        } else {
            let permit = semaphore.acquire_timeout(GENEROUS).unwrap();
            drop(guard);
            pauses.pause();
            victim.kill();
            drop(permit);
        }
        let before = turns.load(SeqCst);
        eventually("the survivor goes on", || turns.load(SeqCst) != before);
    }
    stop.set();
    survivor.join();
}
