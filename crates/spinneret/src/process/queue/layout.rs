//! Where everything lies in a queue's file. The design note, `README.md`, has the picture.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::signal::Signal;
use crate::os::{RobustMutex, Shm};

/// "spinqueu", and the version of the layout in the last byte.
const MAGIC: u64 = u64::from_le_bytes(*b"spinque\x01");

/// Positions count units of so many bytes; every record starts at one.
pub(super) const UNIT: usize = 8;

/// Pages on every machine that we run on divide this; large messages start at its multiples.
pub(super) const PAGE: usize = 64 * 1024;

/// The most bytes of a ring: positions must tell a full ring from an empty one, by far.
const LARGEST_RING: usize = 1 << 30;

/// The most lease slots.
const MOST_SLOTS: usize = 1 << 20;

/// The most bytes a slot may keep of a message.
const LARGEST_SLOT: usize = 1 << 16;

/// A field of its own, far enough from others that two processors do not fight for it.
#[repr(C, align(128))]
pub(super) struct Apart<T>(pub(super) T);

/// The start of the file. Zeroes and [`Header::write`] make a new, empty queue.
#[repr(C)]
pub(super) struct Header {
    magic: AtomicU64,
    /// See [`Shape`]; written once, before anybody else has the file.
    ring: AtomicU64,
    max_items: AtomicU64,
    slots: AtomicU64,
    slot_bytes: AtomicU64,
    large_bytes: AtomicU64,
    /// What changes rarely: set once to 1, under the producers' lock.
    pub(super) closed: AtomicU32,
    /// Somebody died where pages may have been left behind; see `large`.
    pub(super) sweep: AtomicU32,
    /// Where the next large message goes; only grows.
    pub(super) frontier: AtomicU64,

    pub(super) producers: Apart<Producers>,
    /// Up to where the ring is written; moved under the producers' lock, by one store that commits
    /// what was put.
    pub(super) tail: Apart<AtomicU64>,
    pub(super) consumers: Apart<Consumers>,
    /// Up to where the ring is read; moved under the consumers' lock, by one store that commits
    /// what was taken.
    pub(super) head: Apart<AtomicU64>,
    /// Consumers sleep here while there is nothing to take.
    pub(super) items: Apart<Signal>,
    /// Producers sleep here while there is no space.
    pub(super) space: Apart<Signal>,
    /// Who joins the queue sleeps here while tasks are unfinished.
    pub(super) idle: Apart<Signal>,
    /// Who leases sleeps here while every slot is taken.
    pub(super) free: Apart<Signal>,
}

/// Under the producers' lock.
#[repr(C)]
pub(super) struct Producers {
    pub(super) lock: RobustMutex,
    /// A head that was true once: saves looking at the consumers' line while there is space.
    pub(super) head_seen: AtomicU64,
}

/// Under the consumers' lock.
#[repr(C)]
pub(super) struct Consumers {
    pub(super) lock: RobustMutex,
    /// A tail that was true once.
    pub(super) tail_seen: AtomicU64,
    /// An acknowledgement that was begun, to be done again if its process died: see `leases`.
    pub(super) redo: AtomicU64,
    /// How many tasks were done, wrapping.
    pub(super) done: AtomicU32,
    /// How many slots are leased (or about to be), and requeued. Counted anew when a holder of the
    /// lock died. A slot that changes from one to the other is counted as both for a moment and never
    /// as neither: whoever sees two zeroes need not take the lock to look for one who died with it.
    pub(super) leased: AtomicU32,
    pub(super) requeued: AtomicU32,
    /// Where the search for a free slot starts.
    pub(super) slot_hint: AtomicU32,
}

/// A lease: who has which message.
#[repr(C, align(64))]
pub(super) struct Slot {
    /// A [`State`](super::leases::State); every change is one store.
    pub(super) state: AtomicU64,
    /// The message's bytes: 0 if they lie in the slot's part of the slab, else their offset in the
    /// file.
    pub(super) place: AtomicU64,
    pub(super) len: AtomicU64,
    /// The message's place in the order of puts.
    pub(super) sequence: AtomicU32,
    /// The first eight bytes of the message, where slots keep no messages.
    pub(super) tag: AtomicU64,
}

/// How a queue is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of the ring: a power of two, at least a [`PAGE`].
    pub(super) ring: usize,
    /// The most messages in the ring.
    pub(super) max_items: u32,
    /// How many leases there can be at once.
    pub(super) slots: usize,
    /// How many bytes of a message its lease keeps in the slab; longer ones go to pages of their
    /// own. If 0, leases keep no messages but only their tags.
    pub(super) slot_bytes: usize,
    /// The most bytes of large messages at once.
    pub(super) large_bytes: u64,
}

/// Why a file is no queue.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShapeError {
    #[error("it is no queue of this version")]
    Magic,
    #[error("its header says {0} = {1}, which cannot be")]
    Absurd(&'static str, u64),
}

impl Shape {
    fn slots_at() -> usize {
        size_of::<Header>().next_multiple_of(128)
    }

    fn slab_at(&self) -> usize {
        Self::slots_at() + self.slots * size_of::<Slot>()
    }

    pub(super) fn ring_at(&self) -> usize {
        (self.slab_at() + self.slots * self.slot_bytes).next_multiple_of(PAGE)
    }

    /// Where the mapping ends and large messages begin.
    pub(super) fn end(&self) -> usize {
        self.ring_at() + self.ring
    }

    /// What the ring can hold, in units.
    pub(super) fn units(&self) -> u32 {
        // At most `LARGEST_RING / UNIT`.
        (self.ring / UNIT) as u32
    }

    /// Messages of more bytes than this get pages of their own: copying them through the ring would
    /// push out too many others.
    pub(super) fn inline_most(&self) -> usize {
        (self.ring / 8).min(PAGE)
    }

    pub(super) fn slot(self, shm: &Shm, index: usize) -> &Slot {
        assert!(index < self.slots, "slot {index} of {}", self.slots);
        // SAFETY: a slot consists of atomics.
        unsafe { shm.get(Self::slots_at() + index * size_of::<Slot>()) }
    }

    /// Where the slab keeps the message of slot `index`; `slot_bytes` are there.
    pub(super) fn slab(&self, shm: &Shm, index: usize) -> *mut u8 {
        assert!(index < self.slots, "slot {index} of {}", self.slots);
        shm.at(self.slab_at() + index * self.slot_bytes)
    }

    /// Reads and checks the shape that another process wrote.
    pub(super) fn read(header: &Header) -> Result<Self, ShapeError> {
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(ShapeError::Magic);
        }
        let field = |name, field: &AtomicU64, most: usize| {
            let value = field.load(Ordering::Relaxed);
            match usize::try_from(value) {
                Ok(value) if value <= most => Ok(value),
                _ => Err(ShapeError::Absurd(name, value)),
            }
        };
        let ring = field("ring", &header.ring, LARGEST_RING)?;
        if !ring.is_power_of_two() || ring < PAGE {
            return Err(ShapeError::Absurd("ring", ring as u64));
        }
        Ok(Self {
            ring,
            max_items: field("max_items", &header.max_items, i32::MAX as usize)? as u32,
            slots: field("slots", &header.slots, MOST_SLOTS)?,
            slot_bytes: field("slot_bytes", &header.slot_bytes, LARGEST_SLOT)?,
            large_bytes: header.large_bytes.load(Ordering::Relaxed),
        })
    }

    /// The nearest shape that is possible.
    pub(super) fn fitted(self) -> Self {
        Self {
            ring: self.ring.clamp(PAGE, LARGEST_RING).next_power_of_two(),
            max_items: self.max_items.clamp(1, i32::MAX.cast_unsigned()),
            slots: self.slots.min(MOST_SLOTS),
            slot_bytes: self.slot_bytes.min(LARGEST_SLOT).next_multiple_of(UNIT),
            large_bytes: self.large_bytes,
        }
    }
}

impl Header {
    pub(super) fn of(shm: &Shm) -> &Self {
        // SAFETY: a header consists of atomics, locks and signals (which are atomics), and the locks
        // are used only in files whose header was checked.
        unsafe { shm.get(0) }
    }

    /// Makes zeroes an empty queue.
    pub(super) fn write(&self, shape: &Shape) -> std::io::Result<()> {
        self.ring.store(shape.ring as u64, Ordering::Relaxed);
        self.max_items.store(u64::from(shape.max_items), Ordering::Relaxed);
        self.slots.store(shape.slots as u64, Ordering::Relaxed);
        self.slot_bytes.store(shape.slot_bytes as u64, Ordering::Relaxed);
        self.large_bytes.store(shape.large_bytes, Ordering::Relaxed);
        self.frontier.store(shape.end() as u64, Ordering::Relaxed);
        // SAFETY: nobody else has the file yet.
        unsafe { self.producers.0.lock.init(false)? };
        // SAFETY: as above.
        unsafe { self.consumers.0.lock.init(false)? };
        self.magic.store(MAGIC, Ordering::Release);
        Ok(())
    }
}

/// A place in the ring: bytes and messages so far, both wrapping. One word, so that one store moves
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// In units.
    pub(super) position: u32,
    /// How many messages lie before it.
    pub(super) sequence: u32,
}

impl Mark {
    pub(super) fn load(word: &AtomicU64, order: Ordering) -> Self {
        let word = word.load(order);
        Self { position: (word >> 32) as u32, sequence: word as u32 }
    }

    pub(super) fn store(self, word: &AtomicU64, order: Ordering) {
        word.store(u64::from(self.position) << 32 | u64::from(self.sequence), order);
    }

    /// The mark behind one more message.
    pub(super) fn after(self, units: u32) -> Self {
        Self {
            position: self.position.wrapping_add(units),
            sequence: self.sequence.wrapping_add(1),
        }
    }

    /// Units and messages between an earlier mark and this one.
    pub(super) fn since(self, earlier: Self) -> (u32, u32) {
        (self.position.wrapping_sub(earlier.position), self.sequence.wrapping_sub(earlier.sequence))
    }
}
