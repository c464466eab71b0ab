//! Tasks that do nothing, in two worker processes.

use std::time::Instant;

use spinneret::{Outcome, Pool, ProcessPool};

use crate::{Found, Result};

const WORKERS: usize = 2;

/// How many tasks wait in procspawn's pool at once: each has three descriptors.
const PROCSPAWN_WAITING: usize = 100;

#[spinneret::task]
fn nothing(number: u64) -> u64 {
    number
}

fn same(number: u64) -> u64 {
    number
}

/// A pool that has worked before.
fn warm() -> Result<ProcessPool> {
    let pool = ProcessPool::builder().workers(WORKERS).chunk_size(1).build()?;
    pool.map(nothing, 0..1000)?.into_iter().collect::<Outcome<Vec<_>>>()?;
    Ok(pool)
}

pub fn map(count: u64) -> Result<Found> {
    let pool = warm()?;
    let start = Instant::now();
    let results: Vec<u64> = pool.map(nothing, 0..count)?.into_iter().collect::<Outcome<_>>()?;
    let elapsed = start.elapsed();
    if !results.into_iter().eq(0..count) {
        return Err("results in another order".into());
    }
    Ok(Found::new(elapsed, count))
}

pub fn apply(count: u64) -> Result<Found> {
    let pool = warm()?;
    let start = Instant::now();
    for number in 0..count {
        pool.apply(nothing, number)?;
    }
    Ok(Found::new(start.elapsed(), count))
}

fn procspawn_warm() -> Result<procspawn::Pool> {
    let pool = procspawn::Pool::new(WORKERS)?;
    for number in 0..10 {
        pool.spawn(number, same).join()?;
    }
    Ok(pool)
}

pub fn procspawn_map(count: u64) -> Result<Found> {
    let pool = procspawn_warm()?;
    let start = Instant::now();
    let numbers: Vec<u64> = (0..count).collect();
    for some in numbers.chunks(PROCSPAWN_WAITING) {
        let handles: Vec<_> = some.iter().map(|number| pool.spawn(*number, same)).collect();
        for handle in handles {
            handle.join()?;
        }
    }
    let elapsed = start.elapsed();
    pool.shutdown();
    Ok(Found::new(elapsed, count))
}

pub fn procspawn_apply(count: u64) -> Result<Found> {
    let pool = procspawn_warm()?;
    let start = Instant::now();
    for number in 0..count {
        pool.spawn(number, same).join()?;
    }
    let elapsed = start.elapsed();
    pool.shutdown();
    Ok(Found::new(elapsed, count))
}
