//! Runs tasks on whatever machines have a `cluster_worker`: a manager and a pool in one program.
//!
//! `cluster_pool [PORT]`: port 8002 unless given.
use std::{env, error::Error};

use spinneret::manager::{AuthKey, Manager};
use spinneret::{ClusterPool, Pool};

/// Asked for by its name, so that the program that runs it may be another. It could be called here too.
#[spinneret::task(name = "count_primes")]
fn count_primes(below: u64) -> u64 {
    let is_prime = |n: &u64| (2..=n.isqrt()).all(|d| !n.is_multiple_of(d));
    (2..below).filter(is_prime).count() as u64
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = env::args().nth(1).map_or(Ok(8002), |port| port.parse::<u16>());
    let port = port.map_err(|_| "usage: cluster_pool [PORT]")?;
    let key = AuthKey::new("qiye");
    let manager =
        Manager::builder().listen(format!("127.0.0.1:{port}")).authkey(key.clone()).start()?;
    let pool = ClusterPool::builder().retries(2).connect(manager.local_addr(), &key)?;
    // They wait until there is a worker.
    let limits = [10, 100, 1_000, 10_000, 100_000];
    for (limit, primes) in limits.into_iter().zip(pool.imap(count_primes, limits)) {
        println!("{} primes below {limit}", primes?);
    }
    println!("counted by {} worker(s).", pool.workers()?.len());
    manager.shutdown();
    Ok(())
}
