//! One object in shared memory of its own: a header that is checked, a lock, and the payload.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0 to 63 | [`Header`], written once, before anybody else has the descriptor |
//! | 64 to 127 | [`Guarding`]: the lock and what is known about its holder |
//! | from 128, or the next multiple of the payload's alignment | the payload |
//!
//! A descriptor from elsewhere may be anything, so the header is read as a copy and checked before a
//! byte is mapped; what it said is not read again. Beyond the header, processes that share memory
//! trust each other as threads do: one that writes past the lock harms all.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::io::{Errno, pread};

use super::{Held, RobustMutex, Shm, ShmError};
use crate::cooperate;
use crate::task::signature;

/// "spinneret", as far as it fits.
const MAGIC: u64 = u64::from_le_bytes(*b"spinnere");

/// Counts up when the layout of anything behind the header changes.
const VERSION: u64 = 1;

/// Where [`Guarding`] lies.
const GUARDING: usize = 64;

/// Where a payload lies that is not aligned to more.
const PAYLOAD: usize = 128;

/// Payloads can be aligned to a page at most, since mappings are.
const LARGEST_ALIGNMENT: usize = 4096;

/// Why shared memory could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system refused: no memory, or no descriptors.
    #[error(
        "shared memory of {bytes} bytes could not be set up: {source} (is there that much memory, \
         and has this process file descriptors left? see `ulimit -n`)"
    )]
    System {
        /// How many bytes were asked for.
        bytes: usize,
        /// What the system said.
        source: io::Error,
    },
    /// So many elements have no address.
    #[error("an array of {len} elements of {size} bytes is larger than any memory")]
    TooLarge {
        /// How many elements were asked for.
        len: usize,
        /// The size of one in bytes.
        size: usize,
    },
}

/// Why a descriptor from elsewhere is not the object it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the descriptor is no shared memory that can be used: {0}")]
    Memory(#[from] ShmError),
    #[error("the descriptor holds no object of spinneret")]
    Magic,
    #[error("it has layout version {found}, this program has {VERSION}: build both with the same")]
    Version { found: u64 },
    #[error("it is another kind of object (number {found}) than the `{wanted}` that was expected")]
    Kind { wanted: &'static str, found: u64 },
    #[error("its elements are of another type than `{wanted}`")]
    Type { wanted: &'static str },
    #[error("its length or limit is {found}, which none has")]
    Length { found: u64 },
}

/// What an object is, said in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Value = 1,
    Array,
    Atomic,
    AtomicArray,
    Lock,
    RLock,
    Semaphore,
    BoundedSemaphore,
    Event,
    Condition,
    Barrier,
}

impl Kind {
    /// Its name, also in `/proc/PID/maps`.
    fn name(self) -> &'static str {
        match self {
            Self::Value => "Value",
            Self::Array => "Array",
            Self::Atomic => "Atomic",
            Self::AtomicArray => "AtomicArray",
            Self::Lock => "Lock",
            Self::RLock => "RLock",
            Self::Semaphore => "Semaphore",
            Self::BoundedSemaphore => "BoundedSemaphore",
            Self::Event => "Event",
            Self::Condition => "Condition",
            Self::Barrier => "Barrier",
        }
    }
}

/// What is checked of an object that comes from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    kind: Kind,
    /// The Rust type of an element, its size and its alignment in bytes.
    element: (&'static str, usize, usize),
    /// How many elements there may be.
    len: (u64, u64),
    /// What [`Block::limit`] may be.
    limit: (u64, u64),
}

impl Layout {
    /// A single `T`.
    pub(crate) fn one<T>(kind: Kind) -> Self {
        const { assert!(align_of::<T>() <= LARGEST_ALIGNMENT, "aligned to more than a page") };
        let element = (std::any::type_name::<T>(), size_of::<T>(), align_of::<T>());
        Self { kind, element, len: (1, 1), limit: (0, 0) }
    }

    /// Any number of `T`s, one behind the other.
    pub(crate) fn many<T>(kind: Kind) -> Self {
        Self { len: (0, u64::MAX), ..Self::one::<T>(kind) }
    }

    /// The same with a limit.
    pub(crate) fn limited(self, limit: &RangeInclusive<u64>) -> Self {
        Self { limit: (*limit.start(), *limit.end()), ..self }
    }

    fn payload(&self) -> usize {
        PAYLOAD.next_multiple_of(self.element.2)
    }

    /// How many bytes an object takes. Never none behind the header, so that a payload has a place.
    fn bytes(&self, len: usize) -> Option<usize> {
        let payload = len.checked_mul(self.element.1)?.max(1);
        // Beyond this there are no addresses, nor offsets in files.
        payload.checked_add(self.payload()).filter(|&bytes| isize::try_from(bytes).is_ok())
    }

    /// What the header says.
    fn header(&self, len: usize, limit: u64) -> Header {
        let (name, size, align) = self.element;
        Header {
            magic: MAGIC,
            version: VERSION,
            kind: self.kind as u64,
            element: signature(name),
            size: size as u64,
            align: align as u64,
            len: len as u64,
            limit,
        }
    }

    /// Compares a header from elsewhere; the number of elements and the bytes it takes.
    fn check(&self, found: &Header) -> Result<(usize, usize), Unfit> {
        let wanted = self.header(0, 0);
        if found.magic != wanted.magic {
            return Err(Unfit::Magic);
        }
        if found.version != wanted.version {
            return Err(Unfit::Version { found: found.version });
        }
        if found.kind != wanted.kind {
            return Err(Unfit::Kind { wanted: self.kind.name(), found: found.kind });
        }
        let shape = |header: &Header| (header.element, header.size, header.align);
        if shape(found) != shape(&wanted) {
            return Err(Unfit::Type { wanted: self.element.0 });
        }
        if !(self.limit.0..=self.limit.1).contains(&found.limit) {
            return Err(Unfit::Length { found: found.limit });
        }
        let len = Some(found.len).filter(|len| (self.len.0..=self.len.1).contains(len));
        let len = len.and_then(|len| usize::try_from(len).ok());
        len.and_then(|len| Some((len, self.bytes(len)?))).ok_or(Unfit::Length { found: found.len })
    }
}

/// The first bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Header {
    magic: u64,
    version: u64,
    kind: u64,
    /// A hash of the name of the elements' type: equal sizes are not enough.
    element: u64,
    size: u64,
    align: u64,
    len: u64,
    /// See [`Block::limit`].
    limit: u64,
}

const _: () = assert!(size_of::<Header>() == GUARDING);

/// The lock and what is known about its holder. All but `died` changes only under `mutex`.
#[repr(C)]
struct Guarding {
    mutex: RobustMutex,
    /// Whether a holder died, and nobody has vouched since for what it left.
    died: AtomicU32,
    /// How often the holder has it.
    depth: AtomicU32,
    /// The token of the mapping through which it was taken last; see [`Block::token`].
    holder: AtomicU64,
}

const _: () = assert!(GUARDING + size_of::<Guarding>() <= PAYLOAD);

/// How often a coroutine looks for a lock that another of its thread has.
const PAUSE: Duration = Duration::from_millis(1);

/// One object in shared memory, mapped.
#[derive(Debug)]
pub(crate) struct Block {
    /// Dropped unless this mapping still has the lock: the system keeps a list of the locks a thread
    /// has, which must not lead into memory that is gone.
    shm: ManuallyDrop<Shm>,
    /// Where the payload begins.
    payload: usize,
    /// How many elements there are.
    len: usize,
    limit: u64,
    /// What tells this mapping from all others, here and in other processes.
    token: u64,
    /// The coroutine that has the lock through this mapping, or 0; changed under the lock.
    coroutine: AtomicU64,
}

impl Block {
    /// A new object, its payload zeroed. `len` and `limit` are such as `layout` allows.
    pub(crate) fn create(layout: Layout, len: usize, limit: u64) -> Result<Self, MemoryError> {
        let Some(bytes) = layout.bytes(len) else {
            return Err(MemoryError::TooLarge { len, size: layout.element.1 });
        };
        let refused = |source| MemoryError::System { bytes, source };
        let shm = Shm::create(layout.kind.name(), bytes, 0).map_err(|error| match error {
            ShmError::System(source) => refused(source),
            other => refused(io::Error::other(other)),
        })?;
        let block = Self::new(shm, layout, len, limit);
        // SAFETY: nobody else has the memory yet.
        unsafe { block.guarding().mutex.init(layout.kind == Kind::RLock) }.map_err(refused)?;
        let header = layout.header(len, limit);
        let bytes = bytemuck::bytes_of(&header);
        // SAFETY: so many bytes are mapped, and nobody else has them yet.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), block.shm.at(0), bytes.len()) };
        Ok(block)
    }

    /// Maps the object behind a descriptor from elsewhere, if it is one of this layout.
    pub(crate) fn attach(fd: OwnedFd, layout: Layout) -> Result<Self, Unfit> {
        Shm::check(&fd, PAYLOAD)?;
        let mut header = <Header as bytemuck::Zeroable>::zeroed();
        match pread(&fd, bytemuck::bytes_of_mut(&mut header), 0) {
            Ok(read) if read == size_of::<Header>() => {}
            Ok(_) => return Err(Unfit::Magic),
            Err(error) => return Err(ShmError::from(error).into()),
        }
        let (len, bytes) = layout.check(&header)?;
        Ok(Self::new(Shm::attach(fd, bytes, 0)?, layout, len, header.limit))
    }

    fn new(shm: Shm, layout: Layout, len: usize, limit: u64) -> Self {
        static MAPPINGS: AtomicU32 = AtomicU32::new(0);
        // Half the process, half a count: after 2^32 mappings one might be taken for another, and
        // kept for good, if that one's lock is never released.
        let count = MAPPINGS.fetch_add(1, Relaxed);
        let token = u64::from(std::process::id()) << 32 | u64::from(count);
        let coroutine = AtomicU64::new(0);
        Self {
            shm: ManuallyDrop::new(shm),
            payload: layout.payload(),
            len,
            limit,
            token,
            coroutine,
        }
    }

    /// The descriptor, to pass it on.
    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        self.shm.fd()
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A number that was given when the object was made: parties, or a bound.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Where the payload begins.
    #[inline]
    pub(crate) fn payload(&self) -> *mut u8 {
        self.shm.at(self.payload)
    }

    /// The payload as a `T`.
    ///
    /// # Safety
    /// `T` consists of atomics, and the layout is `Layout::one::<T>`.
    #[inline]
    pub(crate) unsafe fn state<T: Sync>(&self) -> &T {
        // SAFETY: atomics may have any bytes; the caller vouches for the rest.
        unsafe { self.shm.get(self.payload) }
    }

    #[inline]
    fn guarding(&self) -> &Guarding {
        // SAFETY: it consists of atomics and a mutex.
        unsafe { self.shm.get(GUARDING) }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Found> {
        self.taken(self.guarding().mutex.try_lock()?)
    }

    /// Waits for the lock; `None` if it is not free by the deadline.
    #[inline]
    pub(crate) fn lock(&self, deadline: Option<Instant>) -> Option<Found> {
        loop {
            let held = self.guarding().mutex.lock(deadline)?;
            if let Some(found) = self.taken(held) {
                return Some(found);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            cooperate::shielded(|| cooperate::sleep(PAUSE));
        }
    }

    /// Waits for the lock, however long it takes.
    #[inline]
    pub(crate) fn lock_for_good(&self) -> Found {
        loop {
            if let Some(found) = self.lock(None) {
                return found;
            }
        }
    }

    /// `None` if another coroutine of this thread has the lock, which the system lets through as the
    /// thread that it is.
    #[inline]
    fn taken(&self, held: Held) -> Option<Found> {
        let guarding = self.guarding();
        if held == Held::OwnerDied {
            // Whoever dies before this is done makes the next one start over.
            guarding.depth.store(0, Relaxed);
            guarding.died.store(1, Relaxed);
        }
        let depth = guarding.depth.load(Relaxed);
        if depth == 0 {
            guarding.holder.store(self.token, Relaxed);
            self.coroutine.store(cooperate::id(), Relaxed);
        } else if self.coroutine.load(Relaxed) != cooperate::id() {
            // SAFETY: it was just taken.
            unsafe { guarding.mutex.unlock() };
            return None;
        }
        guarding.depth.store(depth.wrapping_add(1), Relaxed);
        Some(if guarding.died.load(Relaxed) == 0 { Found::Whole } else { Found::AsDied })
    }

    /// Declares what the lock protects to be in order, whatever a dead holder did.
    ///
    /// To be called with the lock.
    pub(crate) fn vouch(&self) {
        self.guarding().died.store(0, Relaxed);
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// This thread has it.
    #[inline]
    pub(crate) unsafe fn unlock(&self) {
        let guarding = self.guarding();
        guarding.depth.store(guarding.depth.load(Relaxed).wrapping_sub(1), Relaxed);
        // SAFETY: the caller vouches for it.
        unsafe { guarding.mutex.unlock() };
    }

    /// Whether a thread has the lock through this mapping, by a guard that was forgotten.
    fn is_held_here(&self) -> bool {
        let guarding = self.guarding();
        guarding.depth.load(Relaxed) != 0 && guarding.holder.load(Relaxed) == self.token
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if !self.is_held_here() {
            // SAFETY: it is not used after this, nor dropped a second time.
            unsafe { ManuallyDrop::drop(&mut self.shm) };
        }
    }
}

/// What the lock of a [`Block`] protects, as its taker finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In order.
    Whole,
    /// As a holder left it that died, and nobody has vouched for it since.
    AsDied,
}

impl From<Errno> for Unfit {
    fn from(error: Errno) -> Self {
        Self::Memory(error.into())
    }
}

#[cfg(test)]
#[path = "block/tests.rs"]
mod tests;
