//! A door is a loopback address and a secret. To knock is to connect and to say the secret.
//!
//! What only has a name does not show whether somebody still has it. So a queue that was sent to other
//! processes stays until the process that made it ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::Fault;
use crate::process::attachment;
use crate::process::link::Link;
use crate::process::spawn::{Secret, connect, knows, secret};

#[derive(Debug)]
pub(in super::super) struct Door {
    address: SocketAddr,
    secret: Secret,
    /// In the process that made it.
    hinges: Option<Arc<Hinges>>,
}

/// What the two sides of a door have in common.
#[derive(Debug, Default)]
struct Hinges {
    /// It was sent to other processes.
    sent: AtomicBool,
    /// The outside is gone.
    gone: AtomicBool,
}

#[derive(Debug)]
pub(in super::super) struct Inside {
    listener: TcpListener,
    secret: Secret,
    hinges: Arc<Hinges>,
}

/// A new door, from both sides.
pub(in super::super) fn open() -> io::Result<(Door, Inside)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (address, secret) = (listener.local_addr()?, secret()?);
    let hinges = Arc::<Hinges>::default();
    let door = Door { address, secret, hinges: Some(Arc::clone(&hinges)) };
    Ok((door, Inside { listener, secret, hinges }))
}

impl Door {
    /// A connection of our own.
    pub(in super::super) fn knock(&self) -> Result<Link, Fault> {
        connect(self.address, &self.secret).map_err(|_| Fault::Gone)
    }

    pub(in super::super) fn depart<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let name = (self.address.port(), self.secret);
        attachment::mark(to, |to| {
            if let Some(hinges) = &self.hinges {
                hinges.sent.store(true, Ordering::Release);
            }
            name.serialize(to)
        })
    }

    /// The door that came from another process.
    pub(in super::super) fn arrive<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (port, secret) = <(u16, Secret)>::deserialize(from)?;
        Ok(Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), secret, hinges: None })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(hinges) = &self.hinges
            && !hinges.sent.load(Ordering::Acquire)
        {
            hinges.gone.store(true, Ordering::Release);
            // Wakes the inside. If even that fails, it stays until this process ends.
            let _ = connect(self.address, &self.secret);
        }
    }
}

impl Inside {
    /// Waits for the next who knocks; `None` when nobody has the door any more.
    pub(in super::super) fn next(&mut self) -> Option<Link> {
        loop {
            let (stream, _) = self.listener.accept().ok()?;
            if self.hinges.gone.load(Ordering::Acquire) {
                return None;
            }
            if knows(&stream, &self.secret)
                && let Ok(link) = Link::over(stream)
            {
                return Some(link);
            }
        }
    }
}
