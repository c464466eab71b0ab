//! A worker process, seen from the pool.

#[cfg(shared_memory)]
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[cfg(shared_memory)]
use super::attachment::Arrived;
use super::entry::Role;
#[cfg(shared_memory)]
use super::frame::FrameError;
use super::frame::{FrameBuffer, Outbox};
use super::link::{Link, Watch};
use super::message::Hello;
use super::spawn::spawn;
use super::{StartError, memory, sys};

#[cfg(not(shared_memory))]
mod dialogue;

#[cfg(not(shared_memory))]
pub(crate) use self::dialogue::{Job, Lost, Reply, put_job};

/// How long a worker that lost its stream, or was told to go, may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// How often a process that cannot be watched is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A process of this program that runs tasks, one at a time. Dropping it kills and reaps it.
pub(crate) struct WorkerProcess {
    handle: WorkerHandle,
    watch: Watch,
    link: Link,
    frames: FrameBuffer,
}

/// What other threads may do with a worker process: kill it, and see whether it lives.
///
/// The child is reaped under this lock only, so a pid that is signalled under it is still ours.
#[derive(Clone)]
pub(crate) struct WorkerHandle {
    child: Arc<Mutex<Child>>,
    pid: u32,
}

/// How a worker process ended.
///
/// Nothing is known of one that somebody else reaped: a program that waits for any child, or
/// ignores SIGCHLD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The status with which it ended.
    pub(crate) code: Option<i32>,
    /// See [`TaskError::WorkerDied`](crate::TaskError::WorkerDied).
    pub(crate) out_of_memory: bool,
}

impl WorkerHandle {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the process, if it still lives.
    pub(crate) fn kill(&self) {
        // It fails only for a child that is gone, which is what we want.
        let _ = self.child.lock().kill();
    }

    /// Whether the process still runs; reaps it if not.
    pub(crate) fn is_alive(&self) -> bool {
        self.exit().is_none()
    }

    /// How the process ended, if it has; reaps it.
    fn exit(&self) -> Option<Exit> {
        match self.child.lock().try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(Exit {
                signal: sys::signal_of(status),
                code: status.code(),
                out_of_memory: false,
            }),
            Err(_) => Some(Exit::default()),
        }
    }
}

impl WorkerProcess {
    /// Starts the process; it is of use after [`WorkerProcess::greet`].
    pub(crate) fn start() -> Result<Self, StartError> {
        memory::begin();
        let (child, link) = spawn(Role::Worker)?;
        let pid = child.id();
        let watch = Watch::on(pid);
        let handle = WorkerHandle { child: Arc::new(Mutex::new(child)), pid };
        Ok(Self { handle, watch, link, frames: FrameBuffer::new() })
    }

    pub(crate) fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// Greets; the worker's answer is for [`WorkerProcess::greeted`].
    pub(crate) fn hello(&self) -> Result<(), StartError> {
        let mut out = Outbox::default();
        out.put(&Hello::ours(), Vec::new()).map_err(|cause| StartError::Handshake { cause })?;
        // If it cannot be sent the process is dead, which whoever waits for the answer notices.
        self.link.send(&out);
        Ok(())
    }

    /// Checks from its greeting that the worker is the same program.
    pub(crate) fn greeted(&mut self, greeting: &[u8]) -> Result<(), StartError> {
        let theirs: Hello = rmp_serde::from_slice(greeting)
            .map_err(|error| StartError::Handshake { cause: error.to_string() })?;
        Hello::ours().check(&theirs)?;
        self.frames.greeted();
        Ok(())
    }

    /// Sends messages; `false` if the worker does not take them.
    pub(crate) fn send(&self, messages: &Outbox) -> bool {
        self.link.send(messages)
    }

    /// Takes in what has arrived, without waiting; `false` if the worker says no more.
    #[cfg(shared_memory)]
    pub(crate) fn receive(&mut self) -> bool {
        loop {
            let before = self.frames.len();
            match self.link.receive(&mut self.frames) {
                Ok(true) if self.frames.len() == before => return true,
                Ok(true) => {}
                Ok(false) | Err(_) => return false,
            }
        }
    }

    /// The next message that has arrived, with its descriptors.
    #[cfg(shared_memory)]
    pub(crate) fn next_frame(&mut self) -> Result<Option<Arrived>, FrameError> {
        Ok(self.frames.next()?.map(|(frame, fds)| (frame.to_vec(), fds)))
    }

    /// Readable when there is something to [`receive`](Self::receive).
    #[cfg(shared_memory)]
    pub(crate) fn link_fd(&self) -> Arc<OwnedFd> {
        self.link.fd()
    }

    /// Readable when the process is dead, where the system can tell.
    #[cfg(shared_memory)]
    pub(crate) fn death_fd(&self) -> Option<Arc<OwnedFd>> {
        self.watch.fd()
    }

    /// Kills the process, if it still lives.
    pub(crate) fn kill(&self) {
        self.handle.kill();
    }

    /// Waits for a process that ends, and kills one that does not; says how it ended.
    pub(crate) fn wait(&self) -> Exit {
        let exit = self.reap(GRACE).or_else(|| {
            self.kill();
            // SIGKILL cannot be refused; a process stuck inside the kernel ends when that lets go.
            self.reap(Duration::MAX)
        });
        let mut exit = exit.unwrap_or_default();
        exit.out_of_memory = sys::killed_by_force(exit.signal) && memory::explains_a_kill();
        exit
    }

    fn reap(&self, patience: Duration) -> Option<Exit> {
        let start = Instant::now();
        loop {
            if let Some(exit) = self.handle.exit() {
                return Some(exit);
            }
            if start.elapsed() >= patience {
                return None;
            }
            if self.watch.works() {
                self.watch.wait(Some(patience.saturating_sub(start.elapsed()).min(GRACE)));
            } else {
                std::thread::sleep(LOOK);
            }
        }
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.kill();
        self.reap(Duration::MAX);
    }
}
