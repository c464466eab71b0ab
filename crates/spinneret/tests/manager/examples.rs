//! The two example programs print what they promise.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// An example's program, which cargo builds together with this test.
fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(fs::exists(&path).unwrap(), "{} is not built", path.display());
    path
}

fn start(name: &str, port: u16) -> Child {
    Command::new(example(name))
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The lines that a program printed, which must have ended well.
fn lines(program: Child) -> Vec<String> {
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn assert_managed(manager: Child) {
    let printed = lines(manager);
    let put: Vec<_> = (0..10).map(|n| format!("put task ImageUrl_{n} ...")).collect();
    assert_eq!(printed[..10], put);
    assert_eq!(printed[10], "try get result...");
    let mut results = printed[11..].to_vec();
    results.sort();
    let expected: Vec<_> = (0..10).map(|n| format!("result is ImageUrl_{n}--->success")).collect();
    assert_eq!(results, expected);
}

/// Checks a worker's first and last line; returns those between.
fn tasks(worker: Child) -> Vec<String> {
    let mut printed = lines(worker);
    assert_eq!(printed.remove(0), "Connect to server 127.0.0.1...");
    assert_eq!(printed.pop().as_deref(), Some("worker exit."));
    printed
}

#[test]
fn a_manager_and_two_workers_do_ten_tasks() {
    let port = free_port();
    // The first worker starts before there is a manager.
    let first = start("task_worker", port);
    let manager = start("task_manager", port);
    let second = start("task_worker", port);
    assert_managed(manager);
    let mut done = [tasks(first), tasks(second)].concat();
    done.sort();
    let expected: Vec<_> = (0..10).map(|n| format!("run task download ImageUrl_{n}...")).collect();
    assert_eq!(done, expected);
}

#[test]
fn a_killed_worker_s_task_is_done_by_another() {
    use std::io::{BufRead as _, BufReader};
    let port = free_port();
    let manager = start("task_manager", port);
    let mut victim = start("task_worker", port);
    let mut printed = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let task = printed.find(|line| line.starts_with("run task")).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    let (second, third) = (start("task_worker", port), start("task_worker", port));
    assert_managed(manager);
    assert!([tasks(second), tasks(third)].concat().contains(&task));
}
