//! The examples print what they promise, and nothing else: scripts compare it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(feature = "coroutine")]
mod coroutines;
mod pools;
#[cfg(unix)]
mod processes;
#[cfg(target_os = "linux")]
mod shared;
mod threads;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The lines that an example prints, and the number of its process.
fn run(name: &str) -> (Vec<String>, String) {
    run_with(name, &[])
}

/// The same, with arguments.
fn run_with(name: &str, args: &[&str]) -> (Vec<String>, String) {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    assert!(path.exists(), "the examples are not built: cargo build --examples");
    let child = Command::new(path)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.ends_with('\n'), "{stdout:?}");
    (stdout.lines().map(str::to_owned).collect(), pid)
}
