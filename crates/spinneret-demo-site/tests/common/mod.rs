//! A client of a few lines, independent of the server: what came over the wire, and no more.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Read;
use std::net::SocketAddr;

use spinneret_demo_site::{DemoSite, ServeOptions, ServerHandle, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without the transfer coding, with the content coding.
    pub body: Vec<u8>,
    /// Whether all came that was announced.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body without its content coding.
    pub fn decoded(&self) -> std::io::Result<Vec<u8>> {
        let mut decoded = Vec::new();
        let body = self.body.as_slice();
        match self.header("content-encoding") {
            None => decoded.extend_from_slice(body),
            Some("gzip") => {
                flate2::read::GzDecoder::new(body).read_to_end(&mut decoded)?;
            }
            Some("br") => {
                brotli::Decompressor::new(body, 4096).read_to_end(&mut decoded)?;
            }
            Some("zstd") => decoded = zstd::decode_all(body)?,
            Some(other) => panic!("unknown coding {other}"),
        }
        Ok(decoded)
    }
}

/// A server on a free port.
pub async fn open(site: DemoSite, options: ServeOptions) -> ServerHandle {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, site, options).await
}

/// The museum on a free port.
pub async fn museum() -> ServerHandle {
    open(DemoSite::build(), ServeOptions::default()).await
}

/// Gets a target on a connection of its own.
pub async fn get(server: SocketAddr, target: &str) -> Answer {
    get_accepting(server, target, "gzip, br, zstd").await
}

/// The same with an `Accept-Encoding`.
pub async fn get_accepting(server: SocketAddr, target: &str, codings: &str) -> Answer {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: test\r\n\
         Accept-Encoding: {codings}\r\nConnection: close\r\n\r\n"
    );
    answer(&exchange(server, request.as_bytes()).await)
}

/// Sends bytes and reads until the server closes.
pub async fn exchange(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Reads an answer from the bytes of a closed connection.
pub fn answer(bytes: &[u8]) -> Answer {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(length) = head.parse(bytes).unwrap() else {
        panic!("half a header: {:?}", String::from_utf8_lossy(bytes));
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|line| {
            (line.name.to_ascii_lowercase(), String::from_utf8_lossy(line.value).into_owned())
        })
        .collect();
    let mut answer =
        Answer { status: head.code.unwrap(), headers, body: bytes[length..].to_vec(), whole: true };
    if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.whole) = unchunked(&answer.body);
    } else if let Some(announced) = answer.header("content-length") {
        answer.whole = announced.parse::<usize>().unwrap() == answer.body.len();
    }
    answer
}

fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[end + 2..];
        if rest.len() < size + 2 {
            body.extend_from_slice(rest);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
        if size == 0 {
            return (body, rest.is_empty());
        }
    }
}
