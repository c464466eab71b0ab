//! A hub as the other threads see it.

use std::{
    io, ptr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use super::{
    current::on_hub,
    home::{home, pointer},
};
use crate::task::Inner;

/// See the module. A process has few, and they stay after their hubs have ended.
#[derive(Debug)]
pub(super) struct Shared {
    pub index: usize,
    /// Tasks that came from other threads: to be begun, or woken. A stack that grows at its head;
    /// the hub takes all at once. Without locks, since a green thread must not be suspended in it.
    inbox: AtomicPtr<Inner>,
    /// The hub will look in its inbox without being woken.
    told: AtomicBool,
    /// Of the driver.
    pub waker: OnceLock<Waker>,
    /// Of the hub's runtime.
    pub runtime: OnceLock<tokio::runtime::Handle>,
    /// Green threads and async tasks that live here or are on their way.
    pub load: AtomicUsize,
    /// [`OPEN`] and what follows.
    pub phase: AtomicU8,
    pub watch: Watch,
}

/// What the watchdog looks at; the hub writes it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Watch {
    /// Counts what the hub ran: changes with each switch.
    pub switches: AtomicU64,
    /// The green thread that runs; null if none.
    pub running: AtomicPtr<Inner>,
    /// One that must not be forgotten yet: the watchdog reads its name.
    pub pinned: AtomicPtr<Inner>,
    /// How many others are ready.
    pub ready: AtomicUsize,
    /// How many green threads are there.
    pub living: AtomicUsize,
    /// There was no memory for a stack.
    pub starved: AtomicBool,
    /// The hub waits for events, with nothing to do.
    pub idle: AtomicBool,
    /// The thread's number in the system.
    pub thread: AtomicI32,
}

/// Phases of a hub: it runs what it is given;
pub(super) const OPEN: u8 = 0;
/// it cancels what it has, and ends when nothing is left;
pub(super) const CLOSING: u8 = 1;
/// it ends at once.
pub(super) const ABANDONED: u8 = 2;

/// The head of the inbox of a hub that ended.
fn closed() -> *mut Inner {
    ptr::dangling_mut::<Inner>()
}

impl Shared {
    pub fn new(index: usize) -> Self {
        Self {
            index,
            inbox: AtomicPtr::new(ptr::null_mut()),
            told: AtomicBool::new(false),
            waker: OnceLock::new(),
            runtime: OnceLock::new(),
            load: AtomicUsize::new(0),
            phase: AtomicU8::new(OPEN),
            watch: Watch::default(),
        }
    }

    /// Puts a task in the inbox, from any thread. The same task is not put in twice before it was
    /// taken: spawning does it once, and else whoever sets `NOTIFIED` of a parked one.
    pub fn send(&self, task: Arc<Inner>) -> Result<(), Gone> {
        let new = pointer(&task);
        let mut head = self.inbox.load(Ordering::Relaxed);
        loop {
            if head == closed() {
                return Err(Gone);
            }
            home(new).next.store(head, Ordering::Relaxed);
            let swapped = self.inbox.compare_exchange_weak(
                head,
                new.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        // The inbox has the reference now.
        std::mem::forget(task);
        self.wake();
        Ok(())
    }

    /// Lets the hub look around, soon.
    pub fn wake(&self) {
        if !self.told.swap(true, Ordering::AcqRel)
            && let Some(waker) = self.waker.get()
        {
            // With the thread's own thread-locals, where a green thread wakes another hub: what
            // the runtime does for that must not suspend it.
            on_hub(|| waker.wake_by_ref());
        }
    }

    /// Lets the hub enter a later phase; never back.
    pub fn enter(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::AcqRel);
        self.wake();
    }

    /// Whether the hub has something new to look at.
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Whether [`wake`](Self::wake) was called since this was last asked.
    pub fn was_told(&self) -> bool {
        self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::AcqRel)
    }

    /// All tasks of the inbox, oldest first. The hub calls it.
    pub fn take(&self) -> Inbox {
        if self.inbox.load(Ordering::Relaxed).is_null() {
            return Inbox { head: ptr::null_mut() };
        }
        Inbox::reversed(self.inbox.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// The same for the last time: later tasks are refused.
    pub fn close(&self) -> Inbox {
        match self.inbox.swap(closed(), Ordering::Acquire) {
            head if head == closed() => Inbox { head: ptr::null_mut() },
            head => Inbox::reversed(head),
        }
    }
}

/// The hub has ended.
#[derive(Debug)]
pub(super) struct Gone;

impl From<Gone> for io::Error {
    fn from(_: Gone) -> Self {
        Self::new(io::ErrorKind::NotConnected, "the hubs of coroutines were shut down")
    }
}

/// What was in an inbox. Dropping it loses what is left, no more.
pub(super) struct Inbox {
    head: *mut Inner,
}

impl Inbox {
    fn reversed(mut newest: *mut Inner) -> Self {
        let mut head = ptr::null_mut();
        while let Some(task) = ptr::NonNull::new(newest) {
            newest = home(task).next.swap(head, Ordering::Relaxed);
            head = task.as_ptr();
        }
        Self { head }
    }
}

impl Iterator for Inbox {
    type Item = Arc<Inner>;

    fn next(&mut self) -> Option<Arc<Inner>> {
        let task = ptr::NonNull::new(self.head)?;
        self.head = home(task).next.load(Ordering::Relaxed);
        // SAFETY: `send` forgot the reference when it put the task in.
        Some(unsafe { Arc::from_raw(task.as_ptr()) })
    }
}
