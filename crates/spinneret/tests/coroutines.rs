//! What the toolkit waits for suspends a coroutine and not its hub: here is one hub, and nothing is
//! patched, so that a wait which held up the hub would be for ever.

#![cfg(all(feature = "coroutine", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use spinneret::coroutine::{self, Config, JoinError, join_all, sleep, spawn, timeout, yield_now};
use spinneret::manager::{AuthKey, Client, Manager, QueueOptions};
use spinneret::pipe::{pipe, wait};
use spinneret::process::{Process, sync as between};
use spinneret::thread::Thread;
use spinneret::{Pool, ProcessPool, ThreadPool, process, queue, sync};

const SOON: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(30);

/// Has one hub.
fn one_hub() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| coroutine::configure(Config::new().hubs(1)).unwrap());
}

/// Runs two coroutines, the first of which waits for what the second does, a little later.
fn meet<T: Send + 'static>(
    waits: impl FnOnce() -> T + Send + 'static,
    does: impl FnOnce() + Send + 'static,
) -> T {
    one_hub();
    let waits = spawn(waits);
    let does = spawn(move || {
        sleep(SOON);
        does();
    });
    let result = spawn(|| timeout(LONG, || (waits.join().unwrap(), does.join().unwrap())));
    result.join().unwrap().expect("nobody waits for ever").0
}

#[test]
fn queues_within_the_process() {
    let queue = queue::Queue::bounded(1);
    let (writer, reader) = (queue.clone(), queue.clone());
    let read = move || (0..100).map(|_| reader.get().unwrap()).sum::<u32>();
    let write = move || (0..100).for_each(|number| writer.put(number).unwrap());
    assert_eq!(meet(read, write), 4950);
    let (reader, other) = (queue.clone(), queue.clone());
    assert!(meet(move || reader.get_timeout(SOON).is_err(), || ()));
    let leased = meet(move || other.lease().unwrap().done(), move || queue.put(1).unwrap());
    assert_eq!(leased, 1);
}

#[test]
fn queues_between_processes() {
    let queue = process::Queue::<u64>::new(2).unwrap();
    let (writer, reader) = (queue.clone(), queue.clone());
    let read = move || (0..100).map(|_| reader.get().unwrap()).sum::<u64>();
    let write = move || (0..100).for_each(|number| writer.put(number).unwrap());
    assert_eq!(meet(read, write), 4950);
    let (reader, leaser) = (queue.clone(), queue.clone());
    assert!(meet(move || reader.get_timeout(SOON).is_err(), || ()));
    let lease = move || {
        let lease = leaser.lease().unwrap();
        sleep(SOON);
        let item = *lease;
        lease.done().unwrap();
        item
    };
    assert_eq!(meet(lease, move || queue.put(7).unwrap()), 7);
}

#[test]
fn hundreds_of_coroutines_wait_for_one_queue_between_processes() {
    one_hub();
    let queue = process::Queue::<u64>::new(1000).unwrap();
    let readers: Vec<_> = (0..600)
        .map(|_| {
            let queue = queue.clone();
            spawn(move || queue.get().unwrap())
        })
        .collect();
    let writer = Thread::new(move || (0..600).for_each(|number| queue.put(number).unwrap()));
    writer.start().unwrap().join().unwrap();
    let sum: u64 = join_all(readers).into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, 599 * 600 / 2);
}

#[spinneret::task]
fn double_all(numbers: process::Queue<u64>, doubles: process::Queue<u64>) {
    while let Ok(number) = numbers.get() {
        doubles.put(2 * number).unwrap();
    }
}

#[test]
fn one_queue_serves_coroutines_threads_and_processes() {
    one_hub();
    let numbers = process::Queue::<u64>::new(4).unwrap();
    let doubles = process::Queue::<u64>::new(4).unwrap();
    let child = Process::new(double_all, (numbers.clone(), doubles.clone())).unwrap();
    child.start().unwrap();
    let (from, to) = (numbers.clone(), doubles.clone());
    let thread = Thread::new(move || {
        while let Ok(number) = from.get() {
            to.put(2 * number).unwrap();
        }
    });
    let thread = thread.start().unwrap();
    let putters: Vec<_> = (0..4)
        .map(|_| {
            let numbers = numbers.clone();
            spawn(move || (1..=250).for_each(|number| numbers.put(number).unwrap()))
        })
        .collect();
    let getters: Vec<_> = (0..4)
        .map(|_| {
            let doubles = doubles.clone();
            spawn(move || (0..250).map(|_| doubles.get().unwrap()).sum::<u64>())
        })
        .collect();
    assert!(join_all(putters).iter().all(Result::is_ok));
    let sum: u64 = join_all(getters).into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, 4 * 250 * 251);
    numbers.close();
    let joined = spawn(move || (thread.join().is_ok(), child.join().unwrap().success()));
    assert_eq!(joined.join().unwrap(), (true, true));
}

#[test]
fn pipes() {
    let (a, b) = pipe::<Vec<u8>>().unwrap();
    let receive = move || {
        let (first, second) = (b.recv().unwrap().len(), b.recv_timeout(LONG).unwrap().len());
        // Behind its reader, the writer has to wait too.
        let rest = (0..1000).map(|_| b.recv().unwrap().len()).sum::<usize>();
        assert!(!b.poll(SOON));
        (first, second, rest)
    };
    let send = move || {
        a.send(&vec![1]).unwrap();
        a.send(&vec![1; 1 << 20]).unwrap();
        (0..1000).for_each(|_| a.send(&vec![1; 1000]).unwrap());
        sleep(20 * SOON);
    };
    assert_eq!(meet(receive, send), (1, 1 << 20, 1_000_000));
    let (silent, other) = pipe::<u8>().unwrap();
    let (sender, receiver) = pipe::<u8>().unwrap();
    let ready = move || {
        let ready = wait(&[&other, &receiver], LONG);
        (ready, silent)
    };
    assert_eq!(meet(ready, move || sender.send(&1).unwrap()).0, [1]);
}

#[test]
fn locks_within_the_process() {
    let lock = Arc::new(sync::Lock::new(0));
    let (one, other) = (Arc::clone(&lock), lock);
    let add = |lock: Arc<sync::Lock<i32>>| {
        move || {
            for _ in 0..50 {
                let mut number = lock.lock();
                let before = *number;
                yield_now();
                *number = before + 1;
            }
            let held = lock.lock_timeout(LONG).unwrap();
            *held
        }
    };
    let (one, other) = (add(one), add(other));
    assert!(meet(one, move || assert!(other() >= 50)) >= 50);

    let rlock = Arc::new(sync::RLock::new(Cell::new(0)));
    let add = |lock: Arc<sync::RLock<Cell<i32>>>| {
        move || {
            for _ in 0..50 {
                let outer = lock.lock();
                let before = outer.get();
                sleep(Duration::from_micros(50));
                let inner = lock.lock();
                inner.set(before + 1);
                assert_eq!(inner.holds(), 2);
            }
            lock.lock().get()
        }
    };
    let (one, other) = (add(Arc::clone(&rlock)), add(Arc::clone(&rlock)));
    meet(one, move || assert!(other() > 0));
    assert_eq!(rlock.lock().get(), 100);
}

#[test]
fn signals_within_the_process() {
    let event = Arc::new(sync::Event::new());
    let waits = Arc::clone(&event);
    assert!(meet(move || waits.wait_timeout(LONG), move || event.set()));

    let semaphore = Arc::new(sync::Semaphore::new(0));
    let waits = Arc::clone(&semaphore);
    meet(move || waits.acquire().forget(), move || semaphore.release());

    let barrier = Arc::new(sync::Barrier::new(2));
    let waits = Arc::clone(&barrier);
    assert_eq!(meet(move || waits.wait(), move || assert!(barrier.wait().is_ok())), Ok(0));

    let condition = Arc::new(sync::Condition::new(0));
    let waits = Arc::clone(&condition);
    let wait = move || {
        let mut held = waits.lock();
        assert!(!held.wait_while_timeout(|number| *number == 0, SOON / 5));
        held.wait_for(|number| *number == 3);
        assert!(!held.wait_timeout(SOON));
        *held
    };
    let change = move || {
        for _ in 0..3 {
            *condition.lock() += 1;
            condition.notify_one();
            sleep(SOON);
        }
    };
    assert_eq!(meet(wait, change), 3);
}

#[test]
fn locks_and_signals_between_processes() {
    let lock = between::Lock::new().unwrap();
    let value = spinneret::shared::Value::new(0_u32).unwrap();
    let add = |lock: between::Lock, value: spinneret::shared::Value<u32>| {
        move || {
            for _ in 0..20 {
                let _held = lock.lock().unwrap();
                let before = *value.lock().unwrap();
                sleep(Duration::from_micros(50));
                *value.lock().unwrap() = before + 1;
            }
        }
    };
    let (one, other) = (add(lock.clone(), value.clone()), add(lock, value.clone()));
    meet(one, other);
    assert_eq!(*value.lock().unwrap(), 40);

    let rlock = between::RLock::new().unwrap();
    let value = spinneret::shared::Value::new(0_u32).unwrap();
    let add = |lock: between::RLock, value: spinneret::shared::Value<u32>| {
        move || {
            for _ in 0..20 {
                let _outer = lock.lock().unwrap();
                let before = *value.lock().unwrap();
                sleep(Duration::from_micros(50));
                let _inner = lock.lock().unwrap();
                *value.lock().unwrap() = before + 1;
            }
        }
    };
    let (one, other) = (add(rlock.clone(), value.clone()), add(rlock, value.clone()));
    meet(one, other);
    assert_eq!(*value.lock().unwrap(), 40);

    let event = between::Event::new().unwrap();
    let waits = event.clone();
    assert!(meet(move || waits.wait_timeout(LONG), move || event.set()));

    let semaphore = between::Semaphore::new(0).unwrap();
    let waits = semaphore.clone();
    meet(move || waits.acquire().forget(), move || semaphore.release().unwrap());

    let barrier = between::Barrier::new(2).unwrap();
    let waits = barrier.clone();
    assert_eq!(meet(move || waits.wait(), move || assert!(barrier.wait().is_ok())).unwrap(), 0);

    let (condition, value) =
        (between::Condition::new().unwrap(), spinneret::shared::Value::new(0_u32).unwrap());
    let (waits, watched) = (condition.clone(), value.clone());
    let wait = move || {
        let held = watched.lock().unwrap();
        let held = waits.wait_while(held, |number| **number < 3).unwrap();
        *held
    };
    let change = move || {
        for _ in 0..3 {
            *value.lock().unwrap() += 1;
            condition.notify_all();
            sleep(SOON);
        }
    };
    assert_eq!(meet(wait, change), 3);
}

#[test]
fn threads_processes_and_pools() {
    let event = Arc::new(sync::Event::new());
    let waits = Arc::clone(&event);
    let join = move || {
        let thread = Thread::new(move || waits.wait_timeout(LONG)).start().unwrap();
        thread.join().unwrap()
    };
    assert!(meet(join, move || event.set()));

    let numbers = process::Queue::<u64>::new(4).unwrap();
    let doubles = process::Queue::<u64>::new(4).unwrap();
    let child = Process::new(double_all, (numbers.clone(), doubles)).unwrap();
    let join = move || {
        child.start().unwrap();
        child.join().unwrap().success()
    };
    assert!(meet(join, move || numbers.close()));

    let event = between::Event::new().unwrap();
    let waits = event.clone();
    let pools = move || {
        let pool = ThreadPool::new(1).unwrap();
        let first = pool.apply(wait_for, waits.clone()).unwrap();
        pool.close();
        pool.join().unwrap();
        let pool = ProcessPool::new(1).unwrap();
        let second = pool.imap(wait_for, [waits.clone(), waits]).all(|outcome| outcome.unwrap());
        pool.close();
        pool.join().unwrap();
        first && second
    };
    assert!(meet(pools, move || event.set()));
}

#[spinneret::task]
fn wait_for(event: between::Event) -> bool {
    event.wait_timeout(LONG)
}

#[test]
fn queues_of_a_manager() {
    let key = AuthKey::new("qiye");
    let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone());
    let manager = manager.register("tasks", QueueOptions::new()).start().unwrap();
    let address = manager.local_addr();
    let connect = move || Client::connect(address, &key).unwrap();
    let connect_too = connect.clone();
    let get = move || connect().queue::<u32>("tasks").get().unwrap();
    let put = move || connect_too().queue::<u32>("tasks").put(5).unwrap();
    assert_eq!(meet(get, put), 5);
}

#[test]
fn whatever_it_waits_for_a_coroutine_can_be_cancelled_and_timed_out() {
    one_hub();
    let queue = queue::Queue::<u8>::new();
    let shared = process::Queue::<u8>::new(1).unwrap();
    let (_kept, end) = pipe::<u8>().unwrap();
    let event = between::Event::new().unwrap();
    let semaphore = between::Semaphore::new(0).unwrap();
    let lock = Arc::new(sync::Lock::new(()));
    let _held = lock.lock();
    let condition = sync::Condition::new(());
    let waits: Vec<Arc<dyn Fn() + Send + Sync>> = vec![
        Arc::new(move || assert!(queue.get().is_err())),
        Arc::new(move || assert!(shared.get().is_err())),
        Arc::new(move || assert!(end.recv().is_err())),
        Arc::new(move || event.wait()),
        Arc::new(move || drop(semaphore.acquire())),
        Arc::new({
            let lock = Arc::clone(&lock);
            move || drop(lock.lock())
        }),
        Arc::new(move || condition.lock().wait()),
        Arc::new(|| {
            let (done, waits) = (Arc::new(sync::Event::new()), sync::Event::new());
            drop(done);
            waits.wait();
        }),
    ];
    for wait in waits {
        let waiting = Arc::clone(&wait);
        let start = Instant::now();
        let waiting = spawn(move || waiting());
        sleep(SOON);
        waiting.cancel();
        assert!(matches!(waiting.join(), Err(JoinError::Cancelled)));
        let timed_out = spawn(move || timeout(SOON, || wait()).is_err());
        assert!(timed_out.join().unwrap());
        assert!(start.elapsed() < LONG);
    }
}
