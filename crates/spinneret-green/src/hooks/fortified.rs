//! The calls under the names by which C libraries make them that were compiled to check the sizes
//! of their buffers (`_FORTIFY_SOURCE`).

use std::process;

use libc::{
    c_int, c_void, nfds_t, pollfd, sigset_t, size_t, sockaddr, socklen_t, ssize_t, timespec,
};

use super::{
    poll::{poll, ppoll},
    raw::sys,
    socket::{recv, recvfrom},
};

/// Ends the process if a buffer is smaller than what may be written into it, as libc does.
fn check(fits: bool) {
    if !fits {
        let message = b"*** buffer overflow detected ***: terminated\n";
        // SAFETY: so many bytes are there.
        unsafe { sys!(libc::SYS_write, 2, message.as_ptr(), message.len()) };
        process::abort();
    }
}

/// # Safety
/// As `read`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __read_chk(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    room: size_t,
) -> ssize_t {
    check(size <= room);
    // SAFETY: the caller's contract.
    unsafe { super::io::read(fd, buffer, size) }
}

/// # Safety
/// As `recv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    room: size_t,
    flags: c_int,
) -> ssize_t {
    check(size <= room);
    // SAFETY: the caller's contract.
    unsafe { recv(fd, buffer, size, flags) }
}

/// # Safety
/// As `recvfrom`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    room: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_size: *mut socklen_t,
) -> ssize_t {
    check(size <= room);
    // SAFETY: the caller's contract.
    unsafe { recvfrom(fd, buffer, size, flags, from, from_size) }
}

/// Whether so many entries fit into so many bytes.
fn holds(room: size_t, count: nfds_t) -> bool {
    room / size_of::<pollfd>() >= count as usize
}

/// # Safety
/// As `poll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    room: size_t,
) -> c_int {
    check(holds(room, count));
    // SAFETY: the caller's contract.
    unsafe { poll(entries, count, timeout) }
}

/// # Safety
/// As `ppoll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    room: size_t,
) -> c_int {
    check(holds(room, count));
    // SAFETY: the caller's contract.
    unsafe { ppoll(entries, count, timeout, mask) }
}
