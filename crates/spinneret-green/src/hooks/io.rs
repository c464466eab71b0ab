//! `read`, `write` and their like, on whatever has a descriptor.
//!
//! Files of a disk are read and written as they are: epoll does not know them. `pread` and
//! `pwrite` are theirs alone, so they have no hook.

use std::{os::fd::RawFd, slice};

use libc::{c_int, c_void, iovec, loff_t, off_t, size_t, ssize_t};

use super::{
    Family,
    attempt::{attempt, attempt_all, events, readiness},
    cooperative,
    iov::{Rest, length},
    raw::{AGAIN, Raw, answer, refused, sys},
};
use crate::green::{
    Reactor,
    reactor::{Interest, Kind},
};

/// What a pipe surely takes at once when it says that it is writable.
const PIECE: usize = 4096;

/// Makes a call as `kind` allows: `nowait` with `RWF_NOWAIT` if it may not block, else `plain`.
fn call(
    reactor: &Reactor,
    fd: RawFd,
    interest: Interest,
    wait: c_int,
    nowait: impl FnOnce() -> Raw,
    plain: impl FnOnce() -> Raw,
) -> Raw {
    if wait == 0 {
        return plain();
    }
    if reactor.kind(fd) == Kind::NoWait {
        let raw = nowait();
        if raw != refused(libc::EOPNOTSUPP) {
            return raw;
        }
        reactor.set_kind(fd, Kind::Ask);
    }
    // Between the question and the call another process may be sooner; then this blocks.
    if readiness(fd, events(interest)) == 0 { AGAIN } else { plain() }
}

/// # Safety
/// As `read`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, size: size_t) -> ssize_t {
    // SAFETY: the caller's contract.
    let plain = || unsafe { sys!(libc::SYS_read, fd, buffer, size) };
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| size > 0) else {
        return answer(plain());
    };
    answer(match reactor.kind(fd) {
        Kind::Plain | Kind::Unknown => plain(),
        // SAFETY: the caller's contract.
        Kind::Socket => unsafe { super::socket::receive(reactor, fd, buffer, size, 0) },
        Kind::NoWait | Kind::Ask => {
            let part = iovec { iov_base: buffer, iov_len: size };
            attempt(reactor, fd, Interest::READ, |wait| {
                // SAFETY: the caller's contract.
                let nowait = || unsafe {
                    sys!(libc::SYS_preadv2, fd, &raw const part, 1, -1, 0, libc::RWF_NOWAIT)
                };
                call(reactor, fd, Interest::READ, wait, nowait, plain)
            })
        }
    })
}

/// # Safety
/// As `readv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readv(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's contract.
    let plain = || unsafe { sys!(libc::SYS_readv, fd, parts, count) };
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| takes(count)) else {
        return answer(plain());
    };
    answer(match reactor.kind(fd) {
        Kind::Plain | Kind::Unknown => plain(),
        Kind::Socket => attempt(reactor, fd, Interest::READ, |wait| {
            let mut message = message(parts, count as usize);
            // SAFETY: the caller's contract.
            unsafe { sys!(libc::SYS_recvmsg, fd, &raw mut message, wait) }
        }),
        Kind::NoWait | Kind::Ask => attempt(reactor, fd, Interest::READ, |wait| {
            // SAFETY: the caller's contract.
            let nowait =
                || unsafe { sys!(libc::SYS_preadv2, fd, parts, count, -1, 0, libc::RWF_NOWAIT) };
            call(reactor, fd, Interest::READ, wait, nowait, plain)
        }),
    })
}

/// # Safety
/// As `write`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, size: size_t) -> ssize_t {
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| size > 0) else {
        // SAFETY: the caller's contract.
        return answer(unsafe { sys!(libc::SYS_write, fd, buffer, size) });
    };
    answer(match reactor.kind(fd) {
        // SAFETY: the caller's contract.
        Kind::Plain | Kind::Unknown => unsafe { sys!(libc::SYS_write, fd, buffer, size) },
        // SAFETY: the caller's contract.
        Kind::Socket => unsafe { super::socket::transmit(reactor, fd, buffer, size, 0) },
        Kind::NoWait | Kind::Ask => {
            let all = [iovec { iov_base: buffer.cast_mut(), iov_len: size }];
            write_parts(reactor, fd, &all)
        }
    })
}

/// # Safety
/// As `writev`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's contract.
    let plain = || unsafe { sys!(libc::SYS_writev, fd, parts, count) };
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| takes(count)) else {
        return answer(plain());
    };
    let kind = reactor.kind(fd);
    if matches!(kind, Kind::Plain | Kind::Unknown) {
        return answer(plain());
    }
    // SAFETY: the caller's contract: so many buffers are there.
    let all = unsafe { slice::from_raw_parts(parts, count as usize) };
    answer(match kind {
        _ if length(all) == 0 => plain(),
        Kind::Socket => attempt_all(reactor, fd, length(all), |done, wait| {
            let rest = (done > 0).then(|| Rest::of(all, done));
            let parts = rest.as_ref().map_or(all, Rest::as_slice);
            let message = message(parts.as_ptr(), parts.len());
            // SAFETY: the buffers are the caller's.
            unsafe { sys!(libc::SYS_sendmsg, fd, &raw const message, wait) }
        }),
        _ => write_parts(reactor, fd, all),
    })
}

/// Writes to what is no socket.
fn write_parts(reactor: &Reactor, fd: RawFd, all: &[iovec]) -> Raw {
    attempt_all(reactor, fd, length(all), |done, wait| {
        let rest = (done > 0).then(|| Rest::of(all, done));
        let parts = rest.as_ref().map_or(all, Rest::as_slice);
        let nowait = || {
            let (parts, count) = (parts.as_ptr(), parts.len());
            // SAFETY: the buffers are the caller's.
            unsafe { sys!(libc::SYS_pwritev2, fd, parts, count, -1, 0, libc::RWF_NOWAIT) }
        };
        // Asked for its readiness only, it may take no more than a piece without waiting.
        let plain = || match parts.iter().find(|part| part.iov_len > 0) {
            Some(part) => {
                let size = if wait == 0 { part.iov_len } else { part.iov_len.min(PIECE) };
                // SAFETY: the buffer is the caller's.
                unsafe { sys!(libc::SYS_write, fd, part.iov_base, size) }
            }
            None => 0,
        };
        call(reactor, fd, Interest::WRITE, wait, nowait, plain)
    })
}

/// Whether the kernel would take so many buffers.
fn takes(count: c_int) -> bool {
    (1..=1024).contains(&count)
}

/// A message that is nothing but its buffers.
fn message(parts: *const iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeros is an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.cast_mut();
    message.msg_iovlen = count;
    message
}

/// Waits until `fd` is ready for one direction, if it is of a kind that is waited for; `Some` is
/// the answer of a call that does not get to it.
fn await_readiness(reactor: &Reactor, fd: RawFd, interest: Interest) -> Option<Raw> {
    if matches!(reactor.kind(fd), Kind::Plain | Kind::Unknown) {
        return None;
    }
    let raw = attempt(reactor, fd, interest, |wait| {
        if wait != 0 && readiness(fd, events(interest)) == 0 { AGAIN } else { 0 }
    });
    (raw < 0).then_some(raw)
}

/// # Safety
/// As `splice`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut loff_t,
    to: c_int,
    to_offset: *mut loff_t,
    size: size_t,
    flags: libc::c_uint,
) -> ssize_t {
    // SAFETY: the caller's contract.
    let call = |flags: libc::c_uint| unsafe {
        sys!(libc::SYS_splice, from, from_offset, to, to_offset, size, flags)
    };
    let Some(reactor) =
        cooperative(Family::SOCKETS).filter(|_| size > 0 && flags & libc::SPLICE_F_NONBLOCK == 0)
    else {
        return answer(call(flags));
    };
    loop {
        let refused = await_readiness(reactor, from, Interest::READ)
            .or_else(|| await_readiness(reactor, to, Interest::WRITE));
        if let Some(refused) = refused {
            return answer(refused);
        }
        let raw = call(flags | libc::SPLICE_F_NONBLOCK);
        if raw != AGAIN {
            return answer(raw);
        }
        // Another took what was there; or an end is the user's to poll.
        let nonblocking = |fd, interest| reactor.manner(fd, interest).nonblocking;
        if nonblocking(from, Interest::READ) || nonblocking(to, Interest::WRITE) {
            return answer(raw);
        }
        if let Err(refused) = Reactor::nap(None) {
            return answer(refused.raw());
        }
    }
}

/// # Safety
/// As `sendfile`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    size: size_t,
) -> ssize_t {
    let call = |size: usize| {
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_sendfile, to, from, offset, size) }
    };
    let Some(reactor) = cooperative(Family::SOCKETS).filter(|_| size > 0) else {
        return answer(call(size));
    };
    if let Some(refused) = await_readiness(reactor, to, Interest::WRITE) {
        return answer(refused);
    }
    // The kernel has no flag for not waiting here: no more than surely fits.
    answer(match reactor.kind(to) {
        Kind::Plain | Kind::Unknown => call(size),
        Kind::Socket => call(size.min(super::socket::free_space(to).max(1))),
        Kind::NoWait | Kind::Ask => call(size.min(PIECE)),
    })
}

/// # Safety
/// As `sendfile`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    size: size_t,
) -> ssize_t {
    // SAFETY: the same call: offsets have 64 bits here.
    unsafe { sendfile64(to, from, offset, size) }
}
