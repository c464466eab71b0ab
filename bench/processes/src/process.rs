//! Processes that do nothing, started and joined one after the other.

use std::hint::black_box;
use std::time::Instant;

use spinneret::process::Process;

use crate::{Found, Result};

/// How many bytes a large parent has.
pub const LARGE: usize = 1 << 30;

#[spinneret::task]
fn nothing() {}

pub fn start(count: u64, ballast: usize) -> Result<Found> {
    let ballast = vec![1_u8; ballast];
    let start = Instant::now();
    for _ in 0..count {
        let process = Process::new(nothing, ())?;
        process.start()?;
        if !process.join()?.success() {
            return Err("a process failed".into());
        }
    }
    let elapsed = start.elapsed();
    black_box(ballast);
    Ok(Found::new(elapsed, count))
}

pub fn procspawn_start(count: u64, ballast: usize) -> Result<Found> {
    let ballast = vec![1_u8; ballast];
    let start = Instant::now();
    for _ in 0..count {
        procspawn::spawn((), |()| ()).join()?;
    }
    let elapsed = start.elapsed();
    black_box(ballast);
    Ok(Found::new(elapsed, count))
}
