//! The thread-locals of a green thread: a block of its own behind the FS register.
//!
//! `tls.md` beside this file draws the layout and says why each part is as it is.

mod layout;
mod template;

use std::arch::asm;

pub(super) use layout::Layout;
pub(super) use template::{Dtv, Template};

/// The address that thread-locals of the running code count from.
pub(super) fn fs_base() -> usize {
    let base;
    // SAFETY: the word at FS:0 is the thread control block's pointer to itself (x86-64 ABI), in a
    // thread of the C library's as in a block made from one.
    unsafe { asm!("mov {}, fs:0", out(reg) base, options(nostack, preserves_flags, readonly)) };
    base
}

/// Changes what thread-locals the code that runs next has.
///
/// # Safety
/// `base` is the thread pointer of this thread or of a block written by [`Template::write`] on it.
/// The caller must not have been inlined into code that uses thread-locals of both: the compiler
/// may keep their addresses over this call. The processor has `wrfsbase`, see [`Layout::find`].
#[inline]
pub(super) unsafe fn set_fs_base(base: usize) {
    // SAFETY: promised by the caller. Memory is clobbered, as thread-locals are other ones now.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nostack, preserves_flags)) };
}
