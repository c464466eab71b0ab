//! libc's own functions, where a hook needs more than a system call: found behind the hooks, in
//! the order in which the dynamic linker looks.
//!
//! A program that is linked statically has none behind them, so the hooks that need them are left
//! out there.

use std::{
    ffi::CStr,
    mem, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use libc::{addrinfo, c_char, c_int, c_void, pid_t, pthread_attr_t, pthread_key_t, pthread_t};

/// A destructor of a thread-local.
pub(super) type Destructor = unsafe extern "C" fn(*mut c_void);

/// What a thread begins with.
pub(super) type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// The next definition of `name`, kept in `place`. Aborts the process if there is none: a hook has
/// no other way on.
#[inline]
fn find(place: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = place.load(Ordering::Acquire);
    if found.is_null() { look_up(place, name) } else { found }
}

#[cold]
fn look_up(place: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        let message = b"spinneret-green: libc lacks a function that is hooked\n";
        // SAFETY: so many bytes are there.
        unsafe {
            super::raw::sys!(libc::SYS_write, 2, message.as_ptr(), message.len());
        };
        std::process::abort();
    }
    place.store(found, Ordering::Release);
    found
}

macro_rules! next {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            /// libc's own.
            ///
            /// # Safety
            /// As the function of that name.
            #[allow(clippy::too_many_arguments)]
            pub(super) unsafe fn $name($($argument: $type),*) -> $result {
                static PLACE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
                const NAME: &CStr = match CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => unreachable!(),
                };
                let found = find(&PLACE, NAME);
                // SAFETY: libc's function of this name has this type.
                let function = unsafe {
                    mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(
                        found,
                    )
                };
                // SAFETY: the caller's contract.
                unsafe { function($($argument),*) }
            }
        )*
    };
}

next! {
    getaddrinfo(
        node: *const c_char,
        service: *const c_char,
        hints: *const addrinfo,
        found: *mut *mut addrinfo
    ) -> c_int;
    fork() -> pid_t;
    pthread_create(
        thread: *mut pthread_t,
        attributes: *const pthread_attr_t,
        start: Start,
        argument: *mut c_void
    ) -> c_int;
    pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int;
    pthread_detach(thread: pthread_t) -> c_int;
    pthread_setname_np(thread: pthread_t, name: *const c_char) -> c_int;
    pthread_getattr_np(thread: pthread_t, attributes: *mut pthread_attr_t) -> c_int;
    pthread_key_create(key: *mut pthread_key_t, destructor: Option<Destructor>) -> c_int;
    pthread_key_delete(key: pthread_key_t) -> c_int;
    __cxa_thread_atexit_impl(
        destructor: Destructor,
        object: *mut c_void,
        library: *mut c_void
    ) -> c_int;
}
