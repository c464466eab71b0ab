//! The stream between a pool and one of its workers, and the watch that each keeps on the other.
//!
//! A stream ends when its last holder does, which is not always the process at its end: a process
//! that it forked may hold a copy. So where the system can watch a process (Linux by a pidfd, macOS
//! by a kqueue) both sides watch both.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod watch;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{Link, Watch, descriptor_ready, no_signal, ready, wait, wait_readable};
#[cfg(windows)]
pub(crate) use self::windows::{Link, Watch, ready, wait_handle};

/// What [`ready`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The stream has bytes, or has ended.
    Stream,
    /// The peer is dead and the stream has nothing left.
    Dead,
    /// Neither, in the time given.
    Neither,
}
