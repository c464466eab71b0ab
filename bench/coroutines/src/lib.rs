//! What the contenders of `bench/coroutines.py` have in common. Each is a program of its own, so that
//! none links what another does: `bench-NAME WORK COUNT [ADDRESS]` does one measurement and prints it
//! as JSON, or serves until its standard input ends.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Of everything that may fail.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Bytes in a message of the echo, and of the hooks.
pub const MESSAGE: usize = 64;
/// How many coroutines yield to each other.
pub const YIELDERS: usize = 1000;
/// How many are spawned before they are joined.
pub const BATCH: usize = 1000;
/// How many coroutines make requests.
pub const CLIENTS: usize = 1000;
/// Bytes in each buffer of a blocking HTTP client.
const BUFFER: usize = 8 << 10;
/// Bytes in a file that is downloaded.
pub const FILE: usize = 20 << 10;
/// How many are fetched at a time.
pub const DOWNLOADERS: usize = 64;

/// What to do, how often, and with whom.
pub struct Order {
    /// The measurement.
    pub work: String,
    /// How often.
    pub count: usize,
    /// Of the server, where there is one.
    pub address: String,
}

impl Order {
    /// From the command line.
    pub fn read() -> Outcome<Self> {
        let mut arguments = env::args().skip(1);
        Ok(Self {
            work: arguments.next().ok_or("which work?")?,
            count: arguments.next().ok_or("how many?")?.parse()?,
            address: arguments.next().unwrap_or_default(),
        })
    }

    /// For work that a contender does not do.
    pub fn unknown(&self) -> Outcome {
        Err(format!("no such work: {}", self.work).into())
    }
}

/// Prints a measurement: the time of all, and the memory of each if that was measured.
pub fn report(count: usize, time: Duration, bytes_each: Option<f64>) {
    let seconds = time.as_secs_f64();
    let bytes = bytes_each.map_or(String::new(), |bytes| format!(", \"bytes\": {bytes}"));
    println!("{{\"seconds\": {seconds}, \"count\": {count}{bytes}}}");
}

/// How long that takes, begun anew after a tenth of it to be warm.
pub fn timed(count: usize, mut work: impl FnMut(usize)) -> Duration {
    work(count / 10 + 1);
    let start = Instant::now();
    work(count);
    start.elapsed()
}

/// Says where a server is.
pub fn listening(address: SocketAddr) {
    println!("{address}");
}

/// Ends the program when its standard input does, so that no server outlives its parent.
pub fn end_with_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

/// Bytes of this process in memory: now (`VmRSS`) or at most so far (`VmHWM`).
pub fn memory(field: &str) -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no such field")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0)
}

/// Messages from one end of a socket to the other in one thread, by the standard library's calls.
pub fn plain_calls(count: usize) -> Outcome {
    let (mut one, mut other) = UnixStream::pair()?;
    let mut message = [7; MESSAGE];
    let time = timed(count, |count| {
        for _ in 0..count {
            one.write_all(&message)
                .and_then(|()| other.read_exact(&mut message))
                .expect("it is open");
        }
    });
    report(count, time, None);
    Ok(())
}

/// An HTTP client that keeps one connection, with buffers for many of its kind: its own are of
/// 128 KiB each.
pub fn agent() -> ureq::Agent {
    let config =
        ureq::Agent::config_builder().input_buffer_size(BUFFER).output_buffer_size(BUFFER).build();
    config.new_agent()
}

/// `each` requests one after the other by ureq, over one connection.
pub fn requests(address: &str, each: usize) {
    let agent = agent();
    for _ in 0..each {
        let mut response = agent.get(address).call().expect("the server answers");
        let body = response.body_mut().read_to_vec().expect("it is whole");
        assert_eq!(body.len(), MESSAGE);
    }
}
