//! What is sent back for a request.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Shared;
use super::connection::Request;
use super::traps::{Trap, next_in_forever};
use crate::site::{Body, Coding, ORIGIN, Resource};

/// How many bytes go into one chunk.
const CHUNK: usize = 1000;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come.
    Next,
    /// Closed once the client has had time to read.
    Close,
    /// Closed at once, in the middle of things.
    Drop,
}

/// Answers one request; `count` says how often its target was asked for.
pub(super) async fn reply(
    stream: &mut TcpStream,
    shared: &Shared,
    request: &Request,
    count: u64,
) -> io::Result<After> {
    // A body is not read: what follows it could not be told from it.
    let keep_alive = request.keep_alive && !request.has_body;
    let found = find(shared, &request.target);
    let resource = match &found {
        _ if !matches!(request.method.as_str(), "GET" | "HEAD") => {
            &plain(405, "GET or HEAD, please.")
        }
        Some(resource) => resource.as_ref(),
        None => &plain(404, "Nothing hangs here."),
    };
    if let Body::Trap(trap) = &resource.body {
        let resource = match trap {
            Trap::Flaky(_) if count <= 2 => plain(503, "Try again."),
            Trap::Busy(_) if count <= 1 => {
                plain(429, "One at a time, please.").with_header("Retry-After", "1")
            }
            Trap::Flaky(image) | Trap::Busy(image) => {
                Resource::bytes(Some("image/png"), image.clone())
            }
            _ => return trap.spring(stream).await,
        };
        return send(stream, shared, request, &resource, keep_alive).await;
    }
    send(stream, shared, request, resource, keep_alive).await
}

/// The resource at a target; `%2f` finds what is stored as `%2F`, as both mean the same, and a
/// trap is found with any query.
fn find<'a>(shared: &'a Shared, target: &str) -> Option<Cow<'a, Resource>> {
    if target == "/robots.txt" && !shared.options.robots {
        return None;
    }
    if let Some(next) = next_in_forever(target) {
        return Some(Cow::Owned(Resource::redirect(302, &next)));
    }
    let resources = &shared.site.content.resources;
    let found = resources
        .get(target)
        .or_else(|| resources.get(&upper_case_escapes(target)))
        .or_else(|| resources.get(target.split_once('?')?.0).filter(|found| found.is_trap()));
    found.map(Cow::Borrowed)
}

fn upper_case_escapes(target: &str) -> String {
    let mut escape = 0;
    let raised = target.chars().map(|letter| {
        if letter == '%' {
            escape = 2;
            return letter;
        }
        if escape > 0 {
            escape -= 1;
            return letter.to_ascii_uppercase();
        }
        letter
    });
    raised.collect()
}

async fn send(
    stream: &mut TcpStream,
    shared: &Shared,
    request: &Request,
    resource: &Resource,
    keep_alive: bool,
) -> io::Result<After> {
    let body: Cow<'_, [u8]> = match &resource.body {
        Body::Bytes(bytes) => Cow::Borrowed(bytes),
        Body::Text(text) => Cow::Owned(text.replace(ORIGIN, &origin(shared, request)).into_bytes()),
        Body::Trap(_) => Cow::Borrowed(&[]),
    };
    let coding = if accepts(&request.accept_encoding, resource.coding) {
        resource.coding
    } else {
        Coding::Identity
    };
    let body = compress(body, coding)?;
    let chunked = resource.chunked && !request.http_1_0;

    let mut head = status_line(resource.status);
    if let Some(content_type) = resource.content_type {
        let _ = write!(head, "Content-Type: {content_type}\r\n");
    }
    for (name, value) in &resource.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if resource.coding != Coding::Identity {
        head.push_str("Vary: Accept-Encoding\r\n");
    }
    if let Some(token) = token(coding) {
        let _ = write!(head, "Content-Encoding: {token}\r\n");
    }
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let _ = write!(head, "Connection: {connection}\r\n\r\n");

    let mut message = head.into_bytes();
    if request.method != "HEAD" {
        if chunked {
            in_chunks(&body, &mut message);
        } else {
            message.extend_from_slice(&body);
        }
    }
    stream.write_all(&message).await?;
    Ok(if keep_alive { After::Next } else { After::Close })
}

fn in_chunks(body: &[u8], message: &mut Vec<u8>) {
    for chunk in body.chunks(CHUNK) {
        message.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n\r\n");
}

/// The site's origin as this client knows it: its `Host`, if that can stand in a page.
fn origin(shared: &Shared, request: &Request) -> String {
    let harmless = |host: &&String| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    match request.host.as_ref().filter(harmless) {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}", shared.address),
    }
}

/// Whether an `Accept-Encoding` allows a coding.
fn accepts(accept: &str, coding: Coding) -> bool {
    let Some(wanted) = token(coding) else {
        return true;
    };
    let weight = |name: &str| {
        accept.split(',').find_map(|entry| {
            let mut parts = entry.split(';');
            let named = parts.next()?.trim().eq_ignore_ascii_case(name);
            let refused = parts.any(|part| {
                let part = part.trim().trim_start_matches("q=").trim_start_matches("Q=");
                part.parse::<f32>().is_ok_and(|weight| weight <= 0.0)
            });
            named.then_some(!refused)
        })
    };
    weight(wanted).or_else(|| weight("*")).unwrap_or(false)
}

fn token(coding: Coding) -> Option<&'static str> {
    match coding {
        Coding::Identity => None,
        Coding::Gzip => Some("gzip"),
        Coding::Brotli => Some("br"),
        Coding::Zstd => Some("zstd"),
    }
}

fn compress(body: Cow<'_, [u8]>, coding: Coding) -> io::Result<Cow<'_, [u8]>> {
    Ok(Cow::Owned(match coding {
        Coding::Identity => return Ok(body),
        Coding::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&body)?;
            encoder.finish()?
        }
        Coding::Brotli => {
            let mut packed = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 4, 18);
            encoder.write_all(&body)?;
            drop(encoder);
            packed
        }
        Coding::Zstd => zstd::encode_all(body.as_ref(), 3)?,
    }))
}

fn plain(status: u16, text: &str) -> Resource {
    let mut resource = Resource::text("text/plain; charset=utf-8", text).with_status(status);
    if status == 405 {
        resource = resource.with_header("Allow", "GET, HEAD");
    }
    resource
}

/// The whole answer to what is no request.
pub(super) fn refusal(status: u16) -> String {
    format!("{}Content-Length: 0\r\nConnection: close\r\n\r\n", status_line(status))
}

/// The status line, and the name of this server.
pub(super) fn status_line(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "As It Is",
    };
    format!("HTTP/1.1 {status} {reason}\r\nServer: spinneret-demo\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_used_only_if_it_is_accepted() {
        assert!(accepts("gzip, br", Coding::Brotli));
        assert!(accepts("GZIP;q=0.5", Coding::Gzip));
        assert!(accepts("*", Coding::Zstd));
        assert!(accepts("", Coding::Identity));
        assert!(!accepts("", Coding::Gzip));
        assert!(!accepts("gzip;q=0, *", Coding::Gzip));
        assert!(!accepts("brotli", Coding::Brotli));
    }

    #[test]
    fn escapes_are_compared_in_upper_case_and_nothing_else_is() {
        assert_eq!(upper_case_escapes("/a%2fb/%c3%A9?q=%aa"), "/a%2Fb/%C3%A9?q=%AA");
    }
}
