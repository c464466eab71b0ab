//! The other end: a process that has the queue of another.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Fault;
use super::door::Door;
use super::wire::{Reply, Request, Until};
use crate::process::{FrameBuffer, Link, Outbox};

/// The broker is not asked to wait longer than this at a stretch: so a thread of it learns soon that
/// nobody waits any more.
const STRETCH: Duration = Duration::from_secs(1);

/// How many connections are kept for the next request.
const KEPT: usize = 4;

#[derive(Debug)]
pub(super) struct Client {
    door: Door,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    /// The process that made them: a fork has copies, which are not its own to use.
    process: u32,
    /// Those that no request is under way on.
    idle: Vec<Connection>,
    /// This process's number for leases, and the connection that stands for it.
    presence: Option<(u32, Connection)>,
}

struct Connection {
    link: Link,
    frames: FrameBuffer,
    out: Outbox,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    fn new(door: &Door) -> Result<Self, Fault> {
        let mut frames = FrameBuffer::new();
        frames.greeted();
        Ok(Self { link: door.knock()?, frames, out: Outbox::default() })
    }

    fn ask<R>(
        &mut self,
        request: &Request<'_>,
        read: impl FnOnce(Reply<'_>) -> Option<R>,
    ) -> Result<R, Fault> {
        self.out.clear();
        self.out.put(request, Vec::new()).map_err(Fault::Strange)?;
        if !self.link.send(&self.out) {
            return Err(Fault::Gone);
        }
        loop {
            if let Some((frame, _)) =
                self.frames.next().map_err(|error| Fault::Strange(error.to_string()))?
            {
                let reply = rmp_serde::from_slice(frame)
                    .map_err(|error| Fault::Strange(error.to_string()))?;
                return read(reply).ok_or_else(|| Fault::Strange("another reply".to_owned()));
            }
            if !self.link.receive_waiting(&mut self.frames)? {
                return Err(Fault::Gone);
            }
        }
    }
}

impl Client {
    pub(super) fn new(door: Door) -> Self {
        Self { door, connections: Mutex::default() }
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// The connections of this process.
    fn own(connections: &mut Connections) {
        let process = std::process::id();
        if connections.process != process {
            *connections = Connections { process, ..Connections::default() };
        }
    }

    pub(super) fn ask<R>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(Reply<'_>) -> Option<R>,
    ) -> Result<R, Fault> {
        let idle = {
            let mut connections = self.connections.lock();
            Self::own(&mut connections);
            connections.idle.pop()
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::new(&self.door)?,
        };
        // One that failed is dropped.
        let answer = connection.ask(request, read)?;
        let mut connections = self.connections.lock();
        if connections.idle.len() < KEPT && connections.process == std::process::id() {
            connections.idle.push(connection);
        }
        Ok(answer)
    }

    /// This process's number for leases.
    pub(super) fn owner(&self) -> Result<u32, Fault> {
        let mut connections = self.connections.lock();
        Self::own(&mut connections);
        if let Some((owner, _)) = connections.presence {
            return Ok(owner);
        }
        let mut connection = Connection::new(&self.door)?;
        let owner = connection.ask(&Request::Enter, |reply| match reply {
            Reply::Owner(owner) => Some(owner),
            _ => None,
        })?;
        connections.presence = Some((owner, connection));
        Ok(owner)
    }

    /// This process's number, if it has one.
    pub(super) fn known_owner(&self) -> Option<u32> {
        let connections = self.connections.lock();
        let (owner, _) = connections.presence.as_ref()?;
        (connections.process == std::process::id()).then_some(*owner)
    }

    /// Waits; `false` at the deadline.
    pub(super) fn wait(&self, until: Until, deadline: Option<Instant>) -> Result<bool, Fault> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let stretch = left.unwrap_or(STRETCH).min(STRETCH);
            // Rounded up, or the last millisecond would be spent asking.
            let milliseconds = stretch.as_micros().div_ceil(1000) as u64;
            if self.ask(&Request::Wait { until, milliseconds }, is)? {
                return Ok(true);
            }
            if left.is_some_and(|left| left <= stretch) {
                return Ok(false);
            }
        }
    }
}

/// What a reply says that only says whether.
#[allow(clippy::needless_pass_by_value, reason = "so are replies given to those who read them")]
pub(super) fn is(reply: Reply<'_>) -> Option<bool> {
    match reply {
        Reply::Is(is) => Some(is),
        _ => None,
    }
}
