use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::process::link::{Link, Watch, wait_readable};

/// A descriptor that becomes readable when a process has ended, and stays so: on Linux a pidfd.
///
/// Hand it to [`pipe::wait`](crate::pipe::wait()), or to any event loop by [`AsFd`]. There is nothing
/// to read from it.
#[derive(Clone, Debug)]
pub struct Sentinel(Arc<OwnedFd>);

impl Sentinel {
    /// Of the process that is watched, if it is, or else whose end of the link this is about.
    pub(in super::super) fn of(watch: Option<&Watch>, link: &Link) -> Self {
        Self(watch.and_then(Watch::fd).unwrap_or_else(|| link.fd()))
    }

    /// Waits for the process to end, no longer than `timeout` if there is one; whether it has.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        wait_readable(self.0.as_fd(), timeout)
    }
}

impl AsFd for Sentinel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
