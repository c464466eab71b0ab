//! What tells that a process has ended.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use self::unix::Sentinel;
#[cfg(windows)]
pub use self::windows::Sentinel;
