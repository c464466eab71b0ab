//! What `bench/manager.py` measures in Rust. `bench-manager WORK COUNT [ADDRESS]` does one
//! measurement and prints it as JSON; `echo` and `echo-many` are the other
//! ends of some.

mod idle;
mod plain;
mod queue;
mod redis;

use std::{
    env,
    time::{Duration, Instant},
};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The key and the queue of all managers here.
pub(crate) const KEY: &str = "qiye";
pub(crate) const QUEUE: &str = "get_task_queue";
/// Bytes in an item, unless the work says otherwise.
pub(crate) const ITEM: usize = 64;

fn main() -> Outcome {
    let mut arguments = env::args().skip(1);
    let work = arguments.next().ok_or("which work?")?;
    if work == "echo" {
        return plain::echo();
    }
    if work == "echo-many" {
        return plain::echo_many();
    }
    let count: usize = arguments.next().ok_or("how many?")?.parse()?;
    let address = arguments.next().unwrap_or_default();
    let seconds = match work.as_str() {
        "ping-pong" => plain::ping_pong(count)?,
        "ping-pong-64" => plain::clients(count, 64)?,
        "round-trip" => queue::round_trip(&address, count)?,
        "async-round-trip" => queue::async_round_trip(&address, count)?,
        "batched" => queue::batched(&address, count, 1)?,
        "batched-2" => queue::batched(&address, count, 2)?,
        "pipelined" => queue::pipelined(&address, count)?,
        "clients-64" => queue::clients(&address, count, 64)?,
        "redis-round-trip" => redis::round_trip(&address, count)?,
        "redis-pipelined" => redis::pipelined(&address, count, 1)?,
        "redis-pipelined-2" => redis::pipelined(&address, count, 2)?,
        "redis-clients-64" => redis::clients(&address, count, 64)?,
        "idle" => return idle::hold(&address, count),
        other => return Err(format!("no such work: {other}").into()),
    };
    println!("{{\"seconds\": {}, \"count\": {count}}}", seconds.as_secs_f64());
    Ok(())
}

/// How long that takes, begun anew after a tenth of it to be warm.
pub(crate) fn timed(count: usize, mut work: impl FnMut(usize) -> Outcome) -> Outcome<Duration> {
    work(count / 10 + 1)?;
    let start = Instant::now();
    work(count)?;
    Ok(start.elapsed())
}

/// Runs the same on so many threads, and times from the moment when all are ready.
pub(crate) fn threads<T>(
    number: usize,
    prepare: impl Fn() -> Outcome<T> + Sync,
    work: impl Fn(&mut T) -> Outcome + Sync,
) -> Outcome<Duration> {
    let ready = std::sync::Barrier::new(number + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..number)
            .map(|_| {
                scope.spawn(|| {
                    let prepared = prepare();
                    ready.wait();
                    work(&mut prepared?)
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        Ok(start.elapsed())
    })
}
