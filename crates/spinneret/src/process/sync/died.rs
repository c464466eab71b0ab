//! What a lock says when the one that had it died.

use std::error::Error;
use std::fmt;

use crate::os::{Found, Hold};

/// What taking a lock between processes gives: its guard, or the same guard with the news that an
/// earlier holder died.
pub type LockResult<G> = Result<G, OwnerDied<G>>;

/// A holder of the lock died, so what the lock protects may be half changed. The lock is taken all
/// the same, and its guard is in here, in the manner of [`std::sync::PoisonError`].
///
/// [`into_inner`](Self::into_inner) hands the guard out and vouches for what is protected: the next
/// taker finds an ordinary lock. Who drops the error instead leaves the report to the next. A holder
/// that panics, or forgets its guard in a thread that goes on, has not died.
pub struct OwnerDied<G> {
    guard: G,
}

impl<G: Guard> OwnerDied<G> {
    /// Passes the guard on if nobody died, or somebody vouched.
    #[inline]
    pub(crate) fn check(guard: G, found: Found) -> LockResult<G> {
        match found {
            Found::Whole => Ok(guard),
            Found::AsDied => Err(Self { guard }),
        }
    }

    /// The guard, to look at or to repair what the dead left.
    pub fn get_ref(&self) -> &G {
        &self.guard
    }

    /// The guard, to look at or to repair what the dead left.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.guard
    }

    /// Takes the guard out, and the mark off the lock.
    pub fn into_inner(self) -> G {
        self.guard.hold().vouch();
        self.guard
    }
}

impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").finish_non_exhaustive()
    }
}

impl<G> fmt::Display for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a process or thread died while it had this lock, and may have left what it protects \
             half changed: repair that and call into_inner()",
        )
    }
}

impl<G> Error for OwnerDied<G> {}

/// The guard of a lock between processes. Only this crate's guards are such.
pub trait Guard: sealed::Holds {}

impl<G: sealed::Holds> Guard for G {}

/// A guard whose lock is its alone, so that a [`Condition`](super::Condition) can give it up for a
/// while. Only this crate's guards are such; that of an `RLock` is not.
pub trait Exclusive: Guard + sealed::Lends {}

impl<G: Guard + sealed::Lends> Exclusive for G {}

/// What guards do for this crate.
pub(crate) mod sealed {
    use super::Hold;

    pub trait Holds {
        /// The lock.
        #[doc(hidden)]
        fn hold(&self) -> &Hold<'_>;
    }

    /// Nobody counts how often the lock is taken: to give it back once is enough.
    pub trait Lends {}
}
