//! Leases, acknowledgements, and who counts as alive.

use std::sync::atomic::Ordering;

use super::super::GetError;
use super::super::leases::State;
use super::*;

#[test]
fn a_lease_that_is_given_back_comes_before_what_waits() {
    let core = core();
    let owner = core.owner().unwrap();
    for message in [b"1", b"2", b"3"] {
        put(&core, message);
    }
    let first = take(&core, How::Lease(owner)).unwrap().1;
    let second = take(&core, How::Lease(owner)).unwrap().1;
    assert!(core.release(second, owner) && core.release(first, owner));
    assert_eq!(core.len(), 3);
    // The oldest first, whoever came back first.
    for message in [b"1", b"2", b"3"] {
        assert_eq!(take(&core, How::Get).unwrap().0, message);
    }
}

#[test]
fn a_lease_is_over_once() {
    let core = core();
    let owner = core.owner().unwrap();
    put(&core, b"1");
    let slot = take(&core, How::Lease(owner)).unwrap().1;
    assert!(!core.acknowledge(slot, owner + 1) && !core.release(slot, owner + 1));
    assert!(core.acknowledge(slot, owner));
    assert!(!core.acknowledge(slot, owner) && !core.release(slot, owner));
    assert!(core.is_idle());
}

#[test]
fn what_the_dead_leased_comes_back_and_the_death_is_counted() {
    let core = core();
    for death in 0..3 {
        if death == 0 {
            put(&core, b"1");
        }
        // A mapping of its own is a process of its own; dropped, it is dead.
        let other = mapped_again(&core);
        let owner = other.owner().unwrap();
        let mut out = Batch::default();
        assert_eq!(other.try_take(1, How::Lease(owner), &mut out).unwrap(), Take::Done(1));
        assert_eq!(out.items[0].deliveries, death);
        core.requeue_of_the_dead();
        assert_eq!(core.len(), 0, "it lives");
        drop(other);
        core.requeue_of_the_dead();
        assert_eq!(core.len(), 1);
    }
}

#[test]
fn who_polls_finds_what_the_dead_leased() {
    let core = core();
    put(&core, b"1");
    let other = mapped_again(&core);
    let owner = other.owner().unwrap();
    take(&other, How::Lease(owner)).unwrap();
    drop(other);
    let until = std::time::Instant::now() + SOON;
    while take(&core, How::Get).is_none() {
        assert!(std::time::Instant::now() < until, "it never comes back");
        std::thread::yield_now();
    }
}

#[test]
fn who_is_never_idle_finds_what_the_dead_leased() {
    let core = core();
    put(&core, b"dead");
    let other = mapped_again(&core);
    let owner = other.owner().unwrap();
    take(&other, How::Lease(owner)).unwrap();
    drop(other);
    let until = std::time::Instant::now() + SOON;
    put(&core, b"next");
    loop {
        put(&core, b"next");
        if take(&core, How::Get).unwrap().0 == b"dead" {
            break;
        }
        assert!(std::time::Instant::now() < until, "it never comes back");
    }
}

#[test]
fn a_number_that_is_taken_over_brings_no_leases() {
    let core = core();
    put(&core, b"1");
    let first = mapped_again(&core);
    let owner = first.owner().unwrap();
    take(&first, How::Lease(owner)).unwrap();
    drop(first);
    let second = mapped_again(&core);
    assert_eq!(second.owner().unwrap(), owner, "it is free again");
    assert_eq!(take(&second, How::Get).unwrap().0, b"1");
}

#[test]
fn there_are_so_many_leases_and_the_next_waits_for_one_to_end() {
    let queue: Queue<u32> = Queue::<u32>::builder().max_leases(2).build().unwrap();
    queue.put_many(0..4).unwrap();
    let (first, second) = (queue.lease().unwrap(), queue.lease().unwrap());
    assert!(matches!(queue.try_lease(), Err(GetError::Empty)));
    assert!(matches!(queue.lease_timeout(BRIEFLY), Err(GetError::Empty)));
    // Who needs no slot is not held up.
    assert_eq!(queue.try_get().unwrap(), 2);
    let waiting = queue.clone();
    let next = std::thread::spawn(move || waiting.lease_timeout(SOON).map(|lease| *lease));
    assert_eq!(first.done().unwrap(), 0);
    assert_eq!(next.join().unwrap().unwrap(), 3);
    // Requeued messages keep their slots.
    drop(second);
    let (a, b) = (queue.lease_timeout(SOON).unwrap(), queue.lease_timeout(SOON).unwrap());
    assert_eq!((*a, *b), (1, 3));
    let none: Queue<u32> = Queue::<u32>::builder().max_leases(0).build().unwrap();
    none.put(1).unwrap();
    assert!(matches!(none.lease_timeout(BRIEFLY), Err(GetError::Empty)));
}

#[test]
fn a_closed_queue_is_not_over_while_another_process_leases() {
    let core = core();
    put(&core, b"1");
    let other = mapped_again(&core);
    let owner = other.owner().unwrap();
    take(&other, How::Lease(owner)).unwrap();
    core.close();
    let mut out = Batch::default();
    assert_eq!(core.try_take(1, How::Get, &mut out).unwrap(), Take::Done(0));
    // Its own leases do not hold up the lessee.
    assert_eq!(other.try_take(1, How::Get, &mut out).unwrap(), Take::Closed);
    drop(other);
    assert!(core.wait_for_items(std::time::Instant::now().checked_add(SOON)));
    assert_eq!(take(&core, How::Get).unwrap().0, b"1");
    assert_eq!(core.try_take(1, How::Get, &mut out).unwrap(), Take::Closed);
}

/// A message whose lease is being taken is in no one's count of the ring: it must be in another.
#[test]
fn a_closed_queue_is_not_over_while_a_lease_is_being_taken() {
    let core = core();
    put(&core, b"1");
    let other = mapped_again(&core);
    let owner = other.owner().unwrap();
    let (_, slot) = take(&other, How::Lease(owner)).unwrap();
    core.close();
    // As it is between the move of the head and the slot's last change.
    State::Taking { owner }.set(core.shape.slot(&core.shm, slot as usize));
    assert!(core.others_lease());
}

#[test]
fn join_waits_for_leases_and_for_what_comes_back() {
    let queue: Queue<u32> = Queue::new(0).unwrap();
    queue.put(1).unwrap();
    let lease = queue.lease().unwrap();
    assert!(!queue.join_timeout(BRIEFLY));
    lease.release();
    assert!(!queue.join_timeout(BRIEFLY));
    let joining = queue.clone();
    let joined = std::thread::spawn(move || joining.join_timeout(SOON));
    queue.lease().unwrap().done().unwrap();
    assert!(joined.join().unwrap());
}

/// `join` looks at two words. A task that puts another, and only then is done, may do both between
/// the looks.
#[test]
fn join_never_overlooks_a_task_that_was_put_by_another() {
    let queue: Queue<u32> = Queue::new(0).unwrap();
    queue.put(0).unwrap();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for number in 0..20_000 {
                queue.get_timeout(SOON).unwrap();
                queue.put(number).unwrap();
                queue.task_done().unwrap();
            }
        });
        while !worker.is_finished() {
            assert!(!queue.core().is_idle(), "one task is open at any time");
        }
    });
}

#[test]
fn an_item_that_cannot_be_read_does_not_come_back() {
    let core = core();
    put(&core, b"\xc1 no such thing");
    let queue: Queue<u32> = Queue::of(core);
    assert!(matches!(queue.lease(), Err(GetError::Undecodable { .. })));
    assert!(queue.is_empty() && queue.join_timeout(SOON));
}

#[test]
fn what_a_dead_holder_of_the_lock_was_about_to_do_is_done_or_undone() {
    let core = core();
    let owner = core.owner().unwrap();
    put(&core, b"1");
    put(&core, b"2");
    let (_, slot) = take(&core, How::Lease(owner)).unwrap();
    let books = &core.header().consumers.0;
    // The head has passed the first message and not the second.
    let (taken, untaken) =
        (core.shape.slot(&core.shm, slot as usize), core.shape.slot(&core.shm, 3));
    State::Taking { owner }.set(taken);
    untaken.sequence.store(1, Ordering::SeqCst);
    State::Taking { owner }.set(untaken);
    books.leased.store(77, Ordering::SeqCst);
    core.recover();
    assert_eq!(State::of(taken), State::Leased { owner, deliveries: 0 });
    assert_eq!(State::of(untaken), State::Free);
    assert_eq!(books.leased.load(Ordering::SeqCst), 1);
    // An acknowledgement that was begun is completed, once.
    books.redo.store(1 << 63 | u64::from(slot) << 32 | 1, Ordering::SeqCst);
    core.recover();
    core.recover();
    assert_eq!(State::of(taken), State::Free);
    assert_eq!((books.done.load(Ordering::SeqCst), books.leased.load(Ordering::SeqCst)), (1, 0));
}
