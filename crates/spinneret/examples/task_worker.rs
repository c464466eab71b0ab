//! Shows a worker for `task_manager`, from anywhere: takes tasks, works a second on each, reports.
//! The manager may as well be Python's, `examples/python/task_manager.py`.
//!
//! `task_worker [PORT [HOST]]`: port 8001 and host 127.0.0.1 unless given. Start as many as you
//! like. Each holds a task by a lease, so that the task of a worker that is killed goes to another.
use std::{
    env,
    error::Error,
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{AuthKey, Client, GetError, Lease, ManagerError, PutError, Queue};

/// How long a task may take before it is given to another worker.
const HOLD: Duration = Duration::from_secs(5);
/// How long there may be no task before the worker leaves; longer than another's may come back.
const WAIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let port = args.next().map_or(Ok(8001), |port| port.parse::<u16>());
    let port = port.map_err(|_| "usage: task_worker [PORT [HOST]]")?;
    let host = args.next().unwrap_or_else(|| "127.0.0.1".into());

    println!("Connect to server {host}...");
    match connect(&format!("{host}:{port}")).and_then(|client| work(&client)) {
        // No manager any more: its work is done.
        Err(
            gone @ (ManagerError::Refused { .. }
            | ManagerError::Disconnected { .. }
            | ManagerError::ShutDown),
        ) => eprintln!("{gone}"),
        worked => worked?,
    }
    println!("worker exit.");
    Ok(())
}

/// Connects, giving a manager that was started at the same time a moment to listen.
fn connect(address: &str) -> Result<Client, ManagerError> {
    let start = Instant::now();
    loop {
        match Client::connect(address, &AuthKey::new("qiye")) {
            Err(ManagerError::Refused { .. }) if start.elapsed() < Duration::from_secs(5) => {
                thread::sleep(Duration::from_millis(100));
            }
            connected => return connected,
        }
    }
}

fn work(client: &Client) -> Result<(), ManagerError> {
    let tasks = client.queue::<String>("get_task_queue");
    let results = client.queue::<String>("get_result_queue");
    loop {
        let (task, lease) = match take(client, &tasks) {
            Ok(taken) => taken,
            Err(GetError::Empty | GetError::Closed) => return Ok(()),
            Err(GetError::Undecodable(task)) => {
                eprintln!("{task}");
                continue;
            }
            Err(GetError::Manager(error)) => return Err(error),
        };
        println!("run task download {task}...");
        thread::sleep(Duration::from_secs(1));
        match results.put(format!("{task}--->success")) {
            Err(PutError::Manager { error, .. }) => return Err(error),
            Err(PutError::Full(_) | PutError::Closed(_)) => return Ok(()),
            Ok(()) => {}
        }
        match lease.map_or_else(|| tasks.task_done_after_get(), Lease::done) {
            // It took too long: another may do the task again, which the manager notices.
            Ok(()) | Err(ManagerError::LeaseLost) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A task, and the lease by which it is held. A manager of Python's knows no leases: there a task
/// is gone with the worker that has taken it.
fn take(
    client: &Client,
    tasks: &Queue<String>,
) -> Result<(String, Option<Lease<String>>), GetError> {
    if client.is_python() {
        return Ok((tasks.get_timeout(WAIT)?, None));
    }
    let lease = tasks.lease_timeout(HOLD, WAIT)?;
    Ok((lease.clone(), Some(lease)))
}
