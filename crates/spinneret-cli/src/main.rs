//! The program `spinneret`: saves every image of a site, from one machine or many.

mod args;
mod commands;
mod connect;
mod dashboard;
mod key;
mod list;
mod numbers;
mod out;
mod progress;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Args, Command};

/// What scripts rely on: see `spinneret --help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done = 0,
    /// Done, with failures that `--strict` counts.
    Failures = 1,
    /// Wrong usage; clap exits with the same.
    Usage = 2,
    /// Refused: a key, an address in use, a folder that cannot be used.
    Refused = 3,
    /// Interrupted, the state kept.
    Interrupted = 130,
}

/// Wrong usage that only shows after the arguments were parsed.
#[derive(Debug)]
struct UsageError(String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("SPINNERET_LOG").unwrap_or_else(|_| {
        EnvFilter::new(if args.verbose { "spinneret=debug,info" } else { "warn" })
    });
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    log.with_ansi(stderr().is_terminal()).init();
    match run(args.command) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) if error.is::<out::Closed>() => ExitCode::from(Exit::Done as u8),
        Err(error) => {
            out::say(format_args!("error: {}", explain(&error)));
            let usage = error.downcast_ref::<UsageError>().is_some();
            ExitCode::from(if usage { Exit::Usage } else { Exit::Refused } as u8)
        }
    }
}

/// What went wrong and why, but for causes that are part of what is said already.
fn explain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match &*said {
        "" => cause,
        told if told.contains(&cause) => said,
        told => format!("{told}: {cause}"),
    })
}

fn run(command: Command) -> anyhow::Result<Exit> {
    // One thread serves manager, frontier and lists: the fetching is done by worker processes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match command {
            Command::Crawl(args) => commands::crawl::crawl(args).await,
            Command::Download(args) => commands::crawl::download(args).await,
            Command::Manager(args) => commands::manager::run(args).await,
            Command::Worker(args) => commands::worker::run(args).await,
            Command::Queue(args) => commands::queue::run(args).await,
            Command::Demo(args) => commands::demo::run(args).await,
        }
    });
    // A name look-up that hangs in the system's resolver must not hold up the exit.
    runtime.shutdown_background();
    exit
}
