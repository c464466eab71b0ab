//! Waiting for child processes, by a pidfd where one child is meant; and `fork` from a green
//! thread.
//!
//! A wait for *any* child, or for stops and continuations, has no descriptor to wait for: a helper
//! thread waits for the news in the green thread's place and leaves the child's status to be
//! collected here.

use std::{
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use libc::{c_int, id_t, idtype_t, pid_t, rusage, siginfo_t};

use super::{
    Family, cooperative,
    futex::WAITERS,
    interruption,
    raw::{Raw, answer_int, refused, sys},
};
use crate::green::{
    self, Reactor,
    reactor::{Interest, Refused},
};

/// The events of a child that a wait may end for.
const EVENTS: c_int = libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED;

/// Suspends the green thread until the children that are meant may have news; `Some` is the answer
/// of a call whose wait brought none.
fn await_news(reactor: &Reactor, kind: idtype_t, id: id_t, events: c_int) -> Option<Raw> {
    let refusal = |waited: Result<(), Refused>| waited.err().map(Refused::raw);
    if events & EVENTS == libc::WEXITED {
        if kind == libc::P_PIDFD {
            return refusal(reactor.wait(id as RawFd, Interest::READ, None));
        }
        if kind == libc::P_PID {
            // SAFETY: the call has no preconditions.
            let pidfd = unsafe { sys!(libc::SYS_pidfd_open, id, 0) };
            if let Ok(pidfd) = RawFd::try_from(pidfd)
                && pidfd >= 0
            {
                // SAFETY: the descriptor was just made and has no other owner. Dropping it tells
                // the reactor.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                return refusal(reactor.wait(pidfd.as_raw_fd(), Interest::READ, None));
            }
        }
    }
    let asked = WAITERS.ask(false, move || {
        let none = ptr::null_mut::<rusage>();
        let mut told = empty();
        // SAFETY: the answer has its place; the child stays to be waited for.
        unsafe { sys!(libc::SYS_waitid, kind, id, &raw mut told, events | libc::WNOWAIT, none) };
    });
    match asked {
        Some(asked) => asked.wait().err().map(|woken| refused(interruption::note(woken))),
        // All helpers are busy: look again in a while.
        None => refusal(Reactor::nap(None)),
    }
}

fn empty() -> siginfo_t {
    // SAFETY: all zeros is the information of no signal.
    unsafe { std::mem::zeroed() }
}

/// # Safety
/// As `wait4`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait4(
    pid: pid_t,
    status: *mut c_int,
    options: c_int,
    usage: *mut rusage,
) -> pid_t {
    // SAFETY: the caller's contract.
    let call = |options: c_int| unsafe { sys!(libc::SYS_wait4, pid, status, options, usage) };
    let Some(reactor) = cooperative(Family::CHILDREN).filter(|_| options & libc::WNOHANG == 0)
    else {
        return answer_int(call(options));
    };
    let (kind, id) = match pid {
        1.. => (libc::P_PID, pid as id_t),
        -1 => (libc::P_ALL, 0),
        // SAFETY: the call has no preconditions.
        0 => (libc::P_PGID, unsafe { sys!(libc::SYS_getpgid, 0) } as id_t),
        _ => (libc::P_PGID, pid.unsigned_abs()),
    };
    // The two calls' names for what is waited for; other bits are the same.
    let mut events = libc::WEXITED | options & !(libc::WNOHANG | libc::WUNTRACED);
    if options & libc::WUNTRACED != 0 {
        events |= libc::WSTOPPED;
    }
    loop {
        let raw = call(options | libc::WNOHANG);
        if raw != 0 {
            return answer_int(raw);
        }
        if let Some(refused) = await_news(reactor, kind, id, events) {
            return answer_int(refused);
        }
    }
}

/// # Safety
/// As `waitpid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    // SAFETY: the caller's contract.
    unsafe { wait4(pid, status, options, ptr::null_mut()) }
}

/// # Safety
/// As `wait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wait(status: *mut c_int) -> pid_t {
    // SAFETY: the caller's contract.
    unsafe { wait4(-1, status, 0, ptr::null_mut()) }
}

/// # Safety
/// As `waitid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn waitid(
    kind: idtype_t,
    id: id_t,
    told: *mut siginfo_t,
    options: c_int,
) -> c_int {
    let none = ptr::null_mut::<rusage>();
    let call = |told: *mut siginfo_t, options: c_int| {
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_waitid, kind, id, told, options, none) }
    };
    let Some(reactor) = cooperative(Family::CHILDREN).filter(|_| options & libc::WNOHANG == 0)
    else {
        return answer_int(call(told, options));
    };
    loop {
        let mut news = empty();
        let raw = call(&raw mut news, options | libc::WNOHANG);
        // SAFETY: a child's news, or zeros.
        if raw != 0 || unsafe { news.si_pid() } != 0 {
            // SAFETY: the caller's contract.
            if let Some(told) = unsafe { told.as_mut() }.filter(|_| raw == 0) {
                *told = news;
            }
            return answer_int(raw);
        }
        // The descriptor is its user's, who may want no waiting.
        if kind == libc::P_PIDFD && reactor.manner(id as RawFd, Interest::READ).nonblocking {
            return answer_int(refused(libc::EAGAIN));
        }
        if let Some(refused) = await_news(reactor, kind, id, options & !libc::WNOWAIT) {
            return answer_int(refused);
        }
    }
}

/// Forks with the hub's own thread descriptor, which libc looks for among its threads. The child
/// has neither hubs nor hooks, and had better call `exec`.
///
/// # Safety
/// As `fork`.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fork() -> pid_t {
    // SAFETY: the caller's contract.
    green::on_hub(|| unsafe { super::next::fork() })
}
