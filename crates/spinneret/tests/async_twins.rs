//! What blocks has an async twin, which holds up no thread: here all tasks share one.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use spinneret::pipe::pipe;
use spinneret::process::{Process, Queue, sync as between};
use spinneret::sync;
use spinneret::thread::Thread;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// Runs two futures on one thread, of which the first waits for what the second does.
fn meet<A, B>(waits: impl Future<Output = A>, does: impl Future<Output = B>) -> (A, B) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let later = async {
        sleep(SOON).await;
        does.await
    };
    let both = async { tokio::join!(waits, later) };
    runtime.block_on(async { timeout(LONG, both).await }).expect("nobody waits for ever")
}

#[test]
fn of_queues_between_processes() {
    let queue = Queue::<u32>::new(1).unwrap();
    let read = async {
        let mut sum = 0;
        for _ in 0..100 {
            sum += queue.get_async().await.unwrap();
        }
        assert!(queue.get_timeout_async(SOON).await.is_err());
        sum
    };
    let write = async {
        queue.put_many_async(0..50).await.unwrap();
        for number in 50..100 {
            queue.put_timeout_async(number, LONG).await.unwrap();
        }
    };
    assert_eq!(meet(read, write).0, 4950);
    let work = async {
        let lease = queue.lease_timeout_async(LONG).await.unwrap();
        let full = queue.put_async(2).await.and(queue.put_timeout_async(3, SOON).await);
        assert!(full.is_err());
        assert!(!queue.join_timeout_async(SOON).await);
        lease.done().unwrap();
        let many = queue.get_many_async(9).await.unwrap();
        for _ in 0..101 {
            queue.task_done().unwrap();
        }
        queue.join_async().await;
        many
    };
    assert_eq!(meet(work, queue.put_async(1)).0, [2]);
    queue.close();
    assert!(meet(queue.lease_async(), async {}).0.is_err());
}

#[test]
fn of_locks_and_signals_between_processes() {
    let event = between::Event::new().unwrap();
    assert!(!meet(event.wait_timeout_async(SOON), async {}).0);
    meet(event.wait_async(), async { event.set() });
    assert!(meet(event.wait_timeout_async(LONG), async {}).0);

    let semaphore = between::Semaphore::new(0).unwrap();
    assert!(meet(semaphore.acquire_timeout_async(SOON), async {}).0.is_none());
    let acquire = async { semaphore.acquire_async().await.forget() };
    meet(acquire, async { semaphore.release().unwrap() });

    let barrier = between::Barrier::new(2).unwrap();
    let (first, second) = meet(barrier.wait_async(), barrier.wait_timeout_async(LONG));
    assert_eq!((first.unwrap(), second.unwrap()), (0, 1));
    assert!(meet(async { timeout(SOON, barrier.wait_async()).await.is_err() }, async {}).0);
    assert!(barrier.is_broken(), "one who had come has gone");
}

#[test]
fn of_locks_and_signals_within_the_process() {
    let event = sync::Event::new();
    assert!(!meet(event.wait_timeout_async(SOON), async {}).0);
    meet(event.wait_async(), async { event.set() });

    let semaphore = sync::Semaphore::new(0);
    assert!(meet(semaphore.acquire_timeout_async(SOON), async {}).0.is_none());
    let acquire = async { semaphore.acquire_async().await.forget() };
    meet(acquire, async { semaphore.release() });

    let barrier = sync::Barrier::new(2);
    assert_eq!(meet(barrier.wait_async(), barrier.wait_timeout_async(LONG)), (Ok(0), Ok(1)));
    assert!(meet(async { timeout(SOON, barrier.wait_async()).await.is_err() }, async {}).0);
    assert!(barrier.is_broken(), "one who had come has gone");

    let lock = sync::Lock::new(1);
    let mut held = Some(lock.lock());
    let take = async { *lock.lock_async().await };
    let give = async {
        *held.take().unwrap() = 2;
    };
    assert_eq!(meet(take, give).0, 2);

    let condition = Arc::new(sync::Condition::new(0));
    let wait = async { *condition.wait_while_async(|number| *number < 2).await };
    let change = async {
        for _ in 0..2 {
            *condition.lock_async().await += 1;
            condition.notify_one();
            sleep(SOON).await;
        }
    };
    assert_eq!(meet(wait, change).0, 2);
}

#[spinneret::task]
fn end() -> u8 {
    3
}

#[test]
fn of_pipes_threads_and_processes() {
    let (a, b) = pipe::<u8>().unwrap();
    assert!(!meet(b.poll_async(SOON), async {}).0);
    assert!(meet(b.recv_timeout_async(SOON), async {}).0.is_err());
    assert!(meet(b.poll_async(LONG), a.send_async(&1)).0);
    assert_eq!(meet(b.recv_timeout_async(LONG), async {}).0.unwrap(), 1);

    let event = Arc::new(sync::Event::new());
    let waits = Arc::clone(&event);
    let thread = Thread::new(move || waits.wait_timeout(LONG)).start().unwrap();
    assert_eq!(meet(thread.join_async(), async { event.set() }).0, Ok(true));

    let child = Process::new(end, ()).unwrap();
    child.start().unwrap();
    assert!(meet(child.join_async(), async {}).0.unwrap().success());
}
