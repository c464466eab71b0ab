//! What a pool and its dispatchers share: the queue of jobs and the books.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::pool::errand::Wish;
use crate::pool::error::SubmitError;
use crate::pool::job::Job;
use crate::pool::settings::{Settings, automatic_chunk};
use crate::pool::snapshot::{PoolSnapshot, WorkerSnapshot, memory};
use crate::process::WorkerHandle;
use crate::process::attachment::Arrived;
use crate::task::Outcome;

/// How often an idle dispatcher looks after its worker.
const TICK: Duration = Duration::from_secs(1);

/// A chunk is not extended beyond this many bytes of arguments.
const CHUNK_BYTES: usize = 1 << 20;

pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Notified when there is work, and when the phase changes.
    work: Condvar,
    /// Notified when the last dispatcher ends.
    ended: Condvar,
}

struct State {
    phase: Phase,
    queue: VecDeque<Job>,
    /// One per dispatcher.
    places: Vec<Place>,
    /// Dispatchers that have not ended.
    dispatchers: usize,
    done: u64,
    failed: u64,
    restarts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Terminated,
}

#[derive(Default)]
struct Place {
    worker: Option<WorkerHandle>,
    tasks: u64,
    /// Jobs handed to the worker and not ended.
    in_flight: usize,
    /// Since when it runs the first of them; `None` if it does not.
    since: Option<Instant>,
    /// Whether somebody wants what it runs, if that can change.
    wish: Option<Arc<Wish>>,
    /// How long those took that it has ended.
    busy: Duration,
}

/// What a dispatcher is to do next.
pub(super) enum Next {
    Run(VecDeque<Job>),
    LookAfterWorker,
    End,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let places = (0..settings.workers).map(|_| Place::default()).collect();
        let state = State {
            phase: Phase::Open,
            queue: VecDeque::new(),
            places,
            dispatchers: 0,
            done: 0,
            failed: 0,
            restarts: 0,
        };
        Self { settings, state: Mutex::new(state), work: Condvar::new(), ended: Condvar::new() }
    }

    /// Appends jobs, all or none.
    pub(super) fn submit(
        &self,
        jobs: impl ExactSizeIterator<Item = Job>,
    ) -> Result<(), SubmitError> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(SubmitError::Closed);
        }
        let one = jobs.len() == 1;
        state.queue.extend(jobs);
        drop(state);
        if one {
            self.work.notify_one();
        } else {
            self.work.notify_all();
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.lock().phase == Phase::Open
    }

    pub(super) fn is_terminated(&self) -> bool {
        self.state.lock().phase == Phase::Terminated
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.work.notify_all();
    }

    /// Cancels what is queued and kills the workers of what runs.
    pub(super) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        let queue = std::mem::take(&mut state.queue);
        state.failed += queue.len() as u64;
        for worker in state.places.iter().filter_map(|place| place.worker.as_ref()) {
            worker.kill();
        }
        drop(state);
        self.work.notify_all();
        // Outside the lock: it wakes those who wait for the outcomes.
        drop(queue);
    }

    pub(super) fn dispatcher_begins(&self) {
        self.state.lock().dispatchers += 1;
    }

    pub(super) fn dispatcher_ends(&self) {
        let mut state = self.state.lock();
        state.dispatchers -= 1;
        if state.dispatchers == 0 {
            // Nobody is left to run what a dispatcher that panicked may have left behind.
            let queue = std::mem::take(&mut state.queue);
            state.failed += queue.len() as u64;
            drop(state);
            drop(queue);
            self.ended.notify_all();
        }
    }

    pub(super) fn wait_for_dispatchers(&self) {
        let mut state = self.state.lock();
        while state.dispatchers > 0 {
            self.ended.wait(&mut state);
        }
    }

    /// Makes a worker known, so that `terminate` can kill it; `false` if that came first.
    pub(super) fn adopt(&self, place: usize, worker: WorkerHandle) -> bool {
        let mut state = self.state.lock();
        state.places[place] = Place { worker: Some(worker), ..Place::default() };
        state.phase != Phase::Terminated
    }

    /// Forgets a worker that is gone.
    pub(super) fn abandon(&self, place: usize, died: bool) {
        let mut state = self.state.lock();
        state.places[place] = Place::default();
        state.restarts += u64::from(died);
    }

    /// Whether there will be no more work.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    /// Waits for `time`, but no longer than the pool has a use for the dispatcher.
    pub(super) fn pause(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !state.is_over() && !self.work.wait_until(&mut state, deadline).timed_out() {}
    }

    /// Waits for work: at most `limit` tasks, which so far took `pace` each.
    pub(super) fn next(&self, dispatcher: usize, limit: usize, pace: Option<Duration>) -> Next {
        let mut state = self.state.lock();
        loop {
            if state.is_over() {
                return Next::End;
            }
            let (chunk, unwanted) = state.take(&self.settings, limit, pace);
            if !chunk.is_empty() {
                state.places[dispatcher].in_flight = chunk.len();
                // First, as dropping the others tells those who wait for their outcomes.
                drop(state);
                return Next::Run(chunk);
            }
            if !unwanted.is_empty() {
                MutexGuard::unlocked(&mut state, || drop(unwanted));
                continue;
            }
            // What was queued may all have been cancelled, and that may have been the last of it.
            if !state.is_over() && self.work.wait_for(&mut state, TICK).timed_out() {
                return Next::LookAfterWorker;
            }
        }
    }

    /// Takes one job, to be failed because no worker starts.
    pub(super) fn take_one(&self, place: usize) -> Option<Job> {
        let mut state = self.state.lock();
        let (mut taken, unwanted) = state.take(&self.settings, 1, None);
        state.places[place].in_flight = taken.len();
        drop(state);
        drop(unwanted);
        taken.pop_front()
    }

    /// Books that the worker runs the first of its jobs.
    pub(super) fn begun(&self, place: usize, wish: Option<Arc<Wish>>) {
        let mut state = self.state.lock();
        let place = &mut state.places[place];
        place.since = Some(Instant::now());
        if let Some(wish) = &wish {
            wish.mark_begun();
        }
        place.wish = wish;
        place.end_unwanted();
    }

    /// Kills the workers of what runs in vain. What waits is skipped when its turn comes.
    pub(super) fn end_unwanted(&self) {
        for place in &self.state.lock().places {
            place.end_unwanted();
        }
    }

    /// Books the outcome of a job that a worker had, and delivers it.
    pub(super) fn finish(&self, place: usize, job: Job, outcome: Outcome<Arrived>) {
        let mut state = self.state.lock();
        let entry = &mut state.places[place];
        entry.in_flight = entry.in_flight.saturating_sub(1);
        entry.wish = None;
        entry.busy += entry.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        entry.tasks += 1;
        if outcome.is_ok() {
            state.done += 1;
        } else {
            state.failed += 1;
        }
        drop(state);
        job.ticket.deliver(outcome);
    }

    /// Puts jobs that a worker had back to the head of the queue, or cancels them if the pool was
    /// terminated.
    pub(super) fn requeue(&self, place: usize, jobs: VecDeque<Job>) {
        let mut state = self.state.lock();
        state.places[place].in_flight = 0;
        state.places[place].since = None;
        state.places[place].wish = None;
        if state.phase == Phase::Terminated {
            state.failed += jobs.len() as u64;
            drop(state);
            drop(jobs);
            return;
        }
        for job in jobs.into_iter().rev() {
            job.ticket.requeue();
            state.queue.push_front(job);
        }
        drop(state);
        self.work.notify_all();
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let state = self.state.lock();
        let in_flight: usize = state.places.iter().map(|place| place.in_flight).sum();
        let running = state.places.iter().filter(|place| place.since.is_some()).count();
        let workers = state.places.iter().enumerate().filter_map(|(number, place)| {
            let worker = place.worker.as_ref()?;
            Some(WorkerSnapshot {
                name: format!("spinneret-worker-{number}"),
                pid: worker.pid(),
                tasks: place.tasks,
                busy: place.busy + place.since.map_or(Duration::ZERO, |since| since.elapsed()),
                memory: None,
                alive: worker.is_alive(),
            })
        });
        let mut snapshot = PoolSnapshot {
            queued: state.queue.len() + in_flight - running,
            running,
            done: state.done,
            failed: state.failed,
            restarts: state.restarts,
            workers: workers.collect(),
        };
        drop(state);
        // Reading files, which the dispatchers need not wait for.
        for worker in &mut snapshot.workers {
            worker.memory = memory(worker.pid);
        }
        snapshot
    }
}

impl Place {
    fn end_unwanted(&self) {
        if let (Some(worker), Some(wish)) = (&self.worker, &self.wish)
            && !wish.is_wanted()
        {
            worker.kill();
        }
    }
}

impl State {
    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            // What others run may yet come back to the queue; they are there to take it.
            Phase::Closed => self.queue.is_empty(),
            Phase::Terminated => true,
        }
    }

    /// Takes jobs for a worker; and those that nobody wants, to be dropped outside of the lock.
    fn take(
        &mut self,
        settings: &Settings,
        limit: usize,
        pace: Option<Duration>,
    ) -> (VecDeque<Job>, Vec<Job>) {
        let most = settings
            .chunk_size
            .unwrap_or_else(|| automatic_chunk(self.queue.len(), settings.workers, pace))
            .min(limit);
        let (mut chunk, mut bytes, mut unwanted) = (VecDeque::new(), 0, Vec::new());
        while let Some(next) = self.queue.front() {
            let alone = !next.chunkable || chunk.len() >= most || bytes >= CHUNK_BYTES;
            if alone && !chunk.is_empty() {
                break;
            }
            let Some(job) = self.queue.pop_front() else {
                break;
            };
            if job.ticket.start() {
                bytes += job.args.len();
                let chunkable = job.chunkable;
                chunk.push_back(job);
                if !chunkable {
                    break;
                }
            } else {
                self.failed += 1;
                unwanted.push(job);
            }
        }
        (chunk, unwanted)
    }
}
