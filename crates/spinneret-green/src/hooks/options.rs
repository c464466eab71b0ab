//! Calls that may change how descriptors wait: what reactors remember of that is void then.
//!
//! `fcntl` and `ioctl` are variadic in C. On `x86_64` their third argument is passed as that of any
//! other function, so taking it always is sound; without one, a register's content goes to the
//! kernel, which does not look at it.

use libc::{c_int, c_ulong, c_void, socklen_t};

use super::{
    PATCHED,
    raw::{answer_int, sys},
};
use crate::green::reactor::manners_changed;

fn changed() {
    if PATCHED.load(std::sync::atomic::Ordering::Relaxed) != 0 {
        manners_changed();
    }
}

/// # Safety
/// As `fcntl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    if command == libc::F_GETOWN {
        return owner(fd);
    }
    // SAFETY: the caller's contract.
    let answer = answer_int(unsafe { sys!(libc::SYS_fcntl, fd, command, argument) });
    if command == libc::F_SETFL {
        changed();
    }
    answer
}

/// # Safety
/// As `fcntl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: c_ulong) -> c_int {
    // SAFETY: the same call: offsets have 64 bits here.
    unsafe { fcntl(fd, command, argument) }
}

/// `fcntl(fd, F_GETOWN)`. A process group is answered as its negative number, which cannot be told
/// from an error: libc asks in another way.
fn owner(fd: c_int) -> c_int {
    const F_GETOWN_EX: c_int = 16;
    const F_OWNER_PGRP: c_int = 2;
    let mut owner = [0 as c_int; 2];
    // SAFETY: two ints are written.
    let raw = unsafe { sys!(libc::SYS_fcntl, fd, F_GETOWN_EX, owner.as_mut_ptr()) };
    match owner {
        _ if raw < 0 => answer_int(raw),
        [F_OWNER_PGRP, group] => -group,
        [_, process] => process,
    }
}

/// # Safety
/// As `ioctl`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: c_ulong) -> c_int {
    // SAFETY: the caller's contract.
    let answer = answer_int(unsafe { sys!(libc::SYS_ioctl, fd, request, argument) });
    if request == libc::FIONBIO {
        changed();
    }
    answer
}

/// # Safety
/// As `setsockopt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    size: socklen_t,
) -> c_int {
    // The same two with times of 64 bits everywhere.
    const SO_RCVTIMEO_NEW: c_int = 66;
    const SO_SNDTIMEO_NEW: c_int = 67;
    // SAFETY: the caller's contract.
    let answer = answer_int(unsafe { sys!(libc::SYS_setsockopt, fd, level, option, value, size) });
    if level == libc::SOL_SOCKET
        && matches!(
            option,
            libc::SO_RCVTIMEO | libc::SO_SNDTIMEO | SO_RCVTIMEO_NEW | SO_SNDTIMEO_NEW
        )
    {
        changed();
    }
    answer
}
