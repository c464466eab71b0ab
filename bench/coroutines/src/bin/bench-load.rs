//! The other ends: who calls the echo, and servers of pages that take their time and of
//! files.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use bench_coroutines::{FILE, MESSAGE, Order, Outcome, end_with_input, listening, report, timed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::sleep,
};

/// How many connections the echo has.
const CONNECTIONS: usize = 1000;

fn main() -> Outcome {
    let order = Order::read()?;
    match order.work.as_str() {
        "echo" => echo(&order.address, order.count),
        "files" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(pages(Duration::ZERO, FILE))
        }
        "pages" => {
            let delay = Duration::from_millis(u64::try_from(order.count)?);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(pages(delay, MESSAGE))
        }
        _ => order.unknown(),
    }
}

/// A message on every connection, then the answers of all: whoever answers has much to do at a time.
fn echo(address: &str, count: usize) -> Outcome {
    let mut streams = (0..CONNECTIONS)
        .map(|_| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
        .collect::<Outcome<Vec<_>>>()?;
    let mut message = [7; MESSAGE];
    let time = timed(count, |count| {
        for _ in 0..count / CONNECTIONS {
            for stream in &mut streams {
                stream.write_all(&message).expect("the server reads");
            }
            for stream in &mut streams {
                stream.read_exact(&mut message).expect("the server answers");
            }
        }
    });
    report(count, time, None);
    Ok(())
}

/// Answers every request after a while.
async fn pages(delay: Duration, length: usize) -> Outcome {
    // All clients connect at once: those for whom there is no room would try again a second later.
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(4096)?;
    listening(listener.local_addr()?);
    end_with_input();
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'a'; length]].concat();
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                if request.ends_with(b"\r\n\r\n") {
                    request.clear();
                    if !delay.is_zero() {
                        sleep(delay).await;
                    }
                    if stream.write_all(&answer).await.is_err() {
                        break;
                    }
                }
            }
        });
    }
}
