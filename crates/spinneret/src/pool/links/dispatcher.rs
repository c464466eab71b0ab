//! A thread for each worker: starts the process, hands it jobs, and deals with its death.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::shared::{Next, Shared};
use crate::pool::error::PoolError;
use crate::pool::job::Job;
use crate::pool::settings::{Initializer, MEMORY, PATIENCE, RESPONSE, pause};
use crate::pool::snapshot::memory;
use crate::process::{Exit, Lost, Outbox, StartError, WorkerProcess, put_job};
use crate::task::TaskError;

pub(super) struct Dispatcher {
    shared: Arc<Shared>,
    /// Which of the pool's places it fills.
    place: usize,
    worker: Option<WorkerProcess>,
    /// How many tasks the present worker has ended.
    tasks: u32,
    /// How long a task takes, as a moving average.
    pace: Option<Duration>,
    /// Failures since a worker last did anything.
    failures: u32,
    /// When the worker's memory is to be looked at again.
    look_at_memory: Instant,
    /// The messages of a chunk; kept for its memory.
    out: Outbox,
}

/// Counts a dispatcher as gone however it ends, so that `join` cannot wait for ever.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.dispatcher_ends();
    }
}

impl Dispatcher {
    pub(super) fn new(shared: Arc<Shared>, place: usize) -> Self {
        Self {
            shared,
            place,
            worker: None,
            tasks: 0,
            pace: None,
            failures: 0,
            look_at_memory: Instant::now(),
            out: Outbox::default(),
        }
    }

    /// Works until the pool is closed and empty, or terminated. Reports how the first start went;
    /// if badly, that is all.
    pub(super) fn run(mut self, started: Sender<Result<(), PoolError>>) {
        // Declared first to be dropped last: after the worker.
        let _ends = Ends(Arc::clone(&self.shared));
        let first = self.start();
        let failed = first.is_err();
        // The pool may have seen another one fail, and listen no more; it terminates us then.
        let _ = started.send(first);
        drop(started);
        if !failed {
            while !self.shared.is_over() {
                self.step();
            }
        }
        if let Some(worker) = self.worker.take()
            && !self.shared.is_terminated()
        {
            worker.retire();
        }
        self.shared.abandon(self.place, false);
    }

    fn step(&mut self) {
        if self.worker.is_none() {
            self.pause();
            if self.shared.is_over() {
                return;
            }
            if let Err(error) = self.start() {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(%error, failures = self.failures, "a worker process did not start");
                self.give_up_one(&error);
                return;
            }
        }
        let limit = self.shared.settings.max_tasks_per_worker;
        let limit = limit.map_or(usize::MAX, |most| most.saturating_sub(self.tasks) as usize);
        match self.shared.next(self.place, limit, self.pace) {
            Next::Run(jobs) => self.process(jobs),
            Next::LookAfterWorker => {
                if self.worker.as_ref().is_some_and(|worker| !worker.handle().is_alive()) {
                    self.lose(false);
                }
            }
            Next::End => {}
        }
        let spent =
            self.shared.settings.max_tasks_per_worker.is_some_and(|most| self.tasks >= most);
        if (spent || self.is_too_large())
            && let Some(worker) = self.worker.take()
        {
            worker.retire();
            self.shared.abandon(self.place, false);
        }
    }

    fn start(&mut self) -> Result<(), PoolError> {
        let mut worker = WorkerProcess::start()?;
        if !self.shared.adopt(self.place, worker.handle()) {
            worker.kill();
        }
        let ready = worker
            .greet()
            .and_then(|()| worker.set_send_timeout(self.response()))
            .map_err(PoolError::from)
            .and_then(|()| self.initialize(&mut worker));
        if let Err(error) = ready {
            self.shared.abandon(self.place, false);
            return Err(error);
        }
        self.worker = Some(worker);
        self.tasks = 0;
        Ok(())
    }

    /// Has a new worker run the initializer, however long it takes.
    fn initialize(&self, worker: &mut WorkerProcess) -> Result<(), PoolError> {
        let Some(initializer) = &self.shared.settings.initializer else { return Ok(()) };
        let Initializer { task, signature, args, fds } = initializer;
        let mut out = Outbox::default();
        put_job(&mut out, task, *signature, args, fds.clone()).map_err(PoolError::Initializer)?;
        // One that does not take it is dead, which the wait for its answer finds out.
        worker.send(&out);
        match worker.begun(None).and_then(|()| worker.ended(None)) {
            Ok(outcome) => outcome.map(drop).map_err(PoolError::Initializer),
            Err(Lost::Broken(cause)) => Err(StartError::Handshake { cause }.into()),
            Err(Lost::Died | Lost::TimedOut) => {
                let Exit { signal, code: exit_code, .. } = worker.wait();
                Err(StartError::Died { signal, exit_code }.into())
            }
        }
    }

    /// Whether the worker has more memory than it may keep; looked at now and then.
    fn is_too_large(&mut self) -> bool {
        let Some(limit) = self.shared.settings.memory_limit else { return false };
        let Some(worker) = &self.worker else { return false };
        let now = Instant::now();
        if now < self.look_at_memory {
            return false;
        }
        self.look_at_memory = now + MEMORY;
        memory(worker.handle().pid()).is_some_and(|bytes| bytes > limit)
    }

    /// How long a worker may keep a job waiting.
    fn response(&self) -> Option<Duration> {
        self.shared.settings.task_timeout.map(|timeout| timeout.max(RESPONSE))
    }

    /// Drops (kills, reaps) the worker. `useful` says whether it ended or was charged with a task,
    /// which bounds how often that can happen.
    fn lose(&mut self, useful: bool) {
        self.worker = None;
        self.failures = if useful { 0 } else { self.failures.saturating_add(1) };
        self.shared.abandon(self.place, true);
    }

    /// Waits before the next start, the longer the more failed.
    fn pause(&self) {
        if self.failures > 0 {
            self.shared.pause(pause(self.failures));
        }
    }

    /// Fails one task if workers have failed too often: its caller should not wait for ever.
    fn give_up_one(&mut self, error: &PoolError) {
        if self.failures >= PATIENCE
            && let Some(job) = self.shared.take_one(self.place)
        {
            let (signal, exit_code) = match error {
                PoolError::Start(StartError::Died { signal, exit_code }) => (*signal, *exit_code),
                _ => (None, None),
            };
            let died = TaskError::WorkerDied { signal, exit_code, out_of_memory: false };
            self.shared.finish(self.place, job, Err(died));
        }
    }

    /// Has the worker run a chunk. Every job of it is finished or back in the queue afterwards.
    fn process(&mut self, mut jobs: VecDeque<Job>) {
        self.encode(&mut jobs);
        let response = self.response();
        let Some(worker) = &mut self.worker else {
            // Not reached: `step` starts one. The jobs would be safe all the same.
            self.shared.requeue(self.place, jobs);
            return;
        };
        if !worker.send(&self.out) {
            // If it is not dead it does not read, and is of no more use. What it has answered so
            // far still comes.
            worker.kill();
        }
        let timeout = self.shared.settings.task_timeout;
        while let Some(job) = jobs.pop_front() {
            let mut begun = None;
            let ended = worker.begun(response).and_then(|()| {
                begun = Some(Instant::now());
                self.shared.begun(self.place, job.ticket.wish());
                worker.ended(timeout)
            });
            let lost = match ended {
                Ok(outcome) => {
                    let took = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
                    self.pace = Some(self.pace.map_or(took, |pace| (pace * 7 + took) / 8));
                    self.tasks = self.tasks.saturating_add(1);
                    self.failures = 0;
                    self.shared.finish(self.place, job, outcome);
                    continue;
                }
                Err(lost) => lost,
            };
            // One that is not dead is killed when it is dropped.
            let exit = if lost == Lost::Died { worker.wait() } else { Exit::default() };
            if begun.is_some() {
                self.bury(job, lost, exit, &mut jobs);
            } else {
                jobs.push_front(job);
            }
            self.shared.requeue(self.place, jobs);
            self.lose(begun.is_some());
            return;
        }
    }

    /// Settles the job that a lost worker was running: finishes it, or puts it back before `rest`.
    fn bury(&self, mut job: Job, lost: Lost, exit: Exit, rest: &mut VecDeque<Job>) {
        let Exit { signal, code: exit_code, out_of_memory } = exit;
        let error = match lost {
            // `requeue` cancels it.
            _ if self.shared.is_terminated() => return rest.push_front(job),
            Lost::Died => {
                job.deaths += 1;
                if self.shared.settings.tries_again(job.deaths) {
                    return rest.push_front(job);
                }
                TaskError::WorkerDied { signal, exit_code, out_of_memory }
            }
            Lost::TimedOut => {
                TaskError::TimedOut { after: self.shared.settings.task_timeout.unwrap_or_default() }
            }
            Lost::Broken(cause) => {
                TaskError::Undecodable { what: "the worker's reply".to_owned(), cause }
            }
        };
        self.shared.finish(self.place, job, Err(error));
    }

    /// Writes the messages of the jobs to `out`. A job that has none is finished and taken out.
    fn encode(&mut self, jobs: &mut VecDeque<Job>) {
        self.out.clear();
        for job in std::mem::take(jobs) {
            match put_job(&mut self.out, job.task, job.signature, &job.args, job.fds.clone()) {
                Ok(()) => jobs.push_back(job),
                Err(error) => self.shared.finish(self.place, job, Err(error)),
            }
        }
    }
}
