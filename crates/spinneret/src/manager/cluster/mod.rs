//! Pools whose workers are machines: the manager takes jobs from the ones and gives them to the
//! others.
//!
//! [`board`] has the rules, without clock or waiting; [`room`] lets connections wait for it;
//! [`worker`] is the other end, in the programs that run the jobs.

mod board;
mod room;
mod stats;
mod worker;

pub(crate) use self::room::Room;
pub use self::stats::{ClusterStats, WorkerInfo};
pub use self::worker::{Worker, WorkerBuilder, WorkerSummary, worker};
