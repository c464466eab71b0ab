//! One task and one piece of code, on threads and on processes: only the pool is another.

use spinneret::{Outcome, Pool, ProcessPool, TaskError, ThreadPool};

#[spinneret::task]
fn collatz(start: u64) -> u32 {
    let next = |n: &u64| if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
    let path = std::iter::successors(Some(start), |n| (*n != 1).then(|| next(n)));
    path.count() as u32 - 1
}

/// Runs on whatever pool it is given.
fn longest(pool: &impl Pool) -> Result<Vec<u32>, TaskError> {
    pool.imap(collatz, [6, 7, 27, 97]).collect::<Outcome<_>>()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("threads: {:?}", longest(&ThreadPool::new(2)?)?);
    println!("processes: {:?}", longest(&ProcessPool::new(2)?)?);
    Ok(())
}
