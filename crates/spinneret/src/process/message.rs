//! What a pool and a worker say to each other.
//!
//! First each says who it is ([`Hello`]), the pool before the worker. What follows is the pool's
//! affair.
//!
//! A child process that runs one task alone gets a [`Launch`], and answers only if it cannot do it.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::StartError;
use crate::task::registry;

/// Stands at the head of every greeting, whatever the version.
const MAGIC: [u8; 8] = *b"spinnert";

/// Goes up whenever a message changes.
const VERSION: u32 = 2;

/// Which program a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Program {
    magic: [u8; 8],
    version: u32,
    build: String,
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    program: Program,
    /// As [`current`](super::current()) has it.
    pub(crate) name: String,
    /// Name and signature of every task, sorted by name.
    tasks: Vec<(String, u64)>,
}

/// All that a child process is told. It is sent before the child exists, and not answered unless by
/// a [`Refusal`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch<'a> {
    pub(crate) program: Program,
    pub(crate) task: &'a str,
    pub(crate) signature: u64,
    #[serde(with = "serde_bytes")]
    pub(crate) args: &'a [u8],
    pub(crate) name: &'a str,
    /// See [`Me`](super::current::Me).
    pub(crate) identity: Vec<u32>,
    pub(crate) daemon: bool,
    /// The parent's name.
    pub(crate) parent: &'a str,
}

/// Why a child process did not run its task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// It is another program, or another version of it.
    Differs(Program),
    /// It has no such task, or one with other types.
    UnknownTask,
    /// It could not make sense of the arguments.
    Undecodable(String),
}

impl Program {
    /// The one that this process runs.
    pub(crate) fn ours() -> Self {
        Self { magic: MAGIC, version: VERSION, build: build() }
    }

    /// Whether a parent (`self`) and a child can work together.
    pub(crate) fn check(&self, child: &Self) -> Result<(), StartError> {
        if child.magic != self.magic {
            return Err(StartError::Handshake {
                cause: "the other side does not speak this protocol".to_owned(),
            });
        }
        if child.version != self.version {
            return Err(StartError::Version { ours: self.version, theirs: child.version });
        }
        if child.build != self.build {
            return Err(StartError::Build {
                ours: self.build.clone(),
                theirs: child.build.clone(),
            });
        }
        Ok(())
    }
}

impl Hello {
    /// This process.
    pub(crate) fn ours() -> Self {
        let mut tasks: Vec<_> = registry::all()
            .iter()
            .map(|entry| (entry.name().to_owned(), entry.signature()))
            .collect();
        tasks.sort_unstable();
        Self { program: Program::ours(), name: super::current::name().to_owned(), tasks }
    }

    /// Whether a pool (`self`) and a worker can work together.
    pub(crate) fn check(&self, worker: &Self) -> Result<(), StartError> {
        self.program.check(&worker.program)?;
        let differing: Vec<_> = self
            .tasks
            .iter()
            .filter(|task| worker.tasks.binary_search(task).is_err())
            .map(|(name, _)| name.clone())
            .collect();
        if differing.is_empty() { Ok(()) } else { Err(StartError::Tasks { names: differing }) }
    }
}

/// Which build of the program this is: device, inode, size and modification time of its file.
///
/// Cheaper than a hash of the file and as good for the question at hand, whether pool and worker
/// run the same file. On Linux they do by construction, even if the file was replaced meanwhile.
fn build() -> String {
    let file = if cfg!(target_os = "linux") {
        std::fs::metadata("/proc/self/exe")
    } else {
        std::env::current_exe().and_then(std::fs::metadata)
    };
    file.map_or_else(|_| "unknown".to_owned(), |file| describe(&file))
}

fn describe(file: &Metadata) -> String {
    let modified = file
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |time| time.as_nanos());
    format!("{}-{:x}-{modified:x}", super::sys::file_id(file), file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_and_changed_messages_never_panic() {
        let launch = Launch {
            program: Program::ours(),
            task: "a::b",
            signature: 7,
            args: &[1, 2, 3],
            name: "Process-1",
            identity: vec![1, 2],
            daemon: true,
            parent: "MainProcess",
        };
        let refusal = Refusal::Differs(Program::ours());
        for message in [
            rmp_serde::to_vec(&launch).unwrap(),
            rmp_serde::to_vec(&refusal).unwrap(),
            rmp_serde::to_vec(&hello()).unwrap(),
        ] {
            for at in 0..message.len() {
                for byte in 0..=255 {
                    let mut changed = message.clone();
                    changed[at] = byte;
                    for bytes in [&changed[..], &changed[at..], &message[..at]] {
                        let _ = rmp_serde::from_slice::<Launch<'_>>(bytes);
                        let _ = rmp_serde::from_slice::<Refusal>(bytes);
                        let _ = rmp_serde::from_slice::<Hello>(bytes);
                    }
                }
            }
        }
    }

    fn hello() -> Hello {
        Hello { tasks: vec![("a".into(), 1), ("b".into(), 2)], ..Hello::ours() }
    }

    #[test]
    fn a_worker_of_the_same_build_is_welcome() {
        let bytes = rmp_serde::to_vec(&hello()).unwrap();
        hello().check(&rmp_serde::from_slice(&bytes).unwrap()).expect("the same");
    }

    #[test]
    fn a_worker_that_differs_is_refused_with_the_reason() {
        let refusal = |worker: &Hello| hello().check(worker).expect_err("different").to_string();
        let other = |program| Hello { program, ..hello() };
        let text = refusal(&other(Program { magic: *b"somebody", ..Program::ours() }));
        assert!(text.contains("does not speak this protocol"), "{text}");
        let text = refusal(&other(Program { version: 9, ..Program::ours() }));
        assert!(text.contains("version 2") && text.contains("version 9"), "{text}");
        let text = refusal(&other(Program { build: "other".into(), ..Program::ours() }));
        assert!(text.contains("start the program again"), "{text}");
        let text = refusal(&Hello { tasks: vec![("a".into(), 1), ("b".into(), 3)], ..hello() });
        assert!(text.contains("`b`") && !text.contains("`a`"), "{text}");
        let text = refusal(&Hello { tasks: vec![("b".into(), 2)], ..hello() });
        assert!(text.contains("`a`") && !text.contains("`b`"), "{text}");
    }

    #[test]
    fn the_build_is_known() {
        assert_ne!(build(), "unknown");
        assert_eq!(build(), build());
    }
}
