//! A lock that nobody else wants, taken and given back.
//!
//! There is a second thread each time: glibc leaves the atomic instructions of plain mutexes out in
//! programs that have one thread.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use spinneret::process::sync::Lock;

use crate::{Found, Result};

/// Measures `work`, done so many times.
fn with_second_thread(count: u64, mut work: impl FnMut() -> Result<()>) -> Result<Found> {
    let (quit, told) = channel::<()>();
    let second = thread::spawn(move || told.recv().is_ok());
    let start = Instant::now();
    for _ in 0..count {
        work()?;
    }
    let elapsed = start.elapsed();
    drop(quit);
    second.join().map_err(|_| "the second thread panicked")?;
    Ok(Found::new(elapsed, count))
}

pub fn ours(count: u64) -> Result<Found> {
    let lock = Lock::new()?;
    with_second_thread(count, || {
        drop(lock.lock().map_err(|_| "an owner died")?);
        Ok(())
    })
}

/// What kind of pthread mutex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// For several processes.
    Shared,
    /// For several processes, and their deaths.
    Robust,
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

/// A mutex of that kind.
fn mutex(kind: Kind) -> io::Result<Box<UnsafeCell<libc::pthread_mutex_t>>> {
    let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: it initialises what the pointer points to.
    check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
    if kind != Kind::Plain {
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: initialised above; also in what follows.
        check(unsafe { libc::pthread_mutexattr_setpshared(attributes, shared) })?;
    }
    if kind == Kind::Robust {
        // SAFETY: as above.
        check(unsafe {
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
        })?;
    }
    let mutex = Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
    // SAFETY: nobody uses the mutex yet, and it stays where it is.
    check(unsafe { libc::pthread_mutex_init(mutex.get(), attributes) })?;
    Ok(mutex)
}

pub fn pthread(kind: Kind, count: u64) -> Result<Found> {
    let mutex = mutex(kind)?;
    with_second_thread(count, || {
        // SAFETY: it is initialised.
        check(unsafe { libc::pthread_mutex_lock(mutex.get()) })?;
        // SAFETY: taken in the line before.
        check(unsafe { libc::pthread_mutex_unlock(mutex.get()) })?;
        Ok(())
    })
}
