//! The thread that looks after a pool's workers: starts them, hears their news, ends those that take
//! too long or too much, and sees to it that the death of one costs no more than it must.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};

use super::board::clock;
use super::books::{Books, Cause};
use super::message::{News, Order, Setup};
use crate::pool::error::PoolError;
use crate::pool::settings::{MEMORY, PATIENCE, RESPONSE, pause};
use crate::pool::snapshot::memory;
use crate::process::link::wait;
use crate::process::{Outbox, StartError, WorkerProcess};

/// How long a new worker may take to greet: a busy machine is no fault.
const GREETING: Duration = Duration::from_mins(1);

/// How often to look for the workers of unwanted jobs until they are found.
const PURGE: Duration = Duration::from_millis(5);

/// The longest sleep.
const IDLE: Duration = Duration::from_secs(5);

pub(super) struct Supervisor {
    books: Arc<Books>,
    /// Written to when there is something new to look at.
    bell: Arc<OwnedFd>,
    places: Vec<Place>,
    /// The number of the next worker.
    next_owner: u32,
    memory_looked_at: Instant,
}

/// One of the pool's places.
struct Place {
    worker: Option<Worker>,
    /// When to start the next worker, if there is none.
    start_at: Instant,
    /// Failures since a worker last did anything.
    failures: u32,
    /// Whether a worker was ever ready here.
    was_ready: bool,
}

struct Worker {
    process: WorkerProcess,
    owner: u32,
    stage: Stage,
    /// The job for whose sake it was killed.
    timed_out: Option<u64>,
    /// Whether it was killed because it did nothing.
    idle_killed: bool,
    /// Since when there was work that it did not take; and how many tasks it had ended then.
    idle_since: Option<(Instant, u64)>,
}

enum Stage {
    Greeting {
        since: Instant,
    },
    /// Set up; its initializer may still run.
    SetUp,
    Ready,
    /// It has said that it leaves.
    Leaving,
}

/// Rings the bell of a supervisor.
#[derive(Debug)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    pub(super) fn ring(&self) {
        // It fails only if it was rung 2^64 times without an answer.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Supervisor {
    pub(super) fn new(books: Arc<Books>) -> io::Result<(Self, Bell)> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let now = Instant::now();
        let places = (0..books.settings.workers)
            .map(|_| Place { worker: None, start_at: now, failures: 0, was_ready: false })
            .collect();
        let ours = Arc::clone(&bell);
        Ok((Self { books, bell, places, next_owner: 1, memory_looked_at: now }, Bell(ours)))
    }

    /// Works until the pool is over and all workers are gone.
    pub(super) fn run(mut self) {
        // However this thread ends, nobody waits for it in vain.
        let _ended = Ended(Arc::clone(&self.books));
        loop {
            let over = self.books.is_over();
            if over && self.places.iter().all(|place| place.worker.is_none()) {
                return;
            }
            let now = Instant::now();
            for index in 0..self.places.len() {
                if !over
                    && self.places[index].worker.is_none()
                    && self.places[index].start_at <= now
                {
                    self.start(index);
                }
            }
            self.look_after(now);
            self.listen();
        }
    }

    fn start(&mut self, index: usize) {
        let owner = self.next_owner;
        self.next_owner = self.next_owner.wrapping_add(1).max(1);
        self.books.board.place(index).reset();
        let started = WorkerProcess::start().and_then(|process| {
            process.hello()?;
            Ok(process)
        });
        match started {
            Ok(process) => {
                if !self.books.adopt(index, process.handle()) {
                    process.kill();
                }
                let stage = Stage::Greeting { since: Instant::now() };
                self.places[index].worker = Some(Worker {
                    process,
                    owner,
                    stage,
                    timed_out: None,
                    idle_killed: false,
                    idle_since: None,
                });
            }
            Err(error) => self.failed(index, error.into()),
        }
    }

    /// A worker could not be started, or ended before it was ready.
    fn failed(&mut self, index: usize, error: PoolError) {
        let place = &mut self.places[index];
        place.failures = place.failures.saturating_add(1);
        place.start_at = Instant::now() + pause(place.failures);
        tracing::warn!(%error, failures = place.failures, "a worker process did not start");
        if !place.was_ready {
            self.books.failed_to_start(error);
        } else if place.failures >= PATIENCE {
            // Its caller should not wait for ever.
            self.books.give_up_one(&error);
        }
    }

    /// Ends workers that take too long, or too much memory.
    fn look_after(&mut self, now: Instant) {
        let settings = &self.books.settings;
        let look_at_memory = settings.memory_limit.is_some()
            && now.saturating_duration_since(self.memory_looked_at) >= MEMORY;
        if look_at_memory {
            self.memory_looked_at = now;
        }
        let unwanted = if self.books.purge.load(Ordering::Acquire) {
            self.books.unwanted()
        } else {
            Vec::new()
        };
        let clock = clock();
        for (index, place) in self.places.iter_mut().enumerate() {
            let Some(worker) = &mut place.worker else { continue };
            if let Stage::Greeting { since } = worker.stage
                && now.saturating_duration_since(since) > GREETING
            {
                worker.process.kill();
            }
            let board = self.books.board.place(index);
            if let Some((number, _)) = board.running()
                && worker.timed_out.is_none()
                && unwanted.contains(&number)
            {
                worker.timed_out = Some(number);
                worker.process.kill();
            }
            if let Some(timeout) = settings.task_timeout
                && worker.timed_out.is_none()
            {
                match board.running() {
                    Some((number, since)) => {
                        worker.idle_since = None;
                        let took = Duration::from_nanos(clock.saturating_sub(since));
                        if number != 0 && took > timeout {
                            worker.timed_out = Some(number);
                            worker.process.kill();
                        }
                    }
                    None if matches!(worker.stage, Stage::Ready)
                        && self.books.tasks.has_items() =>
                    {
                        let tasks = board.tasks();
                        match worker.idle_since {
                            Some((since, before)) if before == tasks => {
                                if now.saturating_duration_since(since) > timeout.max(RESPONSE) {
                                    worker.idle_killed = true;
                                    worker.process.kill();
                                }
                            }
                            _ => worker.idle_since = Some((now, tasks)),
                        }
                    }
                    None => worker.idle_since = None,
                }
            }
            if look_at_memory
                && let Some(limit) = settings.memory_limit
                && memory(worker.process.handle().pid()).is_some_and(|bytes| bytes > limit)
            {
                board.ask_to_leave();
            }
        }
    }

    /// How long nothing needs to be looked at.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let settings = &self.books.settings;
        let mut patience = IDLE;
        if let Some(timeout) = settings.task_timeout {
            patience = patience
                .min((timeout / 8).clamp(Duration::from_millis(5), Duration::from_millis(250)));
        }
        if settings.memory_limit.is_some() {
            patience = patience.min(MEMORY);
        }
        if self.books.purge.load(Ordering::Acquire) {
            // A job may have been handed out that has not quite begun.
            patience = patience.min(PURGE);
        }
        for place in &self.places {
            if place.worker.is_none() {
                patience = patience.min(place.start_at.saturating_duration_since(now));
            }
        }
        patience
    }

    /// Waits for news, deaths and the bell, and deals with them.
    fn listen(&mut self) {
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        let mut whose = Vec::new();
        let links: Vec<_> = self
            .places
            .iter()
            .enumerate()
            .filter_map(|(index, place)| {
                let process = &place.worker.as_ref()?.process;
                Some((index, process.link_fd(), process.death_fd()))
            })
            .collect();
        for (index, link, death) in &links {
            for fd in std::iter::once(link).chain(death) {
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
                whose.push(*index);
            }
        }
        let readable = if wait(&mut fds, Some(self.patience())) {
            let mut indices: Vec<_> = (fds.iter().skip(1).zip(whose))
                .filter(|(fd, _)| !fd.revents().is_empty())
                .map(|(_, index)| index)
                .collect();
            indices.dedup();
            indices
        } else {
            // Where a death cannot be watched, its end of the link may be held by an heir.
            let is_dead = |place: &Place| {
                place.worker.as_ref().is_some_and(|worker| !worker.process.handle().is_alive())
            };
            (0..self.places.len()).filter(|index| is_dead(&self.places[*index])).collect()
        };
        drop(fds);
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        for index in readable {
            self.hear(index);
        }
    }

    /// Takes in what a worker says, or that it is gone.
    fn hear(&mut self, index: usize) {
        let Some(worker) = &mut self.places[index].worker else { return };
        // Dead first, then what it said: so nothing that it said is missed.
        let dead = !worker.process.handle().is_alive();
        let open = worker.process.receive();
        let mut broken = None;
        loop {
            let Some(worker) = &mut self.places[index].worker else { return };
            match worker.process.next_frame() {
                Ok(Some((frame, fds))) => {
                    if let Err(cause) = self.understand(index, &frame, fds) {
                        broken = Some(cause);
                        break;
                    }
                }
                Ok(None) => break,
                Err(cause) => {
                    broken = Some(Broken::Stream(cause.to_string()));
                    break;
                }
            }
        }
        match broken {
            Some(Broken::Start(error)) => self.lose(index, Some(error)),
            Some(Broken::Stream(cause)) => {
                tracing::error!(%cause, "a worker process sent what no worker sends: it is ended");
                self.lose(index, None);
            }
            None if dead || !open => self.lose(index, None),
            None => {}
        }
    }

    fn understand(&mut self, index: usize, frame: &[u8], fds: Vec<OwnedFd>) -> Result<(), Broken> {
        let Self { books, places, .. } = self;
        let place = &mut places[index];
        let Some(worker) = &mut place.worker else { return Ok(()) };
        if let Stage::Greeting { .. } = worker.stage {
            worker.process.greeted(frame).map_err(|error| Broken::Start(error.into()))?;
            let initializer = books.settings.initializer.as_ref().map(|task| {
                (
                    task.task.to_owned(),
                    task.signature,
                    serde_bytes::ByteBuf::from(task.args.clone()),
                )
            });
            let setup = Setup {
                place: index,
                owner: worker.owner,
                places: books.settings.workers,
                jobs: books.capacity,
                max_tasks: books.settings.max_tasks_per_worker,
                chunk_size: books.settings.chunk_size,
                initializer,
            };
            let fds = [books.tasks.fd(), books.results.fd(), books.board.fd()];
            worker.stage = Stage::SetUp;
            return tell(worker, &Order::Setup(setup), fds.map(Arc::clone).to_vec());
        }
        match rmp_serde::from_slice(frame).map_err(|error| Broken::Stream(error.to_string()))? {
            News::Ready(Ok(())) => {
                worker.stage = Stage::Ready;
                if !std::mem::replace(&mut place.was_ready, true) {
                    books.ready();
                }
                Ok(())
            }
            News::Ready(Err(error)) => Err(Broken::Start(PoolError::Initializer(error))),
            News::Wants(number) => {
                let fds = match (number, &books.settings.initializer) {
                    (0, Some(initializer)) => initializer.fds.clone(),
                    _ => books.attachments(number),
                };
                tell(worker, &Order::Attachments(number), fds)
            }
            News::Ended(number, bytes) => {
                books.end(number, Ok((bytes, fds)));
                Ok(())
            }
            News::Leaves => {
                worker.stage = Stage::Leaving;
                Ok(())
            }
        }
    }

    /// Reaps a worker that is gone, or is of no more use, and settles what it had.
    fn lose(&mut self, index: usize, error: Option<PoolError>) {
        let place = &mut self.places[index];
        let Some(worker) = place.worker.take() else { return };
        if error.is_some() {
            worker.process.kill();
        }
        let exit = worker.process.wait();
        let tasks = self.books.board.place(index).tasks();
        self.books.abandon(index);
        let left = matches!(worker.stage, Stage::Leaving) && exit.code == Some(0);
        let cause = match worker.timed_out {
            Some(number) => Cause::TimedOut(number),
            None if left => Cause::Left,
            // No job is to blame.
            None if worker.idle_killed => Cause::TimedOut(0),
            None => Cause::Died(exit),
        };
        let was_ready = matches!(worker.stage, Stage::Ready | Stage::Leaving);
        let owner = worker.owner;
        let died = StartError::Died { signal: exit.signal, exit_code: exit.code };
        let silent =
            matches!(worker.stage, Stage::Greeting { since } if since.elapsed() > GREETING);
        drop(worker);
        self.books.bury(owner, cause);
        if self.books.is_over() && place.was_ready {
            return;
        }
        if !was_ready {
            let silence = StartError::Silent { after: GREETING };
            self.failed(index, error.unwrap_or(if silent { silence } else { died }.into()));
            return;
        }
        // One that has ended or begun a task has done something.
        place.failures = if tasks > 0 || left { 0 } else { place.failures.saturating_add(1) };
        place.start_at = Instant::now() + if left { Duration::ZERO } else { pause(place.failures) };
    }
}

/// What a worker said that it should not have.
enum Broken {
    Start(PoolError),
    Stream(String),
}

fn tell(worker: &Worker, order: &Order, fds: Vec<Arc<OwnedFd>>) -> Result<(), Broken> {
    let mut out = Outbox::default();
    out.put(order, fds).map_err(Broken::Stream)?;
    // If it cannot be sent the worker is dead, which is noticed.
    worker.process.send(&out);
    Ok(())
}

/// Says that the supervisor has ended, however it did.
struct Ended(Arc<Books>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}
