//! Waiting for a state that programs share: [`Condition`], [`Event`], [`Barrier`].

use std::time::{Duration, Instant};

use spinneret_pickle::Value;

use super::{
    held::{Held, Patience},
    locks::refused,
    proxy::{Proxy, kind},
    twins::twins,
    values::{count, from_value, seconds},
};
use crate::manager::{error::ManagerError, runtime::block_on};

/// A lock whose holders can wait until another says that something has changed: Python's
/// `Condition` of a manager, made by [`Client::new_condition`](crate::manager::Client::new_condition)
/// or, of a lock that is there,
/// [`new_condition_with`](crate::manager::Client::new_condition_with).
///
/// ```
/// use spinneret::manager::{AuthKey, Client, Manager};
///
/// let key = AuthKey::new("qiye");
/// let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
/// let client = Client::connect(manager.local_addr(), &key)?;
/// let (changed, number) = (client.new_condition()?, client.new_value("i", &0)?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| -> Result<(), spinneret::manager::ManagerError> {
///         let mut guard = changed.lock()?;
///         number.set(&7)?;
///         guard.notify_all()
///     });
///     let mut guard = changed.lock()?;
///     while number.get()? != 7 {
///         guard.wait()?;
///     }
///     guard.unlock()
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Condition {
    pub(super) proxy: Proxy,
}

/// A [`Condition`]'s lock that is held, until it is dropped; as a
/// [`LockGuard`](super::LockGuard). While it waits, others may hold the lock.
#[must_use = "the lock is unlocked when its guard is dropped"]
#[derive(Debug)]
pub struct ConditionGuard {
    held: Held,
    /// Whether `wait` tells if it was notified; Python 2.7's does not.
    tells: bool,
}

/// A flag that programs share and wait for: Python's `Event` of a manager.
pub struct Event {
    pub(super) proxy: Proxy,
}

/// A place where programs wait until all of them are there: Python's `Barrier` of a manager.
///
/// If one of them goes away, runs out of time or [aborts](Self::abort), the barrier is broken: all
/// who wait get a [`BrokenBarrier`](crate::manager::pickle::ExceptionKind::BrokenBarrier) in
/// [`ManagerError::Remote`], and so does who comes later, until it is [reset](Self::reset).
pub struct Barrier {
    pub(super) proxy: Proxy,
}

impl Condition {
    twins! {
        /// Waits for the lock.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        lock / lock_async(self) -> ConditionGuard {
            self.held(Patience::Forever).await?.ok_or_else(refused)
        }

        /// Takes the lock if nobody holds it.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        try_lock / try_lock_async(self) -> Option<ConditionGuard> {
            self.held(Patience::None).await
        }

        /// Waits for the lock up to this long.
        ///
        /// # Errors
        /// If the manager cannot be asked; [`ManagerError::Unsupported`] if it is Python 2.7.
        lock_timeout / lock_timeout_async(self, wait: Duration) -> Option<ConditionGuard> {
            self.held(Patience::For(wait)).await
        }
    }

    async fn held(&self, patience: Patience) -> Result<Option<ConditionGuard>, ManagerError> {
        let server = self.proxy.reference().server();
        let tells = !(server.is_stock() && server.dialect().is_python2());
        let held = Held::acquire(&self.proxy, patience).await?;
        Ok(held.map(|held| ConditionGuard { held, tells }))
    }
}

impl ConditionGuard {
    /// Lets others have the lock, waits until it is notified, and takes the lock again.
    ///
    /// # Errors
    /// If the manager cannot be asked; then the lock is not held any more.
    pub fn wait(&mut self) -> Result<(), ManagerError> {
        block_on(self.wait_async())
    }

    /// Async twin of [`wait`](Self::wait). If its future is dropped, the server goes on waiting for
    /// this guard, whose next call waits for the end of that.
    pub async fn wait_async(&mut self) -> Result<(), ManagerError> {
        self.held.ask("wait", vec![Value::none()]).await.map(drop)
    }

    /// As [`wait`](Self::wait), up to this long; false if it was not notified in that time. Python
    /// 2.7 does not tell: there it is true if less time has passed.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, wait: Duration) -> Result<bool, ManagerError> {
        block_on(self.wait_timeout_async(wait))
    }

    /// Async twin of [`wait_timeout`](Self::wait_timeout); see [`wait_async`](Self::wait_async).
    pub async fn wait_timeout_async(&mut self, wait: Duration) -> Result<bool, ManagerError> {
        let start = Instant::now();
        let notified = self.held.ask("wait", vec![seconds(Some(wait))]).await?;
        if self.tells { from_value("wait", &notified) } else { Ok(start.elapsed() < wait) }
    }

    /// Waits until the state is the wanted one, asking each time that it is notified.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(&mut self, mut is_so: impl FnMut() -> bool) -> Result<(), ManagerError> {
        while !is_so() {
            self.wait()?;
        }
        Ok(())
    }

    /// As [`wait_for`](Self::wait_for), up to this long; the last answer of `is_so`.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for_timeout(
        &mut self,
        mut is_so: impl FnMut() -> bool,
        wait: Duration,
    ) -> Result<bool, ManagerError> {
        let start = Instant::now();
        loop {
            if is_so() {
                return Ok(true);
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            self.wait_timeout(left)?;
        }
    }

    /// Wakes one that waits.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn notify_one(&mut self) -> Result<(), ManagerError> {
        block_on(self.notify_async(1))
    }

    /// Wakes up to that many that wait.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn notify(&mut self, number: usize) -> Result<(), ManagerError> {
        block_on(self.notify_async(number))
    }

    /// Async twin of [`notify`](Self::notify).
    pub async fn notify_async(&mut self, number: usize) -> Result<(), ManagerError> {
        self.held.ask("notify", vec![count(number)]).await.map(drop)
    }

    /// Wakes all that wait.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn notify_all(&mut self) -> Result<(), ManagerError> {
        block_on(self.notify_all_async())
    }

    /// Async twin of [`notify_all`](Self::notify_all).
    pub async fn notify_all_async(&mut self) -> Result<(), ManagerError> {
        self.held.ask("notify_all", vec![]).await.map(drop)
    }

    /// Unlocks the lock.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn unlock(self) -> Result<(), ManagerError> {
        block_on(self.unlock_async())
    }

    /// Async twin of [`unlock`](Self::unlock).
    pub async fn unlock_async(self) -> Result<(), ManagerError> {
        self.held.release().await
    }
}

impl Event {
    twins! {
        /// Sets the flag, and wakes all that wait for it.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        set / set_async(self) -> () {
            self.proxy.ask("set", vec![]).await.map(drop)
        }

        /// Takes the flag back.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        clear / clear_async(self) -> () {
            self.proxy.ask("clear", vec![]).await.map(drop)
        }

        /// Whether the flag is set.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        is_set / is_set_async(self) -> bool {
            self.proxy.ask("is_set", vec![]).await.and_then(|set| from_value("is_set", &set))
        }

        /// Waits until the flag is set.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        wait / wait_async(self) -> () {
            self.proxy.ask("wait", vec![Value::none()]).await.map(drop)
        }

        /// Waits until the flag is set, up to this long; whether it is.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        wait_timeout / wait_timeout_async(self, wait: Duration) -> bool {
            let set = self.proxy.ask("wait", vec![seconds(Some(wait))]).await?;
            from_value("wait", &set)
        }
    }
}

impl Barrier {
    twins! {
        /// Waits until all parties are there. Each gets another number, from 0 on.
        ///
        /// # Errors
        /// If the barrier is broken, or the manager cannot be asked.
        wait / wait_async(self) -> usize {
            let number = self.proxy.ask("wait", vec![Value::none()]).await?;
            from_value("wait", &number)
        }

        /// As [`wait`](Self::wait), up to this long, after which the barrier is broken.
        ///
        /// # Errors
        /// As [`wait`](Self::wait).
        wait_timeout / wait_timeout_async(self, wait: Duration) -> usize {
            let number = self.proxy.ask("wait", vec![seconds(Some(wait))]).await?;
            from_value("wait", &number)
        }

        /// Makes a broken barrier a new one. Who waits now gets an error.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        reset / reset_async(self) -> () {
            self.proxy.ask("reset", vec![]).await.map(drop)
        }

        /// Breaks the barrier.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        abort / abort_async(self) -> () {
            self.proxy.ask("abort", vec![]).await.map(drop)
        }

        /// How many it waits for.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        parties / parties_async(self) -> usize {
            let parties = self.proxy.ask("__getattribute__", vec![Value::native("parties")]).await?;
            from_value("parties", &parties)
        }

        /// How many are there now.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        waiting / waiting_async(self) -> usize {
            let waiting = self.proxy.ask("__getattribute__", vec![Value::native("n_waiting")]).await?;
            from_value("n_waiting", &waiting)
        }

        /// Whether the barrier is broken.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        is_broken / is_broken_async(self) -> bool {
            let broken = self.proxy.ask("__getattribute__", vec![Value::native("broken")]).await?;
            from_value("broken", &broken)
        }
    }
}

kind!(Condition);
kind!(Event);
kind!(Barrier);
