//! Where a connection shows what it is to be: TLS, or plain text.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::CLIENT_HELLO;
use crate::manager::python::Socket as _;

/// A new connection, over which the challenge goes out in plain text. Looks at the first byte that
/// comes back without taking it; if the handshake cannot go on because of it, reading and writing
/// fail, and [`verdict`](Self::verdict) says why.
pub(crate) struct Door<'a> {
    stream: &'a mut TcpStream,
    plaintext_allowed: bool,
    verdict: Option<Verdict>,
}

/// What a first byte meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The peer goes on in plain text, and may.
    Plain,
    /// The peer begins a TLS handshake.
    Tls,
    /// The peer goes on in plain text, and may not.
    Forbidden,
}

impl<'a> Door<'a> {
    pub fn new(stream: &'a mut TcpStream, plaintext_allowed: bool) -> Self {
        Self { stream, plaintext_allowed, verdict: None }
    }

    /// `None` before the first byte.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    fn check(&self) -> io::Result<()> {
        match self.verdict {
            None | Some(Verdict::Plain) => Ok(()),
            Some(Verdict::Tls | Verdict::Forbidden) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl AsyncRead for Door<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Python says welcome and makes its request in two messages, the second of which is held back
        // by its system until the first is acknowledged.
        self.stream.hasten();
        if self.verdict.is_none() {
            let mut first = [0];
            let count = ready!(self.stream.poll_peek(context, &mut ReadBuf::new(&mut first)))?;
            self.verdict = Some(match first[0] {
                _ if count == 0 => Verdict::Plain,
                CLIENT_HELLO => Verdict::Tls,
                _ if self.plaintext_allowed => Verdict::Plain,
                _ => Verdict::Forbidden,
            });
        }
        self.check()?;
        Pin::new(&mut *self.stream).poll_read(context, bytes)
    }
}

impl AsyncWrite for Door<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}
