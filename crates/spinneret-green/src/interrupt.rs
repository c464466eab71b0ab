//! What ends a wait before its time: a cancellation, or the deadline of a [`timeout`](crate::timeout).
//!
//! An explicit wait (`join`, `sleep`, `yield_now`, `block_on`...) that is interrupted unwinds the
//! coroutine's stack with an [`Unwind`] as its payload, without a word from the panic hook: up to
//! the `timeout` whose deadline has passed, or to the coroutine's end if it was cancelled. A patched
//! call cannot unwind, since its caller may be C; it answers with an error instead, and
//! [`note_refusal`] remembers that it did.
//!
//! A cancellation is delivered once: the unwind that it causes takes it, so that destructors on the
//! way can wait as they please. For the same reason no wait is interrupted while its stack unwinds
//! for whatever cause, nor within [`shielded`].

use std::any::Any;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use crate::backend;
use crate::task::Interrupted;

/// What an interrupted stack is unwound with.
struct Unwind {
    /// The `timeout` that catches it; `None` if it goes to the coroutine's end.
    timeout: Option<u64>,
}

/// The deadline that holds here, and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) deadline: Instant,
    /// The number of the `timeout`.
    pub(crate) owner: u64,
}

/// The state of one stack. Green threads have thread-locals of their own, so this is a coroutine's
/// whatever it is made of.
struct State {
    /// Of the `timeout` whose deadline is the earliest. The task knows the deadline too, for the
    /// waits of its backend.
    scope: Cell<Option<Scope>>,
    /// How many [`shielded`] are around the running code.
    shields: Cell<u32>,
    /// A cancellation came within a shield, and is due when it ends.
    postponed: Cell<bool>,
    /// A patched call was refused because the coroutine was cancelled.
    cancelled: Cell<bool>,
    /// The `timeout` because of which a patched call was last refused, or 0.
    timed_out: Cell<u64>,
}

thread_local! {
    static STATE: State = const {
        State {
            scope: Cell::new(None),
            shields: Cell::new(0),
            postponed: Cell::new(false),
            cancelled: Cell::new(false),
            timed_out: Cell::new(0),
        }
    };
}

/// The deadline that holds here.
pub(crate) fn scope() -> Option<Scope> {
    STATE.with(|state| state.scope.get())
}

/// Changes the deadline that holds here.
pub(crate) fn set_scope(scope: Option<Scope>) {
    STATE.with(|state| {
        state.scope.set(scope);
        if state.shields.get() == 0 {
            backend::waiter().set_deadline(scope.map(|scope| scope.deadline));
        }
    });
}

/// To be called by a patched call that answers with an error for this cause. Then the coroutine or
/// the `timeout` counts as ended by it, whatever the caller makes of the error.
#[cfg_attr(not(green_threads), allow(dead_code, reason = "calls are patched in green threads"))]
pub(crate) fn note_refusal(why: Interrupted) {
    STATE.with(|state| match why {
        Interrupted::Cancelled => state.cancelled.set(true),
        Interrupted::TimedOut => {
            state.timed_out.set(state.scope.get().map_or(0, |scope| scope.owner));
        }
    });
}

/// Whether a patched call was refused because the coroutine was cancelled.
#[doc(hidden)]
pub fn was_cancelled() -> bool {
    STATE.with(|state| state.cancelled.get())
}

/// Whether a patched call was refused because of this `timeout`.
pub(crate) fn has_timed_out(owner: u64) -> bool {
    STATE.with(|state| state.timed_out.get() == owner)
}

/// Unwinds if this coroutine was cancelled, or a deadline has passed; but not within a shield.
#[doc(hidden)]
pub fn check() {
    if backend::is_undisturbed() {
        return;
    }
    STATE.with(|state| {
        if state.shields.get() > 0 || thread::panicking() {
            return;
        }
        if backend::take_cancel() {
            resume_unwind(Box::new(Unwind { timeout: None }));
        }
        if let Some(scope) = state.scope.get()
            && scope.deadline <= Instant::now()
        {
            resume_unwind(Box::new(Unwind { timeout: Some(scope.owner) }));
        }
    });
}

/// Whether this unwind was for the `timeout` with this number.
pub(crate) fn is_timeout(payload: &(dyn Any + Send), owner: u64) -> bool {
    payload.downcast_ref::<Unwind>().is_some_and(|unwind| unwind.timeout == Some(owner))
}

/// Whether what was caught is no panic but an interruption, which is not to be held up.
#[doc(hidden)]
pub fn is_interruption(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Unwind>()
}

/// Whether waits have to be [`shielded`] because the stack unwinds.
pub(crate) fn needs_shield() -> bool {
    thread::panicking() && STATE.with(|state| state.shields.get() == 0)
}

/// Takes a cancellation that a wait within a shield has met, until the shield ends.
#[cold]
#[inline(never)]
pub(crate) fn postpone() {
    STATE.with(|state| {
        if state.shields.get() > 0 && backend::waiter().take_cancel() {
            state.postponed.set(true);
        }
    });
}

/// Runs what must come to its end: its waits are not interrupted.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn shielded<T>(run: impl FnOnce() -> T) -> T {
    struct Shield;
    impl Drop for Shield {
        fn drop(&mut self) {
            STATE.with(|state| {
                state.shields.set(state.shields.get() - 1);
                if state.shields.get() > 0 {
                    return;
                }
                let waiter = backend::waiter();
                waiter.set_deadline(state.scope.get().map(|scope| scope.deadline));
                if state.postponed.replace(false) {
                    waiter.cancel();
                }
            });
        }
    }
    STATE.with(|state| {
        state.shields.set(state.shields.get() + 1);
        backend::waiter().set_deadline(None);
    });
    let _shield = Shield;
    postpone();
    run()
}
