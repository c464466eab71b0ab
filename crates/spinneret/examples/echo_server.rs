//! An echo server of ordinary blocking code, `std::net` and nothing else, with ten thousand clients
//! that are connected at the same time, in a process of their own. Each end of each connection is a
//! coroutine.
//!
//! `echo_server [CLIENTS]`

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use spinneret::coroutine::{self, Group};
use spinneret::{Pool, ProcessPool};

fn serve(listener: &TcpListener) -> io::Result<()> {
    let clients = Group::new();
    loop {
        let (client, _) = listener.accept()?;
        drop(clients.spawn(move || echo(client)));
    }
}

fn echo(mut client: TcpStream) -> io::Result<()> {
    let mut bytes = [0; 64];
    loop {
        match client.read(&mut bytes)? {
            0 => return Ok(()),
            count => client.write_all(&bytes[..count])?,
        }
    }
}

/// Two messages to and fro, between which all the others connect.
fn talk(server: SocketAddr, number: usize, all: &Barrier) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    for round in 0..2 {
        let message = format!("message {round} of client {number:6}");
        stream.write_all(message.as_bytes())?;
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, message.as_bytes());
        all.wait();
    }
    Ok(())
}

/// All clients at once; how many got all their messages back.
#[spinneret::task]
fn talk_all(server: SocketAddr, clients: usize) -> usize {
    prepare();
    let all = Arc::new(Barrier::new(clients));
    let talks = (0..clients).map(|number| {
        let all = Arc::clone(&all);
        coroutine::spawn(move || talk(server, number, &all))
    });
    coroutine::join_all(talks).into_iter().filter(|result| matches!(result, Ok(Ok(())))).count()
}

/// Lets blocking calls suspend coroutines, and as many files be open as may be.
fn prepare() {
    coroutine::patch_all();
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let most = getrlimit(Resource::Nofile).maximum;
        // If it is refused, fewer clients can connect.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clients = std::env::args().nth(1).map_or(Ok(10_000), |clients| clients.parse())?;
    prepare();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = coroutine::spawn(move || serve(&listener));

    let start = Instant::now();
    let done = ProcessPool::new(1)?.apply(talk_all, (address, clients))?;
    println!("{done} clients, {} messages to and fro, {:.2?}", 2 * done, start.elapsed());
    server.cancel();
    Ok(())
}
