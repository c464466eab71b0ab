//! What a crawl is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use spinneret::manager::{AuthKey, TlsServer};

use crate::address::{Address, Scope};

/// Everything the user can set. [`CrawlOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct CrawlOptions {
    /// Folder for images, lists and state.
    pub output: PathBuf,
    /// Worker processes of this machine. 0 leaves all work to workers that join.
    pub workers: usize,
    /// Fetches under way at once in each worker.
    pub concurrency: usize,
    /// Follow pages at most this many links away from a seed.
    pub depth: Option<u32>,
    /// Which pages to follow.
    pub scope: Scope,
    /// Go on with the crawl that `output` holds.
    pub resume: bool,
    /// Where workers from elsewhere may join, with this key. None: nobody else joins.
    pub listen: Option<(String, AuthKey)>,
    /// TLS for those workers.
    pub tls: Option<TlsServer>,
    /// Pause between two requests to a host. None: the polite default, but no pause for private
    /// hosts.
    pub delay: Option<Duration>,
    /// Whether robots.txt and `<meta name=robots>` are obeyed.
    pub obey_robots: bool,
    /// Whether private and loopback addresses may be fetched.
    pub allow_private: bool,
    /// Address or mail of whoever runs the crawl, for the `User-Agent`.
    pub contact: Option<String>,
    /// A `User-Agent` in place of our own. robots.txt is still read for `spinneret`.
    pub user_agent: Option<String>,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For a whole answer.
    pub total_timeout: Duration,
    /// Tries for an address while its failures may pass.
    pub attempts: u32,
    /// Limit of a decoded page or stylesheet, in bytes.
    pub max_page_bytes: u64,
    /// Limit of an image, in bytes.
    pub max_image_bytes: u64,
}

impl CrawlOptions {
    /// A polite crawl of one machine into `output`.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        Self {
            output: output.into(),
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            concurrency: 16,
            depth: None,
            scope: Scope::Host,
            resume: false,
            listen: None,
            tls: None,
            delay: None,
            obey_robots: true,
            allow_private: false,
            contact: None,
            user_agent: None,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(20),
            total_timeout: Duration::from_mins(5),
            attempts: 3,
            max_page_bytes: 16 << 20,
            max_image_bytes: 256 << 20,
        }
    }

    /// The `User-Agent` header: names spinneret, its version, and the contact if there is one.
    pub fn user_agent(&self) -> String {
        match (&self.user_agent, &self.contact) {
            (Some(own), _) => own.clone(),
            (None, None) => format!("spinneret/{}", env!("CARGO_PKG_VERSION")),
            (None, Some(contact)) => {
                format!("spinneret/{} (+{contact})", env!("CARGO_PKG_VERSION"))
            }
        }
    }
}

/// Where a crawl starts.
pub enum Source {
    /// Pages whose links are followed.
    Pages(Vec<Address>),
    /// Images that are fetched; nothing is followed. An error names a line that is no address.
    Images(Box<dyn Iterator<Item = Result<Address, BadLine>> + Send>),
}

/// An entry of a list that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: u64,
    /// What stands there, shortened if it is long.
    pub text: String,
    /// Why it is no address.
    pub reason: String,
}
