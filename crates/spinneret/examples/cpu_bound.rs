//! Computing on one thread and on one per core: threads share the work, since there is no global
//! interpreter lock to wait for.

use std::error::Error;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use spinneret::{Pool, ThreadPool};

/// How many pieces the work is cut into; more than there are cores.
const PIECES: u64 = 64;

/// How many numbers a piece looks at.
const NUMBERS: u64 = 30_000;

/// Counts the steps that numbers take to 1 by the rule of Collatz.
#[spinneret::task]
fn collatz(first: u64) -> u64 {
    let mut steps = 0;
    let mut start = first;
    while start < first + NUMBERS {
        let mut number = start;
        while number > 1 {
            number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
            steps += 1;
        }
        start += 1;
    }
    steps
}

/// Does all the work, and says how long it took.
fn run(threads: usize) -> Result<(u64, Duration), Box<dyn Error>> {
    let pool = ThreadPool::new(threads)?;
    let start = Instant::now();
    let pieces = (0..PIECES).map(|piece| piece * NUMBERS);
    let steps: u64 = pool.imap_unordered(collatz, pieces).sum::<Result<_, _>>()?;
    Ok((steps, start.elapsed()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let cores = available_parallelism()?.get();
    let (expected, one) = run(1)?;
    println!("1 thread: {:.2} s", one.as_secs_f64());
    let (steps, all) = run(cores)?;
    println!("{cores} threads: {:.2} s", all.as_secs_f64());
    assert_eq!(steps, expected, "the same work has the same result");
    println!("speed-up: {:.2}", one.as_secs_f64() / all.as_secs_f64());
    Ok(())
}
