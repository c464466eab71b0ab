//! Processes, as /proc shows them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use super::wait_until;

/// The children of a process: for a crawl, its workers.
pub fn children(pid: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
        found.extend(pids.filter_map(Pid::from_raw));
    }
    found.retain(|child| is_alive(*child));
    found
}

/// Whether a process runs; one that only waits to be reaped does not.
pub fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = |stat: &str| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    stat.is_ok_and(|stat| !matches!(state(&stat), None | Some('Z' | 'X')))
}

/// Kills with SIGKILL; false if it was gone already.
pub fn kill(pid: Pid) -> bool {
    kill_process(pid, Signal::KILL).is_ok()
}

/// Waits until none of them runs any more.
pub fn wait_until_gone(pids: &[Pid]) {
    wait_until("the processes are gone", || !pids.iter().any(|pid| is_alive(*pid)));
}
