//! Coroutines as threads of the operating system, where green threads cannot work.
//!
//! Each closure has a thread of its own; what it waits for blocks that thread alone, so nothing need
//! be patched. Async tasks run on hubs as in the other backend. The outcomes are the same; what is
//! missing is the price: a thread's memory for each, and a wait in a call of the C library is not
//! ended by a cancellation or a timeout.

mod hubs;
mod live;

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use self::hubs::Hubs;
use self::live::Live;
use crate::task::{Home, Interrupted, Spec, Task, ThreadHome, Woken};

/// A thread of the system needs more than a green thread, for its thread-locals.
const SMALLEST_STACK: usize = 64 << 10;

thread_local! {
    /// The coroutine whose thread this is.
    static CURRENT: RefCell<Option<Task>> = const { RefCell::new(None) };
}

/// Starts the hubs, unless they run.
pub(crate) fn start(hubs: usize) -> io::Result<()> {
    Hubs::start(hubs).map(|_| ())
}

/// Runs a body, which never unwinds, on a thread of its own.
pub(crate) fn spawn(spec: Spec, body: Box<dyn FnOnce() + Send>) -> io::Result<Task> {
    let task = Task::new(spec.name, Home::Thread(ThreadHome::default()));
    // What a name may hold for the system is a matter of taste; ours is kept in the task.
    let name = task.name().map(|name| name.replace('\0', " "));
    let thread = thread::Builder::new()
        .name(name.unwrap_or_else(|| format!("coroutine-{}", task.id())))
        .stack_size(spec.stack_size.max(SMALLEST_STACK));
    let live = Live::enter(&task)?;
    let its = task.clone();
    thread.spawn(move || {
        let _live = live;
        CURRENT.set(Some(its));
        body();
        CURRENT.set(None);
    })?;
    Ok(task)
}

/// Runs a future on a hub.
pub(crate) fn spawn_future(
    spec: Spec,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> io::Result<Task> {
    let hubs = Hubs::get().ok_or_else(live::ended)?;
    let task = Task::new(spec.name, Home::Future(std::sync::OnceLock::new()));
    let live = Live::enter(&task)?;
    let join = hubs.spawn(spec.hub, async move {
        let _live = live;
        future.await;
    });
    task.started(join.abort_handle());
    Ok(task)
}

/// The coroutine whose thread this is.
pub(crate) fn current() -> Option<Task> {
    // Gone while the thread's locals are destroyed.
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Whether this is a hub's thread, on which nothing may block.
pub(crate) fn is_hub() -> bool {
    Hubs::is_here()
}

/// Polls a future on this thread until it is ready, with the clock and the sockets of a hub unless
/// the thread has a tokio runtime of its own.
pub(crate) fn block_on<F: Future>(waiter: &Task, future: F) -> Result<F::Output, Interrupted> {
    let handle = match tokio::runtime::Handle::try_current() {
        Ok(_) => None,
        Err(_) => Hubs::any(),
    };
    let _within = handle.as_ref().map(tokio::runtime::Handle::enter);
    let waker = waiter.waker();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        match waiter.park_thread(None) {
            Woken::Unparked => {}
            Woken::TimedOut => return Err(Interrupted::TimedOut),
            Woken::Cancelled => return Err(Interrupted::Cancelled),
        }
    }
}

/// Cancels all coroutines, waits up to `timeout` for their end, and ends the hubs; returns how many
/// are left.
pub(crate) fn shutdown(timeout: Duration) -> usize {
    let within = current().is_some() || crate::current::kind().is_some();
    let deadline = Instant::now().checked_add(timeout);
    let left = live::end(if within { Some(Instant::now()) } else { deadline });
    // The runtimes of hubs whose tasks hang are left to themselves.
    Hubs::stop();
    left
}
