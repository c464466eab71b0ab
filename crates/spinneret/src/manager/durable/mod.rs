//! The manager's data folder: durable queues and values, in an `SQLite` database.
//!
//! One thread writes. It takes whatever all connections have asked to be written meanwhile as one
//! transaction, so that the disk is waited for once for all of them, and then calls back whoever
//! waits. What was called back with success survives a killed manager and a power loss.
//!
//! The queues themselves stay in memory; the database is read when the manager starts.

mod committer;
mod recovery;
mod schema;
mod writer;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode};

use super::{
    courier::Courier,
    store::{Change, Counters, QueueOptions, Store},
    wire::Name,
};

use committer::Committer;
pub(crate) use recovery::{Recovered, RecoveredQueue};

/// A manager's data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder, or the database in it, cannot be made or opened.
    #[error("cannot use the data folder {}: {reason}; check its path, its owner and the disk", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another manager uses the folder.
    #[error("the data folder {} is in use by another manager; stop that one or choose another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database was written by a newer spinneret.
    #[error(
        "{} was written by a newer version (its format is {theirs}, this program knows up to {ours}): update this program",
        path.display()
    )]
    Newer {
        /// The database's file.
        path: PathBuf,
        /// Its format.
        theirs: i64,
        /// The newest format that this program knows.
        ours: i64,
    },
    /// The database is damaged, or something else than a manager's.
    #[error(
        "{} is damaged or no manager's database ({reason}); restore it from a backup, or move the folder away to begin with an empty one",
        path.display()
    )]
    Damaged {
        /// The database's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why something was not written. It may be asked for again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotWritten(Arc<str>);

impl NotWritten {
    /// For a duplicate of an item that could not be written.
    pub fn original() -> Self {
        Self("the item with the same key could not be written".into())
    }
}

impl From<rusqlite::Error> for NotWritten {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self("the disk is full".into()),
            _ => Self(error.to_string().into()),
        }
    }
}

/// What is called when something is written, or cannot be.
pub(crate) type Done = Box<dyn FnOnce(Result<(), NotWritten>) + Send>;

/// What can be asked to be written. All of one request is written, or nothing.
enum Write {
    /// Changes of the queue with this number.
    Changes(i64, Vec<Change>),
    Register {
        number: i64,
        name: Name,
        options: QueueOptions,
    },
    Options {
        number: i64,
        options: QueueOptions,
    },
    Remove {
        number: i64,
    },
    Value {
        name: Name,
        value: Bytes,
    },
}

/// An open data folder. Clones share it; the last one closes it.
#[derive(Clone, Debug)]
pub(crate) struct DataFolder {
    committer: Arc<Committer>,
    /// Of all queues.
    counters: Arc<Counters>,
    last_queue: Arc<AtomicI64>,
}

impl DataFolder {
    /// Opens or makes a data folder, and reads what is in it.
    pub fn open(folder: &Path) -> Result<(Self, Recovered), DataError> {
        make_folder(folder).map_err(|error| DataError::Unusable {
            path: folder.into(),
            reason: error.to_string(),
        })?;
        Self::start(schema::open(folder)?, folder)
    }

    fn start(mut connection: Connection, folder: &Path) -> Result<(Self, Recovered), DataError> {
        let counters = Arc::default();
        let recovered = recovery::read(&mut connection, folder, &counters)?;
        let committer = Committer::start(connection).map_err(|error| DataError::Unusable {
            path: folder.into(),
            reason: error.to_string(),
        })?;
        let last = recovered.queues.iter().map(|queue| queue.number).max();
        let last_queue = Arc::new(AtomicI64::new(last.unwrap_or(0)));
        Ok((Self { committer: Arc::new(committer), counters, last_queue }, recovered))
    }

    /// A new queue and its log. The queue is there for good once `done` is called with success.
    pub fn register(&self, name: Name, options: QueueOptions, done: Done) -> (Store, QueueLog) {
        let number = self.last_queue.fetch_add(1, Ordering::Relaxed) + 1;
        self.committer.write(Write::Register { number, name, options }, Some(done));
        let store =
            Store::durable(options, Arc::clone(&self.counters), super::store::Past::default());
        (store, self.log(number))
    }

    pub fn log(&self, number: i64) -> QueueLog {
        QueueLog { folder: self.clone(), number }
    }

    pub fn set_value(&self, name: Name, value: Bytes, done: Done) {
        self.committer.write(Write::Value { name, value }, Some(done));
    }

    /// Who wakes the tasks that wait for what is written.
    pub fn courier(&self) -> &Arc<Courier> {
        self.committer.courier()
    }

    /// Writes what is asked for and closes the database; what is asked for later is refused.
    pub fn close(&self) {
        self.committer.close();
    }
}

/// Where the changes of one queue go.
#[derive(Clone, Debug)]
pub(crate) struct QueueLog {
    folder: DataFolder,
    /// The queue's number in the database.
    number: i64,
}

impl QueueLog {
    /// Asks for changes to be written, in the order of these calls.
    pub fn write(&self, changes: Vec<Change>, done: Option<Done>) {
        if !changes.is_empty() || done.is_some() {
            self.folder.committer.write(Write::Changes(self.number, changes), done);
        }
    }

    pub fn set_options(&self, options: QueueOptions, done: Done) {
        let number = self.number;
        self.folder.committer.write(Write::Options { number, options }, Some(done));
    }

    /// Removes the queue and all that is in it.
    pub fn remove(&self, done: Done) {
        self.folder.committer.write(Write::Remove { number: self.number }, Some(done));
    }
}

/// Makes the folder, for nobody else's eyes, and lets its name survive a power loss.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    #[cfg(unix)]
    if let Some(parent) = folder.canonicalize()?.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
