//! A sender and a receiver: two processes with one pipe between them.

use std::process::id;

use spinneret::pipe::{Receiver, RecvError, Sender, pipe_simplex};
use spinneret::process::Process;

#[spinneret::task]
fn send(urls: Vec<String>, pipe: Sender<String>) {
    for url in &urls {
        println!("Process({}) send: {url}", id());
        pipe.send(url).expect("the receiver reads to the end");
    }
}

#[spinneret::task]
fn receive(pipe: Receiver<String>) {
    loop {
        match pipe.recv() {
            Ok(url) => println!("Process({}) rev:{url}", id()),
            // The sender has ended, and everything was read.
            Err(RecvError::Eof) => break,
            Err(error) => panic!("{error}"),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (receiver, sender) = pipe_simplex()?;
    let urls = (0..10).map(|i| format!("url_{i}")).collect::<Vec<_>>();
    let processes = [Process::new(send, (urls, sender))?, Process::new(receive, receiver)?];
    for process in &processes {
        process.start()?;
    }
    for process in &processes {
        process.join()?;
    }
    Ok(())
}
