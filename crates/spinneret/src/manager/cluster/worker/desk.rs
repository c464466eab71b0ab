//! What a worker has: the jobs that wait here, those that run, and what the manager is to hear.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem::take,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{LocalPool, WorkerSummary, registry};
use crate::{
    manager::wire::{Ended, Given, Report, TaskKey, weight},
    pool::{Errand, Wish},
    task::{Outcome, TaskError},
};

/// How much work to have in advance, which makes the way to the manager a small part of it.
const IN_ADVANCE: Duration = Duration::from_millis(20);
/// The most jobs to have in advance for each slot.
const MOST_IN_ADVANCE: usize = 256;
/// What an ending in a report is counted for beyond its bytes: more than goes with it.
const HEAD: usize = 64;

/// See the module.
///
/// Jobs are begun here, one for each free slot, so that those of them that wait can still go to
/// others. The thread that hears of an ending begins the next.
pub(super) struct Desk {
    pool: LocalPool,
    slots: usize,
    /// The largest result that the manager takes, in bytes.
    max_item: usize,
    state: Mutex<State>,
    changed: Notify,
    /// To itself, for the jobs that run.
    this: Weak<Desk>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Given>,
    running: HashMap<u64, Running>,
    begun: Vec<u64>,
    ended: VecDeque<Ended>,
    returned: Vec<u64>,
    /// How long a job takes, as a moving average.
    pace: Option<Duration>,
    /// No job is begun any more.
    drained: bool,
    summary: WorkerSummary,
}

struct Running {
    since: Instant,
    /// When its time is over, and how much that is.
    deadline: Option<(Instant, Duration)>,
    wish: Arc<Wish>,
    /// Whether its outcome was reported although it has not ended.
    settled: bool,
}

impl Desk {
    pub fn new(pool: LocalPool, max_item: usize) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            slots: pool.workers(),
            pool,
            max_item,
            state: Mutex::default(),
            changed: Notify::new(),
            this: this.clone(),
        })
    }

    pub fn pool(&self) -> &LocalPool {
        &self.pool
    }

    /// Waits until there may be something to report.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes jobs. What is revoked is given back, or ended if it runs; what is recalled is given back
    /// if it does not.
    pub fn take(&self, jobs: Vec<Given>, revoked: &[u64], recalled: &[u64]) {
        let mut state = self.state.lock();
        let mut unwanted = false;
        if !revoked.is_empty() || !recalled.is_empty() {
            let back: HashSet<&u64> = revoked.iter().chain(recalled).collect();
            let State { waiting, returned, running, .. } = &mut *state;
            waiting.retain(|job| {
                let stays = !back.contains(&job.lease);
                if !stays {
                    returned.push(job.lease);
                }
                stays
            });
            for running in revoked.iter().filter_map(|lease| running.get(lease)) {
                running.wish.give_up();
                unwanted = true;
            }
        }
        if state.drained {
            state.returned.extend(jobs.iter().map(|job| job.lease));
        } else {
            state.waiting.extend(jobs);
        }
        let begun = self.begin(&mut state);
        drop(state);
        self.run(begun);
        if unwanted {
            self.pool.end_unwanted();
        }
        self.changed.notify_one();
    }

    /// Begins as many jobs as there are free slots.
    fn begin(&self, state: &mut State) -> Vec<Errand> {
        let mut errands = Vec::new();
        while state.running.len() < self.slots
            && let Some(Given { lease, task: TaskKey { name, signature }, timeout, args }) =
                state.waiting.pop_front()
        {
            let entry = match registry::find(&name, signature) {
                Ok(entry) => entry,
                Err(error) => {
                    state.summary.failed += 1;
                    state.end(lease, Duration::ZERO, Err(error), false);
                    continue;
                }
            };
            let since = Instant::now();
            let deadline = timeout.and_then(|time| Some((since.checked_add(time)?, time)));
            let wish = Arc::<Wish>::default();
            let desk = self.this.clone();
            let report = Box::new(move |outcome| {
                // None only when the worker has ended, and with it all that ran.
                if let Some(desk) = desk.upgrade() {
                    desk.ended(lease, outcome);
                }
            });
            errands.push(Errand::new(entry, args.into(), Arc::clone(&wish), report));
            state.running.insert(lease, Running { since, deadline, wish, settled: false });
            state.begun.push(lease);
        }
        errands
    }

    fn run(&self, errands: Vec<Errand>) {
        for errand in errands {
            self.pool.run(errand);
        }
    }

    /// A job has ended, and its slot is free.
    fn ended(&self, lease: u64, outcome: Outcome<Vec<u8>>) {
        let mut state = self.state.lock();
        let Some(Running { since, settled, .. }) = state.running.remove(&lease) else { return };
        let took = since.elapsed();
        state.pace = Some(state.pace.map_or(took, |before| (before * 7 + took) / 8));
        let outcome = outcome.and_then(|bytes| self.fits(bytes)).map_err(|error| self.clip(error));
        if !settled {
            match outcome {
                Ok(_) => state.summary.done += 1,
                Err(_) => state.summary.failed += 1,
            }
        }
        state.end(lease, took, outcome.map(Into::into), false);
        let begun = self.begin(&mut state);
        drop(state);
        self.run(begun);
        self.changed.notify_one();
    }

    fn fits(&self, bytes: Vec<u8>) -> Outcome<Vec<u8>> {
        if bytes.len() <= self.max_item {
            return Ok(bytes);
        }
        let (size, limit) = (bytes.len(), self.max_item);
        Err(TaskError::Undecodable {
            what: "the result".to_owned(),
            cause: format!(
                "it takes {size} bytes, the manager takes up to {limit}: return less, or let the \
                 manager have a larger `max_frame`"
            ),
        })
    }

    /// A panic may say more than fits.
    fn clip(&self, error: TaskError) -> TaskError {
        let most = self.max_item / 4;
        let clip = |mut text: String| {
            text.truncate(text.floor_char_boundary(most));
            text
        };
        match error {
            TaskError::Panicked { message, backtrace } => {
                TaskError::Panicked { message: clip(message), backtrace: clip(backtrace) }
            }
            other => other,
        }
    }

    /// Fails the jobs whose time is over, and returns when the next one's will be.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state.lock();
        let State { running, ended, summary, .. } = &mut *state;
        let (mut next, mut late): (Option<Instant>, _) = (None, false);
        for (lease, job) in running {
            let Some((mut deadline, after)) = job.deadline.filter(|_| !job.settled) else {
                continue;
            };
            if deadline <= now && !job.wish.has_begun() {
                // Its process had to be started anew: its time has not begun either.
                deadline = now + after;
                job.deadline = Some((deadline, after));
            }
            if deadline > now {
                next = Some(next.map_or(deadline, |next| next.min(deadline)));
                continue;
            }
            late = true;
            job.settled = true;
            job.wish.give_up();
            summary.failed += 1;
            let outcome = Err(TaskError::TimedOut { after });
            let took = job.since.elapsed();
            ended.push_back(Ended { lease: *lease, took, outcome, still_runs: true });
        }
        drop(state);
        if late {
            self.pool.end_unwanted();
        }
        next
    }

    /// What has happened since the last report, of about so many bytes; `None` if nothing has.
    pub fn next_report(&self, max_bytes: usize) -> Option<Report> {
        let mut state = self.state.lock();
        let size = |ended: &Ended| 2 * HEAD + weight(&ended.outcome);
        let (mut ended, mut bytes) = (Vec::new(), 0);
        while let Some(next) = state.ended.front() {
            bytes += size(next);
            if bytes > max_bytes && !ended.is_empty() {
                break;
            }
            ended.extend(state.ended.pop_front());
        }
        if !state.begun.is_empty() && !ended.is_empty() {
            // What has ended need not have begun.
            let over: HashSet<u64> =
                ended.iter().filter(|ended| !ended.still_runs).map(|ended| ended.lease).collect();
            state.begun.retain(|lease| !over.contains(lease));
        }
        // One that is larger goes alone: with more, it may be longer than a frame.
        let large = ended.iter().any(|ended| size(ended) > max_bytes);
        let State { begun, returned, .. } = &mut *state;
        let (begun, returned) =
            if large { Default::default() } else { (take(begun), take(returned)) };
        if begun.is_empty() && ended.is_empty() && returned.is_empty() {
            return None;
        }
        let depth = self.slots + in_advance(state.pace, self.slots);
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        Some(Report { depth, begun, ended, returned })
    }

    /// Begins nothing any more, and gives back what waits.
    pub fn drain(&self) {
        let mut state = self.state.lock();
        state.drained = true;
        let waiting = take(&mut state.waiting);
        state.returned.extend(waiting.iter().map(|job| job.lease));
        drop(state);
        self.changed.notify_one();
    }

    /// Whether nothing runs, and nothing will, and the manager has heard of all that did.
    pub fn is_drained(&self) -> bool {
        let state = self.state.lock();
        let told = state.ended.is_empty() && state.returned.is_empty();
        state.drained && state.running.is_empty() && told
    }

    /// Begins nothing any more, whatever still comes; what was done.
    pub fn close(&self) -> WorkerSummary {
        self.drain();
        self.state.lock().summary
    }
}

impl State {
    fn end(
        &mut self,
        lease: u64,
        took: Duration,
        outcome: Outcome<bytes::Bytes>,
        still_runs: bool,
    ) {
        self.ended.push_back(Ended { lease, took, outcome, still_runs });
    }
}

/// How many jobs to have beyond those that run: as many as take [`IN_ADVANCE`], none while nothing
/// is known.
fn in_advance(pace: Option<Duration>, slots: usize) -> usize {
    let Some(pace) = pace else { return 0 };
    let timely = IN_ADVANCE.as_nanos() / pace.as_nanos().max(1);
    usize::try_from(timely).unwrap_or(usize::MAX).min(MOST_IN_ADVANCE).saturating_mul(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ThreadPool, pool::LocalPoolBuilder};

    fn desk() -> Arc<Desk> {
        let pool = LocalPoolBuilder::Threads(ThreadPool::builder().workers(1)).build().unwrap();
        Desk::new(pool, 1000)
    }

    fn ended(lease: u64, size: usize) -> Ended {
        let outcome = Ok(vec![0; size].into());
        Ended { lease, took: Duration::ZERO, outcome, still_runs: false }
    }

    #[test]
    fn a_worker_is_not_drained_before_its_last_outcome_is_reported() {
        let desk = desk();
        desk.drain();
        // It ended between the last look for a report and the question.
        desk.state.lock().ended.push_back(ended(1, 0));
        assert!(!desk.is_drained());
        assert_eq!(desk.next_report(500).unwrap().ended.len(), 1);
        assert!(desk.is_drained());
    }

    #[test]
    fn panics_that_say_much_do_not_all_go_into_one_report() {
        let desk = desk();
        for lease in 0..2 {
            let message = "x".repeat(400);
            let outcome = Err(TaskError::Panicked { message, backtrace: String::new() });
            desk.state.lock().end(lease, Duration::ZERO, outcome, false);
        }
        assert_eq!(desk.next_report(800).unwrap().ended.len(), 1);
        assert_eq!(desk.next_report(800).unwrap().ended.len(), 1);
    }

    #[test]
    fn an_outcome_as_large_as_may_be_is_reported_alone() {
        let desk = desk();
        {
            let mut state = desk.state.lock();
            state.ended.push_back(ended(1, 1000));
            state.begun = vec![1, 2];
            state.returned = vec![3];
        }
        let Report { begun, ended, returned, .. } = desk.next_report(500).unwrap();
        assert_eq!((begun, ended.len(), returned), (vec![], 1, vec![]));
        let Report { begun, ended, returned, .. } = desk.next_report(500).unwrap();
        assert_eq!((begun, ended.len(), returned), (vec![2], 0, vec![3]));
    }

    #[test]
    fn short_jobs_are_wanted_in_advance_and_long_ones_are_not() {
        assert_eq!(in_advance(None, 4), 0);
        assert_eq!(in_advance(Some(Duration::from_secs(1)), 4), 0);
        assert_eq!(in_advance(Some(Duration::from_millis(5)), 4), 16);
        assert_eq!(in_advance(Some(Duration::ZERO), 4), 4 * MOST_IN_ADVANCE);
    }
}
