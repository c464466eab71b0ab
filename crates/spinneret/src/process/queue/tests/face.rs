//! Items: what `Queue` says and when.

use std::time::Instant;

use super::super::{GetError, LeaseLost, PutError, TooManyDone};
use super::*;
use crate::process::attachment;

#[test]
fn items_come_out_in_order_and_full_and_empty_are_told() {
    let queue = Queue::new(2).unwrap();
    queue.put("a".to_owned()).unwrap();
    queue.try_put("b".to_owned()).unwrap();
    assert!(matches!(queue.try_put("c".to_owned()), Err(PutError::Full(item)) if item == "c"));
    let before = Instant::now();
    let full = queue.put_timeout("c".to_owned(), BRIEFLY);
    assert!(matches!(full, Err(PutError::Full(item)) if item == "c"));
    assert!(before.elapsed() >= BRIEFLY);
    assert_eq!((queue.len(), queue.is_empty()), (2, false));
    assert_eq!((queue.get().unwrap(), queue.try_get().unwrap()), ("a".into(), "b".into()));
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    assert!(matches!(queue.get_timeout(BRIEFLY), Err(GetError::Empty)));
}

#[test]
fn a_closed_queue_takes_nothing_and_gives_what_is_left() {
    let queue = Queue::new(0).unwrap();
    queue.put_many([1, 2]).unwrap();
    let lease = queue.lease().unwrap();
    queue.close();
    assert!(queue.is_closed());
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    let many = queue.put_many([3, 4]).unwrap_err();
    assert!(matches!(many, PutError::Closed(items) if items == [3, 4]));
    assert_eq!(queue.get().unwrap(), 2);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    // What is given back can be got again.
    lease.release();
    assert_eq!(queue.get().unwrap(), 1);
    assert!(matches!(queue.lease(), Err(GetError::Closed)));
    let error = queue.get_many(5).unwrap_err();
    assert!(error.items.is_empty() && matches!(error.error, GetError::Closed));
}

#[test]
fn who_waits_is_told_of_the_close() {
    let queue: Queue<u32> = Queue::new(1).unwrap();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get_timeout(SOON));
        std::thread::sleep(BRIEFLY);
        queue.close();
        assert!(matches!(getter.join().unwrap(), Err(GetError::Closed)));
    });
    let queue = Queue::new(1).unwrap();
    queue.put(1).unwrap();
    std::thread::scope(|scope| {
        let putter = scope.spawn(|| queue.put_timeout(2, SOON));
        std::thread::sleep(BRIEFLY);
        queue.close();
        assert!(matches!(putter.join().unwrap(), Err(PutError::Closed(2))));
    });
}

#[test]
fn many_items_stay_in_order_and_those_that_were_not_put_come_back() {
    let queue = Queue::new(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| queue.put_many(0..50_000_u32).unwrap());
        let mut got = Vec::new();
        while got.len() < 50_000 {
            got.extend(queue.get_many(700).unwrap());
        }
        assert!(got.into_iter().eq(0..50_000));
    });
    assert_eq!(queue.get_many(0).unwrap(), []);
    let small = Queue::new(3).unwrap();
    let error = std::thread::scope(|scope| {
        let putter = scope.spawn(|| small.put_many(0..10).unwrap_err());
        while small.len() < 3 {
            std::thread::yield_now();
        }
        small.close();
        putter.join().unwrap()
    });
    assert_eq!(error.into_item(), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(small.get_many(10).unwrap(), [0, 1, 2]);
}

/// Serializes unless it is odd.
#[derive(Debug, PartialEq)]
struct Even(u32);

impl serde::Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(2) {
            serializer.serialize_u32(self.0)
        } else {
            Err(serde::ser::Error::custom("odd"))
        }
    }
}

#[test]
fn an_item_that_cannot_be_serialized_comes_back_and_those_before_it_are_put() {
    let queue = Queue::new(0).unwrap();
    let error = queue.put(Even(1)).unwrap_err();
    assert!(error.to_string().contains("odd"));
    assert_eq!(error.into_item(), Even(1));
    let mut items = [0, 2, 3, 4].map(Even).into_iter();
    let error = queue.put_many(&mut items).unwrap_err();
    assert!(matches!(&error, PutError::Unserializable { cause, .. } if cause.contains("odd")));
    assert_eq!(error.into_item(), [Even(3)]);
    assert_eq!(items.next(), Some(Even(4)), "what was not taken is left");
    assert_eq!(queue.len(), 2);
}

#[test]
fn an_item_that_cannot_be_read_is_in_the_error_beside_those_that_can() {
    let core = core();
    put(&core, &[1]);
    put(&core, b"\xc1?");
    put(&core, &[2]);
    let queue: Queue<u8> = Queue::of(core);
    let error = queue.get_many(3).unwrap_err();
    assert_eq!(error.items, [1, 2]);
    assert!(matches!(error.error, GetError::Undecodable { message, .. } if message == b"\xc1?"));
    put(queue.core(), b"\xc1?");
    assert!(matches!(queue.get(), Err(GetError::Undecodable { .. })));
    assert!(queue.is_empty());
}

#[test]
fn large_items_travel_like_others() {
    let queue = Queue::new(0).unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 5_000_000] {
        queue.put(bytes(length as u8, length)).unwrap();
        let lease = queue.lease().unwrap();
        assert_eq!(*lease, bytes(length as u8, length));
        lease.release();
        assert_eq!(queue.get().unwrap(), bytes(length as u8, length));
    }
}

#[test]
fn tasks_are_counted() {
    let queue = Queue::new(0).unwrap();
    assert_eq!(queue.task_done(), Err(TooManyDone));
    queue.join();
    queue.put(1).unwrap();
    assert!(!queue.join_timeout(BRIEFLY));
    queue.get().unwrap();
    assert!(!queue.join_timeout(BRIEFLY));
    queue.task_done().unwrap();
    assert!(queue.join_timeout(SOON));
    assert_eq!(queue.task_done(), Err(TooManyDone));
}

#[test]
fn a_lease_is_given_back_unless_it_is_done() {
    let queue = Queue::new(0).unwrap();
    queue.put(1).unwrap();
    let lease = queue.lease().unwrap();
    assert_eq!((*lease, lease.deliveries(), queue.len()), (1, 1, 0));
    drop(lease);
    let lease = queue.lease().unwrap();
    assert_eq!(lease.deliveries(), 1, "giving back is no death");
    assert_eq!(lease.done(), Ok(1));
    assert!(queue.is_empty() && queue.join_timeout(SOON));
}

#[test]
fn a_queue_travels_and_its_type_is_checked() {
    let queue: Queue<u32> = Queue::new(0).unwrap();
    let (message, descriptors) = attachment::encode(&queue).unwrap();
    let copies = || descriptors.iter().map(|fd| fd.try_clone().unwrap()).collect();
    let other: Queue<u32> = attachment::decode(&message, copies()).unwrap();
    other.put(7).unwrap();
    assert_eq!(queue.get().unwrap(), 7);
    let error = attachment::decode::<Queue<String>>(&message, copies()).unwrap_err().to_string();
    assert!(error.contains("a queue of u32") && error.contains("String"), "{error}");
    // Not beyond this machine.
    assert!(rmp_serde::to_vec(&queue).is_err());
    assert!(matches!(Queue::new(0).unwrap().put(queue), Err(PutError::Unserializable { .. })));
}

#[test]
fn a_lease_of_the_process_that_forked_is_not_its_forks() {
    let queue: Queue<u32> = Queue::new(0).unwrap();
    queue.put(1).unwrap();
    let lease = queue.lease().unwrap();
    // SAFETY: the child calls what uses only memory, and ends.
    match unsafe { libc::fork() } {
        0 => {
            let lost = lease.done() == Err(LeaseLost);
            // SAFETY: always allowed.
            unsafe { libc::_exit(i32::from(!lost)) };
        }
        child => {
            let mut status = 0;
            // SAFETY: our child, and our variable.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
            assert_eq!(lease.done(), Ok(1));
        }
    }
}

#[tokio::test]
async fn waiting_in_a_runtime_does_not_hold_up_others() {
    let queue: Queue<u32> = Queue::new(1).unwrap();
    let getter = tokio::spawn({
        let queue = queue.clone();
        async move { (queue.get_async().await, queue.lease_async().await.map(|lease| *lease)) }
    });
    tokio::task::yield_now().await;
    queue.put_async(1).await.unwrap();
    queue.put_async(2).await.unwrap();
    let (got, leased) = getter.await.unwrap();
    assert_eq!((got.unwrap(), leased.unwrap()), (1, 2));
    // The lease was dropped.
    assert_eq!(queue.get_async().await.unwrap(), 2);
    queue.close();
    assert!(matches!(queue.get_async().await, Err(GetError::Closed)));
    assert!(matches!(queue.lease_async().await, Err(GetError::Closed)));
    assert!(matches!(queue.put_async(3).await, Err(PutError::Closed(3))));
}

#[tokio::test]
async fn a_future_that_is_dropped_takes_and_puts_nothing() {
    let queue: Queue<u32> = Queue::new(1).unwrap();
    assert!(tokio::time::timeout(BRIEFLY, queue.get_async()).await.is_err());
    queue.put(1).unwrap();
    assert!(tokio::time::timeout(BRIEFLY, queue.put_async(2)).await.is_err());
    // Whoever still waits on behalf of the futures takes nothing.
    std::thread::sleep(BRIEFLY);
    assert_eq!(queue.try_get().unwrap(), 1);
    std::thread::sleep(BRIEFLY);
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
}
