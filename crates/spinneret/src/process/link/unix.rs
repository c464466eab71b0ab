//! Links over pairs of Unix sockets.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
#[cfg(not(shared_memory))]
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags};
#[cfg(not(shared_memory))]
use rustix::net::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::Ready;
use super::watch::open;
use crate::cooperate;
use crate::process::attachment::{self, ReceiveError};
use crate::process::frame::{FrameBuffer, Outbox};

/// How much is read at once.
const READ: usize = 64 * 1024;

/// One end of the stream.
#[derive(Clone)]
pub(crate) struct Link(Arc<OwnedFd>);

impl Link {
    /// Both ends; the second is for the child. Both are close-on-exec from the start, so no other
    /// child that is started meanwhile can inherit them.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(Arc::new(ours.into())), theirs.into()))
    }

    /// The end that this process inherited.
    pub(crate) fn inherited(end: OwnedFd) -> Self {
        Self(Arc::new(end))
    }

    /// The descriptor, which becomes readable at the latest when the stream ends.
    pub(crate) fn fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.0)
    }

    /// Bounds how long [`Link::send`] waits for a peer that does not read.
    #[cfg(not(shared_memory))]
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Ok(set_socket_timeout(&self.0, Timeout::Send, timeout)?)
    }

    /// Ends the stream for both sides.
    #[cfg(not(shared_memory))]
    pub(crate) fn hang_up(&self) {
        // It fails only if the peer ended it first.
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    /// Writes everything; `false` if the peer is gone, or took nothing for the send timeout.
    pub(crate) fn send(&self, out: &Outbox) -> bool {
        // Each message with descriptors begins a write of its own.
        let mut sent = 0;
        let mut fds = &[][..];
        for (start, next) in &out.attached {
            if attachment::send(&self.0, &out.bytes[sent..*start], fds).is_err() {
                return false;
            }
            (sent, fds) = (*start, next);
        }
        attachment::send(&self.0, &out.bytes[sent..], fds).is_ok()
    }

    /// Moves what has arrived into `frames` without waiting; `false` at the end of the stream.
    pub(crate) fn receive(&self, frames: &mut FrameBuffer) -> io::Result<bool> {
        self.receive_with(frames, RecvFlags::DONTWAIT)
    }

    /// Moves what arrives into `frames`, waiting for it; `false` at the end of the stream.
    pub(crate) fn receive_waiting(&self, frames: &mut FrameBuffer) -> io::Result<bool> {
        self.receive_with(frames, RecvFlags::empty())
    }

    fn receive_with(&self, frames: &mut FrameBuffer, flags: RecvFlags) -> io::Result<bool> {
        let (room, fds) = frames.room(READ);
        let buffer = &mut [IoSliceMut::new(room)];
        match attachment::receive(&self.0, buffer, fds, flags) {
            Ok(received) => {
                frames.arrived(received.bytes);
                Ok(received.bytes > 0)
            }
            Err(ReceiveError::System(Errno::AGAIN)) => Ok(true),
            // A peer that died with bytes of ours unread gives an error.
            Err(ReceiveError::System(Errno::CONNRESET | Errno::PIPE)) => Ok(false),
            Err(ReceiveError::System(error)) => Err(error.into()),
            Err(error @ ReceiveError::Truncated) => Err(io::Error::other(error)),
        }
    }
}

/// A dead peer is reported by the write, not by SIGPIPE: the program may have that at its default.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn no_signal() -> SendFlags {
    SendFlags::NOSIGNAL
}

/// Elsewhere Rust programs ignore SIGPIPE unless they ask for it.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn no_signal() -> SendFlags {
    SendFlags::empty()
}

/// Tells when a process has died, even one that is not ours to wait for.
pub(crate) struct Watch(Option<Arc<OwnedFd>>);

impl Watch {
    /// Watches a process. Where that is impossible (no pidfd, or a sandbox forbids it) the watch
    /// never says anything and the end of the stream is all there is.
    pub(crate) fn on(pid: u32) -> Self {
        Self(open(pid).map(Arc::new))
    }

    /// Whether the watch can tell anything.
    pub(crate) fn works(&self) -> bool {
        self.0.is_some()
    }

    /// What becomes readable when the process has died.
    pub(crate) fn fd(&self) -> Option<Arc<OwnedFd>> {
        self.0.clone()
    }

    /// Waits for the process to die, no longer than `timeout` if there is one; `false` if it has
    /// not when the time is over or, at once, if the watch cannot tell.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        self.0.as_ref().is_some_and(|fd| wait_readable(fd.as_fd(), timeout))
    }
}

impl Watch {
    /// Async twin of [`wait`](Self::wait).
    pub(crate) async fn wait_async(&self) -> bool {
        match &self.0 {
            Some(fd) => descriptor_ready(fd.as_fd(), Interest::READABLE).await.is_ok(),
            None => false,
        }
    }
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

/// Waits until a descriptor is readable, no longer than `timeout` if there is one; whether it is.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> bool {
    wait(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], timeout)
}

/// Waits until one of some descriptors is readable, or cannot be watched.
async fn any_ready(fds: &[PollFd<'_>]) {
    if fds.is_empty() {
        return std::future::pending().await;
    }
    let ready = fds.iter().map(|fd| {
        Box::pin(async move {
            if descriptor_ready(fd.as_fd(), Interest::READABLE).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    });
    futures_util::future::select_all(ready).await;
}

/// Waits until a descriptor is ready, in tokio's way.
///
/// It watches a copy, for the time being: two tasks may wait for one descriptor, and the original
/// stays as it is for those who block on it.
pub(crate) async fn descriptor_ready(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<()> {
    Handle::try_current().map_err(io::Error::other)?;
    let copy = fd.try_clone_to_owned()?;
    // SAFETY: an `OwnedFd` is one open descriptor, the same until it is dropped, which is with
    // the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(copy, interest) }?;
    watched.ready(interest).await.map(drop)
}

/// Polls for what is readable, taking up again after signals; `false` when the time is over.
pub(crate) fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> bool {
    // A timeout too far away to be a time is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    if cooperate::within() {
        // Polls at once, and again when a descriptor has become ready; another may be faster.
        while !matches!(poll(fds, Some(&Timespec::default())), Ok(1..)) {
            if cooperate::wait(cooperate::until(deadline, any_ready(fds))).is_none() {
                return matches!(poll(fds, Some(&Timespec::default())), Ok(1..));
            }
        }
        return true;
    }
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
