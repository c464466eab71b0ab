//! A process pool on rings of shared memory.
//!
//! Jobs go to the workers through one [`Core`](crate::process::queue::Core), endings come back
//! through another, and a [`board`] says what each worker does. A job that a worker takes is leased
//! to it; who supervises the workers hands out again what a dead one had.
//!
//! Where the rooms are: [`books`] has the jobs (its [`table`] their data), [`supervisor`] the workers' lives, [`serve`] what a
//! worker does; this file is the door.

mod board;
mod books;
mod hand_out;
mod message;
mod serve;
mod supervisor;
mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

#[cfg(any(test, fuzzing))]
pub(crate) use self::message::read_anything;
pub(crate) use self::serve::serve;

use self::books::{Books, SLICE};
use self::supervisor::{Bell, Supervisor};
use super::error::{PoolError, SubmitError};
use super::job::Job;
use super::settings::Settings;
use super::snapshot::{PoolSnapshot, WorkerSnapshot, memory};

/// The works of a process pool.
pub(super) struct Works {
    books: Arc<Books>,
    bell: Bell,
    /// Emptied by the first that waits for their end.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Works {
    /// Starts the workers and returns when all are ready; otherwise nothing is left running.
    pub(super) fn start(settings: Settings) -> Result<Self, PoolError> {
        let books = Books::new(settings).map_err(|fault| PoolError::Memory(fault.to_string()))?;
        let (supervisor, bell) = Supervisor::new(Arc::clone(&books)).map_err(PoolError::Thread)?;
        let collector = Arc::clone(&books);
        let works = Self { books, bell, threads: Mutex::default() };
        works.spawn("spinneret-pool", move || supervisor.run())?;
        works.spawn("spinneret-results", move || {
            while let Some(count) = collector.collect() {
                if count == 0 {
                    collector.results.wait_for_items(std::time::Instant::now().checked_add(SLICE));
                }
            }
        })?;
        match works.books.wait_until_ready() {
            Ok(()) => Ok(works),
            Err(error) => {
                works.terminate();
                Err(error)
            }
        }
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), PoolError> {
        match thread::Builder::new().name(name.to_owned()).spawn(work) {
            Ok(thread) => {
                self.threads.lock().push(thread);
                Ok(())
            }
            Err(error) => {
                self.books.terminate();
                self.bell.ring();
                Err(PoolError::Thread(error))
            }
        }
    }

    pub(super) fn submit(&self, jobs: impl Iterator<Item = Job>) -> Result<(), SubmitError> {
        self.books.submit(jobs)
    }

    /// Cancels what nobody waits for any more.
    pub(super) fn cancel_unwanted(&self) {
        self.books.cancel_unwanted();
    }

    /// Cancels what nobody waits for any more, and kills the workers of what runs in vain.
    pub(super) fn end_unwanted(&self) {
        self.books.cancel_unwanted();
        self.books.purge.store(true, Ordering::Release);
        self.bell.ring();
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.books.settings
    }

    pub(super) fn is_open(&self) -> bool {
        self.books.is_open()
    }

    pub(super) fn close(&self) {
        self.books.close();
        self.bell.ring();
    }

    /// Ends everything at once, and returns when it has ended.
    pub(super) fn terminate(&self) {
        self.books.terminate();
        self.bell.ring();
        self.wait();
    }

    /// Waits until all workers are gone.
    pub(super) fn wait(&self) {
        self.books.wait_for_end();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // One that panicked has printed why, and its tasks are accounted for.
            let _ = thread.join();
        }
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let figures = self.books.figures();
        let workers = figures.workers.iter().enumerate().filter_map(|(index, worker)| {
            let worker = worker.as_ref()?;
            let place = self.books.board.place(index);
            Some(WorkerSnapshot {
                name: format!("spinneret-worker-{index}"),
                pid: worker.pid(),
                tasks: place.tasks(),
                busy: place.busy(),
                memory: memory(worker.pid()),
                alive: worker.is_alive(),
            })
        });
        PoolSnapshot {
            queued: figures.queued,
            running: figures.running,
            done: figures.done,
            failed: figures.failed,
            restarts: figures.restarts,
            workers: workers.collect(),
        }
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Works").finish_non_exhaustive()
    }
}
