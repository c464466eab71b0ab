//! Sleeping and yielding.

use std::{
    ptr,
    time::{Duration, Instant},
};

use libc::{c_int, c_uint, clockid_t, timespec, useconds_t};

use super::{
    Family,
    interruption::{self, End},
    raw::{Raw, answer_int, fail, refused, sys},
};
use crate::green;

fn sleeps_here() -> bool {
    Family::SLEEP.is_on() && green::in_green_thread()
}

/// A length of time as the kernel takes it; `None` if it refuses it.
pub(super) fn duration(time: timespec) -> Option<Duration> {
    let nanos = u32::try_from(time.tv_nsec).ok().filter(|&nanos| nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, nanos))
}

/// The time on a clock, as since its beginning.
pub(super) fn now_on(clock: clockid_t) -> Option<Duration> {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is written.
    let raw = unsafe { libc::clock_gettime(clock, &raw mut now) };
    if raw == 0 { duration(now) } else { None }
}

/// Sleeps for `length`; the answer is the kernel's.
fn suspend(length: Duration) -> Raw {
    if length.is_zero() {
        green::yield_now();
        return 0;
    }
    // Too far to be a moment: for ever.
    let deadline = Instant::now().checked_add(length);
    loop {
        match interruption::park(deadline) {
            End::Unparked => {}
            End::Deadline | End::Early(_) => return 0,
            End::Again(woken) => return refused(interruption::note(woken)),
        }
    }
}

/// # Safety
/// As `clock_nanosleep`, which returns its error number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    request: *const timespec,
    remaining: *mut timespec,
) -> c_int {
    // Clocks of processor time stand still while the coroutine is suspended.
    let told = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC)
        || matches!(clock, libc::CLOCK_BOOTTIME | libc::CLOCK_TAI);
    let length = (told && sleeps_here())
        .then(|| {
            // SAFETY: the caller's contract.
            let asked = duration(unsafe { *request })?;
            if flags & libc::TIMER_ABSTIME == 0 {
                return Some(asked);
            }
            Some(asked.saturating_sub(now_on(clock)?))
        })
        .flatten();
    let raw = match length {
        Some(length) => {
            let started = Instant::now();
            let raw = suspend(length);
            // SAFETY: the caller's contract; nobody is told what is left until a moment.
            let left = unsafe { remaining.as_mut() };
            if let Some(left) = left.filter(|_| raw < 0 && flags & libc::TIMER_ABSTIME == 0) {
                let rest = length.saturating_sub(started.elapsed());
                left.tv_sec = rest.as_secs() as i64;
                left.tv_nsec = i64::from(rest.subsec_nanos());
            }
            raw
        }
        // libc refuses the clock of the calling thread, which the kernel's call would take.
        None if clock == libc::CLOCK_THREAD_CPUTIME_ID => return libc::EINVAL,
        // SAFETY: the caller's contract.
        None => unsafe { sys!(libc::SYS_clock_nanosleep, clock, flags, request, remaining) },
    };
    -raw as c_int
}

/// # Safety
/// As `nanosleep`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(request: *const timespec, remaining: *mut timespec) -> c_int {
    // SAFETY: the caller's contract; this is what libc's does.
    match unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, request, remaining) } {
        0 => 0,
        errno => fail(errno) as c_int,
    }
}

/// # Safety
/// None: the calls below have no preconditions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usleep(micros: useconds_t) -> c_int {
    let request = timespec {
        tv_sec: i64::from(micros / 1_000_000),
        tv_nsec: i64::from(micros % 1_000_000) * 1_000,
    };
    // SAFETY: the time is on the stack.
    unsafe { nanosleep(&raw const request, ptr::null_mut()) }
}

/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sleep(seconds: c_uint) -> c_uint {
    let mut time = timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
    let place = &raw mut time;
    // SAFETY: the time is on the stack.
    match unsafe { nanosleep(place, place) } {
        0 => 0,
        // What is left, in whole seconds.
        _ => time.tv_sec as c_uint,
    }
}

/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sched_yield() -> c_int {
    if sleeps_here() {
        green::yield_now();
        return 0;
    }
    // SAFETY: the call has no preconditions.
    answer_int(unsafe { sys!(libc::SYS_sched_yield) })
}
