//! What a pool and a worker say to each other.
//!
//! First each says who it is ([`Hello`]), the pool before the worker. Then the pool sends [`Job`]s;
//! the worker says of each, in order, that it begins and how it ended ([`Reply`]). So the pool
//! knows what a worker that died was doing, and from when to count a task's time.

use std::fs::Metadata;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::StartError;
use crate::task::{Outcome, registry};

/// Stands at the head of every greeting, whatever the version.
const MAGIC: [u8; 8] = *b"spinnert";

/// Goes up whenever a message changes.
const VERSION: u32 = 1;

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    magic: [u8; 8],
    version: u32,
    build: String,
    /// Name and signature of every task, sorted by name.
    tasks: Vec<(String, u64)>,
}

/// One task to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job<'a> {
    pub(crate) task: &'a str,
    pub(crate) signature: u64,
    #[serde(with = "serde_bytes")]
    pub(crate) args: &'a [u8],
}

/// What a worker says of a [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is about to run.
    Begun,
    /// What came of it: the encoded result, or why there is none.
    Ended(Outcome<ByteBuf>),
}

impl Hello {
    /// This process.
    pub(crate) fn ours() -> Self {
        let mut tasks: Vec<_> = registry::all()
            .iter()
            .map(|entry| (entry.name().to_owned(), entry.signature()))
            .collect();
        tasks.sort_unstable();
        Self { magic: MAGIC, version: VERSION, build: build(), tasks }
    }

    /// Whether a pool (`self`) and a worker can work together.
    pub(crate) fn check(&self, worker: &Self) -> Result<(), StartError> {
        if worker.magic != self.magic {
            return Err(StartError::Handshake {
                cause: "the other side does not speak this protocol".to_owned(),
            });
        }
        if worker.version != self.version {
            return Err(StartError::Version { ours: self.version, theirs: worker.version });
        }
        if worker.build != self.build {
            return Err(StartError::Build {
                ours: self.build.clone(),
                theirs: worker.build.clone(),
            });
        }
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
    use std::os::unix::fs::MetadataExt;
    let modified = file
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |time| time.as_nanos());
    format!("{:x}-{:x}-{:x}-{modified:x}", file.dev(), file.ino(), file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = refusal(&Hello { magic: *b"somebody", ..hello() });
        assert!(text.contains("does not speak this protocol"), "{text}");
        let text = refusal(&Hello { version: 9, ..hello() });
        assert!(text.contains("version 1") && text.contains("version 9"), "{text}");
        let text = refusal(&Hello { build: "other".into(), ..hello() });
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
