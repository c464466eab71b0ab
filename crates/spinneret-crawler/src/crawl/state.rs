//! The state folder of a crawl, `DIR/.spinneret`: the frontier's journal, the token by which a
//! worker knows the folder, and a lock against a second crawl.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::worker::TOKEN_FILE;

/// The folder cannot be used for this crawl.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system said no.
    #[error("cannot use the output folder {}: {cause}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// The system's answer.
        cause: io::Error,
    },
    /// A crawl runs there now.
    #[error("another crawl is writing to {}; choose another folder with -o", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A crawl ended there before it was done.
    #[error(
        "{} holds an unfinished crawl; go on with it by --resume, or choose another folder with -o",
        folder.display()
    )]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },
    /// There is nothing to go on with.
    #[error("{} holds no crawl to resume; leave --resume out to start one", folder.display())]
    NothingToResume {
        /// The folder.
        folder: PathBuf,
    },
}

/// An output folder that this process has to itself.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl State {
    pub(super) fn open(folder: &Path, resume: bool) -> Result<Self, StateError> {
        let fail = |cause| StateError::Io { folder: folder.to_owned(), cause };
        let inner = folder.join(".spinneret");
        if resume && !inner.join("frontier").exists() {
            return Err(StateError::NothingToResume { folder: folder.to_owned() });
        }
        fs::create_dir_all(&inner).map_err(fail)?;
        let lock = File::create(inner.join("lock")).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Busy { folder: folder.to_owned() });
            }
            Err(TryLockError::Error(cause)) => return Err(fail(cause)),
        }
        let state = Self { folder: folder.to_owned(), _lock: lock };
        if !resume && state.journal().exists() && !state.is_finished() {
            return Err(StateError::Unfinished { folder: folder.to_owned() });
        }
        Ok(state)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.inner("frontier")
    }

    /// Writes a fresh token; its text.
    pub(super) fn write_token(&self) -> Result<String, StateError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| self.io(io::Error::other(error.to_string())))?;
        let text = format!("{:032x}", u128::from_le_bytes(random));
        fs::write(self.folder.join(TOKEN_FILE), &text).map_err(|cause| self.io(cause))?;
        Ok(text)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.inner("finished").exists()
    }

    pub(super) fn set_finished(&self, finished: bool) -> Result<(), StateError> {
        let mark = self.inner("finished");
        let done = if finished { fs::write(&mark, "") } else { remove_if_there(&mark) };
        done.map_err(|cause| self.io(cause))
    }

    fn inner(&self, name: &str) -> PathBuf {
        self.folder.join(".spinneret").join(name)
    }

    fn io(&self, cause: io::Error) -> StateError {
        StateError::Io { folder: self.folder.clone(), cause }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
