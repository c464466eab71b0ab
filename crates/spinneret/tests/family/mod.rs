//! Children of a test: started, killed at any instant, and never left behind.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::thread::sleep;
use std::time::{Duration, Instant};

use spinneret::Task;
use spinneret::process::Process;

/// Longer than anything takes, on any machine.
pub const GENEROUS: Duration = Duration::from_mins(1);

/// A process that is killed when the test is done with it.
pub struct Child(Process);

impl Child {
    pub fn start<T: Task>(task: T, args: T::Args) -> Self {
        let process = Process::new(task, args).unwrap();
        process.start().unwrap();
        Self(process)
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.0.kill().unwrap();
        self.0.join().unwrap();
    }

    /// Waits for the end of its task, which is to return, not to panic.
    pub fn join(&self) {
        let code = self.0.join_timeout(GENEROUS).unwrap().expect("it ends in time");
        assert!(code.success(), "{code:?}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.join();
    }
}

/// Pauses of up to some milliseconds that look random and are the same in each run.
pub struct Pauses(u64);

impl Pauses {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn pause(&mut self) {
        // Knuth's generator; its upper bits are good.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        sleep(Duration::from_micros((self.0 >> 33) % 4000));
    }
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GENEROUS, "{what}");
        sleep(Duration::from_millis(1));
    }
}
