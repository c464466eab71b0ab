use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Instant;

use super::*;

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "it never came");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn items_come_in_the_order_they_were_put() {
    let queue = Queue::new();
    queue.put(1).unwrap();
    queue.put_many(vec![2, 3, 4]).unwrap();
    assert_eq!(queue.len(), 4);
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get_many(2, LONG), Ok(vec![2, 3]));
    assert_eq!(queue.get_many(9, LONG), Ok(vec![4]));
    assert!(queue.is_empty());
}

#[test]
fn a_full_queue_gives_the_item_back() {
    let queue = Queue::bounded(2);
    queue.put_many(vec![1, 2]).unwrap();
    assert_eq!(queue.try_put(3), Err(PutError::Full(3)));
    assert_eq!(queue.put_timeout(3, SOON), Err(PutError::Full(3)));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.put_many_timeout(vec![3, 4, 5], SOON), Err(PutError::Full(vec![4, 5])));
    assert_eq!(queue.get_many(9, LONG), Ok(vec![2, 3]));
    assert_eq!(PutError::Full(7).into_item(), 7);
}

#[test]
fn an_empty_queue_says_so() {
    let queue = Queue::<u8>::new();
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.get_timeout(SOON), Err(GetError::Empty));
    assert_eq!(queue.get_many(3, SOON), Err(GetError::Empty));
    assert_eq!(queue.lease_timeout(SOON).unwrap_err(), GetError::Empty);
}

#[test]
fn a_closed_queue_refuses_puts_and_drains() {
    let queue = Queue::new();
    queue.put_many(vec![1, 2]).unwrap();
    queue.close();
    assert!(queue.is_closed());
    assert_eq!(queue.put(3), Err(PutError::Closed(3)));
    assert_eq!(queue.put_many(vec![3, 4]), Err(PutError::Closed(vec![3, 4])));
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get(), Ok(2));
    assert_eq!(queue.get(), Err(GetError::Closed));
    assert_eq!(queue.try_get(), Err(GetError::Closed));
}

#[test]
fn closing_wakes_those_who_wait() {
    let full = Queue::bounded(0);
    let empty = Queue::<u8>::new();
    thread::scope(|scope| {
        let putter = scope.spawn(|| full.put(1));
        let many = scope.spawn(|| full.put_many(vec![1, 2]));
        let getters = [scope.spawn(|| empty.get()), scope.spawn(|| empty.get())];
        thread::sleep(SOON);
        full.close();
        empty.close();
        assert_eq!(putter.join().unwrap(), Err(PutError::Closed(1)));
        assert_eq!(many.join().unwrap(), Err(PutError::Closed(vec![1, 2])));
        for getter in getters {
            assert_eq!(getter.join().unwrap(), Err(GetError::Closed));
        }
    });
}

#[test]
fn a_leased_item_comes_back_to_the_head_unless_it_is_done() {
    let queue = Queue::bounded(2);
    queue.put_many(vec![1, 2]).unwrap();
    let mut lease = queue.lease().unwrap();
    assert_eq!((*lease, lease.deliveries()), (1, 1));
    *lease = 10;
    lease.release();
    let lease = queue.lease().unwrap();
    assert_eq!((*lease, lease.deliveries()), (10, 2));
    // Room for one more, and for the leased one when it comes back.
    queue.try_put(3).unwrap();
    drop(lease);
    assert_eq!(queue.len(), 3);
    assert_eq!(queue.lease().unwrap().done(), 10);
    queue.task_done(queue.lease().unwrap());
    assert_eq!(queue.get(), Ok(3));
}

#[test]
fn the_item_of_one_who_panics_goes_to_another() {
    let queue = Queue::new();
    queue.put(1).unwrap();
    let other = queue.clone();
    let died = thread::spawn(move || {
        let _lease = other.lease().unwrap();
        panic!("while it works");
    });
    assert!(died.join().is_err());
    assert_eq!(queue.lease_timeout(LONG).unwrap().deliveries(), 2);
}

#[test]
fn join_waits_for_what_is_queued_and_leased() {
    let queue = Queue::new();
    queue.join();
    queue.put_many(vec![1, 2]).unwrap();
    assert!(!queue.join_timeout(SOON));
    queue.get().unwrap();
    let lease = queue.lease().unwrap();
    assert!(!queue.join_timeout(SOON));
    thread::scope(|scope| {
        let joined = scope.spawn(|| queue.join_timeout(LONG));
        thread::sleep(SOON);
        lease.done();
        assert!(joined.join().unwrap());
    });
}

#[test]
fn a_closed_queue_is_not_drained_while_an_item_may_come_back() {
    let queue = Queue::new();
    queue.put_many(vec![1, 2]).unwrap();
    queue.close();
    let (first, second) = (queue.lease().unwrap(), queue.lease().unwrap());
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    thread::scope(|scope| {
        let getters = [scope.spawn(|| queue.get()), scope.spawn(|| queue.get())];
        thread::sleep(SOON);
        drop(first);
        second.done();
        let mut got = getters.map(|getter| getter.join().unwrap());
        got.sort_by_key(Result::is_err);
        assert_eq!(got, [Ok(1), Err(GetError::Closed)]);
    });
}

#[test]
fn many_threads_lose_and_double_nothing() {
    const EACH: u32 = 2000;
    let queue = Queue::bounded(8);
    let got = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let queue = &queue;
                scope.spawn(move || {
                    let mut items = (writer * EACH..(writer + 1) * EACH).collect::<Vec<_>>();
                    let rest = items.split_off(items.len() / 2);
                    for item in items {
                        queue.put(item).unwrap();
                    }
                    queue.put_many(rest).unwrap();
                })
            })
            .collect();
        let readers: Vec<_> = (0..4)
            .map(|reader| {
                let queue = &queue;
                scope.spawn(move || {
                    let mut got = Vec::new();
                    loop {
                        match reader {
                            0 => match queue.get_many(3, LONG) {
                                Ok(items) => got.extend(items),
                                Err(_) => return got,
                            },
                            1 => match queue.lease() {
                                Ok(lease) if *lease % 2 == 0 && lease.deliveries() < 3 => {}
                                Ok(lease) => got.push(lease.done()),
                                Err(_) => return got,
                            },
                            _ => match queue.get() {
                                Ok(item) => got.push(item),
                                Err(_) => return got,
                            },
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        queue.join();
        queue.close();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(got.len(), 4 * EACH as usize);
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), (0..4 * EACH).collect());
}

#[tokio::test]
async fn tasks_and_threads_share_a_queue() {
    let (there, back) = (Queue::bounded(1), Queue::bounded(1));
    let (from, to) = (there.clone(), back.clone());
    let thread = thread::spawn(move || {
        while let Ok(item) = from.get() {
            to.put(item).unwrap();
        }
    });
    let reader = tokio::spawn(async move {
        for item in 0..200 {
            assert_eq!(back.get_timeout_async(LONG).await, Ok(item));
        }
    });
    for item in 0..100 {
        there.put_async(item).await.unwrap();
    }
    there.put_many_async((100..200).collect()).await.unwrap();
    there.join_async().await;
    there.close();
    reader.await.unwrap();
    thread.join().unwrap();
}

#[tokio::test]
async fn async_twins_time_out_and_close_alike() {
    let queue = Queue::bounded(1);
    assert_eq!(queue.get_timeout_async(SOON).await, Err(GetError::Empty));
    assert_eq!(queue.get_many_async(2, SOON).await, Err(GetError::Empty));
    queue.put_timeout_async(1, LONG).await.unwrap();
    assert_eq!(queue.put_timeout_async(2, SOON).await, Err(PutError::Full(2)));
    assert_eq!(queue.put_many_timeout_async(vec![2], SOON).await, Err(PutError::Full(vec![2])));
    assert!(!queue.join_timeout_async(SOON).await);
    let lease = queue.lease_timeout_async(LONG).await.unwrap();
    assert_eq!(lease.done(), 1);
    assert!(queue.join_timeout_async(LONG).await);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.lease_async().await.map(Lease::done) }
    });
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(waiting.await.unwrap(), Err(GetError::Closed));
    assert_eq!(queue.put_async(3).await, Err(PutError::Closed(3)));
}

#[tokio::test]
async fn a_wake_up_that_a_dropped_future_had_goes_to_another() {
    let queue = Queue::new();
    let mut second = pin!(queue.get_async());
    {
        let mut first = pin!(queue.get_async());
        let both_wait = poll_fn(|context| {
            let first = first.as_mut().poll(context).is_pending();
            Poll::Ready(first && second.as_mut().poll(context).is_pending())
        });
        assert!(both_wait.await);
        queue.put(1).unwrap();
    }
    assert_eq!(tokio::time::timeout(LONG, second).await.unwrap(), Ok(1));
}

#[test]
fn a_thread_that_waits_is_woken_by_a_task_and_the_other_way_round() {
    let queue = Queue::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get());
        thread::sleep(SOON);
        runtime.block_on(queue.put_async(1)).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(1));
        scope.spawn(|| {
            eventually(|| queue.is_empty());
            thread::sleep(SOON);
            queue.put(2).unwrap();
        });
        assert_eq!(runtime.block_on(queue.get_async()), Ok(2));
    });
}
