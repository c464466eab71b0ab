//! Shows a worker for `task_manager`, from anywhere: takes tasks, works a second on each, reports.
//!
//! `task_worker [PORT [HOST]]`: port 8001 and host 127.0.0.1 unless given. Start as many as you
//! like. Each holds a task by a lease, so that the task of a worker that is killed goes to another.
use std::{
    env,
    error::Error,
    thread,
    time::{Duration, Instant},
};

use spinneret::manager::{AuthKey, Client, GetError, ManagerError, PutError};

/// How long a task may take before it is given to another worker.
const HOLD: Duration = Duration::from_secs(5);
/// How long there may be no task before the worker leaves; longer than another's may come back.
const WAIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let port: u16 = args.next().map_or(Ok(8001), |port| port.parse())?;
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
    let tasks = client.queue::<String>("task_queue");
    let results = client.queue::<String>("result_queue");
    loop {
        let task = match tasks.lease_timeout(HOLD, WAIT) {
            Ok(task) => task,
            Err(GetError::Empty | GetError::Closed) => return Ok(()),
            Err(GetError::Undecodable(task)) => {
                eprintln!("{task}");
                continue;
            }
            Err(GetError::Manager(error)) => return Err(error),
        };
        println!("run task download {}...", *task);
        thread::sleep(Duration::from_secs(1));
        match results.put(format!("{}--->success", *task)) {
            Err(PutError::Manager { error, .. }) => return Err(error),
            Err(PutError::Full(_) | PutError::Closed(_)) => return Ok(()),
            Ok(()) => {}
        }
        match task.done() {
            // It took too long: another may do the task again, which the manager notices.
            Ok(()) | Err(ManagerError::LeaseLost) => {}
            Err(error) => return Err(error),
        }
    }
}
