//! Messages from one process to another.

use std::hint::black_box;
use std::iter::repeat_n;
use std::thread;
use std::time::{Duration, Instant};

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spinneret::pipe::{Sender, pipe_simplex};
use spinneret::process::{Process, Queue};

use crate::{Found, MESSAGE, Message, Result};

/// How many messages a batch has.
const BATCH: usize = 1000;

/// How many messages the channel between threads holds.
const BOUND: usize = 10_000;

/// Takes so many messages; says when it is ready and when it has them.
#[spinneret::task]
fn take(queue: Queue<Message>, count: u64, report: Sender<()>) {
    report.send(&()).expect("the bench reads");
    for _ in 0..count {
        black_box(queue.get().expect("a message"));
    }
    report.send(&()).expect("the bench reads");
}

#[spinneret::task]
fn take_batches(queue: Queue<Message>, count: u64, report: Sender<()>) {
    report.send(&()).expect("the bench reads");
    let mut taken = 0;
    while taken < count {
        taken += black_box(queue.get_many(BATCH).expect("messages")).len() as u64;
    }
    report.send(&()).expect("the bench reads");
}

/// Makes a channel, and gives its sender to the server of that name.
fn ipc_receiver<T: Serialize + DeserializeOwned>(server: String) -> IpcReceiver<T> {
    let (sender, receiver) = ipc::channel().expect("a channel");
    let server = IpcSender::connect(server).expect("a server");
    server.send(sender).expect("the bench accepts");
    receiver
}

#[spinneret::task]
fn take_ipc(server: String, count: u64, report: Sender<()>) {
    let receiver = ipc_receiver::<Message>(server);
    report.send(&()).expect("the bench reads");
    for _ in 0..count {
        black_box(receiver.recv().expect("a message"));
    }
    report.send(&()).expect("the bench reads");
}

#[spinneret::task]
fn take_ipc_batches(server: String, count: u64, report: Sender<()>) {
    let receiver = ipc_receiver::<Vec<Message>>(server);
    report.send(&()).expect("the bench reads");
    let mut taken = 0;
    while taken < count {
        taken += black_box(receiver.recv().expect("messages")).len() as u64;
    }
    report.send(&()).expect("the bench reads");
}

/// The time from the first message to the last one's arrival in the other process.
fn timed(
    child: impl FnOnce(Sender<()>) -> Result<Process>,
    put: impl FnOnce() -> Result<()>,
) -> Result<Duration> {
    let (reports, report) = pipe_simplex()?;
    let child = child(report)?;
    child.start()?;
    reports.recv()?;
    let start = Instant::now();
    put()?;
    reports.recv()?;
    let elapsed = start.elapsed();
    child.join()?;
    Ok(elapsed)
}

pub fn single(count: u64) -> Result<Found> {
    let queue = Queue::new(0)?;
    let elapsed = timed(
        |report| Ok(Process::new(take, (queue.clone(), count, report))?),
        || {
            for _ in 0..count {
                queue.put(MESSAGE)?;
            }
            Ok(())
        },
    )?;
    Ok(Found::new(elapsed, count))
}

pub fn batches(count: u64) -> Result<Found> {
    let queue = Queue::new(0)?;
    let elapsed = timed(
        |report| Ok(Process::new(take_batches, (queue.clone(), count, report))?),
        || {
            for _ in 0..count / BATCH as u64 {
                queue.put_many(repeat_n(MESSAGE, BATCH)).map_err(|error| error.to_string())?;
            }
            Ok(())
        },
    )?;
    Ok(Found::new(elapsed, count))
}

// The child has connected when it reports, so that nothing waits in `accept`.
pub fn ipc(count: u64) -> Result<Found> {
    let (server, name) = IpcOneShotServer::<IpcSender<Message>>::new()?;
    let child = |report| Ok(Process::new(take_ipc, (name, count, report))?);
    let elapsed = timed(child, || {
        let (_server, sender) = server.accept()?;
        for _ in 0..count {
            sender.send(MESSAGE)?;
        }
        Ok(())
    })?;
    Ok(Found::new(elapsed, count))
}

pub fn ipc_batches(count: u64) -> Result<Found> {
    let (server, name) = IpcOneShotServer::<IpcSender<Vec<Message>>>::new()?;
    let child = |report| Ok(Process::new(take_ipc_batches, (name, count, report))?);
    let elapsed = timed(child, || {
        let (_server, sender) = server.accept()?;
        for _ in 0..count / BATCH as u64 {
            sender.send(vec![MESSAGE; BATCH])?;
        }
        Ok(())
    })?;
    Ok(Found::new(elapsed, count))
}

/// What is possible between threads of one process.
pub fn crossbeam(count: u64) -> Result<Found> {
    let (sender, receiver) = crossbeam_channel::bounded::<Message>(BOUND);
    let taker = thread::spawn(move || {
        for _ in 0..count {
            black_box(receiver.recv().expect("a message"));
        }
    });
    let start = Instant::now();
    for _ in 0..count {
        sender.send(MESSAGE)?;
    }
    taker.join().map_err(|_| "the taker panicked")?;
    Ok(Found::new(start.elapsed(), count))
}
