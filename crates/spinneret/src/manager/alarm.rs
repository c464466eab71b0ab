//! When something is due next: a lease that ends, or a delay.

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Wakes whoever takes back leases, and lets delayed items be taken, in time.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    /// When it is to ring; none if nothing is due.
    next: Mutex<Option<Instant>>,
    changed: Notify,
}

impl Alarm {
    /// Makes sure that the alarm rings at that time or before.
    pub fn set(&self, time: Instant) {
        let mut next = self.next.lock();
        if next.is_none_or(|next| time < next) {
            *next = Some(time);
            drop(next);
            self.changed.notify_one();
        }
    }

    /// Forgets what was set; whoever calls it looks for all that is due.
    pub fn clear(&self) {
        *self.next.lock() = None;
    }

    /// Waits until the time that was set.
    pub async fn ring(&self) {
        loop {
            let next = *self.next.lock();
            let changed = self.changed.notified();
            match next {
                None => changed.await,
                Some(time) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(time.into()) => return,
                },
            }
        }
    }
}
