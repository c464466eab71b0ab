//! A descriptor that becomes readable when a process has died.

#[cfg(target_vendor = "apple")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod other;

#[cfg(target_vendor = "apple")]
pub(super) use self::apple::open;
#[cfg(target_os = "linux")]
pub(super) use self::linux::open;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(super) use self::other::open;
