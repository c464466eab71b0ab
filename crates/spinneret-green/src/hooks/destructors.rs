//! Destructors of thread-locals. Each green thread has thread-locals of its own, so their
//! destructors run at its end; libc would run them at its hub's.
//!
//! These hooks need no patching: they are part of what a green thread is.

use std::{
    cell::Cell,
    mem, ptr,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering},
};

use libc::{c_int, c_void, pthread_key_t};

use super::next::{self, Destructor};
use crate::green;

/// `PTHREAD_KEYS_MAX`.
const KEYS: usize = 1024;

/// `PTHREAD_DESTRUCTOR_ITERATIONS`: destructors may make further values, so often.
const ROUNDS: usize = 4;

/// The destructors of libc's keys, by key; null where there is none.
static OF_KEYS: [AtomicPtr<c_void>; KEYS] = [const { AtomicPtr::new(ptr::null_mut()) }; KEYS];

/// Keys from this one on never had a destructor: the end of a green thread looks at the others.
static KEYS_END: AtomicUsize = AtomicUsize::new(0);

/// One destructor that was registered, and the one before.
struct Registered {
    destructor: Destructor,
    object: *mut c_void,
    before: Option<Box<Registered>>,
}

thread_local! {
    /// The last one of this green thread; null if there is none. Not an `Option` of a box, which
    /// would have a destructor itself.
    static LAST: Cell<*mut Registered> = const { Cell::new(ptr::null_mut()) };
}

/// # Safety
/// As `__cxa_thread_atexit_impl`: `destructor` may be called with `object` at the thread's end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cxa_thread_atexit_impl(
    destructor: Destructor,
    object: *mut c_void,
    library: *mut c_void,
) -> c_int {
    if !green::in_green_thread() {
        // SAFETY: the caller's contract.
        return unsafe { next::__cxa_thread_atexit_impl(destructor, object, library) };
    }
    let last = LAST.get();
    // SAFETY: it came from a box, and `LAST` is set anew below.
    let before = (!last.is_null()).then(|| unsafe { Box::from_raw(last) });
    LAST.set(Box::into_raw(Box::new(Registered { destructor, object, before })));
    0
}

/// # Safety
/// As `pthread_key_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_key_create(
    key: *mut pthread_key_t,
    destructor: Option<Destructor>,
) -> c_int {
    // SAFETY: the caller's contract.
    let code = unsafe { next::pthread_key_create(key, destructor) };
    if code == 0 {
        // SAFETY: the key was just written.
        let key = unsafe { *key } as usize;
        if let Some(place) = OF_KEYS.get(key) {
            let destructor = destructor.map_or(ptr::null_mut(), |known| known as *mut c_void);
            place.store(destructor, Ordering::Release);
            if !destructor.is_null() {
                KEYS_END.fetch_max(key + 1, Ordering::Release);
            }
        }
    }
    code
}

/// # Safety
/// As `pthread_key_delete`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_key_delete(key: pthread_key_t) -> c_int {
    if let Some(place) = OF_KEYS.get(key as usize) {
        place.store(ptr::null_mut(), Ordering::Release);
    }
    // SAFETY: the caller's contract.
    unsafe { next::pthread_key_delete(key) }
}

/// Runs the destructors of the green thread that runs, whose end it is.
pub(super) fn run() {
    for _ in 0..ROUNDS {
        run_registered();
        if !run_keys() {
            break;
        }
    }
    run_registered();
}

/// Forgets what the running green thread registered so far: its thread-locals are to be those that
/// others begin with, and nobody's to destroy.
pub(super) fn forget() {
    let mut last = LAST.replace(ptr::null_mut());
    while !last.is_null() {
        // SAFETY: it came from a box, and nothing else refers to it.
        let forgotten = *unsafe { Box::from_raw(last) };
        last = forgotten.before.map_or(ptr::null_mut(), Box::into_raw);
    }
}

/// The last registered runs first.
fn run_registered() {
    loop {
        let last = LAST.replace(ptr::null_mut());
        if last.is_null() {
            return;
        }
        // SAFETY: it came from a box, and nothing else refers to it.
        let last = *unsafe { Box::from_raw(last) };
        LAST.set(last.before.map_or(ptr::null_mut(), Box::into_raw));
        // SAFETY: whoever registered it vouched for that.
        unsafe { (last.destructor)(last.object) };
    }
}

/// One round; says whether there was any value.
fn run_keys() -> bool {
    let mut any = false;
    for (key, place) in OF_KEYS[..KEYS_END.load(Ordering::Acquire)].iter().enumerate() {
        let destructor = place.load(Ordering::Acquire);
        if destructor.is_null() {
            continue;
        }
        let key = key as pthread_key_t;
        // SAFETY: the key exists, for it has a destructor.
        let value = unsafe { libc::pthread_getspecific(key) };
        if value.is_null() {
            continue;
        }
        any = true;
        // SAFETY: as above.
        unsafe { libc::pthread_setspecific(key, ptr::null()) };
        // SAFETY: only destructors are stored there.
        let destructor = unsafe { mem::transmute::<*mut c_void, Destructor>(destructor) };
        // SAFETY: whoever made the key vouched for that.
        unsafe { destructor(value) };
    }
    any
}
