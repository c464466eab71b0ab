//! One module for each subcommand.

pub mod crawl;
pub mod demo;
pub mod manager;
pub mod queue;
pub mod worker;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Counts Ctrl-C and SIGTERM.
fn interrupts() -> std::io::Result<watch::Receiver<u32>> {
    let (count, receiver) = watch::channel(0);
    let mut ctrl_c = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = ctrl_c.recv() => {}
                _ = terminate.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
}
