//! The queue between processes: the same promises, whichever way processes reach it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod family;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use family::{Child, GENEROUS, eventually};
use serde_bytes::ByteBuf;
use spinneret::pipe::{Connection, pipe};
use spinneret::process::Queue;
use spinneret::process::queue::{GetError, PutError};
use spinneret::task::EncodeError;
use spinneret::{Pool, ProcessPool};

const SHORT: Duration = Duration::from_millis(20);

#[spinneret::task]
fn put_numbers(queue: Queue<(u32, u32)>, producer: u32, count: u32) {
    for number in 0..count {
        queue.put((producer, number)).unwrap();
    }
}

#[spinneret::task]
fn pass_on(from: Queue<(u32, u32)>, to: Queue<(u32, u32)>) {
    while let Ok(item) = from.get() {
        to.put(item).unwrap();
    }
}

#[test]
fn items_come_in_the_order_in_which_a_process_put_them() {
    let queue = Queue::new(10).unwrap();
    let child = Child::start(put_numbers, (queue.clone(), 7, 1000));
    for number in 0..1000 {
        assert_eq!(queue.get_timeout(GENEROUS).unwrap(), (7, number));
    }
    child.join();
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
}

#[test]
fn many_producers_and_consumers_lose_and_double_nothing() {
    let (work, results) = (Queue::new(64).unwrap(), Queue::new(0).unwrap());
    let consumers: Vec<_> =
        (0..3).map(|_| Child::start(pass_on, (work.clone(), results.clone()))).collect();
    let producers: Vec<_> =
        (0..3).map(|number| Child::start(put_numbers, (work.clone(), number, 500))).collect();
    let mut seen = BTreeMap::<_, Vec<u32>>::new();
    for _ in 0..1500 {
        let (producer, number) = results.get_timeout(GENEROUS).unwrap();
        seen.entry(producer).or_default().push(number);
    }
    producers.iter().for_each(Child::join);
    work.close();
    consumers.iter().for_each(Child::join);
    assert!(results.is_empty());
    assert_eq!(seen.len(), 3);
    for mut numbers in seen.into_values() {
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..500));
    }
}

/// How an item was refused, and which.
fn refused(put: Result<(), PutError<String>>) -> String {
    let error = put.unwrap_err();
    let kind = format!("{error:?}");
    format!("{kind} {}", error.into_item())
}

/// Fills the queue, and says how it is refused.
#[spinneret::task]
fn fill(queue: Queue<String>, answers: Connection<String>) {
    queue.put("one".to_owned()).unwrap();
    queue.try_put("two".to_owned()).unwrap();
    answers.send(&refused(queue.try_put("three".to_owned()))).unwrap();
    answers.send(&refused(queue.put_timeout("four".to_owned(), SHORT))).unwrap();
    answers.recv().unwrap();
    answers.send(&refused(queue.put("five".to_owned()))).unwrap();
}

#[test]
fn a_full_queue_and_a_closed_one_give_the_item_back() {
    let queue = Queue::new(2).unwrap();
    let (ours, theirs) = pipe::<String>().unwrap();
    let child = Child::start(fill, (queue.clone(), theirs));
    assert_eq!(ours.recv().unwrap(), "Full(..) three");
    assert_eq!(ours.recv().unwrap(), "Full(..) four");
    assert_eq!(queue.len(), 2);
    queue.close();
    ours.send(&"closed".to_owned()).unwrap();
    assert_eq!(ours.recv().unwrap(), "Closed(..) five");
    child.join();
    assert_eq!(queue.get().unwrap(), "one");
    assert_eq!(queue.get().unwrap(), "two");
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

/// Waits for items of an empty queue in every way, until it is closed.
#[spinneret::task]
fn wait_in_vain(queue: Queue<u8>, answers: Connection<String>) {
    answers.send(&format!("{:?}", queue.try_get())).unwrap();
    answers.send(&format!("{:?}", queue.get_timeout(SHORT))).unwrap();
    answers.send(&format!("{:?}", queue.get())).unwrap();
    answers.send(&format!("{:?} {}", queue.lease().is_err(), queue.is_closed())).unwrap();
}

#[test]
fn an_empty_queue_is_waited_for_until_it_is_closed() {
    let queue = Queue::new(0).unwrap();
    let (ours, theirs) = pipe::<String>().unwrap();
    let child = Child::start(wait_in_vain, (queue.clone(), theirs));
    assert_eq!(ours.recv().unwrap(), "Err(Empty)");
    assert_eq!(ours.recv().unwrap(), "Err(Empty)");
    queue.close();
    assert_eq!(ours.recv().unwrap(), "Err(Closed)");
    assert_eq!(ours.recv().unwrap(), "true true");
    child.join();
}

#[test]
fn another_process_can_close_it() {
    #[spinneret::task]
    fn close(queue: Queue<u8>) {
        queue.close();
    }
    let queue = Queue::new(0).unwrap();
    queue.put(1).unwrap();
    let waiting = queue.clone();
    let joiner = thread::spawn(move || (waiting.get(), waiting.get()));
    Child::start(close, queue.clone()).join();
    assert!(matches!(joiner.join().unwrap(), (Ok(1), Err(GetError::Closed))));
    assert!(matches!(queue.put(2), Err(PutError::Closed(2))));
}

/// Takes items many at a time and puts them back so.
#[spinneret::task]
fn in_batches(from: Queue<u32>, to: Queue<u32>) {
    while let Ok(items) = from.get_many(100) {
        assert!((1..=100).contains(&items.len()));
        to.put_many(items).unwrap();
    }
}

#[test]
fn batches_keep_the_order_across_bounds() {
    let (there, back) = (Queue::new(50).unwrap(), Queue::new(0).unwrap());
    let child = Child::start(in_batches, (there.clone(), back.clone()));
    let putter = there.clone();
    let putter = thread::spawn(move || putter.put_many(0..5000));
    let mut got = Vec::new();
    while got.len() < 5000 {
        got.extend(back.get_many(1000).unwrap());
    }
    putter.join().unwrap().unwrap();
    there.close();
    child.join();
    assert!(got.into_iter().eq(0..5000));
    let error = there.put_many([1, 2, 3]).unwrap_err();
    assert_eq!(error.into_item(), [1, 2, 3]);
}

#[spinneret::task]
fn echo_bytes(there: Queue<ByteBuf>, back: Queue<ByteBuf>) {
    while let Ok(bytes) = there.get() {
        back.put(bytes).unwrap();
    }
}

#[test]
fn messages_of_any_size_go_through() {
    let (there, back) = (Queue::new(0).unwrap(), Queue::new(0).unwrap());
    let child = Child::start(echo_bytes, (there.clone(), back.clone()));
    for length in [0, 1, 65_000, 65_536, 70_000, 300_000, 3 << 20, 20 << 20] {
        let bytes: ByteBuf = (0..length).map(|at: usize| at as u8).collect::<Vec<_>>().into();
        there.put(bytes.clone()).unwrap();
        assert!(back.get_timeout(GENEROUS).unwrap() == bytes, "of {length}");
    }
    there.close();
    child.join();
}

/// Leases an item, says which, and holds on to it.
#[spinneret::task]
fn lease_and_hold(queue: Queue<u32>, news: Connection<(u32, u32)>) {
    let lease = queue.lease().unwrap();
    news.send(&(*lease, lease.deliveries())).unwrap();
    // Until it is killed.
    let _ = news.recv();
}

#[test]
fn the_lease_of_a_process_that_is_killed_comes_back() {
    let queue = Queue::new(0).unwrap();
    queue.put_many([1, 2]).unwrap();
    for deaths in 0..3 {
        let (ours, theirs) = pipe().unwrap();
        let child = Child::start(lease_and_hold, (queue.clone(), theirs));
        assert_eq!(ours.recv().unwrap(), (1, deaths + 1), "the oldest, each time");
        assert_eq!(queue.len(), 1);
        child.kill();
        eventually("the lease comes back", || {
            let lease = queue.lease_timeout(GENEROUS).unwrap();
            *lease == 1
        });
    }
    let lease = queue.lease().unwrap();
    assert_eq!((*lease, lease.deliveries()), (1, 4));
    lease.release();
    let lease = queue.lease().unwrap();
    assert_eq!((*lease, lease.deliveries()), (1, 4), "giving back is no death");
    assert_eq!(lease.done().unwrap(), 1);
    assert_eq!(queue.lease().unwrap().done().unwrap(), 2);
    assert!(queue.join_timeout(GENEROUS));
}

#[test]
fn a_get_that_waits_sees_the_lease_of_a_killed_process() {
    let queue = Queue::new(0).unwrap();
    queue.put(5).unwrap();
    let (ours, theirs) = pipe().unwrap();
    let child = Child::start(lease_and_hold, (queue.clone(), theirs));
    assert_eq!(ours.recv().unwrap(), (5, 1));
    // Closed, but not drained: the lease may come back.
    queue.close();
    let waiting = queue.clone();
    let joiner = thread::spawn(move || waiting.get_timeout(GENEROUS));
    child.kill();
    assert_eq!(joiner.join().unwrap().unwrap(), 5);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

/// Takes what there is, one by one, and tells.
#[spinneret::task]
fn take_and_tell(queue: Queue<u32>, news: Connection<u32>) {
    while let Ok(number) = queue.get() {
        news.send(&number).unwrap();
    }
}

#[test]
fn killed_consumers_take_no_more_than_they_had_got() {
    let queue = Queue::new(0).unwrap();
    let mut pauses = family::Pauses::new(3);
    let (mut told, mut next) = (Vec::new(), 0);
    for _ in 0..8 {
        let (ours, theirs) = pipe().unwrap();
        let child = Child::start(take_and_tell, (queue.clone(), theirs));
        queue.put_many(next..next + 200).unwrap();
        next += 200;
        told.push(ours.recv().unwrap());
        pauses.pause();
        child.kill();
        while let Ok(number) = ours.recv() {
            told.push(number);
        }
    }
    while let Ok(number) = queue.get_timeout(SHORT) {
        told.push(number);
    }
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "in order, and none twice");
    // Each that was killed may have had one in hand.
    assert!(told.len() + 8 >= 1600, "{}", told.len());
}

#[spinneret::task]
fn work_off(queue: Queue<u32>) {
    while let Ok(number) = queue.get_timeout(GENEROUS) {
        if number == 0 {
            queue.lease().unwrap().done().unwrap();
        }
        queue.task_done().unwrap();
    }
}

#[test]
fn a_join_waits_for_the_work_of_all_processes() {
    let queue = Queue::new(0).unwrap();
    assert!(queue.join_timeout(Duration::ZERO), "nothing was put");
    assert!(queue.task_done().is_err());
    queue.put_many([1, 2, 0, 9]).unwrap();
    assert!(!queue.join_timeout(SHORT));
    let child = Child::start(work_off, queue.clone());
    queue.join();
    assert!(queue.is_empty());
    assert!(queue.task_done().is_err(), "no more than were put");
    queue.close();
    child.join();
}

#[spinneret::task]
fn hand_down(queue: Queue<(u32, u32)>, generations: u32) {
    queue.put((generations, 0)).unwrap();
    if generations > 0 {
        Child::start(hand_down, (queue.clone(), generations - 1)).join();
    }
    queue.put((generations, 1)).unwrap();
}

#[test]
fn children_hand_it_down_to_theirs() {
    let queue = Queue::new(0).unwrap();
    let child = Child::start(hand_down, (queue.clone(), 2));
    let got: Vec<_> = (0..6).map(|_| queue.get_timeout(GENEROUS).unwrap()).collect();
    assert_eq!(got, [(2, 0), (1, 0), (0, 0), (0, 1), (1, 1), (2, 1)]);
    child.join();
}

#[spinneret::task]
fn make_one(number: u32) -> Queue<u32> {
    let queue = Queue::new(0).unwrap();
    queue.put(number).unwrap();
    queue
}

#[spinneret::task]
fn add(queue: Queue<u32>, number: u32) {
    queue.put(number).unwrap();
}

#[test]
fn it_travels_in_arguments_results_and_messages() {
    let pool = ProcessPool::new(2).unwrap();
    let queue = pool.apply(make_one, 3).unwrap();
    assert_eq!(queue.get().unwrap(), 3, "its maker lives");
    let outcomes = pool.map(add, (0..20).map(|number| (queue.clone(), number))).unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let mut got = Vec::new();
    while got.len() < 20 {
        got.extend(queue.get_many(20).unwrap());
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..20));

    let (ours, theirs) = pipe().unwrap();
    ours.send(&queue).unwrap();
    queue.put(8).unwrap();
    assert_eq!(theirs.recv().unwrap().get().unwrap(), 8, "it is the same queue");
}

#[test]
fn it_lives_while_it_is_on_its_way() {
    let (ours, theirs) = pipe().unwrap();
    let queue = Queue::new(0).unwrap();
    queue.put(4).unwrap();
    ours.send(&queue).unwrap();
    drop(queue);
    let queue: Queue<u32> = theirs.recv().unwrap();
    assert_eq!(queue.get().unwrap(), 4);
}

/// Makes a queue with an item, sends it, and stays.
#[spinneret::task]
fn make_and_stay(to: Connection<Queue<u32>>) {
    let queue = Queue::new(0).unwrap();
    queue.put(6).unwrap();
    to.send(&queue).unwrap();
    // Until it is killed.
    let _ = to.recv();
}

#[test]
fn when_its_maker_is_killed_it_lives_on_in_shared_memory_and_else_says_that_it_is_gone() {
    let (ours, theirs) = pipe().unwrap();
    let child = Child::start(make_and_stay, theirs);
    let queue = ours.recv().unwrap();
    queue.put(7).unwrap();
    let (waiting, (done, waited)) = (queue.clone(), std::sync::mpsc::channel());
    let joiner = thread::spawn(move || {
        done.send(waiting.join_timeout(GENEROUS)).unwrap();
    });
    child.kill();
    if cfg!(shared_memory) {
        assert_eq!((queue.get().unwrap(), queue.get().unwrap()), (6, 7));
        queue.put(8).unwrap();
        (0..2).for_each(|_| queue.task_done().unwrap());
        assert_eq!(queue.lease().unwrap().done().unwrap(), 8);
        assert!(waited.recv_timeout(GENEROUS).unwrap());
    } else {
        assert!(!waited.recv_timeout(GENEROUS).unwrap(), "it does not wait for what cannot come");
        assert!(matches!(queue.put(8), Err(PutError::Broken { item: 8, .. })));
        assert!(matches!(queue.get_timeout(GENEROUS), Err(GetError::Broken(_))));
        assert!(matches!(queue.lease(), Err(GetError::Broken(_))));
        assert!(queue.is_empty() && queue.is_closed() && queue.task_done().is_err());
        let error = queue.get().unwrap_err().to_string();
        assert!(error.contains("ends with the process that made it"), "{error}");
    }
    joiner.join().unwrap();
}

#[test]
fn it_goes_nowhere_else_and_holds_no_other() {
    let queue = Queue::<u32>::new(0).unwrap();
    assert!(spinneret_pickle::to_bytes(&queue, spinneret_pickle::Dialect::Python38).is_err());
    assert!(rmp_serde::to_vec(&queue).is_err());
    let (ours, _theirs) = pipe::<Vec<Queue<u32>>>().unwrap();
    let error = ours.send(&vec![queue.clone(); 1000]).unwrap_err().to_string();
    assert!(error.contains(&EncodeError::TooManyAttachments.to_string()), "{error}");

    let outer = Queue::new(0).unwrap();
    let error = outer.put(queue).unwrap_err();
    assert!(error.to_string().contains("through a pipe"), "{error}");
    assert!(outer.is_empty());
}

#[tokio::test]
async fn the_asynchronous_calls_wait_without_a_thread_of_the_runtime() {
    let (there, back) = (Queue::new(1).unwrap(), Queue::new(1).unwrap());
    let child = Child::start(pass_on, (there.clone(), back.clone()));
    let put = async {
        for number in 0..50 {
            there.put_async((1, number)).await.unwrap();
        }
    };
    let get = async {
        for number in 0..50 {
            if number % 2 == 0 {
                assert_eq!(back.get_async().await.unwrap(), (1, number));
            } else {
                let lease = back.lease_async().await.unwrap();
                assert_eq!(lease.done().unwrap(), (1, number));
            }
        }
    };
    tokio::join!(put, get);
    there.close();
    child.join();
}
