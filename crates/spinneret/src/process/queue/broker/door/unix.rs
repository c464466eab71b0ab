//! A door is one end of a pair of sockets, which has no name: only who was sent it has it. To knock is
//! to send one byte with the end of a new pair. One byte is sent in whole or not at all, so several
//! processes can knock, and be killed as they do.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{AddressFamily, RecvFlags, SocketType, getsockname, sockopt};

use serde::de::Error as _;
use serde::{Deserializer, Serializer};

use super::super::Fault;
use crate::process::Link;
use crate::process::attachment::{self, ReceiveError};

#[derive(Debug)]
pub(in super::super) struct Door(Arc<OwnedFd>);

#[derive(Debug)]
pub(in super::super) struct Inside(OwnedFd);

/// A new door, from both sides.
pub(in super::super) fn open() -> io::Result<(Door, Inside)> {
    let (outside, inside) = std::os::unix::net::UnixStream::pair()?;
    Ok((Door(Arc::new(outside.into())), Inside(inside.into())))
}

impl Door {
    /// A connection of our own.
    pub(in super::super) fn knock(&self) -> Result<Link, Fault> {
        let (ours, theirs) = Link::pair()?;
        attachment::send(&self.0, &[0], &[Arc::new(theirs)]).map_err(|_| Fault::Gone)?;
        Ok(ours)
    }

    pub(in super::super) fn depart<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        attachment::attach(&self.0, to)
    }

    pub(in super::super) fn arrive<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::arrived(attachment::detach(from)?).map_err(D::Error::custom)
    }

    /// The door that came from another process.
    fn arrived(fd: OwnedFd) -> Result<Self, Fault> {
        let is_door = sockopt::socket_type(&fd) == Ok(SocketType::STREAM)
            && getsockname(&fd).is_ok_and(|name| name.address_family() == AddressFamily::UNIX);
        if is_door { Ok(Self(Arc::new(fd))) } else { Err(Fault::NoQueue) }
    }
}

impl Inside {
    /// Waits for the next who knocks; `None` when nobody has the door any more.
    pub(in super::super) fn next(&mut self) -> Option<Link> {
        loop {
            let (mut byte, mut fds) = ([0], Vec::new());
            let bytes = &mut [IoSliceMut::new(&mut byte)];
            match attachment::receive(self.0.as_fd(), bytes, &mut fds, RecvFlags::empty()) {
                Ok(received) if received.bytes == 0 => return None,
                Ok(_) => {
                    if let Some(end) = fds.pop() {
                        return Some(Link::inherited(end));
                    }
                }
                // No descriptor is left for it: who knocked sees the end of the stream.
                Err(ReceiveError::Truncated) => {}
                Err(ReceiveError::System(_)) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_door_is_no_queue() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Door::arrived(listener.into()), Err(Fault::NoQueue)));
        assert!(matches!(Door::arrived(io::pipe().unwrap().0.into()), Err(Fault::NoQueue)));
    }
}
