//! What Linux offers for memory that processes share: files without a name, locks that outlive
//! their holder's death, sleeping on a word of memory, and marks of who is still there.

/// Named here for files of which `tests` make a model, with other atomics in their place.
#[cfg(shared_memory)]
pub(crate) use std::sync::atomic;

mod block;
mod futex;
mod hold;
mod presence;
mod robust;
mod shm;
mod travel;
mod watch;

pub use self::block::MemoryError;
pub(crate) use self::block::{Block, Found, Kind, Layout, Unfit};
pub(crate) use self::futex::{ALL, wait, wake};
#[cfg(shared_memory)]
pub(crate) use self::futex::{LOOKS, NAP, fence_after_unlock};
pub use self::hold::Hold;
pub(crate) use self::presence::Presence;
#[cfg(shared_memory)]
pub(crate) use self::presence::byte_lock;
pub(crate) use self::robust::{Held, RobustMutex};
pub(crate) use self::shm::{Shm, ShmError};
pub(crate) use self::travel::travels;
pub(crate) use self::watch::wait_async;
