//! Sleeping until a word of shared memory changes.

use std::sync::atomic::AtomicU32;
#[cfg(shared_memory)]
use std::sync::atomic::{Ordering, compiler_fence, fence};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{self, Flags, Timespec};

use crate::cooperate;

/// The longest sleep at a stretch. A wake-up may be lost with the process that owed it, so nobody
/// relies on one: after this time every sleeper looks for itself.
pub(crate) const NAP: Duration = Duration::from_millis(50);

/// How often a look for work is repeated before sleeping: all in all, with the pauses between them,
/// about as long as a sleep costs.
#[cfg(shared_memory)]
pub(crate) const LOOKS: u32 = 24;

/// As many as there are, for [`wake`].
pub(crate) const ALL: u32 = i32::MAX.cast_unsigned();

/// Orders what was written before a lock was given back before what is read from here on.
///
/// To give back a robust mutex is a locked exchange, which on x86-64 is a fence by itself: a second
/// one would cost a tenth of what a queue does for a message. Elsewhere it need not be.
#[cfg(shared_memory)]
#[inline]
pub(crate) fn fence_after_unlock() {
    if cfg!(target_arch = "x86_64") {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Sleeps while `word` is `expected`, until woken, until `deadline`, or for a [`NAP`]: whichever is
/// first. The caller looks again in any case, and a coroutine calls
/// [`check`](crate::cooperate::check) where it may end: within the sleep it does not.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    if cooperate::within() {
        let sleep = || cooperate::wait(super::wait_async(word, expected, deadline));
        return cooperate::shielded(sleep);
    }
    let nap = match deadline {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()).min(NAP),
        None => NAP,
    };
    let Ok(timeout) = Timespec::try_from(nap) else { return };
    match futex::wait(word, Flags::empty(), expected, Some(&timeout)) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
        // Not to be expected of a mapped, aligned word. Without sleep we still make progress.
        Err(_) => std::thread::sleep(Duration::from_millis(1)),
    }
}

/// Wakes at most `count` sleepers on `word`; says how many there were.
pub(crate) fn wake(word: &AtomicU32, count: u32) -> usize {
    futex::wake(word, Flags::empty(), count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_changed_word_is_not_slept_on_and_a_sleeper_is_woken() {
        let word = Arc::new(AtomicU32::new(0));
        wait(&word, 1, None);
        let sleeper = {
            let word = Arc::clone(&word);
            std::thread::spawn(move || {
                while word.load(Ordering::SeqCst) == 0 {
                    wait(&word, 0, None);
                }
            })
        };
        // Woken or not, it looks again after a nap at the latest.
        while wake(&word, ALL) == 0 && !sleeper.is_finished() {
            word.store(1, Ordering::SeqCst);
        }
        word.store(1, Ordering::SeqCst);
        sleeper.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_sleep() {
        let word = AtomicU32::new(0);
        wait(&word, 0, Some(Instant::now()));
    }
}
