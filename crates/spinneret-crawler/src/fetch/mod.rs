//! One HTTP request: bounded in time and bytes, guarded against private addresses, redirects
//! handed back rather than followed.
//!
//! A redirect is an address like any other: the frontier checks it against robots.txt and
//! the host's pace before it is fetched.

mod failure;
mod guard;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Version;
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, TRANSFER_ENCODING,
};

use crate::address::Address;
use crate::job::{Cause, CrawlSettings, Kind, Problem};
pub use guard::is_private;

/// Longest body that is read to be thrown away, in bytes.
const DRAIN_LIMIT: u64 = 16 * 1024;
/// RFC 9309 §2.5 asks for at least 500 KiB of a robots.txt.
const MAX_ROBOTS_BYTES: u64 = 500 * 1024;

/// A client for all of a worker's requests; connections are reused.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: reqwest::Client,
    allow_private: bool,
    max_page_bytes: u64,
    max_image_bytes: u64,
}

/// An answer with a success status, its body not yet read.
#[derive(Debug)]
pub struct Body {
    response: reqwest::Response,
    limit: u64,
    read: u64,
    unframed: bool,
}

/// What a server said to a request.
#[derive(Debug)]
pub enum Answer {
    /// A success with a body.
    Body(Body),
    /// A redirect to this address.
    Redirect(Address),
}

/// A client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct ClientError(#[from] reqwest::Error);

impl Fetcher {
    /// A client with the crawl's manners.
    pub fn new(settings: &CrawlSettings) -> Result<Self, ClientError> {
        // Only the first call of a process can install it; a later one finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .user_agent(&settings.user_agent)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(settings.connect_timeout)
                .read_timeout(settings.read_timeout)
                .timeout(settings.total_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(64)
                .tcp_nodelay(true)
                // A proxy would resolve names for us, past the guard.
                .no_proxy()
                .dns_resolver(guard::GuardedResolver::new(settings.allow_private))
        };
        let client = builder().build().or_else(|error| {
            tracing::warn!(
                "no usable CA certificates on this machine, https addresses will fail \
                 (install the package ca-certificates): {error}"
            );
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self {
            client,
            allow_private: settings.allow_private,
            max_page_bytes: settings.max_page_bytes,
            max_image_bytes: settings.max_image_bytes,
        })
    }

    /// Requests `address` as a `kind`.
    ///
    /// A status of 4xx or 5xx is a [`Problem`], except that a robots.txt answered with 4xx is an
    /// empty one (RFC 9309 §2.3.1.3): see [`Fetcher::robots`].
    pub async fn get(&self, address: &Address, kind: Kind) -> Result<Answer, Problem> {
        if !self.allow_private {
            guard::check_literal(address.host())?;
        }
        let accept = HeaderValue::from_static(match kind {
            Kind::Robots => "text/plain,*/*;q=0.5",
            Kind::Page => "text/html,application/xhtml+xml,*/*;q=0.5",
            Kind::Stylesheet => "text/css,*/*;q=0.5",
            Kind::Image => "image/avif,image/webp,image/*,*/*;q=0.5",
        });
        let limit = match kind {
            Kind::Robots => MAX_ROBOTS_BYTES,
            Kind::Page | Kind::Stylesheet => self.max_page_bytes,
            Kind::Image => self.max_image_bytes,
        };
        let response = self
            .client
            .get(address.as_str())
            .header(ACCEPT, accept)
            .send()
            .await
            .map_err(|error| failure::classify(&error))?;
        let status = response.status();
        // The decoders take Content-Length away with Content-Encoding; those formats tell their end.
        let headers = response.headers();
        let unframed = response.version() <= Version::HTTP_11
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING);
        let mut body = Body { response, limit, read: 0, unframed };
        if status.is_redirection() && status.as_u16() != 304 {
            let target = body.redirect_target(address);
            body.drain().await;
            return target.map(Answer::Redirect);
        }
        if !status.is_success() {
            body.drain().await;
            return Err(Problem::new(
                Cause::Http(status.as_u16()),
                format!("HTTP status {status}"),
            ));
        }
        match body.response.content_length() {
            Some(announced) if announced > limit && kind != Kind::Robots => Err(Problem::new(
                Cause::TooLarge,
                format!("Content-Length {announced} is over the limit of {limit} bytes"),
            )),
            _ => Ok(Answer::Body(body)),
        }
    }

    /// Requests a robots.txt: the text of its first 500 KiB, empty for a 4xx status.
    pub async fn robots(&self, address: &Address) -> Result<RobotsAnswer, Problem> {
        match self.get(address, Kind::Robots).await {
            Ok(Answer::Redirect(to)) => Ok(RobotsAnswer::Redirect(to)),
            Ok(Answer::Body(mut body)) => {
                let mut text = Vec::new();
                while let Some(chunk) = body.chunk_unlimited().await? {
                    text.extend_from_slice(&chunk);
                    if text.len() as u64 >= MAX_ROBOTS_BYTES {
                        text.truncate(MAX_ROBOTS_BYTES as usize);
                        break;
                    }
                }
                Ok(RobotsAnswer::Text(String::from_utf8_lossy(&text).into_owned()))
            }
            // 429 is the one 4xx that is about us rather than about the file.
            Err(Problem { cause: Cause::Http(status @ 400..=499), .. }) if status != 429 => {
                Ok(RobotsAnswer::Text(String::new()))
            }
            Err(problem) => Err(problem),
        }
    }
}

/// What a server said to a request for its robots.txt.
#[derive(Debug)]
pub enum RobotsAnswer {
    /// The file, or nothing where there is none.
    Text(String),
    /// It is kept elsewhere.
    Redirect(Address),
}

impl Body {
    /// The `Content-Type` header, if it is readable text.
    pub fn content_type(&self) -> Option<&str> {
        self.response.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// Whether the body ends where the connection does, so that nobody can tell a whole one from
    /// one cut short.
    pub fn is_unframed(&self) -> bool {
        self.unframed
    }

    /// The next piece of the decoded body, or none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.chunk_unlimited().await?;
        if self.read > self.limit {
            return Err(Problem::new(
                Cause::TooLarge,
                format!("the body goes on past the limit of {} bytes", self.limit),
            ));
        }
        Ok(chunk)
    }

    /// The rest of the body.
    pub async fn read_all(&mut self) -> Result<Bytes, Problem> {
        // Most pages arrive in one or two pieces; the first is kept as it came.
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads a body that is known to be short, so that the connection can serve the next request. A
    /// longer one, or one of unknown length, costs more than a new connection.
    pub async fn drain(&mut self) {
        if self.response.content_length().is_none_or(|length| length > DRAIN_LIMIT) {
            return;
        }
        while self.read < DRAIN_LIMIT {
            match self.chunk_unlimited().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
    }

    async fn chunk_unlimited(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.response.chunk().await.map_err(|error| failure::classify(&error))?;
        self.read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    fn redirect_target(&self, from: &Address) -> Result<Address, Problem> {
        let invalid = |detail: String| Problem::new(Cause::InvalidRedirect, detail);
        let status = self.response.status();
        let location =
            self.response.headers().get(LOCATION).ok_or_else(|| {
                invalid(format!("HTTP status {status} without a Location header"))
            })?;
        let location = String::from_utf8_lossy(location.as_bytes());
        match from.join(&location) {
            Ok(Some(target)) => Ok(target),
            Ok(None) => {
                Err(invalid(format!("redirect to {location:?}, which is not a web address")))
            }
            Err(error) => Err(invalid(format!("redirect to {location:?}: {error}"))),
        }
    }
}
