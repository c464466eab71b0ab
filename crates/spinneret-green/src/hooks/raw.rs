//! System calls without libc: a hook that called libc's function of its own name would call itself.

use std::arch::asm;

use libc::{c_int, c_long};

/// What the kernel answers: a result, or `-errno`.
pub(crate) type Raw = isize;

/// One argument of a system call.
pub(crate) trait Argument {
    fn word(self) -> usize;
}

macro_rules! argument {
    ($($signed:ty),*) => {$(
        impl Argument for $signed {
            // Sign extension, as C's conversion to `long` does it.
            #[allow(clippy::cast_sign_loss, clippy::cast_possible_wrap, clippy::cast_lossless)]
            fn word(self) -> usize {
                self as isize as usize
            }
        }
    )*};
}

argument!(i32, u32, i64, u64, isize, usize);

impl<T> Argument for *const T {
    fn word(self) -> usize {
        self as usize
    }
}

impl<T> Argument for *mut T {
    fn word(self) -> usize {
        self as usize
    }
}

/// Makes a system call with six arguments, as they stand in registers.
///
/// # Safety
/// As for the call: its pointers must be what it takes them for.
#[inline]
pub(crate) unsafe fn call(number: c_long, arguments: [usize; 6]) -> Raw {
    let mut answer = number as isize;
    // SAFETY: the registers are those of the kernel's calling convention, which changes rcx and
    // r11 besides; what the call does to memory is the caller's contract.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") answer,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// `sys!(SYS_read, fd, buffer, length)`: a system call with up to six arguments, `-errno` if it
/// fails. Unsafe as the call is.
macro_rules! sys {
    ($number:expr $(, $argument:expr)* $(,)?) => {{
        let given: &[usize] = &[$($crate::hooks::raw::Argument::word($argument)),*];
        let mut arguments = [0_usize; 6];
        arguments[..given.len()].copy_from_slice(given);
        $crate::hooks::raw::call($number, arguments)
    }};
}
pub(crate) use sys;

/// What a C function returns for the kernel's answer, with `errno` set if that is an error.
#[inline]
pub(crate) fn answer(raw: Raw) -> isize {
    if raw >= 0 { raw } else { fail(-raw as c_int) }
}

/// [`answer`] of functions that return an `int`.
#[inline]
pub(crate) fn answer_int(raw: Raw) -> c_int {
    answer(raw) as c_int
}

/// Sets `errno`; returns -1.
#[cold]
pub(crate) fn fail(errno: c_int) -> isize {
    // SAFETY: the call has no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the running thread's errno is always there.
    unsafe { *place = errno };
    -1
}

/// `-errno` as the kernel says it.
pub(crate) const fn refused(errno: c_int) -> Raw {
    -(errno as isize)
}

/// The kernel's answer of a descriptor that is not ready.
pub(crate) const AGAIN: Raw = refused(libc::EAGAIN);
