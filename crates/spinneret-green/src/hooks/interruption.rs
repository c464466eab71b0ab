//! Waits that cannot fail are ended early once, when their coroutine is interrupted.
//!
//! See the parent module. What was told is kept in a thread-local, and a green thread has its own.

use std::{cell::Cell, time::Instant};

use libc::c_int;

use crate::{
    green, interrupt,
    task::{Interrupted, Woken},
};

/// What interrupted a coroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Cancelled,
    /// The `timeout()` that ends then.
    Ended(Instant),
}

thread_local! {
    /// What this coroutine was told by an early end.
    static TOLD: Cell<Option<Cause>> = const { Cell::new(None) };
}

/// How a wait with a deadline of its own ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Look whether what was waited for is there.
    Unparked,
    Deadline,
    /// The first time that this interruption ends a wait: it ends as its deadline would end it.
    Early(Woken),
    /// It was told before.
    Again(Woken),
}

/// Parks until `deadline` or an interruption.
pub(super) fn park(deadline: Option<Instant>) -> End {
    let woken = green::park(deadline);
    let cause = match woken {
        Woken::Unparked => return End::Unparked,
        Woken::Cancelled => Cause::Cancelled,
        Woken::TimedOut => {
            let scope = green::current().and_then(|task| task.deadline());
            match scope {
                Some(scope) if deadline.is_none_or(|own| scope < own) => Cause::Ended(scope),
                _ => return End::Deadline,
            }
        }
    };
    note(woken);
    if TOLD.replace(Some(cause)) == Some(cause) { End::Again(woken) } else { End::Early(woken) }
}

/// Notes that a call is refused, or ended early, because of an interruption: then the coroutine or
/// the `timeout()` counts as ended by it. Returns the error number for it.
pub(super) fn note(woken: Woken) -> c_int {
    let (why, errno) = match woken {
        Woken::Cancelled => (Interrupted::Cancelled, libc::ECANCELED),
        _ => (Interrupted::TimedOut, libc::ETIMEDOUT),
    };
    interrupt::note_refusal(why);
    errno
}
