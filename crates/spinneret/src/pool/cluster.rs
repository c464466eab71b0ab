//! The pool of machines.

mod desk;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::desk::{Desk, Job, listen};
use super::engine::Engine;
use super::error::{PoolError, SubmitError};
use super::imap::WINDOW;
use super::progress::Progress;
use super::snapshot::{PoolSnapshot, WorkerSnapshot};
use super::ticket::Ticket;
use super::traits::Pool;
use crate::cooperate;
use crate::manager::runtime::{background, block_on};
use crate::manager::wire::Terms;
use crate::manager::{AuthKey, Client, ManagerError, WorkerInfo};
use crate::task::{self, EncodeError, Task};

/// Runs tasks on other machines: on every program that became a worker of the same
/// [`Manager`](crate::manager::Manager) by [`manager::worker`](crate::manager::worker).
///
/// A task is found there by its name and its signature. It is only given to workers that have both,
/// so they may be other programs than this one, or other builds of it. Pools of one manager share its
/// workers fairly, task by task.
///
/// - A worker that dies costs the tasks that it ran, which fail or are run by another, as
///   [`retries`](ClusterPoolBuilder::retries) say; what only waited there goes to others. Each task has
///   one outcome, however often it was begun.
/// - While there is no worker at all, tasks wait. If there are some, but none of them has a task, it
///   fails after five seconds with [`UnknownTask`](crate::TaskError::UnknownTask).
/// - When this program ends, is killed or drops the pool, what is left of it is cancelled everywhere.
/// - When the connection to the manager breaks, every task that is not done fails with
///   [`Disconnected`](crate::TaskError::Disconnected), and none is taken any more: make another pool.
///   Tasks that ran may have been run, in part or wholly.
/// - [`cancel`](crate::TaskHandle::cancel) asks the manager, which knows of what has begun only what it
///   has heard: a task that begins at this very moment may be cancelled and run all the same.
///
/// Arguments and results that hold queues, pipes or shared memory cannot leave their machine: that is
/// the error [`NotSendableOverNetwork`](SubmitError::NotSendableOverNetwork).
///
/// ```
/// use spinneret::manager::{self, AuthKey, Manager};
/// use spinneret::{ClusterPool, Pool};
///
/// #[spinneret::task]
/// fn double(number: u32) -> u32 {
///     2 * number
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = AuthKey::new("qiye");
/// let manager = Manager::builder().listen("127.0.0.1:0").authkey(key.clone()).start()?;
/// // In another program, on any machine:
/// let address = manager.local_addr();
/// let worker = manager::worker(address).authkey(key.clone()).concurrency(2).start()?;
///
/// let pool = ClusterPool::connect(address, &key)?;
/// assert_eq!(pool.apply(double, 4)?, 8);
/// let doubled: Result<Vec<u32>, _> = pool.map(double, 0..3)?.into_iter().collect();
/// assert_eq!(doubled?, [0, 2, 4]);
/// # drop(pool);
/// # worker.stop();
/// # worker.join()?;
/// # Ok(())
/// # }
/// ```
pub struct ClusterPool {
    desk: Arc<Desk>,
    progress: Progress,
    /// What hears the manager; aborted with the pool.
    listener: JoinHandle<()>,
}

/// Sets up a [`ClusterPool`].
#[derive(Debug)]
#[must_use = "a builder does nothing until connect() or over()"]
pub struct ClusterPoolBuilder {
    terms: Terms,
    window: Option<usize>,
    progress: bool,
    /// What was wrong with a setting, for the end to report.
    zero: Option<&'static str>,
}

impl Default for ClusterPoolBuilder {
    fn default() -> Self {
        let terms = Terms { timeout: None, retries: 0, poison_limit: 3, chunk: 0 };
        Self { terms, window: None, progress: false, zero: None }
    }
}

impl ClusterPoolBuilder {
    /// How many more times a task is run whose worker, or process there, died while it ran; 0 by
    /// default. Panics, timeouts and errors that a task returns are no deaths.
    pub fn retries(mut self, retries: u32) -> Self {
        self.terms.retries = retries;
        self
    }

    /// How many workers one task may kill, 3 by default: after that it fails, whatever
    /// [`retries`](Self::retries) says.
    pub fn poison_limit(mut self, workers: u32) -> Self {
        self.terms.poison_limit = workers;
        self.check(workers == 0, "poison_limit")
    }

    /// How long a task may run. One that runs longer fails with
    /// [`TimedOut`](crate::TaskError::TimedOut), and its process is killed; see
    /// [`threads`](crate::manager::WorkerBuilder::threads) for workers without. No limit by default.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = Some(timeout);
        self.check(timeout.is_zero(), "task_timeout")
    }

    /// The most tasks that a worker is given at once, for each that it can run at the same time. By
    /// default so many as take some 20 milliseconds, judged by those before. What waits in a worker
    /// comes back when another one has nothing to do.
    pub fn chunk_size(mut self, tasks: usize) -> Self {
        self.terms.chunk = u32::try_from(tasks).unwrap_or(u32::MAX);
        self.check(tasks == 0, "chunk_size")
    }

    /// The most inputs of one `imap` that are on their way at once. By default 64 for each task that
    /// the workers run at the same time, as many as that are.
    pub fn window(mut self, inputs: usize) -> Self {
        self.window = Some(inputs);
        self.check(inputs == 0, "window")
    }

    /// Whether a bar on standard error shows how many of the submitted tasks are finished, if that
    /// is a terminal; not by default.
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    fn check(mut self, is_zero: bool, setting: &'static str) -> Self {
        if is_zero {
            self.zero.get_or_insert(setting);
        }
        self
    }

    /// Connects to the manager at `HOST:PORT`. Takes up to 10 seconds.
    ///
    /// # Errors
    /// If a setting is 0 that must not be, or the manager cannot be reached or refuses the key.
    pub fn connect(
        self,
        address: impl fmt::Display,
        key: &AuthKey,
    ) -> Result<ClusterPool, PoolError> {
        let (address, key) = (address.to_string(), key.clone());
        // Served by a task, as news come at any time: not by who happens to block.
        let connect = async move { Client::connect_as_async(address, &key, "ClusterPool").await };
        let connected = block_on(background()?.spawn(connect));
        self.over(connected.map_err(|error| ManagerError::Runtime(error.to_string()))??)
    }

    /// Uses this connection, made for it alone, rather than to connect by itself: one with TLS, for
    /// instance.
    ///
    /// # Errors
    /// If a setting is 0 that must not be, the manager cannot be asked, or the connection is a pool's
    /// already.
    // Taken whole: the connection is the pool's from here on.
    #[allow(clippy::needless_pass_by_value, reason = "it becomes the pool's")]
    pub fn over(self, client: Client) -> Result<ClusterPool, PoolError> {
        if let Some(setting) = self.zero {
            return Err(PoolError::Zero(setting));
        }
        let link = client.link().clone();
        let desk = block_on(Desk::open(link, self.terms, self.window))?;
        let listener = background()?.spawn(listen(Arc::downgrade(&desk)));
        Ok(ClusterPool { desk, progress: Progress::new(self.progress), listener })
    }
}

impl ClusterPool {
    /// Connects to the manager at `HOST:PORT`, with the settings of [`ClusterPoolBuilder`] otherwise.
    ///
    /// # Errors
    /// See [`ClusterPoolBuilder::connect`].
    pub fn connect(address: impl fmt::Display, key: &AuthKey) -> Result<Self, PoolError> {
        Self::builder().connect(address, key)
    }

    /// A pool with settings.
    pub fn builder() -> ClusterPoolBuilder {
        ClusterPoolBuilder::default()
    }

    /// The workers of the manager that live now, which serve all its pools.
    ///
    /// # Errors
    /// If the manager cannot be asked.
    pub fn workers(&self) -> Result<Vec<WorkerInfo>, ManagerError> {
        block_on(self.desk.workers())
    }
}

impl Engine for ClusterPool {
    type Job = Job;

    fn job<T: Task>(
        args: T::Args,
        _chunkable: bool,
        ticket: impl FnOnce() -> Ticket<T::Output>,
    ) -> Result<Job, SubmitError> {
        let bytes = task::encode(&args).map_err(|error| match error {
            EncodeError::NotSendableOverNetwork { what } => {
                SubmitError::NotSendableOverNetwork { task: T::NAME, what }
            }
            other => SubmitError::Unserializable { task: T::NAME, cause: other.to_string() },
        })?;
        // Now, not at the end: the arguments may be large.
        drop(args);
        Ok(Job::new::<T>(bytes, Box::new(ticket())))
    }

    fn submit(&self, jobs: impl ExactSizeIterator<Item = Job>) -> Result<(), SubmitError> {
        self.desk.submit(jobs.collect())
    }

    fn cancel_unwanted(&self) {
        block_on(self.desk.cancel_unwanted());
    }

    fn window(&self) -> usize {
        self.desk.window().unwrap_or_else(|| self.desk.slots().max(1).saturating_mul(WINDOW))
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Pool for ClusterPool {
    fn close(&self) {
        self.desk.close();
    }

    /// Waits until all tasks are done. The workers are the manager's, and go on.
    fn join(&self) -> Result<(), PoolError> {
        if self.desk.is_open() {
            return Err(PoolError::NotClosed);
        }
        cooperate::blocking(|| self.desk.wait());
        self.progress.end();
        Ok(())
    }

    /// Ends the pool at once: tasks that wait or run become `Cancelled`. Returns when the manager
    /// knows; it sees to it that processes which run tasks of the pool are killed.
    fn terminate(&self) {
        block_on(self.desk.terminate());
        self.progress.end();
    }

    /// What the pool does, and which workers its manager has. They serve other pools too, and their
    /// numbers are of all that they do. None are listed once the pool has ended.
    ///
    /// `restarts` counts how often a task of this pool lost its worker.
    fn snapshot(&self) -> PoolSnapshot {
        let workers =
            if self.desk.is_over() { Vec::new() } else { self.workers().unwrap_or_default() };
        let worker = |worker: WorkerInfo| WorkerSnapshot {
            name: worker.name,
            pid: worker.pid,
            tasks: worker.tasks,
            busy: worker.busy,
            memory: None,
            alive: true,
        };
        PoolSnapshot { workers: workers.into_iter().map(worker).collect(), ..self.desk.figures() }
    }
}

impl Drop for ClusterPool {
    fn drop(&mut self) {
        self.terminate();
        self.listener.abort();
    }
}

impl fmt::Debug for ClusterPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterPool")
            .field("snapshot", &self.desk.figures())
            .finish_non_exhaustive()
    }
}
