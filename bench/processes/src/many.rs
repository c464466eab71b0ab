//! A million tasks in a pool: time, descriptors and memory of the parent.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use spinneret::{Pool, ProcessPool, TaskHandle};

use crate::{Found, Result};

const WORKERS: usize = 2;

/// How often descriptors are counted.
const PAUSE: Duration = Duration::from_millis(5);

#[spinneret::task]
fn nothing(number: u64) -> u64 {
    number
}

fn descriptors() -> io::Result<u64> {
    Ok(fs::read_dir("/proc/self/fd")?.count() as u64)
}

/// A size that `/proc/self/status` tells, in bytes.
fn memory(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>()? * 1024)
}

/// Measures `work`, which does so many tasks.
fn watched(count: u64, work: impl FnOnce() -> Result<()>) -> Result<Found> {
    let (descriptors_before, memory_before) = (descriptors()?, memory("VmRSS")?);
    let over = AtomicBool::new(false);
    let (result, elapsed, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = descriptors().unwrap_or(0).max(most);
                thread::sleep(PAUSE);
            }
            most
        });
        let start = Instant::now();
        let result = work();
        let elapsed = start.elapsed();
        over.store(true, Ordering::Relaxed);
        (result, elapsed, watch.join().unwrap_or(0))
    });
    result?;
    Ok(Found {
        elapsed,
        count,
        more: vec![
            ("descriptors_before", descriptors_before),
            ("descriptors", most),
            ("memory_before", memory_before),
            ("memory", memory("VmHWM")?),
        ],
    })
}

fn check(sum: u64, count: u64) -> Result<()> {
    if sum == count * (count - 1) / 2 { Ok(()) } else { Err("a result is missing".into()) }
}

pub fn imap(count: u64) -> Result<Found> {
    let pool = ProcessPool::new(WORKERS)?;
    watched(count, || {
        let mut sum = 0;
        for number in pool.imap(nothing, 0..count) {
            sum += number?;
        }
        check(sum, count)
    })
}

pub fn map_async(count: u64) -> Result<Found> {
    let pool = ProcessPool::new(WORKERS)?;
    watched(count, || {
        let mut sum = 0;
        for number in pool.map_async(nothing, 0..count)?.into_iter().map(TaskHandle::get) {
            sum += number?;
        }
        check(sum, count)
    })
}

/// How many tasks can wait in a pool of procspawn: tries so many, with 1,024 descriptors at most.
pub fn procspawn_waiting(count: u64) -> Result<Found> {
    let limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: it only reads the limit.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    let pool = procspawn::Pool::new(WORKERS)?;
    let start = Instant::now();
    let mut waiting = Vec::new();
    // It panics where it finds no descriptor.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..count {
            waiting.push(pool.spawn(1, |seconds| thread::sleep(Duration::from_secs(seconds))));
        }
    }));
    Found { elapsed: start.elapsed(), count, more: vec![("accepted", waiting.len() as u64)] }
        .print();
    // Without waiting for what was accepted.
    pool.kill();
    exit(0)
}
