//! How a running green thread waits.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    ptr::NonNull,
    sync::atomic::Ordering,
    task::{Context, Poll},
    thread,
    time::Instant,
};

use super::{
    current::{Current, current, hub_here, on_hub},
    home::{Polled, Wish, flags, green, pointer},
    hub::{Hub, suspend},
    timers,
};
use crate::task::{CANCELLED, Interrupted, NOTIFIED, PARKED, Task, Woken, earlier};

/// The running green thread and its hub.
///
/// # Panics
/// Outside of a green thread.
fn here() -> (Current, &'static Hub) {
    current().zip(hub_here()).expect("only a green thread can be suspended")
}

#[inline]
pub(super) fn park(deadline: Option<Instant>, firmly: bool) -> Woken {
    let (task, hub) = here();
    let deadline = if firmly { deadline } else { earlier(deadline, task.deadline()) };
    wait(&task, hub, deadline, firmly)
}

fn wait(task: &Task, hub: &Hub, deadline: Option<Instant>, firmly: bool) -> Woken {
    let task = pointer(task.inner());
    let (flags, green) = (flags(task), green(task));
    let interrupted = |flags: u32| !firmly && flags & CANCELLED != 0;

    let before = flags.fetch_and(!NOTIFIED, Ordering::AcqRel);
    if interrupted(before) {
        return Woken::Cancelled;
    }
    if before & NOTIFIED != 0 {
        return Woken::Unparked;
    }
    if let Some(deadline) = deadline {
        if deadline <= Instant::now() {
            return Woken::TimedOut;
        }
        hub.timers.borrow_mut().insert(deadline, task);
    }
    if flags.fetch_or(PARKED, Ordering::AcqRel) & NOTIFIED == 0 {
        suspend(green, Wish::Park);
    }
    let before = flags.fetch_and(!(PARKED | NOTIFIED), Ordering::AcqRel);
    let timed_out = stop_timer(hub, task);
    if interrupted(before) {
        Woken::Cancelled
    } else if timed_out {
        Woken::TimedOut
    } else {
        Woken::Unparked
    }
}

/// Whether the timer went off.
fn stop_timer(hub: &Hub, task: NonNull<crate::task::Inner>) -> bool {
    let green = green(task);
    if green.timer.get() != timers::NONE {
        hub.timers.borrow_mut().remove(task);
    }
    green.timed_out.take()
}

#[inline]
pub(super) fn yield_now() {
    if let Some(task) = current() {
        suspend(green(pointer(task.inner())), Wish::Yield);
    }
}

pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, Interrupted> {
    let (task, hub) = here();
    let deadline = task.deadline();
    let task = pointer(task.inner());
    let green = green(task);
    let mut waiting = Waiting { future: Some(future), output: None };
    if let Some(deadline) = deadline {
        hub.timers.borrow_mut().insert(deadline, task);
    }
    let polled: NonNull<dyn Polled + '_> = NonNull::from(&mut waiting);
    // SAFETY: only the lifetime is changed. The hub forgets it, at the latest, when this function
    // takes it out below; until then `waiting` stays where it is.
    let polled = unsafe { mem::transmute::<NonNull<dyn Polled + '_>, NonNull<dyn Polled>>(polled) };
    green.pending.set(Some(polled));
    suspend(green, Wish::Poll);
    green.pending.set(None);
    let timed_out = stop_timer(hub, task);
    // Where it was polled: it may look at thread-locals of the hub.
    on_hub(|| waiting.future = None);
    match waiting.output {
        Some(Ok(output)) => Ok(output),
        Some(Err(panic)) => resume_unwind(panic),
        None if timed_out => Err(Interrupted::TimedOut),
        None => Err(Interrupted::Cancelled),
    }
}

/// A future that a green thread waits for. It stays where it is, on that one's stack.
struct Waiting<F: Future> {
    future: Option<F>,
    output: Option<thread::Result<F::Output>>,
}

impl<F: Future> Polled for Waiting<F> {
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        let Some(future) = &mut self.future else { return true };
        // SAFETY: it is not moved until it is dropped: `block_on` only drops it in place.
        let future = unsafe { Pin::new_unchecked(future) };
        match catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => self.output = Some(Ok(output)),
            Err(panic) => self.output = Some(Err(panic)),
        }
        true
    }
}
