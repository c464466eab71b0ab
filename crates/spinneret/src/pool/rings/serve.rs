//! What a pool's worker does: takes jobs from one ring and puts their endings into the other.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::board::{Board, Stage, clock};
use super::message::{Ending, JobMessage, News, Order, Setup};
use crate::pool::settings::automatic_chunk;
use crate::process::queue::{Batch, Core, How, Put, Take};
use crate::process::{FrameBuffer, Link, Outbox, Ready, Watch, die, leave, ready};
use crate::task::registry;
use crate::task::{Outcome, Runner, TaskError};

/// How long a worker without work sleeps, before it looks whether it is to leave.
const LOOK: Duration = Duration::from_millis(500);

/// The descriptors of a job that was asked for.
type Delivery = (u64, Vec<OwnedFd>);

struct Worker {
    setup: Setup,
    tasks: Core,
    results: Core,
    board: Board,
    link: Link,
    deliveries: Receiver<Delivery>,
    runner: Runner,
    /// How many tasks have ended.
    ended: u32,
    /// How long a task takes, as a moving average.
    pace: Option<Duration>,
    /// An ending on its way out; kept for its memory.
    out: Batch,
}

/// Serves a pool that has greeted, until it has no more tasks, or dies.
pub(crate) fn serve(link: Link, pool: Watch, mut frames: FrameBuffer) -> ! {
    let (setup, fds) = setup(&link, &pool, &mut frames);
    let Ok([tasks, results, board]) = <[OwnedFd; 3]>::try_from(fds) else {
        die("a worker was set up without its queues");
    };
    let open = |fd, what| match Core::attach(fd) {
        Ok(core) => core,
        Err(fault) => die(&format!("a worker could not open the pool's {what}: {fault}")),
    };
    let (tasks, results) = (open(tasks, "tasks"), open(results, "results"));
    let board = match Board::attach(board, setup.places, setup.jobs) {
        Ok(board) if setup.place < setup.places => board,
        Ok(_) => die("a worker was given a place that its pool does not have"),
        Err(error) => die(&format!("a worker could not open the pool's board: {error}")),
    };
    let (sender, deliveries) = channel();
    let stream = link.clone();
    let thread = thread::Builder::new().name("spinneret-reader".to_owned());
    if let Err(error) = thread.spawn(move || read(&stream, &pool, frames, &sender)) {
        die(&format!("a worker could not start its reader thread: {error}"));
    }
    Worker {
        setup,
        tasks,
        results,
        board,
        link,
        deliveries,
        runner: Runner::new(),
        ended: 0,
        pace: None,
        out: Batch::default(),
    }
    .work()
}

/// Waits for the first order.
fn setup(link: &Link, pool: &Watch, frames: &mut FrameBuffer) -> (Setup, Vec<OwnedFd>) {
    loop {
        match frames.next() {
            Ok(Some((order, fds))) => match rmp_serde::from_slice(order) {
                Ok(Order::Setup(setup)) => return (setup, fds),
                Ok(Order::Attachments(_)) => die("a worker was given a job before it was set up"),
                Err(error) => die(&format!("a worker got an unreadable order: {error}")),
            },
            Ok(None) => listen(link, pool, frames),
            Err(error) => die(&error.to_string()),
        }
    }
}

/// Waits for something to arrive; ends the process if the pool is gone.
fn listen(link: &Link, pool: &Watch, frames: &mut FrameBuffer) {
    match ready(link, pool, None) {
        Ready::Stream => match link.receive(frames) {
            Ok(true) => {}
            Ok(false) => leave(0),
            Err(error) => die(&format!("a worker could not receive: {error}")),
        },
        Ready::Neither => {}
        Ready::Dead => leave(0),
    }
}

/// Takes in descriptors, and ends the process when the pool is gone, even while a task runs.
fn read(link: &Link, pool: &Watch, mut frames: FrameBuffer, deliveries: &Sender<Delivery>) {
    loop {
        match frames.next() {
            Ok(Some((order, fds))) => match rmp_serde::from_slice(order) {
                Ok(Order::Attachments(number)) if deliveries.send((number, fds)).is_ok() => {}
                Ok(Order::Attachments(_) | Order::Setup(_)) => die("a worker was set up twice"),
                Err(error) => die(&format!("a worker got an unreadable order: {error}")),
            },
            Ok(None) => listen(link, pool, &mut frames),
            Err(error) => die(&error.to_string()),
        }
    }
}

impl Worker {
    fn work(mut self) -> ! {
        let initialized = self.initialize();
        let failed = initialized.is_err();
        self.tell(&News::Ready(initialized), Vec::new());
        if failed {
            leave(1);
        }
        let mut batch = Batch::default();
        loop {
            if self.is_to_leave() {
                self.tell(&News::Leaves, Vec::new());
                leave(0);
            }
            batch.clear();
            let most = self.chunk();
            match self.tasks.try_take(most, How::Lease(self.setup.owner), &mut batch) {
                Ok(Take::Done(0)) => {
                    self.tasks.wait_for_items(Instant::now().checked_add(LOOK));
                }
                Ok(Take::Done(count)) => self.run_all(&batch, count),
                Ok(Take::Closed) => {
                    self.tell(&News::Leaves, Vec::new());
                    leave(0);
                }
                Err(fault) => die(&format!("a worker could not take a task: {fault}")),
            }
        }
    }

    fn initialize(&self) -> Outcome<()> {
        let Some((task, signature, args)) = &self.setup.initializer else { return Ok(()) };
        // Its descriptors came along with none: they are asked for, as those of any job, by the
        // number that no job has.
        let fds = self.attachments(0);
        let entry = registry::find(task, *signature)?;
        self.runner.run(|| entry.invoke(args, fds)).flatten().map(drop)
    }

    fn is_to_leave(&self) -> bool {
        self.board.place(self.setup.place).is_to_leave()
            || self.setup.max_tasks.is_some_and(|most| self.ended >= most)
    }

    /// How many tasks to take at once.
    fn chunk(&self) -> usize {
        let chunk = self
            .setup
            .chunk_size
            .unwrap_or_else(|| automatic_chunk(self.tasks.len(), self.setup.places, self.pace));
        let left = self.setup.max_tasks.map_or(u32::MAX, |most| most.saturating_sub(self.ended));
        chunk.min(left as usize)
    }

    /// Runs jobs that were leased. Those that are left when the worker is to leave come back to the
    /// pool when it is gone.
    fn run_all(&mut self, batch: &Batch, count: usize) {
        for index in 0..count {
            if self.is_to_leave() {
                return;
            }
            // The pool writes the messages; if one cannot be read the memory is damaged.
            let Some(job) = JobMessage::read(batch.get(index)) else {
                die("a worker got an unreadable task");
            };
            self.run(&job);
            self.tasks.settle(batch.slot(index));
        }
    }

    fn run(&mut self, job: &JobMessage<'_>) {
        let place = self.board.place(self.setup.place);
        let (number, index) = (job.number, job.number as u32);
        let generation = ((job.number >> 32) as u32).wrapping_sub(1);
        if (index as usize) >= self.setup.jobs {
            die("a worker got a task that its pool cannot have");
        }
        if !self.board.advance(index, generation, Stage::Begun) {
            self.put(number, &Ending::Skipped);
            return;
        }
        let begun = clock();
        place.begin(number, begun);
        let fds = if job.attached { self.attachments(number) } else { Vec::new() };
        let outcome = registry::find(job.task, job.signature)
            .and_then(|entry| self.runner.run(|| entry.invoke(job.args, fds)).flatten());
        // What a task printed without a newline would be lost when the worker ends.
        let _ = io::stdout().flush();
        let took = clock().saturating_sub(begun);
        let latest = Duration::from_nanos(took);
        self.pace = Some(self.pace.map_or(latest, |before| (before * 7 + latest) / 8));
        self.ended = self.ended.saturating_add(1);
        self.board.place(self.setup.place).end(took);
        match outcome {
            Ok((bytes, fds)) if fds.is_empty() => self.put(number, &Ending::Value(&bytes)),
            Ok((bytes, fds)) => self.tell(&News::Ended(number, bytes), fds),
            Err(error) => self.put(number, &Ending::Failed(error)),
        }
    }

    /// Puts an ending, however long there is no space.
    fn put(&mut self, number: u64, ending: &Ending<'_>) {
        self.out.clear();
        let Ok(()) = self.out.push(false, |out| {
            ending.write(number, out);
            Ok::<_, std::convert::Infallible>(())
        });
        loop {
            match self.results.try_put(&self.out, 0) {
                Ok(Put::Done(0)) => {
                    self.results.wait_for_space(self.out.get(0).len(), None);
                }
                Ok(Put::Done(_)) => return,
                // The pool has ended, and so should we.
                Ok(Put::Closed) => leave(0),
                Err(fault) => {
                    let what = "the outcome".to_owned();
                    let cause = fault.to_string();
                    if matches!(ending, Ending::Failed(_)) {
                        die(&format!("a worker could not report: {cause}"));
                    }
                    let error = TaskError::Undecodable { what, cause };
                    return self.put(number, &Ending::Failed(error));
                }
            }
        }
    }

    /// Asks for the descriptors of a job and waits for them.
    fn attachments(&self, number: u64) -> Vec<OwnedFd> {
        self.tell(&News::Wants(number), Vec::new());
        loop {
            match self.deliveries.recv() {
                Ok((found, fds)) if found == number => return fds,
                // One that was asked for by a task that panicked in between.
                Ok(_) => {}
                // The reader ends only with the process.
                Err(_) => leave(0),
            }
        }
    }

    fn tell(&self, news: &News, fds: Vec<Arc<OwnedFd>>) {
        let mut out = Outbox::default();
        if let Err(cause) = out.put(news, fds) {
            die(&format!("a worker could not report: {cause}"));
        }
        if !self.link.send(&out) {
            leave(0);
        }
    }
}
