//! What runs a hub's green threads: one task of its tokio runtime.
//!
//! It is a plain task and not the runtime's root, since waking the root writes to an eventfd each
//! time. In each turn it collects what is ready and runs a bounded number of green threads, then
//! lets the runtime's other tasks and its readiness source have theirs. With nothing to do it
//! waits for the hub's own epoll descriptor (which is one source in the runtime's), for the timer,
//! and for other threads, who wake it like any task.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    pin::Pin,
    ptr,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
    task::coop,
};

use super::{hub::Hub, shared::ABANDONED};

/// How many green threads run before async tasks and descriptors have their turn.
const BUDGET: usize = 256;

/// See the module.
pub(super) struct Driver {
    hub: &'static Hub,
    readiness: AsyncFd<Borrowed>,
    alarm: Alarm,
    /// Told when the hub has ended.
    ended: Arc<Notify>,
}

// SAFETY: a current-thread runtime polls and drops its tasks on the thread that runs it, the hub's.
unsafe impl Send for Driver {}

impl Driver {
    /// On the hub's thread, in its runtime.
    pub fn new(hub: &'static Hub, ended: Arc<Notify>) -> io::Result<Self> {
        let readiness = register(Borrowed(hub.reactor.as_raw_fd()))?;
        Ok(Self { hub, readiness, alarm: Alarm::new()?, ended })
    }

    /// Runs green threads; whether some are left that are ready.
    fn run(&self) -> bool {
        let hub = self.hub;
        hub.driving.set(true);
        hub.collect();
        for _ in 0..BUDGET {
            let Some(task) = hub.next() else { break };
            hub.run(task);
            // The futures that green threads wait for spend the driver's own budget.
            if !coop::has_budget_remaining() {
                break;
            }
        }
        hub.driving.set(false);
        hub.ready() > 0
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let hub = self.hub;
        hub.shared.waker.get_or_init(|| context.waker().clone());
        // Before it is looked what is ready: what becomes so from now on is another event.
        expect(&self.readiness, context);
        expect(&self.alarm.timer, context);
        let more = self.run();
        if hub.has_ended() || hub.shared.phase.load(Ordering::Acquire) == ABANDONED {
            self.ended.notify_one();
            return Poll::Ready(());
        }
        if more {
            context.waker().wake_by_ref();
        } else {
            let first = hub.timers.borrow().first();
            self.alarm.set(first);
        }
        Poll::Pending
    }
}

/// Takes the events that there were, and has the context woken by the next.
fn expect<T: AsRawFd>(source: &AsyncFd<T>, context: &mut Context<'_>) {
    // An error means that the runtime shuts down.
    while let Poll::Ready(Ok(mut guard)) = source.poll_read_ready(context) {
        guard.clear_ready();
    }
}

fn register<T: AsRawFd>(source: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptors of both kinds of source stay open and the same: a timer owns its own,
    // a reactor lives as long as its hub, which outlives the runtime.
    let registered = unsafe { AsyncFd::register_with_interest(source, Interest::READABLE) };
    registered.map_err(Into::into)
}

/// The descriptor of the hub's reactor.
struct Borrowed(RawFd);

impl AsRawFd for Borrowed {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A timer finer than the runtime's, which counts in milliseconds.
struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Instant>,
}

impl Alarm {
    fn new() -> io::Result<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call has no preconditions.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if timer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made and has no other owner.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        Ok(Self { timer: register(timer)?, set: None })
    }

    /// Lets it ring at `when`, unless it will already.
    fn set(&mut self, when: Option<Instant>) {
        let Some(when) = when else {
            // One that is set for a deadline that was removed rings once in vain.
            return;
        };
        let now = Instant::now();
        if self.set.is_some_and(|set| now < set && set <= when) {
            return;
        }
        self.set = Some(when);
        // At least a nanosecond: 0 would switch it off.
        let left = when.saturating_duration_since(now).as_nanos().max(1);
        // SAFETY: zeros are valid in a structure of numbers.
        let mut spec: libc::itimerspec = unsafe { MaybeUninit::zeroed().assume_init() };
        spec.it_value.tv_sec = i64::try_from(left / 1_000_000_000).unwrap_or(i64::MAX);
        spec.it_value.tv_nsec = (left % 1_000_000_000) as i64;
        let timer = self.timer.as_raw_fd();
        // SAFETY: the descriptor is a timer's, and the structure is read only.
        unsafe { libc::timerfd_settime(timer, 0, &raw const spec, ptr::null_mut()) };
    }
}
