//! What travels between the crawl and its workers: jobs out, reports back.
//!
//! Both sides are plain serde data, so that they are plain pickles in the manager's queues and a
//! Python program can read them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Scope;

/// Named queue of link-finding jobs: robots.txt files, pages and stylesheets.
pub const LINKS_QUEUE: &str = "links";
/// Named queue of image downloads.
pub const IMAGES_QUEUE: &str = "images";
/// Named queue of the workers' reports.
pub const RESULTS_QUEUE: &str = "results";
/// Named value under which a crawl publishes its [`CrawlSettings`].
pub const SETTINGS_VALUE: &str = "crawl";

/// What an address is fetched as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A host's robots.txt, which decides over its other addresses.
    Robots,
    /// An HTML page, read for links and images.
    Page,
    /// A stylesheet, read for images and further stylesheets.
    Stylesheet,
    /// An image, saved.
    Image,
}

impl Kind {
    /// Which worker role does this: [`Kind::Image`] is a downloader's work, the rest a link finder's.
    pub fn is_image(self) -> bool {
        self == Self::Image
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Robots => "robots",
            Self::Page => "page",
            Self::Stylesheet => "stylesheet",
            Self::Image => "image",
        })
    }
}

/// One address to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The frontier's number for the address; a report names it.
    pub id: u64,
    /// What to fetch it as.
    pub kind: Kind,
    /// What to fetch now: the address itself, or where it redirected to.
    pub url: String,
    /// Where the image is stored: its own address even after a redirect. Empty means `url`.
    #[serde(default)]
    pub origin: String,
    /// The page the address was found on.
    pub page: Option<String>,
    /// Whether the links of this page are wanted (it is not at the depth limit).
    pub follow: bool,
    /// Which hand-out of the address this is, from 0; a report repeats it.
    pub attempt: u32,
}

impl Job {
    /// The address that was found, before any redirect.
    pub fn found_as(&self) -> &str {
        if self.origin.is_empty() { &self.url } else { &self.origin }
    }
}

/// An address found on a page or in a stylesheet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Canonical address.
    pub url: String,
    /// What to fetch it as.
    pub kind: Kind,
}

/// What became of a [`Job`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The job's number.
    pub id: u64,
    /// The job's attempt. A job that its worker did not acknowledge is delivered again, and may be
    /// reported when the address is a redirect or a retry further on already.
    pub attempt: u32,
    /// What happened.
    pub outcome: Outcome,
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// robots.txt was answered: its body, empty where the server has none.
    Robots {
        /// At most 500 KiB of the file.
        body: String,
    },
    /// A page or stylesheet was read.
    Read {
        /// What it links to, each address once.
        links: Vec<Link>,
        /// What was wrong with it though it could be read: bad characters, malformed links.
        problems: Vec<Problem>,
    },
    /// Fetched as a page, it is something else; its body was not read.
    OtherType {
        /// Its media type.
        content_type: String,
        /// Whether that is an image's.
        image: bool,
    },
    /// An image was stored.
    Saved(SavedImage),
    /// The server answered with a redirect.
    Redirected {
        /// Canonical address of the target.
        to: String,
    },
    /// Nothing could be had from it.
    Failed(Problem),
}

/// One line of `images.jsonl`, but for `url` and `page`, which the frontier knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedImage {
    /// Path below the output folder, `/`-separated.
    pub path: String,
    /// SHA-256 of the stored bytes, lower-case hex.
    pub sha256: String,
    /// Length of the stored file.
    pub bytes: u64,
    /// Media type by the bytes, whatever the server said.
    pub content_type: String,
    /// Width in pixels, where the format tells.
    pub width: Option<u32>,
    /// Height in pixels, where the format tells.
    pub height: Option<u32>,
    /// When the fetch ended, RFC 3339 in UTC.
    pub fetched_at: String,
    /// `HOST:FOLDER` of a worker that stored it in a folder of its own; none for the crawl's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_on: Option<String>,
}

/// Why an address failed, or what was wrong with one that did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem: the key under which the summary counts it.
    pub cause: Cause,
    /// The particulars, for a person.
    pub detail: String,
    /// The address at fault where it is not the job's own (a malformed link on a page).
    pub address: Option<String>,
}

impl Problem {
    /// A problem with the job's own address.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self { cause, detail: detail.into(), address: None }
    }
}

/// Kinds of failure. Their [`Display`](fmt::Display) form is the key in the summary and in
/// `failures.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// The host's name has no address.
    UnresolvableHost,
    /// The host refused the connection.
    ConnectionRefused,
    /// The connection could not be made or broke before an answer.
    Connection,
    /// No secure connection: certificate or protocol.
    Tls,
    /// No answer, or no more of it, in time.
    Timeout,
    /// An answer that is not HTTP.
    InvalidResponse,
    /// The server's status says no.
    Http(u16),
    /// The body ended before its announced end.
    Truncated,
    /// The body could not be decompressed.
    InvalidEncoding,
    /// Announced or received more bytes than the limit.
    TooLarge,
    /// A body without bytes.
    Empty,
    /// Fetched as an image, but its bytes are none.
    NotAnImage,
    /// Fetched as a page, but it is of another type.
    NotAPage,
    /// Redirects lead back to an address they came from.
    RedirectLoop,
    /// More redirects than allowed.
    TooManyRedirects,
    /// A redirect without a usable target.
    InvalidRedirect,
    /// A private or loopback address, and the crawl does not allow those.
    PrivateAddress,
    /// robots.txt forbids it, or could not be had.
    Robots,
    /// Bytes that are not valid in the page's encoding; the rest was read.
    InvalidText,
    /// An encoding nobody knows; a guess was read.
    UnknownCharset,
    /// An address that is none.
    MalformedAddress,
    /// The image could not be written.
    Storage,
    /// Every worker that tried it died.
    WorkerDied,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http(status) => return write!(f, "http_{status}"),
            Self::UnresolvableHost => "unresolvable_host",
            Self::ConnectionRefused => "connection_refused",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::InvalidResponse => "invalid_response",
            Self::Truncated => "truncated",
            Self::InvalidEncoding => "invalid_encoding",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::NotAnImage => "not_an_image",
            Self::NotAPage => "not_a_page",
            Self::RedirectLoop => "redirect_loop",
            Self::TooManyRedirects => "too_many_redirects",
            Self::InvalidRedirect => "invalid_redirect",
            Self::PrivateAddress => "private_address",
            Self::Robots => "robots",
            Self::InvalidText => "invalid_text",
            Self::UnknownCharset => "unknown_charset",
            Self::MalformedAddress => "malformed_address",
            Self::Storage => "storage",
            Self::WorkerDied => "worker_died",
        })
    }
}

impl Cause {
    /// Whether trying again later may help.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::ConnectionRefused
                | Self::Connection
                | Self::Timeout
                | Self::Truncated
                | Self::Http(408 | 429 | 500 | 502 | 503 | 504)
        )
    }
}

/// What every worker of a crawl needs to know; published in the manager as [`SETTINGS_VALUE`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CrawlSettings {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Which pages are followed.
    pub scope: Scope,
    /// Addresses the scope is measured from.
    pub seeds: Vec<String>,
    /// Whether a page's `<meta name=robots content=nofollow>` is obeyed.
    pub obey_meta_robots: bool,
    /// Whether private and loopback addresses may be fetched.
    pub allow_private: bool,
    /// For a connection to be made.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For a whole answer.
    pub total_timeout: Duration,
    /// Limit of a decoded page or stylesheet, in bytes.
    pub max_page_bytes: u64,
    /// Limit of an image, in bytes.
    pub max_image_bytes: u64,
    /// The crawl's output folder on its own machine.
    pub output: PathBuf,
    /// Token that a worker finds in `output` if it sees the same folder.
    pub output_token: String,
}
