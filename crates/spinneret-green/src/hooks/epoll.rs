//! `epoll_wait`: an epoll instance of the program's own, such as a nested runtime's, is one more
//! descriptor of the reactor, ready when it has events.

use std::{os::fd::RawFd, ptr};

use libc::{c_int, epoll_event, sigset_t, timespec};

use super::{
    Family, cooperative,
    poll::{Until, ask_again},
    raw::{Raw, answer_int, sys},
    time::duration,
};
use crate::green::{Reactor, reactor::Interest};

/// Bytes of the kernel's signal set.
const SIGNALS: usize = 8;

/// `question` asks without waiting.
fn wait(reactor: &Reactor, epoll: RawFd, until: Until, mut question: impl FnMut() -> Raw) -> c_int {
    let raw = question();
    if raw != 0 {
        return answer_int(raw);
    }
    answer_int(ask_again(reactor, &[(epoll, Interest::READ)], until.deadline(), question))
}

/// # Safety
/// As `epoll_wait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller's contract.
    let call = |timeout: c_int| unsafe { sys!(libc::SYS_epoll_wait, epoll, events, room, timeout) };
    match cooperative(Family::POLL).filter(|_| timeout != 0) {
        Some(reactor) => wait(reactor, epoll, Until::millis(timeout), || call(0)),
        None => answer_int(call(timeout)),
    }
}

/// # Safety
/// As `epoll_pwait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    let call = |timeout: c_int| {
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_epoll_pwait, epoll, events, room, timeout, mask, SIGNALS) }
    };
    match cooperative(Family::POLL).filter(|_| timeout != 0) {
        Some(reactor) => wait(reactor, epoll, Until::millis(timeout), || call(0)),
        None => answer_int(call(timeout)),
    }
}

/// # Safety
/// As `epoll_pwait2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait2(
    epoll: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let call = |timeout: *const timespec| {
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_epoll_pwait2, epoll, events, room, timeout, mask, SIGNALS) }
    };
    // SAFETY: the caller's contract.
    let until = match unsafe { timeout.as_ref() } {
        None => Some(Until::Ever),
        Some(time) => duration(*time).map(Until::after),
    };
    let none = timespec { tv_sec: 0, tv_nsec: 0 };
    match (cooperative(Family::POLL), until) {
        (Some(reactor), Some(until @ (Until::Ever | Until::Moment(_)))) => {
            wait(reactor, epoll, until, || call(ptr::from_ref(&none)))
        }
        _ => answer_int(call(timeout)),
    }
}
