//! The Pythons on this machine, and how they run the scripts that are here.

use std::{
    ffi::OsStr,
    io::Write as _,
    ops::Deref,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use spinneret::manager::Manager;
use spinneret_test_pythons::Python as Found;

/// One Python.
#[derive(Clone, Debug)]
pub struct Python(&'static Found);

impl Deref for Python {
    type Target = Found;

    fn deref(&self) -> &Found {
        self.0
    }
}

impl Python {
    /// The Python of that version, if there is one.
    pub fn find(version: (u8, u8)) -> Option<&'static Self> {
        all().iter().find(|python| python.version == version)
    }

    /// One of `scripts/`, which is told where the manager is.
    pub fn script(&self, name: &str, manager: &Manager) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manager_python/scripts");
        let mut command = self.command();
        command
            // No files beside the scripts.
            .arg("-B")
            .arg(scripts.join(name))
            .arg(manager.local_addr().port().to_string())
            .arg("qiye");
        command
    }

    /// Starts a program of Python, which gets `m`, a connected manager with the typeids of
    /// `names`, `port` and `key`.
    pub fn start<S: AsRef<str>>(&self, manager: &Manager, names: &[S], program: &str) -> Child {
        let mut command = self.script("run.py", manager);
        command.args(names.iter().map(|name| OsStr::new(name.as_ref())));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        child
    }

    /// Runs a program of Python to its end, which must be a good one; returns what it prints.
    #[track_caller]
    pub fn run<S: AsRef<str>>(&self, manager: &Manager, names: &[S], program: &str) -> String {
        finish(self.start(manager, names, program))
    }
}

/// Waits for the good end of a program; returns what it printed.
#[track_caller]
pub fn finish(child: Child) -> String {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{out}\n{err}");
    out.trim().into()
}

/// Every Python, oldest first. At least one, or the test that asks fails.
pub fn all() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    ALL.get_or_init(|| spinneret_test_pythons::all().iter().map(Python).collect())
}
