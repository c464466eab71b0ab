//! Whether the kernel killed a process for want of memory, as well as one can tell.
//!
//! The kernel leaves no word with the process. What it leaves is a count of such kills in the
//! control group (`memory.events`, or `memory.oom_control` in version 1), which our workers share with us. So a worker that
//! died of SIGKILL, not from our hand, while that count went up is said to have died of it, and
//! each kill that was counted explains one death. A plain `kill -9` in the same moment as a kill
//! for memory of some other process of the group can still be taken for it.

use std::fs;
use std::sync::LazyLock;

use parking_lot::Mutex;

/// How many kills are accounted for.
static EXPLAINED: LazyLock<Mutex<u64>> = LazyLock::new(|| Mutex::new(count()));

/// Forgets kills so far. Call before the first worker starts.
pub(crate) fn begin() {
    LazyLock::force(&EXPLAINED);
}

/// Whether a death by SIGKILL, just seen, is explained by a kill that no other death explained.
pub(crate) fn explains_a_kill() -> bool {
    account(&mut EXPLAINED.lock(), count())
}

fn account(explained: &mut u64, count: u64) -> bool {
    // The count starts anew if the process moved to another group.
    *explained = (*explained).min(count);
    let explains = count > *explained;
    *explained += u64::from(explains);
    explains
}

/// The kernel's count for our group; 0 where there is none.
fn count() -> u64 {
    fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|groups| file(&groups))
        .and_then(|file| fs::read_to_string(file).ok())
        .and_then(|events| kills(&events))
        .unwrap_or(0)
}

/// The file with the count: of version 1 if that is what controls memory, else of version 2.
fn file(groups: &str) -> Option<String> {
    let version_1 = groups.lines().find_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let memory = controllers.split(',').any(|name| name == "memory");
        memory.then(|| format!("/sys/fs/cgroup/memory{group}/memory.oom_control"))
    });
    version_1.or_else(|| {
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Some(format!("/sys/fs/cgroup/{group}/memory.events"))
    })
}

fn kills(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_the_kernels_file() {
        let file = "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 1\n";
        assert_eq!(kills(file), Some(3));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(kills("low 0\n"), None);
        assert_eq!(kills("oom_kill many\n"), None);
    }

    #[test]
    fn the_kernels_file_is_that_of_the_hierarchy_with_memory() {
        let of = |groups| file(groups).expect("a file");
        assert_eq!(of("0::/user/a\n"), "/sys/fs/cgroup/user/a/memory.events");
        let mixed = "9:name=systemd:/\n4:cpu,memory:/box\n0::/\n";
        assert_eq!(of(mixed), "/sys/fs/cgroup/memory/box/memory.oom_control");
        assert_eq!(file("9:name=systemd:/\n"), None);
    }

    #[test]
    fn each_kill_explains_one_death() {
        let mut explained = 5;
        assert!(!account(&mut explained, 5));
        assert!(account(&mut explained, 7));
        assert!(account(&mut explained, 7));
        assert!(!account(&mut explained, 7));
        assert!(!account(&mut explained, 1));
        assert!(account(&mut explained, 2));
    }
}
