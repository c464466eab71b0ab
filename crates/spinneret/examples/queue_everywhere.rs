//! One queue between coroutines, threads and processes: all put into it and all take out of it, and
//! none is held up by the others. gevent says of its own queues that they cannot.

use std::error::Error;
use std::thread;

use spinneret::coroutine;
use spinneret::process::{Process, Queue};

/// What each of them puts.
const EACH: u64 = 1000;

fn put(queue: &Queue<u64>) {
    for number in 1..=EACH {
        queue.put(number).expect("nobody closes it before");
    }
}

/// Adds up what it gets until the queue is closed and empty.
fn add(queue: &Queue<u64>) -> u64 {
    std::iter::from_fn(|| queue.get().ok()).sum()
}

#[spinneret::task]
fn put_from_a_process(queue: Queue<u64>) {
    put(&queue);
}

#[spinneret::task]
fn add_in_a_process(queue: Queue<u64>, sums: Queue<u64>) {
    let sum = add(&queue);
    sums.put(sum).expect("nobody closes it before");
}

fn main() -> Result<(), Box<dyn Error>> {
    let (queue, sums) = (Queue::new(8)?, Queue::new(1)?);
    let with = || queue.clone();

    let (a, b, c) = (with(), with(), with());
    let reader = Process::new(add_in_a_process, (with(), sums.clone()))?;
    reader.start()?;
    let thread_adds = thread::spawn(move || add(&a));
    let coroutines_add = [b, c].map(|queue| coroutine::spawn(move || add(&queue)));

    let (a, b, c) = (with(), with(), with());
    let writer = Process::new(put_from_a_process, with())?;
    writer.start()?;
    let thread_puts = thread::spawn(move || put(&a));
    let coroutines_put = [b, c].map(|queue| coroutine::spawn(move || put(&queue)));

    coroutine::join_all(coroutines_put).into_iter().collect::<Result<(), _>>()?;
    thread_puts.join().expect("it does not panic");
    writer.join()?;
    queue.close();
    let mut sum = thread_adds.join().expect("it does not panic");
    for added in coroutine::join_all(coroutines_add) {
        sum += added?;
    }
    reader.join()?;
    sum += sums.get()?;
    println!("put by four: {}", 4 * EACH * (EACH + 1) / 2);
    println!("got by four: {sum}");
    Ok(())
}
