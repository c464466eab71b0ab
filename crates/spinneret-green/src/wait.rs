//! Waiting: for a moment, for a future, for one's turn.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::backend;
use crate::current::{self, Kind};
use crate::interrupt;
use crate::task::{Interrupted, Woken};

/// Waits until `poll` is ready, and calls it here, on the caller's stack. This, [`sleep`],
/// [`yield_now`] and [`block_on`] are where explicit waits are interrupted.
pub(crate) fn on_this_stack<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    if interrupt::needs_shield() {
        return interrupt::shielded(|| on_this_stack(poll));
    }
    let waker = backend::waiter().waker();
    let mut context = Context::from_waker(&waker);
    loop {
        interrupt::check();
        if let Poll::Ready(result) = poll(&mut context) {
            return result;
        }
        if backend::park(None) == Woken::Cancelled {
            interrupt::postpone();
        }
    }
}

/// Lets this much time pass. A coroutine of blocking code is suspended meanwhile, whether or not
/// calls are patched; a plain thread sleeps. Finer than a millisecond. In async tasks, await
/// `tokio::time::sleep` instead: this would hold up the hub.
///
/// A cancellation, or the deadline of a [`timeout`](crate::timeout), ends it early by unwinding.
pub fn sleep(duration: Duration) {
    if interrupt::needs_shield() {
        return interrupt::shielded(|| sleep(duration));
    }
    // A time too far away to be one is as good as none.
    let deadline = Instant::now().checked_add(duration);
    loop {
        interrupt::check();
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return;
        }
        if backend::park(deadline) == Woken::Cancelled {
            interrupt::postpone();
        }
    }
}

/// Lets the other coroutines of this hub have their turn; a plain thread is rescheduled.
///
/// Also the place where code that only computes can be cancelled. In async tasks, await
/// `tokio::task::yield_now` instead.
pub fn yield_now() {
    backend::yield_now();
    interrupt::check();
}

/// A future that is dropped where it is polled: it may use thread-locals of the hub.
struct AtHub<F>(Option<F>);

impl<F: Future> Future for AtHub<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is pinned with `self`: it is not moved, and `drop` drops it in place.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        // There until it is dropped.
        future.as_pin_mut().map_or(Poll::Pending, |future| future.poll(context))
    }
}

impl<F> Drop for AtHub<F> {
    fn drop(&mut self) {
        backend::on_hub(|| self.0 = None);
    }
}

/// Waits for a future. A coroutine of blocking code is suspended meanwhile; elsewhere the thread
/// waits. This is the bridge from blocking code to async libraries: tokio's timers and sockets work
/// in the future, in plain threads too.
///
/// If the coroutine is cancelled, or a [`timeout`](crate::timeout) is over, the future is dropped.
///
/// ```
/// use std::time::Duration;
///
/// let answer = spinneret_green::spawn(|| {
///     spinneret_green::block_on(async {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         42
///     })
/// });
/// assert_eq!(answer.join()?, 42);
/// # Ok::<(), spinneret_green::JoinError>(())
/// ```
///
/// # Panics
/// If the future does, and in async tasks, which must not block: `.await` the future there.
pub fn block_on<F: Future>(future: F) -> F::Output {
    assert!(
        !backend::must_not_block(),
        "an async task must not block its hub: `.await` the future instead of calling block_on()"
    );
    if interrupt::needs_shield() {
        return interrupt::shielded(|| block_on(future));
    }
    interrupt::check();
    let mut future = pin!(AtHub(Some(future)));
    loop {
        let polled = current::with(|face, _| {
            // The hub polls it on its own stack, where it is still this coroutine that runs.
            let within = |context: &mut Context<'_>| {
                let mut poll = || future.as_mut().poll(context);
                match face {
                    Some(face) => current::enter(face, Kind::Async, poll),
                    None => poll(),
                }
            };
            backend::block_on(poll_fn(within))
        });
        match polled {
            Ok(output) => return output,
            Err(Interrupted::Cancelled | Interrupted::TimedOut) => {
                interrupt::postpone();
                interrupt::check();
            }
        }
    }
}
