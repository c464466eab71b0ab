//! Links over loopback connections, and watches over handles of processes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::windows::io::{
    AsHandle, AsRawHandle, AsRawSocket, BorrowedHandle, FromRawHandle, OwnedHandle,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{FALSE, WAIT_OBJECT_0};
use windows_sys::Win32::Networking::WinSock::{POLLRDNORM, SOCKET, WSAPOLLFD, WSAPoll};
use windows_sys::Win32::System::Threading::{
    OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

use super::Ready;
use crate::process::frame::{FrameBuffer, Outbox};

/// How much is read at once.
const READ: usize = 64 * 1024;

/// The longest that the system is asked to wait at a stretch; it has no way to say "for ever" that
/// both kinds of waits share.
const STRETCH: Duration = Duration::from_hours(1);

/// One end of the stream. It ends with its process: sockets are not handed down to children.
#[derive(Clone)]
pub(crate) struct Link(Arc<TcpStream>);

impl Link {
    /// A link over a connection to a process that has proved who it is.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(None)?;
        stream.set_nodelay(true)?;
        Ok(Self(Arc::new(stream)))
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
    pub(crate) fn send(&self, out: &Outbox) -> bool {
        (&*self.0).write_all(&out.bytes).is_ok()
    }

    /// Moves what has arrived into `frames` without waiting; `false` at the end of the stream.
    pub(crate) fn receive(&self, frames: &mut FrameBuffer) -> io::Result<bool> {
        if self.is_readable(Duration::ZERO) { self.receive_waiting(frames) } else { Ok(true) }
    }

    /// Moves what arrives into `frames`, waiting for it; `false` at the end of the stream.
    pub(crate) fn receive_waiting(&self, frames: &mut FrameBuffer) -> io::Result<bool> {
        let (room, _) = frames.room(READ);
        loop {
            match (&*self.0).read(room) {
                Ok(count) => {
                    frames.arrived(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A peer that died with bytes of ours unread gives an error.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
                    ) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether there are bytes, or the end, within `timeout`.
    fn is_readable(&self, timeout: Duration) -> bool {
        let mut poll =
            WSAPOLLFD { fd: self.0.as_raw_socket() as SOCKET, events: POLLRDNORM, revents: 0 };
        let milliseconds = i32::try_from(milliseconds(timeout)).unwrap_or(i32::MAX);
        // SAFETY: the socket is open as long as we are, and there is one entry.
        match unsafe { WSAPoll(&raw mut poll, 1, milliseconds) } {
            0 => false,
            // An error of the socket is for the one who reads.
            _ => true,
        }
    }
}

/// Rounded up, so that no last millisecond is spent asking.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.min(STRETCH).as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// Tells when a process has died: its handle, which is signalled then.
pub(crate) struct Watch(Option<Arc<OwnedHandle>>);

impl Watch {
    /// Async twin of [`wait`](Self::wait), which cannot tell: one has to look.
    #[allow(clippy::unused_async, reason = "it waits on other systems")]
    pub(crate) async fn wait_async(&self) -> bool {
        false
    }

    /// Watches a process; without the right to do so the watch never says anything.
    pub(crate) fn on(pid: u32) -> Self {
        // SAFETY: the call takes numbers only.
        let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, FALSE, pid) };
        if handle.is_null() {
            return Self(None);
        }
        // SAFETY: it was just opened, and is nobody else's.
        Self(Some(Arc::new(unsafe { OwnedHandle::from_raw_handle(handle) })))
    }

    /// Whether the watch can tell anything.
    pub(crate) fn works(&self) -> bool {
        self.0.is_some()
    }

    /// What is signalled when the process has died.
    pub(crate) fn handle(&self) -> Option<Arc<OwnedHandle>> {
        self.0.clone()
    }

    /// Waits for the process to die, no longer than `timeout` if there is one; `false` if it has
    /// not when the time is over or, at once, if the watch cannot tell.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        self.0.as_ref().is_some_and(|handle| wait_handle(handle.as_handle(), timeout))
    }
}

/// Waits until a handle is signalled, no longer than `timeout` if there is one; whether it is.
pub(crate) fn wait_handle(handle: BorrowedHandle<'_>, timeout: Option<Duration>) -> bool {
    // A timeout too far away to be a time is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let milliseconds = milliseconds(left.unwrap_or(STRETCH));
        // SAFETY: the handle is open while it is borrowed.
        if unsafe { WaitForSingleObject(handle.as_raw_handle(), milliseconds) } == WAIT_OBJECT_0 {
            return true;
        }
        if left.is_some_and(|left| left <= STRETCH) {
            return false;
        }
    }
}

/// Waits until the stream has something or the peer has died. It is the stream's end that tells of the
/// death here, since nobody can have inherited its other end.
pub(crate) fn ready(link: &Link, watch: &Watch, timeout: Option<Duration>) -> Ready {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if link.is_readable(left.unwrap_or(STRETCH)) {
            return Ready::Stream;
        }
        if left.is_some_and(|left| left <= STRETCH) {
            let dead = watch.wait(Some(Duration::ZERO));
            return if dead { Ready::Dead } else { Ready::Neither };
        }
    }
}
