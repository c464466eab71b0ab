//! The examples about pools and queues print what they promise.

use std::collections::BTreeSet;

use super::run;

#[test]
fn pool_runs_five_tasks_on_three_workers() {
    let (lines, pid) = run("pool");
    assert_eq!(lines.len(), 13, "{lines:?}");
    assert_eq!(lines[0], format!("Current process {pid}."));
    assert_eq!(lines[12], "All subprocesses done.");
    assert_eq!(lines.iter().filter(|l| *l == "Waiting for all subprocesses done...").count(), 1);
    let (mut workers, mut running) = (BTreeSet::new(), 0);
    for line in &lines[1..12] {
        if line.ends_with("is running...") {
            workers.insert(line.split("(pid = ").nth(1).unwrap().split(')').next().unwrap());
            running += 1;
        } else if line.ends_with(" end.") {
            running -= 1;
        }
        assert!(running <= 3, "{lines:?}");
    }
    assert!(workers.len() <= 3 && !workers.contains(pid.as_str()), "{workers:?}");
    for number in 0..5 {
        let begins = format!("Task {number} (pid = ");
        let begin = lines.iter().position(|line| line.starts_with(&begins)).unwrap();
        let end = lines.iter().position(|line| *line == format!("Task {number} end.")).unwrap();
        assert!(begin < end, "{lines:?}");
    }
}

#[test]
fn queue_brings_six_addresses_from_two_writers_to_a_reader() {
    let (lines, pid) = run("queue");
    assert_eq!(lines.len(), 15, "{lines:?}");
    let process = |line: &str, what: &str| {
        let pid = line.strip_prefix("Process(")?.strip_suffix(&format!(") is {what}..."))?;
        Some(pid.to_owned())
    };
    let writers: BTreeSet<_> = lines.iter().filter_map(|line| process(line, "writing")).collect();
    let reader: Vec<_> = lines.iter().filter_map(|line| process(line, "reading")).collect();
    assert_eq!((writers.len(), reader.len()), (2, 1), "{lines:?}");
    assert!(!writers.contains(&pid) && !writers.contains(&reader[0]) && reader[0] != pid);
    for number in 1..=6 {
        let put = lines.iter().position(|l| *l == format!("Put url_{number} to queue...")).unwrap();
        let got = lines.iter().position(|l| *l == format!("Get url_{number} from queue.")).unwrap();
        assert!(put < got, "{lines:?}");
    }
}

#[test]
fn any_pool_gives_the_same_results() {
    let (lines, _) = run("any_pool");
    let results = "[8, 16, 111, 118]";
    assert_eq!(
        lines,
        ["threads", "processes", "machines"].map(|workers| format!("{workers}: {results}"))
    );
}
