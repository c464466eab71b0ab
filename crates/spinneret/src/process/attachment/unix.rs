//! Descriptors beside the bytes of a Unix socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::MOST;
use crate::process::link::no_signal;

/// What can travel beside a message: a file descriptor.
pub(crate) type Descriptor = OwnedFd;

/// The most that travel at once: a pipe has two of its own beside a large message.
pub(super) const CARRIED: usize = MOST + 2;

/// Sends some of `bytes`, with all of `fds` beside the first of them; the count of bytes sent. One
/// call of the system. With descriptors there must be a byte.
pub(crate) fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CARRIED))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds));
    // The space is rounded up: one more than we promise may fit.
    if fds.len() > CARRIED || !fits {
        return Err(Errno::TOOMANYREFS);
    }
    loop {
        match sendmsg(socket, bytes, &mut control, flags | no_signal()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// [`send_some`] without descriptors, which is quicker.
pub(crate) fn send_plain(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    flags: SendFlags,
) -> Result<usize, Errno> {
    loop {
        match rustix::net::send(socket, bytes, flags | no_signal()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Sends all of `bytes` over a blocking stream, with `fds` beside the first of them.
pub(crate) fn send(socket: impl AsFd, mut bytes: &[u8], fds: &[Arc<OwnedFd>]) -> Result<(), Errno> {
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    let mut fds = &fds[..];
    while !bytes.is_empty() {
        let sent = if fds.is_empty() {
            send_plain(socket.as_fd(), bytes, SendFlags::empty())?
        } else {
            send_some(socket.as_fd(), &[IoSlice::new(bytes)], fds, SendFlags::empty())?
        };
        bytes = &bytes[sent..];
        fds = &[];
    }
    Ok(())
}

/// What [`receive`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// How many bytes; 0 at the end of a stream.
    pub(crate) bytes: usize,
    /// Whether the buffer was too small for the packet, on sockets that have such.
    pub(crate) cut: bool,
}

/// Why nothing could be received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The system's refusal.
    #[error(transparent)]
    System(#[from] Errno),
    /// More descriptors came than one message may have, or than this process may open. Those that
    /// did come are closed.
    #[error(
        "not all file descriptors of a message could be received: this process may have too many \
         open (`ulimit -n`)"
    )]
    Truncated,
}

/// Takes what has arrived on a socket, and appends the descriptors that came along to `fds`.
/// One call of the system; descriptors are in `fds` at the latest with the first of the bytes that
/// they were sent beside.
pub(crate) fn receive(
    socket: impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    fds: &mut impl Extend<OwnedFd>,
    flags: RecvFlags,
) -> Result<Received, ReceiveError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(CARRIED))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match recvmsg(&socket, buffers, &mut control, flags | cloexec()) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    // What is not moved out of the buffer is closed with it.
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(ReceiveError::Truncated);
    }
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            let rights: Vec<_> = rights.collect();
            if rights.len() > CARRIED {
                return Err(ReceiveError::Truncated);
            }
            fds.extend(rights);
        }
    }
    Ok(Received { bytes: message.bytes, cut: message.flags.contains(ReturnFlags::TRUNC) })
}

#[cfg(not(target_vendor = "apple"))]
fn cloexec() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

/// These systems cannot; a child started in the instant between would inherit.
#[cfg(target_vendor = "apple")]
fn cloexec() -> RecvFlags {
    RecvFlags::empty()
}
