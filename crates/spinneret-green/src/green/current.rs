//! What runs on the calling thread: a green thread, and of which hub.

use std::{
    cell::Cell,
    hint::black_box,
    mem::ManuallyDrop,
    ops::{Deref, Range},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr::{self, NonNull},
    sync::Arc,
    thread,
};

use super::{Reactor, home, hub::Hub, stack::PAGE, tls};
use crate::task::{Inner, Task};

thread_local! {
    /// The hub of this thread. Its own thread-locals and those of its green threads say it.
    static HUB: Cell<*const Hub> = const { Cell::new(ptr::null()) };
    /// The green thread that these thread-locals belong to.
    static GREEN: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// The green thread that runs. It stays on its hub: clone the [`Task`] to keep or send it.
pub(crate) struct Current {
    /// A reference that is not counted: the hub has one as long as the green thread runs.
    task: ManuallyDrop<Task>,
    here: std::marker::PhantomData<*const ()>,
}

impl Deref for Current {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.task
    }
}

/// The green thread that runs; `None` on a hub's own stack and in threads of the operating system.
#[inline]
pub(crate) fn current() -> Option<Current> {
    let green = NonNull::new(GREEN.get().cast_mut())?;
    Some(uncounted(green))
}

fn uncounted(task: NonNull<Inner>) -> Current {
    // SAFETY: the hub's own reference stays for as long as this one, which is never dropped.
    let task = Task::from_inner(unsafe { Arc::from_raw(task.as_ptr()) });
    Current { task: ManuallyDrop::new(task), here: std::marker::PhantomData }
}

/// Whether a green thread runs: what each hook asks first.
#[inline]
pub(crate) fn in_green_thread() -> bool {
    !GREEN.get().is_null()
}

/// The memory that the running green thread may use as its stack.
pub(crate) fn stack() -> Option<Range<usize>> {
    let green = home::green(NonNull::new(GREEN.get().cast_mut())?);
    Some(green.guard.get() + PAGE..green.base.get())
}

/// The hub's readiness source, within a green thread.
pub(crate) fn reactor() -> Option<&'static Reactor> {
    hub_here().map(|hub| &hub.reactor)
}

/// Runs `work` with the thread-locals of the hub's own thread, without leaving the stack; outside
/// of a green thread it just runs. For what must be the thread's and not the coroutine's:
/// allocators with caches per thread, `pthread_create`, robust mutexes (the kernel knows those
/// that the thread holds, by a list in its descriptor), wakers of async tasks (the runtime sees
/// that it is woken by its own thread). It must not suspend.
pub(crate) fn on_hub<R>(work: impl FnOnce() -> R) -> R {
    match hub_here() {
        Some(hub) if in_green_thread() => swapped(hub.base, work),
        _ => work(),
    }
}

#[inline(never)]
fn swapped<R, W: FnOnce() -> R>(base: usize, work: W) -> R {
    // Called through a pointer that the compiler does not know, so that it finds thread-locals
    // anew in there.
    let guarded: fn(W) -> thread::Result<R> = black_box(guarded);
    let own = tls::fs_base();
    // SAFETY: the hub's thread is this one. What is called cannot be inlined.
    unsafe { tls::set_fs_base(base) };
    let result = guarded(work);
    // SAFETY: this is what was there before.
    unsafe { tls::set_fs_base(own) };
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// A panic is counted by a thread-local: it must not leave before they are swapped back.
#[inline(never)]
fn guarded<R>(work: impl FnOnce() -> R) -> thread::Result<R> {
    catch_unwind(AssertUnwindSafe(work))
}

/// The hub of this thread, in a green thread too.
#[inline]
pub(super) fn hub_here() -> Option<&'static Hub> {
    // SAFETY: a hub sets it to itself, and stays where it is until its thread ends.
    unsafe { HUB.get().as_ref() }
}

/// Whether this is a hub's own stack, on which async tasks run and nothing may block.
pub(crate) fn is_hub_stack() -> bool {
    hub_here().is_some() && GREEN.get().is_null()
}

/// Where thread-locals say which green thread has them, from the thread pointer: in all the same.
pub(super) fn place() -> isize {
    GREEN.with(|green| ptr::from_ref(green).addr().wrapping_sub(tls::fs_base())).cast_signed()
}

/// Says which hub and green thread the thread-locals that are in force belong to.
pub(super) fn set_here(hub: *const Hub, green: *const Inner) {
    HUB.set(hub);
    GREEN.set(green);
}
