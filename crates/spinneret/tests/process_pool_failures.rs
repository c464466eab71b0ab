//! What a process pool does when tasks and workers fail.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use spinneret::{Outcome, Pool, ProcessPool, TaskError};

#[spinneret::task]
fn pid() -> u32 {
    process::id()
}

#[spinneret::task]
fn double(n: u32) -> u32 {
    2 * n
}

/// Dies in the way that was asked for.
#[spinneret::task]
fn die(how: String) {
    match how.as_str() {
        "exit" => process::exit(3),
        "abort" => process::abort(),
        "panic" => panic!("this is {how}"),
        "panic with a number" => std::panic::panic_any(5_u8),
        "segv" => drop(kill_process(rustix::process::getpid(), Signal::SEGV)),
        "overflow" => drop(deeper(1)),
        _ => {}
    }
    unreachable!("{how} is no way to die, or not a deadly one");
}

#[allow(unconditional_recursion)]
fn deeper(n: u64) -> [u64; 64] {
    let below = deeper(std::hint::black_box(n + 1));
    std::hint::black_box(below)
}

#[spinneret::task]
fn count(text: String) -> usize {
    text.len()
}

/// Sleeps longer than any test.
#[spinneret::task]
fn sleep() {
    std::thread::sleep(Duration::from_mins(10));
}

/// Notes that it ran, and dies of a multiple of five.
#[spinneret::task]
fn note(log: PathBuf, n: u32) -> u32 {
    let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
    writeln!(log, "{n}").unwrap();
    if n.is_multiple_of(5) {
        process::abort();
    }
    n
}

/// Dies until it has been called so many times.
#[spinneret::task]
fn stubborn(log: PathBuf, deaths: usize) -> usize {
    let mut file = OpenOptions::new().append(true).create(true).open(&log).unwrap();
    writeln!(file, "called").unwrap();
    let calls = lines(&log).len();
    if calls <= deaths {
        process::exit(9);
    }
    calls
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn died(signal: Option<i32>, exit_code: Option<i32>) -> TaskError {
    TaskError::WorkerDied { signal, exit_code, out_of_memory: false }
}

/// Waits, bounded, for what must come.
fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill(process: u32) {
    let process = Pid::from_raw(process.cast_signed()).expect("a pid");
    kill_process(process, Signal::KILL).unwrap();
}

#[test]
fn a_panic_is_reported_and_the_worker_lives_on() {
    let pool = ProcessPool::new(1).unwrap();
    let before = pool.apply(pid, ());
    match pool.apply(die, "panic".to_owned()) {
        Err(TaskError::Panicked { message, backtrace }) => {
            assert_eq!(message, "this is panic");
            assert!(backtrace.contains("die"), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
    match pool.apply(die, "panic with a number".to_owned()) {
        Err(TaskError::Panicked { message, .. }) => assert!(message.contains("not text")),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(pid, ()), before);
    assert_eq!((pool.snapshot().failed, pool.snapshot().restarts), (2, 0));
}

#[test]
fn a_worker_that_dies_takes_its_task_with_it_and_is_replaced() {
    let pool = ProcessPool::new(1).unwrap();
    for (how, signal, code) in [
        ("exit", None, Some(3)),
        ("abort", Some(libc::SIGABRT), None),
        ("segv", Some(libc::SIGSEGV), None),
        ("overflow", Some(libc::SIGSEGV), None),
    ] {
        assert_eq!(pool.apply(die, how.to_owned()), Err(died(signal, code)), "{how}");
        assert_eq!(pool.apply(double, 2), Ok(4), "after {how}");
    }
    assert_eq!((pool.snapshot().failed, pool.snapshot().restarts), (4, 4));
}

#[test]
fn a_worker_killed_at_work_is_reported_by_its_signal() {
    let pool = ProcessPool::new(1).unwrap();
    let handle = pool.apply_async(sleep, ()).unwrap();
    eventually(|| pool.snapshot().running == 1);
    kill(pool.snapshot().workers[0].pid);
    assert_eq!(handle.get(), Err(died(Some(libc::SIGKILL), None)));
    assert_eq!(pool.apply(double, 2), Ok(4));
}

#[test]
fn a_worker_killed_while_idle_costs_no_task() {
    let pool = ProcessPool::new(1).unwrap();
    let victim = pool.snapshot().workers[0].pid;
    kill(victim);
    assert_eq!(pool.apply(double, 2), Ok(4));
    eventually(|| pool.snapshot().restarts == 1);
    assert_ne!(pool.snapshot().workers[0].pid, victim);
    // And nobody needs to ask for it.
    kill(pool.snapshot().workers[0].pid);
    eventually(|| {
        let snapshot = pool.snapshot();
        snapshot.restarts == 2 && snapshot.workers.iter().filter(|worker| worker.alive).count() == 1
    });
}

#[test]
fn only_the_task_that_kills_is_lost_and_its_chunk_mates_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let pool = ProcessPool::builder().workers(1).chunk_size(8).build().unwrap();
    let outcomes = pool.map(note, (1..=16).map(|n| (log.clone(), n))).unwrap();
    let expected: Vec<Outcome<u32>> = (1..=16)
        .map(|n| if n % 5 == 0 { Err(died(Some(libc::SIGABRT), None)) } else { Ok(n) })
        .collect();
    assert_eq!(outcomes, expected);
    let mut ran: Vec<u32> = lines(&log).iter().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    assert_eq!(ran, (1..=16).collect::<Vec<_>>());
}

#[test]
fn a_task_whose_worker_died_is_run_again_as_often_as_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let pool = ProcessPool::builder().workers(2).retries(2).build().unwrap();
    let log = folder.path().join("twice");
    assert_eq!(pool.apply(stubborn, (log, 2)), Ok(3));
    let log = folder.path().join("thrice");
    assert_eq!(pool.apply(stubborn, (log.clone(), 3)), Err(died(None, Some(9))));
    assert_eq!(lines(&log).len(), 3);
}

#[test]
fn a_task_beyond_its_time_is_killed_and_only_that() {
    let after = Duration::from_millis(300);
    let pool = ProcessPool::builder().workers(1).retries(5).task_timeout(after).build().unwrap();
    let before = pool.apply(pid, ()).unwrap();
    let slow = pool.apply_async(sleep, ()).unwrap();
    let next = pool.apply_async(double, 4).unwrap();
    assert_eq!(slow.get(), Err(TaskError::TimedOut { after }));
    assert_eq!(next.get(), Ok(8));
    assert_ne!(pool.apply(pid, ()).unwrap(), before);
}

#[test]
fn a_worker_that_stopped_reading_is_replaced_at_no_cost() {
    let after = Duration::from_millis(300);
    let pool = ProcessPool::builder().workers(1).task_timeout(after).build().unwrap();
    let worker = Pid::from_raw(pool.snapshot().workers[0].pid.cast_signed()).unwrap();
    kill_process(worker, Signal::STOP).unwrap();
    // More than fits into the socket's buffer. No task has begun, so none is charged.
    assert_eq!(pool.apply(count, "x".repeat(4 << 20)), Ok(4 << 20));
    assert_eq!(pool.snapshot().restarts, 1);
}

#[spinneret::task]
fn surroundings() -> (usize, bool, Vec<String>) {
    let input = std::io::stdin().read(&mut [0; 16]).unwrap();
    let marked = std::env::var_os("SPINNERET_WORKER").is_some();
    // Through `cat`, which gets what a worker's children get.
    let list = Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    (input, marked, list.lines().map(str::to_owned).collect())
}

#[test]
fn a_task_sees_no_trace_of_the_machinery_and_its_children_inherit_none() {
    let pool = ProcessPool::new(1).unwrap();
    let (input, marked, inherited) = pool.apply(surroundings, ()).unwrap();
    assert_eq!(input, 0, "standard input is empty");
    assert!(!marked, "a program that a task starts would take itself for a worker");
    // The test runner may hand down descriptors of its own; ours see no more than those.
    let ours = Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()).output().unwrap();
    let ours = String::from_utf8(ours.stdout).unwrap();
    assert_eq!(inherited, ours.lines().map(str::to_owned).collect::<Vec<_>>());
}

/// Leaves behind a process that holds a copy of the worker's socket, and dies.
#[spinneret::task]
fn die_with_a_heir(file: PathBuf) {
    // SAFETY: the child calls nothing but async-signal-safe functions.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: as above; no pointers are involved.
            unsafe { libc::sleep(60) };
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
        child => write!(File::create(file).unwrap(), "{child}").unwrap(),
    }
    process::abort();
}

#[test]
fn a_death_is_noticed_even_if_a_forked_process_holds_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heir");
    let pool = ProcessPool::new(1).unwrap();
    let handle = pool.apply_async(die_with_a_heir, file.clone()).unwrap();
    let outcome = handle.get_timeout(Duration::from_secs(30));
    kill(std::fs::read_to_string(file).unwrap().parse().unwrap());
    assert_eq!(outcome.expect("in time"), Err(died(Some(libc::SIGABRT), None)));
}
