//! What the tests of the program share: a folder of their own, the program in it under a watchdog,
//! sites on free loopback ports, and the lists that a crawl leaves.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests may fail by panicking")]

pub mod browser;
pub mod handmade;
pub mod lists;
pub mod nginx;
pub mod office;
pub mod procs;
pub mod program;
pub mod site;
pub mod watch;

use std::time::{Duration, Instant};

pub use browser::Browser;
pub use lists::{Failure, Image, assert_crawled, failures, images};
pub use office::Office;
pub use program::{Ended, Nest, Run, crawl_args};
pub use site::Site;

/// Nothing in these tests takes as long as this unless it hangs.
pub const WATCHDOG: Duration = Duration::from_mins(2);

/// Asks until `condition` holds; panics with `what` if it never does.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WATCHDOG / 2, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
