//! A bare TCP ping-pong between two processes: what a round trip costs that does nothing.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{ITEM, Outcome, timed};

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

/// One count is two round trips, as a put and a get are.
pub fn ping_pong(count: usize) -> Outcome<Duration> {
    let mut child = Command::new(env::current_exe()?).arg("echo").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let mut stream = TcpStream::connect(address.trim())?;
    stream.set_nodelay(true)?;
    let mut message = [7; ITEM];
    let time = timed(count, |count| {
        for _ in 0..2 * count {
            stream.write_all(&message)?;
            stream.read_exact(&mut message)?;
        }
        Ok(())
    });
    drop(stream);
    child.wait()?;
    time
}
