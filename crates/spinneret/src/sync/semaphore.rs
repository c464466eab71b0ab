//! A number of permits: `Semaphore` and `BoundedSemaphore`.

use std::time::Duration;

use crate::signal::{Mutex, Signal, Wait};

/// Lets a number of threads through at a time: Python's `threading.Semaphore`.
///
/// ```
/// use spinneret::sync::Semaphore;
///
/// let connections = Semaphore::new(2);
/// let (first, second) = (connections.acquire(), connections.acquire());
/// assert!(connections.try_acquire().is_none());
/// drop(first);
/// assert!(connections.try_acquire().is_some());
/// # drop(second);
/// ```
#[derive(Debug)]
pub struct Semaphore {
    permits: Permits,
}

impl Semaphore {
    /// A semaphore with so many permits. With 0 the first has to be [released](Self::release).
    pub const fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits, usize::MAX) }
    }

    /// Waits for a permit.
    pub fn acquire(&self) -> Permit<'_> {
        self.permits.acquire()
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permits.try_acquire()
    }

    /// Waits for a permit up to this long.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permits.acquire_timeout(timeout)
    }

    /// Async twin of [`acquire`](Self::acquire).
    pub async fn acquire_async(&self) -> Permit<'_> {
        self.permits.acquire_async().await
    }

    /// Async twin of [`acquire_timeout`](Self::acquire_timeout). It needs a tokio runtime.
    pub async fn acquire_timeout_async(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permits.acquire_within_async(timeout.into()).await
    }

    /// Adds a permit: a new one, or one that was [forgotten](Permit::forget).
    pub fn release(&self) {
        // There is no limit to exceed.
        let _ = self.permits.release();
    }

    /// How many permits are free, at this moment.
    pub fn available(&self) -> usize {
        *self.permits.free.lock()
    }
}

/// A [`Semaphore`] that never has more permits than it began with: Python's
/// `threading.BoundedSemaphore`.
#[derive(Debug)]
pub struct BoundedSemaphore {
    permits: Permits,
}

impl BoundedSemaphore {
    /// A semaphore with so many permits, now and at most.
    pub const fn new(permits: usize) -> Self {
        Self { permits: Permits::new(permits, permits) }
    }

    /// Waits for a permit.
    pub fn acquire(&self) -> Permit<'_> {
        self.permits.acquire()
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permits.try_acquire()
    }

    /// Waits for a permit up to this long.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permits.acquire_timeout(timeout)
    }

    /// Async twin of [`acquire`](Self::acquire).
    pub async fn acquire_async(&self) -> Permit<'_> {
        self.permits.acquire_async().await
    }

    /// Async twin of [`acquire_timeout`](Self::acquire_timeout). It needs a tokio runtime.
    pub async fn acquire_timeout_async(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permits.acquire_within_async(timeout.into()).await
    }

    /// Gives back a permit that was [forgotten](Permit::forget).
    ///
    /// # Errors
    /// If all permits are free: nothing was forgotten.
    pub fn release(&self) -> Result<(), OverRelease> {
        self.permits.release()
    }

    /// How many permits are free, at this moment.
    pub fn available(&self) -> usize {
        *self.permits.free.lock()
    }
}

/// A permit was given back that nobody had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {limit} permits of the semaphore are free: release only what was acquired")]
pub struct OverRelease {
    /// How many permits the semaphore has.
    pub limit: usize,
}

/// Leave to do what a semaphore guards, until it is dropped.
#[derive(Debug)]
#[must_use = "a permit goes back when it is dropped"]
pub struct Permit<'a> {
    permits: &'a Permits,
}

impl Permit<'_> {
    /// Keeps the permit beyond its guard. Who is done with it calls `release`.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // Exceeds the limit only if this very permit was released by hand: then it is back.
        let _ = self.permits.release();
    }
}

#[derive(Debug)]
struct Permits {
    /// Never more than `limit`.
    free: Mutex<usize>,
    limit: usize,
    /// There is one more.
    released: Signal,
}

impl Permits {
    const fn new(free: usize, limit: usize) -> Self {
        Self { free: Mutex::new(free), limit, released: Signal::new() }
    }

    fn acquire(&self) -> Permit<'_> {
        loop {
            if let Some(permit) = self.acquire_within(Wait::Ever) {
                return permit;
            }
        }
    }

    fn try_acquire(&self) -> Option<Permit<'_>> {
        self.acquire_within(Wait::Never)
    }

    fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.acquire_within(timeout.into())
    }

    fn acquire_within(&self, wait: Wait) -> Option<Permit<'_>> {
        self.released.wait(&self.free, wait, |free| self.take(free))
    }

    async fn acquire_async(&self) -> Permit<'_> {
        loop {
            if let Some(permit) = self.acquire_within_async(Wait::Ever).await {
                return permit;
            }
        }
    }

    async fn acquire_within_async(&self, wait: Wait) -> Option<Permit<'_>> {
        self.released.wait_async(&self.free, wait, |free| self.take(free)).await
    }

    fn take(&self, free: &mut usize) -> Option<Permit<'_>> {
        *free = free.checked_sub(1)?;
        Some(Permit { permits: self })
    }

    fn release(&self) -> Result<(), OverRelease> {
        let mut free = self.free.lock();
        if *free == self.limit {
            return Err(OverRelease { limit: self.limit });
        }
        *free += 1;
        drop(free);
        self.released.one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn no_more_threads_than_permits_are_let_through() {
        let semaphore = Semaphore::new(2);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _permit = semaphore.acquire();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.into_inner()));
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn who_waits_gets_the_permit_that_comes_back() {
        let semaphore = BoundedSemaphore::new(1);
        let permit = semaphore.try_acquire().unwrap();
        assert!(semaphore.try_acquire().is_none());
        assert!(semaphore.acquire_timeout(SOON).is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| semaphore.acquire_timeout(LONG).is_some());
            thread::sleep(SOON);
            drop(permit);
            assert!(other.join().unwrap());
        });
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn a_semaphore_can_be_given_more_permits() {
        let semaphore = Semaphore::new(0);
        assert!(semaphore.try_acquire().is_none());
        semaphore.release();
        semaphore.acquire().forget();
        assert_eq!(semaphore.available(), 0);
        semaphore.release();
        semaphore.release();
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn a_bounded_one_cannot() {
        let semaphore = BoundedSemaphore::new(2);
        assert_eq!(semaphore.release(), Err(OverRelease { limit: 2 }));
        semaphore.acquire().forget();
        assert_eq!(semaphore.available(), 1);
        assert_eq!(semaphore.release(), Ok(()));
        let error = semaphore.release().unwrap_err();
        assert!(error.to_string().contains("all 2 permits"), "{error}");
        // Given back twice, by hand and by its guard.
        let permit = semaphore.acquire();
        semaphore.release().unwrap();
        drop(permit);
        assert_eq!(semaphore.available(), 2);
    }
}
