//! One trait for all pools.

use super::engine::{Engine, handled};
use super::error::{PoolError, SubmitError};
use super::handle::TaskHandle;
use super::imap::Imap;
use super::snapshot::PoolSnapshot;
use crate::task::{Outcome, Task};

/// Runs tasks, several at once; where, is the choice of the pool.
///
/// Code that is generic over it gives the same outcomes on every pool. The methods are named after
/// those of Python's `multiprocessing.pool.Pool`. There is no `starmap`: several arguments are one
/// tuple, so `map` does what it would.
///
/// Tasks of one pool run in no particular order. A task that waits for another of its own pool may
/// wait for ever, since the other needs a worker too.
///
/// ```
/// use spinneret::{Outcome, Pool, ProcessPool, ThreadPool};
///
/// #[spinneret::task]
/// fn power(base: u64, exponent: u32) -> u64 {
///     base.pow(exponent)
/// }
///
/// fn powers(pool: &impl Pool) -> Vec<u64> {
///     pool.imap(power, [(2, 3), (3, 2)]).filter_map(Outcome::ok).collect()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(powers(&ThreadPool::new(2)?), [8, 9]);
/// assert_eq!(powers(&ProcessPool::new(2)?), [8, 9]);
/// # Ok(())
/// # }
/// ```
///
/// The trait is implemented by this crate's pools only.
pub trait Pool: Engine {
    /// Runs a task and waits for its outcome.
    ///
    /// Arguments that cannot be serialized are the outcome `Undecodable`, a closed pool is
    /// `Cancelled`; [`apply_async`](Self::apply_async) tells them from failures of the task.
    fn apply<T: Task>(&self, task: T, args: T::Args) -> Outcome<T::Output> {
        self.apply_async(task, args)?.get_soon()
    }

    /// Submits a task and returns at once.
    ///
    /// # Errors
    /// If the pool is closed, or has to serialize the arguments and cannot.
    fn apply_async<T: Task>(
        &self,
        _task: T,
        args: T::Args,
    ) -> Result<TaskHandle<T::Output>, SubmitError> {
        let (job, handle) = handled::<_, T>(self, args, false)?;
        self.submit(std::iter::once(job))?;
        Ok(handle)
    }

    /// Runs a task for every input and waits for all; the outcomes are in the order of the inputs.
    ///
    /// # Errors
    /// As [`map_async`](Self::map_async).
    fn map<T: Task>(
        &self,
        task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Result<Vec<Outcome<T::Output>>, SubmitError> {
        Ok(self.map_async(task, inputs)?.into_iter().map(TaskHandle::get).collect())
    }

    /// Submits a task for every input and returns at once, with the handles in the order of the
    /// inputs.
    ///
    /// # Errors
    /// If the pool is closed, or has to serialize an input and cannot. Then no task was run.
    fn map_async<T: Task>(
        &self,
        _task: T,
        inputs: impl IntoIterator<Item = T::Args>,
    ) -> Result<Vec<TaskHandle<T::Output>>, SubmitError> {
        let mut jobs = Vec::new();
        let mut handles = Vec::new();
        for args in inputs {
            let (job, handle) = handled::<_, T>(self, args, true)?;
            jobs.push(job);
            handles.push(handle);
        }
        self.submit(jobs.into_iter())?;
        Ok(handles)
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
    fn imap<T: Task, I: IntoIterator<Item = T::Args>>(
        &self,
        _task: T,
        inputs: I,
    ) -> impl Iterator<Item = Outcome<T::Output>> {
        Imap::<_, T, _>::new(self, inputs.into_iter(), true)
    }

    /// Like [`imap`](Self::imap), but the outcomes come as soon as they are there.
    fn imap_unordered<T: Task, I: IntoIterator<Item = T::Args>>(
        &self,
        _task: T,
        inputs: I,
    ) -> impl Iterator<Item = Outcome<T::Output>> {
        Imap::<_, T, _>::new(self, inputs.into_iter(), false)
    }

    /// Takes no more tasks; those submitted are still run, then the workers end.
    fn close(&self);

    /// Waits until all tasks are done and all workers have ended.
    ///
    /// # Errors
    /// If the pool was neither closed nor terminated before, or if a task of a thread pool would wait
    /// for its own end.
    fn join(&self) -> Result<(), PoolError>;

    /// Ends the pool: tasks that wait become `Cancelled`, those that run are killed where the pool
    /// can do that, and become `Cancelled` too. Returns when all workers have ended.
    ///
    /// Dropping a pool does the same.
    fn terminate(&self);

    /// What the pool does at this moment.
    fn snapshot(&self) -> PoolSnapshot;
}
