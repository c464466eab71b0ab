//! A lock for what hooks share between threads. A std or `parking_lot` mutex would wait by the
//! very futex calls that are hooked; this one waits in the kernel, whoever calls it, so it is held
//! for a few instructions only and never across a suspension.

use std::{
    cell::UnsafeCell,
    hint,
    ops::{Deref, DerefMut},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use super::raw::sys;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody sleeps in the kernel for it.
const CONTENDED: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RawLock<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by the lock's holder alone, in one thread at a time.
unsafe impl<T: Send> Sync for RawLock<T> {}

impl<T> RawLock<T> {
    pub const fn new(value: T) -> Self {
        Self { state: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    #[inline]
    pub fn lock(&self) -> Held<'_, T> {
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait();
        }
        Held { lock: self }
    }

    #[cold]
    fn wait(&self) {
        for _ in 0..100 {
            hint::spin_loop();
            if self.state.load(Ordering::Relaxed) == FREE
                && self
                    .state
                    .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
        }
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            // SAFETY: the word lives as long as the lock; no timeout is given.
            unsafe {
                sys!(
                    libc::SYS_futex,
                    self.state.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    CONTENDED,
                    ptr::null::<libc::timespec>()
                )
            };
        }
    }
}

/// The lock, held; dropping it releases it.
pub(crate) struct Held<'a, T> {
    lock: &'a RawLock<T>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this is the one holder.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this is the one holder, and it is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == CONTENDED {
            // SAFETY: the word lives as long as the lock.
            unsafe {
                sys!(
                    libc::SYS_futex,
                    self.lock.state.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    1
                )
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::RawLock;

    #[test]
    fn only_one_holds_it_at_a_time() {
        let sum = RawLock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        *sum.lock() += 1;
                    }
                });
            }
        });
        assert_eq!(*sum.lock(), 200_000);
    }
}
