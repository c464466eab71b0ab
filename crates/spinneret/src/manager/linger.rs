//! Looking out for the next request for a moment before the thread goes to sleep.
//!
//! A peer that calls again and again comes back within microseconds, but waking a processor that
//! sleeps takes tens of them, most of all in a virtual machine: as long as everything else of a
//! round trip. So after a request the runtime is kept from sleeping for a [`MOMENT`], in which it
//! looks for arrivals all the time. The idea is that of adaptive locks and of Linux's haltpoll.
//!
//! It must not take from others what it gives to peers. After a moment in vain, the next ones are
//! left out, twice as many each time, and as many as it gets when the processor had other work: it
//! does not sleep then anyway.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now};

/// How long to look out: longer than a client takes between two calls, even in Python.
const MOMENT: Duration = Duration::from_micros(100);
/// Who yields for longer than this let others work meanwhile.
const CROWDED: Duration = Duration::from_micros(200);
/// How many requests in a row are left out, at most.
const MOST_LEFT_OUT: u32 = 1 << 12;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Linger {
    /// Grows with each request.
    requests: AtomicU64,
    /// After how many more requests to look out again.
    left_out: AtomicU32,
    begin: Notify,
}

impl Linger {
    /// Something has arrived.
    pub fn arrived(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let left_out = self.left_out.load(Ordering::Relaxed);
        if left_out == 0 {
            self.begin.notify_one();
        } else {
            // If two do so at a time, one is not counted: no harm.
            self.left_out.store(left_out - 1, Ordering::Relaxed);
        }
    }

    /// Keeps the runtime that runs this awake while that is worth it.
    pub async fn run(&self) {
        let (mut pause, mut seen) = (1, 0);
        loop {
            self.begin.notified().await;
            // Also told of what came while it was looking out.
            if self.requests.load(Ordering::Relaxed) == seen {
                continue;
            }
            pause = self.look_out().await.pause(pause);
            self.left_out.store(pause, Ordering::Relaxed);
            seen = self.requests.load(Ordering::Relaxed);
        }
    }

    async fn look_out(&self) -> Ended {
        let mut arrivals = 0;
        let mut requests = self.requests.load(Ordering::Relaxed);
        let mut since = Instant::now();
        let mut now = since;
        while now - since < MOMENT {
            thread::yield_now();
            let back = Instant::now();
            if back - now > CROWDED {
                return Ended::Crowded;
            }
            yield_now().await;
            now = Instant::now();
            let seen = self.requests.load(Ordering::Relaxed);
            if seen != requests {
                (arrivals, requests, since) = (arrivals + 1, seen, now);
            }
        }
        Ended::Quiet { arrivals }
    }
}

/// How a look-out ended.
enum Ended {
    /// Nothing came for a moment, after so many times when something did.
    Quiet { arrivals: u64 },
    /// Others needed the processor.
    Crowded,
}

impl Ended {
    /// How many requests to leave out, after so many the last time.
    fn pause(self, last: u32) -> u32 {
        match self {
            Self::Quiet { arrivals: 0 } => (2 * last).min(MOST_LEFT_OUT),
            Self::Quiet { .. } => 1,
            Self::Crowded => MOST_LEFT_OUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_in_vain_is_done_less_and_less_and_what_helps_goes_on() {
        let vain = || Ended::Quiet { arrivals: 0 };
        assert_eq!(vain().pause(vain().pause(vain().pause(1))), 8);
        assert_eq!((0..99).fold(1, |pause, _| vain().pause(pause)), MOST_LEFT_OUT);
        assert_eq!(Ended::Quiet { arrivals: 3 }.pause(64), 1);
        assert_eq!(Ended::Crowded.pause(1), MOST_LEFT_OUT);
    }

    #[tokio::test]
    async fn looking_out_ends_by_itself_and_begins_again_after_what_is_left_out() {
        let linger = Arc::new(Linger::default());
        let running = tokio::spawn({
            let linger = Arc::clone(&linger);
            async move { linger.run().await }
        });
        for _ in 0..3 {
            linger.arrived();
            while linger.left_out.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
            let left_out = linger.left_out.load(Ordering::Relaxed);
            assert!((1..=MOST_LEFT_OUT).contains(&left_out), "{left_out}");
            (0..left_out).for_each(|_| linger.arrived());
        }
        running.abort();
    }
}
