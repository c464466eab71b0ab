//! What can go wrong with a manager, its clients and its queues.

use std::{fmt, io, path::PathBuf};

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{durable::DataError, items, python::client::RemoteException, tls::TlsError};

/// A key that could not be read, made or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key file is missing or cannot be read.
    #[error("cannot read the key file {}: {source}; give the file that the manager uses", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file has no key in it.
    #[error("the key file {} is empty; put the manager's key in it", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// `SPINNERET_AUTHKEY` is missing or empty.
    #[error("the environment variable SPINNERET_AUTHKEY is not set; set it to the manager's key")]
    NotInEnvironment,
    /// The key file exists already, and a key is never overwritten.
    #[error("the key file {} exists already; remove it first or choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The key file cannot be written.
    #[error("cannot write the key file {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a key: {0}")]
    NoRandomness(String),
}

/// What a manager or a client of one reports.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// Another program listens on the address.
    #[error(
        "cannot listen on {address}: it is in use; stop the other program or choose another port"
    )]
    AddressInUse {
        /// The address as it was given.
        address: String,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {address}: {source}; give an address of this machine as HOST:PORT")]
    CannotListen {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A manager was started without a key.
    #[error("a manager needs a key that its clients share: give the builder one with `authkey`")]
    MissingKey,
    /// The key could not be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The address names no host, or has no port.
    #[error("cannot find {address}: {source}; check the host's name and give HOST:PORT")]
    Unresolvable {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing listens on the address.
    #[error("nothing listens on {address}: check host and port, and that the manager runs there")]
    Refused {
        /// The address as it was given.
        address: String,
    },
    /// The address cannot be reached.
    #[error("cannot reach {address}: {source}; check host, port, network and firewall")]
    Unreachable {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The two ends have different keys.
    #[error("the manager at {address} has another key: give both ends the same one")]
    WrongKey {
        /// The address as it was given.
        address: String,
    },
    /// What answers at the address is no manager that this client can talk to.
    #[error("what answers at {address} does not speak the manager's protocol: {reason}")]
    NotAManager {
        /// The address as it was given.
        address: String,
        /// What it did instead.
        reason: String,
    },
    /// There is no TLS with the manager, or its files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The two ends speak different versions of the protocol.
    #[error(
        "the manager at {address} speaks protocol version {theirs}, this program {ours}: update {}",
        if theirs < ours { "the manager" } else { "this program" }
    )]
    VersionMismatch {
        /// The address as it was given.
        address: String,
        /// This program's protocol version.
        ours: u16,
        /// The manager's.
        theirs: u16,
    },
    /// The connection to the manager broke, or was closed. Leases held over it went back.
    #[error("the connection to the manager is gone ({reason}): connect again")]
    Disconnected {
        /// Why.
        reason: String,
    },
    /// The manager is shutting down, or was shut down.
    #[error("the manager was shut down")]
    ShutDown,
    /// The manager has no queue of that name.
    #[error("the manager has no queue `{name}`: register it first")]
    UnknownQueue {
        /// The queue's name.
        name: String,
    },
    /// A queue of that name exists with other options.
    #[error("the queue `{name}` exists already with other options")]
    QueueExists {
        /// The queue's name.
        name: String,
    },
    /// An object was to be registered under a name that is taken.
    #[error("`{name}` is the name of a queue or an object already: choose another")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A queue's or value's name is empty or longer than 255 bytes.
    #[error("`{name}` cannot name a queue or value: a name has 1 to 255 bytes")]
    BadName {
        /// The name, shortened.
        name: String,
    },
    /// An item or value is larger than the manager takes.
    #[error("an item of {size} bytes is too large: this manager takes up to {limit}")]
    TooLarge {
        /// Its encoded size in bytes.
        size: usize,
        /// The largest allowed, in bytes.
        limit: usize,
    },
    /// An item or value cannot be written as a pickle.
    #[error("an item of type {type_name} cannot be written as a pickle: {reason}")]
    Unencodable {
        /// The Rust type.
        type_name: &'static str,
        /// Why not.
        reason: String,
    },
    /// An item or value holds a queue, pipe or shared memory between processes.
    #[error(
        "an item of type {what} holds a queue, pipe or shared memory of this machine, which cannot \
         be sent over the network: use a queue of the manager"
    )]
    NotSendableOverNetwork {
        /// The Rust type.
        what: &'static str,
    },
    /// A named value, or what a method gave, cannot be read as the type asked for.
    #[error("the value `{name}` cannot be read as {type_name}: {reason}")]
    UndecodableValue {
        /// The value's name, or the method's.
        name: String,
        /// The value as it travels, a pickle. What a method like `pop` gave is nowhere else.
        bytes: Bytes,
        /// The Rust type.
        type_name: &'static str,
        /// Why not.
        reason: String,
    },
    /// The lease is no longer held: its time ran out, so its item went back and may run again.
    #[error(
        "the lease is gone: its time ran out, and its item may be given to another; hold longer or extend"
    )]
    LeaseLost,
    /// More items were said to be done than were taken and not yet done.
    #[error("more items of the queue `{name}` were reported done than were taken from it")]
    TaskDoneTooOften {
        /// The queue's name.
        name: String,
    },
    /// What was asked for cannot be done with a Python server.
    #[error("a Python server cannot do {what}: {why}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be done there, and what can.
        why: &'static str,
    },
    /// A call raised an exception in the server.
    #[error("the call raised an exception in the server: {0}")]
    Remote(#[source] Box<RemoteException>),
    /// The answer of a Python server cannot be read, so that what it gave, such as an item, cannot
    /// be handed on.
    #[error(
        "the server's answer cannot be read: {reason}; what it gave is gone from the server and in \
         the error's `answer`"
    )]
    UnreadableAnswer {
        /// The whole answer: a pickle of a pair, of which the second part is what was given.
        answer: Bytes,
        /// Why it cannot be read.
        reason: String,
    },
    /// The manager's data folder cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The manager could not write to its data folder what was asked for, so that it did not
    /// happen. What it acknowledged before is safe. Once the cause is gone the same works again.
    #[error(
        "the manager could not store it: {reason}; make room on the disk of its data folder, or repair it, and try again"
    )]
    Storage {
        /// What the disk or the database said.
        reason: String,
    },
    /// Too many requests of this connection are waiting.
    #[error("too many requests of this connection wait for the manager: use fewer at a time")]
    TooManyWaiting,
    /// The other end broke the protocol.
    #[error("the manager broke the protocol: {0}")]
    Protocol(String),
    /// The background threads that serve blocking programs could not be started.
    #[error("cannot start the background threads: {0}")]
    Runtime(String),
}

/// An item whose bytes are not what its reader expects. It is kept here, to be read as what it is.
///
/// ```
/// use spinneret::manager::{AuthKey, GetError, Manager, QueueOptions};
/// use spinneret::manager::pickle::Value;
///
/// let manager = Manager::builder()
///     .listen("127.0.0.1:0")
///     .authkey(AuthKey::new("qiye"))
///     .register("pages", QueueOptions::new())
///     .start()?;
/// manager.queue::<String>("pages")?.put("a".into())?;
/// match manager.queue::<u32>("pages")?.get() {
///     Err(GetError::Undecodable(item)) => {
///         assert_eq!(item.read::<String>()?, "a");
///         // Whatever it is, it can go on as it came.
///         manager.queue::<Value>("pages")?.put(item.read()?)?;
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item cannot be read as {type_name}: {reason}")]
pub struct Undecodable {
    /// The item as it travels, a pickle if its writer kept to the rules.
    pub bytes: Bytes,
    /// The type it was to be read as.
    pub type_name: &'static str,
    /// Why that failed.
    pub reason: String,
}

impl Undecodable {
    /// Reads the item as another type; as a [`Value`](super::pickle::Value) whatever a pickle can
    /// hold, which a queue of values takes back.
    ///
    /// # Errors
    /// If it is none of that type either.
    pub fn read<U: DeserializeOwned>(&self) -> Result<U, Self> {
        items::decode(&self.bytes)
    }
}

/// Why an item was not put. It comes back with the error.
#[derive(thiserror::Error)]
pub enum PutError<T> {
    /// There was no room in time.
    #[error("the queue is full")]
    Full(T),
    /// The queue takes no more items.
    #[error("the queue is closed")]
    Closed(T),
    /// The manager could not be asked. If it is [`ManagerError::Disconnected`], the item may have
    /// been put all the same; putting it again may double it.
    #[error("{error}")]
    Manager {
        /// What went wrong.
        #[source]
        error: ManagerError,
        /// The item that was to be put.
        item: T,
    },
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) | Self::Manager { item, .. } => item,
        }
    }

    /// The same error with another item.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> PutError<U> {
        match self {
            Self::Full(item) => PutError::Full(change(item)),
            Self::Closed(item) => PutError::Closed(change(item)),
            Self::Manager { error, item } => PutError::Manager { error, item: change(item) },
        }
    }
}

// By hand: an item need not be `Debug` for its error to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Manager { error, .. } => {
                f.debug_struct("Manager").field("error", error).finish_non_exhaustive()
            }
        }
    }
}

/// Why no item was got.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// There was none in time.
    #[error("the queue is empty")]
    Empty,
    /// The queue is closed and drained: there will be none.
    #[error("the queue is closed and drained")]
    Closed,
    /// The next item is not of the type asked for. A manager of ours has it among its dead letters
    /// now; a queue of Python's knows none, so that the item is only in this error.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// The manager could not be asked.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}
