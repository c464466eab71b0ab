//! What coroutines are made of, chosen once: green threads, or threads of the system in their place.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::config;
use crate::current::{self, Kind};
#[cfg(green_threads)]
use crate::green;
use crate::task::{Home, Interrupted, Spec, Task, ThreadHome, Woken};
use crate::threads;

/// What coroutines of blocking code are made of in this program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Green threads: stacks of their own on a few threads of the system.
    GreenThreads,
    /// A thread of the system each, since green threads cannot work here. Async tasks are the same
    /// in both.
    OsThreads {
        /// Why they cannot.
        why: String,
    },
}

/// What coroutines of blocking code are made of here. It is found out once, and said in the log if
/// it is not what one would wish.
pub fn backend() -> &'static Backend {
    static CHOSEN: OnceLock<Backend> = OnceLock::new();
    CHOSEN.get_or_init(|| match possible() {
        Ok(()) => Backend::GreenThreads,
        Err(why) => {
            tracing::warn!("each coroutine of blocking code gets a thread of the system: {why}");
            Backend::OsThreads { why: why.to_owned() }
        }
    })
}

#[cfg(green_threads)]
fn possible() -> Result<(), &'static str> {
    green::probe()
}

#[cfg(not(green_threads))]
fn possible() -> Result<(), &'static str> {
    Err(if cfg!(spinneret_os_threads) {
        "the program was compiled with `--cfg spinneret_os_threads`"
    } else {
        "green threads need Linux on x86_64 with glibc"
    })
}

/// Whether green threads work here.
#[cfg(green_threads)]
fn is_green() -> bool {
    *backend() == Backend::GreenThreads
}

/// Starts what runs coroutines, unless it runs.
fn start() -> io::Result<()> {
    #[cfg(green_threads)]
    if is_green() {
        let config = config::get();
        return green::start(&green::Settings {
            hubs: config.hubs,
            stack_size: config.stack_size,
            slow_after: config.slow_after,
        });
    }
    threads::start(config::get().hubs)
}

/// Runs a body, which never unwinds, as a coroutine of blocking code.
pub(crate) fn spawn(spec: Spec, body: Box<dyn FnOnce() + Send>) -> io::Result<Task> {
    start()?;
    #[cfg(green_threads)]
    if is_green() {
        return green::spawn(spec, body);
    }
    threads::spawn(spec, body)
}

/// Runs a future as an async task.
pub(crate) fn spawn_future(
    spec: Spec,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> io::Result<Task> {
    start()?;
    #[cfg(green_threads)]
    if is_green() {
        return green::spawn_future(spec, future);
    }
    threads::spawn_future(spec, future)
}

/// Whether an async task runs here, be it one that was spawned by other means: it must not block.
pub(crate) fn must_not_block() -> bool {
    #[cfg(green_threads)]
    if green::is_hub_stack() {
        return true;
    }
    threads::is_hub() || current::kind() == Some(Kind::Async)
}

/// The coroutine of blocking code that runs here, from its very beginning to its end.
pub(crate) fn task() -> Option<Task> {
    #[cfg(green_threads)]
    if let Some(task) = green::current() {
        return Some(Task::clone(&task));
    }
    threads::current()
}

/// Whether a green thread runs that nothing interrupts. So much its task says, which is at hand,
/// where the thread-locals of one of thousands are not.
#[inline]
pub(crate) fn is_undisturbed() -> bool {
    #[cfg(green_threads)]
    return green::current().is_some_and(|task| !task.may_be_interrupted());
    #[cfg(not(green_threads))]
    false
}

/// Takes a cancellation of the running coroutine of blocking code, to deliver it; whether there was
/// one.
pub(crate) fn take_cancel() -> bool {
    #[cfg(green_threads)]
    if let Some(task) = green::current() {
        return task.take_cancel();
    }
    threads::current().is_some_and(|task| task.take_cancel())
}

/// Who is to be woken for the running code to go on: its coroutine, or its plain thread.
pub(crate) fn waiter() -> Task {
    task().unwrap_or_else(this_thread)
}

/// The waiter of a plain thread.
// On its own, as is what waits in a thread: a green thread that sleeps has a page for all of its
// frames, in which those of the other way have no place.
#[cold]
#[inline(never)]
fn this_thread() -> Task {
    thread_local! {
        static THREAD: Task = Task::new(None, Home::Thread(ThreadHome::default()));
    }
    // A thread that is being taken down has no place for one any more.
    THREAD
        .try_with(Task::clone)
        .unwrap_or_else(|_| Task::new(None, Home::Thread(ThreadHome::default())))
}

/// Has the running code wait until its [`waiter`] is woken.
#[inline]
pub(crate) fn park(deadline: Option<Instant>) -> Woken {
    #[cfg(green_threads)]
    if green::in_green_thread() {
        return green::park(deadline);
    }
    park_this_thread(deadline)
}

#[inline(never)]
fn park_this_thread(deadline: Option<Instant>) -> Woken {
    waiter().park_thread(deadline)
}

#[inline]
pub(crate) fn yield_now() {
    #[cfg(green_threads)]
    if green::in_green_thread() {
        return green::yield_now();
    }
    std::thread::yield_now();
}

/// Runs something with the thread-locals of the hub, or of the thread that it is.
pub fn on_hub<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(green_threads)]
    return green::on_hub(work);
    #[cfg(not(green_threads))]
    work()
}

/// Takes a lock for a short moment. A coroutine is not suspended for it, so none has another such lock
/// meanwhile that its hub may want.
// Not a lock of `parking_lot`: that may be handed over to a coroutine that is suspended.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            on_hub(|| mutex.lock()).unwrap_or_else(PoisonError::into_inner)
        }
    }
}

/// Waits for a future; where a hub can poll it, the hub does.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Interrupted> {
    #[cfg(green_threads)]
    if green::in_green_thread() {
        return green::block_on(future);
    }
    threads::block_on(&waiter(), future)
}

/// Whether blocking code of a coroutine runs here, so that waits of this crate can be interrupted
/// and suspend no thread of somebody else's.
#[doc(hidden)]
pub fn in_blocking_coroutine() -> bool {
    current::kind() == Some(Kind::Blocking)
}

/// The number of the coroutine of blocking code that runs here, or 0.
#[doc(hidden)]
pub fn id() -> u64 {
    current::with(|face, kind| match face {
        Some(face) if kind == Kind::Blocking => face.task.id(),
        _ => 0,
    })
}

/// Some coroutines did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{coroutines} coroutines did not end within {timeout:?}: they compute, or wait in a call that is not patched"
)]
pub struct StillRunning {
    /// How many.
    pub coroutines: usize,
    /// The time they were given.
    pub timeout: Duration,
}

/// Cancels all coroutines, waits for their end up to this long, and ends the hubs. Nothing can be
/// spawned afterwards.
///
/// A program need not call it: when `main` returns, coroutines end with the process, as threads do.
/// Within a coroutine it waits for nothing.
///
/// # Errors
/// If some have not ended by then; they are left where they are.
pub fn shutdown(timeout: Duration) -> Result<(), StillRunning> {
    #[cfg(green_threads)]
    let left = if is_green() { green::shutdown(timeout) } else { threads::shutdown(timeout) };
    #[cfg(not(green_threads))]
    let left = threads::shutdown(timeout);
    match left {
        0 => Ok(()),
        coroutines => Err(StillRunning { coroutines, timeout }),
    }
}
