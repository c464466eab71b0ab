//! What the threads of a pool share: the queue of jobs and the books.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::pool::errand::Errand;
use crate::pool::error::SubmitError;
use crate::pool::snapshot::{PoolSnapshot, WorkerSnapshot};
use crate::pool::ticket::Ticket;
use crate::task::{Call, Outcome, Runner, Task, discard};

/// What each thread runs before its first task.
pub(super) type Initializer = Arc<dyn Fn() + Send + Sync>;

/// A task to run. Dropping it cancels it.
pub struct Job(Box<dyn Run>);

/// A task without its types.
trait Run: Send {
    /// Marks the task as running; `false` if nobody wants it any more.
    fn start(&self) -> bool;

    /// Runs the task, calls `book` with whether it returned a value, and delivers the outcome. In
    /// this order, so that who has an outcome finds it in the books.
    fn run(self: Box<Self>, runner: &Runner, book: &dyn Fn(bool));
}

struct Submitted<T: Task> {
    args: T::Args,
    ticket: Ticket<T::Output>,
}

impl Job {
    pub(super) fn new<T: Task>(args: T::Args, ticket: Ticket<T::Output>) -> Self {
        Self(Box::new(Submitted::<T> { args, ticket }))
    }

    pub(super) fn by_name(errand: Errand) -> Self {
        Self(Box::new(errand))
    }
}

impl<T: Task> Run for Submitted<T> {
    fn start(&self) -> bool {
        self.ticket.start()
    }

    fn run(self: Box<Self>, runner: &Runner, book: &dyn Fn(bool)) {
        let Self { args, ticket } = *self;
        let outcome = runner.run(|| Ok(T::run(args)));
        book(outcome.is_ok());
        ticket.deliver(outcome);
    }
}

/// A task that came by name.
impl Run for Errand {
    fn start(&self) -> bool {
        self.ticket.begin()
    }

    fn run(self: Box<Self>, runner: &Runner, book: &dyn Fn(bool)) {
        let Self { entry, args, ticket } = *self;
        let outcome = runner.run(|| entry.invoke(&args, Vec::new())).flatten();
        book(outcome.is_ok());
        ticket.end(outcome);
    }
}

pub(super) struct Crew {
    /// Of the threads, by place.
    names: Vec<String>,
    state: Mutex<State>,
    /// Notified when there is work, and when the phase changes.
    work: Condvar,
    /// Notified when the last thread ends.
    ended: Condvar,
}

struct State {
    phase: Phase,
    /// Empty unless the pool is open or closed.
    queue: VecDeque<Job>,
    /// One per thread.
    places: Vec<Place>,
    done: u64,
    failed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Terminated,
}

#[derive(Clone, Default)]
struct Place {
    /// Whether its thread has yet to end.
    taken: bool,
    tasks: u64,
    /// How long those took that it has ended.
    busy: Duration,
    /// Since when it runs a task; `None` if it does not.
    since: Option<Instant>,
}

impl Crew {
    pub(super) fn new(names: Vec<String>) -> Self {
        let state = State {
            phase: Phase::Open,
            queue: VecDeque::new(),
            places: vec![Place::default(); names.len()],
            done: 0,
            failed: 0,
        };
        Self { names, state: Mutex::new(state), work: Condvar::new(), ended: Condvar::new() }
    }

    /// A place for a thread. It counts as taken until the seat is dropped.
    pub(super) fn seat(crew: &Arc<Self>, place: usize) -> Seat {
        crew.state.lock().places[place].taken = true;
        Seat { crew: Arc::clone(crew), place }
    }

    /// Appends jobs, all or none.
    pub(super) fn submit(
        &self,
        jobs: impl ExactSizeIterator<Item = Job>,
    ) -> Result<(), SubmitError> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            // First, since `jobs` may drop what a caller gave.
            drop(state);
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

    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        drop(state);
        self.work.notify_all();
    }

    /// Cancels what is queued.
    pub(super) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        let queue = std::mem::take(&mut state.queue);
        state.failed += queue.len() as u64;
        drop(state);
        self.work.notify_all();
        // Outside the lock: it wakes those who wait for the outcomes.
        drop(queue);
    }

    /// Waits until all threads have ended.
    pub(super) fn wait(&self) {
        let mut state = self.state.lock();
        while state.places.iter().any(|place| place.taken) {
            self.ended.wait(&mut state);
        }
    }

    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let state = self.state.lock();
        let workers = self.names.iter().zip(&state.places).filter(|(_, place)| place.taken);
        PoolSnapshot {
            queued: state.queue.len(),
            running: state.places.iter().filter(|place| place.since.is_some()).count(),
            done: state.done,
            failed: state.failed,
            restarts: 0,
            workers: workers
                .map(|(name, place)| WorkerSnapshot {
                    name: name.clone(),
                    pid: std::process::id(),
                    tasks: place.tasks,
                    busy: place.busy + place.since.map_or(Duration::ZERO, |since| since.elapsed()),
                    memory: None,
                    alive: true,
                })
                .collect(),
        }
    }
}

/// A thread's place in the crew.
pub(super) struct Seat {
    crew: Arc<Crew>,
    place: usize,
}

impl Seat {
    /// Reports how the initializer ended, and then, if well, works until the pool is closed and
    /// empty, or terminated.
    pub(super) fn work(self, initializer: Option<&Initializer>, started: Sender<Outcome<()>>) {
        let runner = Runner::new();
        let ready = runner.run(|| {
            if let Some(initializer) = initializer {
                initializer();
            }
            Ok(Call::Done(()))
        });
        let failed = ready.is_err();
        // The pool may have seen another one fail, and listen no more; it terminates us then.
        let _ = started.send(ready);
        drop(started);
        if failed {
            return;
        }
        // A value that panics as it is dropped must not end the thread. The books are right: none
        // is dropped between two entries that belong together.
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.step(&runner))) {
                Ok(true) => {}
                Ok(false) => return,
                Err(payload) => discard(payload),
            }
        }
    }

    /// Runs one job; `false` if there will be no more.
    fn step(&self, runner: &Runner) -> bool {
        let Some(Job(job)) = self.next() else { return false };
        job.run(runner, &|done| self.book(done));
        true
    }

    fn next(&self) -> Option<Job> {
        let crew = &*self.crew;
        let mut state = crew.state.lock();
        loop {
            match state.queue.pop_front() {
                Some(job) if job.0.start() => {
                    state.places[self.place].since = Some(Instant::now());
                    return Some(job);
                }
                Some(cancelled) => {
                    state.failed += 1;
                    MutexGuard::unlocked(&mut state, || drop(cancelled));
                }
                None if state.phase != Phase::Open => return None,
                None => crew.work.wait(&mut state),
            }
        }
    }

    /// Enters the end of a task.
    fn book(&self, done: bool) {
        let mut state = self.crew.state.lock();
        let place = &mut state.places[self.place];
        place.tasks += 1;
        place.busy += place.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if done {
            state.done += 1;
        } else {
            state.failed += 1;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.crew.state.lock();
        state.places[self.place].taken = false;
        let last = !state.places.iter().any(|place| place.taken);
        drop(state);
        if last {
            self.crew.ended.notify_all();
        }
    }
}
