//! Receiving, sending, connecting and accepting.

use std::os::fd::RawFd;

use libc::{c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};

use super::{
    Family, RawLock,
    attempt::{attempt, attempt_all, readiness},
    cooperative,
    raw::{AGAIN, Raw, answer, answer_int, refused, sys},
};
use crate::green::{
    Reactor,
    reactor::{Interest, Refused, get_option},
};

/// Flags with which a receive never waits by itself.
const AT_ONCE: c_int = libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB;

/// `recv` in a green thread.
///
/// # Safety
/// As `recv`.
pub(super) unsafe fn receive(
    reactor: &Reactor,
    fd: RawFd,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
) -> Raw {
    // SAFETY: the caller's contract; no address is asked for.
    unsafe {
        receive_from(reactor, fd, buffer, size, flags, std::ptr::null_mut(), std::ptr::null_mut())
    }
}

/// `recvfrom` in a green thread.
///
/// # Safety
/// As `recvfrom`.
unsafe fn receive_from(
    reactor: &Reactor,
    fd: RawFd,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_size: *mut socklen_t,
) -> Raw {
    if size == 0 {
        // A stream answers at once, whatever is there.
        let now = flags | libc::MSG_DONTWAIT;
        // SAFETY: the caller's contract.
        let raw = unsafe { sys!(libc::SYS_recvfrom, fd, buffer, size, now, from, from_size) };
        if raw != AGAIN {
            return raw;
        }
    }
    let whole = flags & libc::MSG_WAITALL != 0 && flags & libc::MSG_PEEK == 0;
    let mut done = 0;
    loop {
        let raw = attempt(reactor, fd, Interest::READ, |wait| {
            let place = buffer.wrapping_byte_add(done);
            let flags = flags | wait;
            // SAFETY: the caller's contract; `done` bytes of the buffer are used.
            unsafe { sys!(libc::SYS_recvfrom, fd, place, size - done, flags, from, from_size) }
        });
        if raw <= 0 {
            return if done > 0 { done as Raw } else { raw };
        }
        done += raw as usize;
        if done >= size {
            return done as Raw;
        }
        if !whole {
            if flags & libc::MSG_PEEK == 0 {
                reactor.short_read(fd);
            }
            return done as Raw;
        }
        let mut kind: c_int = 0;
        get_option(fd, libc::SO_TYPE, &mut kind);
        if kind != libc::SOCK_STREAM {
            return done as Raw;
        }
    }
}

/// `send` in a green thread.
///
/// # Safety
/// As `send`.
pub(super) unsafe fn transmit(
    reactor: &Reactor,
    fd: RawFd,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
) -> Raw {
    // SAFETY: the caller's contract; no address is given.
    unsafe { transmit_to(reactor, fd, buffer, size, flags, std::ptr::null(), 0) }
}

/// `sendto` in a green thread.
///
/// # Safety
/// As `sendto`.
unsafe fn transmit_to(
    reactor: &Reactor,
    fd: RawFd,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_size: socklen_t,
) -> Raw {
    attempt_all(reactor, fd, size, |done, wait| {
        let (place, flags) = (buffer.wrapping_byte_add(done), flags | wait);
        // SAFETY: the caller's contract; `done` bytes of the buffer are sent.
        unsafe { sys!(libc::SYS_sendto, fd, place, size - done, flags, to, to_size) }
    })
}

/// # Safety
/// As `recv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the same call without an address.
    unsafe { recvfrom(fd, buffer, size, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
}

/// # Safety
/// As `recvfrom`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_size: *mut socklen_t,
) -> ssize_t {
    answer(match cooperative(Family::SOCKETS).filter(|_| flags & AT_ONCE == 0) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { receive_from(reactor, fd, buffer, size, flags, from, from_size) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_recvfrom, fd, buffer, size, flags, from, from_size) },
    })
}

/// # Safety
/// As `send`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(
    fd: c_int,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the same call without an address.
    unsafe { sendto(fd, buffer, size, flags, std::ptr::null(), 0) }
}

/// # Safety
/// As `sendto`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    buffer: *const c_void,
    size: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_size: socklen_t,
) -> ssize_t {
    answer(match cooperative(Family::SOCKETS).filter(|_| flags & libc::MSG_DONTWAIT == 0) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { transmit_to(reactor, fd, buffer, size, flags, to, to_size) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_sendto, fd, buffer, size, flags, to, to_size) },
    })
}

/// How much a socket's send buffer surely takes now.
pub(super) fn free_space(fd: RawFd) -> usize {
    let mut room: c_int = 0;
    get_option(fd, libc::SO_SNDBUF, &mut room);
    let mut used: c_int = 0;
    // SAFETY: an int is written.
    unsafe { sys!(libc::SYS_ioctl, fd, libc::TIOCOUTQ, &raw mut used) };
    // The kernel counts its own overhead among the buffer's bytes, about as much again.
    usize::try_from((room / 2).saturating_sub(used) / 2).unwrap_or(0)
}

/// `connect` has no flag for not waiting, so `O_NONBLOCK` is set around that one call. Nobody else
/// is likely to use a descriptor that is not connected yet, and it is set for a few microseconds
/// only. That of datagrams never waits and is made as it is.
///
/// # Safety
/// As `connect`.
unsafe fn connect_cooperatively(
    reactor: &Reactor,
    fd: RawFd,
    address: *const sockaddr,
    size: socklen_t,
) -> Raw {
    // SAFETY: the caller's contract.
    let call = || unsafe { sys!(libc::SYS_connect, fd, address, size) };
    // SAFETY: the call has no preconditions.
    let flags = unsafe { sys!(libc::SYS_fcntl, fd, libc::F_GETFL) };
    let mut kind: c_int = 0;
    get_option(fd, libc::SO_TYPE, &mut kind);
    // That of a datagram socket never waits, and others may well be using it.
    if flags < 0 || flags as c_int & libc::O_NONBLOCK != 0 || kind == libc::SOCK_DGRAM {
        return call();
    }
    let set_nonblocking = |on: c_int| {
        // SAFETY: an int is read.
        unsafe { sys!(libc::SYS_ioctl, fd, libc::FIONBIO, &raw const on) };
    };
    let deadline = reactor.manner(fd, Interest::WRITE).deadline();
    // SAFETY: the caller's contract: an address begins with its family.
    let is_local = size >= 2 && c_int::from(unsafe { (*address).sa_family }) == libc::AF_UNIX;
    let raw = loop {
        set_nonblocking(1);
        let raw = call();
        set_nonblocking(0);
        if raw != AGAIN || !is_local {
            break raw;
        }
        // A local socket whose listener has no room: no event tells when it has some.
        if let Err(refused) = Reactor::nap(deadline) {
            return refused.raw();
        }
    };
    if raw != refused(libc::EINPROGRESS) {
        return raw;
    }
    // An event can be older than the attempt, so the descriptor itself is asked.
    while readiness(fd, libc::POLLOUT) == 0 {
        match reactor.wait(fd, Interest::WRITE, deadline) {
            Ok(()) => {}
            Err(Refused::TimedOut) => return refused(libc::EINPROGRESS),
            Err(refused) => return refused.raw(),
        }
    }
    let mut error: c_int = 0;
    get_option(fd, libc::SO_ERROR, &mut error);
    refused(error)
}

/// # Safety
/// As `connect`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, size: socklen_t) -> c_int {
    answer_int(match cooperative(Family::SOCKETS) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { connect_cooperatively(reactor, fd, address, size) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_connect, fd, address, size) },
    })
}

/// One lock per listener, more or less: two hubs must not both see the same connection waiting.
static ACCEPTING: [RawLock<()>; 64] = [const { RawLock::new(()) }; 64];

/// `accept` has no flag for not waiting either, but here setting `O_NONBLOCK` would be seen: by
/// others that wait at the same listener, in this process or in a forked one. So the listener is
/// asked whether somebody waits, and only then is the call made. It blocks the hub if a process or
/// an unpatched thread took that connection in between.
///
/// # Safety
/// As `accept4`.
unsafe fn accept_cooperatively(
    reactor: &Reactor,
    fd: RawFd,
    address: *mut sockaddr,
    size: *mut socklen_t,
    flags: c_int,
) -> Raw {
    attempt(reactor, fd, Interest::READ, |wait| {
        let _one = (wait != 0).then(|| ACCEPTING[fd as usize % ACCEPTING.len()].lock());
        if wait != 0 && readiness(fd, libc::POLLIN) == 0 {
            return AGAIN;
        }
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_accept4, fd, address, size, flags) }
    })
}

/// # Safety
/// As `accept4`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(
    fd: c_int,
    address: *mut sockaddr,
    size: *mut socklen_t,
    flags: c_int,
) -> c_int {
    answer_int(match cooperative(Family::SOCKETS) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { accept_cooperatively(reactor, fd, address, size, flags) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_accept4, fd, address, size, flags) },
    })
}

/// # Safety
/// As `accept`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, address: *mut sockaddr, size: *mut socklen_t) -> c_int {
    answer_int(match cooperative(Family::SOCKETS) {
        // SAFETY: the caller's contract.
        Some(reactor) => unsafe { accept_cooperatively(reactor, fd, address, size, 0) },
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_accept, fd, address, size) },
    })
}
