//! Waiting for the queue without holding up a thread: [`Signal::wait`] for async tasks.

use std::time::{Duration, Instant};

use super::core::Core;
use super::signal::Signal;
use super::waiting::What;
use crate::os;

impl Signal {
    /// Async twin of [`wait`](Self::wait); it needs tokio's timers.
    async fn wait_async(
        &self,
        deadline: Option<Instant>,
        ready: impl Fn() -> bool,
        nap: impl Fn(),
    ) -> bool {
        loop {
            if ready() {
                return true;
            }
            let announced = self.announce();
            if ready() {
                return true;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return false;
            }
            os::wait_async(self.word(), announced, deadline).await;
            if ready() {
                return true;
            }
            nap();
        }
    }
}

impl Core {
    /// Waits for it, as the methods that block do; `false` at the deadline.
    pub(super) async fn wait_async(&self, what: What, deadline: Option<Instant>) -> bool {
        let header = self.header();
        let requeue = || self.requeue_of_the_dead();
        match what {
            What::Items => header.items.0.wait_async(deadline, || self.is_ready(), requeue).await,
            What::Space(length) => {
                let ready = || self.has_space_or_end(length);
                header.space.0.wait_async(deadline, ready, || self.sweep_for(length)).await
            }
            What::Idle => header.idle.0.wait_async(deadline, || self.is_idle(), requeue).await,
            What::Lease => {
                if !header.items.0.wait_async(deadline, || self.is_ready(), requeue).await {
                    return false;
                }
                if self.has_slot() {
                    return true;
                }
                // The wake-up that was ours may be of use to one who needs no slot.
                header.items.0.notify(1);
                let ready = || self.has_slot() || !self.has_items();
                header.free.0.wait_async(deadline, ready, requeue).await
            }
        }
    }
}
