//! Coroutines begin here.

use std::any::Any;
use std::cell::OnceCell;
use std::io;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use crate::backend;
use crate::config;
use crate::current::{self, Face, Kind};
use crate::interrupt;
use crate::join::{JoinError, JoinHandle, Packet};
use crate::task::Spec;

/// What can be spawned: blocking code as a closure (`Kind` is [`Blocking`](kind::Blocking)), or a
/// future (`Kind` is [`Async`](kind::Async)). The compiler finds out which; there is no more to it.
pub trait Spawn<Kind>: sealed::Start<Kind> {}

/// The two kinds of coroutines, for [`Spawn`].
pub mod kind {
    /// Blocking code: it runs on a stack of its own, as a green thread.
    #[derive(Debug)]
    pub enum Blocking {}

    /// A future: it runs as an async task.
    #[derive(Debug)]
    pub enum Async {}
}

mod sealed {
    use super::{Builder, JoinHandle, io};

    pub trait Start<Kind> {
        type Output: Send + 'static;

        fn start(self, builder: Builder) -> io::Result<JoinHandle<Self::Output>>;
    }
}

/// Starts a coroutine: a closure of ordinary blocking code becomes a green thread, a future an async
/// task. Both run on the same event loops, and both are joined by the same handle.
///
/// ```
/// let blocking = spinneret_green::spawn(|| {
///     std::thread::sleep(std::time::Duration::from_millis(1));
///     "slept"
/// });
/// let future = spinneret_green::spawn(async {
///     tokio::time::sleep(std::time::Duration::from_millis(1)).await;
///     "slept, too"
/// });
/// assert_eq!(blocking.join()?, "slept");
/// assert_eq!(future.join()?, "slept, too");
/// # Ok::<(), spinneret_green::JoinError>(())
/// ```
///
/// # Panics
/// If there is no room for another coroutine's stack, or after [`shutdown`](crate::shutdown).
/// [`Builder::spawn`] returns this as an error.
pub fn spawn<K, W: Spawn<K>>(work: W) -> JoinHandle<W::Output> {
    match Builder::new().spawn(work) {
        Ok(handle) => handle,
        Err(error) => panic!("no coroutine could be started: {error}"),
    }
}

/// Sets up a coroutine.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until spawn()"]
pub struct Builder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
    hub: Option<usize>,
}

impl Builder {
    /// A coroutine with the settings of [`Config`](crate::Config).
    pub fn new() -> Self {
        Self::default()
    }

    /// What the coroutine is called, in [`current`](crate::current) and in messages about it.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How much stack blocking code has, in bytes; rounded up to whole pages. Only what is used is
    /// taken from the system's memory. A future has none.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// On which hub it runs, from 0 on; modulo the number of hubs. By default the least busy, or the
    /// hub of the coroutine that spawns it.
    pub fn hub(mut self, hub: usize) -> Self {
        self.hub = Some(hub);
        self
    }

    /// Starts the coroutine.
    ///
    /// # Errors
    /// If the system has no room for its stack or refuses a thread, and after
    /// [`shutdown`](crate::shutdown).
    pub fn spawn<K, W: Spawn<K>>(self, work: W) -> io::Result<JoinHandle<W::Output>> {
        work.start(self)
    }

    fn spec(self) -> Spec {
        let stack_size = self.stack_size.unwrap_or(config::get().stack_size);
        Spec { name: self.name, stack_size, hub: self.hub }
    }
}

impl<F, T> Spawn<kind::Blocking> for F
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
}

impl<F, T> sealed::Start<kind::Blocking> for F
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn start(self, builder: Builder) -> io::Result<JoinHandle<T>> {
        let packet = Arc::new(Packet::new());
        let mut its = Unrun(Some(Arc::clone(&packet)));
        let body = Box::new(move || {
            let packet = its.0.take();
            let outcome = run(self);
            if let Some(packet) = packet {
                packet.finish(outcome);
            }
        });
        let task = backend::spawn(builder.spec(), body)?;
        Ok(JoinHandle::new(packet, task))
    }
}

/// The packet of blocking code until it begins. A backend that is shut down before drops it.
struct Unrun<T>(Option<Arc<Packet<T>>>);

impl<T> Drop for Unrun<T> {
    fn drop(&mut self) {
        if let Some(packet) = self.0.take() {
            packet.finish(Err(JoinError::Cancelled));
        }
    }
}

/// Runs a coroutine's code, from its beginning to the destructors of its locals.
fn run<T>(work: impl FnOnce() -> T) -> Result<T, JoinError> {
    let Some(task) = backend::task() else {
        // Not reached: backends call bodies within their tasks.
        return Err(JoinError::Cancelled);
    };
    let face = Face::new(task);
    current::enter(&face, Kind::Blocking, || {
        if face.task.take_cancel() {
            // Before it began.
            drop_quietly(work);
            clear(&face);
            return Err(JoinError::Cancelled);
        }
        // What a panic leaves half done is the closure's own.
        let outcome = settle(catch_unwind(AssertUnwindSafe(work)));
        clear(&face);
        outcome
    })
}

/// What the end of a coroutine's code means.
// Not within the frame that stays while the code runs: the frames of a coroutine that sleeps and its
// thread-locals share a page.
#[inline(never)]
fn settle<T>(result: thread::Result<T>) -> Result<T, JoinError> {
    match result {
        Ok(_) | Err(_) if interrupt::was_cancelled() => {
            drop_quietly(result);
            Err(JoinError::Cancelled)
        }
        Ok(value) => Ok(value),
        Err(payload) if interrupt::is_interruption(&*payload) => Err(JoinError::Cancelled),
        Err(payload) => Err(JoinError::panicked(payload)),
    }
}

/// Drops a coroutine's locals; a panic of a destructor costs the rest of them no more than itself.
#[inline(never)]
fn clear(face: &Face) {
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| face.locals.clear())) {
        drop_quietly(payload);
    }
}

/// Drops what may panic as it is dropped.
#[inline(never)]
fn drop_quietly<T>(value: T) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        forget::<Box<dyn Any + Send>>(again);
    }
}

impl<F> Spawn<kind::Async> for F
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
}

impl<F> sealed::Start<kind::Async> for F
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn start(self, builder: Builder) -> io::Result<JoinHandle<F::Output>> {
        let packet = Arc::new(Packet::new());
        let its = Arc::clone(&packet);
        let future = Driven { future: Some(Box::pin(self)), face: OnceCell::new(), packet: its };
        let task = backend::spawn_future(builder.spec(), Box::pin(future))?;
        Ok(JoinHandle::new(packet, task))
    }
}

/// A future with what makes a coroutine of it.
struct Driven<F: Future> {
    /// `None` once it has ended.
    future: Option<Pin<Box<F>>>,
    /// Made when it first runs, and the starter has told who it is.
    face: OnceCell<Face>,
    packet: Arc<Packet<F::Output>>,
}

impl<F: Future> Unpin for Driven<F> {}

impl<F: Future> Future for Driven<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        let face = this.face.get_or_init(|| Face::new(this.packet.task().clone()));
        let outcome = if face.task.is_cancelled() {
            Err(JoinError::Cancelled)
        } else {
            let poll = || current::enter(face, Kind::Async, || future.as_mut().poll(context));
            match catch_unwind(AssertUnwindSafe(poll)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(value)) => Ok(value),
                Err(payload) => Err(JoinError::panicked(payload)),
            }
        };
        this.end(outcome);
        Poll::Ready(())
    }
}

impl<F: Future> Driven<F> {
    fn end(&mut self, outcome: Result<F::Output, JoinError>) {
        let Some(future) = self.future.take() else { return };
        match self.face.get() {
            Some(face) => current::enter(face, Kind::Async, || {
                drop_quietly(future);
                clear(face);
            }),
            None => drop_quietly(future),
        }
        self.packet.finish(outcome);
    }
}

/// A hub that ends drops its futures.
impl<F: Future> Drop for Driven<F> {
    fn drop(&mut self) {
        self.end(Err(JoinError::Cancelled));
    }
}
