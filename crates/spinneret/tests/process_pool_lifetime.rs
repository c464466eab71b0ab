//! How a pool's processes begin and end, seen from outside: `examples/pool_parent.rs` is the
//! program with the pool.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{self, Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

fn program() -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/pool_parent");
    assert!(path.exists(), "the examples are not built: cargo build --examples");
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program at work, and its workers.
struct Busy {
    program: Child,
    stdout: BufReader<ChildStdout>,
    workers: Vec<u32>,
}

fn busy() -> Busy {
    let mut command = program();
    let mut program =
        command.args(["busy", "2"]).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut stdout = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let workers: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(workers.len(), 2, "{line:?}");
    assert!(workers.iter().all(|pid| lives(*pid)));
    Busy { program, stdout, workers }
}

impl Busy {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.program)
    }

    /// Waits for the workers to be gone and returns what was printed.
    fn leave_nothing(mut self) -> (process::ExitStatus, String) {
        let start = Instant::now();
        while self.workers.iter().any(|pid| lives(*pid)) {
            assert!(start.elapsed() < Duration::from_secs(30), "workers outlive their parent");
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.program.wait().unwrap();
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        self.program.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        (status, printed)
    }
}

/// Whether the process is there and not only waits to be reaped, which an orphan may do for long
/// where nobody reaps orphans.
fn lives(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state != Some("Z") && state != Some("X")
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn busy_workers_die_with_a_parent_that_is_killed() {
    let busy = busy();
    kill_process(busy.pid(), Signal::KILL).unwrap();
    let (status, printed) = busy.leave_nothing();
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    assert_eq!(printed, "");
}

#[test]
fn ctrl_c_ends_everything_in_silence() {
    let busy = busy();
    // What the terminal does.
    kill_process_group(busy.pid(), Signal::INT).unwrap();
    let (status, printed) = busy.leave_nothing();
    assert_eq!(status.signal(), Some(libc::SIGINT));
    assert_eq!(printed, "");
}

#[test]
fn workers_ignore_an_interrupt_that_their_parent_survives() {
    let mut busy = busy();
    for worker in &busy.workers {
        let pid = Pid::from_raw(worker.cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        assert_ne!(ignored & (1 << (libc::SIGINT - 1)), 0);
        assert!(lives(*worker));
    }
    drop(busy.program.stdin.take());
    let (status, printed) = busy.leave_nothing();
    assert_eq!((status.code(), printed.as_str()), (Some(0), ""));
}

#[test]
fn workers_bear_the_name_of_the_program() {
    let busy = busy();
    for worker in &busy.workers {
        let name = std::fs::read_to_string(format!("/proc/{worker}/comm")).unwrap();
        assert_eq!(name, "pool_parent\n");
    }
    kill_process(busy.pid(), Signal::KILL).unwrap();
    busy.leave_nothing();
}

#[test]
fn tasks_added_by_hand_run_if_main_calls_init() {
    let (code, stdout, stderr) = run(program().env("ROLE", "by-hand"));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "Ok(2)\n", ""));
}

#[test]
fn tasks_added_by_hand_without_init_are_an_error_that_names_it() {
    let (code, stdout, stderr) = run(program().env("ROLE", "by-hand-without-init"));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("call spinneret::process::init() first in main"), "{stderr}");
}

#[test]
fn a_marked_process_that_reached_main_starts_no_workers() {
    // As a worker would, whose main does not call `init`.
    let marker = format!("1:{}:main", process::id());
    let (code, stdout, stderr) = run(program().env("SPINNERET_WORKER", marker));
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("this process was started as a worker"), "{stderr}");
    assert!(stderr.contains("spinneret::process::init()"), "{stderr}");
}

#[test]
fn a_marker_that_was_left_behind_ends_the_program_with_a_word() {
    for (marker, word) in [
        ("yes".to_owned(), "which no pool does"),
        ("1:1".to_owned(), "is not this process's parent"),
        (format!("1:{}", process::id()), "standard input is not a pool's socket"),
    ] {
        let (code, stdout, stderr) = run(program().env("SPINNERET_WORKER", &marker));
        assert_eq!((code, stdout.as_str()), (Some(78), ""), "{marker}");
        assert!(stderr.contains(word), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_socket_that_speaks_otherwise_ends_the_worker_with_a_word() {
    let marker = format!("1:{}", process::id());
    let garbage: [&[u8]; 3] =
        [b"GET / HTTP/1.0\r\n\r\n", &[0; 64], &[3, 0, 0, 0, 0, 0, 0, 0, 0xc1, 0, 0]];
    for bytes in garbage {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut command = program();
        command.env("SPINNERET_WORKER", &marker).stdin(std::os::fd::OwnedFd::from(theirs));
        let child = command.spawn().unwrap();
        // Or this process holds the worker's end open.
        drop(command);
        std::io::Write::write_all(&mut ours, bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("unreadable greeting"), "{stderr}");
    }
}
