//! Receiving and sending of messages: with control data, several buffers, or several at once.

use std::{slice, time::Duration, time::Instant};

use libc::{c_int, c_uint, mmsghdr, msghdr, ssize_t, timespec};

use super::{
    Family,
    attempt::{attempt, attempt_all},
    cooperative,
    iov::{Rest, length},
    raw::{Raw, answer, answer_int, sys},
    time::duration,
};
use crate::green::{Reactor, reactor::Interest};

/// # Safety
/// As `recvmsg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    let at_once = libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB;
    // SAFETY: the caller's contract.
    let call = |wait: c_int| unsafe { sys!(libc::SYS_recvmsg, fd, message, flags | wait) };
    answer(match cooperative(Family::SOCKETS).filter(|_| flags & at_once == 0) {
        Some(reactor) => attempt(reactor, fd, Interest::READ, call),
        None => call(0),
    })
}

/// # Safety
/// As `sendmsg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    answer(match cooperative(Family::SOCKETS).filter(|_| flags & libc::MSG_DONTWAIT == 0) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { transmit(reactor, fd, message, flags) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_sendmsg, fd, message, flags) },
    })
}

/// `sendmsg` in a green thread.
///
/// # Safety
/// As `sendmsg`.
unsafe fn transmit(reactor: &Reactor, fd: c_int, message: *const msghdr, flags: c_int) -> Raw {
    // SAFETY: the caller's contract: a message is there.
    let whole = unsafe { &*message };
    let all = match (whole.msg_iov.is_null(), whole.msg_iovlen) {
        (false, count @ 1..=1024) => {
            // SAFETY: the caller's contract: so many buffers are there.
            unsafe { slice::from_raw_parts(whole.msg_iov, count) }
        }
        _ => &[],
    };
    attempt_all(reactor, fd, length(all), |done, wait| {
        if done == 0 {
            // SAFETY: the caller's contract.
            return unsafe { sys!(libc::SYS_sendmsg, fd, message, flags | wait) };
        }
        // What came with the message went with its first part.
        let rest = Rest::of(all, done);
        let mut part = *whole;
        part.msg_iov = rest.as_slice().as_ptr().cast_mut();
        part.msg_iovlen = rest.as_slice().len();
        part.msg_control = std::ptr::null_mut();
        part.msg_controllen = 0;
        // SAFETY: the buffers are the caller's.
        unsafe { sys!(libc::SYS_sendmsg, fd, &raw const part, flags | wait) }
    })
}

/// # Safety
/// As `recvmmsg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    let Some(reactor) =
        cooperative(Family::SOCKETS).filter(|_| flags & libc::MSG_DONTWAIT == 0 && count > 0)
    else {
        // SAFETY: the caller's contract.
        return answer_int(unsafe {
            sys!(libc::SYS_recvmmsg, fd, messages, count, flags, timeout)
        });
    };
    // SAFETY: the caller's contract.
    let limit = unsafe { timeout.as_ref() }.map(|limit| duration(*limit).unwrap_or(Duration::MAX));
    let start = Instant::now();
    let mut done: c_uint = 0;
    // As the kernel does it, the limit is looked at after each message.
    while done < count && !(done > 0 && limit.is_some_and(|limit| start.elapsed() >= limit)) {
        let raw = attempt(reactor, fd, Interest::READ, |wait| {
            let place = messages.wrapping_add(done as usize);
            // Asked for one only, where it may block.
            let room = if wait == 0 { 1 } else { count - done };
            let flags = (flags & !libc::MSG_WAITFORONE) | wait;
            let none = std::ptr::null_mut::<timespec>();
            // SAFETY: the caller's contract; the first `done` are received.
            unsafe { sys!(libc::SYS_recvmmsg, fd, place, room, flags, none) }
        });
        if raw < 0 && done == 0 {
            return answer_int(raw);
        }
        if raw <= 0 {
            break;
        }
        done += raw as c_uint;
        if flags & libc::MSG_WAITFORONE != 0 {
            break;
        }
    }
    done as c_int
}

/// # Safety
/// As `sendmmsg`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| flags & libc::MSG_DONTWAIT == 0)
    else {
        // SAFETY: the caller's contract.
        return answer_int(unsafe { sys!(libc::SYS_sendmmsg, fd, messages, count, flags) });
    };
    for done in 0..count as usize {
        // SAFETY: the caller's contract: so many messages are there.
        let message = unsafe { &mut *messages.wrapping_add(done) };
        // SAFETY: as above.
        let raw = unsafe { transmit(reactor, fd, &raw const message.msg_hdr, flags) };
        if raw < 0 {
            return if done > 0 { done as c_int } else { answer_int(raw) };
        }
        message.msg_len = raw as c_uint;
    }
    count as c_int
}
