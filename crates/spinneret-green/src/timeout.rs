//! A limit of time for a piece of work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::interrupt::{self, Scope};

/// The time of a [`timeout`] was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was not done within {limit:?}")]
pub struct TimedOut {
    /// The limit it was given.
    pub limit: Duration,
}

/// Runs `work` here and now, and ends every wait inside it once this much time has passed.
///
/// It is the time of waits that is limited: work that computes and never waits runs to its end.
/// Explicit waits of this crate unwind the stack up to here, so destructors run. Patched calls
/// answer with the error `ETIMEDOUT` from then on; what `work` makes of that is dropped, and the
/// outcome is [`TimedOut`] all the same. Without patched calls, a blocking call is not interrupted.
///
/// Timeouts nest: the earliest deadline holds, and it is its own `timeout` that fails.
/// It works in coroutines and in plain threads; in async tasks use `tokio::time::timeout`.
///
/// ```
/// use std::time::Duration;
///
/// use spinneret_green::{sleep, timeout};
///
/// let slow = || {
///     sleep(Duration::from_secs(60));
///     "done"
/// };
/// assert!(timeout(Duration::from_millis(5), slow).is_err());
/// assert_eq!(timeout(Duration::from_secs(60), || "done"), Ok("done"));
/// ```
///
/// # Errors
/// [`TimedOut`] if a wait inside met the deadline.
pub fn timeout<T>(limit: Duration, work: impl FnOnce() -> T) -> Result<T, TimedOut> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    // A time too far away to be one is as good as none.
    let Some(deadline) = Instant::now().checked_add(limit) else { return Ok(work()) };
    let owner = NUMBER.fetch_add(1, Ordering::Relaxed);
    let outer = interrupt::scope();
    if outer.is_none_or(|outer| deadline < outer.deadline) {
        interrupt::set_scope(Some(Scope { deadline, owner }));
    }
    // Whatever the unwinding leaves half done is what a panic would leave; the caller's concern.
    let result = catch_unwind(AssertUnwindSafe(work));
    interrupt::set_scope(outer);
    match result {
        Ok(_) if interrupt::has_timed_out(owner) => Err(TimedOut { limit }),
        Ok(value) => Ok(value),
        Err(payload) if interrupt::is_timeout(&*payload, owner) => Err(TimedOut { limit }),
        // A panic because of the error that a call was refused with.
        Err(payload)
            if interrupt::has_timed_out(owner) && !interrupt::is_interruption(&*payload) =>
        {
            Err(TimedOut { limit })
        }
        Err(payload) => resume_unwind(payload),
    }
}
