//! How those who wait are woken: the queue's wake protocol.
//!
//! Whoever finds nothing to do announces that it will sleep, looks once more, and sleeps on the word
//! it announced with. Whoever changes something looks at the word afterwards, and makes the system
//! call only if somebody announced. Two orders are possible: the change comes before the last look,
//! and is seen; or the announcement comes before the word is looked at, and is seen. The fences make
//! a third impossible. `tests/wake_protocol.rs` has a model of this file in which every interleaving
//! is tried.
//!
//! A sleeper that is killed leaves its announcement behind: the next wake-up finds nobody asleep and
//! takes it back. A waker that is killed before the call leaves others asleep: every sleep is short
//! (`os::futex::NAP`), and whoever wakes from it looks for itself.

use std::time::{Duration, Instant};

// The model has a module of this name too.
use crate::os::{
    self, LOOKS,
    atomic::{AtomicU32, Ordering, fence},
};

/// Set while somebody may be asleep; the other bits count changes of the word.
const SLEEPERS: u32 = 1;
const CHANGE: u32 = 2;

/// A word of shared memory to sleep on.
#[repr(transparent)]
pub(super) struct Signal(AtomicU32);

impl Signal {
    /// For the model; elsewhere it is memory of zeroes.
    #[cfg(test)]
    #[allow(dead_code)]
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Waits until `ready`; `false` at the deadline. `nap` is called after each nap.
    pub(super) fn wait(
        &self,
        deadline: Option<Instant>,
        ready: impl Fn() -> bool,
        nap: impl Fn(),
    ) -> bool {
        for look in 0..LOOKS {
            if ready() {
                return true;
            }
            // Longer and longer: each look slows down the one who is about to change what we look at.
            for _ in 0..look {
                std::hint::spin_loop();
            }
        }
        loop {
            let announced = self.announce();
            if ready() {
                return true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            self.sleep(announced, deadline);
            if ready() {
                return true;
            }
            nap();
        }
    }

    /// Says that the caller will sleep unless its next look finds something.
    ///
    /// The word changes even if others have announced: were it the same, one who is about to take
    /// back their announcement would take back ours.
    pub(super) fn announce(&self) -> u32 {
        let next = |word: u32| Some(word.wrapping_add(CHANGE) | SLEEPERS);
        let announced = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        fence(Ordering::SeqCst);
        // `next` refuses nothing, so both arms carry the former word.
        let (Ok(before) | Err(before)) = announced;
        before.wrapping_add(CHANGE) | SLEEPERS
    }

    /// The word, for who sleeps in another way. Not in the model.
    #[allow(dead_code)]
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// Sleeps unless the word has changed since it was announced; for a nap at most.
    fn sleep(&self, announced: u32, deadline: Option<Instant>) {
        os::wait(&self.0, announced, deadline);
    }

    /// Wakes as many as there is something for, after it is there. To be called right after the lock
    /// was given back under which it was put there.
    #[inline]
    pub(super) fn notify(&self, count: u32) {
        os::fence_after_unlock();
        if self.0.load(Ordering::Relaxed) & SLEEPERS != 0 {
            self.wake(count);
        }
    }

    #[cold]
    fn wake(&self, count: u32) {
        let word = self.0.fetch_add(CHANGE, Ordering::SeqCst).wrapping_add(CHANGE);
        if os::wake(&self.0, count) < count as usize {
            // Nobody is left. Unless somebody announced meanwhile, which changed the word.
            let _ =
                self.0.compare_exchange(word, word & !SLEEPERS, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}
