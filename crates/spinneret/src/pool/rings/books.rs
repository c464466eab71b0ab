//! The books of a pool: which jobs wait, which are handed out, and what became of them.
//!
//! A job waits in the backlog, or is handed out: then it is in the ring of tasks, or a worker has
//! leased it. One that is handed out has an index, which is its word on the board, and its data stay
//! here until its outcome is there: whoever dies, it can be handed out again.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::board::{Board, Stage};
use super::message::Ending;
use super::table::{Delivery, Phase, State, number, parts};
use crate::pool::error::{PoolError, SubmitError};
use crate::pool::handle::Recall;
use crate::pool::job::Job;
use crate::pool::settings::Settings;
use crate::process::attachment::Arrived;
use crate::process::queue::{Batch, Core, Fault, How, Options, Take};
use crate::process::{Exit, StartError, WorkerHandle};
use crate::task::{Outcome, TaskError};

/// The fewest jobs that may be handed out at once, and how many more for each worker.
const FEWEST: usize = 1024;
const PER_WORKER: usize = 256;
const MOST: usize = 1 << 16;

/// Bytes of the rings.
const RING: usize = 1 << 20;

/// The most bytes of large arguments, and of large results, at once.
const LARGE: u64 = 1 << 30;

/// How long who calls `apply` looks for the outcome before going to sleep: as long as it takes to
/// wake a worker and to run something short. To be woken takes about as long.
const HELP: Duration = Duration::from_micros(100);

/// How many results are taken in one go, at most.
const RESULTS: usize = 512;

/// What a pool's threads share.
pub(super) struct Books {
    pub(super) settings: Settings,
    /// Jobs on their way to workers, and endings on their way back.
    pub(super) tasks: Core,
    pub(super) results: Core,
    pub(super) board: Board,
    /// How many jobs can be handed out at once.
    pub(super) capacity: usize,
    state: Mutex<State>,
    /// Held while endings are taken and booked, so that who has it knows all that are in the ring.
    collecting: Mutex<Batch>,
    /// Whether running jobs may have become unwanted, whose workers are to be killed.
    pub(super) purge: AtomicBool,
    /// Notified when the phase changes, a worker is ready, and when the supervisor ends.
    changed: Condvar,
    /// To itself, for the handles of the jobs.
    pub(super) this: Weak<Books>,
}

/// Why a worker is gone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// It left as it was told to.
    Left,
    /// It ended by itself, or was killed by others.
    Died(Exit),
    /// We killed it, for the sake of this job: it ran too long, or nobody wanted it any more.
    TimedOut(u64),
}

impl Books {
    pub(super) fn new(settings: Settings) -> Result<Arc<Self>, Fault> {
        let capacity = settings.workers.saturating_mul(PER_WORKER).clamp(FEWEST, MOST);
        let tasks = Core::with(&Options {
            memory: RING,
            max_items: capacity,
            slots: capacity,
            slot_bytes: 0,
            large_bytes: LARGE,
        })?;
        let results = Core::with(&Options {
            memory: RING,
            max_items: usize::MAX,
            slots: 0,
            slot_bytes: 0,
            large_bytes: LARGE,
        })?;
        let board = Board::create(settings.workers, capacity)?;
        let state = State::new(settings.workers, capacity);
        Ok(Arc::new_cyclic(|this| Self {
            settings,
            tasks,
            results,
            board,
            capacity,
            state: Mutex::new(state),
            collecting: Mutex::default(),
            purge: AtomicBool::new(false),
            changed: Condvar::new(),
            this: this.clone(),
        }))
    }

    /// Takes jobs, all or none.
    pub(super) fn submit(&self, jobs: impl Iterator<Item = Job>) -> Result<(), SubmitError> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(SubmitError::Closed);
        }
        state.backlog.extend(jobs);
        let refused = self.hand_out(&mut state);
        drop(state);
        deliver(refused);
        Ok(())
    }

    /// Takes endings that are in the ring, books and delivers them; says how many, or `None` when
    /// there will be no more.
    pub(super) fn collect(&self) -> Option<usize> {
        let mut batch = self.collecting.lock();
        batch.clear();
        match self.results.try_take(RESULTS, How::Get, &mut batch) {
            Ok(Take::Done(0)) => return Some(0),
            Ok(Take::Done(_)) => {}
            Ok(Take::Closed) => return None,
            Err(fault) => {
                // A worker wrote over the memory; nothing that comes can be trusted.
                tracing::error!(%fault, "the pool's results cannot be read: it is terminated");
                drop(batch);
                self.terminate();
                return None;
            }
        }
        let mut deliveries = Vec::with_capacity(batch.len());
        let mut state = self.state.lock();
        for index in 0..batch.len() {
            if let Some((number, ending)) = Ending::read(batch.get(index)) {
                let outcome = match ending {
                    Ending::Value(bytes) => Some(Ok((bytes.to_vec(), Vec::new()))),
                    Ending::Failed(error) => Some(Err(error)),
                    Ending::Skipped => None,
                };
                deliveries.extend(state.end(number, outcome));
            }
        }
        let count = batch.len();
        deliveries.extend(self.hand_out(&mut state));
        self.close_if_done(&state);
        drop(state);
        drop(batch);
        deliver(deliveries);
        Some(count)
    }

    /// Books and delivers one outcome that came by another way.
    pub(super) fn end(&self, number: u64, outcome: Outcome<Arrived>) {
        let mut state = self.state.lock();
        let mut deliveries: Vec<_> = state.end(number, Some(outcome)).into_iter().collect();
        deliveries.extend(self.hand_out(&mut state));
        self.close_if_done(&state);
        drop(state);
        deliver(deliveries);
    }

    /// Books that a worker is gone, which had this number: every job that it had is handed out
    /// again, or ended if it was to blame. Call it after all its news were heard.
    pub(super) fn bury(&self, owner: u32, cause: Cause) {
        // First what it had, then what it has done: a job that is in both is done.
        let seized = self.tasks.seize(owner);
        while self.collect().is_some_and(|count| count > 0) {}
        let mut deliveries = Vec::new();
        let mut again = Vec::new();
        let mut state = self.state.lock();
        if !matches!(cause, Cause::Left) {
            state.restarts += 1;
        }
        for number in seized {
            let begun = self.board.stage(number as u32) == Stage::Begun;
            let Some(job) = state.release(number) else { continue };
            match self.verdict(job, begun.then_some((number, cause))) {
                Ok(job) => again.push((number, job)),
                Err(delivery) => {
                    state.failed += 1;
                    deliveries.push(delivery);
                }
            }
        }
        for (_, job) in again.into_iter().rev() {
            job.ticket.requeue();
            state.backlog.push_front(job);
        }
        if state.phase == Phase::Terminated {
            deliveries.extend(state.cancel_backlog());
        }
        deliveries.extend(self.hand_out(&mut state));
        self.close_if_done(&state);
        drop(state);
        deliver(deliveries);
    }

    /// What becomes of a job whose worker is gone: it is tried again, or ends. `begun` says why the
    /// worker is gone, if it had begun the job.
    fn verdict(&self, mut job: Job, begun: Option<(u64, Cause)>) -> Result<Job, Delivery> {
        let error = match begun {
            // The timeout was another's, and this one was begun in the last moment before the kill.
            None | Some((_, Cause::Left)) => return Ok(job),
            Some((number, Cause::TimedOut(late))) if number != late => return Ok(job),
            Some((_, Cause::TimedOut(_))) => {
                TaskError::TimedOut { after: self.settings.task_timeout.unwrap_or_default() }
            }
            Some((_, Cause::Died(exit))) => {
                job.deaths += 1;
                if self.settings.tries_again(job.deaths) {
                    return Ok(job);
                }
                died(exit)
            }
        };
        Err((job.ticket, Err(error)))
    }

    /// Fails one job that waits, because no worker can be started.
    pub(super) fn give_up_one(&self, error: &PoolError) {
        let exit = match error {
            PoolError::Start(StartError::Died { signal, exit_code }) => {
                Exit { signal: *signal, code: *exit_code, out_of_memory: false }
            }
            _ => Exit::default(),
        };
        let mut state = self.state.lock();
        let handed = (0..self.capacity as u32).find(|index| {
            state.table[*index as usize].job.is_some()
                && self.board.advance(
                    *index,
                    state.table[*index as usize].generation,
                    Stage::Cancelled,
                )
        });
        // Its message stays in the ring, to be skipped.
        let job = match handed {
            Some(index) => state.table[index as usize].job.take(),
            None => state.backlog.pop_front(),
        };
        if let Some(job) = job {
            state.failed += 1;
            drop(state);
            deliver(vec![(job.ticket, Err(died(exit)))]);
        }
    }

    /// The descriptors in the arguments of a job.
    pub(super) fn attachments(&self, number: u64) -> Vec<Arc<OwnedFd>> {
        let (index, generation) = parts(number);
        let state = self.state.lock();
        state
            .table
            .get(index as usize)
            .filter(|entry| entry.generation == generation)
            .and_then(|entry| entry.job.as_ref())
            .map(|job| job.fds.clone())
            .unwrap_or_default()
    }

    /// Cancels handed-out jobs that nobody waits for any more.
    pub(super) fn cancel_unwanted(&self) {
        let mut state = self.state.lock();
        let mut cancelled = Vec::new();
        for index in 0..self.capacity as u32 {
            let entry = &mut state.table[index as usize];
            if entry.job.as_ref().is_some_and(|job| !job.ticket.is_wanted())
                && self.board.advance(index, entry.generation, Stage::Cancelled)
            {
                cancelled.extend(entry.job.take());
            }
        }
        state.failed += cancelled.len() as u64;
        drop(state);
        // Outside of the lock: dropping them says that they were cancelled.
        drop(cancelled);
    }

    /// The numbers of the handed-out jobs that nobody waits for any more. When there are none, the
    /// purge is over.
    pub(super) fn unwanted(&self) -> Vec<u64> {
        let state = self.state.lock();
        let jobs = state.table.iter().enumerate();
        let unwanted: Vec<_> = jobs
            .filter(|(_, entry)| entry.job.as_ref().is_some_and(|job| !job.ticket.is_wanted()))
            .map(|(index, entry)| number(index as u32, entry.generation))
            .collect();
        if unwanted.is_empty() {
            // Under the lock, as who asks for a purge changes its mind before.
            self.purge.store(false, Ordering::Release);
        }
        unwanted
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.lock().phase == Phase::Open
    }

    /// Whether there will be no more work.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        self.close_if_done(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends the queue of tasks when the last is done, by which workers learn that they may leave.
    fn close_if_done(&self, state: &State) {
        if state.phase == Phase::Closed && state.is_over() {
            self.tasks.close();
        }
    }

    /// Cancels what waits and kills the workers of what runs.
    pub(super) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        for worker in state.workers.iter().flatten() {
            worker.kill();
        }
        let mut deliveries = state.cancel_backlog();
        deliveries.extend(state.cancel_table());
        drop(state);
        self.tasks.close();
        self.changed.notify_all();
        deliver(deliveries);
    }

    /// Makes a worker known, so that `terminate` can kill it; `false` if that came first.
    pub(super) fn adopt(&self, place: usize, worker: WorkerHandle) -> bool {
        let mut state = self.state.lock();
        state.workers[place] = Some(worker);
        state.phase != Phase::Terminated
    }

    /// Forgets a worker that is gone.
    pub(super) fn abandon(&self, place: usize) {
        self.state.lock().workers[place] = None;
    }

    /// A worker is ready, for the first time in its place.
    pub(super) fn ready(&self) {
        self.state.lock().ready += 1;
        self.changed.notify_all();
    }

    /// A worker could not be made ready, before any was lost.
    pub(super) fn failed_to_start(&self, error: PoolError) {
        self.state.lock().failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Waits until all workers are ready, or one failed.
    pub(super) fn wait_until_ready(&self) -> Result<(), PoolError> {
        let mut state = self.state.lock();
        loop {
            if let Some(error) = state.failure.take() {
                return Err(error);
            }
            if state.ready >= self.settings.workers || state.ended {
                return Ok(());
            }
            self.changed.wait(&mut state);
        }
    }

    /// The supervisor has ended: all workers are gone.
    pub(super) fn ended(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        // Should it have ended by a panic, nobody is left to run anything.
        state.phase = Phase::Terminated;
        let mut deliveries = state.cancel_backlog();
        deliveries.extend(state.cancel_table());
        drop(state);
        self.changed.notify_all();
        deliver(deliveries);
        self.results.close();
    }

    pub(super) fn wait_for_end(&self) {
        let mut state = self.state.lock();
        while !state.ended {
            self.changed.wait(&mut state);
        }
    }

    /// The figures of a [`PoolSnapshot`](crate::pool::PoolSnapshot), and the workers' handles.
    pub(super) fn figures(&self) -> Figures {
        let state = self.state.lock();
        let (mut waiting, mut running) = (0, 0);
        for (index, entry) in state.table.iter().enumerate() {
            if entry.job.is_some() {
                match self.board.stage(index as u32) {
                    Stage::Begun => running += 1,
                    Stage::Waiting | Stage::Cancelled => waiting += 1,
                }
            }
        }
        Figures {
            queued: state.backlog.len() + waiting,
            running,
            done: state.done,
            failed: state.failed,
            restarts: state.restarts,
            workers: state.workers.clone(),
        }
    }
}

/// See [`Books::figures`].
pub(super) struct Figures {
    pub(super) queued: usize,
    pub(super) running: usize,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) restarts: u64,
    pub(super) workers: Vec<Option<WorkerHandle>>,
}

impl Recall for Books {
    fn recall(&self, number: u64) -> bool {
        let (index, generation) = parts(number);
        let mut state = self.state.lock();
        let Some(entry) = state.table.get_mut(index as usize) else { return false };
        if entry.generation != generation
            || entry.job.is_none()
            || !self.board.advance(index, generation, Stage::Cancelled)
        {
            return false;
        }
        let job = entry.job.take();
        state.failed += 1;
        drop(state);
        // Dropping it says that it was cancelled.
        drop(job);
        true
    }

    fn has_begun(&self, number: u64) -> bool {
        let (index, generation) = parts(number);
        let state = self.state.lock();
        let entry = state.table.get(index as usize);
        // One that is not in the table has ended, or waits again under another number.
        entry.is_none_or(|entry| {
            entry.generation != generation || self.board.stage(index) == Stage::Begun
        })
    }

    fn help(&self, done: &dyn Fn() -> bool) {
        let start = Instant::now();
        while start.elapsed() < HELP && !done() {
            if self.results.has_items() {
                self.collect();
            }
            for _ in 0..16 {
                std::hint::spin_loop();
            }
        }
    }
}

fn deliver(deliveries: Vec<Delivery>) {
    for (ticket, outcome) in deliveries {
        ticket.deliver(outcome);
    }
}

fn died(exit: Exit) -> TaskError {
    let Exit { signal, code: exit_code, out_of_memory } = exit;
    TaskError::WorkerDied { signal, exit_code, out_of_memory }
}

/// How long the collector waits at a stretch.
pub(super) const SLICE: Duration = Duration::from_secs(1);
