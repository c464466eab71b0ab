//! What one reactor knows of one descriptor number, and the list of those who wait for it.

use std::{
    cell::Cell,
    ops::BitOr,
    ptr::{self, NonNull},
};

use crate::task::Task;

/// Directions of a descriptor, one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest(u8);

impl Interest {
    pub const READ: Self = Self(1);
    pub const WRITE: Self = Self(2);
    pub const BOTH: Self = Self(3);

    /// Whether the two have a direction in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What kind of thing a descriptor is, as far as its calls differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody has asked yet.
    Unknown,
    /// Its calls never wait, or not for anything that epoll tells of: they are made as they are.
    Plain,
    /// Its calls take `MSG_DONTWAIT`.
    Socket,
    /// Its calls take `RWF_NOWAIT`.
    NoWait,
    /// Nothing but its readiness can be asked without waiting (terminals, timers, events).
    Ask,
}

/// How its user wants one direction to wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Of [`MANNERS`](super::MANNERS), when this was read; 0 is never.
    pub read_at: u32,
    /// Its user set `O_NONBLOCK`: there is to be no wait at all.
    pub nonblocking: bool,
    /// `SO_RCVTIMEO` or `SO_SNDTIMEO` in microseconds; 0 is none.
    pub micros: u64,
}

/// The descriptor is in the epoll instance.
const REGISTERED: u8 = 4;
/// Its end or an error was reported, or urgent data: a short read does not mean that nothing
/// follows.
const ENDING: u8 = 8;
/// It is a TCP stream: a read that does not fill its buffer has taken all there was.
const STREAM: u8 = 16;

/// See the module. The first two flag bits are [`Interest`]'s: a direction is *dry* if the last
/// try found nothing and no edge came since. Then, and only then, a wait suspends.
pub(super) struct Slot {
    /// Of the descriptor that the rest is about (see [`owners`](super::owners)).
    pub generation: Cell<u32>,
    flags: Cell<u8>,
    pub kind: Cell<Kind>,
    pub reading: Cell<Manner>,
    pub writing: Cell<Manner>,
    /// The head of the list.
    waiters: Cell<*const Waiter<'static>>,
}

impl Slot {
    pub fn new() -> Self {
        Self {
            generation: Cell::new(0),
            flags: Cell::new(0),
            kind: Cell::new(Kind::Unknown),
            reading: Cell::new(Manner::default()),
            writing: Cell::new(Manner::default()),
            waiters: Cell::new(ptr::null()),
        }
    }

    /// Forgets all but the waiters, for a new descriptor of this number.
    pub fn renew(&self, generation: u32) {
        self.generation.set(generation);
        self.flags.set(0);
        self.kind.set(Kind::Unknown);
        self.reading.set(Manner::default());
        self.writing.set(Manner::default());
    }

    pub fn manner(&self, interest: Interest) -> &Cell<Manner> {
        if interest == Interest::READ { &self.reading } else { &self.writing }
    }

    fn set(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    pub fn is_registered(&self) -> bool {
        self.has(REGISTERED)
    }

    pub fn register(&self, stream: bool) {
        self.set(REGISTERED | if stream { STREAM } else { 0 });
    }

    /// Whether all directions of `interest` are dry.
    pub fn is_dry(&self, interest: Interest) -> bool {
        self.flags.get() & interest.0 == interest.0
    }

    pub fn dry(&self, interest: Interest) {
        self.set(interest.0);
    }

    /// A read took less than it had room for.
    pub fn short_read(&self) {
        if self.flags.get() & (REGISTERED | STREAM | ENDING) == REGISTERED | STREAM {
            self.dry(Interest::READ);
        }
    }

    /// An edge came: wakes those who wait for it.
    pub fn ready(&self, interest: Interest, ending: bool) {
        self.flags.set(self.flags.get() & !interest.0 | if ending { ENDING } else { 0 });
        self.wake(interest, Outcome::Ready);
    }

    /// Takes those who wait for any of `interest` off the list and wakes them.
    pub fn wake(&self, interest: Interest, outcome: Outcome) {
        let mut next = self.waiters.get();
        // SAFETY: a listed waiter lives (`Waiter`), and waking one does not run it.
        while let Some(waiter) = unsafe { next.as_ref() } {
            next = waiter.next.get();
            if waiter.interest.meets(interest) {
                waiter.leave();
                let shared = waiter.shared;
                if shared.outcome.get() != Outcome::Closed {
                    shared.outcome.set(outcome);
                }
                shared.task.unpark();
            }
        }
    }
}

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Waiting,
    Ready,
    /// A descriptor was closed under it.
    Closed,
}

/// One wait, for one or several descriptors.
pub(super) struct Wait<'a> {
    pub task: &'a Task,
    pub outcome: Cell<Outcome>,
}

/// A place in the list of one slot. It lies on the stack of the green thread that waits, and
/// everything happens on its hub: the list is walked while that thread is suspended, and dropping
/// the waiter, before its frame ends, takes it off.
pub(super) struct Waiter<'a> {
    shared: &'a Wait<'a>,
    interest: Interest,
    /// Of the list that it is in.
    slot: Cell<Option<NonNull<Slot>>>,
    next: Cell<*const Waiter<'static>>,
    previous: Cell<*const Waiter<'static>>,
}

impl<'a> Waiter<'a> {
    pub fn new(shared: &'a Wait<'a>, interest: Interest) -> Self {
        Self {
            shared,
            interest,
            slot: Cell::new(None),
            next: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
        }
    }

    /// Puts it into the list of `slot`.
    ///
    /// # Safety
    /// It stays where it is until it is dropped, it is in no list, and the slot outlives it.
    pub unsafe fn enter(&self, slot: &Slot) {
        let this: *const Waiter<'static> = ptr::from_ref(self).cast();
        let first = slot.waiters.replace(this);
        self.next.set(first);
        // SAFETY: a listed waiter lives.
        if let Some(first) = unsafe { first.as_ref() } {
            first.previous.set(this);
        }
        self.slot.set(Some(NonNull::from(slot)));
    }

    /// Takes it off its list, if it is in one.
    fn leave(&self) {
        let Some(slot) = self.slot.take() else { return };
        let (previous, next) = (self.previous.replace(ptr::null()), self.next.replace(ptr::null()));
        // SAFETY: the slot outlives the waiter (`enter`).
        let slot = unsafe { slot.as_ref() };
        // SAFETY: its neighbours in the list live.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(next),
            None => slot.waiters.set(next),
        }
        // SAFETY: as above.
        if let Some(next) = unsafe { next.as_ref() } {
            next.previous.set(previous);
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
