//! The pool of threads of this process.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle, ThreadId};

use parking_lot::Mutex;

use super::crew::{Crew, Initializer, Job, Reports};
use super::engine::Engine;
use super::errand::Errand;
use super::error::{PoolError, SubmitError};
use super::imap::WINDOW;
use super::progress::Progress;
use super::snapshot::PoolSnapshot;
use super::ticket::Ticket;
use super::traits::Pool;
use crate::task::{Runner, Task};
use crate::thread::spawn;

/// Runs tasks in threads of this process, several at once.
///
/// Arguments and results move from thread to thread as they are; nothing is serialized. The same
/// threads serve call after call until the pool ends. A task that panics fails alone, and its
/// thread goes on. But a thread cannot be killed: a task that hangs occupies its thread for good,
/// and one that crashes or exits takes the whole program with it. Where that matters use a
/// [`ProcessPool`](super::ProcessPool).
///
/// To keep the backtraces of panics, the first pool puts a panic hook in front of the program's own,
/// which still prints.
///
/// `async` tasks run on a tokio runtime of each worker's own, one at a time like the others; it
/// stands still between tasks.
///
/// Dropping the pool terminates it, and so waits for the tasks that run. What a task drops does not
/// wait for itself.
///
/// ```
/// use spinneret::{Pool, ThreadPool};
///
/// #[spinneret::task]
/// fn double(number: u32) -> u32 {
///     2 * number
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ThreadPool::new(2)?;
/// assert_eq!(pool.apply(double, 4)?, 8);
/// let doubled: Result<Vec<u32>, _> = pool.map(double, 0..3)?.into_iter().collect();
/// assert_eq!(doubled?, [0, 2, 4]);
/// # Ok(())
/// # }
/// ```
pub struct ThreadPool {
    crew: Arc<Crew>,
    /// Emptied by the first that waits for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Who must not wait for them: themselves.
    ids: Vec<ThreadId>,
    progress: Progress,
}

/// Sets up a [`ThreadPool`].
#[derive(Clone)]
#[must_use = "a builder does nothing until build()"]
pub struct ThreadPoolBuilder {
    workers: usize,
    prefix: String,
    initializer: Option<Initializer>,
    progress: bool,
}

impl Default for ThreadPoolBuilder {
    fn default() -> Self {
        Self {
            workers: thread::available_parallelism().map_or(1, usize::from),
            prefix: "ThreadPool".to_owned(),
            initializer: None,
            progress: false,
        }
    }
}

impl ThreadPoolBuilder {
    /// How many threads; as many as the machine runs at once by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// What the threads are called: the prefix, `_` and a number from 0 on. `ThreadPool` by default.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What each thread runs before its first task. If it panics the pool does not start.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Arc::new(initializer));
        self
    }

    /// Whether a bar on standard error shows how many of the submitted tasks are finished, if that
    /// is a terminal; not by default.
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Starts the pool, and returns when all threads are ready.
    ///
    /// # Errors
    /// If there are to be no workers, a thread cannot be started, or the initializer panics; then
    /// nothing is left running.
    pub fn build(self) -> Result<ThreadPool, PoolError> {
        if self.workers == 0 {
            return Err(PoolError::Zero("workers"));
        }
        let names: Vec<_> =
            (0..self.workers).map(|number| format!("{}_{number}", self.prefix)).collect();
        // Dropped on an error, which ends what has started.
        let mut pool = ThreadPool {
            crew: Arc::new(Crew::new(names.clone())),
            threads: Mutex::default(),
            ids: Vec::with_capacity(self.workers),
            progress: Progress::new(self.progress),
        };
        let reports = Reports::new();
        for (place, name) in names.into_iter().enumerate() {
            let seat = Crew::seat(&pool.crew, place);
            let (initializer, reports) = (self.initializer.clone(), reports.clone());
            let work = move || seat.work(&Runner::new(), initializer.as_ref(), &reports);
            let thread = spawn(name, work).map_err(PoolError::Thread)?;
            pool.ids.push(thread.thread().id());
            pool.threads.lock().push(thread);
        }
        reports.wait(self.workers)?;
        Ok(pool)
    }
}

impl ThreadPool {
    /// Starts a pool of so many threads, with the settings of [`ThreadPoolBuilder`] otherwise.
    ///
    /// # Errors
    /// See [`ThreadPoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        Self::builder().workers(workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::default()
    }

    /// Runs a task that came by name; one that the closed pool does not take is cancelled.
    pub(super) fn run_errand(&self, errand: Errand) {
        let _ = self.crew.submit(std::iter::once(Job::by_name(errand)));
    }

    /// How many threads it has.
    pub(super) fn workers(&self) -> usize {
        self.ids.len()
    }

    /// Whether one of the pool's own tasks asks.
    fn is_within(&self) -> bool {
        self.ids.contains(&thread::current().id())
    }

    fn wait(&self) {
        self.crew.wait();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // None panics: what tasks throw is caught.
            let _ = thread.join();
        }
        self.progress.end();
    }
}

impl Engine for ThreadPool {
    type Job = Job;

    fn job<T: Task>(
        args: T::Args,
        _chunkable: bool,
        ticket: impl FnOnce() -> Ticket<T::Output>,
    ) -> Result<Job, SubmitError> {
        Ok(Job::new::<T>(args, ticket()))
    }

    fn submit(&self, jobs: impl ExactSizeIterator<Item = Job>) -> Result<(), SubmitError> {
        self.crew.submit(jobs)
    }

    fn window(&self) -> usize {
        self.ids.len().saturating_mul(WINDOW)
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Pool for ThreadPool {
    fn close(&self) {
        self.crew.close();
    }

    fn join(&self) -> Result<(), PoolError> {
        if self.crew.is_open() {
            return Err(PoolError::NotClosed);
        }
        if self.is_within() {
            return Err(PoolError::WithinTask);
        }
        self.wait();
        Ok(())
    }

    /// Ends the pool: tasks that wait become `Cancelled`. Those that run cannot be killed, and run
    /// to their end; returns when they have come to it, at once if one of them asks.
    fn terminate(&self) {
        self.crew.terminate();
        if !self.is_within() {
            self.wait();
        }
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.crew.snapshot()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("workers", &self.workers)
            .field("thread_name_prefix", &self.prefix)
            .field("initializer", &self.initializer.is_some())
            .field("progress", &self.progress)
            .finish()
    }
}
