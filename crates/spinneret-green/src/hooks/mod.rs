//! The blocking calls of libc, made to suspend the green thread that makes them instead of its
//! hub.
//!
//! Each hook is a function of libc's name, which the linker prefers to libc's own, for Rust and
//! for C libraries alike. It goes straight to the kernel (by [`raw`], since libc's function is out
//! of reach) unless its [`Family`] is switched on *and* a green thread runs it on its own stack.
//! Then it follows one pattern, in [`attempt`]: make the call so that it cannot block; if there is
//! nothing, ask how the user wants to wait (`O_NONBLOCK`, `SO_RCVTIMEO`), wait in the hub's
//! reactor, and try again. A descriptor's own flags are never left changed.
//!
//! | file | calls |
//! | --- | --- |
//! | [`io`] | `read` `write` `readv` `writev` `splice` `sendfile` |
//! | [`socket`] | `recv` `recvfrom` `send` `sendto` `connect` `accept` `accept4` |
//! | [`message`] | `recvmsg` `sendmsg` `recvmmsg` `sendmmsg` |
//! | [`options`] | `fcntl` `ioctl` `setsockopt` |
//! | [`close`] | `close` `dup2` `dup3` `close_range` |
//! | [`poll`], [`epoll`] | `poll` `ppoll` `select` `pselect`, `epoll_wait` `epoll_pwait` `epoll_pwait2` |
//! | [`time`] | `clock_nanosleep` `nanosleep` `usleep` `sleep` `sched_yield` |
//! | [`futex`] | `syscall(SYS_futex)` |
//! | [`names`] | `getaddrinfo` |
//! | [`children`] | `waitpid` `wait` `wait4` `waitid` `fork` |
//! | [`threads`] | `pthread_create` `pthread_join` `pthread_detach`, and what names the calling thread |
//! | [`fortified`] | `__read_chk` `__recv_chk` `__recvfrom_chk` `__poll_chk` `__ppoll_chk` |
//! | [`destructors`] | `__cxa_thread_atexit_impl` `pthread_key_create` `pthread_key_delete` |
//!
//! # Interruption
//! A hook never unwinds: that would abort in an `extern "C"` frame. In a cancelled coroutine, a
//! call that would wait fails with `ECANCELED`; at the end of a `timeout()`, with `ETIMEDOUT`.
//! Two kinds of waits have no error that std expects:
//!
//! - A futex wait without a timeout is a lock's or a park's, which cannot be given up: nothing
//!   interrupts it. With a timeout, it ends early once, as if that had passed; if the coroutine
//!   waits again, it waits its full time.
//! - A sleep ends early once, as if it were over. If the coroutine sleeps again, it gets the
//!   error, with which std panics: that ends a loop of sleeps, see [`interruption`].
//!
//! # What blocks the hub nevertheless
//! Locks on files (`flock`, `fcntl(F_SETLKW)`), `msgrcv` and its like, `pause` and waits for signals;
//! what libc waits for inside itself (`pthread_mutex_lock`, `sem_wait`, `system`), since such calls
//! do not go by a symbol; programs that make system calls themselves; and `accept`, if a process
//! that shares the listener takes the connection between the look and the call.
//!
//! # After a fork
//! The child is one thread without hubs: its hooks pass everything through.

#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the kernel and libc have different types for the same words"
)]

mod attempt;
mod children;
mod close;
#[cfg(not(target_feature = "crt-static"))]
mod destructors;
mod epoll;
mod fortified;
mod futex;
mod helpers;
mod interruption;
mod io;
mod iov;
mod lock;
mod message;
#[cfg(not(target_feature = "crt-static"))]
mod names;
#[cfg(not(target_feature = "crt-static"))]
mod next;
mod options;
mod poll;
pub(crate) mod raw;
mod socket;
#[cfg(not(target_feature = "crt-static"))]
mod threads;
mod time;

use std::sync::{
    Once,
    atomic::{AtomicI32, AtomicU32, Ordering},
};

pub(crate) use lock::RawLock;

use crate::green::{self, Reactor};

/// Which families are switched on.
static PATCHED: AtomicU32 = AtomicU32::new(0);

/// The process in which they are.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// Calls that are switched on together, one or several families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family(u32);

impl Family {
    /// Sockets, pipes and terminals: reads, writes, connecting and accepting.
    pub const SOCKETS: Self = Self(1);
    pub const SLEEP: Self = Self(2);
    /// Futexes.
    pub const LOCKS: Self = Self(4);
    pub const NAMES: Self = Self(8);
    pub const CHILDREN: Self = Self(16);
    pub const POLL: Self = Self(32);
    pub const THREADS: Self = Self(64);

    #[inline]
    pub fn is_on(self) -> bool {
        PATCHED.load(Ordering::Relaxed) & self.0 != 0
    }
}

/// Switches `family` on, for the rest of the process's life.
pub(crate) fn enable(family: Family) {
    static AT_FORK: Once = Once::new();
    AT_FORK.call_once(|| {
        // SAFETY: the handler only stores to a static.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
    // SAFETY: the call has no preconditions.
    PROCESS.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    PATCHED.fetch_or(family.0, Ordering::SeqCst);
}

/// Runs the destructors of the running green thread's thread-locals, as its last act.
pub(crate) fn end_thread() {
    #[cfg(not(target_feature = "crt-static"))]
    destructors::run();
}

/// Forgets the destructors that the running green thread registered so far.
pub(crate) fn forget_destructors() {
    #[cfg(not(target_feature = "crt-static"))]
    destructors::forget();
}

/// Runs in the child of a fork.
unsafe extern "C" fn forked() {
    PATCHED.store(0, Ordering::Relaxed);
}

/// The running green thread's reactor, if calls of `family` are to suspend it.
#[inline]
fn cooperative(family: Family) -> Option<&'static Reactor> {
    if family.is_on() && green::in_green_thread() { green::reactor() } else { None }
}
