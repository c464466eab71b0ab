//! One connection: requests in, replies out, one after the other.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reply::{self, After};
use super::{Hit, Running, Shared};

/// A request header beyond this is refused.
const HEADER_LIMIT: usize = 64 * 1024;
/// How many header lines one may have.
const HEADER_LINES: usize = 100;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// What the server needs to know of a request.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub host: Option<String>,
    pub user_agent: Option<String>,
    pub accept_encoding: String,
    pub http_1_0: bool,
    pub keep_alive: bool,
    /// The request announces a body.
    pub has_body: bool,
}

enum Read {
    Request(Request),
    /// The client is done.
    End,
    /// What it sent is no request: the status that says so.
    Refused(u16),
}

/// Answers until either side closes. An error is the client's going away: nothing to report.
pub(super) async fn converse(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        let Ok(read) = timeout(IDLE, read_request(&mut stream, &mut buffer)).await else {
            return Ok(());
        };
        let request = match read? {
            Read::Request(request) => request,
            Read::End => return Ok(()),
            Read::Refused(status) => {
                stream.write_all(reply::refusal(status).as_bytes()).await?;
                return linger(&mut stream).await;
            }
        };
        let count = shared.record(Hit {
            target: request.target.clone(),
            method: request.method.clone(),
            at: Instant::now(),
            user_agent: request.user_agent.clone(),
        });
        let after = {
            let _running = Running::new(&shared);
            if !shared.options.latency.is_zero() {
                tokio::time::sleep(shared.options.latency).await;
            }
            reply::reply(&mut stream, &shared, &request, count).await?
        };
        match after {
            After::Next => {}
            After::Close => return linger(&mut stream).await,
            After::Drop => return Ok(()),
        }
    }
}

/// Closes so that the client can still read what was sent: a socket closed with unread input
/// would reset the connection.
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    let drained = async {
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    };
    timeout(Duration::from_secs(1), drained).await.unwrap_or(Ok(()))
}

async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Read> {
    loop {
        match parse(buffer) {
            Ok(Some((request, length))) => {
                buffer.advance(length);
                return Ok(Read::Request(request));
            }
            Ok(None) if buffer.len() >= HEADER_LIMIT => return Ok(Read::Refused(431)),
            Ok(None) => {}
            Err(status) => return Ok(Read::Refused(status)),
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::End);
        }
    }
}

/// A request at the start of `input` and its length, if it is all there; else the status that
/// refuses it.
fn parse(input: &[u8]) -> Result<Option<(Request, usize)>, u16> {
    let mut lines = [httparse::EMPTY_HEADER; HEADER_LINES];
    let mut head = httparse::Request::new(&mut lines);
    let length = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(431),
        Err(_) => return Err(400),
    };
    let mut request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: path_of(head.path.unwrap_or_default()).ok_or(400_u16)?.to_owned(),
        http_1_0: head.version == Some(0),
        keep_alive: head.version == Some(1),
        ..Request::default()
    };
    for line in head.headers.iter() {
        let value = String::from_utf8_lossy(line.value);
        match line.name.to_ascii_lowercase().as_str() {
            "host" => request.host = Some(value.into_owned()),
            "user-agent" => request.user_agent = Some(value.into_owned()),
            "accept-encoding" => {
                request.accept_encoding.push_str(&value);
                request.accept_encoding.push(',');
            }
            "connection" => {
                let value = value.to_ascii_lowercase();
                if value.contains("close") {
                    request.keep_alive = false;
                } else if value.contains("keep-alive") {
                    request.keep_alive = true;
                }
            }
            "content-length" => request.has_body = value.trim() != "0",
            "transfer-encoding" => request.has_body = true,
            _ => {}
        }
    }
    Ok(Some((request, length)))
}

/// The path and query of a request target, which may be a whole URL.
fn path_of(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (_, rest) = target.split_once("://")?;
    Some(rest.find('/').map_or("/", |at| &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: &str) -> Request {
        let (request, length) = parse(input.as_bytes()).unwrap().unwrap();
        assert_eq!(length, input.len());
        request
    }

    #[test]
    fn a_request_is_read_with_what_the_server_needs() {
        let request = parsed(
            "GET /a%20b?v=1 HTTP/1.1\r\nHost: h:1\r\nUser-Agent: spider\r\n\
             Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n\r\n",
        );
        assert_eq!(request.target, "/a%20b?v=1");
        assert_eq!(request.host.as_deref(), Some("h:1"));
        assert_eq!(request.user_agent.as_deref(), Some("spider"));
        assert_eq!(request.accept_encoding, "gzip,br,");
        assert!(request.keep_alive && !request.http_1_0 && !request.has_body);
    }

    #[test]
    fn half_a_request_is_waited_for() {
        assert!(matches!(parse(b"GET / HTTP/1.1\r\nHost: h"), Ok(None)));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(parse(b"\x16\x03\x01\x02\x00\x01").unwrap_err(), 400);
        assert_eq!(parse(b"GET no-slash HTTP/1.1\r\n\r\n").unwrap_err(), 400);
    }

    #[test]
    fn a_whole_url_as_target_is_its_path() {
        assert_eq!(parsed("GET http://h:1/x?y HTTP/1.1\r\n\r\n").target, "/x?y");
        assert_eq!(parsed("GET http://h HTTP/1.1\r\n\r\n").target, "/");
    }

    #[test]
    fn an_old_client_gets_its_connection_closed_unless_it_asks() {
        assert!(!parsed("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(parsed("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!parsed("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").keep_alive);
    }
}
