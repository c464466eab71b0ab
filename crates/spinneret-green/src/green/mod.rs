//! Coroutines as green threads.
//!
//! A [hub](hub) is a thread that runs green threads, which never leave it: one [driver](driver)
//! task of its tokio runtime resumes those that are ready. Each has a [stack](stack) of its own
//! with [thread-locals](tls) of its own at the top. All waiting is [`park`] or [`block_on`]; all
//! waking is [`Task::unpark`].

mod current;
mod driver;
mod home;
mod hub;
mod hubs;
mod overflow;
mod probe;
pub(crate) mod reactor;
mod shared;
mod stack;
#[cfg(test)]
mod tests;
mod timers;
mod tls;
mod wait;
mod watchdog;

use std::{
    io,
    pin::Pin,
    time::{Duration, Instant},
};

use crate::task::{Interrupted, Spec, Task, Woken};

pub(crate) use current::{current, in_green_thread, is_hub_stack, on_hub, reactor, stack};
pub(crate) use home::GreenHome;
pub(crate) use reactor::Reactor;

/// How the hubs are made.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How many hubs, at least 1.
    pub hubs: usize,
    /// In bytes, of a green thread whose [`Spec`] does not say.
    pub stack_size: usize,
    /// A coroutine that holds its hub longer than this while others are ready is named in the log.
    pub slow_after: Duration,
}

/// Whether green threads work in this process; else why not, as a sentence for people. The answer
/// is found once, by trying it out.
pub(crate) fn probe() -> Result<(), &'static str> {
    probe::layout().as_ref().map(|_| ()).map_err(String::as_str)
}

/// Starts the hubs. Only the first call's settings count; a failed one may be tried again.
pub(crate) fn start(settings: &Settings) -> io::Result<()> {
    hubs::start(settings)
}

/// Runs `body`, which never unwinds, as a green thread. Fails if the hubs are not started or shut
/// down.
pub(crate) fn spawn(spec: Spec, body: Box<dyn FnOnce() + Send>) -> io::Result<Task> {
    hubs::hubs()?.spawn(spec, body)
}

/// Runs `future` as an async task on a hub's tokio runtime.
pub(crate) fn spawn_future(
    spec: Spec,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> io::Result<Task> {
    hubs::hubs()?.spawn_future(spec, future)
}

/// Suspends the running green thread until [`Task::unpark`], `deadline`, the end of a `timeout()`
/// around it or cancellation. An unpark that came before is taken at once. Unparks can be left
/// over from earlier waits: call it in a loop.
///
/// # Panics
/// Outside of a green thread.
#[inline]
pub(crate) fn park(deadline: Option<Instant>) -> Woken {
    wait::park(deadline, false)
}

/// [`park`] for waits that cannot be given up, such as that for a lock: neither cancellation nor
/// a `timeout()` ends it (cancellation unparks it once).
#[inline]
pub(crate) fn park_firmly(deadline: Option<Instant>) -> Woken {
    wait::park(deadline, true)
}

/// Lets the other ready green threads of the hub go first; nothing outside of a green thread. Does
/// not look at cancellation.
#[inline]
pub(crate) fn yield_now() {
    wait::yield_now();
}

/// Suspends the running green thread until `future` is done, which the hub polls on its own stack
/// with its own thread-locals and tokio context, at once and whenever it is woken. An interrupted
/// future is dropped. Unparks that come meanwhile only let the future be polled.
///
/// # Panics
/// Outside of a green thread; and as `future` does.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Interrupted> {
    wait::block_on(future)
}

/// Cancels all green threads, waits up to `timeout` for their ends, drops the async tasks and ends
/// the hubs. Green threads that have not ended by then are left where they are, their stacks too;
/// returns how many those are. From a green thread nothing is waited for.
pub(crate) fn shutdown(timeout: Duration) -> usize {
    hubs::hubs().map_or(0, |hubs| hubs.shutdown(timeout))
}
