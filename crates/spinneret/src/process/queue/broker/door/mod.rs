//! Where connections to a queue's broker come from.
//!
//! Who has a [`Door`] can knock and gets a connection; the broker hears of it by the [`Inside`]. A door
//! travels to other processes, and the queue lives as long as somebody has it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use self::unix::{Door, Inside, open};
#[cfg(windows)]
pub(super) use self::windows::{Door, Inside, open};
