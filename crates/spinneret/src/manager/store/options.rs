//! How queues and puts are to be, and a queue in numbers.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Longer dedupe keys are replaced by their SHA-256, which is as long as this, in bytes.
const LONGEST_KEY: usize = 32;
/// No delay is longer, so that adding one to a time never overflows: 100 years.
const LONGEST_DELAY: Duration = Duration::from_hours(100 * 365 * 24);

/// How a queue is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    pub(crate) maxsize: u64,
    pub(crate) max_deliveries: u32,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) memory_only: bool,
}

impl QueueOptions {
    /// An unbounded queue whose items are delivered up to 5 times, without pauses between. It is
    /// durable if its manager has a data folder.
    pub fn new() -> Self {
        Self { maxsize: 0, max_deliveries: 5, backoff: None, memory_only: false }
    }

    /// The number of queued items from which puts wait. Delayed items count, leased ones do not.
    /// 0 is no bound.
    #[must_use]
    pub fn maxsize(mut self, items: usize) -> Self {
        self.maxsize = items as u64;
        self
    }

    /// How often an item is delivered before it becomes a dead letter. 0 is no limit.
    #[must_use]
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.max_deliveries = deliveries;
        self
    }

    /// Lets an item whose delivery failed (its lease ran out, its connection broke, its holder
    /// panicked) wait before the next: for `initial` after the first failure, twice as long after
    /// each further one, up to `max`. Both in microseconds at the finest; an `initial` of zero is
    /// no pause. A lease that its holder gave back is no failure.
    #[must_use]
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.backoff = Backoff::new(initial, max);
        self
    }

    /// Keeps the queue in memory only, even if its manager has a data folder: faster, and gone
    /// with the manager.
    #[must_use]
    pub fn memory_only(mut self) -> Self {
        self.memory_only = true;
        self
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The pauses before redeliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// Not zero.
    pub initial: Duration,
    pub max: Duration,
}

impl Backoff {
    /// In whole microseconds, as they travel, so that the same options compare equal at both
    /// ends; `None` is no pause.
    pub fn new(initial: Duration, max: Duration) -> Option<Self> {
        let whole = |time: Duration| {
            let micros = u64::try_from(time.min(LONGEST_DELAY).as_micros());
            Duration::from_micros(micros.unwrap_or(u64::MAX))
        };
        let initial = whole(initial);
        (!initial.is_zero()).then(|| Self { initial, max: whole(max).max(initial) })
    }

    /// The pause after so many failures.
    pub fn pause(self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(doubled).min(self.max)
    }
}

/// How one item is to be put; for [`Queue::put_with`](super::super::Queue::put_with).
///
/// ```
/// use std::time::Duration;
/// use spinneret::manager::PutOptions;
///
/// let soon = PutOptions::new().priority(5).delay(Duration::from_secs(30));
/// let once = PutOptions::new().dedupe("http://example.org/", Duration::from_secs(3600));
/// # let _ = (soon, once);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    pub(crate) priority: i8,
    pub(crate) delay: Duration,
    pub(crate) dedupe: Option<Dedupe>,
}

/// A key under which a second put is dropped, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dedupe {
    /// 32 bytes at most.
    pub key: Bytes,
    pub ttl: Duration,
}

impl PutOptions {
    /// As [`Queue::put`](super::super::Queue::put) does: priority 0, no delay, no key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items of a higher priority are taken first, those of the same in the order of their puts.
    /// Plain puts have priority 0.
    #[must_use]
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = priority;
        self
    }

    /// Lets nobody take the item before this time is over. It then joins the end of its
    /// priority's line. `join` waits for delayed items too. 100 years at most.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.min(LONGEST_DELAY);
        self
    }

    /// Drops the item if one with the same key was put into the queue less than that item's `ttl`
    /// ago, whatever has become of it. Keys of any length are told apart; up to 64 bytes of
    /// memory or so are used for each until its time is over, 100 years at most.
    #[must_use]
    pub fn dedupe(mut self, key: impl AsRef<[u8]>, ttl: Duration) -> Self {
        let key = key.as_ref();
        let key = if key.len() <= LONGEST_KEY {
            Bytes::copy_from_slice(key)
        } else {
            Bytes::copy_from_slice(&Sha256::digest(key))
        };
        self.dedupe = Some(Dedupe { key, ttl: ttl.min(LONGEST_DELAY) });
        self
    }
}

/// A queue in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Items waiting to be taken, delayed ones included.
    pub queued: u64,
    /// Those of the queued items that nobody may take yet.
    pub delayed: u64,
    /// Items taken and not yet done.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
    /// Items that were got for good but wait for a `task_done()`, as Python's do.
    pub taken: u64,
    /// Items that `join` waits for: queued, leased and taken ones, without as many as Python
    /// reported done before they were got.
    pub unfinished: u64,
    /// Items put since the manager started.
    pub puts: u64,
    /// Deliveries made since the manager started; an item that came back counts again.
    pub delivered: u64,
    /// Items done since the manager started.
    pub done: u64,
    /// Queued items from which puts wait; 0 is no bound.
    pub maxsize: u64,
    /// Whether the queue is closed to new items.
    pub closed: bool,
}
