//! Who is still there: marks on a file that vanish with the process that set them.
//!
//! A mark is an open-file-description lock on one byte. The kernel takes it back when the last
//! descriptor of that description closes, which nothing short of the process's end (or `fork`, which
//! shares it with the child) can hurry or hinder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// One participant's own view of a file, with the marks it set.
#[derive(Debug)]
pub(crate) struct Presence(File);

impl Presence {
    /// Opens the file behind `fd` anew: the descriptor itself may be shared with other processes,
    /// and so would its marks be.
    pub(crate) fn open(fd: &OwnedFd) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        // Close-on-exec, as all that the standard library opens.
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }

    /// Marks a byte; `false` if another has it.
    pub(crate) fn claim(&self, byte: usize) -> bool {
        self.call(libc::F_OFD_SETLK, byte).is_some()
    }

    /// Whether another has marked the byte. Who cannot tell says yes.
    pub(crate) fn is_claimed(&self, byte: usize) -> bool {
        self.call(libc::F_OFD_GETLK, byte).is_none_or(|kind| kind != libc::F_UNLCK)
    }

    /// The lock's kind after the call; `None` if there is no telling, or another has it.
    fn call(&self, command: libc::c_int, byte: usize) -> Option<libc::c_int> {
        byte_lock(&self.0, command, libc::off_t::try_from(byte).ok()?).ok().flatten()
    }
}

/// Asks for the open-file-description lock of one byte (`F_OFD_SETLK`), or after it
/// (`F_OFD_GETLK`); the lock's kind after the call, or `None` if another has it.
pub(crate) fn byte_lock(
    file: &impl AsRawFd,
    command: libc::c_int,
    byte: libc::off_t,
) -> io::Result<Option<libc::c_int>> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and these commands read and write one `flock`.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } == 0 {
        return Ok(Some(libc::c_int::from(lock.l_type)));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(None),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shm;
    use super::*;

    #[test]
    fn a_mark_is_seen_by_others_and_goes_with_its_owner() {
        let shm = Shm::create("test", 4096, 0).unwrap();
        let (a, b) = (Presence::open(shm.fd()).unwrap(), Presence::open(shm.fd()).unwrap());
        assert!(a.claim(3));
        assert!(b.is_claimed(3) && !b.is_claimed(2) && !b.claim(3) && b.claim(4));
        drop(a);
        assert!(!b.is_claimed(3) && b.claim(3));
    }
}
