//! One measurement of `bench/processes.py`: `bench-processes WORK/CONTENDER COUNT` does the work so
//! many times and prints what it took as one line of JSON.

mod cpu;
mod lock;
mod many;
mod pipe;
mod pool;
mod process;
mod queue;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use serde_bytes::ByteArray;

/// What travels through queues and pipes.
type Message = ByteArray<64>;

const MESSAGE: Message = ByteArray::new([7; 64]);

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// What a measurement found.
struct Found {
    elapsed: Duration,
    /// How many times the work was done in it.
    count: u64,
    /// Other figures, by name.
    more: Vec<(&'static str, u64)>,
}

impl Found {
    fn new(elapsed: Duration, count: u64) -> Self {
        Self { elapsed, count, more: Vec::new() }
    }

    fn print(&self) {
        print!("{{\"seconds\": {}, \"count\": {}", self.elapsed.as_secs_f64(), self.count);
        for (name, value) in &self.more {
            print!(", \"{name}\": {value}");
        }
        println!("}}");
    }
}

fn measure(name: &str, count: u64) -> Result<Found> {
    match name {
        "queue/spinneret" => queue::single(count),
        "queue/ipc-channel" => queue::ipc(count),
        "queue/crossbeam-channel" => queue::crossbeam(count),
        "batches/spinneret" => queue::batches(count),
        "batches/ipc-channel" => queue::ipc_batches(count),
        "pipe/spinneret" => pipe::ours(count),
        "pipe/raw" => pipe::raw(count, rustix::net::SocketType::STREAM),
        "pipe/raw-packets" => pipe::raw(count, rustix::net::SocketType::SEQPACKET),
        "pipe/ipc-channel" => pipe::ipc(count),
        "pool/spinneret" => pool::map(count),
        "pool/procspawn" => pool::procspawn_map(count),
        "apply/spinneret" => pool::apply(count),
        "apply/procspawn" => pool::procspawn_apply(count),
        "start/spinneret" => process::start(count, 0),
        "start/procspawn" => process::procspawn_start(count, 0),
        "start-large/spinneret" => process::start(count, process::LARGE),
        "start-large/procspawn" => process::procspawn_start(count, process::LARGE),
        "lock/spinneret" => lock::ours(count),
        "lock/plain" => lock::pthread(lock::Kind::Plain, count),
        "lock/shared" => lock::pthread(lock::Kind::Shared, count),
        "lock/robust" => lock::pthread(lock::Kind::Robust, count),
        "imap/spinneret" => many::imap(count),
        "map_async/spinneret" => many::map_async(count),
        "waiting/procspawn" => many::procspawn_waiting(count),
        "cpu/spinneret" => cpu::threads(2, count),
        "cpu/one" => cpu::threads(1, count),
        _ => Err(format!("no measurement {name:?}").into()),
    }
}

fn main() -> ExitCode {
    procspawn::init();
    let arguments: Vec<String> = env::args().collect();
    let [_, name, count] = &arguments[..] else {
        eprintln!("usage: bench-processes WORK/CONTENDER COUNT");
        return ExitCode::from(2);
    };
    let found = count.parse().map_err(Into::into).and_then(|count| measure(name, count));
    match found {
        Ok(found) => {
            found.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
