//! Jobs, pools and workers of a cluster as a state machine: no clock, no threads, no waiting.
//!
//! A job waits in its pool, or a worker has it under a lease. It is given out as soon as a worker has
//! room for it: to one with a free slot, else to one that wants some in advance. Pools take turns,
//! job by job, and in each pool the lowest number comes first. The jobs of a pool that does not listen
//! wait until it does, or its outcomes would fill the memory.
//!
//! Whatever is said about a lease counts only while its worker has it, and each lease has a number
//! of its own. So a job has one outcome, however often it was given out and whoever reports late.

mod assign;
mod pool;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::{pool::Pool, worker::Worker};
use super::super::{
    store::Owner,
    wire::{ClusterReply, Ended, Event, Given, Order, Recruit, Report, TaskKey, Terms, weight},
};
use super::stats::ClusterStats;
use crate::task::{Outcome, TaskError};

/// How long a task may be unknown to all workers there are before its jobs fail: as long as it may
/// take to start the right ones.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// What a job in a batch is counted for beyond its bytes: more than goes with it, but for its name.
const HEAD: usize = 64;

/// A job that a worker has, or had: its slot is taken until the worker says that it is free.
#[derive(Debug)]
struct Lease {
    worker: Owner,
    /// Its pool and number there; none if nobody wants it any more.
    job: Option<(Owner, u64)>,
    /// Whether the worker was told of it.
    fetched: bool,
    /// Since when it runs.
    begun: Option<Instant>,
    /// Whether its worker was asked to give it back.
    recalled: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Board {
    pools: BTreeMap<Owner, Pool>,
    workers: BTreeMap<Owner, Worker>,
    leases: HashMap<u64, Lease>,
    /// How many workers that take jobs know each task.
    known: HashMap<TaskKey, usize>,
    /// Pools with jobs to give out.
    hungry: BTreeSet<Owner>,
    /// Workers with free slots, and those without that want jobs in advance.
    free: BTreeSet<Owner>,
    ahead: BTreeSet<Owner>,
    /// Workers in which jobs wait.
    loaded: BTreeSet<Owner>,
    /// Whose turn was last.
    last_pool: Owner,
    last_worker: Owner,
    last_lease: u64,
    /// For whom there is something to fetch or to hear.
    woken: BTreeSet<Owner>,
    /// When to look for jobs that nobody has the code for, if there are new ones.
    alarm: Option<Instant>,
}

impl Board {
    /// Makes an owner a pool; `false` if it is one.
    pub fn open(&mut self, owner: Owner, terms: Terms) -> bool {
        if self.pools.contains_key(&owner) {
            return false;
        }
        self.pools.insert(owner, Pool::new(terms));
        true
    }

    /// Makes an owner a worker; `false` if it is one.
    pub fn enlist(
        &mut self,
        owner: Owner,
        recruit: Recruit,
        address: SocketAddr,
        now: Instant,
    ) -> bool {
        if self.workers.contains_key(&owner) {
            return false;
        }
        let worker = Worker::new(recruit, address);
        for task in &worker.tasks {
            *self.known.entry(task.clone()).or_default() += 1;
        }
        self.workers.insert(owner, worker);
        self.place(owner);
        self.crew_changed(now);
        self.assign();
        true
    }

    /// Takes jobs of a pool; `false` if there is no such pool.
    pub fn submit(&mut self, owner: Owner, orders: Vec<Order>, now: Instant) -> bool {
        let anyone = self.crew().next().is_some();
        let Some(pool) = self.pools.get_mut(&owner) else { return false };
        for order in orders {
            let stranded = anyone && !self.known.contains_key(&order.task);
            pool.take_in(order, stranded.then_some(now));
            if stranded {
                self.alarm = Some(now + GRACE);
            }
        }
        self.fed(owner);
        self.assign();
        true
    }

    /// Cancels those jobs of a pool that have not begun; returns them.
    pub fn cancel(&mut self, owner: Owner, ids: &[u64]) -> Vec<u64> {
        let mut cancelled = Vec::new();
        for id in ids {
            let Some(pool) = self.pools.get_mut(&owner) else { break };
            let Some(lease) = pool.lease_of(*id) else { continue };
            let begun = |lease| self.leases.get(&lease).is_some_and(|lease| lease.begun.is_some());
            if lease.is_some_and(begun) {
                continue;
            }
            pool.remove(*id);
            cancelled.push(*id);
            if let Some(lease) = lease {
                self.revoke(lease);
            }
        }
        self.fed(owner);
        self.assign();
        cancelled
    }

    /// Ends a pool, and whatever its jobs do.
    pub fn close(&mut self, owner: Owner) {
        let Some(pool) = self.pools.remove(&owner) else { return };
        self.hungry.remove(&owner);
        for lease in pool.leases() {
            self.revoke(lease);
        }
        self.woken.insert(owner);
        self.assign();
    }

    /// What a worker is to be told; nothing yet is `None`.
    pub fn fetch(&mut self, owner: Owner, max_bytes: usize) -> Option<ClusterReply> {
        let Some(worker) = self.workers.get_mut(&owner) else { return Some(ClusterReply::Gone) };
        let revoked = std::mem::take(&mut worker.revoked);
        let recalled = std::mem::take(&mut worker.recalled);
        let (mut jobs, mut bytes) = (Vec::new(), 0);
        while let Some(number) = worker.outgoing.front().copied() {
            let lease = self.leases.get_mut(&number);
            // Else it was cancelled in between.
            if let Some(lease) = lease
                && let Some((pool, id)) = lease.job
                && let Some(pool) = self.pools.get(&pool)
                && let Some(job) = pool.jobs.get(&id)
            {
                bytes += job.args.len() + job.task.name.len() + HEAD;
                if bytes > max_bytes && !jobs.is_empty() {
                    // The rest by the next fetch.
                    self.woken.insert(owner);
                    break;
                }
                lease.fetched = true;
                jobs.push(Given {
                    lease: number,
                    task: job.task.clone(),
                    timeout: pool.terms.timeout,
                    args: job.args.clone(),
                });
            }
            worker.outgoing.pop_front();
        }
        let any = !jobs.is_empty() || !revoked.is_empty() || !recalled.is_empty();
        any.then_some(ClusterReply::Work { jobs, revoked, recalled })
    }

    /// Takes in what has happened at a worker; `false` if there is no such worker.
    pub fn report(&mut self, owner: Owner, report: Report, now: Instant) -> bool {
        let Some(worker) = self.workers.get_mut(&owner) else { return false };
        worker.want(report.depth);
        for number in report.begun {
            if let Some(lease) = self.held(owner, number)
                && lease.begun.is_none()
            {
                lease.begun = Some(now);
                if let Some((pool, id)) = lease.job {
                    self.tell(pool, Event::Begun(id));
                }
            }
        }
        for Ended { lease, took, outcome, still_runs } in report.ended {
            let Some(held) = self.held(owner, lease) else { continue };
            let job = held.job.take();
            if !still_runs {
                self.drop_lease(lease);
                if let Some(worker) = self.workers.get_mut(&owner) {
                    worker.ended += 1;
                    worker.busy = worker.busy.saturating_add(took);
                }
            }
            if let Some((pool, id)) = job {
                self.settle(pool, id, outcome, now);
            }
        }
        // Their numbers are their order.
        for number in report.returned {
            if self.held(owner, number).is_some()
                && let Some(lease) = self.drop_lease(number)
                && let Some((pool, id)) = lease.job
            {
                self.requeue(pool, id, now);
            }
        }
        self.place(owner);
        self.assign();
        true
    }

    /// Gives a worker nothing any more, and what it has not fetched to others.
    pub fn retire(&mut self, owner: Owner, now: Instant) {
        let Some(worker) = self.workers.get_mut(&owner) else { return };
        if std::mem::replace(&mut worker.retired, true) {
            return;
        }
        let (outgoing, tasks) = (std::mem::take(&mut worker.outgoing), worker.tasks.clone());
        for number in outgoing {
            if let Some(lease) = self.drop_lease(number)
                && let Some((pool, id)) = lease.job
            {
                self.requeue(pool, id, now);
            }
        }
        self.forget(&tasks);
        self.place(owner);
        self.crew_changed(now);
        self.assign();
    }

    /// What a pool is to be told; nothing yet is `None`.
    pub fn listen(&mut self, owner: Owner, max_bytes: usize) -> Option<ClusterReply> {
        let slots = self.slots();
        let Some(pool) = self.pools.get_mut(&owner) else { return Some(ClusterReply::Gone) };
        let (events, more) = pool.news(max_bytes);
        if more {
            self.woken.insert(owner);
        }
        if events.is_empty() && pool.slots_told == Some(slots) {
            return None;
        }
        pool.slots_told = Some(slots);
        // It may have been too far behind to be given anything.
        self.fed(owner);
        self.assign();
        Some(ClusterReply::News { events, slots })
    }

    /// Forgets an owner that is gone. The jobs of a worker go to others; only those that it had begun
    /// are charged with its death.
    pub fn leave(&mut self, owner: Owner, now: Instant) {
        self.close(owner);
        let Some(worker) = self.workers.remove(&owner) else {
            self.woken.remove(&owner);
            return;
        };
        self.place(owner);
        if !worker.retired {
            self.forget(&worker.tasks);
        }
        for number in &worker.leases {
            let Some(Lease { job: Some((pool, id)), begun, .. }) = self.leases.remove(number)
            else {
                continue;
            };
            if begun.is_some() {
                let unknown =
                    TaskError::WorkerDied { signal: None, exit_code: None, out_of_memory: false };
                self.settle(pool, id, Err(unknown), now);
            } else {
                self.requeue(pool, id, now);
            }
        }
        self.crew_changed(now);
        self.assign();
        self.woken.remove(&owner);
    }

    /// Fails the jobs whose task has been unknown for too long, and returns when to look again.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let (workers, known) = (self.crew().count(), &self.known);
        for (owner, pool) in &mut self.pools {
            for (task, since) in pool.stranded() {
                let end = since + GRACE;
                if end > now {
                    next = Some(next.map_or(end, |next| next.min(end)));
                    continue;
                }
                let namesake = known.keys().any(|known| known.name == task.name);
                pool.fail_lane(&task, &unknown(&task, namesake, workers));
                self.woken.insert(*owner);
            }
            if !pool.is_hungry() {
                self.hungry.remove(owner);
            }
        }
        next
    }

    pub fn stats(&self, now: Instant) -> ClusterStats {
        let jobs: usize = self.pools.values().map(|pool| pool.jobs.len()).sum();
        let running = self.leases.values().filter(|l| l.begun.is_some() && l.job.is_some()).count();
        let workers = self.workers.values().map(|worker| {
            let begun = worker.leases.iter().filter_map(|lease| self.leases.get(lease)?.begun);
            worker.info(begun, now)
        });
        ClusterStats {
            pools: self.pools.len() as u64,
            queued: jobs.saturating_sub(running) as u64,
            running: running as u64,
            workers: workers.collect(),
        }
    }

    /// For whom [`fetch`](Self::fetch) or [`listen`](Self::listen) has something since last asked.
    pub fn take_woken(&mut self) -> BTreeSet<Owner> {
        std::mem::take(&mut self.woken)
    }

    /// When [`expire`](Self::expire) is to be asked, if that is new.
    pub fn take_alarm(&mut self) -> Option<Instant> {
        self.alarm.take()
    }

    /// How many jobs all workers run at the same time.
    fn slots(&self) -> u32 {
        self.crew().fold(0, |sum, worker| sum.saturating_add(worker.slots))
    }

    /// The workers that take jobs.
    fn crew(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values().filter(|worker| !worker.retired)
    }

    /// A lease that this worker has.
    fn held(&mut self, worker: Owner, number: u64) -> Option<&mut Lease> {
        self.leases.get_mut(&number).filter(|lease| lease.worker == worker && lease.fetched)
    }

    /// Frees the slot of a lease.
    fn drop_lease(&mut self, number: u64) -> Option<Lease> {
        let lease = self.leases.remove(&number)?;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.leases.remove(&number);
        }
        self.place(lease.worker);
        Some(lease)
    }

    /// Nobody wants the job of a lease any more. If its worker knows of it, its slot is not free
    /// before the worker says so.
    fn revoke(&mut self, number: u64) {
        let Some(lease) = self.leases.get_mut(&number) else { return };
        lease.job = None;
        let owner = lease.worker;
        if !lease.fetched {
            self.drop_lease(number);
        } else if let Some(worker) = self.workers.get_mut(&owner) {
            worker.revoked.push(number);
            self.woken.insert(owner);
        }
    }

    /// Books the outcome of a job, unless it is to be tried again.
    fn settle(&mut self, owner: Owner, id: u64, outcome: Outcome<Bytes>, now: Instant) {
        let Some(pool) = self.pools.get_mut(&owner) else { return };
        if matches!(outcome, Err(TaskError::WorkerDied { .. })) && pool.tries_again(id) {
            self.requeue(owner, id, now);
            self.tell(owner, Event::Again(id));
            return;
        }
        if pool.remove(id) {
            self.tell(owner, Event::Ended(id, outcome));
        }
    }

    /// A job waits again, at its old place.
    fn requeue(&mut self, owner: Owner, id: u64, now: Instant) {
        let anyone = self.crew().next().is_some();
        if let Some(pool) = self.pools.get_mut(&owner) {
            // Its worker may have retired, and be the last that knew the task.
            let stranded =
                pool.task(id).is_some_and(|task| anyone && !self.known.contains_key(task));
            pool.requeue(id, stranded.then_some(now));
            if stranded {
                self.alarm = Some(now + GRACE);
            }
        }
        self.fed(owner);
    }

    fn tell(&mut self, owner: Owner, event: Event) {
        if let Some(pool) = self.pools.get_mut(&owner) {
            pool.tell(event);
            self.woken.insert(owner);
        }
        self.fed(owner);
    }

    /// Notes whether a pool has jobs to give out.
    fn fed(&mut self, owner: Owner) {
        if self.pools.get(&owner).is_some_and(Pool::is_hungry) {
            self.hungry.insert(owner);
        } else {
            self.hungry.remove(&owner);
        }
    }

    /// Notes how much room a worker has.
    fn place(&mut self, owner: Owner) {
        for set in [&mut self.free, &mut self.ahead, &mut self.loaded] {
            set.remove(&owner);
        }
        let Some(worker) = self.workers.get(&owner).filter(|worker| !worker.retired) else {
            return;
        };
        if worker.leases.len() > worker.slots as usize {
            self.loaded.insert(owner);
        }
        if worker.free_slots() > 0 {
            self.free.insert(owner);
        } else if worker.leases.len() < worker.depth as usize {
            self.ahead.insert(owner);
        }
    }

    /// A worker that knew these tasks takes no more jobs.
    fn forget<'a>(&mut self, tasks: impl IntoIterator<Item = &'a TaskKey>) {
        for task in tasks {
            if let Some(count) = self.known.get_mut(task) {
                *count -= 1;
                if *count == 0 {
                    self.known.remove(task);
                }
            }
        }
    }

    /// A worker came or went: other tasks may be known now, and pools hear of the slots.
    fn crew_changed(&mut self, now: Instant) {
        let anyone = self.crew().next().is_some();
        for (owner, pool) in &mut self.pools {
            if pool.review(now, |task| !anyone || self.known.contains_key(task)) {
                self.alarm = Some(now + GRACE);
            }
            self.woken.insert(*owner);
        }
    }
}

/// Says what to do about a task that nobody has.
fn unknown(task: &TaskKey, namesake: bool, workers: usize) -> TaskError {
    let hint = if namesake {
        "the workers know it with other argument or result types: build them and this program from \
         the same source"
            .to_owned()
    } else {
        let none = match workers {
            1 => "the one worker of this manager does not have it".to_owned(),
            many => format!("none of the {many} workers of this manager has it"),
        };
        format!("{none}: mark it with #[spinneret::task] in their program, and start that anew")
    };
    TaskError::UnknownTask { name: task.name.to_string(), hint }
}

#[cfg(test)]
mod tests;
