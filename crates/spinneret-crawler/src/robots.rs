//! What a host's robots.txt allows (RFC 9309), by the robotxt crate.

use std::time::Duration;

use robotxt::Robots;

/// Longest pause that a `Crawl-delay` line can ask for; a mistyped one must not stop a crawl.
const MAX_CRAWL_DELAY: Duration = Duration::from_mins(1);

/// The rules of one host for us.
#[derive(Debug)]
pub struct Rules {
    robots: Robots,
}

impl Rules {
    /// Reads a robots.txt for the product token `agent` (`spinneret`).
    pub fn parse(text: &str, agent: &str) -> Self {
        Self { robots: Robots::parse(text.as_bytes(), agent) }
    }

    /// Whether the path, with its query, may be fetched.
    pub fn allows(&self, path_and_query: &str) -> bool {
        self.robots.is_allowed(path_and_query)
    }

    /// The pause the host asks for between two requests, at most a minute.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.robots.crawl_delay().map(|delay| delay.min(MAX_CRAWL_DELAY))
    }
}
