//! A re-entrant lock: two threads count to 4 together, and hold the lock twice as they do.

use std::cell::Cell;
use std::error::Error;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use spinneret::sync::RLock;
use spinneret::thread::{Thread, current};

/// Counts one up, under a lock of its own: callers may or may not hold it.
fn increment(number: &RLock<Cell<u32>>) {
    let number = number.lock();
    number.set(number.get() + 1);
}

fn count(number: &RLock<Cell<u32>>) {
    let thread = current();
    loop {
        // Held over both lines, so that they stay together.
        let held = number.lock();
        println!("{} locked, Number: {}", thread.name(), held.get());
        let done = held.get() == 4;
        if !done {
            increment(number);
        }
        println!("{} released, Number: {}", thread.name(), held.get());
        drop(held);
        if done {
            return;
        }
        // As long as other work might take: the other gets its turn.
        sleep(Duration::from_millis(10));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let number = Arc::new(RLock::new(Cell::new(0)));
    let mut threads = Vec::new();
    for name in ["Thread_1", "Thread_2"] {
        let number = Arc::clone(&number);
        threads.push(Thread::new(move || count(&number)).name(name).start()?);
    }
    for thread in threads {
        thread.join()?;
    }
    Ok(())
}
