//! A coroutine that overflows its stack is named before the program ends.
//!
//! The fault is that of the guard page below the stack. The handler runs on the thread's alternate
//! signal stack and writes with plain system calls. Faults elsewhere go to the handler that was
//! there before, such as std's for the threads of the operating system.

use std::{
    ffi::{c_int, c_void},
    fmt::{self, Write},
    mem::MaybeUninit,
    ptr,
    sync::OnceLock,
};

use super::{
    current::current,
    home::{green, pointer},
    stack::PAGE,
};
use crate::task::Inner;

static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Bytes of an alternate stack made here: a frame of any processor's registers, and ours.
const ALTERNATE: usize = 64 << 10;

/// Handles faults, from the first call on.
pub(super) fn handle() {
    BEFORE.get_or_init(|| {
        // SAFETY: zeros are valid in this structure.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let mut before = MaybeUninit::zeroed();
        // SAFETY: both structures are valid, and the handler keeps to what handlers may do.
        unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, before.as_mut_ptr()) };
        // SAFETY: written by the call; zeros, the default action, if it failed.
        unsafe { before.assume_init() }
    });
}

/// Gives the thread an alternate signal stack if it has none. It is never freed.
pub(super) fn ensure_stack() {
    let mut has = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: the structure is valid.
    unsafe { libc::sigaltstack(ptr::null(), has.as_mut_ptr()) };
    // SAFETY: written by the call, or zeros.
    let has = unsafe { has.assume_init() };
    if !has.ss_sp.is_null() && has.ss_flags & libc::SS_DISABLE == 0 {
        return;
    }
    let memory = Box::leak(vec![0u8; ALTERNATE].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
    // SAFETY: the memory stays.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
}

unsafe extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes it.
    let what = unsafe { &*info };
    // SAFETY: this signal comes with an address.
    let address = unsafe { what.si_addr() } as usize;
    if let Some(task) = current() {
        let green = green(pointer(task.inner()));
        let guard = green.guard.get();
        if (guard..guard + PAGE).contains(&address) {
            abort(task.inner(), green.stack_size);
        }
    }
    forward(signal, info, context);
}

/// Ends the program with the name of the coroutine whose stack of `size` bytes was too small.
pub(super) fn abort(task: &Inner, size: usize) -> ! {
    let mut line = Line { bytes: [0; 320], len: 0 };
    let _ = writeln!(
        line,
        "{task} has overflowed its stack of {size} bytes; give it a larger one \
         (Builder::stack_size, or Config's stack_size for all)"
    );
    // SAFETY: the bytes are there. As a plain system call: `write` may be a patched one.
    unsafe { libc::syscall(libc::SYS_write, 2, line.bytes.as_ptr(), line.len) };
    // SAFETY: the call has no preconditions.
    unsafe { libc::abort() }
}

/// Text without allocation; what is too long is cut.
struct Line {
    bytes: [u8; 320],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// Does what would have been done without us.
fn forward(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let before = BEFORE.get();
    let handler = before.map_or(libc::SIG_DFL, |before| before.sa_sigaction);
    let flags = before.map_or(0, |before| before.sa_flags);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // A fault cannot be ignored: it happens again, and then ends the program.
        // SAFETY: zeros are valid in this structure, and mean the default action.
        let action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: the structure is valid.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    } else if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: that is what the flag says of the address.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { std::mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: without the flag it is a handler of this kind.
        let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
        handler(signal);
    }
}
