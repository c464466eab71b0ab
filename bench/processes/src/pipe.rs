//! A message to another process and back.

use std::io;
use std::process::exit;
use std::time::Instant;

use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{recv, send, socketpair};
use spinneret::pipe::{Connection, pipe};
use spinneret::process::{Fork, Process, fork};

use crate::{Found, MESSAGE, Message, Result};

#[spinneret::task]
fn echo(pipe: Connection<Message>) {
    while let Ok(message) = pipe.recv() {
        pipe.send(&message).expect("the bench reads");
    }
}

pub fn ours(count: u64) -> Result<Found> {
    let (here, there) = pipe()?;
    let child = Process::new(echo, there)?;
    child.start()?;
    let trip = || -> Result<Message> {
        here.send(&MESSAGE)?;
        Ok(here.recv()?)
    };
    trip()?;
    let start = Instant::now();
    for _ in 0..count {
        trip()?;
    }
    let elapsed = start.elapsed();
    drop(here);
    child.join()?;
    Ok(Found::new(elapsed, count))
}

/// Sends and receives so many messages of 64 bytes on a bare socket.
fn trips(socket: &OwnedFd, count: u64) -> io::Result<()> {
    let mut buffer = [7; 64];
    for _ in 0..count {
        send(socket, &buffer, SendFlags::empty())?;
        // Nothing else is under way, so that messages of a stream are whole too.
        recv(socket, &mut buffer, RecvFlags::empty())?;
    }
    Ok(())
}

/// What the system does alone: `send` and `recv` in two processes.
pub fn raw(count: u64, kind: SocketType) -> Result<Found> {
    let (here, there) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    // SAFETY: there is one thread; the child uses nothing but its socket.
    match unsafe { fork() }? {
        Fork::Child => {
            drop(here);
            let mut buffer = [0; 64];
            while let Ok((64, _)) = recv(&there, &mut buffer, RecvFlags::empty()) {
                if send(&there, &buffer, SendFlags::empty()).is_err() {
                    break;
                }
            }
            exit(0)
        }
        Fork::Parent(mut child) => {
            drop(there);
            trips(&here, 1)?;
            let start = Instant::now();
            trips(&here, count)?;
            let elapsed = start.elapsed();
            drop(here);
            child.wait()?;
            Ok(Found::new(elapsed, count))
        }
    }
}

type Ends = (IpcSender<Message>, IpcReceiver<Message>);

#[spinneret::task]
fn echo_ipc(server: String) {
    let (sender, requests) = ipc::channel().expect("a channel");
    let (replies, receiver) = ipc::channel().expect("a channel");
    let server = IpcSender::<Ends>::connect(server).expect("a server");
    server.send((sender, receiver)).expect("the bench accepts");
    while let Ok(message) = requests.recv() {
        replies.send(message).expect("the bench reads");
    }
}

pub fn ipc(count: u64) -> Result<Found> {
    let (server, name) = IpcOneShotServer::<Ends>::new()?;
    let child = Process::new(echo_ipc, name)?;
    child.start()?;
    let (_server, (sender, receiver)) = server.accept()?;
    let trip = || -> Result<Message> {
        sender.send(MESSAGE)?;
        Ok(receiver.recv()?)
    };
    trip()?;
    let start = Instant::now();
    for _ in 0..count {
        trip()?;
    }
    let elapsed = start.elapsed();
    drop(sender);
    child.join()?;
    Ok(Found::new(elapsed, count))
}
