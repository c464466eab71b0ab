//! The examples of coroutines print what they promise.

use super::{run, run_with};

/// How many bytes a line says were received, and from where.
fn received(line: &str) -> Option<(usize, &str)> {
    let (count, rest) = line.split_once(" bytes received from ")?;
    Some((count.parse().ok()?, rest.strip_suffix('.')?))
}

/// The addresses of three visits in the order of the list, the last of which fails.
fn visits(lines: &[String]) -> Vec<String> {
    let visits = lines.iter().filter_map(|line| line.strip_prefix("Visit --> "));
    let mut visits: Vec<String> = visits.map(str::to_owned).collect();
    assert_eq!(visits.len(), 3, "{lines:?}");
    // Those that exist are on the same host, whose port is never 1.
    visits.sort_by_key(|url| (url.starts_with("http://127.0.0.1:1/"), url.clone()));
    let (sound, bad) = (&visits[..2], &visits[2]);
    for url in sound {
        let count = lines.iter().filter_map(|line| received(line)).find(|(_, from)| from == url);
        assert!(count.is_some_and(|(count, _)| count > 0), "{lines:?}");
    }
    let errors: Vec<_> = lines.iter().filter(|l| l.starts_with(&format!("{bad}: "))).collect();
    assert_eq!(errors.len(), 1, "{lines:?}");
    visits
}

#[test]
fn coroutines_make_three_visits_at_once() {
    let lines = run("coroutines").0;
    assert_eq!(lines.len(), 6, "{lines:?}");
    visits(&lines);
    assert!(lines[..3].iter().all(|line| line.starts_with("Visit --> ")), "{lines:?}");
}

#[test]
fn coroutine_pool_has_two_visits_open_at_most() {
    let lines = run("coroutine_pool").0;
    assert_eq!(lines.len(), 7, "{lines:?}");
    let urls = visits(&lines);
    let (mut open, mut most) = (0, 0);
    for line in &lines[..6] {
        open = if line.starts_with("Visit --> ") { open + 1 } else { open - 1 };
        most = most.max(open);
    }
    assert_eq!(most, 2, "{lines:?}");
    let results: Vec<_> = urls.iter().map(|url| format!("url:{url} --->finish")).collect();
    assert_eq!(lines[6], format!("{results:?}"));
}

#[test]
fn one_task_four_pools_gives_the_same_results() {
    let lines = run("one_task_four_pools").0;
    let pools = ["threads", "processes", "coroutines", "machines"];
    assert_eq!(lines, pools.map(|pool| format!("{pool}: [2000, 4000, 3000]")));
}

#[test]
fn queue_everywhere_loses_nothing() {
    let sum = 4 * 500 * 1001;
    let lines = [format!("put by four: {sum}"), format!("got by four: {sum}")];
    assert_eq!(run("queue_everywhere").0, lines);
}

#[test]
fn echo_server_answers_all_its_clients() {
    let lines = run_with("echo_server", &["200"]).0;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("200 clients, 400 messages to and fro, "), "{lines:?}");
}
