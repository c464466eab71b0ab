//! What a pool does at one moment.

use std::time::Duration;

/// A pool's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Tasks that no worker has begun.
    pub queued: usize,
    /// Tasks that run.
    pub running: usize,
    /// Tasks that returned a value.
    pub done: u64,
    /// Tasks that ended in a [`TaskError`](crate::TaskError), cancelled ones among them.
    pub failed: u64,
    /// Workers that died or were killed, and so had to be replaced. Those that reached the maximum
    /// of tasks per worker do not count.
    pub restarts: u64,
    /// The workers; fewer than were asked for while some are being started anew.
    pub workers: Vec<WorkerSnapshot>,
}

/// A worker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerSnapshot {
    /// What the pool calls it; a thread bears this name.
    pub name: String,
    /// Its process; that of the pool if it is a thread.
    pub pid: u32,
    /// How many tasks it has ended.
    pub tasks: u64,
    /// For how long it has run tasks, all in all, the present one included.
    pub busy: Duration,
    /// The resident memory of its process, in bytes; `None` for a thread, which shares that of the
    /// pool's, and where the system does not tell.
    pub memory: Option<u64>,
    /// Whether it lives.
    pub alive: bool,
}

/// The resident memory of a process, in bytes, if the system tells.
pub(super) fn memory(pid: u32) -> Option<u64> {
    // Kilobytes, so that the page size need not be known.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_known_while_it_lives() {
        let bytes = memory(std::process::id()).expect("we live");
        assert!(bytes > 100 << 10, "{bytes}");
        assert_eq!(memory(u32::MAX), None);
    }
}
