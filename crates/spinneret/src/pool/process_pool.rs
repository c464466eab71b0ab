//! The pool of worker processes.

use std::fmt;
use std::time::Duration;

use super::engine::Engine;
use super::errand::Errand;
use super::error::{PoolError, SubmitError};
use super::imap::WINDOW;
use super::job::Job;
use super::progress::Progress;
use super::settings::{Initializer, Settings};
use super::snapshot::PoolSnapshot;
use super::ticket::Ticket;
use super::traits::Pool;
use super::works::Works;
use crate::cooperate;
use crate::process::attachment;
use crate::task::Task;

/// Runs tasks in worker processes, several at once.
///
/// The workers are copies of this program (see [`process`](crate::process)) and serve call after
/// call until the pool ends. A task that panics, exits, crashes or hangs fails alone: a worker that
/// died is replaced, and the tasks that waited behind in it are run by another.
///
/// Tasks of one pool run in no particular order. Each is run once, unless its worker died while it
/// ran and [`retries`](ProcessPoolBuilder::retries) are left: then it may have been run in part
/// before.
///
/// Dropping the pool terminates it.
///
/// ```
/// use spinneret::{Pool, ProcessPool};
///
/// #[spinneret::task]
/// fn double(number: u32) -> u32 {
///     2 * number
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ProcessPool::new(2)?;
/// assert_eq!(pool.apply(double, 4)?, 8);
/// let doubled: Result<Vec<u32>, _> = pool.map(double, 0..3)?.into_iter().collect();
/// assert_eq!(doubled?, [0, 2, 4]);
/// # Ok(())
/// # }
/// ```
pub struct ProcessPool {
    works: Works,
    progress: Progress,
}

/// Sets up a [`ProcessPool`].
#[derive(Debug)]
#[must_use = "a builder does nothing until build()"]
pub struct ProcessPoolBuilder {
    settings: Settings,
    progress: bool,
    /// What was wrong with a setting, for `build` to report.
    error: Option<PoolError>,
}

impl Default for ProcessPoolBuilder {
    fn default() -> Self {
        let settings = Settings {
            workers: crate::process::cpu_count(),
            retries: 0,
            poison_limit: 3,
            task_timeout: None,
            max_tasks_per_worker: None,
            memory_limit: None,
            chunk_size: None,
            initializer: None,
        };
        Self { settings, progress: false, error: None }
    }
}

impl ProcessPoolBuilder {
    /// How many worker processes; as many as
    /// [`cpu_count`](crate::process::cpu_count) says by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// How many more times a task is run whose worker died while it ran; 0 by default.
    ///
    /// Panics, timeouts and errors that a task returns are no deaths. See also
    /// [`poison_limit`](Self::poison_limit).
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// How many workers one task may kill, 3 by default: after that it fails, whatever
    /// [`retries`](Self::retries) says. A task that kills every worker it gets would else keep the
    /// others from their work for as long as there are retries.
    pub fn poison_limit(mut self, workers: u32) -> Self {
        self.settings.poison_limit = workers;
        self
    }

    /// How long a task may run. The worker of one that runs longer is killed and the task fails
    /// with [`TimedOut`](crate::TaskError::TimedOut). No limit by default.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.settings.task_timeout = Some(timeout);
        self
    }

    /// After how many tasks a worker is replaced by a new one, which returns what memory it may
    /// have lost. No limit by default.
    pub fn max_tasks_per_worker(mut self, tasks: u32) -> Self {
        self.settings.max_tasks_per_worker = Some(tasks);
        self
    }

    /// How many bytes of memory a worker may have between tasks: one that has more (resident) is
    /// replaced by a new one when its task is done, which costs that task nothing. Looked at several
    /// times a second, where the system tells. No limit by default.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.settings.memory_limit = Some(bytes);
        self
    }

    /// A task that every worker runs before any other, also those that replace others. What it sets
    /// up for them it may keep in the [`worker_state`](super::worker_state). A worker in which it
    /// panics takes no tasks; if that is so at the start, [`build`](Self::build) fails.
    // Taken whole: what they hold, such as the end of a pipe, moves to the workers.
    #[allow(clippy::needless_pass_by_value, reason = "it moves to the workers")]
    pub fn initializer<T: Task>(mut self, _task: T, args: T::Args) -> Self {
        match attachment::encode(&args) {
            Ok((args, fds)) => {
                let (task, signature) = (T::NAME, T::SIGNATURE);
                self.settings.initializer = Some(Initializer { task, signature, args, fds });
            }
            Err(cause) => {
                self.error = Some(PoolError::Initializer(unserializable::<T>(&cause).into()));
            }
        }
        self
    }

    /// How many tasks of a `map` or `imap` are sent to a worker at once. By default so many as
    /// take some 20 milliseconds, judged by those before. Tasks of `apply` travel alone.
    pub fn chunk_size(mut self, tasks: usize) -> Self {
        self.settings.chunk_size = Some(tasks);
        self
    }

    /// Whether a bar on standard error shows how many of the submitted tasks are finished, if that
    /// is a terminal; not by default.
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Starts the pool, and returns when all workers are ready.
    ///
    /// # Errors
    /// If a setting is 0 that must not be, or a process or thread cannot be started; then nothing
    /// is left running.
    pub fn build(self) -> Result<ProcessPool, PoolError> {
        let Self { settings, progress, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        if settings.poison_limit == 0 {
            return Err(PoolError::Zero("poison_limit"));
        }
        if settings.workers == 0 {
            return Err(PoolError::Zero("workers"));
        }
        if settings.max_tasks_per_worker == Some(0) {
            return Err(PoolError::Zero("max_tasks_per_worker"));
        }
        if settings.chunk_size == Some(0) {
            return Err(PoolError::Zero("chunk_size"));
        }
        if settings.memory_limit == Some(0) {
            return Err(PoolError::Zero("memory_limit"));
        }
        if settings.task_timeout == Some(Duration::ZERO) {
            return Err(PoolError::Zero("task_timeout"));
        }
        let works = cooperate::blocking(|| Works::start(settings))?;
        Ok(ProcessPool { works, progress: Progress::new(progress) })
    }
}

impl ProcessPool {
    /// Starts a pool of so many worker processes, with the settings of [`ProcessPoolBuilder`]
    /// otherwise.
    ///
    /// # Errors
    /// See [`ProcessPoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        Self::builder().workers(workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::default()
    }

    /// Runs a task that came by name; one that the closed pool does not take is cancelled.
    pub(super) fn run_errand(&self, errand: Errand) {
        let Errand { entry, args, ticket } = errand;
        let _ = self.works.submit(std::iter::once(Job::by_name(entry, args, Box::new(ticket))));
    }

    /// Kills the workers of errands that nobody wants any more.
    pub(super) fn end_unwanted(&self) {
        self.works.end_unwanted();
    }

    /// How many processes it has.
    pub(super) fn workers(&self) -> usize {
        self.works.settings().workers
    }

    fn wait(&self) {
        cooperate::blocking(|| self.works.wait());
        self.progress.end();
    }
}

fn unserializable<T: Task>(cause: &impl ToString) -> SubmitError {
    SubmitError::Unserializable { task: T::NAME, cause: cause.to_string() }
}

impl Engine for ProcessPool {
    type Job = Job;

    fn job<T: Task>(
        args: T::Args,
        chunkable: bool,
        ticket: impl FnOnce() -> Ticket<T::Output>,
    ) -> Result<Job, SubmitError> {
        let (bytes, fds) =
            attachment::encode(&args).map_err(|cause| unserializable::<T>(&cause))?;
        // Now, not at the end: the arguments may be large.
        drop(args);
        Ok(Job::new::<T>(bytes, fds, chunkable, Box::new(ticket())))
    }

    fn submit(&self, jobs: impl ExactSizeIterator<Item = Job>) -> Result<(), SubmitError> {
        self.works.submit(jobs)
    }

    fn cancel_unwanted(&self) {
        self.works.cancel_unwanted();
    }

    fn window(&self) -> usize {
        let settings = self.works.settings();
        let per_worker = WINDOW.max(settings.chunk_size.unwrap_or(0).saturating_mul(2));
        settings.workers.saturating_mul(per_worker)
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Pool for ProcessPool {
    fn close(&self) {
        self.works.close();
    }

    fn join(&self) -> Result<(), PoolError> {
        if self.works.is_open() {
            return Err(PoolError::NotClosed);
        }
        self.wait();
        Ok(())
    }

    /// Ends the pool at once: tasks that wait or run become `Cancelled`, workers are killed.
    /// Returns when they are gone.
    fn terminate(&self) {
        cooperate::blocking(|| self.works.terminate());
        self.wait();
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.works.snapshot()
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
