//! Who is given which job, and what is asked back.

use std::{collections::BTreeSet, ops::Bound};

use super::{Board, Lease, Owner};

impl Board {
    /// Gives out what can be given, free slots first.
    pub(super) fn assign(&mut self) {
        for in_advance in [false, true] {
            let mut in_vain = 0;
            loop {
                let room = if in_advance { &self.ahead } else { &self.free };
                if self.hungry.is_empty() || in_vain >= room.len() {
                    break;
                }
                let Some(worker) = next_after(room, self.last_worker) else { break };
                self.last_worker = worker;
                match self.pick(worker, in_advance) {
                    Some((pool, id)) => {
                        self.give(worker, pool, id);
                        in_vain = 0;
                    }
                    None => in_vain += 1,
                }
            }
        }
        self.recall();
    }

    /// While workers have nothing to do, has others give back what waits there: so a few long jobs do
    /// not hold up what was given in advance behind them.
    fn recall(&mut self) {
        if self.free.is_empty() || self.loaded.is_empty() || !self.hungry.is_empty() {
            return;
        }
        let idle: Vec<_> = self.free.iter().filter_map(|owner| self.workers.get(owner)).collect();
        let mut wanted: usize = idle.iter().map(|worker| worker.free_slots()).sum();
        let mut recalled = Vec::new();
        for owner in &self.loaded {
            let Some(worker) = self.workers.get(owner) else { continue };
            // As many as surely wait there, those first that have to wait longest.
            let mut waiting = worker.leases.len() - worker.slots as usize;
            for number in worker.leases.iter().rev() {
                if wanted == 0 || waiting == 0 {
                    break;
                }
                let Some(lease) = self.leases.get(number).filter(|lease| lease.begun.is_none())
                else {
                    continue;
                };
                waiting -= 1;
                let task = lease.job.and_then(|(pool, id)| self.pools.get(&pool)?.task(id));
                let useful = |task| idle.iter().any(|worker| worker.tasks.contains(task));
                if lease.recalled {
                    // It is on its way.
                    wanted -= 1;
                } else if lease.fetched && task.is_some_and(useful) {
                    wanted -= 1;
                    recalled.push((*owner, *number));
                }
            }
        }
        for (owner, number) in recalled {
            if let Some(lease) = self.leases.get_mut(&number) {
                lease.recalled = true;
            }
            if let Some(worker) = self.workers.get_mut(&owner) {
                worker.recalled.push(number);
                self.woken.insert(owner);
            }
        }
    }

    /// The job whose turn it is, of those that a worker has the code for.
    fn pick(&self, worker: Owner, in_advance: bool) -> Option<(Owner, u64)> {
        let worker = self.workers.get(&worker)?;
        let after = (Bound::Excluded(self.last_pool), Bound::Unbounded);
        for owner in self.hungry.range(after).chain(self.hungry.range(..=self.last_pool)) {
            let Some(pool) = self.pools.get(owner) else { continue };
            let Some(id) = pool.first(&worker.tasks) else { continue };
            // Whose turn it is waits rather than be overtaken, or it might wait for ever.
            let goes = !in_advance || pool.may_wait_in(worker);
            return goes.then_some((*owner, id));
        }
        None
    }

    fn give(&mut self, owner: Owner, pool_owner: Owner, id: u64) {
        self.last_pool = pool_owner;
        self.last_lease += 1;
        let number = self.last_lease;
        let Some(worker) = self.workers.get_mut(&owner) else { return };
        let Some(pool) = self.pools.get_mut(&pool_owner) else { return };
        pool.hand_out(id, number);
        worker.leases.insert(number);
        worker.outgoing.push_back(number);
        let job = Some((pool_owner, id));
        self.leases.insert(
            number,
            Lease { worker: owner, job, fetched: false, begun: None, recalled: false },
        );
        self.woken.insert(owner);
        self.place(owner);
        self.fed(pool_owner);
    }
}

/// The next of them in turn.
fn next_after(owners: &BTreeSet<Owner>, last: Owner) -> Option<Owner> {
    let after = owners.range((Bound::Excluded(last), Bound::Unbounded)).next();
    after.or_else(|| owners.first()).copied()
}
