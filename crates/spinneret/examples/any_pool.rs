//! One task and one piece of code, on threads, processes and machines: only the pool is another.

use spinneret::manager::{self, AuthKey, Manager};
use spinneret::{ClusterPool, Outcome, Pool, ProcessPool, TaskError, ThreadPool};

#[spinneret::task]
fn collatz(start: u64) -> u32 {
    let next = |n: &u64| if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 };
    let path = std::iter::successors(Some(start), |n| (*n != 1).then(|| next(n)));
    path.count() as u32 - 1
}

/// Runs on whatever pool it is given.
fn longest(pool: &impl Pool) -> Result<Vec<u32>, TaskError> {
    pool.imap(collatz, [6, 7, 27, 97]).collect::<Outcome<_>>()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("threads: {:?}", longest(&ThreadPool::new(2)?)?);
    println!("processes: {:?}", longest(&ProcessPool::new(2)?)?);

    // Manager and worker would be programs on other machines.
    let key = AuthKey::new("qiye");
    let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
    let address = manager.local_addr();
    let _worker = manager::worker(address).authkey(key.clone()).concurrency(2).start()?;
    println!("machines: {:?}", longest(&ClusterPool::connect(address, &key)?)?);
    Ok(())
}
