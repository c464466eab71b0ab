//! Becomes a worker of a manager: runs tasks for `cluster_pool` and whoever else asks.
//!
//! `cluster_worker [PORT [HOST]]`: port 8002 and host 127.0.0.1 unless given. Start as many as you
//! like, where you like, at any time. What one had begun that is killed is run by another.
use std::{env, error::Error, thread, time::Duration};

use spinneret::manager::{self, AuthKey, ManagerError, WorkerSummary};
use spinneret::pool::PoolError;

/// The task that `cluster_pool` asks for: known by this name in both programs.
#[spinneret::task(name = "count_primes")]
fn count_primes(below: u64) -> u64 {
    let is_prime = |n: &u64| (2..=n.isqrt()).all(|d| !n.is_multiple_of(d));
    (2..below).filter(is_prime).count() as u64
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let port = args.next().map_or(Ok(8002), |port| port.parse::<u16>());
    let port = port.map_err(|_| "usage: cluster_worker [PORT [HOST]]")?;
    let host = args.next().unwrap_or_else(|| "127.0.0.1".into());
    let summary = serve(&format!("{host}:{port}"))?;
    println!("{} tasks done.", summary.done);
    Ok(())
}

/// Serves until the manager shuts down; one that does not listen yet is waited for.
fn serve(address: &str) -> Result<WorkerSummary, PoolError> {
    loop {
        let worker = manager::worker(address).authkey(AuthKey::new("qiye")).concurrency(2);
        match worker.serve() {
            Err(PoolError::Manager(ManagerError::Refused { .. })) => {
                thread::sleep(Duration::from_millis(100));
            }
            served => return served,
        }
    }
}
