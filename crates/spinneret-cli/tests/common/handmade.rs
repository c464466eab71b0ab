//! A server of a few lines for sites that a test writes itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// An answer: media type and body; with an empty media type, the body is the whole answer.
pub type Page = (&'static str, Vec<u8>);

/// The smallest image that there is: a GIF of one pixel.
pub const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// Serves fixed answers on a free loopback port, and notes when each was asked for.
pub struct Handmade {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Handmade {
    pub fn open(pages: BTreeMap<&'static str, Page>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&requests);
        let pages = Arc::new(pages);
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, noted) = (Arc::clone(&pages), Arc::clone(&noted));
                std::thread::spawn(move || answer(&stream, &pages, &noted));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// When which path was asked for, in order.
    pub fn requests(&self) -> Vec<(Instant, String)> {
        self.requests.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|(_, path)| path).collect()
    }
}

/// One request, one answer, and the connection is closed.
fn answer(
    stream: &TcpStream,
    pages: &BTreeMap<&'static str, Page>,
    noted: &Mutex<Vec<(Instant, String)>>,
) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    while !lines.next()?.ok()?.is_empty() {}
    noted.lock().unwrap().push((Instant::now(), path.clone()));
    let (status, media_type, body) = match pages.get(path.as_str()) {
        Some(("", whole)) => return (&*stream).write_all(whole).ok(),
        Some((media_type, body)) => ("200 OK", *media_type, body.as_slice()),
        None => ("404 Not Found", "text/plain", b"nothing".as_slice()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    (&*stream).write_all(head.as_bytes()).ok()?;
    (&*stream).write_all(body).ok()
}
