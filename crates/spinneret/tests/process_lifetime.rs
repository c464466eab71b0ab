//! What becomes of children when their parent ends, seen from outside: `examples/process_parent.rs`
//! is the parent.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far beyond what anything here takes.
const LONG: Duration = Duration::from_mins(1);

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "still not: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// As the kernel shows it; `None` if there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// `examples/process_parent.rs` in a role, and the lines that it prints.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

fn program_path() -> PathBuf {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/process_parent");
    assert!(path.exists(), "the examples are not built: cargo build --examples");
    path
}

fn program(role: &str) -> Program {
    program_by(Command::new(program_path()).arg(role))
}

fn program_by(command: &mut Command) -> Program {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Program { child, stdout }
}

impl Program {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn numbers(&mut self) -> Vec<u32> {
        self.line().split(' ').map(|pid| pid.parse().unwrap()).collect()
    }
}

fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

#[test]
fn a_killed_parent_takes_daemonic_children_with_it_and_no_others() {
    let mut program = program("stay");
    let pids = program.numbers();
    let [daemonic, other] = pids[..] else { panic!("{pids:?}") };
    assert!(lives(daemonic) && lives(other));
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    eventually("the daemonic child is gone", || !lives(daemonic));
    assert!(lives(other));
    let other = rustix::process::Pid::from_raw(other.cast_signed()).unwrap();
    rustix::process::kill_process(other, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_daemonic_child_that_is_ended_takes_its_own_with_it() {
    let mut program = program("nested");
    // The child and its own print one each.
    let (one, other) = (program.numbers()[0], program.numbers()[0]);
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    eventually("both are gone", || !lives(one) && !lives(other));
}

#[test]
fn a_parent_that_ends_terminates_daemonic_children() {
    let mut program = program("stay");
    let pids = program.numbers();
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    assert!(pids.iter().all(|pid| state(*pid).is_none()), "they were reaped");
}

#[test]
fn a_parent_that_ends_waits_for_the_others() {
    for (role, code) in [("linger", 0), ("linger-exit", 5)] {
        let mut program = program(role);
        assert_eq!(program.line(), "first");
        assert_eq!(program.child.wait().unwrap().code(), Some(code));
        assert_eq!(program.line(), "later");
    }
}

#[test]
fn a_fork_leaves_the_children_of_its_parent_alone() {
    let mut program = program("fork");
    let lines = [(); 4].map(|()| program.line());
    assert_eq!(lines, ["true 0", "exit status 3", "true 1", "signal 9"]);
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_parent_and_children() {
    let mut program = program("stay");
    let pids = program.numbers();
    // What the terminal does.
    let group = rustix::process::Pid::from_child(&program.child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    assert_eq!(program.child.wait().unwrap().signal(), Some(2));
    eventually("the children are gone", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn tasks_added_by_hand_run_if_main_calls_init_after_that() {
    for (role, lines) in [
        ("by-hand", &["ran", "exit status 0"][..]),
        ("by-hand-late", &["Err(Start(Tasks { names: [\"by hand\"] }))"]),
        ("by-hand-without-init", &["Err(Start(NotInitialised))"]),
    ] {
        let mut program = program_by(Command::new(program_path()).env("ROLE", role));
        for line in lines {
            assert_eq!(program.line(), *line, "{role}");
        }
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn a_marked_process_without_orders_ends_with_a_word() {
    let marker = format!("1:{}:process", std::process::id());
    let run = |stdin: Stdio| {
        let mut command = Command::new(program_path());
        command.env("SPINNERET_WORKER", &marker).stdin(stdin);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.spawn().unwrap();
        drop(command);
        let output = output.wait_with_output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run(Stdio::null());
    assert_eq!(code, Some(78));
    assert!(stderr.contains("standard input is not a pool's socket"), "{stderr}");
    for bytes in [&[0xff; 64][..], &[3, 0, 0, 0, 0, 0, 0, 0, 0xc1, 0, 0]] {
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut ours, bytes).unwrap();
        let (code, stderr) = run(OwnedFd::from(theirs).into());
        assert_eq!(code, Some(78));
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
