//! One coroutine as everyone sees it, from any thread: who it is, and how it is woken and cancelled.
//!
//! A [`Task`] is the handle that waiters keep: a list of futex waiters, a descriptor's waiters, a
//! timer, a `Waker`. What runs behind it (a green thread, a thread of the operating system, an
//! async task) is its [`Home`].

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

#[cfg(green_threads)]
use crate::green::GreenHome;

/// What a coroutine shall be, before it is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub name: Option<Arc<str>>,
    /// In bytes; 0 is the configured size. Rounded up to whole pages.
    pub stack_size: usize,
    /// The hub that shall run it, counted from 0 (modulo their number); `None` lets the spawner
    /// balance.
    pub hub: Option<usize>,
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody unparked the task, perhaps for an earlier wait: look whether what was waited for
    /// is there, and wait again if it is not.
    Unparked,
    /// The deadline passed, the wait's own or that of the innermost `timeout()` around it.
    TimedOut,
    /// The task is cancelled; every later wait says so at once, until the cancellation is
    /// delivered ([`Task::take_cancel`]).
    Cancelled,
}

/// Why an explicit wait was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    Cancelled,
    TimedOut,
}

/// See the module. Clones are the same coroutine.
#[derive(Clone)]
pub(crate) struct Task(Arc<Inner>);

/// An unpark came that no park has taken yet.
pub(crate) const NOTIFIED: u32 = 1;
/// It waits; whoever adds `NOTIFIED` to this has to queue it.
#[cfg(green_threads)]
pub(crate) const PARKED: u32 = 2;
/// Until it is delivered.
pub(crate) const CANCELLED: u32 = 4;

/// No deadline, in [`Inner::deadline`].
const NEVER: u64 = u64::MAX;

pub(crate) struct Inner {
    id: u64,
    name: Option<Arc<str>>,
    /// `NOTIFIED`, `PARKED` and `CANCELLED`.
    pub flags: AtomicU32,
    /// When the innermost `timeout()` ends, in nanoseconds of [`nanos`]; `NEVER` outside of one.
    /// The coroutine alone writes and reads it.
    deadline: AtomicU64,
    pub home: Home,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "coroutine '{name}' (number {})", self.id),
            None => write!(f, "coroutine number {}", self.id),
        }
    }
}

/// What runs a task.
pub(crate) enum Home {
    /// A green thread of a hub.
    #[cfg(green_threads)]
    Green(GreenHome),
    /// A thread of the operating system, in the other backend.
    Thread(ThreadHome),
    /// An async task of a hub's runtime: it ends when its future is dropped.
    Future(OnceLock<tokio::task::AbortHandle>),
}

/// Where an operating system's thread waits.
#[derive(Default)]
pub(crate) struct ThreadHome {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Task {
    pub fn new(name: Option<Arc<str>>, home: Home) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Inner {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            name,
            flags: AtomicU32::new(0),
            deadline: AtomicU64::new(NEVER),
            home,
        }))
    }

    /// Unique in the process; never 0.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    pub fn name(&self) -> Option<&Arc<str>> {
        self.0.name.as_ref()
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.flags.load(Ordering::Acquire) & CANCELLED != 0
    }

    /// Makes the wait that it is in, and each later one, end with [`Woken::Cancelled`]. An async
    /// task's future is dropped at its next stop.
    pub fn cancel(&self) {
        self.0.flags.fetch_or(CANCELLED, Ordering::AcqRel);
        if let Home::Future(abort) = &self.0.home {
            if let Some(abort) = abort.get() {
                abort.abort();
            }
        } else {
            self.unpark();
        }
    }

    /// Whether a wait may have to be interrupted: it is cancelled, or within a `timeout()`.
    #[cfg(green_threads)]
    pub fn may_be_interrupted(&self) -> bool {
        self.is_cancelled() || self.0.deadline.load(Ordering::Relaxed) != NEVER
    }

    /// Takes a cancellation off, to deliver it; whether there was one.
    pub fn take_cancel(&self) -> bool {
        // The first look costs next to nothing, and is all there is to it nearly always.
        self.is_cancelled() && self.0.flags.fetch_and(!CANCELLED, Ordering::AcqRel) & CANCELLED != 0
    }

    /// Says how to end an async task, which may have been cancelled already.
    pub fn started(&self, abort: tokio::task::AbortHandle) {
        if let Home::Future(slot) = &self.0.home {
            let abort = slot.get_or_init(|| abort);
            if self.is_cancelled() {
                abort.abort();
            }
        }
    }

    /// Wakes it if it is parked, or lets its next park return at once. What was written before is
    /// seen by the woken one. No effect on an async task: its wakers are its runtime's.
    pub fn unpark(&self) {
        unpark(&self.0);
    }

    /// A waker that unparks it; costs a reference count.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// When the innermost `timeout()` around the running code ends.
    pub fn deadline(&self) -> Option<Instant> {
        match self.0.deadline.load(Ordering::Relaxed) {
            NEVER => None,
            nanos => Some(epoch() + Duration::from_nanos(nanos)),
        }
    }

    /// Enters (`Some`) or leaves a `timeout()`; called by the coroutine itself, which keeps the
    /// one that was there and puts it back.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.0.deadline.store(deadline.map_or(NEVER, nanos), Ordering::Relaxed);
    }

    #[cfg(green_threads)]
    pub fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The same coroutine, from what a queue kept of it.
    #[cfg(green_threads)]
    pub fn from_inner(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    /// Waits in a thread of the operating system for [`unpark`](Self::unpark), until `deadline`
    /// or that of a `timeout()`. The task's own thread calls it.
    pub fn park_thread(&self, deadline: Option<Instant>) -> Woken {
        let Home::Thread(home) = &self.0.home else {
            unreachable!("only a task of an operating system's thread parks one");
        };
        let deadline = earlier(deadline, self.deadline());
        let mut lock = home.lock.lock();
        loop {
            let flags = self.0.flags.fetch_and(!NOTIFIED, Ordering::AcqRel);
            if flags & CANCELLED != 0 {
                return Woken::Cancelled;
            }
            if flags & NOTIFIED != 0 {
                return Woken::Unparked;
            }
            match deadline {
                None => home.woken.wait(&mut lock),
                Some(deadline) if deadline <= Instant::now() => return Woken::TimedOut,
                Some(deadline) => {
                    home.woken.wait_until(&mut lock, deadline);
                }
            }
        }
    }
}

fn unpark(task: &Arc<Inner>) {
    match &task.home {
        #[cfg(green_threads)]
        Home::Green(home) => home.unpark(task),
        Home::Thread(home) => {
            if task.flags.fetch_or(NOTIFIED, Ordering::AcqRel) & NOTIFIED == 0 {
                // Taken once, so that a thread between its look and its wait is not missed.
                drop(home.lock.lock());
                home.woken.notify_one();
            }
        }
        Home::Future(_) => {}
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        unpark(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        unpark(self);
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Task {}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.0.id).field("name", &self.0.name).finish()
    }
}

/// The earlier of two deadlines, where `None` is never.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What [`nanos`] counts from.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A moment as a number: nanoseconds since the first one that was asked for.
fn nanos(moment: Instant) -> u64 {
    let nanos = moment.saturating_duration_since(epoch()).as_nanos();
    u64::try_from(nanos).unwrap_or(NEVER - 1).min(NEVER - 1)
}
