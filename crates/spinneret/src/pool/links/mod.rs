//! A process pool where there are no rings of shared memory: a thread for each worker hands it jobs
//! over its link, and deals with its death.

mod dispatcher;
mod serve;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

pub(crate) use self::serve::serve;

use self::dispatcher::Dispatcher;
use self::shared::Shared;
use super::error::{PoolError, SubmitError};
use super::job::Job;
use super::settings::Settings;
use super::snapshot::PoolSnapshot;

/// The works of a process pool.
pub(super) struct Works {
    shared: Arc<Shared>,
    /// Emptied by the first that waits for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Works {
    /// Starts the workers and returns when all are ready; otherwise nothing is left running.
    pub(super) fn start(settings: Settings) -> Result<Self, PoolError> {
        let workers = settings.workers;
        let shared = Arc::new(Shared::new(settings));
        let works = Self { shared, threads: Mutex::new(Vec::with_capacity(workers)) };
        works.start_all(workers).inspect_err(|_| works.terminate())?;
        Ok(works)
    }

    fn start_all(&self, workers: usize) -> Result<(), PoolError> {
        let (sender, started) = channel();
        for place in 0..workers {
            let dispatcher = Dispatcher::new(Arc::clone(&self.shared), place);
            let sender = sender.clone();
            self.shared.dispatcher_begins();
            let thread = thread::Builder::new()
                .name(format!("spinneret-pool-{place}"))
                .spawn(move || dispatcher.run(sender));
            match thread {
                Ok(thread) => self.threads.lock().push(thread),
                Err(error) => {
                    self.shared.dispatcher_ends();
                    return Err(PoolError::Thread(error));
                }
            }
        }
        drop(sender);
        // Ends when each has reported once.
        started.into_iter().collect()
    }

    pub(super) fn submit(
        &self,
        jobs: impl ExactSizeIterator<Item = Job>,
    ) -> Result<(), SubmitError> {
        self.shared.submit(jobs)
    }

    /// Nobody has to: a dispatcher asks before it sends a job.
    #[expect(clippy::unused_self, reason = "the other works need it")]
    pub(super) fn cancel_unwanted(&self) {}

    /// Kills the workers of what runs though nobody waits for it any more.
    pub(super) fn end_unwanted(&self) {
        self.shared.end_unwanted();
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(super) fn is_open(&self) -> bool {
        self.shared.is_open()
    }

    pub(super) fn close(&self) {
        self.shared.close();
    }

    /// Ends everything at once, and returns when it has ended.
    pub(super) fn terminate(&self) {
        self.shared.terminate();
        self.wait();
    }

    /// Waits until all workers are gone.
    pub(super) fn wait(&self) {
        self.shared.wait_for_dispatchers();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // One that panicked has printed why, and its tasks are accounted for.
            let _ = thread.join();
        }
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot {
        self.shared.snapshot()
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Works").finish_non_exhaustive()
    }
}
