//! How many processors this process may use.

use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

/// How many processors this process can keep busy, at least 1: those that its affinity mask allows,
/// or fewer if its control group (version 1 or 2) has a quota of processor time. A quota of one and
/// a half counts as 2.
///
/// It is asked of the system each time, since all of that can change.
pub fn cpu_count() -> usize {
    allowed().min(quota(Path::new("/")).unwrap_or(usize::MAX)).max(1)
}

#[cfg(target_os = "linux")]
fn allowed() -> usize {
    // It fails where there are more processors than the mask has room for (1,024).
    match rustix::thread::sched_getaffinity(None) {
        Ok(mask) => mask.count() as usize,
        Err(_) => available_parallelism().map_or(1, NonZero::get),
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// The tightest quota of our control groups and those above them, in processors, rounded up.
/// Where there are no control groups there is no file to read.
fn quota(root: &Path) -> Option<usize> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    groups
        .lines()
        .filter_map(|line| {
            // Hierarchy, controllers (none in version 2), path.
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?);
            let group = Path::new(group.strip_prefix('/')?);
            if controllers.is_empty() {
                tightest(&mounts, group, quota_2)
            } else if controllers.split(',').any(|name| name == "cpu") {
                // The usual names of the hierarchy; often links to each other.
                ["cpu", "cpu,cpuacct", "cpuacct,cpu"]
                    .iter()
                    .find_map(|name| tightest(&mounts.join(name), group, quota_1))
            } else {
                None
            }
        })
        .min()
}

/// The smallest quota from `group` up to where the hierarchy is mounted. In a container the path
/// may be the host's, with only our own group mounted: then that of the mount counts.
fn tightest(mount: &Path, group: &Path, read: fn(&Path) -> Option<usize>) -> Option<usize> {
    group.ancestors().filter_map(|group| read(&mount.join(group))).min()
}

fn quota_2(group: &Path) -> Option<usize> {
    let file = std::fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = file.trim().split_once(' ')?;
    processors(quota, period)
}

fn quota_1(group: &Path) -> Option<usize> {
    let read = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    processors(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?)
}

/// `None` for `max` and -1, which mean that there is no quota.
fn processors(quota: &str, period: &str) -> Option<usize> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
    usize::try_from(quota.div_ceil(period)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn quota_of(files: &[(&str, &str)]) -> Option<usize> {
        quota(system(files).path())
    }

    #[test]
    fn there_is_at_least_one_and_no_more_than_the_machine_has() {
        assert!((1..=allowed()).contains(&cpu_count()));
    }

    #[test]
    fn the_quota_of_any_group_above_counts_and_is_rounded_up() {
        let version_2 = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(quota_of(&version_2), Some(2));
        assert_eq!(quota_of(&version_2[..2]), None);
        assert_eq!(quota_of(&[]), None);
    }

    #[test]
    fn the_path_of_the_host_leads_to_the_mount() {
        let container = [
            ("proc/self/cgroup", "0::/../../docker/1234\n"),
            ("sys/fs/cgroup/cpu.max", "10000 100000\n"),
        ];
        assert_eq!(quota_of(&container), Some(1));
    }

    #[test]
    fn the_first_version_is_read_too() {
        let version_1 = [
            ("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/g\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_quota_us", "300000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/g/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(quota_of(&version_1), Some(3));
    }

    #[test]
    fn what_is_no_quota_is_none() {
        for (quota, period) in
            [("max", "100000"), ("-1", "100000"), ("1", "0"), ("", ""), ("x", "1")]
        {
            assert_eq!(processors(quota, period), None);
        }
    }
}
