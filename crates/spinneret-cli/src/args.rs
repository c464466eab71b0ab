//! The command line. Its names and forms are a contract: scripts rely on them.

mod address;
mod manager;
mod queue;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use spinneret_crawler::address::Scope;
use spinneret_crawler::worker::Role;

pub use address::{LocalAddress, host_port};
pub use manager::ManagerArgs;
pub use queue::{DeadArgs, PutHow, QueueAction, QueueArgs};
pub use tls::{ConnectArgs, KeyArgs, ServeTlsArgs};

/// Where a manager listens unless told otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8001";

const EXAMPLES: &str = "\
Examples:
  See it work, without any network:
    spinneret demo
  Save every image of a site, and go on after Ctrl-C or a crash:
    spinneret crawl https://example.org -o images
    spinneret crawl https://example.org -o images --resume
  Save the images of a list:
    spinneret download list.txt -o images

Two machines (the key is a file that both have):
  one$ spinneret crawl https://example.org --listen 0.0.0.0:8001 \\
         --authkey-file key
  two$ spinneret worker one:8001 --authkey-file key

Exit status:
  0    done
  1    done, with failures that --strict counts
  2    wrong usage
  3    refused (authentication, address in use, output folder in use...)
  130  interrupted, with the state kept";

/// Saves every image of a site, from one machine or many.
#[derive(Debug, Parser)]
#[command(name = "spinneret", version, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Log what happens to standard error (`SPINNERET_LOG` sets it in detail).
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Save every image of sites, following their links.
    Crawl(CrawlArgs),
    /// Save the images of a list of addresses.
    Download(DownloadArgs),
    /// Serve named queues to workers on any machine.
    Manager(ManagerArgs),
    /// Work for a crawl that runs elsewhere.
    Worker(WorkerArgs),
    /// Look into a manager's queue, or put and get items.
    Queue(QueueArgs),
    /// Crawl a small bundled site on this machine: no network needed.
    Demo(DemoArgs),
}

const CRAWL_EXAMPLES: &str = "\
Examples:
  spinneret crawl https://example.org
  spinneret crawl https://example.org/docs/ --scope prefix --depth 3 -o docs
  spinneret crawl http://127.0.0.1:8080 --allow-private --delay 0 --json
  spinneret crawl https://example.org --listen 0.0.0.0:8001 --authkey-file key
  spinneret crawl https://example.org --dashboard 9000

Images land in DIR/images/HOST/..., with a line each in DIR/images.jsonl (url,
page, path, sha256, bytes, content_type, width, height, fetched_at). What failed
is in DIR/failures.jsonl, with its cause. Ctrl-C ends the crawl after the
fetches under way (twice: at once); --resume goes on.";

#[derive(Debug, clap::Args)]
#[command(after_help = CRAWL_EXAMPLES)]
pub struct CrawlArgs {
    /// Pages to start from. May be left out with --resume.
    #[arg(value_name = "URL", required_unless_present = "resume")]
    pub urls: Vec<String>,
    /// Follow pages at most N links away from the first ones.
    #[arg(long, value_name = "N")]
    pub depth: Option<u32>,
    /// Which pages to follow: of the same host and port, of the same registrable domain, below the
    /// same folder, or any. Images are saved wherever they are.
    #[arg(long, value_name = "SCOPE", default_value = "host", value_parser = one_of::<Scope>(["host", "domain", "prefix", "any"]))]
    pub scope: Scope,
    #[command(flatten)]
    pub common: CommonArgs,
}

const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  spinneret download list.txt -o images
  zcat list.gz | spinneret download - -o images
  spinneret download metadata.parquet --field image_url -o images

LIST is a text file with an address a line (empty lines and those that begin
with # are skipped), a JSONL file with an object a line, or a Parquet file.
- is standard input, text or JSONL.";

#[derive(Debug, clap::Args)]
#[command(after_help = DOWNLOAD_EXAMPLES)]
pub struct DownloadArgs {
    /// The list of image addresses.
    pub list: PathBuf,
    /// Field of a JSONL object or column of a Parquet file that holds the address.
    #[arg(long, value_name = "NAME", default_value = "url")]
    pub field: String,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What `crawl` and `download` share.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct CommonArgs {
    /// Folder for images, lists and state.
    #[arg(short, long, value_name = "DIR", default_value = "spinneret-out")]
    pub output: PathBuf,
    /// How images are stored.
    #[arg(long, value_enum, default_value_t = Format::Files)]
    pub format: Format,
    /// Worker processes of this machine [default: one a core]. 0: only workers that join.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Fetches under way at once in each worker.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive::<usize>)]
    pub concurrency: usize,
    /// Go on with the crawl that DIR holds.
    #[arg(long)]
    pub resume: bool,
    /// Let workers from elsewhere join at ADDR, such as 0.0.0.0:8001.
    #[arg(long, value_name = "ADDR", value_parser = host_port)]
    pub listen: Option<String>,
    #[command(flatten)]
    pub key: KeyArgs,
    #[command(flatten)]
    pub tls: ServeTlsArgs,
    /// Show the crawl, its queues and its workers at ADDR, for browsers and Prometheus, to whoever
    /// reaches it. A port alone is on this machine.
    #[arg(long, value_name = "ADDR")]
    pub dashboard: Option<LocalAddress>,
    /// Pause between two requests to a host, in seconds [default: 0.25, and none for private hosts].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub delay: Option<Duration>,
    /// Fetch what robots.txt forbids, too.
    #[arg(long)]
    pub ignore_robots: bool,
    /// Fetch from private and loopback addresses, too.
    #[arg(long)]
    pub allow_private: bool,
    /// Your address or mail, named to the sites in the User-Agent.
    #[arg(long, value_name = "TEXT")]
    pub contact: Option<String>,
    /// A User-Agent of your own.
    #[arg(long, value_name = "TEXT", conflicts_with = "contact")]
    pub user_agent: Option<String>,
    /// Longest time for one answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = some_time)]
    pub timeout: Duration,
    /// Longest silence of a server within an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = some_time)]
    pub read_timeout: Duration,
    /// Tries for an address whose failure may pass (time-outs, broken connections, HTTP 5xx, 429).
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive::<u32>)]
    pub attempts: u32,
    /// Largest image in bytes; K, M and G are understood.
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub max_image: u64,
    /// Largest page or stylesheet in bytes, decompressed.
    #[arg(long, value_name = "BYTES", default_value = "16M", value_parser = bytes)]
    pub max_page: u64,
    /// Exit with status 1 if anything failed (what robots.txt forbids is no failure).
    #[arg(long)]
    pub strict: bool,
    /// Print the summary as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// How images are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A file each.
    Files,
}

const WORKER_EXAMPLES: &str = "\
Examples:
  spinneret worker 192.0.2.7:8001 --authkey-file key
  spinneret worker 192.0.2.7:8001 --role images --concurrency 64 -o /mnt/images
  spinneret worker 192.0.2.7:8001 --authkey-file key --tls-ca ca.pem

The worker takes pages, images or both from the crawl that listens there, and
ends when that crawl is done. Images go to the crawl's own folder if this
machine has it, else to DIR.";

#[derive(Debug, clap::Args)]
#[command(after_help = WORKER_EXAMPLES)]
pub struct WorkerArgs {
    /// Where the crawl or the manager listens, as HOST:PORT.
    #[arg(value_parser = host_port)]
    pub address: String,
    /// Read pages for links, download images, or both.
    #[arg(long, default_value = "both", value_name = "ROLE", value_parser = one_of::<Role>(["links", "images", "both"]))]
    pub role: Role,
    /// Fetches under way at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive::<usize>)]
    pub concurrency: usize,
    /// Folder for images.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Folder for the images; a demo's folder there is replaced.
    #[arg(short, long, value_name = "DIR", default_value = "spinneret-demo")]
    pub output: PathBuf,
    /// Only serve the site, at ADDR, for a look with a browser.
    #[arg(long, value_name = "ADDR", value_parser = host_port)]
    pub serve: Option<String>,
    /// Print the summary as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}

/// A value with a fixed list of names, which `--help` shows.
fn one_of<T>(names: impl Into<PossibleValuesParser>) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    names.into().try_map(|name| name.parse::<T>())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Seconds to wait for something.
fn some_time(text: &str) -> Result<Duration, String> {
    seconds(text).and_then(|time| if time.is_zero() { Err(TOO_FEW.to_owned()) } else { Ok(time) })
}

/// Said of limits that would let nothing happen.
const TOO_FEW: &str = "must be more than 0";

fn positive<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err: std::fmt::Display> + Default + PartialEq,
{
    match text.parse() {
        Ok(number) if number == T::default() => Err(TOO_FEW.to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a number of bytes, such as 64M".to_owned())?;
    match number.checked_mul(unit) {
        Some(0) => Err(TOO_FEW.to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_help_ends_with_fits_a_terminal() {
        let args = Args::command();
        for command in args.get_subcommands().chain([&args]) {
            let text = command.get_after_help().map(ToString::to_string);
            for line in text.unwrap_or_default().lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn limits_that_would_let_nothing_happen_are_refused() {
        for refused in [positive::<usize>("0").err(), some_time("0.0").err(), bytes("0K").err()] {
            assert_eq!(refused.as_deref(), Some(TOO_FEW));
        }
        assert_eq!((positive::<u32>("1"), bytes("1")), (Ok(1), Ok(1)));
        assert!(positive::<u32>("-1").is_err() && positive::<usize>("many").is_err());
    }

    #[test]
    fn sizes_and_seconds_are_understood() {
        assert_eq!(bytes("12"), Ok(12));
        assert_eq!(bytes("2M"), Ok(2 << 20));
        assert!(bytes("x").is_err() && bytes("99999999999G").is_err() && bytes("").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && seconds("nan").is_err());
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
    }
}
