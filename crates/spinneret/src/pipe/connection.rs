//! One end of a pipe.

use std::any::type_name;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::Interest;

use super::error::{RecvError, SendError};
use super::socket::{self, Failure, Kind, Outgoing};
use crate::cooperate;
use crate::process::attachment;
use crate::process::link::{self, descriptor_ready as ready};
use crate::task::{EncodeError, LARGEST};

/// One end of a pipe, which sends values of type `S` and receives values of type `R`.
///
/// All methods can be used by many threads at once. A clone is the same end: what one receives, the
/// other does not. So is a copy that was sent to another process.
///
/// The `_async` methods are for tokio: they need a runtime with its I/O enabled.
pub struct Connection<S, R = S> {
    fd: Arc<OwnedFd>,
    types: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd), types: PhantomData }
    }

    /// Whether a message, or the end, comes within `timeout`; with `None` it waits for ever.
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> bool {
        link::wait_readable(self.fd.as_fd(), timeout.into())
    }

    /// Async twin of [`poll`](Self::poll), for tokio.
    pub async fn poll_async(&self, timeout: impl Into<Option<Duration>>) -> bool {
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let ready = ready(self.fd.as_fd(), Interest::READABLE);
        cooperate::until(deadline, ready).await.is_some() || self.poll(Duration::ZERO)
    }

    fn deliver(&self, mut packet: Outgoing<'_>) -> Result<(), SendError> {
        if cooperate::within() {
            return cooperate::wait(self.deliver_async(Ok(packet)));
        }
        packet.send(self.fd.as_fd(), SendFlags::empty()).map_err(unsent)?;
        packet.wait_until_taken();
        Ok(())
    }

    async fn deliver_async(
        &self,
        packet: Result<Outgoing<'_>, SendError>,
    ) -> Result<(), SendError> {
        let mut packet = packet?;
        loop {
            match packet.send(self.fd.as_fd(), SendFlags::DONTWAIT) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready(self.fd.as_fd(), Interest::WRITABLE).await.map_err(SendError::Io)?;
                }
                Err(error) => return Err(unsent(error)),
            }
        }
        if let Some(taken) = packet.taken() {
            ready(taken.as_fd(), Interest::READABLE).await.map_err(SendError::Io)?;
        }
        Ok(())
    }

    /// Receives a packet when one is there, until `deadline` is over.
    fn receive_by<T>(
        &self,
        deadline: Option<Instant>,
        receive: impl Fn(&Self, RecvFlags) -> Result<T, RecvError>,
    ) -> Result<T, RecvError> {
        if cooperate::within() {
            let received = cooperate::until(deadline, self.receive_async(receive));
            return cooperate::wait(received).unwrap_or(Err(RecvError::Empty));
        }
        let Some(deadline) = deadline else {
            return receive(self, RecvFlags::empty());
        };
        loop {
            // Another thread or process may be quicker, so this must not wait.
            match receive(self, RecvFlags::DONTWAIT) {
                Err(RecvError::Empty) => {}
                result => return result,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.poll(left) {
                return Err(RecvError::Empty);
            }
        }
    }

    async fn receive_async<T>(
        &self,
        receive: impl Fn(&Self, RecvFlags) -> Result<T, RecvError>,
    ) -> Result<T, RecvError> {
        loop {
            match receive(self, RecvFlags::DONTWAIT) {
                Err(RecvError::Empty) => {
                    ready(self.fd.as_fd(), Interest::READABLE).await.map_err(RecvError::Io)?;
                }
                result => return result,
            }
        }
    }

    fn bytes(&self, flags: RecvFlags) -> Result<Vec<u8>, RecvError> {
        socket::receive(self.fd.as_fd(), flags, |kind, message, _| match kind {
            Kind::Bytes => Ok(message.into_owned()),
            Kind::Value => Err(RecvError::NotBytes),
        })
        .map_err(unreceived::<Vec<u8>>)?
    }
}

impl<S: Serialize, R> Connection<S, R> {
    /// Sends a value. Waits while the receiver is behind, as the [module](super) says.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the other end is gone; [`SendError::Encode`] if the value cannot be
    /// serialized, or is too large.
    pub fn send(&self, value: &S) -> Result<(), SendError> {
        self.deliver(packet(value)?)
    }

    /// [`send`](Self::send) for tokio. If the future is dropped before its end, the value may have
    /// been sent, but not in part.
    pub fn send_async<'a>(
        &'a self,
        value: &S,
    ) -> impl Future<Output = Result<(), SendError>> + Send + use<'a, S, R> {
        self.deliver_async(packet(value))
    }

    /// Sends bytes as they are, to be received by `recv_bytes`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), SendError> {
        self.deliver(packet_of_bytes(bytes)?)
    }

    /// [`send_bytes`](Self::send_bytes) for tokio; see [`send_async`](Self::send_async).
    pub fn send_bytes_async<'a>(
        &'a self,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), SendError>> + Send + use<'a, S, R> {
        self.deliver_async(packet_of_bytes(bytes).map(Outgoing::into_owned))
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Receives the next value, however long it takes to come.
    ///
    /// # Errors
    /// [`RecvError::Eof`] when the other end is gone; [`RecvError::Undecodable`] and
    /// [`RecvError::Bytes`] if something else came.
    pub fn recv(&self) -> Result<R, RecvError> {
        self.receive_by(None, Self::value)
    }

    /// Receives the next value if it comes within `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`RecvError::Empty`] when the time is over.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, RecvError> {
        // A timeout too far away to be a time is as good as none.
        self.receive_by(Instant::now().checked_add(timeout), Self::value)
    }

    /// Receives the next value if it is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`RecvError::Empty`] if it is not.
    pub fn try_recv(&self) -> Result<R, RecvError> {
        self.value(RecvFlags::DONTWAIT)
    }

    /// [`recv`](Self::recv) for tokio. Dropping the future loses no message.
    pub async fn recv_async(&self) -> Result<R, RecvError> {
        self.receive_async(Self::value).await
    }

    /// [`recv_timeout`](Self::recv_timeout) for tokio. Dropping the future loses no message.
    pub async fn recv_timeout_async(&self, timeout: Duration) -> Result<R, RecvError> {
        let deadline = Instant::now().checked_add(timeout);
        let received = cooperate::until(deadline, self.recv_async()).await;
        received.unwrap_or_else(|| self.try_recv())
    }

    /// Receives what the other end sent by `send_bytes`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), with [`RecvError::NotBytes`] if a value came.
    pub fn recv_bytes(&self) -> Result<Vec<u8>, RecvError> {
        self.receive_by(None, Self::bytes)
    }

    /// [`recv_bytes`](Self::recv_bytes) with a timeout.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and [`RecvError::Empty`] when the time is over.
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>, RecvError> {
        self.receive_by(Instant::now().checked_add(timeout), Self::bytes)
    }

    /// [`recv_bytes`](Self::recv_bytes) for tokio. Dropping the future loses no message.
    pub async fn recv_bytes_async(&self) -> Result<Vec<u8>, RecvError> {
        self.receive_async(Self::bytes).await
    }

    fn value(&self, flags: RecvFlags) -> Result<R, RecvError> {
        socket::receive(self.fd.as_fd(), flags, |kind, message, fds| match kind {
            Kind::Value => attachment::decode(&message, fds).map_err(|error| {
                RecvError::Undecodable { type_name: type_name::<R>(), cause: error.to_string() }
            }),
            Kind::Bytes => Err(RecvError::Bytes(message.into_owned())),
        })
        .map_err(unreceived::<R>)?
    }
}

fn packet<T: Serialize>(value: &T) -> Result<Outgoing<'static>, SendError> {
    let (bytes, fds) = attachment::encode(value)?;
    Outgoing::new(Kind::Value, bytes.into(), fds).map_err(SendError::Io)
}

fn packet_of_bytes(bytes: &[u8]) -> Result<Outgoing<'_>, SendError> {
    if bytes.len() > LARGEST {
        return Err(EncodeError::TooLarge(bytes.len()).into());
    }
    Outgoing::new(Kind::Bytes, bytes.into(), Vec::new()).map_err(SendError::Io)
}

fn unsent(error: io::Error) -> SendError {
    match Errno::from_io_error(&error) {
        Some(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::CONNREFUSED) => {
            SendError::Closed
        }
        _ => SendError::Io(error),
    }
}

fn unreceived<T>(failure: Failure) -> RecvError {
    match failure {
        Failure::Eof => RecvError::Eof,
        Failure::Empty => RecvError::Empty,
        Failure::Garbled(cause) => RecvError::Undecodable { type_name: type_name::<T>(), cause },
        Failure::System(error) => RecvError::Io(error),
    }
}

impl<S, R> Clone for Connection<S, R> {
    fn clone(&self) -> Self {
        Self { fd: Arc::clone(&self.fd), types: PhantomData }
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.fd).finish()
    }
}

/// For event loops: readable when there is a message or the end. Do not read from it.
impl<S, R> AsFd for Connection<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Into the arguments and messages of other processes; nowhere else.
impl<S, R> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        attachment::attach(&self.fd, serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fd = attachment::detach(deserializer)?;
        if socket::is_end(fd.as_fd()) {
            Ok(Self::new(fd))
        } else {
            Err(D::Error::custom("what came is something else than the end of a pipe"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_descriptor_is_no_end_of_a_pipe() {
        let (bytes, fds) = attachment::encode(&super::super::pipe::<u8>().unwrap().0).unwrap();
        let end = fds[0].try_clone().unwrap();
        attachment::decode::<Connection<u8>>(&bytes, vec![end]).unwrap();
        for other in [
            io::pipe().unwrap().0.into(),
            std::os::unix::net::UnixStream::pair().unwrap().0.into(),
            std::net::TcpListener::bind("127.0.0.1:0").unwrap().into(),
        ] {
            let error = attachment::decode::<Connection<u8>>(&bytes, vec![other]).unwrap_err();
            assert!(error.to_string().contains("end of a pipe"), "{error}");
        }
    }
}
