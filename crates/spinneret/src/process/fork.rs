//! One call that returns twice.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::ExitCode;

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Fork {
    /// The one that called [`fork`], with the new one.
    Parent(Forked),
    /// The new one.
    Child,
}

/// A process made by [`fork`], seen from its parent.
///
/// Dropping it does nothing to the process. One that has ended stays in the table of processes
/// until [`Forked::wait`], or until the parent ends.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
    /// How it ended, once it was waited for: its number may be another's by now.
    ended: Option<ExitCode>,
}

/// Why there is no new process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// Locks that other threads hold would stay locked in the child for ever.
    #[error(
        "fork() in a program with {count} threads would copy their locks but not them: fork before \
         threads start, or use process::Process, which needs no fork"
    )]
    Threads {
        /// How many there are, this one included.
        count: usize,
    },
    /// The system refused.
    #[error("fork() failed: {0}")]
    System(#[source] io::Error),
}

/// Splits this process in two, which both return from the call: Python's `os.fork`.
///
/// Most programs want [`Process`](super::Process) instead, which works with threads, on every
/// system, and costs no more for a large program than for a small one. A process with more than one
/// thread is refused. Where threads cannot be counted (systems without `/proc`) the caller answers
/// for there being only one.
///
/// ```
/// use spinneret::process::{Fork, fork};
///
/// # fn split() -> Result<(), Box<dyn std::error::Error>> {
/// // SAFETY: the program has one thread, and neither side uses what the other must.
/// match unsafe { fork() }? {
///     Fork::Parent(mut child) => assert_eq!(child.wait()?.code(), 7),
///     Fork::Child => std::process::exit(7),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Safety
/// The child is a copy of this process in which only the calling thread lives. The caller makes
/// sure that nothing it goes on to use relied on another thread, on the process's number, or on
/// being the only holder of a thing outside it: no runtime with threads was started before, and
/// files, sockets and shared memory bear two users.
pub unsafe fn fork() -> Result<Fork, ForkError> {
    if let Some(count) = threads().filter(|count| *count > 1) {
        return Err(ForkError::Threads { count });
    }
    // SAFETY: there is one thread, so what follows in the child is not bound to calls that are safe
    // in signal handlers; the rest is the caller's promise.
    match unsafe { libc::fork() } {
        0 => Ok(Fork::Child),
        pid => match Pid::from_raw(pid).filter(|_| pid > 0) {
            Some(pid) => Ok(Fork::Parent(Forked { pid, ended: None })),
            None => Err(ForkError::System(io::Error::last_os_error())),
        },
    }
}

/// How many threads this process has, where that can be known.
fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

impl Forked {
    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Waits for the process to end and says how it did; afterwards it says so again at once.
    ///
    /// # Errors
    /// If somebody else has waited for it, or the program ignores SIGCHLD.
    pub fn wait(&mut self) -> io::Result<ExitCode> {
        while self.ended.is_none() {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => {
                    use std::os::unix::process::ExitStatusExt;
                    let status = ExitStatus::from_raw(status.as_raw());
                    self.ended = Some(ExitCode::from_status(status));
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.ended.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Kills the process (SIGKILL); does nothing to one that was waited for.
    pub fn kill(&self) -> io::Result<()> {
        if self.ended.is_some() { Ok(()) } else { Ok(kill_process(self.pid, Signal::KILL)?) }
    }
}
