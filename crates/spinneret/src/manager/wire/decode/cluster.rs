//! Frames to requests and replies of a cluster.

use std::time::Duration;

use bytes::Bytes;

use super::super::cluster::{
    ClusterReply, ClusterRequest, Ended, Event, Given, Order, Recruit, Report, TaskKey, Terms,
};
use super::{Malformed, Reader, Result};
use crate::{
    manager::cluster::{ClusterStats, WorkerInfo},
    task::{Outcome, TaskError},
};

impl Reader {
    pub(super) fn cluster_request(&mut self) -> Result<ClusterRequest> {
        Ok(match self.u8()? {
            1 => ClusterRequest::Open(Terms {
                timeout: self.time()?,
                retries: self.u32()?,
                poison_limit: self.u32()?,
                chunk: self.u32()?,
            }),
            2 => ClusterRequest::Submit(self.list(24, |reader| {
                Ok(Order { id: reader.u64()?, task: reader.task()?, args: reader.blob()? })
            })?),
            3 => ClusterRequest::Cancel(self.list(8, Self::u64)?),
            4 => ClusterRequest::Listen,
            5 => ClusterRequest::Leave,
            6 => ClusterRequest::Enlist(Recruit {
                name: self.text()?,
                host: self.text()?,
                pid: self.u32()?,
                slots: self.u32()?,
                tasks: self.list(12, Self::task)?,
            }),
            7 => ClusterRequest::Fetch,
            8 => ClusterRequest::Report(self.report()?),
            9 => ClusterRequest::Retire,
            10 => ClusterRequest::Stats,
            _ => return Err(Malformed("an unknown operation of a cluster")),
        })
    }

    pub(super) fn cluster_reply(&mut self) -> Result<ClusterReply> {
        Ok(match self.u8()? {
            1 => {
                let slots = self.u32()?;
                ClusterReply::News { events: self.list(9, Self::event)?, slots }
            }
            2 => ClusterReply::Cancelled(self.list(8, Self::u64)?),
            3 => {
                let revoked = self.list(8, Self::u64)?;
                let recalled = self.list(8, Self::u64)?;
                let jobs = self.list(32, |reader| {
                    Ok(Given {
                        lease: reader.u64()?,
                        task: reader.task()?,
                        timeout: reader.time()?,
                        args: reader.blob()?,
                    })
                })?;
                ClusterReply::Work { jobs, revoked, recalled }
            }
            4 => ClusterReply::Stats(ClusterStats {
                pools: self.u64()?,
                queued: self.u64()?,
                running: self.u64()?,
                workers: self.list(40, Self::worker_info)?,
            }),
            5 => ClusterReply::Gone,
            _ => return Err(Malformed("an unknown status of a cluster")),
        })
    }

    fn report(&mut self) -> Result<Report> {
        let depth = self.u32()?;
        let begun = self.list(8, Self::u64)?;
        let returned = self.list(8, Self::u64)?;
        let ended = self.list(22, |reader| {
            Ok(Ended {
                lease: reader.u64()?,
                took: Duration::from_micros(reader.u64()?),
                still_runs: reader.bool()?,
                outcome: reader.outcome()?,
            })
        })?;
        Ok(Report { depth, begun, ended, returned })
    }

    fn event(&mut self) -> Result<Event> {
        let kind = self.u8()?;
        let id = self.u64()?;
        Ok(match kind {
            0 => Event::Begun(id),
            1 => Event::Again(id),
            2 => Event::Ended(id, self.outcome()?),
            _ => return Err(Malformed("an unknown event")),
        })
    }

    fn outcome(&mut self) -> Result<Outcome<Bytes>> {
        Ok(match self.u8()? {
            0 => Ok(self.blob()?),
            1 => Err(read_error(&self.blob()?)),
            _ => return Err(Malformed("an unknown outcome")),
        })
    }

    fn worker_info(&mut self) -> Result<WorkerInfo> {
        Ok(WorkerInfo {
            name: self.text()?.to_string(),
            address: self.text()?.parse().map_err(|_| Malformed("an address that is none"))?,
            host: self.text()?.to_string(),
            pid: self.u32()?,
            slots: self.u32()?,
            running: self.u32()?,
            tasks: self.u64()?,
            busy: Duration::from_micros(self.u64()?),
        })
    }

    fn task(&mut self) -> Result<TaskKey> {
        Ok(TaskKey { name: self.text()?, signature: self.u64()? })
    }

    fn time(&mut self) -> Result<Option<Duration>> {
        Ok(Some(self.u64()?).filter(|time| *time != u64::MAX).map(Duration::from_micros))
    }
}

/// An error that this program does not know, from a newer one, is no reason to break a connection.
fn read_error(bytes: &[u8]) -> TaskError {
    rmp_serde::from_slice(bytes).unwrap_or_else(|cause| TaskError::Undecodable {
        what: "the error of a task".to_owned(),
        cause: cause.to_string(),
    })
}
