//! `poll` and `select`.
//!
//! The kernel's own answer without waiting decides; the reactor's edges only say when it is worth
//! asking again. A signal mask, where the call takes one, holds for each question, and not while
//! the coroutine is suspended.

use std::{
    os::fd::RawFd,
    ptr, slice,
    time::{Duration, Instant},
};

use libc::{c_int, c_ulong, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};

use super::{
    Family, cooperative,
    raw::{Raw, answer_int, fail, sys},
    time::duration,
};
use crate::green::{
    Reactor,
    reactor::{Interest, Refused},
};

/// Bytes of the kernel's signal set.
const SIGNALS: usize = 8;

/// When a wait ends.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// It is no wait: the call is made as it is.
    Now,
    Moment(Instant),
    Ever,
}

impl Until {
    pub fn after(length: Duration) -> Self {
        if length.is_zero() {
            return Self::Now;
        }
        Instant::now().checked_add(length).map_or(Self::Ever, Self::Moment)
    }

    pub fn millis(timeout: c_int) -> Self {
        match u64::try_from(timeout) {
            Ok(millis) => Self::after(Duration::from_millis(millis)),
            Err(_) => Self::Ever,
        }
    }

    pub fn deadline(self) -> Option<Instant> {
        if let Self::Moment(moment) = self { Some(moment) } else { None }
    }
}

/// Waits, after a question that was answered with 0, and asks again, until something else is
/// answered or time is up.
pub(super) fn ask_again(
    reactor: &Reactor,
    descriptors: &[(RawFd, Interest)],
    deadline: Option<Instant>,
    mut question: impl FnMut() -> Raw,
) -> Raw {
    loop {
        let waited = match descriptors {
            [(fd, interest)] => match reactor.wait(*fd, *interest, deadline) {
                // There is a way for several that passes such ones over.
                Err(Refused::Unpollable(_)) => reactor.wait_any(descriptors, deadline),
                waited => waited,
            },
            _ => reactor.wait_any(descriptors, deadline),
        };
        match waited {
            Ok(()) => {}
            Err(Refused::TimedOut) => return question(),
            Err(refused) => return refused.raw(),
        }
        let raw = question();
        if raw != 0 {
            return raw;
        }
    }
}

fn interest(events: i16) -> Interest {
    // Errors and ends, which nobody has to ask for, come in either direction.
    let writes = events & (libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND);
    match (events & !writes, writes) {
        (_, 0) => Interest::READ,
        (0, _) => Interest::WRITE,
        _ => Interest::BOTH,
    }
}

/// Waits for what `poll` was asked for.
///
/// # Safety
/// As `poll`.
unsafe fn wait_for(
    reactor: &Reactor,
    entries: *mut pollfd,
    count: nfds_t,
    deadline: Option<Instant>,
    question: impl FnMut() -> Raw,
) -> Raw {
    if let (1, false) = (count, entries.is_null()) {
        // SAFETY: the caller's contract: there is one entry.
        let one = unsafe { *entries };
        if one.fd >= 0 {
            return ask_again(reactor, &[(one.fd, interest(one.events))], deadline, question);
        }
    }
    let all: &[pollfd] = if count == 0 || entries.is_null() {
        &[]
    } else {
        // SAFETY: the caller's contract: there are so many entries.
        unsafe { slice::from_raw_parts(entries, count as usize) }
    };
    let descriptors: Vec<(RawFd, Interest)> = all
        .iter()
        .filter(|entry| entry.fd >= 0)
        .map(|entry| (entry.fd, interest(entry.events)))
        .collect();
    ask_again(reactor, &descriptors, deadline, question)
}

/// # Safety
/// As `poll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(entries: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: the caller's contract.
    let call = |timeout: c_int| unsafe { sys!(libc::SYS_poll, entries, count, timeout) };
    let Some(reactor) = cooperative(Family::POLL).filter(|_| timeout != 0) else {
        return answer_int(call(timeout));
    };
    let raw = call(0);
    if raw != 0 {
        return answer_int(raw);
    }
    let deadline = Until::millis(timeout).deadline();
    // SAFETY: the caller's contract; the kernel took the entries.
    answer_int(unsafe { wait_for(reactor, entries, count, deadline, || call(0)) })
}

/// # Safety
/// As `ppoll`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    entries: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // libc does not change the caller's time, as the kernel would.
    // SAFETY: the caller's contract.
    let mut time = unsafe { timeout.as_ref() }.copied();
    let call = |time: *mut timespec| {
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_ppoll, entries, count, time, mask, SIGNALS) }
    };
    let until = match time {
        None => Some(Until::Ever),
        Some(time) => duration(time).map(Until::after),
    };
    let (Some(reactor), Some(until @ (Until::Ever | Until::Moment(_)))) =
        (cooperative(Family::POLL), until)
    else {
        return answer_int(call(time.as_mut().map_or(ptr::null_mut(), ptr::from_mut)));
    };
    let now = || {
        let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
        call(&raw mut none)
    };
    let raw = now();
    if raw != 0 {
        return answer_int(raw);
    }
    // SAFETY: the caller's contract; the kernel took the entries.
    answer_int(unsafe { wait_for(reactor, entries, count, until.deadline(), now) })
}

/// The three sets of one `select`. A missing one is null.
#[derive(Clone, Copy)]
struct Sets([*mut fd_set; 3]);

impl Sets {
    /// Words of each set that the kernel reads.
    fn words(count: c_int) -> usize {
        count as usize / 64 + usize::from(count % 64 != 0)
    }

    /// What they hold, as words; a missing one is empty.
    ///
    /// # Safety
    /// Each set that is there has room for `count` descriptors.
    unsafe fn read(self, count: c_int) -> [Vec<c_ulong>; 3] {
        self.0.map(|set| {
            if set.is_null() {
                return Vec::new();
            }
            // SAFETY: the caller's contract; sets are made of words.
            unsafe { slice::from_raw_parts(set.cast(), Self::words(count)) }.to_vec()
        })
    }

    /// # Safety
    /// As [`read`](Self::read), which gave `values`.
    unsafe fn write(self, values: &[Vec<c_ulong>; 3]) {
        for (set, value) in self.0.into_iter().zip(values) {
            if !set.is_null() {
                // SAFETY: the caller's contract.
                unsafe { ptr::copy_nonoverlapping(value.as_ptr(), set.cast(), value.len()) };
            }
        }
    }
}

/// Waits as `select` does, without a change of the sets until something is there or time is up.
///
/// # Safety
/// As `select`; `question` is given sets of its own.
unsafe fn wait_select(
    reactor: &Reactor,
    count: c_int,
    sets: Sets,
    deadline: Option<Instant>,
    question: impl Fn([*mut fd_set; 3]) -> Raw,
) -> Raw {
    // SAFETY: the caller's contract.
    let asked = unsafe { sets.read(count) };
    let mut found = asked.clone();
    let mut descriptors = Vec::new();
    for fd in 0..count {
        let is_in = |set: &Vec<c_ulong>| {
            set.get(fd as usize / 64).is_some_and(|word| word >> (fd % 64) & 1 != 0)
        };
        let [reads, writes, others] = [&asked[0], &asked[1], &asked[2]].map(is_in);
        match (reads || others, writes) {
            (true, true) => descriptors.push((fd, Interest::BOTH)),
            (true, false) => descriptors.push((fd, Interest::READ)),
            (false, true) => descriptors.push((fd, Interest::WRITE)),
            (false, false) => {}
        }
    }
    let mut question = || {
        found.clone_from(&asked);
        let mut places = [ptr::null_mut(); 3];
        for (place, (words, set)) in places.iter_mut().zip(found.iter_mut().zip(sets.0)) {
            if !set.is_null() {
                *place = words.as_mut_ptr().cast();
            }
        }
        question(places)
    };
    let raw = match question() {
        0 => ask_again(reactor, &descriptors, deadline, question),
        raw => raw,
    };
    if raw >= 0 {
        // SAFETY: the caller's contract.
        unsafe { sets.write(&found) };
    }
    raw
}

/// # Safety
/// As `select`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    reads: *mut fd_set,
    writes: *mut fd_set,
    others: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // Microseconds may be more than a second here, unlike in the kernel's call that libc uses.
    // SAFETY: the caller's contract.
    let mut time = match unsafe { timeout.as_ref() } {
        None => None,
        Some(time) if time.tv_sec < 0 || time.tv_usec < 0 => return fail(libc::EINVAL) as c_int,
        Some(time) => Some(timespec {
            tv_sec: time.tv_sec.saturating_add(time.tv_usec / 1_000_000),
            tv_nsec: time.tv_usec % 1_000_000 * 1_000,
        }),
    };
    let place = time.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's contract; the time is on the stack.
    let raw = unsafe { select_for(count, [reads, writes, others], place, ptr::null()) };
    // SAFETY: the caller's contract. Linux tells how much time is left.
    if let (Some(told), Some(left)) = (unsafe { timeout.as_mut() }, time) {
        told.tv_sec = left.tv_sec;
        told.tv_usec = left.tv_nsec / 1_000;
    }
    answer_int(raw)
}

/// # Safety
/// As `pselect`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    count: c_int,
    reads: *mut fd_set,
    writes: *mut fd_set,
    others: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // The kernel takes the mask and its size by one pointer.
    let mask = [mask as usize, SIGNALS];
    // libc does not change the caller's time, as the kernel does.
    // SAFETY: the caller's contract.
    let mut time = unsafe { timeout.as_ref() }.copied();
    let place = time.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the caller's contract; the time and the mask are on the stack.
    answer_int(unsafe { select_for(count, [reads, writes, others], place, mask.as_ptr()) })
}

/// `pselect6`, the kernel's call for both: it writes the time that is left to `timeout`.
///
/// # Safety
/// As `pselect6`.
unsafe fn select_for(
    count: c_int,
    sets: [*mut fd_set; 3],
    timeout: *mut timespec,
    mask: *const usize,
) -> Raw {
    let call = |sets: [*mut fd_set; 3], time: *mut timespec| {
        let [reads, writes, others] = sets;
        // SAFETY: the caller's contract.
        unsafe { sys!(libc::SYS_pselect6, count, reads, writes, others, time, mask) }
    };
    // SAFETY: the caller's contract.
    let until = match unsafe { timeout.as_ref() } {
        None => Some(Until::Ever),
        Some(time) => duration(*time).map(Until::after),
    };
    let (Some(reactor), Some(until @ (Until::Ever | Until::Moment(_))), 0..) =
        (cooperative(Family::POLL), until, count)
    else {
        return call(sets, timeout);
    };
    let question = |sets| {
        let mut none = timespec { tv_sec: 0, tv_nsec: 0 };
        call(sets, &raw mut none)
    };
    // SAFETY: the caller's contract.
    let raw = unsafe { wait_select(reactor, count, Sets(sets), until.deadline(), question) };
    // SAFETY: the caller's contract.
    if let (Some(time), Some(end)) = (unsafe { timeout.as_mut() }, until.deadline()) {
        let left = end.saturating_duration_since(Instant::now());
        time.tv_sec = left.as_secs() as i64;
        time.tv_nsec = i64::from(left.subsec_nanos());
    }
    raw
}
