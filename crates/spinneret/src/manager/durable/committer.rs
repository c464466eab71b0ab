//! The thread that writes, and the groups in which it does.
//!
//! While one transaction is on its way to the disk, what is asked for meanwhile gathers, and is
//! the next. Whoever is called back usually asks for more at once; so before the thread begins
//! another transaction it waits a moment until half of all who ask have asked, but never longer
//! than a transaction takes. Without that, the first to ask would make one of their own for which
//! all others have to wait; and if it waited for all, they would be in step, and have nothing to
//! do while the disk writes. So two groups take turns.

use std::{
    collections::BTreeMap,
    io, mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, TransactionBehavior};

use super::{
    Done, NotWritten, Write,
    writer::{self, Clock},
};
use crate::manager::{
    courier::Courier,
    store::{Change, ItemId},
};

/// Requests in one transaction, at most.
const MOST_REQUESTS: usize = 4096;
/// Bytes of payloads in one transaction above which no request is added.
const MOST_BYTES: usize = 16 << 20;
/// The longest wait for others to join a transaction.
const PATIENCE: Duration = Duration::from_millis(2);

/// Something to write and whom to tell; see [`Write`].
struct Request {
    write: Write,
    done: Option<Done>,
}

impl Request {
    fn bytes(&self) -> usize {
        let of = |change: &Change| match change {
            Change::Put { payload, .. } => payload.len(),
            _ => 0,
        };
        match &self.write {
            Write::Changes(_, changes) => changes.iter().map(of).sum(),
            Write::Value { value, .. } => value.len(),
            _ => 0,
        }
    }

    /// Whether there is nothing to write: it only waits its turn.
    fn is_empty(&self) -> bool {
        matches!(&self.write, Write::Changes(_, changes) if changes.is_empty())
    }
}

#[derive(Default)]
struct Pending {
    requests: Vec<Request>,
    /// With how many requests the thread wants to be woken.
    wanted: usize,
    /// Nothing more is taken in.
    closed: bool,
}

#[derive(Default)]
struct Desk {
    pending: Mutex<Pending>,
    changed: Condvar,
}

/// See the module.
pub(super) struct Committer {
    desk: Arc<Desk>,
    courier: Arc<Courier>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub fn start(connection: Connection) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let courier = Arc::new(Courier::default());
        let writer = Writer {
            desk: Arc::clone(&desk),
            courier: Arc::clone(&courier),
            connection,
            owed: BTreeMap::new(),
            failing: false,
            pace: Duration::ZERO,
        };
        let thread =
            thread::Builder::new().name("spinneret-data".into()).spawn(move || writer.run())?;
        Ok(Self { desk, courier, thread: Mutex::new(Some(thread)) })
    }

    /// Asks for something to be written. If `done` is dropped uncalled, the folder is closed. It
    /// is never called within this call, whose caller may hold locks.
    pub fn write(&self, write: Write, done: Option<Done>) {
        let request = Request { write, done };
        let mut pending = self.desk.pending.lock();
        if pending.closed {
            drop(pending);
            return;
        }
        pending.requests.push(request);
        if pending.requests.len() == pending.wanted {
            self.desk.changed.notify_one();
        }
    }

    /// Who wakes the tasks that wait for what is written.
    pub fn courier(&self) -> &Arc<Courier> {
        &self.courier
    }

    /// Ends the thread when everything is written, and waits for that.
    pub fn close(&self) {
        self.desk.pending.lock().closed = true;
        self.desk.changed.notify_one();
        let thread = self.thread.lock().take();
        // What is called back may hold the last handle; then this is that thread.
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the data folder panicked");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

/// What is to be made up for in a queue, or a restart would bring back what is done, and have
/// `join` wait for fewer or more than there are.
#[derive(Default)]
struct Owed {
    /// Items that are to be deleted.
    gone: Vec<ItemId>,
    /// How many more are taken.
    taken: i64,
}

/// What the thread has.
struct Writer {
    desk: Arc<Desk>,
    courier: Arc<Courier>,
    connection: Connection,
    /// By queue, what could not be written though nobody waits for that.
    owed: BTreeMap<i64, Owed>,
    /// Whether the last transaction failed.
    failing: bool,
    /// How long a transaction takes.
    pace: Duration,
}

impl Writer {
    fn run(mut self) {
        // However the thread ends, nobody may wait for it any more.
        let _closing = CloseDesk(Arc::clone(&self.desk));
        let mut expected = 1;
        while let Some(requests) = self.next(expected) {
            let group = requests.len();
            let start = Instant::now();
            self.commit(requests);
            self.pace = start.elapsed().min(PATIENCE);
            // Those who were just told and those who ask now: half of them, and at least one.
            let all = group + self.desk.pending.lock().requests.len();
            expected = all.div_ceil(2);
        }
        if !self.owed.is_empty() {
            self.commit(Vec::new());
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the data folder was not closed well; nothing is lost");
        }
    }

    /// What is to be written next; `None` at the end.
    fn next(&self, expected: usize) -> Option<Vec<Request>> {
        let mut pending = self.desk.pending.lock();
        pending.wanted = 1;
        while pending.requests.is_empty() {
            if pending.closed {
                return None;
            }
            self.desk.changed.wait(&mut pending);
        }
        pending.wanted = expected;
        let patience = Instant::now() + self.pace;
        while pending.requests.len() < expected && !pending.closed {
            if self.desk.changed.wait_until(&mut pending, patience).timed_out() {
                break;
            }
        }
        // Nobody is to be woken for what comes while this is written.
        pending.wanted = 0;
        let mut bytes = 0;
        let fits = |request: &&Request| {
            bytes += request.bytes();
            bytes <= MOST_BYTES
        };
        let count = pending.requests.iter().take(MOST_REQUESTS).take_while(fits).count().max(1);
        let rest = pending.requests.split_off(count);
        Some(mem::replace(&mut pending.requests, rest))
    }

    /// Writes requests and tells whoever waits. If not all can be written, as many are as can.
    fn commit(&mut self, mut requests: Vec<Request>) {
        let owed = mem::take(&mut self.owed).into_iter().map(|(queue, Owed { gone, taken })| {
            let changes = vec![Change::Gone(gone), Change::Taken(taken)];
            Request { write: Write::Changes(queue, changes), done: None }
        });
        requests.splice(0..0, owed);
        let written = match self.transact(&requests) {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                self.make_room();
                self.transact(&requests)
            }
            written => written,
        };
        match written {
            Ok(()) => {
                if mem::take(&mut self.failing) {
                    tracing::info!("the data folder can be written again");
                }
                let _held = self.courier.hold();
                requests.into_iter().filter_map(|r| r.done).for_each(|done| done(Ok(())));
            }
            Err(error) => {
                if !mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the data folder cannot be written");
                }
                self.commit_parts(requests);
            }
        }
    }

    /// Writes in halves what could not be written as a whole, so that only those fail that have to.
    fn commit_parts(&mut self, mut requests: Vec<Request>) {
        while requests.len() > 1 {
            let later = requests.split_off(requests.len() / 2);
            self.commit_part(requests);
            requests = later;
        }
        for request in requests {
            self.commit_part(vec![request]);
        }
    }

    fn commit_part(&mut self, mut requests: Vec<Request>) {
        match (self.transact(&requests), requests.len()) {
            (Ok(()), _) => {
                requests.into_iter().filter_map(|r| r.done).for_each(|done| done(Ok(())));
            }
            (Err(error), 1) => {
                if let Some(Request { write, done }) = requests.pop() {
                    match done {
                        Some(done) => done(Err(NotWritten::from(error))),
                        None => self.owe(write),
                    }
                }
            }
            (Err(_), _) => self.commit_parts(requests),
        }
    }

    /// Remembers what items are done, or taken. Whatever else nobody waits for is no loss: a
    /// delivery or a dead letter that is not counted only makes an item come once more.
    fn owe(&mut self, write: Write) {
        let Write::Changes(queue, changes) = write else { return };
        for change in changes {
            match change {
                Change::Gone(items) => self.owed.entry(queue).or_default().gone.extend(items),
                Change::Taken(more) => self.owed.entry(queue).or_default().taken += more,
                _ => {}
            }
        }
    }

    fn transact(&mut self, requests: &[Request]) -> rusqlite::Result<()> {
        if requests.iter().all(Request::is_empty) {
            return Ok(());
        }
        let clock = Clock::now();
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tries = writer::any_tries(&transaction, requests.iter().map(|r| &r.write))?;
        for request in requests {
            writer::write(&transaction, &request.write, clock, tries)?;
        }
        transaction.commit()
    }

    /// Carries the log over into the database, where deletions have left room, and so frees the
    /// log for reuse.
    fn make_room(&self) {
        let carried = self.connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
        if let Err(error) = carried {
            tracing::debug!(%error, "the log cannot be carried over");
        }
    }
}

struct CloseDesk(Arc<Desk>);

impl Drop for CloseDesk {
    fn drop(&mut self) {
        let mut pending = self.0.pending.lock();
        pending.closed = true;
        let left = mem::take(&mut pending.requests);
        drop(pending);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::manager::{durable::schema, store::QueueOptions, wire::Name};

    /// A writer without a thread, with a queue of number 1.
    fn writer(folder: &TempDir) -> Writer {
        let connection = schema::open(folder.path()).unwrap();
        let (desk, pace) = (Arc::default(), Duration::ZERO);
        let courier = Arc::default();
        let owed = BTreeMap::new();
        let mut writer = Writer { desk, courier, connection, owed, failing: false, pace };
        let (name, options) = (Name::sought("q"), QueueOptions::new());
        let write = Write::Register { number: 1, name, options };
        writer.commit(vec![Request { write, done: None }]);
        writer
    }

    fn put(sequence: u64) -> Change {
        let (item, payload) = (ItemId::new(0, sequence), Bytes::from("x"));
        Change::Put { item, due: None, payload }
    }

    fn items(writer: &Writer) -> i64 {
        let count = "SELECT count(*) FROM item";
        writer.connection.query_row(count, [], |row| row.get(0)).unwrap()
    }

    /// Commits one change and tells whether it was written.
    fn commit(writer: &mut Writer, change: Change) -> bool {
        let (sender, written) = mpsc::channel();
        let done: Done = Box::new(move |written| sender.send(written.is_ok()).unwrap());
        let write = Write::Changes(1, vec![change]);
        writer.commit(vec![Request { write, done: Some(done) }]);
        written.recv().unwrap()
    }

    #[test]
    fn a_deletion_that_nobody_waits_for_is_made_up_for() {
        let folder = TempDir::new().unwrap();
        let mut writer = writer(&folder);
        assert!(commit(&mut writer, put(1)) && commit(&mut writer, put(2)));
        let writable = |writer: &Writer, is: bool| {
            writer.connection.pragma_update(None, "query_only", !is).unwrap();
        };
        writable(&writer, false);
        let write = Write::Changes(1, vec![Change::Gone(vec![ItemId::new(0, 1)])]);
        writer.commit(vec![Request { write, done: None }]);
        assert!(!commit(&mut writer, put(3)), "nothing can be written");
        assert_eq!(items(&writer), 2);
        writable(&writer, true);
        assert!(commit(&mut writer, put(4)));
        assert_eq!(items(&writer), 2, "one is gone and one is new");
        assert!(writer.owed.is_empty());
    }

    #[test]
    fn of_a_group_only_what_is_wrong_fails() {
        let folder = TempDir::new().unwrap();
        let mut writer = writer(&folder);
        let (sender, written) = mpsc::channel();
        let requests = (1..=7).map(|number| {
            // There is no queue 99.
            let queue = if number % 3 == 0 { 99 } else { 1 };
            let sender = sender.clone();
            let done: Done =
                Box::new(move |written| sender.send((number, written.is_ok())).unwrap());
            Request { write: Write::Changes(queue, vec![put(number)]), done: Some(done) }
        });
        writer.commit(requests.collect());
        drop(sender);
        let told: Vec<_> = written.iter().collect();
        let expected = [true, true, false, true, true, false, true];
        assert_eq!(told, (1..).zip(expected).collect::<Vec<_>>(), "and in their order");
        assert_eq!(items(&writer), 5);
    }
}
