//! A meeting point: `Barrier`.

use std::mem::forget;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::signal::{Mutex, Signal, Wait};

/// Holds threads up until a number of them has arrived: Python's `threading.Barrier`.
///
/// Then it is ready for the next. If one of them cannot come, the others should not wait for ever:
/// a timeout or [`abort`](Self::abort) breaks the barrier for all, until [`reset`](Self::reset).
///
/// ```
/// use spinneret::sync::Barrier;
///
/// let barrier = Barrier::new(3);
/// std::thread::scope(|scope| {
///     let threads = [(); 3].map(|()| scope.spawn(|| barrier.wait()));
///     let mut order = threads.map(|thread| thread.join().unwrap().unwrap());
///     order.sort();
///     assert_eq!(order, [0, 1, 2]);
/// });
/// ```
#[derive(Debug)]
pub struct Barrier {
    parties: usize,
    state: Mutex<State>,
    /// A meeting has its outcome.
    decided: Signal,
}

#[derive(Debug)]
struct State {
    /// Those who wait in the present meeting; fewer than the parties.
    arrived: usize,
    /// Whether nobody may wait until the barrier is reset.
    broken: bool,
    /// What becomes of the present meeting. Each has its own, since the next may have begun when
    /// those who waited in it run again.
    meeting: Meeting,
}

/// All have come, or not all will.
type Outcome = Result<(), BarrierError>;

type Meeting = Arc<OnceLock<Outcome>>;

/// Breaks the barrier if one goes who has come: unless the meeting is over, the others would wait.
struct Leaves<'a> {
    barrier: &'a Barrier,
    meeting: &'a Meeting,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut state = self.barrier.state.lock();
        if self.meeting.get().is_none() {
            state.broken = true;
            self.barrier.decide(&mut state, Err(BarrierError::Broken));
        }
    }
}

/// What one gets who has waited, and found this outcome or none in time.
fn end(leaves: Leaves<'_>, index: usize, outcome: Option<Outcome>) -> Result<usize, BarrierError> {
    match outcome {
        Some(outcome) => {
            forget(leaves);
            outcome.map(|()| index)
        }
        // The others are told as `leaves` goes.
        None => Err(BarrierError::TimedOut),
    }
}

/// Why a thread did not meet the others at a [`Barrier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// Another waited in vain, or gave the meeting up by `abort` or `reset`.
    #[error("the barrier is broken: another gave up; reset() makes it usable again")]
    Broken,
    /// Not all came in time. The barrier is broken now.
    #[error("not all came to the barrier in time; it is broken until reset()")]
    TimedOut,
}

impl Barrier {
    /// A barrier for so many threads; 0 is as good as 1, which holds nobody up.
    pub fn new(parties: usize) -> Self {
        let state = State { arrived: 0, broken: false, meeting: Arc::default() };
        Self { parties: parties.max(1), state: Mutex::new(state), decided: Signal::new() }
    }

    /// Waits for the others. Returns the thread's number in the order of arrival, from 0 on, so
    /// that one of them can do what only one shall do.
    ///
    /// # Errors
    /// If the barrier is broken, or breaks meanwhile, or is reset.
    pub fn wait(&self) -> Result<usize, BarrierError> {
        self.wait_within(Wait::Ever)
    }

    /// Waits for the others up to this long.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), or if they do not come in time, which breaks the barrier.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.wait_within(timeout.into())
    }

    /// Async twin of [`wait`](Self::wait). To drop the future is to give up: it breaks the barrier.
    pub async fn wait_async(&self) -> Result<usize, BarrierError> {
        self.wait_within_async(Wait::Ever).await
    }

    /// Async twin of [`wait_timeout`](Self::wait_timeout). It needs a tokio runtime.
    pub async fn wait_timeout_async(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.wait_within_async(timeout.into()).await
    }

    fn wait_within(&self, wait: Wait) -> Result<usize, BarrierError> {
        let (index, meeting) = self.arrive()?;
        // A coroutine may be cancelled while it waits.
        let leaves = Leaves { barrier: self, meeting: &meeting };
        let outcome = self.decided.wait(&self.state, wait, |_| meeting.get().copied());
        end(leaves, index, outcome)
    }

    async fn wait_within_async(&self, wait: Wait) -> Result<usize, BarrierError> {
        let (index, meeting) = self.arrive()?;
        let leaves = Leaves { barrier: self, meeting: &meeting };
        let attempt = |_: &mut State| meeting.get().copied();
        let outcome = self.decided.wait_async(&self.state, wait, attempt).await;
        end(leaves, index, outcome)
    }

    /// Comes to the present meeting, and ends it if that makes all.
    fn arrive(&self) -> Result<(usize, Meeting), BarrierError> {
        let mut state = self.state.lock();
        if state.broken {
            return Err(BarrierError::Broken);
        }
        let index = state.arrived;
        state.arrived += 1;
        let meeting = Arc::clone(&state.meeting);
        if state.arrived == self.parties {
            self.decide(&mut state, Ok(()));
        }
        Ok((index, meeting))
    }

    /// Makes the barrier as good as new. Those who wait get [`Broken`](BarrierError::Broken).
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.broken = false;
        self.decide(&mut state, Err(BarrierError::Broken));
    }

    /// Breaks the barrier: all who wait or come get [`Broken`](BarrierError::Broken).
    pub fn abort(&self) {
        let mut state = self.state.lock();
        state.broken = true;
        self.decide(&mut state, Err(BarrierError::Broken));
    }

    /// How many have to arrive.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait, at this moment.
    pub fn waiting(&self) -> usize {
        self.state.lock().arrived
    }

    /// Whether it is broken, at this moment.
    pub fn is_broken(&self) -> bool {
        self.state.lock().broken
    }

    /// Ends the present meeting.
    fn decide(&self, state: &mut State, outcome: Outcome) {
        // A meeting is replaced as soon as it has its outcome, so it has none yet.
        let _ = std::mem::take(&mut state.meeting).set(outcome);
        state.arrived = 0;
        self.decided.all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    fn eventually(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < LONG, "it never came");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn threads_meet_again_and_again_and_each_has_an_index() {
        let barrier = Barrier::new(3);
        let rounds = std::sync::Mutex::new(vec![Vec::new(); 200]);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let index = barrier.wait_timeout(LONG).unwrap();
                        let mut rounds = rounds.lock().unwrap();
                        rounds[round].push(index);
                        // All have left the meeting before.
                        assert!(round == 0 || rounds[round - 1].len() == 3);
                    }
                });
            }
        });
        for mut round in rounds.into_inner().unwrap() {
            round.sort_unstable();
            assert_eq!(round, [0, 1, 2]);
        }
    }

    #[test]
    fn one_party_waits_for_nobody() {
        for parties in [0, 1] {
            let barrier = Barrier::new(parties);
            assert_eq!((barrier.parties(), barrier.wait(), barrier.wait()), (1, Ok(0), Ok(0)));
        }
    }

    #[test]
    fn who_waits_in_vain_breaks_it_for_all_until_it_is_reset() {
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            let other = scope.spawn(|| barrier.wait());
            eventually(|| barrier.waiting() == 1);
            assert_eq!(barrier.wait_timeout(SOON), Err(BarrierError::TimedOut));
            assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
        });
        assert!(barrier.is_broken());
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
        barrier.reset();
        assert!(!barrier.is_broken());
        thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| barrier.wait_timeout(LONG)));
            assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_ok()));
        });
    }

    #[test]
    fn an_abort_sends_all_home() {
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            let waiting = [(); 2].map(|()| scope.spawn(|| barrier.wait()));
            eventually(|| barrier.waiting() == 2);
            barrier.abort();
            for thread in waiting {
                assert_eq!(thread.join().unwrap(), Err(BarrierError::Broken));
            }
        });
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    }

    #[test]
    fn a_reset_sends_home_who_waits_and_lets_the_next_meet() {
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            let early = scope.spawn(|| barrier.wait());
            eventually(|| barrier.waiting() == 1);
            barrier.reset();
            let pair = [(); 2].map(|()| scope.spawn(|| barrier.wait_timeout(LONG)));
            assert_eq!(early.join().unwrap(), Err(BarrierError::Broken));
            assert!(pair.into_iter().all(|thread| thread.join().unwrap().is_ok()));
        });
    }
}
