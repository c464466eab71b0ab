//! The end of a coroutine, for who waits for it.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::backend;
use crate::current;
use crate::interrupt;
use crate::task::Task;
use crate::wait;

/// A coroutine that was spawned. Wait for it with [`join`](Self::join), or `.await` it.
///
/// Dropping the handle leaves the coroutine to itself; a [`Group`](crate::Group) ends those that
/// nobody needs any more.
pub struct JoinHandle<T> {
    packet: Arc<Packet<T>>,
    /// The same as the packet's.
    task: Task,
}

impl<T> JoinHandle<T> {
    /// The handle of a coroutine that was started, which makes it known to itself.
    pub(crate) fn new(packet: Arc<Packet<T>>, task: Task) -> Self {
        // Set here alone, once.
        let _ = packet.task.set(task.clone());
        Self { packet, task }
    }

    /// Waits for the coroutine's end and returns what it returned. Within a coroutine of blocking
    /// code this suspends that coroutine, elsewhere it blocks the thread.
    ///
    /// # Errors
    /// If it panicked or was cancelled, and if waiting would be for ever: for itself, or within an
    /// async task, which has to `.await` the handle.
    pub fn join(self) -> Result<T, JoinError> {
        interrupt::check();
        if let Some(outcome) = self.packet.take() {
            return outcome;
        }
        if let Some(error) = self.cannot_wait() {
            return Err(error);
        }
        wait::on_this_stack(|context| self.packet.poll(context))
    }

    /// Whether it has ended, so that [`join`](Self::join) returns at once.
    pub fn is_finished(&self) -> bool {
        self.packet.is_finished()
    }

    /// Asks the coroutine to end, and returns at once; its outcome becomes
    /// [`Cancelled`](JoinError::Cancelled) if it had not ended yet.
    ///
    /// An async task ends at its next `.await`. A coroutine of blocking code ends at the wait it is
    /// in, or its next one: one of this crate's unwinds the stack, so destructors run, and they may
    /// wait. A patched call answers with the error `ECANCELED`, until then. Code that never waits
    /// runs to its end.
    ///
    /// A program that is compiled with `panic = "abort"` cannot unwind: there cancelling aborts it.
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// A number that no other coroutine of this process has or had.
    pub fn id(&self) -> u64 {
        self.task.id()
    }

    /// Its name: as it was given, or `coroutine-` and its number.
    pub fn name(&self) -> String {
        current::name_of(self.task.id(), self.task.name())
    }

    /// Who it is, and how its end is known whatever its result.
    pub(crate) fn parts(&self) -> (Task, Arc<dyn Finish + Send + Sync>)
    where
        T: Send + 'static,
    {
        (self.task.clone(), Arc::clone(&self.packet) as _)
    }

    /// Why [`join`](Self::join) would never return, if so.
    fn cannot_wait(&self) -> Option<JoinError> {
        if current::with(|face, _| face.is_some_and(|face| face.task == self.task)) {
            return Some(JoinError::Itself);
        }
        backend::must_not_block().then_some(JoinError::WithinAsync)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.packet.poll(context)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Why a coroutine that was joined has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It panicked. The panic hook has printed where.
    #[error("the coroutine panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
        /// What it was unwound with.
        payload: Payload,
    },
    /// It was cancelled before its end.
    #[error("the coroutine was cancelled")]
    Cancelled,
    /// It would wait for itself, for ever.
    #[error("a coroutine cannot join itself: join it from another")]
    Itself,
    /// An async task would hold up its hub, and with it what it waits for.
    #[error("an async task cannot block: `.await` the handle instead of calling join()")]
    WithinAsync,
}

impl JoinError {
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let message = text.unwrap_or("a panic with a value that is not text").to_owned();
        Self::Panicked { message, payload: Payload(Mutex::new(payload)) }
    }

    /// Goes on with the panic in the place of who joined; another error becomes a panic with its
    /// text.
    ///
    /// # Panics
    /// Always.
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked { payload, .. } => resume_unwind(payload.into_inner()),
            error => panic!("{error}"),
        }
    }
}

/// What a panic was unwound with.
// In a mutex, which makes it `Sync`, so that the error can go where errors go.
pub struct Payload(Mutex<Box<dyn Any + Send>>);

impl Payload {
    /// The value itself, to be downcast or to go on with.
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").finish_non_exhaustive()
    }
}

/// Waits for all, and returns the outcomes in the order of the handles.
///
/// ```
/// use spinneret_green::{join_all, spawn};
///
/// let squares = join_all((1..=3).map(|n| spawn(move || n * n)));
/// assert_eq!(squares.into_iter().filter_map(Result::ok).collect::<Vec<_>>(), [1, 4, 9]);
/// ```
pub fn join_all<T>(handles: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<Result<T, JoinError>> {
    // All are spawned before the first is waited for, if the iterator is what spawns them.
    let handles: Vec<_> = handles.into_iter().collect();
    handles.into_iter().map(JoinHandle::join).collect()
}

/// Waits until one of the coroutines has ended, and takes its handle out of the list: its
/// [`join`](JoinHandle::join) returns at once. `None` if the list is empty, or if an async task asks,
/// which must not block.
///
/// ```
/// use std::time::Duration;
///
/// use spinneret_green::{sleep, spawn, wait_any};
///
/// let mut racers: Vec<_> = [60_000, 1]
///     .map(|milliseconds| spawn(move || sleep(Duration::from_millis(milliseconds))))
///     .into();
/// let slow = racers[0].id();
/// let first = wait_any(&mut racers).expect("there are two");
/// assert_ne!(first.id(), slow);
/// racers[0].cancel();
/// ```
pub fn wait_any<T>(handles: &mut Vec<JoinHandle<T>>) -> Option<JoinHandle<T>> {
    if handles.is_empty() {
        return None;
    }
    let finished = |handles: &[JoinHandle<T>]| handles.iter().position(JoinHandle::is_finished);
    let first = match finished(handles) {
        Some(first) => first,
        None if backend::must_not_block() => return None,
        None => wait::on_this_stack(|context| {
            // In the order of the list, up to the first that has ended.
            let first = handles.iter().position(|handle| handle.packet.poll_finished(context));
            first.map_or(Poll::Pending, Poll::Ready)
        }),
    };
    Some(handles.remove(first))
}

/// Where a coroutine's outcome is put down.
pub(crate) struct Packet<T> {
    state: Mutex<State<T>>,
    /// The coroutine, from soon after it was started.
    task: OnceLock<Task>,
}

struct State<T> {
    finished: bool,
    /// Gone once it was given out.
    outcome: Option<Result<T, JoinError>>,
    /// Who waits; more than one if a group or several `wait_any` look at it.
    waiters: Vec<Waker>,
}

impl<T> Packet<T> {
    pub(crate) fn new() -> Self {
        let state = State { finished: false, outcome: None, waiters: Vec::new() };
        Self { state: Mutex::new(state), task: OnceLock::new() }
    }

    /// Puts down the outcome and wakes who waits for it.
    pub(crate) fn finish(&self, outcome: Result<T, JoinError>) {
        let mut state = self.lock();
        state.finished = true;
        state.outcome = Some(outcome);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        backend::lock(&self.state)
    }

    /// The outcome, if it is there.
    fn take(&self) -> Option<Result<T, JoinError>> {
        self.lock().take()
    }

    /// The coroutine itself; waits for who has just started it to say so.
    pub(crate) fn task(&self) -> &Task {
        self.task.wait()
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let mut state = self.lock();
        if !state.finished {
            state.register(context);
        }
        state.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        // None within only for a future that is polled again after it was ready.
        self.finished.then(|| self.outcome.take().unwrap_or(Err(JoinError::Cancelled)))
    }

    fn register(&mut self, context: &Context<'_>) {
        if !self.waiters.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiters.push(context.waker().clone());
        }
    }
}

/// The end of a coroutine, whatever its result.
pub(crate) trait Finish {
    fn is_finished(&self) -> bool;

    /// Whether it has ended; else it tells when it does.
    fn poll_finished(&self, context: &mut Context<'_>) -> bool;
}

impl<T> Finish for Packet<T> {
    fn is_finished(&self) -> bool {
        self.lock().finished
    }

    fn poll_finished(&self, context: &mut Context<'_>) -> bool {
        let mut state = self.lock();
        if !state.finished {
            state.register(context);
        }
        state.finished
    }
}
