//! Threads of the operating system, made and joined by green threads.
//!
//! A green thread has a thread descriptor of its own, of which libc knows nothing. Calls in which
//! libc looks for the caller's descriptor run with the hub's, patched or not; those that name the
//! caller itself get an answer that is true of the green thread.

use std::{
    ptr,
    time::{Duration, Instant},
};

use libc::{c_char, c_int, c_void, pthread_attr_t, pthread_t};

use super::{
    Family,
    futex::WAITERS,
    next::{self, Start},
};
use crate::green;

/// # Safety
/// As `pthread_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's contract.
    green::on_hub(|| unsafe { next::pthread_create(thread, attributes, start, argument) })
}

/// # Safety
/// As `pthread_detach`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_detach(thread: pthread_t) -> c_int {
    // SAFETY: the caller's contract.
    green::on_hub(|| unsafe { next::pthread_detach(thread) })
}

/// A helper waits for the thread's end in the green thread's place; if all are busy, it is looked
/// for every millisecond, so that threads which wait for each other cannot exhaust them. Nothing
/// interrupts the wait: std takes a join that fails for a fault of its own.
///
/// # Safety
/// As `pthread_join`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int {
    if !Family::THREADS.is_on() || !green::in_green_thread() {
        // SAFETY: the caller's contract.
        return green::on_hub(|| unsafe { next::pthread_join(thread, value) });
    }
    loop {
        // SAFETY: the caller's contract.
        let tried = green::on_hub(|| unsafe { libc::pthread_tryjoin_np(thread, value) });
        if tried != libc::EBUSY {
            return tried;
        }
        let asked = WAITERS.ask(false, move || {
            let mut value = ptr::null_mut();
            // SAFETY: the green thread, whose caller vouches for the thread, waits meanwhile.
            let code = unsafe { next::pthread_join(thread, &raw mut value) };
            Some((code, value as usize))
        });
        match asked.map(super::helpers::Asked::wait_firmly) {
            Some(Some((code, joined))) => {
                // SAFETY: the caller's contract.
                if let Some(value) = unsafe { value.as_mut() }.filter(|_| code == 0) {
                    *value = joined as *mut c_void;
                }
                return code;
            }
            // Joining does not panic.
            Some(None) => return libc::EINVAL,
            None => {
                green::park_firmly(Some(Instant::now() + Duration::from_millis(1)));
            }
        }
    }
}

/// Whether `thread` is the green thread that runs.
fn is_this_green_thread(thread: pthread_t) -> bool {
    // SAFETY: the call has no preconditions.
    green::in_green_thread() && thread == unsafe { libc::pthread_self() }
}

/// A green thread's name is not its hub's: nothing is renamed.
///
/// # Safety
/// As `pthread_setname_np`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_setname_np(thread: pthread_t, name: *const c_char) -> c_int {
    if is_this_green_thread(thread) {
        return 0;
    }
    // SAFETY: the caller's contract.
    unsafe { next::pthread_setname_np(thread, name) }
}

/// The stack that is told is the green thread's; crates that look how much is left ask here.
///
/// # Safety
/// As `pthread_getattr_np`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_getattr_np(
    thread: pthread_t,
    attributes: *mut pthread_attr_t,
) -> c_int {
    let Some(stack) = green::stack().filter(|_| is_this_green_thread(thread)) else {
        // SAFETY: the caller's contract.
        return unsafe { next::pthread_getattr_np(thread, attributes) };
    };
    let code = green::on_hub(|| {
        // SAFETY: the call has no preconditions.
        let hub = unsafe { libc::pthread_self() };
        // SAFETY: the caller's contract; the hub's thread is there.
        unsafe { next::pthread_getattr_np(hub, attributes) }
    });
    if code != 0 {
        return code;
    }
    let (low, size) = (stack.start as *mut c_void, stack.len());
    // SAFETY: the attributes were just made.
    unsafe { libc::pthread_attr_setstack(attributes, low, size) }
}
