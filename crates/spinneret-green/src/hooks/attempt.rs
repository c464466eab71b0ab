//! The one way in which calls on descriptors wait.

use std::{
    os::fd::RawFd,
    time::{Duration, Instant},
};

use libc::c_int;

use super::{
    interruption,
    raw::{AGAIN, Raw, refused, sys},
};
use crate::{
    green::{
        self, Reactor,
        reactor::{Interest, Manner, Refused},
    },
    task::Woken,
};

impl Refused {
    /// What a call answers whose wait ended like this.
    pub(super) fn raw(self) -> Raw {
        refused(match self {
            Self::TimedOut => libc::EAGAIN,
            Self::OutOfTime => interruption::note(Woken::TimedOut),
            Self::Cancelled => interruption::note(Woken::Cancelled),
            Self::Closed => libc::EBADF,
            Self::Unpollable(errno) => errno,
        })
    }
}

impl Manner {
    /// When a wait that begins now ends by the descriptor's own timeout.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self.micros {
            0 => None,
            micros => Instant::now().checked_add(Duration::from_micros(micros)),
        }
    }
}

/// Makes a call on `fd` that waits for one direction. `call` is given `MSG_DONTWAIT`, and must not
/// block then but answer `EAGAIN`; or 0, if the descriptor cannot be waited for in any other way.
#[inline]
pub(super) fn attempt(
    reactor: &Reactor,
    fd: RawFd,
    interest: Interest,
    mut call: impl FnMut(c_int) -> Raw,
) -> Raw {
    let is_tried = !reactor.is_dry(fd, interest);
    if is_tried {
        let raw = call(libc::MSG_DONTWAIT);
        if raw != AGAIN {
            if reactor.is_greedy() {
                green::yield_now();
            }
            return raw;
        }
    }
    let manner = reactor.manner(fd, interest);
    if manner.nonblocking {
        return if is_tried { AGAIN } else { call(libc::MSG_DONTWAIT) };
    }
    let deadline = manner.deadline();
    // Some calls find nothing although their descriptor is said to be ready, such as sending to a
    // local socket whose queue is full: no event tells of that.
    let mut is_doubtful = interest == Interest::WRITE;
    loop {
        reactor.dry(fd, interest);
        let waited = if is_doubtful && readiness(fd, events(interest)) & events(interest) != 0 {
            Reactor::nap(deadline)
        } else {
            reactor.wait(fd, interest, deadline)
        };
        match waited {
            Ok(()) => {}
            Err(Refused::Unpollable(_)) => return call(0),
            Err(refused) => return refused.raw(),
        }
        let raw = call(libc::MSG_DONTWAIT);
        if raw != AGAIN {
            return raw;
        }
        is_doubtful = true;
    }
}

/// [`attempt`]s again and again until all of `length` is written, as a blocking call does it; an
/// error after a part is not told, for the next call meets it again. `call` is also given how much
/// is done.
#[inline]
pub(super) fn attempt_all(
    reactor: &Reactor,
    fd: RawFd,
    length: usize,
    mut call: impl FnMut(usize, c_int) -> Raw,
) -> Raw {
    let mut done = 0;
    loop {
        let raw = attempt(reactor, fd, Interest::WRITE, |wait| call(done, wait));
        if raw <= 0 {
            return if done > 0 { done as Raw } else { raw };
        }
        done += raw as usize;
        if done >= length {
            return done as Raw;
        }
    }
}

/// What `poll` says of one descriptor at once: 0 if none of `events` is there.
pub(super) fn readiness(fd: RawFd, events: i16) -> i16 {
    let mut asked = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry is read and written.
    let raw = unsafe { sys!(libc::SYS_poll, &raw mut asked, 1, 0) };
    if raw > 0 { asked.revents } else { 0 }
}

/// The `poll` events of one direction.
pub(super) fn events(interest: Interest) -> i16 {
    if interest == Interest::READ { libc::POLLIN } else { libc::POLLOUT }
}
