//! Waiting for a state: `Condition`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

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
}

/// What a [`Condition`] protects, until it is dropped. Waiting lets others have it meanwhile.
#[must_use = "the lock is unlocked when its guard is dropped"]
pub struct ConditionGuard<'a, T> {
    value: MutexGuard<'a, T>,
    changed: &'a Condvar,
}

impl<T> Condition<T> {
    /// A condition of this value.
    pub const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> ConditionGuard<'_, T> {
        self.guard(self.value.lock())
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<ConditionGuard<'_, T>> {
        self.value.try_lock().map(|value| self.guard(value))
    }

    /// Waits for the lock up to this long.
    pub fn lock_timeout(&self, timeout: Duration) -> Option<ConditionGuard<'_, T>> {
        self.value.try_lock_for(timeout).map(|value| self.guard(value))
    }

    /// Wakes one of those who wait, if any. Change what they wait for before.
    pub fn notify_one(&self) {
        self.changed.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.changed.notify_all();
    }

    /// What it protected.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    fn guard<'a>(&'a self, value: MutexGuard<'a, T>) -> ConditionGuard<'a, T> {
        ConditionGuard { value, changed: &self.changed }
    }
}

impl<T> ConditionGuard<'_, T> {
    /// Waits to be notified.
    pub fn wait(&mut self) {
        self.changed.wait(&mut self.value);
    }

    /// Waits to be notified, up to this long; `false` if that did not come.
    pub fn wait_timeout(&mut self, timeout: Duration) -> bool {
        !self.changed.wait_for(&mut self.value, timeout).timed_out()
    }

    /// Waits as long as this is so. It is asked at once, and at each notification.
    pub fn wait_while(&mut self, condition: impl FnMut(&mut T) -> bool) {
        self.changed.wait_while(&mut self.value, condition);
    }

    /// As [`wait_while`](Self::wait_while), up to this long; `false` if it is still so.
    pub fn wait_while_timeout(
        &mut self,
        mut condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> bool {
        self.changed.wait_while_for(&mut self.value, &mut condition, timeout);
        !condition(&mut self.value)
    }

    /// Waits until this is so: [`wait_while`](Self::wait_while) the other way round, Python's
    /// `wait_for`.
    pub fn wait_for(&mut self, mut condition: impl FnMut(&mut T) -> bool) {
        self.wait_while(|value| !condition(value));
    }
}

impl<T> Deref for ConditionGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for ConditionGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
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
