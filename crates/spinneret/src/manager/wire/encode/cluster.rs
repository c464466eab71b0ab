//! Requests and replies of a cluster to frames.

use std::time::Duration;

use bytes::Bytes;

use super::super::cluster::{
    ClusterReply, ClusterRequest, Ended, Event, Given, Order, Recruit, Report, TaskKey, Terms,
};
use super::{Frame, micros};
use crate::{
    manager::cluster::{ClusterStats, WorkerInfo},
    task::{Outcome, TaskError},
};

impl Frame {
    pub(super) fn put_cluster_request(&mut self, request: &ClusterRequest) {
        match request {
            ClusterRequest::Open(terms) => {
                self.u8(1);
                let Terms { timeout, retries, poison_limit, chunk } = *terms;
                self.time(timeout);
                self.u32(retries);
                self.u32(poison_limit);
                self.u32(chunk);
            }
            ClusterRequest::Submit(orders) => {
                self.u8(2);
                self.count(orders.len());
                for Order { id, task, args } in orders {
                    self.u64(*id);
                    self.task(task);
                    self.blob(args);
                }
            }
            ClusterRequest::Cancel(ids) => {
                self.u8(3);
                self.numbers(ids);
            }
            ClusterRequest::Listen => self.u8(4),
            ClusterRequest::Leave => self.u8(5),
            ClusterRequest::Enlist(Recruit { name, host, pid, slots, tasks }) => {
                self.u8(6);
                self.text(name);
                self.text(host);
                self.u32(*pid);
                self.u32(*slots);
                self.count(tasks.len());
                for task in tasks {
                    self.task(task);
                }
            }
            ClusterRequest::Fetch => self.u8(7),
            ClusterRequest::Report(report) => {
                self.u8(8);
                self.report(report);
            }
            ClusterRequest::Retire => self.u8(9),
            ClusterRequest::Stats => self.u8(10),
        }
    }

    pub(super) fn put_cluster_reply(&mut self, reply: &ClusterReply) {
        match reply {
            ClusterReply::News { events, slots } => {
                self.u8(1);
                self.u32(*slots);
                self.count(events.len());
                for event in events {
                    self.event(event);
                }
            }
            ClusterReply::Cancelled(ids) => {
                self.u8(2);
                self.numbers(ids);
            }
            ClusterReply::Work { jobs, revoked, recalled } => {
                self.u8(3);
                self.numbers(revoked);
                self.numbers(recalled);
                self.count(jobs.len());
                for Given { lease, task, timeout, args } in jobs {
                    self.u64(*lease);
                    self.task(task);
                    self.time(*timeout);
                    self.blob(args);
                }
            }
            ClusterReply::Stats(stats) => {
                self.u8(4);
                self.cluster_stats(stats);
            }
            ClusterReply::Gone => self.u8(5),
        }
    }

    fn report(&mut self, report: &Report) {
        let Report { depth, begun, ended, returned } = report;
        self.u32(*depth);
        self.numbers(begun);
        self.numbers(returned);
        self.count(ended.len());
        for Ended { lease, took, outcome, still_runs } in ended {
            self.u64(*lease);
            self.u64(micros(*took));
            self.u8(u8::from(*still_runs));
            self.outcome(outcome);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Begun(id) => {
                self.u8(0);
                self.u64(*id);
            }
            Event::Again(id) => {
                self.u8(1);
                self.u64(*id);
            }
            Event::Ended(id, outcome) => {
                self.u8(2);
                self.u64(*id);
                self.outcome(outcome);
            }
        }
    }

    fn outcome(&mut self, outcome: &Outcome<Bytes>) {
        match outcome {
            Ok(value) => {
                self.u8(0);
                self.blob(value);
            }
            Err(error) => {
                self.u8(1);
                self.blob(&error_bytes(error).into());
            }
        }
    }

    fn cluster_stats(&mut self, stats: &ClusterStats) {
        let ClusterStats { pools, queued, running, workers } = stats;
        self.u64(*pools);
        self.u64(*queued);
        self.u64(*running);
        self.count(workers.len());
        for WorkerInfo { name, address, host, pid, slots, running, tasks, busy } in workers {
            self.text(name);
            self.text(&address.to_string());
            self.text(host);
            self.u32(*pid);
            self.u32(*slots);
            self.u32(*running);
            self.u64(*tasks);
            self.u64(micros(*busy));
        }
    }

    fn task(&mut self, task: &TaskKey) {
        self.text(&task.name);
        self.u64(task.signature);
    }

    /// A time that may be missing.
    fn time(&mut self, time: Option<Duration>) {
        self.u64(time.map_or(u64::MAX, micros));
    }
}

/// An error as it travels between processes everywhere. None cannot be written: they are texts and
/// numbers. An empty one would be read as undecodable.
fn error_bytes(error: &TaskError) -> Vec<u8> {
    rmp_serde::to_vec(error).unwrap_or_default()
}
