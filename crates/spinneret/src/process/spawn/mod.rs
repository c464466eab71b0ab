//! Starts this program anew, to be a worker or a child, with a link to it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use self::unix::{spawn, take_over};
#[cfg(windows)]
pub(super) use self::windows::{Secret, connect, knows, secret};
#[cfg(windows)]
pub(super) use self::windows::{spawn, take_over};
