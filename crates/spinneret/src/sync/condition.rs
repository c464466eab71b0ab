//! Waiting for a state: `Condition`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::crowd::{Crowd, end};
use crate::cooperate;

/// A lock whose holders can wait for a change of what it protects: Python's `threading.Condition`.
///
/// The lock is inside, so that nobody can wait without holding it, nor with another one.
///
/// ```
/// use spinneret::sync::Condition;
///
/// let numbers = Condition::new(Vec::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         numbers.lock().push(7);
///         numbers.notify_one();
///     });
///     let mut held = numbers.lock();
///     held.wait_while(|numbers| numbers.is_empty());
///     assert_eq!(held.pop(), Some(7));
/// });
/// ```
#[derive(Default)]
pub struct Condition<T = ()> {
    value: Mutex<T>,
    changed: Condvar,
    /// Coroutines and async tasks that wait for the lock.
    crowd: Crowd,
    /// Those that wait to be notified.
    listeners: Listeners,
}

/// What a [`Condition`] protects, until it is dropped. Waiting lets others have it meanwhile.
#[must_use = "the lock is unlocked when its guard is dropped"]
pub struct ConditionGuard<'a, T> {
    /// `None` only while it waits or is dropped.
    value: Option<MutexGuard<'a, T>>,
    condition: &'a Condition<T>,
}

/// Coroutines and async tasks that wait to be notified.
#[derive(Debug, Default)]
struct Listeners {
    count: AtomicUsize,
    changed: Notify,
}

impl<T> Condition<T> {
    /// A condition of this value.
    pub const fn new(value: T) -> Self {
        let listeners = Listeners { count: AtomicUsize::new(0), changed: Notify::const_new() };
        let value = Mutex::new(value);
        Self { value, changed: Condvar::new(), crowd: Crowd::new(), listeners }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> ConditionGuard<'_, T> {
        self.guard(self.lock_value())
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<ConditionGuard<'_, T>> {
        self.value.try_lock().map(|value| self.guard(value))
    }

    /// Waits for the lock up to this long.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<ConditionGuard<'_, T>> {
        if cooperate::within() {
            return self.crowd.wait(end(timeout), || self.try_lock());
        }
        self.value.try_lock_for(timeout).map(|value| self.guard(value))
    }

    /// Async twin of [`lock`](Self::lock).
    pub async fn lock_async(&self) -> ConditionGuard<'_, T> {
        self.crowd.wait_async(|| self.try_lock()).await
    }

    /// Async twin of [`ConditionGuard::wait_while`]: takes the lock once this is not so.
    pub async fn wait_while_async(
        &self,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> ConditionGuard<'_, T> {
        loop {
            let mut changed = pin!(self.listeners.listen());
            {
                let mut guard = self.lock_async().await;
                // With the lock, so that no change after the look is missed.
                changed.as_mut().enable();
                if !condition(&mut guard) {
                    return guard;
                }
            }
            changed.await;
        }
    }

    /// Wakes one of those who wait, if any. Change what they wait for before.
    pub fn notify_one(&self) {
        if !self.changed.notify_one() && self.listeners.count.load(Ordering::SeqCst) > 0 {
            self.listeners.changed.notify_one();
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.changed.notify_all();
        self.listeners.changed.notify_waiters();
    }

    /// What it protected.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn lock_value(&self) -> MutexGuard<'_, T> {
        if !cooperate::within() {
            return self.value.lock();
        }
        loop {
            if let Some(value) = self.crowd.wait(None, || self.value.try_lock()) {
                return value;
            }
        }
    }

    fn guard<'a>(&'a self, value: MutexGuard<'a, T>) -> ConditionGuard<'a, T> {
        ConditionGuard { value: Some(value), condition: self }
    }
}

impl<T> ConditionGuard<'_, T> {
    /// Waits to be notified. In a coroutine it may, though rarely, end without that.
    pub fn wait(&mut self) {
        if cooperate::within() {
            self.listen(None);
        } else if let Some(value) = &mut self.value {
            self.condition.changed.wait(value);
        }
    }

    /// Waits to be notified, up to this long; `false` if that did not come.
    pub fn wait_timeout(&mut self, timeout: Duration) -> bool {
        let Some(end) = end(timeout) else {
            self.wait();
            return true;
        };
        self.wait_until(end)
    }

    /// Waits as long as this is so. It is asked at once, and at each notification.
    pub fn wait_while(&mut self, mut condition: impl FnMut(&mut T) -> bool) {
        while condition(self) {
            self.wait();
        }
    }

    /// As [`wait_while`](Self::wait_while), up to this long; `false` if it is still so.
    pub fn wait_while_timeout(
        &mut self,
        mut condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> bool {
        let Some(end) = end(timeout) else {
            self.wait_while(condition);
            return true;
        };
        while condition(self) {
            if !self.wait_until(end) {
                return !condition(self);
            }
        }
        true
    }

    /// Waits until this is so: [`wait_while`](Self::wait_while) the other way round, Python's
    /// `wait_for`.
    pub fn wait_for(&mut self, mut condition: impl FnMut(&mut T) -> bool) {
        self.wait_while(|value| !condition(value));
    }

    fn wait_until(&mut self, end: Instant) -> bool {
        if cooperate::within() {
            return self.listen(Some(end));
        }
        let Some(value) = &mut self.value else { return false };
        !self.condition.changed.wait_until(value, end).timed_out()
    }

    /// Waits as a coroutine: gives the lock up, and has it again however the wait ends.
    fn listen(&mut self, deadline: Option<Instant>) -> bool {
        let condition = self.condition;
        let mut changed = pin!(condition.listeners.listen());
        changed.as_mut().enable();
        self.value = None;
        condition.crowd.left();
        // A coroutine that is cancelled unwinds, with the lock, which the guard gives back.
        let wait = || cooperate::wait(cooperate::until(deadline, changed)).is_some();
        let notified = catch_unwind(AssertUnwindSafe(wait));
        self.value = Some(cooperate::shielded(|| condition.lock_value()));
        notified.unwrap_or_else(|unwind| resume_unwind(unwind))
    }
}

impl<T> Drop for ConditionGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.condition.crowd.left();
    }
}

impl Listeners {
    /// Waits for a notification, from the time it is enabled.
    fn listen(&self) -> Listening<'_> {
        self.count.fetch_add(1, Ordering::SeqCst);
        Listening { notified: Box::pin(self.changed.notified()), count: &self.count }
    }
}

/// One who waits to be notified.
struct Listening<'a> {
    notified: Pin<Box<Notified<'a>>>,
    count: &'a AtomicUsize,
}

impl Listening<'_> {
    fn enable(mut self: Pin<&mut Self>) {
        self.notified.as_mut().enable();
    }
}

impl Future for Listening<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.notified.as_mut().poll(context)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<T> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there but while it waits")
    }
}

impl<T> DerefMut for ConditionGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there but while it waits")
    }
}

impl<T: fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut condition = f.debug_struct("Condition");
        match self.try_lock() {
            Some(value) => condition.field("value", &*value).finish(),
            None => condition.finish_non_exhaustive(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_waiter_sees_the_change_it_was_notified_of() {
        let turn = Condition::new(0);
        thread::scope(|scope| {
            for (own, next) in [(0, 1), (1, 0)] {
                let turn = &turn;
                scope.spawn(move || {
                    for _ in 0..500 {
                        let mut held = turn.lock();
                        held.wait_for(|turn| *turn == own);
                        *held = next;
                        drop(held);
                        turn.notify_all();
                    }
                });
            }
        });
        assert_eq!(turn.into_inner(), 0);
    }

    #[test]
    fn one_notification_wakes_one_and_another_all() {
        let (arrived, woken) = (Condition::new(0), Condition::new(0));
        let bell = Condition::new(());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut held = bell.lock();
                    *arrived.lock() += 1;
                    arrived.notify_one();
                    held.wait();
                    drop(held);
                    *woken.lock() += 1;
                    woken.notify_one();
                });
            }
            arrived.lock().wait_for(|arrived| *arrived == 3);
            // Who has arrived holds the lock until it waits.
            drop(bell.lock());
            bell.notify_one();
            assert!(woken.lock().wait_while_timeout(|woken| *woken == 0, LONG));
            assert!(!woken.lock().wait_while_timeout(|woken| *woken == 1, SOON));
            bell.notify_all();
            assert!(woken.lock().wait_while_timeout(|woken| *woken < 3, LONG));
        });
    }

    #[test]
    fn waiting_ends_with_its_time() {
        let condition = Condition::new(1);
        let mut held = condition.lock();
        assert!(!held.wait_timeout(SOON));
        assert!(!held.wait_while_timeout(|value| *value == 1, SOON));
        assert!(held.wait_while_timeout(|value| *value == 2, SOON));
        assert!(condition.try_lock().is_none());
        assert!(condition.lock_timeout(SOON).is_none());
    }

    #[test]
    fn waiting_lets_others_have_the_lock() {
        let condition = Condition::new(false);
        thread::scope(|scope| {
            let mut held = condition.lock();
            scope.spawn(|| {
                *condition.lock() = true;
                condition.notify_one();
            });
            assert!(held.wait_while_timeout(|done| !*done, LONG));
            assert!(*held);
        });
    }
}
