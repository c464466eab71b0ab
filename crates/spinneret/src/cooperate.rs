//! Waits of the toolkit within coroutines: they suspend the coroutine rather than its thread,
//! whether or not calls are patched, and can be cancelled.

use std::any::Any;
use std::time::{Duration, Instant};

#[cfg(feature = "coroutine")]
use spinneret_green::__private as green;

/// Whether blocking code of a coroutine asks, so that it has to wait by [`wait`].
#[cfg(feature = "coroutine")]
pub(crate) fn within() -> bool {
    green::in_blocking_coroutine()
}

#[cfg(not(feature = "coroutine"))]
pub(crate) fn within() -> bool {
    false
}

/// Suspends the coroutine that asks until the future is done. Its hub polls it, with tokio's timers
/// and sockets.
#[cfg(feature = "coroutine")]
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    spinneret_green::block_on(future)
}

/// Without coroutines nobody is [`within`] one.
#[cfg(not(feature = "coroutine"))]
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    drop(future);
    unreachable!("there are no coroutines in this program")
}

/// Lets this much time pass.
pub(crate) fn sleep(duration: Duration) {
    #[cfg(feature = "coroutine")]
    spinneret_green::sleep(duration);
    #[cfg(not(feature = "coroutine"))]
    std::thread::sleep(duration);
}

/// The future's output, or `None` at the deadline.
pub(crate) async fn until<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), future).await.ok(),
        None => Some(future.await),
    }
}

/// Whether what was caught is no panic, but the end of a coroutine that was cancelled.
#[cfg(feature = "coroutine")]
pub(crate) fn is_interruption(payload: &(dyn Any + Send)) -> bool {
    green::is_interruption(payload)
}

#[cfg(not(feature = "coroutine"))]
pub(crate) fn is_interruption(_payload: &(dyn Any + Send)) -> bool {
    false
}

/// Ends the coroutine that asks, by unwinding, if it was cancelled or is out of time.
pub(crate) fn check() {
    #[cfg(feature = "coroutine")]
    if within() {
        green::check();
    }
}

/// Runs what must come to its end: its waits are not interrupted.
pub(crate) fn shielded<R>(run: impl FnOnce() -> R) -> R {
    #[cfg(feature = "coroutine")]
    return green::shielded(run);
    #[cfg(not(feature = "coroutine"))]
    run()
}

/// Runs something as the thread that it is, also in a coroutine: what it keeps for a thread, the
/// thread then has.
#[inline]
pub(crate) fn on_thread<R>(run: impl FnOnce() -> R) -> R {
    #[cfg(feature = "coroutine")]
    return green::on_hub(run);
    #[cfg(not(feature = "coroutine"))]
    run()
}

/// The number of the coroutine of blocking code that asks, or 0.
#[cfg(target_os = "linux")]
pub(crate) fn id() -> u64 {
    #[cfg(feature = "coroutine")]
    return green::id();
    #[cfg(not(feature = "coroutine"))]
    0
}

/// Runs something that blocks; in a coroutine on a thread of its own, and the coroutine waits for it.
/// For what is rare.
pub(crate) fn blocking<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    if !within() {
        return run();
    }
    std::thread::scope(|scope| {
        let (sender, ended) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            let result = run();
            drop(sender);
            result
        };
        // As the hub: a new thread takes after the one that makes it.
        let thread = on_thread(|| scope.spawn(work));
        // Ends when the sender goes, even by a panic. The scope's end does not hold up the hub.
        let _ = shielded(|| wait(ended));
        thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}
