//! Three workers, five tasks of random length.

use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::Duration;

use spinneret::{Pool, ProcessPool};

/// Takes up to three seconds.
#[spinneret::task]
fn run(number: u32, milliseconds: u64) {
    println!("Task {number} (pid = {}) is running...", std::process::id());
    sleep(Duration::from_millis(milliseconds));
    println!("Task {number} end.");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("Current process {}.", std::process::id());
    let pool = ProcessPool::new(3)?;
    let mut handles = Vec::new();
    for number in 0..5 {
        // The keys of these hashes are random.
        let length = RandomState::new().hash_one(number) % 3000;
        handles.push(pool.apply_async(run, (number, length))?);
    }
    println!("Waiting for all subprocesses done...");
    pool.close();
    pool.join()?;
    for handle in handles {
        handle.get()?;
    }
    println!("All subprocesses done.");
    Ok(())
}
