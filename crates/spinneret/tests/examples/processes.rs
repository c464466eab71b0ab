//! The examples about processes print what they promise.

use std::collections::BTreeSet;

use super::run;

/// What stands between `before` and `after` in a line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

fn is_pid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn fork_returns_twice() {
    let (lines, pid) = run("fork");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], format!("current Process ({pid}) start ..."));
    let parent = lines.iter().find(|line| line.contains("created")).unwrap();
    let child =
        between(parent, &format!("I({pid}) created a child process ("), ").").expect("its form");
    assert!(is_pid(child) && child != pid, "{parent}");
    let line = format!("I am child process({child}) and my parent process is ({pid})");
    assert!(lines.contains(&line), "{lines:?}");
}

#[test]
fn process_starts_five_children_and_joins_them() {
    let (lines, pid) = run("process");
    assert_eq!(lines.len(), 12, "{lines:?}");
    assert_eq!(lines[0], format!("Parent process {pid}."));
    assert_eq!(lines[11], "Process end.");
    assert_eq!(lines.iter().filter(|line| *line == "Process will start.").count(), 5);
    let mut children = BTreeSet::new();
    for number in 0..5 {
        let before = format!("Child process {number} (");
        let mut found = lines.iter().filter_map(|line| between(line, &before, ") Running..."));
        let child = found.next().expect("a line of each child");
        assert!(is_pid(child) && found.next().is_none(), "{lines:?}");
        children.insert(child);
    }
    assert!(children.len() == 5 && !children.contains(pid.as_str()), "{children:?}");
}

#[test]
fn pipe_brings_ten_addresses_in_order() {
    let (lines, pid) = run("pipe");
    assert_eq!(lines.len(), 20, "{lines:?}");
    let mut sides = BTreeSet::new();
    for middle in [") send: ", ") rev:"] {
        let of_side: Vec<_> = lines.iter().filter_map(|line| line.split_once(middle)).collect();
        let urls: Vec<_> = of_side.iter().map(|(_, url)| *url).collect();
        let expected: Vec<_> = (0..10).map(|number| format!("url_{number}")).collect();
        assert_eq!(urls, expected);
        let process = of_side[0].0;
        assert!(of_side.iter().all(|(other, _)| *other == process), "{lines:?}");
        assert!(is_pid(process.strip_prefix("Process(").unwrap()), "{process}");
        sides.insert(process);
    }
    assert!(sides.len() == 2 && !sides.contains(format!("Process({pid}").as_str()));
}
