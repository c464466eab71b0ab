//! Stream sockets, where there are none that keep packets apart and tell of their end: macOS.
//!
//! All that is written to one are headers, each with the descriptors of its message, and as long as
//! what is read at once. The system does not let a read go beyond descriptors that came with it. So
//! headers are kept apart, and every message that has bytes goes beside.

use std::fs::{OpenOptions, remove_file};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};

/// The most bytes of a message within its packet.
pub(super) const INLINE: usize = 0;

/// Whether a message so long goes within its packet.
pub(super) fn fits(length: usize) -> bool {
    length == INLINE
}

/// Both ends of a socket.
pub(in super::super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((one.into(), other.into()))
}

/// Whether a descriptor may be one of ours.
pub(in super::super) fn is_end(fd: BorrowedFd<'_>) -> bool {
    sockopt::socket_type(fd) == Ok(SocketType::STREAM)
        && getsockname(fd).is_ok_and(|name| name.address_family() == AddressFamily::UNIX)
}

/// A file without a name, which the system may keep in memory.
pub(super) fn file_in_memory() -> io::Result<OwnedFd> {
    let mut number = [0; 16];
    getrandom::fill(&mut number).map_err(|error| io::Error::other(error.to_string()))?;
    let name = format!("spinneret-{:032x}", u128::from_ne_bytes(number));
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    remove_file(&path)?;
    Ok(file.into())
}
