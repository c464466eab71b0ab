//! Shows a task queue and a result queue on the network: hands out ten tasks and collects their
//! results, from `task_worker`s on this machine or others, or from Python's
//! `examples/python/task_worker.py`, which finds the queues by the names that they have here.
//!
//! `task_manager [PORT [HOST]]`: port 8001 unless given. It listens on 127.0.0.1, so that only this
//! machine's workers reach it; give the host 0.0.0.0 (or one of the machine's own addresses) to let
//! in those of other machines.
use std::{collections::BTreeSet, env, error::Error};

use spinneret::manager::{AuthKey, Manager, QueueOptions};

const TASKS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let port = args.next().map_or(Ok(8001), |port| port.parse::<u16>());
    let port = port.map_err(|_| "usage: task_manager [PORT [HOST]]")?;
    let host = args.next().unwrap_or_else(|| "127.0.0.1".into());

    let manager = Manager::builder()
        .listen(format!("{host}:{port}"))
        .authkey(AuthKey::new("qiye"))
        .register("get_task_queue", QueueOptions::new())
        .register("get_result_queue", QueueOptions::new())
        .start()?;
    let tasks = manager.queue::<String>("get_task_queue")?;
    let results = manager.queue::<String>("get_result_queue")?;

    for i in 0..TASKS {
        println!("put task ImageUrl_{i} ...");
        tasks.put(format!("ImageUrl_{i}"))?;
    }
    println!("try get result...");
    // A task whose worker dies runs again, and may then have two results.
    let mut seen = BTreeSet::new();
    while seen.len() < TASKS {
        let result = results.get()?;
        if seen.insert(result.clone()) {
            println!("result is {result}");
        }
    }

    // The end of the manager is the workers' end, too: a Python worker sees its connection close.
    manager.shutdown();
    Ok(())
}
