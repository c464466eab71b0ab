//! The examples of threads print what they promise, and nothing else.

use std::collections::BTreeMap;

use super::run;

#[test]
fn threads_prints_what_each_thread_does() {
    let mut printed = run("threads").0;
    assert_eq!(printed.remove(0), "MainThread is running...");
    assert_eq!(printed.pop().as_deref(), Some("MainThread ended."));
    // Threads may take turns, but each has an order of its own.
    let mut by_thread: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in printed {
        let (_, rest) = line.split_once("Thread_").unwrap();
        let number = rest.split(' ').next().unwrap().parse().unwrap();
        by_thread.entry(number).or_default().push(line);
    }
    let expected = (1..=4).map(|thread| {
        let first = if thread % 2 == 1 { 1 } else { 4 };
        let mut lines = vec![format!("Current Thread_{thread} is running...")];
        lines.extend((first..first + 3).map(|url| format!("Thread_{thread} ---->>> url_{url}")));
        lines.push(format!("Thread_{thread} ended."));
        (thread, lines)
    });
    assert_eq!(by_thread, expected.collect());
}

#[test]
fn rlock_prints_pairs_that_count_to_four() {
    let printed = run("rlock").0;
    assert!(printed.len().is_multiple_of(2), "{printed:?}");
    let mut number = 0;
    let mut saw_the_end = Vec::new();
    for pair in printed.chunks(2) {
        let thread = pair[0].split(' ').next().unwrap();
        assert!(["Thread_1", "Thread_2"].contains(&thread), "{thread}");
        assert_eq!(pair[0], format!("{thread} locked, Number: {number}"));
        if number == 4 {
            saw_the_end.push(thread);
        } else {
            number += 1;
        }
        assert_eq!(pair[1], format!("{thread} released, Number: {number}"));
    }
    saw_the_end.sort_unstable();
    assert_eq!(saw_the_end, ["Thread_1", "Thread_2"]);
}

#[test]
fn cpu_bound_prints_two_times_and_their_ratio() {
    let printed = run("cpu_bound").0;
    let cores = std::thread::available_parallelism().unwrap();
    let seconds = |line: &str, name: &str| -> f64 {
        let time = line.strip_prefix(name).and_then(|rest| rest.strip_suffix(" s"));
        time.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap()
    };
    let [one, all, ratio] = &printed[..] else { panic!("{printed:?}") };
    let one = seconds(one, "1 thread: ");
    let all = seconds(all, &format!("{cores} threads: "));
    let ratio: f64 = ratio.strip_prefix("speed-up: ").unwrap().parse().unwrap();
    assert!(one > 0.0 && all > 0.0, "{printed:?}");
    // The printed figures are rounded.
    assert!((ratio - one / all).abs() < 0.1 * ratio, "{printed:?}");
}
