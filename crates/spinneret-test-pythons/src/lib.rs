//! The Pythons on this machine, for tests that compare with them or talk to them.
//!
//! Looked for are `python2.7`, `python3`, `python3.6` and what came after in `PATH`, and every
//! version under pyenv's root (`$PYENV_ROOT`, else `~/.pyenv`). Of each version, such as 3.13, there
//! is one, whatever it is called where it was found.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    env::consts::EXE_SUFFIX,
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// The last minor version of Python 3 that is looked for by name. (One that is only called
/// `python3` is found whatever its version.)
const LAST_MINOR: u8 = 30;

/// Prints the version and where the program really is: what is in `PATH` may be a script that looks
/// for it anew each time.
const ASK: &str = "import sys; print('%d %d %s' % (sys.version_info[:2] + (sys.executable,)))";

/// One Python.
#[derive(Clone, Debug)]
pub struct Python {
    /// Such as `(3, 13)`. Only 2.7 and 3.6 and later are found.
    pub version: (u8, u8),
    /// The program.
    pub path: PathBuf,
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

    /// The protocol in which it pickles what its processes tell each other.
    pub fn protocol(&self) -> u8 {
        match self.version {
            (2, _) => 2,
            (3, ..=7) => 3,
            _ => 4,
        }
    }
}

/// Every Python, the oldest first; the first call looks for them and prints their versions.
///
/// # Panics
/// If there is no Python 3: a test that found nothing to compare with would pass for one that did.
pub fn all() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let found = distinct(candidates());
        let versions: Vec<String> =
            found.iter().map(|Python { version: (a, b), .. }| format!("{a}.{b}")).collect();
        println!("Pythons on this machine: {}", versions.join(", "));
        found
    });
    assert!(all.iter().any(|python| python.version.0 == 3), "these tests need at least python3");
    all
}

/// The newest Python 3.
///
/// # Panics
/// As [`all`].
pub fn newest() -> &'static Python {
    all().last().unwrap_or_else(|| unreachable!("there is at least one, or `all` panics"))
}

/// What may be a Python, the likelier ones first.
fn candidates() -> Vec<PathBuf> {
    let root = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv")));
    let versions = root.as_ref().and_then(|root| fs::read_dir(root.join("versions")).ok());
    let versions = versions.into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin/python")).collect();
    candidates.sort();
    // pyenv's scripts there are slow, and lead to what was found already.
    let scripts = root.map(|root| root.join("shims"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).filter(|folder| Some(folder) != scripts.as_ref());
    candidates.extend(folders.flat_map(in_folder));
    // Folders and names in `PATH` are often links to one another.
    let mut known = HashSet::new();
    candidates.retain(|path| path.canonicalize().is_ok_and(|real| known.insert(real)));
    candidates
}

fn in_folder(folder: PathBuf) -> impl Iterator<Item = PathBuf> {
    let names = ["python3".to_owned(), "python2.7".to_owned()];
    let names = names.into_iter().chain((6..=LAST_MINOR).map(|minor| format!("python3.{minor}")));
    names.map(move |name| folder.join(name + EXE_SUFFIX))
}

/// One of each version, the oldest first: that of the first candidate that is one and works.
fn distinct(candidates: Vec<PathBuf>) -> Vec<Python> {
    // All at once, since each takes a while to start.
    let asked: Vec<_> = candidates.into_iter().filter_map(|path| ask(path).ok()).collect();
    let mut found = BTreeMap::new();
    for python in asked.into_iter().filter_map(|(path, child)| answer(path, child)) {
        if python.version == (2, 7) || python.version >= (3, 6) {
            found.entry(python.version).or_insert(python);
        }
    }
    found.into_values().collect()
}

fn ask(path: PathBuf) -> std::io::Result<(PathBuf, Child)> {
    let mut command = Command::new(&path);
    command.args(["-c", ASK]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map(|child| (path, child))
}

fn answer(path: PathBuf, child: Child) -> Option<Python> {
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let answer = String::from_utf8(output.stdout).ok()?;
    let mut parts = answer.trim_end_matches(['\r', '\n']).splitn(3, ' ');
    let mut number = || parts.next()?.parse().ok();
    let version = (number()?, number()?);
    let real = parts.next().filter(|real| !real.is_empty()).map(OsString::from);
    Some(Python { version, path: real.map_or(path, PathBuf::from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_found_once_and_works() {
        let all = all();
        assert!(all.is_sorted_by(|one, other| one.version < other.version), "{all:?}");
        for python in all {
            let asked = ask(python.path.clone()).expect("it starts");
            let again = answer(asked.0, asked.1).expect("it answers");
            assert_eq!(again.version, python.version);
            assert_eq!(Python::find(python.version).map(|found| &found.path), Some(&python.path));
        }
        assert_eq!(newest().version.0, 3);
    }

    #[test]
    fn what_is_no_python_is_none() {
        let program = env::current_exe().expect("this test is a program");
        assert!(distinct(vec![program, "/nowhere/python3".into()]).is_empty());
    }
}
