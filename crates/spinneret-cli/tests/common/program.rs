//! The program itself, in a folder of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use super::WATCHDOG;

/// A folder that a test has to itself: working folder and home of the programs it runs.
pub struct Nest {
    folder: TempDir,
}

impl Nest {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that crawls of these tests write to.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Writes a file inside that only its owner can read, as keys should be; its path as an
    /// argument.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program with these arguments, not yet started. It finds no key but in this folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spinneret"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("SPINNERET_AUTHKEY")
            .env_remove("SPINNERET_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Starts the program.
    pub fn start(&self, args: &[&str]) -> Run {
        Run::start(self.command(args))
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.start(args).finish()
    }

    /// Runs the program with this standard input.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        let mut run = Run::start(command);
        run.child.stdin.take().unwrap().write_all(input).unwrap();
        run.finish()
    }
}

/// The arguments of a crawl into [`Nest::out`] that ends with a line of JSON, with private hosts
/// allowed.
pub fn crawl_args<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["crawl", url, "--allow-private", "--json", "-o", "out"];
    args.extend(more);
    args
}

/// A program that runs, in a process group of its own. Dropping it kills the group.
pub struct Run {
    child: Child,
    stdout: Reader,
    stderr: Reader,
}

/// How a program ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Reads a pipe to its end in the background.
struct Reader {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let filled = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                filled.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { text, thread: Some(thread) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Everything, once all processes that hold the pipe are gone.
    fn end(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.so_far()
    }
}

impl Run {
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        Self::start_into(command)
    }

    /// Starts the program with whatever standard output the command has.
    pub fn start_into(mut command: Command) -> Self {
        command.stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        // Else its end of a pipe stays open here.
        drop(command);
        let stdout = match child.stdout.take() {
            Some(pipe) => Reader::start(pipe),
            None => Reader::start(std::io::empty()),
        };
        let stderr = Reader::start(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// The standard input, if it is a pipe.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Signals the program alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Signals its whole process group, as Ctrl-C on a terminal does.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn stdout_so_far(&self) -> String {
        self.stdout.so_far()
    }

    pub fn stderr_so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits for a line of standard output that starts so; the rest of it.
    pub fn wait_for_stdout(&mut self, start: &str) -> String {
        self.wait_for_line(start, |run| run.stdout.so_far())
    }

    /// Waits for a line of standard error that starts so; the rest of it.
    pub fn wait_for_stderr(&mut self, start: &str) -> String {
        self.wait_for_line(start, |run| run.stderr.so_far())
    }

    fn wait_for_line(&mut self, start: &str, text: impl Fn(&Self) -> String) -> String {
        let started = Instant::now();
        loop {
            let running = self.is_running();
            let text = text(self);
            // The last line may still be growing.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(start)) {
                return rest.to_owned();
            }
            assert!(
                running && started.elapsed() < WATCHDOG / 2,
                "no line {start:?}; running: {running}; stderr: {}",
                self.stderr.so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end. The watchdog kills what takes too long, and the test fails.
    pub fn finish(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > WATCHDOG {
                let _ = kill_process_group(self.pid(), Signal::KILL);
                panic!(
                    "the program hangs; stdout: {}; stderr: {}",
                    self.stdout.so_far(),
                    self.stderr.so_far()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended { status, stdout: self.stdout.end(), stderr: self.stderr.end() }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What has ended already has nobody left to signal.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Its exit status; panics if a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }

    /// Asserts the exit status, showing standard error if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The object on the last line of standard output.
    pub fn summary(&self) -> Value {
        let line = self.stdout.lines().last().expect("a summary");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// A number of the summary.
    pub fn count(&self, key: &str) -> u64 {
        self.summary()[key].as_u64().unwrap_or_else(|| panic!("no {key}: {}", self.stdout))
    }

    /// Failures of a cause in the summary; 0 if it is not there.
    pub fn failed(&self, cause: &str) -> u64 {
        self.summary()["failures"][cause].as_u64().unwrap_or(0)
    }
}

/// Every file below a folder, relative to it.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
