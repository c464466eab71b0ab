//! What the workers of a pool within this process share, be they threads or coroutines: the queue of
//! jobs and the books.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errand::Errand;
use super::error::{PoolError, SubmitError};
use super::snapshot::{PoolSnapshot, WorkerSnapshot};
use super::ticket::Ticket;
use crate::cooperate;
use crate::queue::Queue;
use crate::signal::{Mutex, Signal, Wait};
use crate::task::{Call, Outcome, Runner, Task, discard};

/// What each worker runs before its first task.
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
    /// Of the workers, by place.
    names: Vec<String>,
    state: Mutex<State>,
    /// There is work, or the phase has changed.
    work: Signal,
    /// The last worker has ended.
    ended: Signal,
}

struct State {
    phase: Phase,
    /// Empty unless the pool is open or closed.
    queue: VecDeque<Job>,
    /// One per worker.
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
    /// Whether its worker has yet to end.
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
        Self { names, state: Mutex::new(state), work: Signal::new(), ended: Signal::new() }
    }

    /// A place for a worker. It counts as taken until the seat is dropped.
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
            self.work.one();
        } else {
            self.work.all();
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
        self.work.all();
    }

    /// Cancels what is queued.
    pub(super) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        let queue = std::mem::take(&mut state.queue);
        state.failed += queue.len() as u64;
        drop(state);
        self.work.all();
        // Outside the lock: it wakes those who wait for the outcomes.
        drop(queue);
    }

    /// Waits until all workers have ended.
    pub(super) fn wait(&self) {
        let over = |state: &mut State| (!state.is_manned()).then_some(());
        self.ended.wait(&self.state, Wait::Ever, over);
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

impl State {
    /// Whether a worker has yet to end.
    fn is_manned(&self) -> bool {
        self.places.iter().any(|place| place.taken)
    }

    /// What the worker in this place is to do next; `None` to wait.
    fn next(&mut self, place: usize) -> Option<Next> {
        match self.queue.pop_front() {
            Some(job) if job.0.start() => {
                self.places[place].since = Some(Instant::now());
                Some(Next::Run(job))
            }
            Some(cancelled) => {
                self.failed += 1;
                Some(Next::Drop(cancelled))
            }
            None => (self.phase != Phase::Open).then_some(Next::End),
        }
    }
}

enum Next {
    Run(Job),
    /// Nobody wants it any more.
    Drop(Job),
    End,
}

/// How the initializers of a crew's workers end.
#[derive(Clone)]
pub(super) struct Reports(Queue<Outcome<()>>);

impl Reports {
    pub(super) fn new() -> Self {
        Self(Queue::new())
    }

    /// Waits for so many, or for the first that is bad.
    pub(super) fn wait(&self, workers: usize) -> Result<(), PoolError> {
        for _ in 0..workers {
            // Nobody closes the queue.
            self.0
                .get()
                .unwrap_or(Err(crate::TaskError::Cancelled))
                .map_err(PoolError::Initializer)?;
        }
        Ok(())
    }
}

/// A worker's place in the crew.
pub(super) struct Seat {
    crew: Arc<Crew>,
    place: usize,
}

impl Seat {
    /// Reports how the initializer ended, and then, if well, works until the pool is closed and
    /// empty, or terminated.
    pub(super) fn work(
        self,
        runner: &Runner,
        initializer: Option<&Initializer>,
        reports: &Reports,
    ) {
        let ready = runner.run(|| {
            if let Some(initializer) = initializer {
                initializer();
            }
            Ok(Call::Done(()))
        });
        let failed = ready.is_err();
        // The pool may have seen another one fail, and listen no more; it terminates us then.
        let _ = reports.0.put(ready);
        if failed {
            return;
        }
        // A value that panics as it is dropped must not end the worker. The books are right: none
        // is dropped between two entries that belong together.
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.step(runner))) {
                Ok(true) => {}
                Ok(false) => return,
                // All coroutines are to end.
                Err(payload) if cooperate::is_interruption(&*payload) => return,
                Err(payload) => discard(payload),
            }
        }
    }

    /// Runs one job; `false` if there will be no more.
    fn step(&self, runner: &Runner) -> bool {
        let crew = &*self.crew;
        match crew.work.wait(&crew.state, Wait::Ever, |state| state.next(self.place)) {
            Some(Next::Run(Job(job))) => {
                job.run(runner, &|done| self.book(done));
                true
            }
            Some(Next::Drop(job)) => {
                drop(job);
                true
            }
            Some(Next::End) | None => false,
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
        let last = !state.is_manned();
        drop(state);
        if last {
            self.crew.ended.all();
        }
    }
}
