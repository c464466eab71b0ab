//! A cluster in numbers.

use std::{net::SocketAddr, time::Duration};

/// What a manager's cluster does at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStats {
    /// Pools that are connected.
    pub pools: u64,
    /// Their tasks that no worker has begun.
    pub queued: u64,
    /// Their tasks that run.
    pub running: u64,
    /// The workers that are connected.
    pub workers: Vec<WorkerInfo>,
}

/// A worker of a cluster at one moment: a program that serves tasks to a manager's pools.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// What it calls itself; its host and process unless told otherwise.
    pub name: String,
    /// Where it connects from.
    pub address: SocketAddr,
    /// The name of its machine.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// How many tasks it runs at the same time.
    pub slots: u32,
    /// How many it runs now.
    pub running: u32,
    /// How many it has ended.
    pub tasks: u64,
    /// For how long it has run tasks, added up over its slots, those that run now included.
    pub busy: Duration,
}
