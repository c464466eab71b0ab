//! The pool of coroutines of this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use spinneret_green::{Builder, Group, current};

use super::crew::{Crew, Initializer, Job, Reports};
use super::engine::Engine;
use super::error::{PoolError, SubmitError};
use super::imap::WINDOW;
use super::progress::Progress;
use super::snapshot::PoolSnapshot;
use super::ticket::Ticket;
use super::traits::Pool;
use crate::task::{Runner, Task};

/// Runs tasks in coroutines of this process, a limited number at once: `gevent.pool.Pool`.
///
/// It is for tasks that wait most of the time, such as for the network: thousands of them at once
/// cost a few kilobytes each. A plain task is ordinary blocking code on a stack of its own, and an
/// `async` one a future; each runs on an event loop, beside the others. Call
/// [`coroutine::patch_all`](crate::coroutine::patch_all) at the start of the program, so that
/// whatever blocks suspends the task and not its hub; see [`coroutine`](crate::coroutine) for what
/// that covers, and for what becomes of it on other systems.
///
/// Arguments and results move as they are; nothing is serialized. A task that panics fails alone. A
/// task that computes for long holds up the others of its hub, and one that crashes or exits takes the
/// whole program with it: where that matters use a [`ThreadPool`](super::ThreadPool) or a
/// [`ProcessPool`](super::ProcessPool).
///
/// There are no retries and no maximum of tasks per worker, as process pools have: both are about
/// workers that die, and coroutines do not.
///
/// Dropping the pool terminates it.
///
/// ```
/// use spinneret::{CoroutinePool, Pool};
///
/// #[spinneret::task]
/// fn fetch(url: String) -> usize {
///     // Here would be a request by a blocking HTTP client.
///     std::thread::sleep(std::time::Duration::from_millis(1));
///     url.len()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// spinneret::coroutine::patch_all();
/// let urls = ["http://a", "http://bc", "http://def"].map(str::to_owned);
/// // Two at a time.
/// let lengths: Result<Vec<usize>, _> = CoroutinePool::new(2)?.map(fetch, urls)?.into_iter().collect();
/// assert_eq!(lengths?, [8, 9, 10]);
/// # Ok(())
/// # }
/// ```
pub struct CoroutinePool {
    crew: Arc<Crew>,
    /// The workers: each takes one task after the other.
    workers: Group,
    /// Who must not wait for them: themselves.
    ids: Vec<u64>,
    progress: Progress,
}

/// Sets up a [`CoroutinePool`].
#[derive(Clone)]
#[must_use = "a builder does nothing until build()"]
pub struct CoroutinePoolBuilder {
    workers: usize,
    prefix: String,
    initializer: Option<Initializer>,
    task_timeout: Option<Duration>,
    stack_size: Option<usize>,
    progress: bool,
}

impl Default for CoroutinePoolBuilder {
    fn default() -> Self {
        Self {
            workers: 100,
            prefix: "CoroutinePool".to_owned(),
            initializer: None,
            task_timeout: None,
            stack_size: None,
            progress: false,
        }
    }
}

impl CoroutinePoolBuilder {
    /// How many tasks run at once; 100 by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// What the coroutines are called: the prefix, `_` and a number from 0 on. `CoroutinePool` by
    /// default.
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What each of the coroutines runs before its first task. If it panics the pool does not start.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Arc::new(initializer));
        self
    }

    /// How long a task may take; as long as it likes by default. The wait that it is in then is given
    /// up, as [`coroutine::timeout`](crate::coroutine::timeout) says, and its outcome is `TimedOut`.
    /// A task that computes is not interrupted.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.task_timeout = Some(limit);
        self
    }

    /// How much stack a task has, in bytes; as [`Config`](crate::coroutine::Config) says by default.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether a bar on standard error shows how many of the submitted tasks are finished, if that
    /// is a terminal; not by default.
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Starts the pool, and returns when all coroutines are ready.
    ///
    /// # Errors
    /// If there are to be no workers, there is no room for their stacks, or the initializer panics;
    /// then nothing is left running.
    pub fn build(self) -> Result<CoroutinePool, PoolError> {
        if self.workers == 0 {
            return Err(PoolError::Zero("workers"));
        }
        let names: Vec<_> =
            (0..self.workers).map(|number| format!("{}_{number}", self.prefix)).collect();
        // Dropped on an error, which ends what has started.
        let mut pool = CoroutinePool {
            crew: Arc::new(Crew::new(names.clone())),
            workers: Group::new(),
            ids: Vec::with_capacity(self.workers),
            progress: Progress::new(self.progress),
        };
        let reports = Reports::new();
        for (place, name) in names.into_iter().enumerate() {
            let seat = Crew::seat(&pool.crew, place);
            let (initializer, reports) = (self.initializer.clone(), reports.clone());
            let runner = Runner::of_coroutine(self.task_timeout);
            let mut worker = Builder::new().name(name);
            if let Some(bytes) = self.stack_size {
                worker = worker.stack_size(bytes);
            }
            let work = move || seat.work(&runner, initializer.as_ref(), &reports);
            let worker = pool.workers.spawn_with(worker, work).map_err(PoolError::Thread)?;
            pool.ids.push(worker.id());
        }
        reports.wait(self.workers)?;
        Ok(pool)
    }
}

impl CoroutinePool {
    /// Starts a pool that runs so many tasks at once, with the settings of [`CoroutinePoolBuilder`]
    /// otherwise.
    ///
    /// # Errors
    /// See [`CoroutinePoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        Self::builder().workers(workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> CoroutinePoolBuilder {
        CoroutinePoolBuilder::default()
    }

    /// Whether one of the pool's own tasks asks.
    fn is_within(&self) -> bool {
        current().is_some_and(|coroutine| self.ids.contains(&coroutine.id()))
    }

    fn wait(&self) {
        self.crew.wait();
        self.workers.join();
        self.progress.end();
    }
}

impl Engine for CoroutinePool {
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

impl Pool for CoroutinePool {
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

    /// Ends the pool: tasks that wait for their turn become `Cancelled`, and so do those that run, at
    /// the next wait of theirs: see [`JoinHandle::cancel`](crate::coroutine::JoinHandle::cancel).
    /// Returns when they have ended, at once if one of them asks.
    fn terminate(&self) {
        self.crew.terminate();
        self.workers.cancel();
        if !self.is_within() {
            self.wait();
        }
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.crew.snapshot()
    }
}

impl Drop for CoroutinePool {
    fn drop(&mut self) {
        spinneret_green::__private::shielded(|| self.terminate());
    }
}

impl fmt::Debug for CoroutinePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoroutinePool").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}

impl fmt::Debug for CoroutinePoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoroutinePoolBuilder")
            .field("workers", &self.workers)
            .field("name_prefix", &self.prefix)
            .field("initializer", &self.initializer.is_some())
            .field("task_timeout", &self.task_timeout)
            .field("stack_size", &self.stack_size)
            .field("progress", &self.progress)
            .finish()
    }
}
