//! What an address costs the crawl's own process: adds addresses like those of a large site to a
//! frontier and prints how much its resident memory grew per address.
//!
//! `cargo run --release -p spinneret-crawler --example frontier_memory [ADDRESSES]`

use std::time::{Duration, Instant};

use spinneret_crawler::address::{Address, Scope};
use spinneret_crawler::frontier::{Frontier, FrontierOptions};
use spinneret_crawler::job::Kind;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().nth(1).map_or(Ok(4_000_000), |text| text.parse::<u64>());
    let wanted = wanted.map_err(|_| "usage: frontier_memory [ADDRESSES]")?;
    let folder = tempfile::tempdir()?;
    let options = FrontierOptions {
        max_depth: None,
        obey_robots: true,
        agent: "spinneret".to_owned(),
        delay: None,
        max_attempts: 3,
        retry_delay: Duration::from_secs(1),
        scope: Scope::Any,
    };
    let mut frontier = Frontier::create(&folder.path().join("journal"), options)?;
    let now = Instant::now();
    let before = resident()?;
    println!("| addresses | resident MB | bytes per address | ns per address |");
    println!("| ---: | ---: | ---: | ---: |");
    let mut next = wanted / 64;
    for number in 0..wanted {
        let url = format!(
            "https://host-{}.example.org/a/rather/long/folder/{}/page-{number:08}.html?view=full",
            number % 100,
            number / 1000
        );
        let kind = if number % 2 == 0 { Kind::Stylesheet } else { Kind::Image };
        frontier.add_seed(&Address::parse(&url)?, kind, now);
        if frontier.is_flush_due() {
            frontier.flush()?;
        }
        if number + 1 == next {
            let grown = resident()?.saturating_sub(before);
            println!(
                "| {next} | {:.1} | {:.1} | {:.0} |",
                grown as f64 / 1e6,
                grown as f64 / next as f64,
                now.elapsed().as_nanos() as f64 / next as f64
            );
            next *= 2;
        }
    }
    Ok(())
}

/// Resident memory of this process, in bytes.
fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
