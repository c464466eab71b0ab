//! A server that speaks Python's protocol, as its client knows it: how to reach it, what it reads,
//! and the connections that are open.

use std::{fmt, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use spinneret_pickle::{Dialect, Limits, Value};
use tokio::{runtime::Handle, time::timeout};

use super::{
    connection::{Connection, Frame, FrameError, State},
    error::RemoteException,
    flight::{Flight, Undo},
    reference::Reference,
};
use crate::manager::{
    error::ManagerError,
    remote::{self, Dial, Stream},
};

/// How long the server may take for what it does itself; making an object may run any code.
const CONTROL: Duration = Duration::from_mins(1);
/// Connections that are kept though nobody uses them. Each costs a Python server a thread.
const MOST_IDLE: usize = 8;

/// See the module.
pub(crate) struct Server {
    address: Arc<str>,
    dial: Dial,
    dialect: Dialect,
    /// Whether it is Python that serves, and not one of our own managers.
    is_stock: bool,
    /// What connections are made and served on.
    runtime: Handle,
    /// Those that nobody uses.
    idle: Mutex<Vec<Connection>>,
}

/// What a method gave.
pub(crate) enum Answer {
    Value(Value),
    /// A new object, which belongs to the caller.
    Object(Reference),
}

impl Server {
    /// A manager of our own, which is known to be there. To be called within the runtime that is to
    /// serve its connections.
    pub fn ours(address: Arc<str>, dial: Dial) -> Arc<Self> {
        Arc::new(Self::new(address, dial, Dialect::Python38, false))
    }

    /// Greets a server of Python, of whichever version. To be called within the runtime that is to
    /// serve its connections.
    pub async fn greet(address: Arc<str>, dial: Dial) -> Result<Arc<Self>, ManagerError> {
        // Every Python reads what is written for 2.7, and answers as it writes itself.
        let mut server = Self::new(address, dial, Dialect::Python2, true);
        let mut connection = server.dial().await?;
        let request = server.request(None, "dummy", vec![], vec![])?;
        let asked = server.in_time(connection.ask(&request)).await?;
        server.dialect = Dialect::of(&asked);
        let server = Arc::new(server);
        server.read_value(&asked)?;
        Ok(server)
    }

    fn new(address: Arc<str>, dial: Dial, dialect: Dialect, is_stock: bool) -> Self {
        let runtime = Handle::current();
        Self { address, dial, dialect, is_stock, runtime, idle: Mutex::default() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether it is Python that serves. Such a server does not notice that a caller is gone.
    pub fn is_stock(&self) -> bool {
        self.is_stock
    }

    /// Asks the server itself for something. Goes on though its future be dropped.
    pub async fn control(
        self: &Arc<Self>,
        function: &'static str,
        args: Vec<Value>,
        keywords: Vec<(String, Value)>,
    ) -> Result<Value, ManagerError> {
        let server = Arc::clone(self);
        self.on_runtime(async move {
            let request = server.request(None, function, args, keywords)?;
            let mut connection = server.dial().await?;
            let answer = server.in_time(connection.ask(&request)).await?;
            server.read_value(&answer)
        })
        .await
    }

    /// Makes an object, or finds one that has a name.
    pub async fn create(
        self: &Arc<Self>,
        typeid: &str,
        args: Vec<Value>,
        keywords: Vec<(String, Value)>,
    ) -> Result<Reference, ManagerError> {
        let server = Arc::clone(self);
        let typeid: Arc<str> = typeid.into();
        let args = [vec![Value::native(&*typeid)], args].concat();
        // The reference is made there, so that it is given back if nobody waits for it any more.
        self.on_runtime(async move {
            let made = server.control("create", args, keywords).await?;
            let mut parts = made.items().into_iter().flatten();
            let (Some(ident), Some(exposed)) = (parts.next(), parts.next()) else {
                return Err(odd("what it made has no ident"));
            };
            let ident = ident.as_str().ok_or_else(|| odd("what it made has no ident"))?;
            Ok(Reference::new(&server, typeid, ident, exposed))
        })
        .await
    }

    /// Calls a method over whichever connection is free.
    pub async fn call(
        self: &Arc<Self>,
        ident: &Arc<str>,
        method: &str,
        args: Vec<Value>,
        keywords: Vec<(String, Value)>,
        undo: Option<Undo>,
    ) -> Result<Answer, ManagerError> {
        let request = self.request(Some(ident), method, args, keywords)?;
        let mut flight = Flight::new(self, self.connection().await?, ident, undo);
        let answer = flight.ask(&request).await?;
        drop(flight);
        self.read(&answer)
    }

    /// A connection for method calls that nobody else uses.
    pub async fn connection(self: &Arc<Self>) -> Result<Connection, ManagerError> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(connection) if connection.is_usable() => return Ok(connection),
                Some(closed) => drop(closed),
                None => break,
            }
        }
        let server = Arc::clone(self);
        self.on_runtime(async move {
            let mut connection = server.dial().await?;
            let name = match server.dial.name.as_str() {
                "" => "spinneret",
                name => name,
            };
            let name = vec![Value::native(name)];
            let request = server.request(None, "accept_connection", name, vec![])?;
            let answer = server.in_time(connection.ask(&request)).await?;
            server.read_value(&answer)?;
            Ok(connection)
        })
        .await
    }

    /// Keeps a connection for another call, if it is good for one.
    pub fn give_back(&self, connection: Connection) {
        if connection.state() == State::Idle {
            let mut idle = self.idle.lock();
            if idle.len() < MOST_IDLE {
                idle.push(connection);
            }
        }
    }

    /// Does something that its caller does not wait for.
    pub fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        // If the runtime has ended, nothing can be done any more.
        drop(self.runtime.spawn(work));
    }

    /// A request as it is written.
    pub fn request(
        &self,
        ident: Option<&Arc<str>>,
        method: &str,
        args: Vec<Value>,
        keywords: Vec<(String, Value)>,
    ) -> Result<Frame, ManagerError> {
        let ident = ident.map_or_else(Value::none, |ident| Value::native(&**ident));
        let keywords = keywords.into_iter().map(|(name, value)| (Value::native(name), value));
        let parts = [ident, Value::native(method), Value::tuple(args), Value::dict(keywords)];
        Frame::new(&Value::tuple(parts), self.dialect).map_err(|error| match error {
            FrameError::TooLong { size, limit } => ManagerError::TooLarge { size, limit },
            FrameError::Unwritable(error) => {
                ManagerError::Unencodable { type_name: "an argument", reason: error.to_string() }
            }
        })
    }

    /// What a call gave.
    pub fn read(self: &Arc<Self>, answer: &Bytes) -> Result<Answer, ManagerError> {
        let answer = Value::read(answer, &limits()).map_err(|error| {
            ManagerError::UnreadableAnswer { answer: answer.clone(), reason: error.to_string() }
        })?;
        let mut parts = answer.items().into_iter().flatten();
        let (Some(kind), Some(result)) = (parts.next(), parts.next()) else {
            return Err(odd("its answer has not two parts"));
        };
        match kind.as_str() {
            Some("#RETURN") => Ok(Answer::Value(result.to_value())),
            Some("#PROXY") => Reference::of_answer(self, result)
                .map(Answer::Object)
                .ok_or_else(|| odd("it answered with an object that has no ident")),
            Some("#ERROR") => Err(RemoteException::raised(result).into()),
            Some("#TRACEBACK") => {
                Err(RemoteException::of_traceback(result.as_str().unwrap_or_default()).into())
            }
            Some("#UNSERIALIZABLE") => {
                Err(RemoteException::unserializable(result.as_str().unwrap_or_default()).into())
            }
            _ => Err(odd("its answer is of no known kind")),
        }
    }

    /// What a call gave that gives no object.
    pub fn read_value(self: &Arc<Self>, answer: &Bytes) -> Result<Value, ManagerError> {
        match self.read(answer)? {
            Answer::Value(value) => Ok(value),
            Answer::Object(_) => Err(odd("it answered with an object where it has none to give")),
        }
    }

    /// Opens a connection and proves the key.
    async fn dial(&self) -> Result<Connection, ManagerError> {
        let dialled = remote::dial(&self.address, &self.dial);
        Ok(Connection::new(match remote::in_time(&self.address, dialled).await? {
            Stream::Plain(stream) => Box::new(stream),
            Stream::Tls(stream) => stream,
        }))
    }

    /// An answer that the server gives by itself, so that it cannot take long.
    async fn in_time(
        &self,
        answer: impl Future<Output = io::Result<Bytes>>,
    ) -> Result<Bytes, ManagerError> {
        timeout(CONTROL, answer)
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(|error| broken(&error))
    }

    /// Does something where sockets and timers work, whoever asks for it.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ManagerError>> + Send + 'static,
    ) -> Result<T, ManagerError> {
        let done = self.runtime.spawn(work).await;
        done.unwrap_or_else(|error| Err(ManagerError::Runtime(error.to_string())))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// A server that has the key is trusted with memory, as Python's clients trust theirs.
fn limits() -> Limits {
    Limits { bytes: usize::MAX, nodes: usize::MAX, ..Limits::default() }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// The error for a connection that broke.
pub(crate) fn broken(error: &io::Error) -> ManagerError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => gone("the server closed it"),
        _ => gone(&error.to_string()),
    }
}

fn gone(reason: &str) -> ManagerError {
    ManagerError::Disconnected { reason: reason.into() }
}

/// The error for an answer that no server gives.
pub(crate) fn odd(what: &str) -> ManagerError {
    ManagerError::Protocol(what.into())
}
