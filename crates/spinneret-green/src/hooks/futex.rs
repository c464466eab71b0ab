//! Futexes: what std, `parking_lot` and crossbeam wait with.
//!
//! They come by the variadic `syscall`. On `x86_64` its arguments are passed as those of any other
//! function; those that a caller left out are registers (and a word of the stack) with whatever
//! is in them, and the kernel does not look at them.
//!
//! Futexes that are private to the process wait in [`table`]. One that is shared with other
//! processes is woken through the kernel alone, so a helper thread waits for it there in the green
//! thread's place, with the kernel's exact meaning; as long as all helpers are busy, the green
//! thread looks at the word itself every millisecond instead, which needs nobody's wake and so
//! cannot deadlock. Nothing interrupts such a wait.
//!
//! `FUTEX_WAKE_OP`, `futex_waitv` and the locks with priority inheritance go to the kernel as they
//! are: nothing in Rust waits by them.

mod table;

use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use libc::{c_int, c_long, timespec};

use super::{
    Family,
    helpers::Helpers,
    raw::{AGAIN, Raw, answer, call, refused},
    time::{duration, now_on},
};
use crate::{
    green,
    task::{Task, earlier},
};

/// Waits for shared futexes, and for threads in [`super::threads`].
pub(super) static WAITERS: Helpers = Helpers::new("spinneret-waiter", 64);

/// # Safety
/// As `syscall`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
    fifth: usize,
    sixth: usize,
) -> c_long {
    let arguments = [first, second, third, fourth, fifth, sixth];
    let raw = if number == libc::SYS_futex && Family::LOCKS.is_on() {
        // SAFETY: the caller's contract.
        unsafe { futex(arguments) }
    } else {
        // SAFETY: the caller's contract.
        unsafe { call(number, arguments) }
    };
    answer(raw) as c_long
}

/// The kernel's call.
///
/// # Safety
/// As `futex`.
unsafe fn kernel(arguments: [usize; 6]) -> Raw {
    // SAFETY: the caller's contract.
    unsafe { call(libc::SYS_futex, arguments) }
}

/// # Safety
/// As `futex`.
unsafe fn futex(arguments: [usize; 6]) -> Raw {
    let [address, operation, value, fourth, second, third] = arguments;
    let operation = operation as c_int;
    let word = address as *const u32;
    let private = operation & libc::FUTEX_PRIVATE_FLAG != 0;
    let command = operation & libc::FUTEX_CMD_MASK;
    if !word.is_aligned() || word.is_null() {
        // SAFETY: the caller's contract.
        return unsafe { kernel(arguments) };
    }
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            let bits = if command == libc::FUTEX_WAIT { u32::MAX } else { third as u32 };
            // SAFETY: the caller's contract.
            unsafe { wait(arguments, private, bits) }
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET if private => {
            let bits = if command == libc::FUTEX_WAKE { u32::MAX } else { third as u32 };
            // The kernel wakes one if it is asked for none.
            let most = (value as u32).max(1);
            table::wake(word, bits, most, |most| {
                let [.., fourth, second, third] = arguments;
                let arguments = [address, operation as usize, most as usize, fourth, second, third];
                // SAFETY: the caller's contract.
                unsafe { kernel(arguments) }
            })
        }
        libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE if private => {
            let target = second as *const u32;
            let check = || {
                // SAFETY: the caller's contract: the word is there.
                let now = unsafe { AtomicU32::from_ptr(word.cast_mut()) }.load(Ordering::SeqCst);
                command == libc::FUTEX_REQUEUE || now == third as u32
            };
            let Some((woken, moved)) =
                table::requeue(word, target, value as u32, fourth as u32, check)
            else {
                return AGAIN;
            };
            let (wake, most) = (value as u32 - woken, fourth as u32 - moved);
            if wake == 0 && most == 0 {
                return (woken + moved) as Raw;
            }
            let rest = [address, operation as usize, wake as usize, most as usize, second, third];
            // SAFETY: the caller's contract.
            match unsafe { kernel(rest) } {
                raw if raw < 0 && woken + moved > 0 => (woken + moved) as Raw,
                raw if raw < 0 => raw,
                raw => raw + (woken + moved) as Raw,
            }
        }
        // SAFETY: the caller's contract.
        _ => unsafe { kernel(arguments) },
    }
}

/// # Safety
/// As `futex`.
unsafe fn wait(arguments: [usize; 6], private: bool, bits: u32) -> Raw {
    let [address, operation, expected, timeout, ..] = arguments;
    let word = address as *mut u32;
    let timeout = timeout as *const timespec;
    let current = green::current();
    let Some(task) = current.as_deref() else {
        let _counted = private.then(|| table::Thread::waits(word));
        // SAFETY: the caller's contract.
        return unsafe { kernel(arguments) };
    };
    // SAFETY: the caller's contract.
    let limit = unsafe { timeout.as_ref() };
    let deadline = match limit {
        None => None,
        // The kernel refuses it.
        // SAFETY: the caller's contract.
        Some(limit) if duration(*limit).is_none() => return unsafe { kernel(arguments) },
        Some(limit) => moment(operation as c_int, *limit),
    };
    // SAFETY: the caller's contract: the word is there while anybody waits for it.
    let word = unsafe { AtomicU32::from_ptr(word) };
    if bits == 0 {
        return refused(libc::EINVAL);
    }
    if private {
        return table::wait(task, word, expected as u32, bits, deadline);
    }
    wait_shared(arguments, word, expected as u32, limit.copied(), deadline)
}

/// When a futex wait ends; `None` for a time so far that it never comes.
fn moment(operation: c_int, limit: timespec) -> Option<Instant> {
    let limit = duration(limit)?;
    if operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT {
        return Instant::now().checked_add(limit);
    }
    // A moment on a clock. That of the wall may be set meanwhile; that is not noticed.
    let clock = if operation & libc::FUTEX_CLOCK_REALTIME == 0 {
        libc::CLOCK_MONOTONIC
    } else {
        libc::CLOCK_REALTIME
    };
    Instant::now().checked_add(limit.saturating_sub(now_on(clock)?))
}

/// See the module.
fn wait_shared(
    arguments: [usize; 6],
    word: &AtomicU32,
    expected: u32,
    limit: Option<timespec>,
    deadline: Option<Instant>,
) -> Raw {
    if word.load(Ordering::SeqCst) != expected {
        return AGAIN;
    }
    let asked = WAITERS.ask(false, move || {
        let mut arguments = arguments;
        arguments[3] = limit.as_ref().map_or(0, |limit| ptr::from_ref(limit) as usize);
        // SAFETY: the green thread, whose caller vouches for the word, waits meanwhile.
        unsafe { kernel(arguments) }
    });
    if let Some(asked) = asked {
        return asked.wait_firmly();
    }
    let soon = Instant::now() + Duration::from_millis(1);
    green::park_firmly(earlier(Some(soon), deadline));
    if word.load(Ordering::SeqCst) == expected
        && deadline.is_some_and(|deadline| deadline <= Instant::now())
    {
        return refused(libc::ETIMEDOUT);
    }
    // Whoever waits for a futex looks again.
    0
}

/// Checked here, since the table keeps pointers to tasks of other threads.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Task>();
};
