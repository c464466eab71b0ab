//! So many at a time.
//!
//! # Layout
//! Every process that takes permits has a cell in a table, where it counts those it has, and a mark
//! (see [`Presence`]) on the byte of the cell's number, which vanishes when it dies. A cell without
//! a mark is free, and what it still counts belonged to a dead process: whoever finds no permit left
//! looks for such cells. How many are free follows from `total` and the cells; `free` repeats it, and
//! is computed anew when somebody died inside. So every change is one store that matters.

use std::os::fd::OwnedFd;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, Release, SeqCst},
};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::until;
use crate::cooperate;
use crate::os::ShmError;
use crate::os::{self, Block, Found, Hold, Kind, Layout, MemoryError, Presence, Unfit, travels};

/// How many processes can have permits on record.
const CELLS: usize = 1023;

/// The cell of all processes beyond these: permits in it are not missed when a process dies.
const COMMON: usize = CELLS;

/// What lies in the shared memory; it changes under the lock only, and `sleepers`.
#[repr(C)]
struct State {
    /// How many permits can be taken now: `total` less what the cells count.
    free: AtomicU32,
    /// How many permits there are, free or not.
    total: AtomicU32,
    /// How many wait, about: a waiter that is killed is counted for good, which costs a wake-up of
    /// nobody now and then.
    sleepers: AtomicU32,
    /// How many permits each process has.
    cells: [AtomicU32; CELLS + 1],
}

/// A mapped semaphore, and this process's place in it.
#[derive(Debug)]
struct Place {
    block: Block,
    presence: Presence,
    /// The number of our cell, once there is one.
    cell: OnceLock<usize>,
}

/// A number of permits that processes take and give back.
///
/// A permit that a [`Permit`] stands for belongs to its process: if that is killed, the permit comes
/// back (to whoever waits, within 50 ms), as do those it forgot when its last handle goes. This holds for 1,023 processes at a time, and the permits
/// of any beyond these are lost with them; a process made by `fork` counts as one with its parent.
///
/// Where permits stand for items rather than for places, Python's way, one side calls
/// [`release`](Self::release) and the other [`Permit::forget`]; these are nobody's. Waiting is in no
/// order. Clones and copies in other processes are the same semaphore. Python's
/// `multiprocessing.Semaphore`.
///
/// # Examples
/// ```
/// use spinneret::process::sync::Semaphore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let places = Semaphore::new(2)?;
/// let (_first, second) = (places.acquire(), places.acquire());
/// assert!(places.try_acquire().is_none());
/// drop(second);
/// assert_eq!(places.available(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    place: Arc<Place>,
}

/// A [`Semaphore`] that never has more permits than it began with: one [`release`](Self::release)
/// too many is an error. Python's `multiprocessing.BoundedSemaphore`.
#[derive(Clone, Debug)]
pub struct BoundedSemaphore {
    place: Arc<Place>,
}

/// A permit of a semaphore, given back when it is dropped, or when its process dies.
#[derive(Debug)]
#[must_use = "the permit is given back at once if it is dropped"]
pub struct Permit<'a> {
    place: &'a Place,
}

/// The semaphore has as many permits as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the semaphore has {most} permits, as many as it may have: more were released than were taken \
     by `forget`"
)]
pub struct TooManyPermits {
    /// How many it may have.
    pub most: u32,
}

macro_rules! semaphore {
    ($name:ident, $kind:expr, $most:expr) => {
        travels!($name);

        impl $name {
            /// A new semaphore with so many permits.
            pub fn new(permits: u32) -> Result<Self, MemoryError> {
                let most: fn(u32) -> u32 = $most;
                Ok(Self { place: Arc::new(Place::create($kind, permits, most(permits))?) })
            }

            fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
                Ok(Self { place: Arc::new(Place::attach(fd, $kind)?) })
            }

            fn fd(&self) -> &Arc<OwnedFd> {
                self.place.block.fd()
            }

            /// Waits for a permit.
            pub fn acquire(&self) -> Permit<'_> {
                loop {
                    if let Some(permit) = self.place.acquire(None) {
                        return permit;
                    }
                }
            }

            /// Takes a permit if there is one.
            pub fn try_acquire(&self) -> Option<Permit<'_>> {
                self.place.try_acquire(&self.place.enter())
            }

            /// Waits for a permit; `None` if there is none in time.
            pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
                self.place.acquire(until(timeout))
            }

            /// Async twin of [`acquire`](Self::acquire). It needs a tokio runtime.
            pub async fn acquire_async(&self) -> Permit<'_> {
                loop {
                    if let Some(permit) = self.place.acquire_async(None).await {
                        return permit;
                    }
                }
            }

            /// Async twin of [`acquire_timeout`](Self::acquire_timeout). It needs a tokio runtime.
            pub async fn acquire_timeout_async(&self, timeout: Duration) -> Option<Permit<'_>> {
                self.place.acquire_async(until(timeout)).await
            }

            /// Adds a permit, which nobody needs to have taken before. One that a [`Permit`] stands
            /// for comes back by dropping that.
            pub fn release(&self) -> Result<(), TooManyPermits> {
                self.place.release()
            }

            /// How many permits can be taken now. By the time it is looked at it may be wrong.
            pub fn available(&self) -> usize {
                let inside = self.place.enter();
                self.place.reap(&inside);
                self.place.state().free.load(Relaxed) as usize
            }
        }
    };
}

semaphore!(Semaphore, Kind::Semaphore, |_| u32::MAX);
semaphore!(BoundedSemaphore, Kind::BoundedSemaphore, |permits| permits);

fn layout(kind: Kind) -> Layout {
    Layout::one::<State>(kind).limited(&(0..=u64::from(u32::MAX)))
}

impl Place {
    fn create(kind: Kind, permits: u32, most: u32) -> Result<Self, MemoryError> {
        let block = Block::create(layout(kind), 1, u64::from(most))?;
        let refused = |source| MemoryError::System { bytes: size_of::<State>(), source };
        let presence = Presence::open(block.fd()).map_err(refused)?;
        let place = Self { block, presence, cell: OnceLock::new() };
        place.state().total.store(permits, Relaxed);
        place.state().free.store(permits, Relaxed);
        Ok(place)
    }

    fn attach(fd: OwnedFd, kind: Kind) -> Result<Self, Unfit> {
        let block = Block::attach(fd, layout(kind))?;
        let presence = Presence::open(block.fd()).map_err(ShmError::System)?;
        Ok(Self { block, presence, cell: OnceLock::new() })
    }

    fn state(&self) -> &State {
        // SAFETY: it consists of atomics, and the layout is that of one.
        unsafe { self.block.state() }
    }

    /// Takes the lock; what a dead holder left is put in order.
    fn enter(&self) -> Hold<'_> {
        self.entered(Hold::take(&self.block))
    }

    fn entered<'a>(&self, (hold, found): (Hold<'a>, Found)) -> Hold<'a> {
        if found == Found::AsDied {
            self.count(&hold);
            hold.vouch();
        }
        hold
    }

    /// Computes how many are free.
    fn count(&self, _inside: &Hold<'_>) {
        let state = self.state();
        let taken: u64 = state.cells.iter().map(|cell| u64::from(cell.load(Relaxed))).sum();
        let free = u64::from(state.total.load(Relaxed)).saturating_sub(taken);
        state.free.store(u32::try_from(free).unwrap_or(u32::MAX), Relaxed);
    }

    /// Takes back the permits of the dead.
    fn reap(&self, inside: &Hold<'_>) {
        let cells = self.state().cells[..CELLS].iter().enumerate();
        let of_others = cells.filter(|&(number, _)| self.cell.get() != Some(&number));
        let mut dead = of_others
            .filter(|&(number, cell)| cell.load(Relaxed) != 0 && !self.presence.is_claimed(number));
        let mut found = false;
        for (_, cell) in &mut dead {
            cell.store(0, Relaxed);
            found = true;
        }
        if found {
            self.count(inside);
        }
    }

    /// Our cell; the first time, one that nobody has.
    fn cell(&self, inside: &Hold<'_>) -> &AtomicU32 {
        let number = self.cell.get_or_init(|| {
            let number = (0..CELLS).find(|&number| self.presence.claim(number));
            // What it counts was a dead process's.
            if let Some(number) = number
                && self.state().cells[number].swap(0, Relaxed) != 0
            {
                self.count(inside);
            }
            number.unwrap_or(COMMON)
        });
        &self.state().cells[*number]
    }

    fn try_acquire(&self, inside: &Hold<'_>) -> Option<Permit<'_>> {
        let free = &self.state().free;
        if free.load(Relaxed) == 0 {
            self.reap(inside);
        }
        if free.load(Relaxed) == 0 {
            return None;
        }
        let cell = self.cell(inside);
        cell.store(cell.load(Relaxed).saturating_add(1), Relaxed);
        free.store(free.load(Relaxed).saturating_sub(1), Relaxed);
        Some(Permit { place: self })
    }

    fn acquire(&self, deadline: Option<Instant>) -> Option<Permit<'_>> {
        loop {
            let inside = self.entered(Hold::take_until(&self.block, deadline)?);
            if let Some(permit) = self.try_acquire(&inside) {
                return Some(permit);
            }
            drop(inside);
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            let _sleeps = Sleeps::new(self.state());
            os::wait(&self.state().free, 0, deadline);
            cooperate::check();
        }
    }

    async fn acquire_async(&self, deadline: Option<Instant>) -> Option<Permit<'_>> {
        loop {
            if let Some(permit) = self.try_acquire(&self.enter()) {
                return Some(permit);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            let _sleeps = Sleeps::new(self.state());
            os::wait_async(&self.state().free, 0, deadline).await;
        }
    }

    /// Adds a permit, no more than the bound allows.
    fn release(&self) -> Result<(), TooManyPermits> {
        let inside = self.enter();
        let most = u32::try_from(self.block.limit()).unwrap_or(u32::MAX);
        let total = &self.state().total;
        let Some(more) = total.load(Relaxed).checked_add(1).filter(|&more| more <= most) else {
            return Err(TooManyPermits { most });
        };
        total.store(more, Relaxed);
        self.freed(inside);
        Ok(())
    }

    /// Counts one permit less in our cell.
    fn leave_cell(&self, inside: &Hold<'_>) {
        let cell = self.cell(inside);
        // Not before what `forget` does first.
        cell.store(cell.load(Relaxed).saturating_sub(1), Release);
    }

    /// One more is free.
    fn freed(&self, inside: Hold<'_>) {
        let state = self.state();
        state.free.store(state.free.load(Relaxed).saturating_add(1), SeqCst);
        drop(inside);
        // Whoever is about to sleep, and not counted yet, finds `free` changed.
        if state.sleepers.load(SeqCst) != 0 {
            os::wake(&state.free, 1);
        }
    }
}

/// Counts one who sleeps.
struct Sleeps<'a>(&'a State);

impl<'a> Sleeps<'a> {
    fn new(state: &'a State) -> Self {
        state.sleepers.fetch_add(1, SeqCst);
        Self(state)
    }
}

impl Drop for Sleeps<'_> {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, SeqCst);
    }
}

impl Permit<'_> {
    /// Takes the permit out of the semaphore for good; [`Semaphore::release`] adds another.
    pub fn forget(self) {
        let place = self.place;
        std::mem::forget(self);
        let inside = place.enter();
        // In this order a death in between does not bring it back.
        let total = &place.state().total;
        total.store(total.load(Relaxed).saturating_sub(1), Relaxed);
        place.leave_cell(&inside);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let inside = self.place.enter();
        self.place.leave_cell(&inside);
        self.place.freed(inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scribble(place: &Place, word: u32) {
        let state = place.state();
        for cell in [&state.free, &state.total, &state.sleepers].into_iter().chain(&state.cells) {
            cell.store(word, Relaxed);
        }
    }

    #[test]
    fn whatever_lies_in_the_memory_nothing_panics_or_hangs() {
        let semaphore = BoundedSemaphore::new(2).unwrap();
        for word in [0, 1, 2, 1 << 31, u32::MAX - 1, u32::MAX] {
            scribble(&semaphore.place, word);
            let permits = [semaphore.try_acquire(), semaphore.acquire_timeout(Duration::ZERO)];
            let _ = semaphore.release();
            for permit in permits.into_iter().flatten() {
                permit.forget();
            }
            drop(semaphore.try_acquire());
            let _ = semaphore.available();
        }
    }

    /// What a process can have done of its work when it is killed inside.
    #[test]
    fn what_a_death_inside_leaves_is_put_in_order() {
        for half in [
            |state: &State| state.cells[0].store(2, Relaxed),
            |state: &State| state.cells[0].store(0, Relaxed),
            |state: &State| state.free.store(7, Relaxed),
        ] {
            let semaphore = Semaphore::new(3).unwrap();
            std::mem::forget(semaphore.acquire());
            std::thread::scope(|scope| {
                // A thread that ends with the lock is dead, to the kernel.
                scope.spawn(|| {
                    std::mem::forget(semaphore.place.enter());
                    half(semaphore.place.state());
                });
            });
            let taken = semaphore.place.state().cells[0].load(Relaxed);
            assert_eq!(semaphore.available(), 3 - taken as usize);
        }
    }

    #[test]
    fn who_finds_no_cell_shares_the_last() {
        let semaphore = Semaphore::new(3).unwrap();
        let crowd = Presence::open(semaphore.fd()).unwrap();
        assert!((0..CELLS).all(|number| crowd.claim(number)));
        let permit = semaphore.acquire();
        assert_eq!(semaphore.place.cell.get(), Some(&COMMON));
        assert_eq!(semaphore.available(), 2);
        drop(permit);
        assert_eq!(semaphore.available(), 3);
    }
}
