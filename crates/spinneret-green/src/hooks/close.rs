//! Closing: who waits for a descriptor is woken first, on every hub.

use std::sync::atomic::Ordering;

use libc::{c_int, c_uint, pid_t};

use super::{
    PATCHED, PROCESS,
    raw::{Raw, answer_int, sys},
};
use crate::green::reactor::{closing, closing_range};

/// Whether any green thread may wait for this process's descriptors. A child of `vfork` has its
/// parent's memory, but what it closes are its own: that is asked last, for it is a system call.
fn is_patched() -> bool {
    // SAFETY: the call has no preconditions.
    let process = || unsafe { sys!(libc::SYS_getpid) } as pid_t;
    PATCHED.load(Ordering::Relaxed) != 0 && process() == PROCESS.load(Ordering::Relaxed)
}

/// Makes a call that closes `fd`, whose waiters are woken.
fn closes(fd: c_int, call: impl FnOnce() -> Raw) -> c_int {
    answer_int(match usize::try_from(fd) {
        Ok(fd) if is_patched() => closing(fd, call),
        _ => call(),
    })
}

/// # Safety
/// As `close`: nobody else owns the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    // SAFETY: the caller's contract.
    closes(fd, || unsafe { sys!(libc::SYS_close, fd) })
}

/// Whether `to` will be closed, and not the call refused; the look costs a system call, so it is
/// made only if somebody may wait.
fn replaces(from: c_int, to: c_int, flags: c_int) -> bool {
    // SAFETY: the call has no preconditions.
    let is_open = || unsafe { sys!(libc::SYS_fcntl, from, libc::F_GETFD) } >= 0;
    from != to && flags & !libc::O_CLOEXEC == 0 && is_patched() && is_open()
}

/// # Safety
/// As `dup2`, which closes `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup2(from: c_int, to: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { sys!(libc::SYS_dup2, from, to) };
    if replaces(from, to, 0) { closes(to, call) } else { answer_int(call()) }
}

/// # Safety
/// As `dup3`, which closes `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { sys!(libc::SYS_dup3, from, to, flags) };
    if replaces(from, to, flags) { closes(to, call) } else { answer_int(call()) }
}

/// # Safety
/// As `close_range`: nobody else owns the descriptors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let call = || unsafe { sys!(libc::SYS_close_range, first, last, flags) };
    let closes = flags as c_uint & libc::CLOSE_RANGE_CLOEXEC == 0 && first <= last;
    answer_int(if closes && is_patched() {
        closing_range(first as usize, last as usize, call)
    } else {
        call()
    })
}
