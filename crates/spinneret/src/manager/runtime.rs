//! How blocking programs use a manager: threads of spinneret's own that serve connections, and a
//! way to wait for a future without a runtime.

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::Sleep,
};

use super::error::ManagerError;
use crate::cooperate;

/// Threads of the background runtime, at most.
const MOST_THREADS: usize = 4;

/// Started at first need, and never ended.
static BACKGROUND: Mutex<Option<Runtime>> = Mutex::new(None);

thread_local! {
    /// Whether this thread waits in [`block_on`], so that its own runtime, if any, stands still.
    static BLOCKED: Cell<bool> = const { Cell::new(false) };
    /// Unparks this thread.
    static WAKER: Waker = Waker::from(Arc::new(Parked(thread::current())));
}

/// The runtime that serves what blocking programs start.
pub(crate) fn background() -> Result<Handle, ManagerError> {
    let mut background = BACKGROUND.lock();
    if let Some(runtime) = &*background {
        return Ok(runtime.handle().clone());
    }
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("spinneret-manager")
        .enable_all()
        .build()
        .map_err(|error| ManagerError::Runtime(error.to_string()))?;
    let handle = runtime.handle().clone();
    *background = Some(runtime);
    Ok(handle)
}

/// Waits until that time: by the caller's own runtime if it can, else by the background one.
pub(crate) fn sleep_until(time: Instant) -> Result<Sleep, ManagerError> {
    let own = Handle::try_current().ok().filter(|_| !BLOCKED.get());
    let handle = own.map_or_else(background, Ok)?;
    let _context = handle.enter();
    Ok(tokio::time::sleep_until(time.into()))
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Whether a future that is polled now may block: its thread is there for nothing else.
#[cfg(unix)]
pub(crate) fn may_block() -> bool {
    BLOCKED.get()
}

/// What unparks this thread, perhaps also when it need not be.
pub(crate) fn thread_waker() -> Waker {
    WAKER.with(Waker::clone)
}

/// Blocks this thread until the future is done; in a coroutine it suspends that. Unlike tokio's, works on any thread, also on one
/// of a runtime (which it then holds up). Calls to a manager elsewhere that the future makes may
/// block the thread within a poll: it must not wait for anything else at the same time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// Takes the mark back also when the future panics.
    struct Mark(bool);
    impl Drop for Mark {
        fn drop(&mut self) {
            BLOCKED.set(self.0);
        }
    }
    if cooperate::within() {
        return cooperate::wait(future);
    }
    let _mark = Mark(BLOCKED.replace(true));
    let mut future = pin!(future);
    let waker = thread_waker();
    let mut context = Context::from_waker(&waker);
    loop {
        // Tokio's primitives let a task run for a while only; here nobody else waits for it to
        // yield.
        let polled = pin!(tokio::task::unconstrained(future.as_mut())).poll(&mut context);
        if let Poll::Ready(done) = polled {
            return done;
        }
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_future_that_is_woken_from_another_thread_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn sleeping_needs_no_runtime_of_the_caller() {
        let start = Instant::now();
        block_on(sleep_until(start + Duration::from_millis(5)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[tokio::test]
    async fn blocking_inside_a_runtime_s_only_thread_works() {
        let start = Instant::now();
        block_on(async { sleep_until(start + Duration::from_millis(5)).unwrap().await });
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(!BLOCKED.get());
    }
}
