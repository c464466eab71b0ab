//! The stream between a pool and one of its workers, and the watch that each keeps on the other.
//!
//! A stream ends when its last holder does, which is not always the process at its end: a process
//! that it forked may hold a copy. So where the system can watch a process (Linux, by a pidfd)
//! both sides watch both.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::Pid;

use super::frame::FrameBuffer;

/// How much is read at once.
const READ: usize = 64 * 1024;

/// One end of the stream.
pub(crate) struct Link(UnixStream);

impl Link {
    /// Both ends; the second is for the child. Both are close-on-exec from the start, so no other
    /// child that is started meanwhile can inherit them.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// The end that this process inherited.
    pub(crate) fn inherited(end: OwnedFd) -> Self {
        Self(end.into())
    }

    /// Bounds how long [`Link::send`] waits for a peer that does not read.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    /// Ends the stream for both sides.
    pub(crate) fn hang_up(&self) {
        // It fails only if the peer ended it first.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Writes everything; `false` if the peer is gone, or took nothing for the send timeout.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match send(&self.0, bytes, no_signal()) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Moves what has arrived into `frames` without waiting; `false` at the end of the stream.
    pub(crate) fn receive(&self, frames: &mut FrameBuffer) -> io::Result<bool> {
        loop {
            let spare = spare_capacity(frames.room(READ));
            match recv(&self.0, spare, RecvFlags::DONTWAIT) {
                // A peer that died with bytes of ours unread gives an error.
                Ok((_, 0)) | Err(Errno::CONNRESET | Errno::PIPE) => return Ok(false),
                Ok(_) | Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A dead peer is reported by the write, not by SIGPIPE: the program may have that at its default.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn no_signal() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// Elsewhere Rust programs ignore SIGPIPE unless they ask for it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn no_signal() -> SendFlags {
    SendFlags::empty()
}

/// Tells when a process has died, even one that is not ours to wait for.
pub(crate) struct Watch(Option<OwnedFd>);

impl Watch {
    /// Watches a process. Where that is impossible (no pidfd, or a sandbox forbids it) the watch
    /// never says anything and the end of the stream is all there is.
    pub(crate) fn on(pid: Pid) -> Self {
        Self(open(pid))
    }

    /// Whether the watch can tell anything.
    pub(crate) fn works(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the process to die; `false` if it has not when the time is over or, at once, if
    /// the watch cannot tell.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let Some(fd) = &self.0 else { return false };
        wait(&mut [PollFd::new(fd, PollFlags::IN)], Some(timeout))
    }
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn open(_pid: Pid) -> Option<OwnedFd> {
    None
}

/// What [`ready`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The stream has bytes, or has ended.
    Stream,
    /// The peer is dead and the stream has nothing left.
    Dead,
    /// Neither, in the time given.
    Neither,
}

/// Waits until the stream has something or the peer has died.
pub(crate) fn ready(link: &Link, watch: &Watch, timeout: Option<Duration>) -> Ready {
    let mut fds = vec![PollFd::new(&link.0, PollFlags::IN)];
    if let Some(fd) = &watch.0 {
        fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
    }
    if !wait(&mut fds, timeout) {
        Ready::Neither
    } else if fds[0].revents().is_empty() {
        Ready::Dead
    } else {
        Ready::Stream
    }
}

/// Polls, taking up again after signals; `false` when the time is over.
fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> bool {
    // A timeout too far away to be a time is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, left.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            // Out of kernel memory, which passes; anything else is impossible for open descriptors.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
