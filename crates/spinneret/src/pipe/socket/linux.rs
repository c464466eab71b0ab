//! Sockets of the type `SOCK_SEQPACKET`, and memfds.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

/// The most bytes of a message within its packet. A packet must fit in the system's buffer for the
/// socket, 208 KiB on Linux unless told otherwise.
pub(super) const INLINE: usize = 64 * 1024;

/// Whether a message so long goes within its packet.
pub(super) fn fits(length: usize) -> bool {
    length <= INLINE
}

/// Both ends of a socket.
pub(in super::super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Whether a descriptor may be one of ours.
pub(in super::super) fn is_end(fd: BorrowedFd<'_>) -> bool {
    sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
        && sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
}

pub(super) fn file_in_memory() -> io::Result<OwnedFd> {
    Ok(memfd_create(c"spinneret-pipe", MemfdFlags::CLOEXEC)?)
}
