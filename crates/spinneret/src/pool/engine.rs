//! What the methods of [`Pool`](super::Pool) are built on, and each pool does in its own way.

use std::sync::Arc;

use super::error::SubmitError;
use super::handle::{Slot, TaskHandle};
use super::progress::Progress;
use super::ticket::{Destination, Ticket};
use crate::task::Task;

/// The inside of a pool: how a task becomes a job and where jobs wait.
///
/// Public only in name, which keeps [`Pool`](super::Pool) to the pools of this crate.
pub trait Engine {
    /// A task with its arguments and its [`Ticket`], ready to wait in the pool.
    type Job;

    /// Makes a job. `ticket` is only called if the arguments can travel. Jobs that are `chunkable`
    /// may wait behind others in one worker.
    fn job<T: Task>(
        args: T::Args,
        chunkable: bool,
        ticket: impl FnOnce() -> Ticket<T::Output>,
    ) -> Result<Self::Job, SubmitError>;

    /// Takes jobs, all or none.
    fn submit(&self, jobs: impl ExactSizeIterator<Item = Self::Job>) -> Result<(), SubmitError>;

    /// Cancels jobs that nobody waits for any more, as far as they have not begun.
    fn cancel_unwanted(&self) {}

    /// The most inputs of one `imap` that are on their way at once.
    fn window(&self) -> usize;

    /// The pool's progress bar.
    fn progress(&self) -> &Progress;
}

/// A job and the handle that waits for it.
pub(super) fn handled<E: Engine + ?Sized, T: Task>(
    engine: &E,
    args: T::Args,
    chunkable: bool,
) -> Result<(E::Job, TaskHandle<T::Output>), SubmitError> {
    let slot = Arc::new(Slot::default());
    let destination = Destination::Handle(Arc::clone(&slot));
    let job = E::job::<T>(args, chunkable, || Ticket::new(destination, engine.progress()))?;
    Ok((job, TaskHandle::new(slot, T::NAME)))
}
