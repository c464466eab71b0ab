//! A pool on the board: its jobs, and what it has yet to hear of them.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Instant,
};

use bytes::Bytes;

use super::{Event, HEAD, Order, TaskError, TaskKey, Terms, weight, worker::Worker};

/// Bytes of events that a pool has yet to hear above which its jobs wait. Those that workers have by
/// then may still end.
const MOST_UNHEARD: usize = 64 << 20;

/// A job of a pool. Its pool has it until its outcome is there, so it can be given out again.
#[derive(Debug)]
pub(super) struct Job {
    pub task: TaskKey,
    pub args: Bytes,
    /// How many workers died while they ran it.
    deaths: u32,
    /// Under which a worker has it; none while it waits.
    lease: Option<u64>,
}

/// The jobs of one task that wait; there is no lane without jobs.
#[derive(Debug, Default)]
struct Lane {
    ids: BTreeSet<u64>,
    /// Since when no worker knows the task though there are workers.
    stranded: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub terms: Terms,
    pub jobs: HashMap<u64, Job>,
    lanes: HashMap<TaskKey, Lane>,
    /// What it has yet to hear.
    events: VecDeque<Event>,
    /// The bytes of that.
    unheard: usize,
    /// The number of slots that it last heard of.
    pub slots_told: Option<u32>,
}

impl Pool {
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            jobs: HashMap::new(),
            lanes: HashMap::new(),
            events: VecDeque::new(),
            unheard: 0,
            slots_told: None,
        }
    }

    /// Takes a job in, unless there is one of its number. `stranded` if no worker knows its task.
    pub fn take_in(&mut self, order: Order, stranded: Option<Instant>) {
        let Order { id, task, args } = order;
        if self.jobs.contains_key(&id) {
            return;
        }
        let lane = self.lanes.entry(task.clone());
        lane.or_insert_with(|| Lane { stranded, ..Lane::default() }).ids.insert(id);
        self.jobs.insert(id, Job { task, args, deaths: 0, lease: None });
    }

    /// Whether jobs wait, and may be given out.
    pub fn is_hungry(&self) -> bool {
        !self.lanes.is_empty() && self.unheard <= MOST_UNHEARD
    }

    /// Notes something for it to hear.
    pub fn tell(&mut self, event: Event) {
        self.unheard += size(&event);
        self.events.push_back(event);
    }

    /// The first job that waits, of these tasks.
    pub fn first(&self, tasks: &HashSet<TaskKey>) -> Option<u64> {
        let known = self.lanes.iter().filter(|(task, _)| tasks.contains(task));
        known.filter_map(|(_, lane)| lane.ids.first().copied()).min()
    }

    /// Whether a job may wait in a worker that has no free slot.
    pub fn may_wait_in(&self, worker: &Worker) -> bool {
        match self.terms.chunk {
            0 => true,
            chunk => worker.leases.len() < (worker.slots as usize).saturating_mul(chunk as usize),
        }
    }

    /// Whether there is a job of this number, and then its lease.
    #[expect(clippy::option_option, reason = "no job and no lease are two things")]
    pub fn lease_of(&self, id: u64) -> Option<Option<u64>> {
        self.jobs.get(&id).map(|job| job.lease)
    }

    pub fn task(&self, id: u64) -> Option<&TaskKey> {
        self.jobs.get(&id).map(|job| &job.task)
    }

    pub fn leases(&self) -> Vec<u64> {
        self.jobs.values().filter_map(|job| job.lease).collect()
    }

    /// Books that a worker has a job.
    pub fn hand_out(&mut self, id: u64, lease: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lease = Some(lease);
        let task = job.task.clone();
        self.leave_lane(&task, id);
    }

    /// Books that a job waits again. `stranded` if no worker knows its task any more.
    pub fn requeue(&mut self, id: u64, stranded: Option<Instant>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lease = None;
        let lane = self.lanes.entry(job.task.clone());
        lane.or_insert_with(|| Lane { stranded, ..Lane::default() }).ids.insert(id);
    }

    /// Forgets a job; `false` if there is none of this number.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(job) = self.jobs.remove(&id) else { return false };
        self.leave_lane(&job.task, id);
        true
    }

    fn leave_lane(&mut self, task: &TaskKey, id: u64) {
        if let Some(lane) = self.lanes.get_mut(task) {
            lane.ids.remove(&id);
            if lane.ids.is_empty() {
                self.lanes.remove(task);
            }
        }
    }

    /// Counts a death of a worker against a job, and says whether it is to be tried again.
    pub fn tries_again(&mut self, id: u64) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        job.deaths += 1;
        job.deaths <= self.terms.retries && job.deaths < self.terms.poison_limit
    }

    /// Notes which tasks nobody knows, now that workers came or went; whether there are any.
    pub fn review(&mut self, now: Instant, known: impl Fn(&TaskKey) -> bool) -> bool {
        for (task, lane) in &mut self.lanes {
            lane.stranded = if known(task) { None } else { lane.stranded.or(Some(now)) };
        }
        self.lanes.values().any(|lane| lane.stranded.is_some())
    }

    /// Tasks that nobody knows, and since when.
    pub fn stranded(&self) -> Vec<(TaskKey, Instant)> {
        let lanes = self.lanes.iter();
        lanes.filter_map(|(task, lane)| Some((task.clone(), lane.stranded?))).collect()
    }

    /// Fails all jobs of a task that wait.
    pub fn fail_lane(&mut self, task: &TaskKey, error: &TaskError) {
        let lane = self.lanes.remove(task).unwrap_or_default();
        for id in lane.ids {
            self.jobs.remove(&id);
            self.tell(Event::Ended(id, Err(error.clone())));
        }
    }

    /// The next events of about so many bytes, and whether there are more.
    pub fn news(&mut self, max_bytes: usize) -> (Vec<Event>, bool) {
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(event) = self.events.front() {
            let size = size(event);
            bytes += size;
            if bytes > max_bytes && !events.is_empty() {
                break;
            }
            self.unheard -= size;
            events.extend(self.events.pop_front());
        }
        (events, !self.events.is_empty())
    }
}

/// About how many bytes an event takes.
fn size(event: &Event) -> usize {
    match event {
        Event::Ended(_, outcome) => HEAD + weight(outcome),
        _ => HEAD,
    }
}
