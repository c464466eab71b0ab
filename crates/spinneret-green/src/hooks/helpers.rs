//! Threads that block in a green thread's place, where the kernel offers nothing to wait for
//! otherwise: name look-ups, threads that end, futexes of other processes.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::RawLock;
use crate::{
    green,
    task::{Task, Woken},
};

/// A thread without work for so long ends.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A bounded pool of threads, started as they are needed.
pub(super) struct Helpers {
    name: &'static str,
    most: AtomicUsize,
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job. Some may have one waiting already.
    idle: usize,
}

/// What a helper was asked for.
pub(super) struct Asked<T>(Arc<Answer<T>>);

struct Answer<T> {
    task: Task,
    /// `None` until it is done, or if the work panicked.
    value: RawLock<Option<T>>,
    done: AtomicBool,
}

impl Helpers {
    pub const fn new(name: &'static str, most: usize) -> Self {
        Self {
            name,
            most: AtomicUsize::new(most),
            state: Mutex::new(State { jobs: VecDeque::new(), threads: 0, idle: 0 }),
            more: Condvar::new(),
        }
    }

    /// How many threads there may be from now on.
    pub fn limit(&self, most: usize) {
        self.most.store(most.max(1), Ordering::Relaxed);
    }

    /// Lets a thread run `work` for the running green thread. `None` if all are busy, unless it
    /// `queue`s; and if there is no thread and none can be started.
    pub fn ask<T: Send + 'static>(
        &'static self,
        queue: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<Asked<T>> {
        let task = Task::clone(&*green::current()?);
        let answer =
            Arc::new(Answer { task, value: RawLock::new(None), done: AtomicBool::new(false) });
        let told = Arc::clone(&answer);
        let job = Box::new(move || {
            // What is asked here is foreign code; a helper outlives it.
            let value = catch_unwind(AssertUnwindSafe(work)).ok();
            *told.value.lock() = value;
            told.done.store(true, Ordering::Release);
            told.task.unpark();
        });
        self.start(queue, job).then_some(Asked(answer))
    }

    fn start(&'static self, queue: bool, job: Job) -> bool {
        let mut state = self.lock();
        if state.idle > state.jobs.len() {
            state.jobs.push_back(job);
            self.more.notify_one();
            return true;
        }
        if state.threads < self.most.load(Ordering::Relaxed) {
            state.threads += 1;
            drop(state);
            let serve = move || {
                job();
                self.serve();
            };
            let started = thread::Builder::new().name(self.name.to_owned()).spawn(serve).is_ok();
            if !started {
                self.lock().threads -= 1;
            }
            return started;
        }
        if queue {
            state.jobs.push_back(job);
        }
        queue
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (back, waited) =
                self.more.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Asked<T> {
    /// Suspends the green thread until the answer is there, or it is interrupted; the work goes on
    /// then, and its answer is dropped.
    pub fn wait(self) -> Result<T, Woken> {
        while !self.0.done.load(Ordering::Acquire) {
            match green::park(None) {
                Woken::Unparked => {}
                woken => return Err(woken),
            }
        }
        Ok(self.take())
    }

    /// Suspends the green thread until the answer is there.
    pub fn wait_firmly(self) -> T {
        while !self.0.done.load(Ordering::Acquire) {
            green::park_firmly(None);
        }
        self.take()
    }

    fn take(&self) -> T {
        self.0.value.lock().take().unwrap_or_default()
    }
}
