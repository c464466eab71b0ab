//! What serving Python asks of a stream besides bytes.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A connection's stream. What a system cannot do is left out: everything here only helps.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Has what arrived and what arrives next acknowledged at once. Python writes a long message in
    /// two parts, and its system holds the second one back until the first is acknowledged: by
    /// itself after 40 milliseconds.
    fn hasten(&self) {}

    /// Has the system notice, within minutes, that the other machine is gone.
    fn keep_alive(&self) {}

    /// Whether nobody between can read it.
    fn is_encrypted(&self) -> bool {
        false
    }

    /// Whether the other end is known to be closed at this moment, and nothing of it is unread.
    fn has_ended(&self) -> bool {
        false
    }

    /// Whether the other end is known to be closed at this moment, unread as something may be.
    fn has_hung_up(&self) -> bool {
        self.has_ended()
    }
}

impl Socket for TcpStream {
    #[cfg(target_os = "linux")]
    fn hasten(&self) {
        // An acknowledgement that comes later harms nobody.
        let _ = rustix::net::sockopt::set_tcp_quickack(self, true);
    }

    #[cfg(target_os = "linux")]
    fn keep_alive(&self) {
        use std::time::Duration;

        use rustix::net::sockopt::{
            set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
        };

        let set = set_tcp_keepidle(self, Duration::from_mins(1))
            .and_then(|()| set_tcp_keepintvl(self, Duration::from_secs(15)))
            .and_then(|()| set_tcp_keepcnt(self, 4))
            .and_then(|()| set_socket_keepalive(self, true));
        if let Err(error) = set {
            tracing::debug!(%error, "cannot keep a connection alive");
        }
    }

    #[cfg(unix)]
    fn has_ended(&self) -> bool {
        use rustix::{
            io::Errno,
            net::{RecvFlags, recv},
        };

        match recv(self, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((length, _)) => length == 0,
            Err(error) => error != Errno::AGAIN && error != Errno::INTR,
        }
    }

    #[cfg(target_os = "linux")]
    fn has_hung_up(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let mut look = [PollFd::new(self, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut look, Some(&now)).is_ok_and(|_| !look[0].revents().is_empty())
    }
}

/// Python itself has no TLS, but a client of ours speaks its protocol inside.
macro_rules! tls {
    ($stream:ty) => {
        impl Socket for $stream {
            fn hasten(&self) {
                self.get_ref().0.hasten();
            }

            fn keep_alive(&self) {
                self.get_ref().0.keep_alive();
            }

            fn is_encrypted(&self) -> bool {
                true
            }

            fn has_ended(&self) -> bool {
                self.get_ref().0.has_ended()
            }

            fn has_hung_up(&self) -> bool {
                self.get_ref().0.has_hung_up()
            }
        }
    };
}

tls!(tokio_rustls::server::TlsStream<TcpStream>);
tls!(tokio_rustls::client::TlsStream<TcpStream>);

#[cfg(any(test, fuzzing))]
impl Socket for tokio::io::DuplexStream {}
