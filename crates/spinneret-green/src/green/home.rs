//! The hub's side of a task that is a green thread.

use std::{
    arch::x86_64::{_MM_HINT_T0, _mm_prefetch},
    cell::{Cell, UnsafeCell},
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicPtr, Ordering},
    },
    task::Context,
};

use corosensei::{Coroutine, Yielder};

use super::{current::hub_here, shared::Shared, stack::Slot, timers};
use crate::task::{Home, Inner, NOTIFIED, PARKED};

/// Where a green thread lives.
pub(crate) struct GreenHome {
    hub: &'static Shared,
    /// The next older in the hub's inbox, while it is there; whoever put it there writes it.
    pub(super) next: AtomicPtr<Inner>,
    green: Green,
}

// SAFETY: `green` is used by the hub's thread alone, but for its body before it is there, which is
// `Send`; a task that ended, or never began, has nothing else in it. The rest may be shared.
unsafe impl Send for GreenHome {}
// SAFETY: as above.
unsafe impl Sync for GreenHome {}

/// A green thread as its hub knows it. All cells are used on the hub's thread only: by the hub and
/// by the green thread itself, which never run at the same time.
pub(super) struct Green {
    /// What it runs, until it begins.
    pub body: Cell<Option<Box<dyn FnOnce() + Send>>>,
    /// In bytes.
    pub stack_size: usize,
    /// From its begin to its end. The hub alone takes references to it.
    pub coroutine: UnsafeCell<Option<Coroutine<(), (), (), Slot>>>,
    /// Its thread pointer.
    pub base: Cell<usize>,
    /// The address of the page below its stack.
    pub guard: Cell<usize>,
    /// That page does not fault: it has to be looked at.
    pub looked: Cell<bool>,
    /// How it suspends itself; set when it begins.
    pub yielder: Cell<*const Yielder<(), ()>>,
    /// Somewhere in its last frames, when it is suspended; null before.
    pub frame: Cell<*const u8>,
    /// What it suspended itself for.
    pub wish: Cell<Wish>,
    /// The future that it waits for, on its stack.
    pub pending: Cell<Option<NonNull<dyn Polled>>>,
    /// Its place among the timers.
    pub timer: Cell<u32>,
    /// Its place among the living; [`UNBORN`] before it is there.
    pub place: Cell<u32>,
    /// Its timer woke it.
    pub timed_out: Cell<bool>,
}

pub(super) const UNBORN: u32 = u32::MAX;

/// What a green thread suspends itself for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To be resumed when it is unparked.
    Park,
    /// To be resumed when the others had their turn.
    Yield,
    /// To be resumed when its future is done.
    Poll,
}

/// A future on a green thread's stack, with a place for what it returns.
pub(super) trait Polled {
    /// Whether it is done. Never unwinds.
    fn poll(&mut self, context: &mut Context<'_>) -> bool;
}

impl GreenHome {
    pub(super) fn new(
        hub: &'static Shared,
        stack_size: usize,
        body: Box<dyn FnOnce() + Send>,
    ) -> Self {
        let green = Green {
            body: Cell::new(Some(body)),
            stack_size,
            coroutine: UnsafeCell::new(None),
            base: Cell::new(0),
            guard: Cell::new(0),
            looked: Cell::new(false),
            yielder: Cell::new(ptr::null()),
            frame: Cell::new(ptr::null()),
            wish: Cell::new(Wish::Park),
            pending: Cell::new(None),
            timer: Cell::new(timers::NONE),
            place: Cell::new(UNBORN),
            timed_out: Cell::new(false),
        };
        Self { hub, next: AtomicPtr::new(ptr::null_mut()), green }
    }

    /// Queues `task`, whose home this is, if it is parked.
    pub fn unpark(&self, task: &Arc<Inner>) {
        let before = task.flags.fetch_or(NOTIFIED, Ordering::AcqRel);
        if before & (PARKED | NOTIFIED) != PARKED {
            return;
        }
        match hub_here() {
            Some(hub) if ptr::eq(hub.shared, self.hub) => hub.push(pointer(task)),
            // A hub that is gone wakes nobody.
            _ => drop(self.hub.send(Arc::clone(task))),
        }
    }
}

pub(super) fn pointer(task: &Arc<Inner>) -> NonNull<Inner> {
    NonNull::from(&**task)
}

/// The home of a task that a hub keeps alive.
pub(super) fn home<'a>(task: NonNull<Inner>) -> &'a GreenHome {
    // SAFETY: hubs handle tasks that are among their living, or that they have a reference of, and
    // forget the home before that ends.
    match unsafe { &task.as_ref().home } {
        Home::Green(home) => home,
        _ => unreachable!("only green threads are in a hub's queues"),
    }
}

pub(super) fn green<'a>(task: NonNull<Inner>) -> &'a Green {
    &home(task).green
}

pub(super) fn flags<'a>(task: NonNull<Inner>) -> &'a std::sync::atomic::AtomicU32 {
    // SAFETY: as in `home`.
    unsafe { &task.as_ref().flags }
}

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Has the processor load what will be needed soon, whatever is there.
#[inline]
pub(super) fn prefetch(at: *const u8, len: usize) {
    for offset in (0..len).step_by(LINE) {
        // SAFETY: a hint, for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(offset).cast()) };
    }
}
