//! The pool of worker processes.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::dispatcher::Dispatcher;
use super::error::{PoolError, SubmitError};
use super::handle::{Slot, TaskHandle};
use super::imap::Imap;
use super::shared::{Job, PoolSnapshot, Settings, Shared, Ticket};
use crate::task::{Outcome, Task, encode};

/// Runs tasks in worker processes, several at once.
///
/// The workers are copies of this program (see [`process`](crate::process)) and serve call after
/// call until the pool ends. A task that panics, exits, crashes or hangs fails alone: a worker that
/// died is replaced, and the tasks that waited behind in it are run by another.
///
/// Tasks of one pool run in no particular order. Each is run once, unless its worker died while it
/// ran and [`retries`](Builder::retries) are left: then it may have been run in part before.
///
/// Dropping the pool terminates it.
///
/// ```
/// # use spinneret::ProcessPool;
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
    shared: Arc<Shared>,
    /// Emptied by the first that waits for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Sets up a [`ProcessPool`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until build()"]
pub struct Builder(Settings);

impl Default for Builder {
    fn default() -> Self {
        Self(Settings {
            workers: thread::available_parallelism().map_or(1, usize::from),
            retries: 0,
            task_timeout: None,
            max_tasks_per_worker: None,
            chunk_size: None,
        })
    }
}

impl Builder {
    /// How many worker processes; as many as the machine runs threads at once by default.
    pub fn workers(mut self, workers: usize) -> Self {
        self.0.workers = workers;
        self
    }

    /// How many more times a task is run whose worker died while it ran; 0 by default.
    ///
    /// Panics, timeouts and errors that a task returns are no deaths.
    pub fn retries(mut self, retries: u32) -> Self {
        self.0.retries = retries;
        self
    }

    /// How long a task may run. The worker of one that runs longer is killed and the task fails
    /// with [`TimedOut`](crate::TaskError::TimedOut). No limit by default.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.0.task_timeout = Some(timeout);
        self
    }

    /// After how many tasks a worker is replaced by a new one, which returns what memory it may
    /// have lost. No limit by default.
    pub fn max_tasks_per_worker(mut self, tasks: u32) -> Self {
        self.0.max_tasks_per_worker = Some(tasks);
        self
    }

    /// How many tasks of a `map` or `imap` are sent to a worker at once. By default so many as
    /// take some 20 milliseconds, judged by those before. Tasks of `apply` travel alone.
    pub fn chunk_size(mut self, tasks: usize) -> Self {
        self.0.chunk_size = Some(tasks);
        self
    }

    /// Starts the pool, and returns when all workers are ready.
    ///
    /// # Errors
    /// If a setting is 0 that must not be, or a process or thread cannot be started; then nothing
    /// is left running.
    pub fn build(self) -> Result<ProcessPool, PoolError> {
        let Self(settings) = self;
        if settings.workers == 0 {
            return Err(PoolError::Zero("workers"));
        }
        if settings.max_tasks_per_worker == Some(0) {
            return Err(PoolError::Zero("max_tasks_per_worker"));
        }
        if settings.chunk_size == Some(0) {
            return Err(PoolError::Zero("chunk_size"));
        }
        if settings.task_timeout == Some(Duration::ZERO) {
            return Err(PoolError::Zero("task_timeout"));
        }
        ProcessPool::start(settings)
    }
}

impl ProcessPool {
    /// Starts a pool of so many worker processes, with the settings of [`Builder`] otherwise.
    ///
    /// # Errors
    /// See [`Builder::build`].
    pub fn new(workers: usize) -> Result<Self, PoolError> {
        Self::builder().workers(workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn start(settings: Settings) -> Result<Self, PoolError> {
        let workers = settings.workers;
        let shared = Arc::new(Shared::new(settings));
        // Dropped on an error, which ends and reaps what has started.
        let pool = Self { shared, threads: Mutex::new(Vec::with_capacity(workers)) };
        let (sender, started) = channel();
        for place in 0..workers {
            let dispatcher = Dispatcher::new(Arc::clone(&pool.shared), place);
            let sender = sender.clone();
            pool.shared.dispatcher_begins();
            let thread = thread::Builder::new()
                .name(format!("spinneret-pool-{place}"))
                .spawn(move || dispatcher.run(sender));
            match thread {
                Ok(thread) => pool.threads.lock().push(thread),
                Err(error) => {
                    pool.shared.dispatcher_ends();
                    return Err(PoolError::Thread(error));
                }
            }
        }
        drop(sender);
        // Ends when each has reported once.
        for report in started {
            report?;
        }
        Ok(pool)
    }

    /// Runs a task and waits for its outcome.
    ///
    /// Arguments that cannot be serialized are the outcome `Undecodable`, a closed pool is
    /// `Cancelled`; [`apply_async`](Self::apply_async) tells them from failures of the task.
    pub fn apply<T: Task>(&self, task: T, args: T::Args) -> Outcome<T::Output> {
        self.apply_async(task, args)?.get()
    }

    /// Submits a task and returns at once.
    ///
    /// # Errors
    /// If the arguments cannot be serialized or the pool is closed.
    pub fn apply_async<T: Task>(
        &self,
        _task: T,
        args: T::Args,
    ) -> Result<TaskHandle<T::Output>, SubmitError> {
        let (job, handle) = job::<T>(args, false)?;
        self.shared.submit(std::iter::once(job))?;
        Ok(handle)
    }

    /// Runs a task for every input and waits for all; the outcomes are in the order of the inputs.
    ///
    /// # Errors
    /// If an input cannot be serialized or the pool is closed. Then no task was run.
    pub fn map<T: Task>(
        &self,
        _task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Result<Vec<Outcome<T::Output>>, SubmitError> {
        let mut jobs = Vec::new();
        let mut handles = Vec::new();
        for args in inputs {
            let (job, handle) = job::<T>(args, true)?;
            jobs.push(job);
            handles.push(handle);
        }
        self.shared.submit(jobs.into_iter())?;
        Ok(handles.into_iter().map(TaskHandle::get).collect())
    }

    /// Runs a task for every input; the outcomes come in the order of the inputs.
    ///
    /// Lazy and bounded: inputs are taken in the caller's thread, while it waits for an outcome,
    /// and no more than 64 per worker (or two chunks, if that is more) are on their way at once.
    /// So a million inputs need no more memory than a thousand. Dropping the iterator cancels what
    /// has not begun.
    ///
    /// An input that cannot be serialized gives the outcome `Undecodable` in its place. When the
    /// pool is closed meanwhile, the next input gives `Cancelled` and none is taken after it.
    pub fn imap<T: Task, I: IntoIterator<Item = T::Args>>(
        &self,
        _task: T,
        inputs: I,
    ) -> impl Iterator<Item = Outcome<T::Output>> + use<'_, T, I> {
        Imap::<T, _>::new(&self.shared, inputs.into_iter(), true)
    }

    /// Like [`imap`](Self::imap), but the outcomes come as soon as they are there.
    pub fn imap_unordered<T: Task, I: IntoIterator<Item = T::Args>>(
        &self,
        _task: T,
        inputs: I,
    ) -> impl Iterator<Item = Outcome<T::Output>> + use<'_, T, I> {
        Imap::<T, _>::new(&self.shared, inputs.into_iter(), false)
    }

    /// Takes no more tasks; those submitted are still run, then the workers end.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Waits until all tasks are done and all workers have ended.
    ///
    /// # Errors
    /// If the pool was neither closed nor terminated before.
    pub fn join(&self) -> Result<(), PoolError> {
        if self.shared.is_open() {
            return Err(PoolError::NotClosed);
        }
        self.wait();
        Ok(())
    }

    /// Ends the pool at once: tasks that wait or run become `Cancelled`, workers are killed.
    /// Returns when they are gone.
    pub fn terminate(&self) {
        self.shared.terminate();
        self.wait();
    }

    /// What the pool does at this moment.
    pub fn snapshot(&self) -> PoolSnapshot {
        self.shared.snapshot()
    }

    fn wait(&self) {
        self.shared.wait_for_dispatchers();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // One that panicked has printed why, and its tasks are accounted for.
            let _ = thread.join();
        }
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

/// A job and the handle that waits for it.
fn job<T: Task>(
    args: T::Args,
    chunkable: bool,
) -> Result<(Job, TaskHandle<T::Output>), SubmitError> {
    let bytes = encode(&args)
        .map_err(|cause| SubmitError::Unserializable { task: T::NAME, cause: cause.to_string() })?;
    // Now, not at the end: the arguments may be large.
    drop(args);
    let slot = Arc::new(Slot::default());
    let handle = TaskHandle::new(Arc::clone(&slot), T::NAME);
    Ok((Job::new::<T>(bytes, chunkable, Ticket::Slot(slot)), handle))
}
