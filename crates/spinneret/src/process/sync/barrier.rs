//! Waiting for each other.

use std::mem::forget;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::until;
use crate::cooperate;
use crate::os::{self, Block, Kind, Layout, MemoryError, Unfit, travels};

/// A point that a number of parties pass together.
///
/// What a barrier knows is one word, changed in one step, so a party that dies leaves it whole. One
/// that dies before it arrives is missed: the others wait until [`wait_timeout`](Self::wait_timeout)
/// of one of them ends, which breaks the barrier for all, or until [`abort`](Self::abort). One that
/// dies after it arrived has arrived.
///
/// Clones and copies in other processes are the same barrier. Python's `multiprocessing.Barrier`.
///
/// # Examples
/// ```
/// use spinneret::process::sync::Barrier;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let barrier = Barrier::new(2)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().unwrap());
///     let mine = barrier.wait().unwrap();
///     assert_eq!(mine + other.join().unwrap(), 0 + 1);
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Barrier {
    block: Arc<Block>,
}

travels!(Barrier);

/// Why a barrier was not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The others did not arrive in time. The barrier is broken now.
    #[error("not all parties came to the barrier in time; it is broken until reset() is called")]
    TimedOut,
    /// A party gave up, or the barrier was reset meanwhile.
    #[error(
        "the barrier is broken: a party timed out, or it was aborted or reset; call reset() when \
         all parties know"
    )]
    Broken,
}

#[repr(C)]
struct State {
    /// A [`Word`].
    word: AtomicU64,
    /// Changes after the round in `word` does, for those who sleep. It may lag behind or skip.
    bell: AtomicU32,
}

/// All that a barrier knows: the round, how many arrived in it, whether it is broken, and how the
/// last 15 rounds ended, for waiters that sleep through the end of theirs and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const ARRIVED: u64 = 0xffff;
    const BROKEN: u64 = 1 << 16;
    /// The lowest of 15 bits, each for a round: 1 if it was not passed; the last one is lowest.
    const FATES: u32 = 17;
    /// The lowest bit of the round.
    const ROUND: u32 = 32;

    fn arrived(self) -> u64 {
        self.0 & Self::ARRIVED
    }

    fn is_broken(self) -> bool {
        self.0 & Self::BROKEN != 0
    }

    fn round(self) -> u32 {
        (self.0 >> Self::ROUND) as u32
    }

    fn fates(self) -> u64 {
        (self.0 >> Self::FATES) & 0x7fff
    }

    /// The next round, with nobody there yet.
    fn ended(self, passed: bool, broken: bool) -> Self {
        let fates = (self.fates() << 1 | u64::from(!passed)) & 0x7fff;
        let round = u64::from(self.round().wrapping_add(1));
        let broken = if broken { Self::BROKEN } else { 0 };
        Self(round << Self::ROUND | fates << Self::FATES | broken)
    }

    /// Whether a former round was passed. Of those long ago it is not known, and denied.
    fn was_passed(self, round: u32) -> bool {
        match self.round().wrapping_sub(round) {
            ago @ 1..=15 => self.fates() >> (ago - 1) & 1 == 0,
            _ => false,
        }
    }
}

impl Barrier {
    fn layout() -> Layout {
        Layout::one::<State>(Kind::Barrier).limited(&(1..=u64::from(u16::MAX)))
    }

    /// A barrier for so many parties; none counts as one.
    pub fn new(parties: u16) -> Result<Self, MemoryError> {
        let block = Block::create(Self::layout(), 1, u64::from(parties.max(1)))?;
        Ok(Self { block: Arc::new(block) })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Ok(Self { block: Arc::new(Block::attach(fd, Self::layout())?) })
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    fn state(&self) -> &State {
        // SAFETY: it consists of atomics, and the layout is that of one.
        unsafe { self.block.state() }
    }

    fn word(&self) -> Word {
        Word(self.state().word.load(SeqCst))
    }

    /// Changes the word in one step; what it was before, or that `next` gave nothing.
    fn change(&self, next: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        let next = |word| next(Word(word)).map(|word| word.0);
        self.state().word.fetch_update(SeqCst, SeqCst, next).map(Word).map_err(Word)
    }

    fn ring(&self) {
        self.state().bell.fetch_add(1, SeqCst);
        os::wake(&self.state().bell, os::ALL);
    }

    /// For how many parties it is.
    pub fn parties(&self) -> usize {
        self.block.limit() as usize
    }

    /// How many wait at it.
    pub fn waiting(&self) -> usize {
        self.word().arrived() as usize
    }

    /// Whether a party timed out, or called [`abort`](Self::abort).
    pub fn is_broken(&self) -> bool {
        self.word().is_broken()
    }

    /// Waits for the others; as the how-manieth this party arrived, from 0.
    pub fn wait(&self) -> Result<usize, BarrierError> {
        self.wait_until(None)
    }

    /// Waits for the others; if they do not come in time, the barrier is broken.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.wait_until(until(timeout))
    }

    /// Breaks the barrier: all who wait or come later get [`BarrierError::Broken`].
    pub fn abort(&self) {
        if self.change(|word| (!word.is_broken()).then(|| word.ended(false, true))).is_ok() {
            self.ring();
        }
    }

    /// Makes the barrier as new. Those who wait get [`BarrierError::Broken`].
    pub fn reset(&self) {
        if self.change(|word| Some(word.ended(false, false))).is_ok() {
            self.ring();
        }
    }

    /// Async twin of [`wait`](Self::wait). It needs a tokio runtime. To drop the future is to give up:
    /// it breaks the barrier.
    pub async fn wait_async(&self) -> Result<usize, BarrierError> {
        self.wait_until_async(None).await
    }

    /// Async twin of [`wait_timeout`](Self::wait_timeout); see [`wait_async`](Self::wait_async).
    pub async fn wait_timeout_async(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.wait_until_async(until(timeout)).await
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<usize, BarrierError> {
        let (round, index) = match self.arrive()? {
            Arrival::Last(index) => return Ok(index),
            Arrival::Waits { round, index } => (round, index),
        };
        loop {
            let bell = self.state().bell.load(SeqCst);
            if let Some(outcome) = self.outcome(round, index, deadline) {
                return outcome;
            }
            os::wait(&self.state().bell, bell, deadline);
            let leaves = Leaves(self);
            cooperate::check();
            forget(leaves);
        }
    }

    async fn wait_until_async(&self, deadline: Option<Instant>) -> Result<usize, BarrierError> {
        let (round, index) = match self.arrive()? {
            Arrival::Last(index) => return Ok(index),
            Arrival::Waits { round, index } => (round, index),
        };
        let leaves = Leaves(self);
        loop {
            let bell = self.state().bell.load(SeqCst);
            if let Some(outcome) = self.outcome(round, index, deadline) {
                forget(leaves);
                return outcome;
            }
            os::wait_async(&self.state().bell, bell, deadline).await;
        }
    }

    fn arrive(&self) -> Result<Arrival, BarrierError> {
        let parties = self.block.limit();
        let arrival = self.change(|word| {
            let last = word.arrived() + 1 >= parties;
            let next = if last { word.ended(true, false) } else { Word(word.0 + 1) };
            (!word.is_broken()).then_some(next)
        });
        let arrival = arrival.map_err(|_| BarrierError::Broken)?;
        let (round, index) = (arrival.round(), arrival.arrived() as usize);
        if arrival.arrived() + 1 >= parties {
            self.ring();
            return Ok(Arrival::Last(index));
        }
        Ok(Arrival::Waits { round, index })
    }

    /// What becomes of one who waits in this round; `None` to wait on.
    fn outcome(
        &self,
        round: u32,
        index: usize,
        deadline: Option<Instant>,
    ) -> Option<Result<usize, BarrierError>> {
        loop {
            let word = self.word();
            if word.round() != round {
                let passed = word.was_passed(round);
                return Some(if passed { Ok(index) } else { Err(BarrierError::Broken) });
            }
            if deadline.is_none_or(|deadline| deadline > Instant::now()) {
                return None;
            }
            let broken = self.change(|word| {
                let ours = word.round() == round;
                ours.then(|| word.ended(false, true))
            });
            // Otherwise the round ended just now.
            if broken.is_ok() {
                self.ring();
                return Some(Err(BarrierError::TimedOut));
            }
        }
    }
}

/// What an arrival came to.
enum Arrival {
    /// All are there.
    Last(usize),
    Waits {
        round: u32,
        index: usize,
    },
}

/// Breaks the barrier if one goes who has arrived: the others would wait for it.
struct Leaves<'a>(&'a Barrier);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_remembered_for_fifteen_more() {
        let mut word = Word(u64::from(u32::MAX - 3) << Word::ROUND | 7);
        let fates = [true, false, false, true, true, false, true, true, false, true, false, true];
        let first = word.round();
        for &passed in &fates {
            word = word.ended(passed, !passed);
            assert_eq!((word.arrived(), word.is_broken()), (0, !passed));
        }
        for (&passed, ago) in fates.iter().zip(0..) {
            assert_eq!(word.was_passed(first.wrapping_add(ago)), passed, "{ago}");
        }
        assert!(!word.was_passed(word.round()), "a round that has not ended");
        for _ in 0..4 {
            word = word.ended(true, false);
        }
        assert!(!word.was_passed(first), "too long ago");
    }

    #[test]
    fn whatever_lies_in_the_memory_nothing_panics_or_hangs() {
        let barrier = Barrier::new(3).unwrap();
        for shift in 0..64 {
            for word in [1, u64::MAX] {
                barrier.state().word.store(word << shift, SeqCst);
                let _ = barrier.wait_timeout(Duration::ZERO);
                barrier.reset();
                assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
            }
        }
    }
}
