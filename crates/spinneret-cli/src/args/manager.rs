//! The arguments of `spinneret manager`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use spinneret::manager::QueueOptions;

use super::{DEFAULT_ADDRESS, KeyArgs, LocalAddress, ServeTlsArgs, host_port, seconds};

const EXAMPLES: &str = "\
Examples:
  spinneret manager --register tasks:maxsize=1000 --register results
  spinneret manager --listen 0.0.0.0:8001 --authkey-file key --register tasks
  spinneret manager --register tasks:maxsize=1000,backoff=1..60 --data state
  spinneret manager --register tasks --dashboard 9000

Queues for programs in Python, which find them by m.get_task_queue() and the
like, and may be any from 2.7 to 3.13:
  spinneret manager --register get_task_queue --register get_result_queue

TLS, with a certificate for a start; clients get a copy of ca.pem:
  spinneret manager --tls-generate tls
  spinneret manager --listen 0.0.0.0:8001 --authkey-file key --register tasks \\
    --tls-cert tls/cert.pem --tls-key tls/key.pem

Prints `listening on HOST:PORT` when it accepts connections; port 0 picks a free
one. Ends on SIGTERM, on Ctrl-C, or when a client asks for it. Without a key,
and on this machine alone, it makes one in a file that only you can read, where
`spinneret worker` and `spinneret queue` look for it.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ManagerArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADDRESS, value_parser = host_port)]
    pub listen: String,
    /// A queue to serve. `maxsize=N` bounds it: a put to a full queue waits. An item whose delivery
    /// failed `max_deliveries=N` times (5; 0: no limit) becomes a dead letter; before, it waits for
    /// `backoff=A..B` seconds, each time twice as long. `memory` keeps it out of --data.
    #[arg(long, value_name = "NAME[:maxsize=N,...]")]
    pub register: Vec<Registration>,
    /// Keep queues and values in DIR, and find those that are there: nothing that was acknowledged
    /// is lost by a crash or a power loss.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Show queues, connections and workers at ADDR, for browsers and Prometheus, to whoever
    /// reaches it. A port alone is on this machine.
    #[arg(long, value_name = "ADDR")]
    pub dashboard: Option<LocalAddress>,
    /// Give items to programs in Python on trial: one comes back if its taker's connection ends, or
    /// SECONDS pass if they are given, before its `task_done()`.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, value_parser = seconds)]
    #[expect(clippy::option_option, reason = "what clap makes of a flag that may have a value")]
    pub python_leases: Option<Option<Duration>>,
    /// Let programs in Python before 3.12 connect from other machines, too: all they can prove the
    /// key with is HMAC-MD5.
    #[arg(long)]
    pub allow_md5: bool,
    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub tls: ServeTlsArgs,
    /// Let other machines do without TLS, too, as programs in Python must.
    #[arg(long, requires = "tls_cert", help_heading = "TLS")]
    pub allow_plaintext: bool,
    /// Write an authority (ca.pem), a certificate by it (cert.pem) and its key (key.pem) into DIR,
    /// and end.
    #[arg(long, value_name = "DIR", exclusive = true, help_heading = "TLS")]
    pub tls_generate: Option<PathBuf>,
}

/// A queue to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub name: String,
    pub options: QueueOptions,
}

/// What a queue is registered with.
const FORM: &str = "NAME, or NAME:maxsize=N and the like: maxsize=N, max_deliveries=N, \
                    backoff=SECONDS..SECONDS, memory";

impl FromStr for Registration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split([':', ',']);
        let name = parts.next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(format!("a queue needs a name: {FORM}"));
        }
        let mut options = QueueOptions::new();
        for part in parts {
            options = match part.split_once('=') {
                Some(("maxsize", value)) => options.maxsize(number(part, value)?),
                Some(("max_deliveries", value)) => options.max_deliveries(number(part, value)?),
                Some(("backoff", value)) => {
                    let (initial, max) = value.split_once("..").unwrap_or((value, value));
                    let pause = |text| seconds(text).map_err(|error| format!("{part:?}: {error}"));
                    options.backoff(pause(initial)?, pause(max)?)
                }
                None if part == "memory" => options.memory_only(),
                _ => return Err(format!("{part:?} is nothing that a queue has: {FORM}")),
            };
        }
        Ok(Self { name, options })
    }
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(part: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|error| format!("{part:?}: {value:?} is not a whole number that fits: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_are_parsed_or_explained() {
        let parse = |text: &str| text.parse::<Registration>().map(|queue| queue.options);
        let wrong = |text: &str| parse(text).unwrap_err();
        let options = QueueOptions::new;
        assert_eq!(parse("tasks"), Ok(options()));
        assert_eq!(parse("tasks:maxsize=5"), Ok(options().maxsize(5)));
        // 2^32 is no 0.
        let huge = wrong("tasks:max_deliveries=4294967296");
        assert!(huge.contains("4294967296") && huge.contains("too large"), "{huge}");
        let most = parse("tasks:max_deliveries=4294967295");
        assert_eq!(most, Ok(options().max_deliveries(u32::MAX)));
        let (one, sixty) = (Duration::from_secs(1), Duration::from_mins(1));
        let several = parse("tasks:maxsize=5,backoff=1..60,memory");
        assert_eq!(several, Ok(options().maxsize(5).backoff(one, sixty).memory_only()));
        assert_eq!(parse("tasks:maxsize=5:backoff=1"), Ok(options().maxsize(5).backoff(one, one)));
        assert!(wrong("tasks:maxsize=x").contains("whole number"));
        assert!(wrong("tasks:backoff=soon").contains("seconds"));
        assert!(wrong("tasks:size=5").contains("maxsize=N"));
        assert!(wrong(":maxsize=5").contains("name"));
    }
}
