//! What each system calls otherwise: signals, the end of a process, its relatives.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use self::unix::{
    file_id, is_parent, kill, killed_by_force, leave, maker, quieten, signal_of, take_sigterm,
    terminate,
};
#[cfg(windows)]
pub(super) use self::windows::{
    file_id, is_parent, kill, killed_by_force, leave, quieten, signal_of, take_sigterm, terminate,
};
