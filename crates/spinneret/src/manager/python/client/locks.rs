//! Mutual exclusion and permits: [`Lock`], [`RLock`], [`Semaphore`] and their guards.

use std::{sync::Arc, time::Duration};

use super::{
    held::{Held, Patience},
    proxy::{Proxy, kind},
    twins::twins,
};
use crate::manager::{error::ManagerError, runtime::block_on};

/// A lock between programs on any machines: Python's `Lock` of a manager.
///
/// ```
/// use spinneret::manager::{AuthKey, Client, Manager};
///
/// let key = AuthKey::new("qiye");
/// let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
/// let client = Client::connect(manager.local_addr(), &key)?;
/// let lock = client.new_lock()?;
/// let guard = lock.lock()?;
/// assert!(lock.try_lock()?.is_none());
/// guard.unlock()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lock {
    pub(super) proxy: Proxy,
}

/// A lock that its holder may take again: Python's `RLock` of a manager.
///
/// Whoever has the guard takes the lock again by cloning it. Locking the `RLock` once more instead
/// would wait for the first guard, as that of another thread would.
pub struct RLock {
    pub(super) proxy: Proxy,
}

/// A number of permits between programs: Python's `Semaphore` or `BoundedSemaphore` of a manager.
pub struct Semaphore {
    pub(super) proxy: Proxy,
}

/// A [`Lock`] that is held, until it is dropped.
///
/// Dropping unlocks in the background, so that another may have it a moment later, and nobody hears
/// if that fails; [`unlock`](Self::unlock) waits and says so. If the holder's program dies, a
/// manager of ours unlocks; Python's server leaves the lock locked for ever.
#[must_use = "the lock is unlocked when its guard is dropped"]
#[derive(Debug)]
pub struct LockGuard(Held);

/// An [`RLock`] that is held, until this guard and its clones are dropped; as a [`LockGuard`].
#[must_use = "the lock is unlocked when its guard is dropped"]
#[derive(Clone, Debug)]
pub struct RLockGuard(Arc<Held>);

/// A permit of a [`Semaphore`], which it gets back when this is dropped; as a [`LockGuard`].
#[must_use = "the permit is given back when it is dropped"]
#[derive(Debug)]
pub struct Permit(Held);

impl Lock {
    twins! {
        /// Waits until nobody holds the lock.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        lock / lock_async(self) -> LockGuard {
            let held = Held::acquire(&self.proxy, Patience::Forever).await?;
            held.map(LockGuard).ok_or_else(refused)
        }

        /// Takes the lock if nobody holds it.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        try_lock / try_lock_async(self) -> Option<LockGuard> {
            Ok(Held::acquire(&self.proxy, Patience::None).await?.map(LockGuard))
        }

        /// Waits up to this long until nobody holds the lock.
        ///
        /// # Errors
        /// If the manager cannot be asked; [`ManagerError::Unsupported`] if it is Python 2.7.
        lock_timeout / lock_timeout_async(self, wait: Duration) -> Option<LockGuard> {
            Ok(Held::acquire(&self.proxy, Patience::For(wait)).await?.map(LockGuard))
        }
    }
}

impl RLock {
    twins! {
        /// Waits until nobody holds the lock.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        lock / lock_async(self) -> RLockGuard {
            let held = Held::acquire(&self.proxy, Patience::Forever).await?;
            held.map(RLockGuard::new).ok_or_else(refused)
        }

        /// Takes the lock if nobody holds it.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        try_lock / try_lock_async(self) -> Option<RLockGuard> {
            Ok(Held::acquire(&self.proxy, Patience::None).await?.map(RLockGuard::new))
        }

        /// Waits up to this long until nobody holds the lock.
        ///
        /// # Errors
        /// If the manager cannot be asked; [`ManagerError::Unsupported`] if it is Python 2.7.
        lock_timeout / lock_timeout_async(self, wait: Duration) -> Option<RLockGuard> {
            Ok(Held::acquire(&self.proxy, Patience::For(wait)).await?.map(RLockGuard::new))
        }
    }
}

impl Semaphore {
    twins! {
        /// Waits for a permit.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        acquire / acquire_async(self) -> Permit {
            let held = Held::acquire(&self.proxy, Patience::Forever).await?;
            held.map(Permit).ok_or_else(refused)
        }

        /// Takes a permit if there is one.
        ///
        /// # Errors
        /// If the manager cannot be asked.
        try_acquire / try_acquire_async(self) -> Option<Permit> {
            Ok(Held::acquire(&self.proxy, Patience::None).await?.map(Permit))
        }

        /// Waits up to this long for a permit.
        ///
        /// # Errors
        /// If the manager cannot be asked; [`ManagerError::Unsupported`] if it is Python 2.7.
        acquire_timeout / acquire_timeout_async(self, wait: Duration) -> Option<Permit> {
            Ok(Held::acquire(&self.proxy, Patience::For(wait)).await?.map(Permit))
        }

        /// Adds a permit, whoever took one or nobody.
        ///
        /// # Errors
        /// A `ValueError` in [`ManagerError::Remote`] if the semaphore is bounded and none is taken;
        /// others if the manager cannot be asked.
        release / release_async(self) -> () {
            self.proxy.ask("release", vec![]).await.map(drop)
        }
    }
}

impl LockGuard {
    /// Unlocks the lock.
    ///
    /// # Errors
    /// If the manager cannot be asked, or another has unlocked it meanwhile.
    pub fn unlock(self) -> Result<(), ManagerError> {
        block_on(self.unlock_async())
    }

    /// Async twin of [`unlock`](Self::unlock).
    pub async fn unlock_async(self) -> Result<(), ManagerError> {
        self.0.release().await
    }
}

impl RLockGuard {
    fn new(held: Held) -> Self {
        Self(Arc::new(held))
    }

    /// How often the lock is held: the number of this guard and its clones.
    pub fn holds(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Ends this hold; the last one unlocks the lock.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn unlock(self) -> Result<(), ManagerError> {
        block_on(self.unlock_async())
    }

    /// Async twin of [`unlock`](Self::unlock).
    pub async fn unlock_async(self) -> Result<(), ManagerError> {
        match Arc::into_inner(self.0) {
            Some(last) => last.release().await,
            None => Ok(()),
        }
    }
}

impl Permit {
    /// Gives the permit back.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn release(self) -> Result<(), ManagerError> {
        block_on(self.release_async())
    }

    /// Async twin of [`release`](Self::release).
    pub async fn release_async(self) -> Result<(), ManagerError> {
        self.0.release().await
    }
}

/// Somebody who waits for ever is not turned away.
pub(crate) fn refused() -> ManagerError {
    ManagerError::Protocol("it refused a lock though it was to wait for it".into())
}

kind!(Lock);
kind!(RLock);
kind!(Semaphore);
