use std::time::Duration;

use spinneret_pickle::{Dialect, Value};

use super::World;
use crate::manager::{python::proxy, store::Owner};

const ANN: Owner = 1;
const BEN: Owner = 2;
const CAT: Owner = 3;

fn world() -> World {
    World::new(Dialect::Python38)
}

#[tokio::test]
async fn a_lock_goes_to_those_who_wait_in_their_order() {
    let world = world();
    for kind in ["Lock", "RLock"] {
        let lock = world.make(kind, []);
        assert_eq!(world.now(&lock, ANN, "acquire", []), "True");
        let mut ben = world.waiting(&lock, BEN, "acquire", []).await;
        let mut cat = world.waiting(&lock, CAT, "acquire", [Value::bool(true)]).await;
        assert_eq!(world.now(&lock, ANN, "release", []), "None");
        assert_eq!(cat.poll().await, None);
        assert_eq!(ben.poll().await.unwrap(), "True");
        assert_eq!(world.now(&lock, ANN, "acquire", [Value::bool(false)]), "False");
        assert_eq!(world.now(&lock, BEN, "release", []), "None");
        assert_eq!(cat.end().await, "True");
    }
}

#[tokio::test]
async fn a_lock_given_to_a_caller_that_is_gone_goes_to_the_next() {
    let world = world();
    for kind in ["Lock", "RLock", "Semaphore"] {
        let lock = world.make(kind, []);
        world.now(&lock, ANN, "acquire", []);
        let ben = world.waiting(&lock, BEN, "acquire", []).await;
        let mut cat = world.waiting(&lock, CAT, "acquire", []).await;
        world.now(&lock, ANN, "release", []);
        assert_eq!(cat.poll().await, None, "{kind}");
        drop(ben);
        assert_eq!(cat.poll().await.unwrap(), "True", "{kind}");
        assert_eq!(world.now(&lock, ANN, "acquire", [Value::bool(false)]), "False", "{kind}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_while_it_waits_leaves_nobody_in_line() {
    let world = world();
    for kind in ["Lock", "RLock", "Semaphore"] {
        let lock = world.make(kind, []);
        world.now(&lock, ANN, "acquire", []);
        drop(world.waiting(&lock, BEN, "acquire", []).await);
        world.now(&lock, ANN, "release", []);
        assert_eq!(world.now(&lock, CAT, "acquire", [Value::bool(false)]), "True", "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_lock_ends_with_its_time() {
    let world = world();
    for kind in ["Lock", "RLock", "Semaphore"] {
        let lock = world.make(kind, []);
        world.now(&lock, ANN, "acquire", []);
        let arguments = [Value::bool(true), Value::float(0.5)];
        let ben = world.waiting(&lock, BEN, "acquire", arguments).await;
        assert_eq!(ben.end().await, "False", "{kind}");
        world.now(&lock, ANN, "release", []);
        assert_eq!(world.now(&lock, CAT, "acquire", [Value::bool(false)]), "True", "{kind}");
    }
}

#[tokio::test]
async fn what_a_connection_held_is_free_when_it_ends() {
    let world = world();
    for kind in ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition"] {
        let lock = world.make(kind, []);
        world.now(&lock, ANN, "acquire", []);
        let mut ben = world.waiting(&lock, BEN, "acquire", []).await;
        lock.owner_gone(CAT);
        assert_eq!(ben.poll().await, None, "{kind}");
        lock.owner_gone(ANN);
        assert_eq!(ben.end().await, "True", "{kind}");
    }
}

#[tokio::test]
async fn a_reentrant_lock_is_free_after_as_many_releases() {
    for (dialect, nested) in [(Dialect::Python38, "True"), (Dialect::Python2, "1")] {
        let world = World::new(dialect);
        let lock = world.make("RLock", []);
        assert_eq!(world.now(&lock, ANN, "acquire", []), "True");
        assert_eq!(world.now(&lock, ANN, "acquire", [Value::bool(true)]), nested);
        let refusal = "RuntimeError: cannot release un-acquired lock";
        assert_eq!(world.now(&lock, BEN, "release", []), refusal);
        world.now(&lock, ANN, "release", []);
        assert_eq!(world.now(&lock, BEN, "acquire", [Value::bool(false)]), "False");
        world.now(&lock, ANN, "release", []);
        assert_eq!(world.now(&lock, ANN, "release", []), refusal);
        assert_eq!(world.now(&lock, BEN, "acquire", [Value::bool(false)]), "True");
    }
}

#[test]
fn wrong_arguments_are_refused_in_the_words_of_python() {
    let world = world();
    let lock = world.make("Lock", []);
    let acquire = |blocking, timeout| {
        world.now(&lock, ANN, "acquire", [Value::bool(blocking), Value::float(timeout)])
    };
    let blind = "ValueError: can't specify a timeout for a non-blocking call";
    assert_eq!(acquire(false, 1.0), blind);
    let negative = "ValueError: timeout value must be a non-negative number";
    assert_eq!(acquire(true, -2.0), negative);
    assert_eq!(acquire(true, f64::NAN), "ValueError: Invalid value NaN (not a number)");
    assert_eq!(acquire(true, 1e10), "OverflowError: timeout value is too large");
    assert_eq!(acquire(false, -1.0), "True");
    assert_eq!(world.now(&lock, BEN, "release", []), "None");
    assert_eq!(world.now(&lock, BEN, "release", []), "RuntimeError: release unlocked lock");
    assert_eq!(world.now(&lock, ANN, "locked", []), "no such method");

    let semaphore = world.make("BoundedSemaphore", [Value::int(2)]);
    let arguments = [Value::bool(false), Value::int(1)];
    let blind = "ValueError: can't specify timeout for non-blocking acquire";
    assert_eq!(world.now(&semaphore, ANN, "acquire", arguments), blind);
    let many = "ValueError: Semaphore released too many times";
    assert_eq!(world.now(&semaphore, ANN, "release", []), many);
    let none = "ValueError: n must be one or more";
    assert_eq!(world.now(&semaphore, ANN, "release", [Value::int(0)]), none);
    let negative = world.try_make("Semaphore", [Value::int(-1)]).err().unwrap();
    assert_eq!(negative.message(), Some("semaphore initial value must be >= 0"));

    let condition = world.make("Condition", []);
    for (method, what) in [("wait", "wait"), ("notify", "notify"), ("notify_all", "notify")] {
        let refusal = format!("RuntimeError: cannot {what} on un-acquired lock");
        assert_eq!(world.now(&condition, ANN, method, []), refusal);
    }

    let python2 = World::new(Dialect::Python2);
    let answer = python2.now(&lock, ANN, "acquire", [Value::bool(true), Value::int(1)]);
    assert!(answer.starts_with("TypeError: acquire() takes"), "{answer}");
}

#[tokio::test]
async fn a_semaphore_lets_in_as_many_as_it_has_permits() {
    let world = world();
    let semaphore = world.make("Semaphore", [Value::int(2)]);
    assert_eq!(world.now(&semaphore, ANN, "acquire", []), "True");
    assert_eq!(world.now(&semaphore, BEN, "acquire", []), "True");
    let mut one = world.waiting(&semaphore, CAT, "acquire", []).await;
    let mut two = world.waiting(&semaphore, CAT, "acquire", []).await;
    world.now(&semaphore, ANN, "release", []);
    assert_eq!((one.poll().await.as_deref(), two.poll().await), (Some("True"), None));
    world.now(&semaphore, ANN, "release", [Value::int(2)]);
    assert_eq!(two.end().await, "True");
    assert!(semaphore.repr(Dialect::Python38).ends_with(": value=1>"));
}

#[tokio::test]
async fn an_event_wakes_all_who_wait_for_it() {
    let world = world();
    let event = world.make("Event", []);
    assert_eq!(world.now(&event, ANN, "is_set", []), "False");
    let one = world.waiting(&event, ANN, "wait", [Value::none()]).await;
    let two = world.waiting(&event, BEN, "wait", []).await;
    drop(world.waiting(&event, CAT, "wait", []).await);
    world.now(&event, CAT, "set", []);
    world.now(&event, CAT, "clear", []);
    assert_eq!((one.end().await, two.end().await), ("True".into(), "True".into()));
    assert_eq!(world.now(&event, ANN, "is_set", []), "False");
    world.now(&event, CAT, "set", []);
    assert_eq!(world.now(&event, ANN, "wait", []), "True");
}

#[tokio::test(start_paused = true)]
async fn waits_for_events_and_notifications_end_with_their_time() {
    let world = world();
    let event = world.make("Event", []);
    assert_eq!(world.waiting(&event, ANN, "wait", [Value::float(0.5)]).await.end().await, "False");
    let condition = world.make("Condition", []);
    world.now(&condition, ANN, "acquire", []);
    let wait = world.waiting(&condition, ANN, "wait", [Value::float(0.5)]).await;
    assert_eq!(wait.end().await, "False");
    // The lock is held again.
    assert_eq!(world.now(&condition, BEN, "acquire", [Value::bool(false)]), "False");
    assert!(condition.repr(Dialect::Python38).ends_with(", 0)>"));
}

#[tokio::test]
async fn waiters_of_a_condition_wake_in_order_and_with_the_lock() {
    let world = world();
    let condition = world.make("Condition", []);
    let mut waits = Vec::new();
    for owner in [ANN, BEN, CAT] {
        // Twice: all levels are given up, and all come back.
        world.now(&condition, owner, "acquire", []);
        world.now(&condition, owner, "acquire", []);
        waits.push(world.waiting(&condition, owner, "wait", []).await);
    }
    let [mut ann, mut ben, mut cat] = <[_; 3]>::try_from(waits).ok().unwrap();
    world.now(&condition, 9, "acquire", []);
    world.now(&condition, 9, "notify", [Value::int(2)]);
    assert_eq!(ann.poll().await, None);
    world.now(&condition, 9, "release", []);
    // Ben stands in line for the lock behind Ann.
    assert_eq!((ben.poll().await, cat.poll().await), (None, None));
    assert_eq!(ann.poll().await.unwrap(), "True");
    world.now(&condition, ANN, "release", []);
    assert_eq!(ben.poll().await, None);
    world.now(&condition, ANN, "release", []);
    assert_eq!(ben.poll().await.unwrap(), "True");
    world.now(&condition, BEN, "notify_all", []);
    condition.owner_gone(BEN);
    assert_eq!(cat.end().await, "True");
}

#[tokio::test]
async fn a_notification_of_a_waiter_that_is_gone_goes_to_the_next() {
    let world = world();
    for holds in [true, false] {
        let condition = world.make("Condition", []);
        world.now(&condition, ANN, "acquire", []);
        let mut ann = world.waiting(&condition, ANN, "wait", []).await;
        world.now(&condition, BEN, "acquire", []);
        let ben = world.waiting(&condition, BEN, "wait", []).await;
        world.now(&condition, CAT, "acquire", []);
        world.now(&condition, CAT, "notify", []);
        if holds {
            // Notified, Ann goes while she waits for the lock.
            assert_eq!(ann.poll().await, None);
        }
        drop(ann);
        world.now(&condition, CAT, "release", []);
        assert_eq!(ben.end().await, "True");
    }
}

#[tokio::test]
async fn python_2_is_not_told_whether_a_wait_was_in_time() {
    let world = World::new(Dialect::Python2);
    let condition = world.make("Condition", []);
    world.now(&condition, ANN, "acquire", []);
    let wait = world.waiting(&condition, ANN, "wait", [Value::float(0.001)]).await;
    assert_eq!(wait.end().await, "None");
}

#[tokio::test]
async fn a_condition_shares_the_lock_that_it_was_given() {
    let world = world();
    let lock = world.make("Lock", []);
    let ident = world.objects.share(std::sync::Arc::clone(&lock));
    let token = proxy::token("Lock", ([127, 0, 0, 1], 1).into(), &ident);
    let rebuild = Value::global("multiprocessing.managers", "RebuildProxy");
    let class = Value::global("multiprocessing.managers", "AcquirerProxy");
    let arguments = [class, token, Value::native("pickle"), Value::dict([])];
    let condition = world.make("Condition", [Value::reduce(rebuild, arguments)]);
    world.now(&lock, ANN, "acquire", []);
    assert_eq!(world.now(&condition, BEN, "acquire", [Value::bool(false)]), "False");
    let wait = world.waiting(&condition, ANN, "wait", []).await;
    assert_eq!(world.now(&lock, BEN, "acquire", []), "True");
    world.now(&condition, BEN, "notify", []);
    world.now(&lock, BEN, "release", []);
    assert_eq!(wait.end().await, "True");
    // Acquired through the condition, it is free when that connection ends.
    condition.owner_gone(ANN);
    assert_eq!(world.now(&lock, CAT, "acquire", [Value::bool(false)]), "True");
    assert!(world.try_make("Condition", [Value::int(1)]).is_err());
}

#[tokio::test]
async fn parties_of_a_barrier_pass_it_together_each_with_a_number() {
    let world = world();
    let barrier = world.make("Barrier", [Value::int(3)]);
    for _ in 0..2 {
        let one = world.waiting(&barrier, ANN, "wait", []).await;
        let two = world.waiting(&barrier, BEN, "wait", [Value::none()]).await;
        let waiting = world.now(&barrier, CAT, "__getattribute__", [Value::native("n_waiting")]);
        assert_eq!(waiting, "2");
        let three = match world.answer(&barrier, CAT, "wait", []) {
            crate::manager::python::object::Answer::Later(pending) => {
                super::written(pending.await, Dialect::Python38)
            }
            crate::manager::python::object::Answer::Now(_) => panic!("wait() is polled"),
        };
        assert_eq!((&*one.end().await, &*two.end().await, &*three), ("0", "1", "2"));
    }
    let broken = world.now(&barrier, ANN, "__getattribute__", [Value::native("broken")]);
    assert_eq!(broken, "False");
    let parties = world.now(&barrier, ANN, "__getattribute__", [Value::native("parties")]);
    assert_eq!(parties, "3");
}

#[tokio::test(start_paused = true)]
async fn a_party_that_gives_up_or_goes_breaks_the_barrier() {
    let world = world();
    let seconds = Value::float(0.5);
    for way in ["timeout", "default", "gone", "abort", "reset"] {
        let default = if way == "default" { seconds.clone() } else { Value::none() };
        let barrier = world.make("Barrier", [Value::int(3), Value::none(), default]);
        let one = world.waiting(&barrier, ANN, "wait", []).await;
        match way {
            "timeout" => {
                let two = world.waiting(&barrier, BEN, "wait", [seconds.clone()]).await;
                assert_eq!(two.end().await, "BrokenBarrierError");
            }
            "default" => tokio::time::advance(Duration::from_secs(1)).await,
            "gone" => drop(world.waiting(&barrier, BEN, "wait", []).await),
            how => assert_eq!(world.now(&barrier, BEN, how, []), "None"),
        }
        assert_eq!(one.end().await, "BrokenBarrierError", "{way}");
        let broken = world.now(&barrier, ANN, "__getattribute__", [Value::native("broken")]);
        assert_eq!(broken, if way == "reset" { "False" } else { "True" }, "{way}");
        world.now(&barrier, ANN, "reset", []);
        world.waiting(&barrier, ANN, "wait", []).await;
    }
}

#[test]
fn a_barrier_that_would_run_its_clients_code_is_refused() {
    let world = world();
    let action = Value::global("os", "getpid");
    let refusal = world.try_make("Barrier", [Value::int(2), action]).err().unwrap();
    assert!(refusal.message().unwrap().contains("runs no code of its clients"));
    let refusal = world.try_make("Barrier", [Value::int(0)]).err().unwrap();
    assert_eq!(refusal.message(), Some("parties must be > 0"));
}
