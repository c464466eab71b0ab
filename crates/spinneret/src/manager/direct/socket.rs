//! The socket of a connection that its callers use themselves.

use std::{
    io::{self, IoSlice, Read as _},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use tokio::io::{AsyncWrite, Interest, unix::AsyncFd};

#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::DONTWAIT;

/// A blocking socket, of which some uses do not wait.
#[derive(Clone, Debug)]
pub(super) struct Socket(Arc<TcpStream>);

impl Socket {
    /// Takes over a socket.
    pub fn new(stream: tokio::net::TcpStream) -> io::Result<Self> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(Self(Arc::new(stream)))
    }

    /// Waits for bytes.
    pub fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(bytes)
    }

    /// Ends both directions, which wakes whoever reads.
    pub fn cut(&self) {
        // Fails if the other end was faster.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Makes the runtime watch it. Not twice at a time.
    pub fn register(&self, interest: Interest) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is the socket's for as long as the clone lives, and so for as long
        // as it is registered; nobody takes it out of the shared stream or closes it.
        unsafe { AsyncFd::register_with_interest(self.clone(), interest) }.map_err(Into::into)
    }

    /// Writes what it takes at once.
    pub fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [piece] = pieces {
            return Ok(send(&self.0, piece, SEND)?);
        }
        Ok(sendmsg(&self.0, pieces, &mut SendAncillaryBuffer::default(), SEND)?)
    }

    /// Reads what is there.
    pub fn receive_now(&self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(recv(&self.0, bytes, RecvFlags::DONTWAIT)?.1)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The background task's writing.
pub(super) struct Writer<'a>(pub &'a AsyncFd<Socket>);

impl AsyncWrite for Writer<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            if let Ok(written) = ready.try_io(|socket| socket.get_ref().send(pieces)) {
                return Poll::Ready(written);
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().0.shutdown(Shutdown::Write))
    }
}
