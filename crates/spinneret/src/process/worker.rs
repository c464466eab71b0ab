//! A worker process, seen from the pool.

use std::env;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::Pid;
use serde_bytes::ByteBuf;

use super::frame::{self, FrameBuffer};
use super::link::{Link, Ready, Watch, ready};
use super::message::{Hello, Job, Reply};
use super::{StartError, entry, memory};
use crate::task::{Outcome, TaskError};

/// How long a new worker may take to greet: a busy machine is no fault.
const GREETING: Duration = Duration::from_mins(1);

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
    /// See [`TaskError::WorkerDied`].
    pub(crate) out_of_memory: bool,
}

/// Why no reply came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The process ended, or its stream did.
    Died,
    /// The time is over.
    TimedOut,
    /// What came is no reply; the worker can no longer be trusted.
    Broken(String),
}

/// Appends the message that asks a worker to run a task.
pub(crate) fn put_job(out: &mut Vec<u8>, task: &str, signature: u64, args: &[u8]) -> Outcome<()> {
    frame::put(out, &Job { task, signature, args }).map_err(|cause| TaskError::Undecodable {
        what: format!("the message that calls `{task}`"),
        cause,
    })
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
            Ok(Some(status)) => {
                Some(Exit { signal: status.signal(), code: status.code(), out_of_memory: false })
            }
            Err(_) => Some(Exit::default()),
        }
    }
}

impl WorkerProcess {
    /// Starts the process; it is of use after [`WorkerProcess::greet`].
    pub(crate) fn start() -> Result<Self, StartError> {
        let (variable, marker) = entry::marker()?;
        memory::begin();
        let (link, end) = Link::pair().map_err(StartError::Spawn)?;
        let mut command = Command::new(image()?);
        if let Some(name) = env::args_os().next() {
            command.arg0(name);
        }
        let child = command.env(variable, marker).stdin(end).spawn().map_err(StartError::Spawn)?;
        let pid = child.id();
        let watch = Watch::on(Pid::from_child(&child));
        let handle = WorkerHandle { child: Arc::new(Mutex::new(child)), pid };
        Ok(Self { handle, watch, link, frames: FrameBuffer::new() })
    }

    pub(crate) fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// Bounds how long [`WorkerProcess::send`] waits for a worker that does not read.
    pub(crate) fn set_send_timeout(&self, timeout: Option<Duration>) -> Result<(), StartError> {
        self.link.set_send_timeout(timeout).map_err(StartError::Spawn)
    }

    /// Exchanges greetings, and checks that both sides are the same program.
    pub(crate) fn greet(&mut self) -> Result<(), StartError> {
        let ours = Hello::ours();
        let mut out = Vec::new();
        frame::put(&mut out, &ours).map_err(|cause| StartError::Handshake { cause })?;
        // If it cannot be sent the process is dead, which the next line reports.
        self.link.send(&out);
        let theirs: Hello = match self.frame(Some(GREETING), |frame| rmp_serde::from_slice(frame)) {
            Ok(Ok(hello)) => hello,
            Ok(Err(error)) => {
                return Err(StartError::Handshake { cause: error.to_string() });
            }
            Err(Lost::Broken(cause)) => return Err(StartError::Handshake { cause }),
            Err(Lost::TimedOut) => return Err(StartError::Silent { after: GREETING }),
            Err(Lost::Died) => {
                let Exit { signal, code: exit_code, .. } = self.wait();
                return Err(StartError::Died { signal, exit_code });
            }
        };
        ours.check(&theirs)?;
        self.frames.greeted();
        Ok(())
    }

    /// Sends messages made by [`put_job`]; `false` if the worker does not take them.
    pub(crate) fn send(&self, messages: &[u8]) -> bool {
        self.link.send(messages)
    }

    /// Waits, no longer than `timeout`, for the next job to begin.
    pub(crate) fn begun(&mut self, timeout: Option<Duration>) -> Result<(), Lost> {
        match self.reply(timeout)? {
            Reply::Begun => Ok(()),
            Reply::Ended(_) => Err(Lost::Broken("a task ended that never began".to_owned())),
        }
    }

    /// Waits, no longer than `timeout`, for the job that has begun to end.
    pub(crate) fn ended(&mut self, timeout: Option<Duration>) -> Result<Outcome<Vec<u8>>, Lost> {
        match self.reply(timeout)? {
            Reply::Ended(outcome) => Ok(outcome.map(ByteBuf::into_vec)),
            Reply::Begun => Err(Lost::Broken("a task began before another ended".to_owned())),
        }
    }

    fn reply(&mut self, timeout: Option<Duration>) -> Result<Reply, Lost> {
        self.frame(timeout, |frame| rmp_serde::from_slice(frame))?
            .map_err(|error| Lost::Broken(error.to_string()))
    }

    fn frame<T>(
        &mut self,
        timeout: Option<Duration>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Lost> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            match self.frames.next() {
                Ok(Some(frame)) => return Ok(read(frame)),
                Ok(None) => {}
                Err(error) => return Err(Lost::Broken(error.to_string())),
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice =
                if self.watch.works() { left } else { Some(left.unwrap_or(LOOK).min(LOOK)) };
            match ready(&self.link, &self.watch, slice) {
                Ready::Stream => match self.link.receive(&mut self.frames) {
                    Ok(true) => {}
                    Ok(false) => return Err(Lost::Died),
                    Err(error) => return Err(Lost::Broken(error.to_string())),
                },
                Ready::Neither if left.is_some_and(|left| slice == Some(left)) => {
                    return Err(Lost::TimedOut);
                }
                Ready::Neither if self.handle.is_alive() => {}
                Ready::Dead | Ready::Neither => return Err(Lost::Died),
            }
        }
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
        exit.out_of_memory = exit.signal == Some(libc::SIGKILL) && memory::explains_a_kill();
        exit
    }

    /// Lets an idle worker end by itself; one that does not is killed.
    pub(crate) fn retire(self) {
        self.link.hang_up();
        self.reap(GRACE);
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
                self.watch.wait(patience.saturating_sub(start.elapsed()).min(GRACE));
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

/// The file to execute: our own, even if another one has taken its place.
fn image() -> Result<PathBuf, StartError> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        env::current_exe().map_err(StartError::Spawn)
    }
}
