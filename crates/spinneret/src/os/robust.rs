//! A lock in shared memory whose next taker learns that its holder died.
//!
//! It is the system's robust, process-shared mutex: the kernel knows which locks a thread holds and
//! passes them on when it ends, by whatever cause. Waiting is in slices all the same, so that no
//! fault of a process that died in the middle of waking others can put anybody to sleep for good.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::futex::NAP;
use crate::cooperate;

/// How often a lock is tried before its taker goes to sleep: what we protect takes some hundred
/// nanoseconds, a sleep some thousand.
const SPINS: u32 = 200;

/// The pauses of a coroutine between two looks.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LAST_PAUSE: Duration = Duration::from_millis(5);

/// A mutex that lies in shared memory.
#[repr(transparent)]
pub(crate) struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a mutex is there to be used by several threads at once.
unsafe impl Sync for RobustMutex {}
// SAFETY: nothing in it belongs to a thread while it is not held.
unsafe impl Send for RobustMutex {}

/// What whoever takes a lock finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The one before left properly.
    Clean,
    /// The one before died with the lock. What it protects is as the dead left it.
    OwnerDied,
}

impl RobustMutex {
    /// Makes the zeroed bytes of `self` a mutex; a `recursive` one may be taken again by the thread
    /// that has it.
    ///
    /// # Safety
    /// Nobody uses the mutex yet.
    pub(crate) unsafe fn init(&self, recursive: bool) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let kind =
            if recursive { libc::PTHREAD_MUTEX_RECURSIVE } else { libc::PTHREAD_MUTEX_NORMAL };
        let pointer = attributes.as_mut_ptr();
        // SAFETY: it initialises what the pointer points to.
        check(unsafe { libc::pthread_mutexattr_init(pointer) })?;
        // SAFETY: initialised above; also in what follows.
        check(unsafe { libc::pthread_mutexattr_settype(pointer, kind) })?;
        // SAFETY: as above.
        check(unsafe {
            libc::pthread_mutexattr_setpshared(pointer, libc::PTHREAD_PROCESS_SHARED)
        })?;
        // SAFETY: as above.
        check(unsafe { libc::pthread_mutexattr_setrobust(pointer, libc::PTHREAD_MUTEX_ROBUST) })?;
        // SAFETY: the attributes are initialised; the caller vouches for the mutex.
        check(unsafe { libc::pthread_mutex_init(self.0.get(), pointer) })?;
        // SAFETY: initialised above, and used no more.
        check(unsafe { libc::pthread_mutexattr_destroy(pointer) })
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Held> {
        // By the thread itself, also in a coroutine: the system knows which locks a thread has by the
        // list of that thread.
        // SAFETY: mutexes are initialised before they are shared.
        match cooperate::on_thread(|| unsafe { libc::pthread_mutex_trylock(self.0.get()) }) {
            0 => Some(Held::Clean),
            libc::EOWNERDEAD => Some(self.recovered()),
            // Taken, or so often taken by this thread that it cannot be counted.
            _ => None,
        }
    }

    /// Waits for the lock; `None` if it is not free by the deadline.
    #[inline]
    pub(crate) fn lock(&self, deadline: Option<Instant>) -> Option<Held> {
        for _ in 0..SPINS {
            if let Some(held) = self.try_lock() {
                return Some(held);
            }
            std::hint::spin_loop();
        }
        self.lock_slowly(deadline)
    }

    #[cold]
    fn lock_slowly(&self, deadline: Option<Instant>) -> Option<Held> {
        if cooperate::within() {
            return self.lock_in_coroutine(deadline);
        }
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let until = clock(left.unwrap_or(NAP).min(NAP));
            // SAFETY: mutexes are initialised before they are shared.
            match unsafe { libc::pthread_mutex_timedlock(self.0.get(), &raw const until) } {
                0 => return Some(Held::Clean),
                libc::EOWNERDEAD => return Some(self.recovered()),
                _ if left == Some(Duration::ZERO) => return None,
                libc::ETIMEDOUT => {}
                // Counted too often; or a stranger wrote over it. Waiting hurts least.
                _ => std::thread::sleep(NAP),
            }
        }
    }

    /// Looks again and again, longer and longer apart: the holder may be a coroutine of the same hub.
    #[cold]
    fn lock_in_coroutine(&self, deadline: Option<Instant>) -> Option<Held> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(held) = self.try_lock() {
                return Some(held);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            // What waits for a lock cannot always be given up: not by an unwinding within it.
            cooperate::shielded(|| cooperate::sleep(pause));
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Makes a lock that a dead holder left usable again: all we protect is in order at every
    /// instant, or says itself that it is not.
    #[cold]
    fn recovered(&self) -> Held {
        // SAFETY: this thread holds it, and found its holder dead.
        cooperate::on_thread(|| unsafe { libc::pthread_mutex_consistent(self.0.get()) });
        Held::OwnerDied
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// This thread holds it.
    #[inline]
    pub(crate) unsafe fn unlock(&self) {
        // SAFETY: the caller vouches for it.
        cooperate::on_thread(|| unsafe { libc::pthread_mutex_unlock(self.0.get()) });
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

/// The system's time, so much from now: what `pthread_mutex_timedlock` counts in.
fn clock(from_now: Duration) -> libc::timespec {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + from_now;
    libc::timespec {
        tv_sec: libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(since.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn mutex(recursive: bool) -> Arc<RobustMutex> {
        // SAFETY: zeroes are what `init` wants.
        let mutex: RobustMutex = unsafe { std::mem::zeroed() };
        let mutex = Arc::new(mutex);
        // SAFETY: nobody else has it yet.
        unsafe { mutex.init(recursive) }.unwrap();
        mutex
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let lock = mutex(false);
        assert_eq!(lock.lock(None), Some(Held::Clean));
        let other = Arc::clone(&lock);
        thread::spawn(move || {
            assert_eq!(other.try_lock(), None);
            assert_eq!(other.lock(Some(Instant::now() + Duration::from_millis(5))), None);
        })
        .join()
        .unwrap();
        // SAFETY: held since the start.
        unsafe { lock.unlock() };
        assert_eq!(lock.try_lock(), Some(Held::Clean));
        // Memory that holds a lock may go away only when nobody has it.
        // SAFETY: held since the line before the last.
        unsafe { lock.unlock() };
    }

    #[test]
    fn a_thread_that_ends_with_the_lock_is_reported_once() {
        let lock = mutex(false);
        let other = Arc::clone(&lock);
        thread::spawn(move || other.lock(None)).join().unwrap();
        assert_eq!(lock.lock(None), Some(Held::OwnerDied));
        // SAFETY: held since the line before.
        unsafe { lock.unlock() };
        assert_eq!(lock.lock(None), Some(Held::Clean));
        // SAFETY: held since the line before.
        unsafe { lock.unlock() };
    }

    #[test]
    fn taking_it_twice_times_out_unless_it_is_recursive() {
        let lock = mutex(false);
        lock.lock(None);
        assert_eq!(lock.lock(Some(Instant::now() + Duration::from_millis(5))), None);
        // SAFETY: held since the line before the last.
        unsafe { lock.unlock() };
        let lock = mutex(true);
        assert_eq!((lock.lock(None), lock.try_lock()), (Some(Held::Clean), Some(Held::Clean)));
        for _ in 0..2 {
            // SAFETY: held twice.
            unsafe { lock.unlock() };
        }
    }
}
