//! Waiting, without the lock, for what others do under it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::died::{Exclusive, LockResult, OwnerDied};
use super::until;
use crate::cooperate;
use crate::os::{self, Block, Found, Kind, Layout, MemoryError, Unfit, travels};

/// A place to wait for a change of what a lock protects: a [`Lock`](super::Lock), or the lock of a
/// [`Value`](crate::shared::Value) or [`Array`](crate::shared::Array).
///
/// Waiting gives the lock up, and has it again when it ends. It may end without a notification, so
/// look at the condition in a loop, or use [`wait_while`](Self::wait_while). A notified process that
/// is killed takes no notification with it: every other waiter looks again within 50 ms.
///
/// The lock is found as by locking it: if its holder died meanwhile, waiting ends with
/// [`OwnerDied`].
///
/// Clones and copies in other processes are the same condition. Python's
/// `multiprocessing.Condition`, in the manner of [`std::sync::Condvar`].
///
/// # Examples
/// ```
/// use spinneret::process::sync::{Condition, OwnerDied};
/// use spinneret::shared::Value;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (done, changed) = (Value::new(0_u32)?, Condition::new()?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *done.lock().unwrap() += 1;
///         changed.notify_all();
///     });
///     let guard = done.lock().unwrap_or_else(OwnerDied::into_inner);
///     let guard = changed.wait_while(guard, |done| **done == 0).unwrap();
///     assert_eq!(*guard, 1);
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Condition {
    block: Arc<Block>,
}

travels!(Condition);

/// Counts the notifications: a waiter sleeps while it stays the same.
#[repr(transparent)]
struct Notifications(AtomicU32);

impl Condition {
    /// A new condition.
    pub fn new() -> Result<Self, MemoryError> {
        let layout = Layout::one::<Notifications>(Kind::Condition);
        Ok(Self { block: Arc::new(Block::create(layout, 1, 0)?) })
    }

    fn adopt(fd: OwnedFd) -> Result<Self, Unfit> {
        let layout = Layout::one::<Notifications>(Kind::Condition);
        Ok(Self { block: Arc::new(Block::attach(fd, layout)?) })
    }

    fn fd(&self) -> &Arc<OwnedFd> {
        self.block.fd()
    }

    fn notifications(&self) -> &AtomicU32 {
        // SAFETY: an atomic, and the layout is that of one.
        &unsafe { self.block.state::<Notifications>() }.0
    }

    /// Waits for a notification.
    pub fn wait<G: Exclusive>(&self, mut guard: G) -> LockResult<G> {
        let (_, found) = self.sleep(&mut guard, None);
        OwnerDied::check(guard, found)
    }

    /// Waits for a notification; whether one came in time.
    pub fn wait_timeout<G: Exclusive>(
        &self,
        mut guard: G,
        timeout: Duration,
    ) -> Result<(G, bool), OwnerDied<G>> {
        let (notified, found) = self.sleep(&mut guard, until(timeout));
        OwnerDied::check(guard, found).map(|guard| (guard, notified))
    }

    /// Waits, as long as `condition` holds.
    pub fn wait_while<G: Exclusive>(
        &self,
        mut guard: G,
        mut condition: impl FnMut(&mut G) -> bool,
    ) -> LockResult<G> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits, as long as `condition` holds; whether it ended in time.
    pub fn wait_while_timeout<G: Exclusive>(
        &self,
        mut guard: G,
        timeout: Duration,
        mut condition: impl FnMut(&mut G) -> bool,
    ) -> Result<(G, bool), OwnerDied<G>> {
        let deadline = until(timeout);
        while condition(&mut guard) {
            if is_over(deadline) {
                return Ok((guard, false));
            }
            let (_, found) = self.sleep(&mut guard, deadline);
            guard = OwnerDied::check(guard, found)?;
        }
        Ok((guard, true))
    }

    /// Wakes one who waits. More may wake, as they may at any time.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.notify(os::ALL);
    }

    fn notify(&self, count: u32) {
        self.notifications().fetch_add(1, SeqCst);
        os::wake(self.notifications(), count);
    }

    /// Sleeps without the lock; whether there was a notification, and how the lock was found.
    fn sleep<G: Exclusive>(&self, guard: &mut G, deadline: Option<Instant>) -> (bool, Found) {
        // Read under the lock: who changes what we wait for does so, and notifies, later.
        let before = self.notifications().load(SeqCst);
        let notified = || self.notifications().load(SeqCst) != before;
        let found = guard.hold().release_during(|| {
            while !notified() && !is_over(deadline) {
                os::wait(self.notifications(), before, deadline);
            }
        });
        // With the lock, which the guard gives back.
        cooperate::check();
        (notified(), found)
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}
