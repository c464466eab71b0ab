//! Bare TCP ping-pongs between two processes: what a round trip costs that does nothing.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{ITEM, Outcome, threads, timed};

/// The other end: says its address, then sends back what comes.
pub fn echo() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut message = [0; ITEM];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message)?;
    }
    Ok(())
}

/// The other end for many: a task for each connection on one thread, as a manager has.
pub fn echo_many() -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (mut stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut message = [0; ITEM];
                while stream.read_exact(&mut message).await.is_ok()
                    && stream.write_all(&message).await.is_ok()
                {}
            });
        }
    })
}

/// This program again, as the other end, and its address.
fn other_end(work: &str) -> Outcome<(Child, String)> {
    let mut child = Command::new(env::current_exe()?).arg(work).stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    Ok((child, address.trim().into()))
}

fn connect(address: &str) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One count is two round trips, as a put and a get are.
fn bounce(stream: &mut TcpStream, count: usize) -> Outcome {
    let mut message = [7; ITEM];
    for _ in 0..2 * count {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
    }
    Ok(())
}

/// One client.
pub fn ping_pong(count: usize) -> Outcome<Duration> {
    let (mut child, address) = other_end("echo")?;
    let mut stream = connect(&address)?;
    let time = timed(count, |count| bounce(&mut stream, count));
    drop(stream);
    child.wait()?;
    time
}

/// Many clients, each with a thread of its own.
pub fn clients(count: usize, clients: usize) -> Outcome<Duration> {
    let (mut child, address) = other_end("echo-many")?;
    let time = threads(clients, || connect(&address), |stream| bounce(stream, count / clients));
    child.kill()?;
    child.wait()?;
    time
}
