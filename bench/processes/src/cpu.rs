//! Computing on threads.

use std::time::Instant;

use spinneret::{Pool, ThreadPool};

use crate::{Found, Result};

/// How many numbers a piece of work looks at.
const NUMBERS: u64 = 10_000;

/// Counts the steps that numbers take to 1 by the rule of Collatz.
#[spinneret::task]
fn collatz(piece: u64) -> u64 {
    let mut steps = 0;
    for start in piece * NUMBERS + 1..=(piece + 1) * NUMBERS {
        let mut number = start;
        while number > 1 {
            number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
            steps += 1;
        }
    }
    steps
}

/// So many pieces on so many threads.
pub fn threads(threads: usize, count: u64) -> Result<Found> {
    let pool = ThreadPool::new(threads)?;
    let start = Instant::now();
    let mut steps = 0;
    for piece in pool.imap_unordered(collatz, 0..count) {
        steps += piece?;
    }
    let elapsed = start.elapsed();
    Ok(Found { elapsed, count, more: vec![("steps", steps)] })
}
