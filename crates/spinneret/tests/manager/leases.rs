//! A leased item is finished, or it comes back.

use std::{panic, time::Duration};

use spinneret::manager::{GetError, ManagerError, Queue, QueueOptions};

use super::{HOLD, LONG, Mortal, client, eventually, manager, queue};

const SHORT: Duration = Duration::from_millis(30);

fn put(queue: &Queue<String>, items: &[&str]) {
    queue.put_many(items.iter().map(|item| (*item).to_owned()).collect()).unwrap();
}

#[test]
fn a_finished_item_is_gone() {
    let manager = manager(QueueOptions::new());
    for queue in [manager.queue("q").unwrap(), queue(&manager)] {
        put(&queue, &["a", "b"]);
        let lease = queue.lease(HOLD).unwrap();
        assert_eq!((lease.as_str(), lease.deliveries()), ("a", 1));
        queue.task_done(lease).unwrap();
        queue.lease(HOLD).unwrap().done().unwrap();
        assert!(queue.join_timeout(Duration::ZERO).unwrap());
    }
    let stats = manager.queue::<String>("q").unwrap().stats().unwrap();
    assert_eq!((stats.puts, stats.delivered, stats.done, stats.unfinished), (4, 4, 4, 0));
}

#[test]
fn a_lease_comes_back_when_its_connection_dies() {
    let manager = manager(QueueOptions::new());
    let worker = Mortal::connect(&manager);
    put(&worker.queue(), &["a", "b"]);
    let leases = worker.queue().lease_many(2, HOLD, LONG).unwrap();
    assert_eq!(leases.len(), 2);
    worker.kill();
    let again = queue::<String>(&manager).lease_timeout(HOLD, LONG).unwrap();
    assert_eq!((again.as_str(), again.deliveries()), ("a", 2));
    let token = leases.into_iter().next().unwrap();
    assert!(matches!(token.done(), Err(ManagerError::Disconnected { .. })));
}

#[test]
fn a_lease_comes_back_when_its_time_is_over() {
    let manager = manager(QueueOptions::new());
    for (queue, other) in
        [(queue(&manager), queue(&manager)), (manager.queue("q").unwrap(), queue(&manager))]
    {
        put(&queue, &["a"]);
        let late = queue.lease(SHORT).unwrap();
        let other: Queue<String> = other;
        let again = other.lease_timeout(HOLD, LONG).unwrap();
        assert_eq!((again.as_str(), again.deliveries()), ("a", 2));
        assert!(matches!(late.done(), Err(ManagerError::LeaseLost)));
        again.done().unwrap();
    }
}

#[test]
fn an_extended_lease_stays() {
    let manager = manager(QueueOptions::new());
    let queue = queue(&manager);
    put(&queue, &["a", "b"]);
    let leases = queue.lease_many(2, SHORT, LONG).unwrap();
    let lost = queue.extend_many(&leases, LONG).unwrap();
    if lost.is_empty() {
        // Not over before it was extended, as it may be on a slow machine.
        assert!(matches!(queue.lease_timeout(HOLD, 3 * SHORT), Err(GetError::Empty)));
        leases[0].extend(LONG).unwrap();
        assert_eq!(queue.task_done_many(leases).unwrap(), [0; 0]);
    }
}

#[test]
fn a_dropped_lease_comes_back_at_once() {
    let manager = manager(QueueOptions::new().max_deliveries(1));
    for queue in [manager.queue("q").unwrap(), queue(&manager)] {
        put(&queue, &["a"]);
        drop(queue.lease(HOLD).unwrap());
        queue.lease(HOLD).unwrap().release().unwrap();
        let (item, token) = queue.lease(HOLD).unwrap().into_parts();
        assert_eq!((item.as_str(), token.deliveries()), ("a", 3));
        drop(token);
        queue.lease(HOLD).unwrap().done().unwrap();
    }
}

#[test]
fn a_holder_that_panics_uses_up_a_delivery() {
    let manager = manager(QueueOptions::new().max_deliveries(1));
    let queue = queue(&manager);
    put(&queue, &["a"]);
    let lease = queue.lease(HOLD).unwrap();
    let worked =
        panic::catch_unwind(panic::AssertUnwindSafe(move || panic!("while working on {}", *lease)));
    assert!(worked.is_err());
    let dead = queue.dead(9).unwrap();
    assert_eq!((dead.len(), dead[0].reason.as_str()), (1, "holder panicked"));
}

#[test]
fn an_item_whose_holders_die_becomes_a_dead_letter() {
    let manager = manager(QueueOptions::new().max_deliveries(2));
    let queue = queue(&manager);
    put(&queue, &["poison", "good"]);
    for deliveries in 1..=2 {
        let worker = Mortal::connect(&manager);
        let lease = worker.queue().lease(HOLD).unwrap();
        assert_eq!((lease.as_str(), lease.deliveries()), ("poison", deliveries));
        worker.kill();
        eventually("the lease went back", || queue.stats().unwrap().leased == 0);
    }
    let dead = queue.dead(9).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].item.as_deref(), Ok("poison"));
    assert_eq!((dead[0].reason.as_str(), dead[0].deliveries), ("connection lost", 2));
    assert_eq!(queue.get().unwrap(), "good");
    queue.join().unwrap();
}

#[test]
fn a_failed_item_is_a_dead_letter_with_its_reason() {
    let manager = manager(QueueOptions::new());
    let queue = queue(&manager);
    put(&queue, &["a", "b", "c"]);
    for lease in queue.lease_many(3, HOLD, LONG).unwrap() {
        let reason = format!("no route to {}", *lease);
        lease.fail(reason).unwrap();
    }
    queue.join().unwrap();
    let reasons = |letters: &[spinneret::manager::DeadLetter<String>]| {
        letters.iter().map(|letter| letter.reason.clone()).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&queue.dead(1).unwrap()), ["failed: no route to a"]);
    let taken = queue.take_dead(2).unwrap();
    assert_eq!(reasons(&taken), ["failed: no route to a", "failed: no route to b"]);
    assert_eq!(queue.requeue_dead().unwrap(), 1);
    let again = queue.lease(HOLD).unwrap();
    assert_eq!((again.as_str(), again.deliveries()), ("c", 1));
}

#[test]
fn leases_of_several_queues_are_finished_together() {
    let manager = manager(QueueOptions::new());
    manager.register("r", QueueOptions::new()).unwrap();
    let client = client(&manager);
    let (q, r, local) = (client.queue("q"), client.queue("r"), manager.queue("r").unwrap());
    put(&q, &["a"]);
    put(&r, &["b", "c"]);
    let leases = [q.lease(HOLD).unwrap(), r.lease(HOLD).unwrap(), local.lease(HOLD).unwrap()];
    assert_eq!(q.task_done_many(leases).unwrap(), [0; 0]);
    q.join().unwrap();
    r.join().unwrap();
}

#[test]
fn a_lease_that_nobody_waits_for_any_more_goes_back() {
    let manager = manager(QueueOptions::new());
    let worker = Mortal::connect(&manager);
    let queue = worker.queue();
    for round in 0..50 {
        // Dropped at about the time at which the answer comes.
        worker.runtime.block_on(async {
            put_async(&queue, "a").await;
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_micros(round * 10)) => {}
                lease = queue.lease_async(HOLD) => lease.unwrap().release_async().await.unwrap(),
            }
        });
        assert_eq!(
            queue.lease_timeout(HOLD, LONG).map(|lease| lease.done().unwrap()).ok(),
            Some(())
        );
    }
}

async fn put_async(queue: &Queue<String>, item: &str) {
    queue.put_async(item.into()).await.unwrap();
}
