//! A little web site on the loopback interface, for the examples to visit: every page takes its time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Serves for as long as the program runs, on threads of its own, and returns the address.
pub fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            // A visitor that goes away is no concern of ours.
            thread::spawn(move || drop(answer(visitor)));
        }
    });
    Ok(address)
}

/// Answers one request with a page as long as a thousand times the length of its path.
fn answer(mut visitor: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        visitor.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let path = request.split(|byte| *byte == b' ').nth(1).map_or(0, <[u8]>::len);
    thread::sleep(Duration::from_millis(50));
    let length = 1000 * path;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    visitor.write_all(head.as_bytes())?;
    visitor.write_all(&vec![b'.'; length])
}
