//! The pair of task manager and task worker: programs in two languages that print the same.

use std::{
    env, fs,
    io::Read as _,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longer than the ten tasks take on a machine with much to do.
const LONG: Duration = Duration::from_secs(90);

/// An example's program, which cargo builds together with this test.
pub fn example(name: &str) -> Command {
    let test = env::current_exe().unwrap();
    let path: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(fs::exists(&path).unwrap(), "{} is not built", path.display());
    Command::new(path)
}

/// A program that runs. Dropping it kills it, with what it has started: Python's managers are
/// processes of their own, which would keep its output open.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::KILL,
        );
        // What has ended already has nobody left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(mut program: Command, port: u16) -> Program {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut program, 0);
    program.arg(port.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    Program(program.spawn().unwrap())
}

/// The lines that a program printed, which must have ended well.
#[track_caller]
pub fn lines(mut program: Program) -> Vec<String> {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = program.0.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < LONG, "a program hangs");
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
    let mut printed = String::new();
    program.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    printed.lines().map(Into::into).collect()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks what a manager printed, results in any order.
#[track_caller]
pub fn assert_managed(manager: Program) {
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
pub fn tasks(worker: Program) -> Vec<String> {
    let mut printed = lines(worker);
    assert_eq!(printed.remove(0), "Connect to server 127.0.0.1...");
    assert_eq!(printed.pop().as_deref(), Some("worker exit."));
    printed
}

/// Checks that workers have done each task once, together.
#[track_caller]
pub fn assert_shared(workers: Vec<Program>) {
    let mut done: Vec<_> = workers.into_iter().flat_map(tasks).collect();
    done.sort();
    let expected: Vec<_> = (0..10).map(|n| format!("run task download ImageUrl_{n}...")).collect();
    assert_eq!(done, expected);
}
