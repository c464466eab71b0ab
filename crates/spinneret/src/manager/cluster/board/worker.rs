//! A worker on the board: what it can do, and what it has.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Recruit, TaskKey};
use crate::manager::cluster::WorkerInfo;

/// The most jobs that a worker is given, whatever it wants.
const DEEPEST: u32 = 1 << 16;

#[derive(Debug)]
pub(super) struct Worker {
    name: Arc<str>,
    host: Arc<str>,
    pid: u32,
    address: SocketAddr,
    pub tasks: HashSet<TaskKey>,
    /// How many jobs it runs at the same time, at least 1.
    pub slots: u32,
    /// How many jobs it wants to have, at least as many as slots.
    pub depth: u32,
    /// Every lease that takes up a slot, or will.
    pub leases: BTreeSet<u64>,
    /// Leases it has yet to fetch, and those of them that were revoked meanwhile.
    pub outgoing: VecDeque<u64>,
    /// Leases that nobody wants any more, which it has yet to hear.
    pub revoked: Vec<u64>,
    /// Leases that it has yet to hear it is to give back.
    pub recalled: Vec<u64>,
    /// It takes no more jobs.
    pub retired: bool,
    /// How many jobs it has ended, and for how long those ran.
    pub ended: u64,
    pub busy: Duration,
}

impl Worker {
    pub fn new(recruit: Recruit, address: SocketAddr) -> Self {
        let Recruit { name, host, pid, slots, tasks } = recruit;
        let slots = slots.clamp(1, DEEPEST);
        Self {
            name,
            host,
            pid,
            address,
            tasks: tasks.into_iter().collect(),
            slots,
            depth: slots,
            leases: BTreeSet::new(),
            outgoing: VecDeque::new(),
            revoked: Vec::new(),
            recalled: Vec::new(),
            retired: false,
            ended: 0,
            busy: Duration::ZERO,
        }
    }

    /// Takes in how many jobs it wants to have.
    pub fn want(&mut self, depth: u32) {
        self.depth = depth.clamp(self.slots, DEEPEST);
    }

    pub fn free_slots(&self) -> usize {
        (self.slots as usize).saturating_sub(self.leases.len())
    }

    /// Itself, given since when the jobs run that it has begun.
    pub fn info(&self, begun: impl Iterator<Item = Instant>, now: Instant) -> WorkerInfo {
        let (mut running, mut busy) = (0, self.busy);
        for since in begun {
            running += 1;
            busy = busy.saturating_add(now.saturating_duration_since(since));
        }
        WorkerInfo {
            name: self.name.to_string(),
            address: self.address,
            host: self.host.to_string(),
            pid: self.pid,
            slots: self.slots,
            running,
            tasks: self.ended,
            busy,
        }
    }
}
