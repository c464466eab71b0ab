//! The database's tables, and opening it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::DataError;

/// The database's name in the folder.
const FILE: &str = "manager.sqlite";
/// What an `SQLite` database has in its head to tell what program it is of: `spnr`.
const APPLICATION: i64 = 0x7370_6e72;
/// The tables' format. A newer program may know older ones, never the reverse.
const FORMAT: i64 = 1;
/// Pages of the write-ahead log after which it is carried over into the database, and written anew
/// from its start: 4 MiB. Until then it grows, which the disk has to be told each time.
const CARRY_OVER: u32 = 1024;

/// Times are microseconds since 1970. What changes while an item is in the queue is apart from
/// `item`, so that no payload is written twice.
const TABLES: &str = "
CREATE TABLE queue (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    maxsize INTEGER NOT NULL,
    max_deliveries INTEGER NOT NULL,
    -- Both in microseconds; 0 is no backoff.
    backoff_initial INTEGER NOT NULL,
    backoff_max INTEGER NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0,
    -- Items taken for good whose task is not done.
    taken INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE item (
    -- The priority in the top byte, below it the place in the sequence of puts.
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL REFERENCES queue,
    -- The place in the line, if it is not that of the put.
    place INTEGER,
    -- When it may be taken first, if not at once.
    due INTEGER,
    payload BLOB NOT NULL
) STRICT;
-- Items that were delivered and are not done.
CREATE TABLE tries (
    item INTEGER PRIMARY KEY,
    deliveries INTEGER NOT NULL,
    released INTEGER NOT NULL,
    due INTEGER
) STRICT;
-- Items that are dead letters.
CREATE TABLE dead (
    item INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE dedupe (
    queue INTEGER NOT NULL REFERENCES queue,
    key BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedupe_until ON dedupe (until);
CREATE TABLE value (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How often a manager has opened the folder. By itself, since it may be missing in one that is older.
const RUNS: &str = "
CREATE TABLE IF NOT EXISTS run (
    -- There is one row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;
";

/// Opens the folder's database for this process alone, making its tables if it is new.
pub(super) fn open(folder: &Path) -> Result<Connection, DataError> {
    let path = folder.join(FILE);
    try_open(&path).map_err(|failure| match failure {
        Failure::Newer(theirs) => DataError::Newer { path, theirs, ours: FORMAT },
        Failure::Damaged(reason) => DataError::Damaged { path, reason },
        Failure::Sqlite(error) => error_of(folder, &error),
    })
}

/// What an error of `SQLite` while opening or reading means.
pub(super) fn error_of(folder: &Path, error: &rusqlite::Error) -> DataError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            DataError::InUse { path: folder.into() }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
            DataError::Damaged { path: folder.join(FILE), reason: error.to_string() }
        }
        Some(_) => DataError::Unusable { path: folder.into(), reason: error.to_string() },
    }
}

/// The database's file, for an error's text.
pub(super) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

enum Failure {
    Sqlite(rusqlite::Error),
    Newer(i64),
    Damaged(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn try_open(path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Nobody else ever has it for a moment only.
    connection.busy_timeout(Duration::ZERO)?;
    // Before anything else, so that the log's index needs no shared memory and nobody else gets in.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is on the disk when it returns, not only in the system's hands.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CARRY_OVER)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -(16 << 10))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Takes the lock that is then kept.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, FORMAT) => {
            let verdict: String =
                connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if verdict != "ok" {
                return Err(Failure::Damaged(verdict));
            }
        }
        (APPLICATION, newer) if newer > FORMAT => return Err(Failure::Newer(newer)),
        (0, 0) if is_empty(&connection)? => {
            connection.execute_batch(&format!(
                "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION}; \
                 PRAGMA user_version = {FORMAT}; COMMIT"
            ))?;
            // The names of the new files are to survive a power loss too.
            #[cfg(unix)]
            if let Some(folder) = path.parent() {
                std::fs::File::open(folder)
                    .and_then(|folder| folder.sync_all())
                    .map_err(|error| Failure::Damaged(error.to_string()))?;
            }
        }
        _ => return Err(Failure::Damaged("it is another program's".into())),
    }
    connection.execute_batch(RUNS)?;
    Ok(connection)
}

/// Counts that a manager has opened the folder; returns how often one had before.
pub(super) fn count_run(connection: &Connection) -> rusqlite::Result<u64> {
    let before = "SELECT coalesce(max(last), 0) FROM run";
    let before: i64 = connection.query_row(before, [], |row| row.get(0))?;
    let counted = connection.execute(
        "INSERT INTO run (id, last) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET last = last + 1",
        [],
    );
    // On a full disk a manager can still be emptied.
    if let Err(error) = counted {
        tracing::warn!(%error, "numbers of dead letters may be given again after the next start");
    }
    Ok(before.cast_unsigned())
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}
