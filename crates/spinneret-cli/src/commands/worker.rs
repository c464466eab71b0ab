//! `spinneret worker`.

use spinneret_crawler::worker::{self, WorkerConfig};

use crate::args::WorkerArgs;
use crate::{Exit, connect, key, out};

/// Works for the crawl at an address until it is done.
pub async fn run(args: WorkerArgs) -> anyhow::Result<Exit> {
    let key = key::for_client(&args.connect.key, &args.address)?;
    let config = WorkerConfig {
        manager: args.address.clone(),
        key: key.as_bytes().to_vec(),
        tls: connect::tls_client(&args.connect)?,
        name: format!("worker-{}", std::process::id()),
        role: args.role,
        concurrency: args.concurrency,
        output: args.output.clone(),
    };
    let mut interrupts = super::interrupts()?;
    out::say(format_args!(
        "working for {} ({}, {} at once)",
        args.address, config.role, config.concurrency
    ));
    let summary = tokio::select! {
        summary = worker::run(&config) => summary?,
        // What it had taken goes back with its connection, for other workers.
        _ = interrupts.wait_for(|count| *count > 0) => return Ok(Exit::Interrupted),
    };
    out::print(format_args!(
        "jobs done     {}\nimages saved  {}",
        summary.reports, summary.images
    ))?;
    Ok(Exit::Done)
}
