//! Something that has happened, or not yet.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::until;
use crate::cooperate;
use crate::os::{self, Block, Kind, Layout, MemoryError, Unfit, travels};

/// A flag that processes wait for.
///
/// It is one word, changed in one step: there is no instant at which a death could leave it half
/// changed. Clones and copies in other processes are the same event. Python's
/// `multiprocessing.Event`.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use spinneret::process::sync::Event;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let event = Event::new()?;
/// assert!(!event.wait_timeout(Duration::ZERO));
/// event.set();
/// event.wait();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    block: Arc<Block>,
}

travels!(Event);

/// Counts the changes, so that it is odd while the event is set: a waiter that slept through a set
/// and a clear sees that there was one.
#[repr(transparent)]
struct Changes(AtomicU32);

impl Event {
    /// A new event that has not happened.
    pub fn new() -> Result<Self, MemoryError> {
        Ok(Self { block: Arc::new(Block::create(Layout::one::<Changes>(Kind::Event), 1, 0)?) })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        Ok(Self { block: Arc::new(Block::attach(fd, Layout::one::<Changes>(Kind::Event))?) })
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    fn changes(&self) -> &AtomicU32 {
        // SAFETY: an atomic, and the layout is that of one.
        &unsafe { self.block.state::<Changes>() }.0
    }

    /// Says that it has happened, and wakes all who wait.
    pub fn set(&self) {
        if self.change(|set| !set) {
            os::wake(self.changes(), os::ALL);
        }
    }

    /// Says that it has not happened. Those who waited before the last [`set`](Self::set) go on all
    /// the same.
    pub fn clear(&self) {
        self.change(|set| set);
    }

    /// Changes the flag if `when` of it holds.
    fn change(&self, when: impl Fn(bool) -> bool) -> bool {
        let next = |changes| when(is_set(changes)).then(|| changes.wrapping_add(1));
        self.changes().fetch_update(SeqCst, SeqCst, next).is_ok()
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        is_set(self.changes().load(SeqCst))
    }

    /// Waits until it has happened.
    pub fn wait(&self) {
        while !self.wait_until(None) {}
    }

    /// Waits until it has happened; `false` if it does not in time.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(until(timeout))
    }

    /// Async twin of [`wait`](Self::wait). It needs a tokio runtime, as all twins here.
    pub async fn wait_async(&self) {
        self.wait_until_async(None).await;
    }

    /// Async twin of [`wait_timeout`](Self::wait_timeout).
    pub async fn wait_timeout_async(&self, timeout: Duration) -> bool {
        self.wait_until_async(until(timeout)).await
    }

    async fn wait_until_async(&self, deadline: Option<Instant>) -> bool {
        let before = self.changes().load(SeqCst);
        if is_set(before) {
            return true;
        }
        loop {
            os::wait_async(self.changes(), before, deadline).await;
            if self.has_happened_since(before) {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return false;
            }
        }
    }

    /// Whether it has happened, for one who found it clear, be it that it is clear again.
    fn has_happened_since(&self, before: u32) -> bool {
        self.changes().load(SeqCst) != before
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let before = self.changes().load(SeqCst);
        if is_set(before) {
            return true;
        }
        loop {
            os::wait(self.changes(), before, deadline);
            cooperate::check();
            if self.has_happened_since(before) {
                return true;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return false;
            }
        }
    }
}

fn is_set(changes: u32) -> bool {
    changes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_that_sleeps_through_a_set_and_a_clear_sees_both() {
        let event = Event::new().unwrap();
        event.clear();
        let before = event.changes().load(SeqCst);
        assert!(!is_set(before) && !event.has_happened_since(before));
        event.set();
        event.set();
        assert!(event.is_set() && event.has_happened_since(before));
        event.clear();
        assert!(!event.is_set() && event.has_happened_since(before));
    }

    #[test]
    fn the_count_of_changes_may_run_over() {
        let event = Event::new().unwrap();
        event.changes().store(u32::MAX, SeqCst);
        assert!(event.is_set());
        event.clear();
        assert!(!event.wait_timeout(Duration::ZERO));
    }
}
