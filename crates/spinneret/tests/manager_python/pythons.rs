//! The Pythons on this machine.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
};

use spinneret::manager::Manager;

/// The versions that tests are for.
const VERSIONS: [(u8, u8); 9] =
    [(2, 7), (3, 6), (3, 7), (3, 8), (3, 9), (3, 10), (3, 11), (3, 12), (3, 13)];

/// One Python.
#[derive(Clone, Debug)]
pub struct Python {
    pub version: (u8, u8),
    path: PathBuf,
}

impl Python {
    /// The Python of that version, if there is one.
    pub fn find(version: (u8, u8)) -> Option<&'static Self> {
        all().iter().find(|python| python.version == version)
    }

    /// To run it.
    pub fn command(&self) -> Command {
        Command::new(&self.path)
    }

    /// The protocol of its managers' pickles.
    pub fn protocol(&self) -> u8 {
        match self.version {
            (2, _) => 2,
            (3, ..=7) => 3,
            _ => 4,
        }
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

/// Every Python that tests are for, oldest first. At least one, or the test that asks fails.
pub fn all() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mut found: Vec<Python> = VERSIONS.into_iter().filter_map(look).collect();
        if let Some(python) = ask(Path::new("python3"))
            && found.iter().all(|other| other.version != python.version)
        {
            found.push(python);
        }
        let versions: Vec<String> =
            found.iter().map(|Python { version: (a, b), .. }| format!("{a}.{b}")).collect();
        println!("Pythons on this machine: {}", versions.join(", "));
        found
    });
    assert!(!all.is_empty(), "these tests need at least python3");
    all
}

fn look(version: (u8, u8)) -> Option<Python> {
    let (major, minor) = version;
    let root = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let mut candidates = Vec::new();
    for folder in root.into_iter().filter_map(|root| fs::read_dir(root.join("versions")).ok()) {
        let prefix = format!("{major}.{minor}.");
        let versions = folder
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        candidates.extend(versions.map(|entry| entry.path().join("bin/python")));
    }
    candidates.push(format!("python{major}.{minor}").into());
    candidates.iter().filter_map(|path| ask(path)).find(|python| python.version == version)
}

/// The Python that a program is, if it is one that works.
fn ask(path: &Path) -> Option<Python> {
    let script = "import sys; print('%d %d' % sys.version_info[:2])";
    let output = Command::new(path).args(["-c", script]).stderr(Stdio::null()).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = answer.trim().split_once(' ')?;
    Some(Python { version: (major.parse().ok()?, minor.parse().ok()?), path: path.into() })
}
