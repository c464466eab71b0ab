//! The two example programs print what they promise.

use super::programs::{assert_managed, assert_shared, example, free_port, lines, start, tasks};

#[test]
fn a_manager_and_two_workers_do_ten_tasks() {
    let port = free_port();
    // The first worker starts before there is a manager.
    let first = start(example("task_worker"), port);
    let manager = start(example("task_manager"), port);
    let second = start(example("task_worker"), port);
    assert_managed(manager);
    assert_shared(vec![first, second]);
}

#[test]
fn a_killed_worker_s_task_is_done_by_another() {
    use std::io::{BufRead as _, BufReader};
    let port = free_port();
    let manager = start(example("task_manager"), port);
    let mut victim = start(example("task_worker"), port);
    let mut printed = BufReader::new(victim.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let task = printed.find(|line| line.starts_with("run task")).unwrap();
    drop(victim);
    let (second, third) =
        (start(example("task_worker"), port), start(example("task_worker"), port));
    assert_managed(manager);
    assert!([tasks(second), tasks(third)].concat().contains(&task));
}

#[test]
fn a_pool_of_machines_counts_primes_whenever_its_worker_comes() {
    let port = free_port();
    // The worker starts before there is a manager.
    let worker = start(example("cluster_worker"), port);
    let pool = start(example("cluster_pool"), port);
    let counts = [(4, 10), (25, 100), (168, 1000), (1229, 10_000), (9592, 100_000)];
    let mut expected =
        counts.map(|(primes, limit)| format!("{primes} primes below {limit}")).to_vec();
    expected.push("counted by 1 worker(s).".to_owned());
    assert_eq!(lines(pool), expected);
    assert_eq!(lines(worker), ["5 tasks done."]);
}
