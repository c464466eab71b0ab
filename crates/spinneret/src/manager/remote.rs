//! The client's end of a connection: many callers, one stream.

use std::{collections::HashMap, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{
    authkey::AuthKey,
    error::ManagerError,
    handshake::{self, Greeting, HandshakeError, Hello, Md5, ServerHello},
    outbox::Outbox,
    store::Settle,
    stream::{FrameReader, LastSeen, is_near, prepare},
    tls::{Dialler, TlsError},
    wire::{FRAME_OVERHEAD, Frame, Name, Reply, Request, SMALLEST_MAX_FRAME, VERSION, read_reply},
};
#[cfg(unix)]
use super::{direct::Direct, runtime};

/// How long connecting may take, name look-up, handshake and all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to wait for the manager to close after everything is written.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The number of pings, whose answers only show that the manager is there.
const PING: u64 = u64::MAX;

/// How a client is to connect.
#[derive(Clone)]
pub(crate) struct Dial {
    pub key: AuthKey,
    /// What the client calls itself.
    pub name: String,
    pub tls: Option<Dialler>,
    /// Whether servers on other machines may have the key proven by MD5.
    pub allow_md5: bool,
    /// Whether its callers block mostly, and may use the socket themselves.
    pub blocking: bool,
}

/// A connection to a manager. Ends when it is dropped, after what was told is written.
#[derive(Debug)]
pub(crate) struct Remote {
    shared: Arc<Shared>,
    #[cfg(unix)]
    direct: Option<Arc<Direct>>,
    max_item: usize,
}

impl Remote {
    /// Connects, and serves the connection on the current tokio runtime. `None` if it is a server
    /// of Python that answers.
    pub async fn connect(address: &str, dial: Dial) -> Result<Option<Self>, ManagerError> {
        let blocking = dial.blocking;
        let Some((stream, hello)) = in_time(address, greet(address, dial)).await? else {
            return Ok(None);
        };
        let shared = Arc::new(Shared { outbox: Outbox::new(), calls: Mutex::default() });
        let max_frame = (hello.max_frame as usize).max(SMALLEST_MAX_FRAME);
        let max_item = max_frame - FRAME_OVERHEAD;
        match stream {
            #[cfg(unix)]
            Stream::Plain(stream) if blocking => {
                let direct = Direct::start(stream, hello.silence, &shared)
                    .map_err(|error| ManagerError::Runtime(error.to_string()))?;
                return Ok(Some(Self { shared, direct: Some(direct), max_item }));
            }
            Stream::Plain(stream) => {
                let (read, write) = stream.into_split();
                tokio::spawn(serve(Arc::clone(&shared), read, write, hello.silence));
            }
            Stream::Tls(stream) => {
                let (read, write) = tokio::io::split(*stream);
                tokio::spawn(serve(Arc::clone(&shared), read, write, hello.silence));
            }
        }
        #[cfg(not(unix))]
        let _ = blocking;
        Ok(Some(Self {
            shared,
            #[cfg(unix)]
            direct: None,
            max_item,
        }))
    }

    pub fn max_item(&self) -> usize {
        self.max_item
    }

    /// Asks the manager. If the call is dropped before its end, the manager is told not to go on,
    /// and what it gave meanwhile goes back.
    pub async fn call(&self, request: Request) -> Result<Reply, ManagerError> {
        let lease = match &request {
            Request::Lease { queue, .. } => Some(queue.clone()),
            _ => None,
        };
        let (sender, receiver) = oneshot::channel();
        let id = self.shared.open(sender, lease.clone())?;
        let frame = Frame::request(id, &request);
        let waits = request.may_wait();
        // The items are on their way: no need to keep them until the answer.
        drop(request);
        #[cfg(unix)]
        if let Some(direct) = &self.direct {
            if runtime::may_block() {
                self.shared.outbox.push_quietly(frame);
                let answer = direct.wait(&self.shared, receiver);
                return answer.ok_or_else(|| self.shared.disconnected());
            }
            self.shared.outbox.push(frame);
            direct.awaited();
        } else {
            self.shared.outbox.push(frame);
        }
        #[cfg(not(unix))]
        self.shared.outbox.push(frame);
        let mut call = Call { shared: &self.shared, id, waits, lease, receiver, over: false };
        let answer = (&mut call.receiver).await;
        call.over = true;
        answer.map_err(|_| self.shared.disconnected())
    }

    /// Tells the manager something that has no answer: with the next request, or within
    /// milliseconds.
    pub fn tell(&self, request: &Request) {
        let frame = Frame::request(0, request);
        #[cfg(unix)]
        if let Some(direct) = &self.direct {
            self.shared.outbox.push_quietly(frame);
            return direct.told(&self.shared);
        }
        self.shared.outbox.push(frame);
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.outbox.close();
        // Now, since the program may end with its next line.
        #[cfg(unix)]
        if let Some(direct) = &self.direct {
            direct.write(&self.shared);
        }
    }
}

/// A call that is waited for.
struct Call<'a> {
    shared: &'a Shared,
    id: u64,
    waits: bool,
    /// The queue that leases were asked of.
    lease: Option<Name>,
    receiver: oneshot::Receiver<Reply>,
    over: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.shared.abandon(self.id) {
            if self.waits {
                let cancel = Request::Cancel { request: self.id };
                self.shared.outbox.push(Frame::request(0, &cancel));
            }
            return;
        }
        // The answer came already, or comes right now: then its sender finds this end closed.
        self.receiver.close();
        if let Ok(reply) = self.receiver.try_recv() {
            self.shared.undo(self.lease.take(), reply);
        }
    }
}

/// What callers and the connection's task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) outbox: Outbox,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Those whose answers are to come.
    open: HashMap<u64, Open>,
    last: u64,
    /// Why there is no connection any more.
    ended: Option<String>,
}

#[derive(Debug)]
struct Open {
    /// None if nobody waits for the answer any more.
    sender: Option<oneshot::Sender<Reply>>,
    /// The queue that leases were asked of.
    lease: Option<Name>,
}

impl Shared {
    /// Takes in a call and gives it a number.
    fn open(
        &self,
        sender: oneshot::Sender<Reply>,
        lease: Option<Name>,
    ) -> Result<u64, ManagerError> {
        let mut calls = self.calls.lock();
        if calls.ended.is_some() {
            drop(calls);
            return Err(self.disconnected());
        }
        calls.last += 1;
        let id = calls.last;
        calls.open.insert(id, Open { sender: Some(sender), lease });
        Ok(id)
    }

    /// Marks a call as one that nobody waits for; false if its answer is there already.
    fn abandon(&self, id: u64) -> bool {
        let mut calls = self.calls.lock();
        match calls.open.get_mut(&id) {
            // Its answer may bring items, which have to go back.
            Some(open) if open.lease.is_some() => open.sender = None,
            Some(_) => drop(calls.open.remove(&id)),
            None => return false,
        }
        true
    }

    /// Hands an answer to its caller.
    fn deliver(&self, id: u64, reply: Reply) {
        let Some(Open { sender, lease }) = self.calls.lock().open.remove(&id) else {
            return;
        };
        let unread = match sender {
            Some(sender) => sender.send(reply).err(),
            None => Some(reply),
        };
        if let Some(reply) = unread {
            self.undo(lease, reply);
        }
    }

    /// Reads an answer and hands it to its caller.
    pub(super) fn deliver_frame(&self, frame: Bytes) -> io::Result<()> {
        let (id, reply) =
            read_reply(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.deliver(id, reply);
        Ok(())
    }

    /// Whether answers are to come.
    #[cfg(unix)]
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.lock().open.is_empty()
    }

    #[cfg(unix)]
    pub(super) fn has_ended(&self) -> bool {
        self.calls.lock().ended.is_some()
    }

    /// Gives back what an answer brought that nobody took.
    fn undo(&self, lease: Option<Name>, reply: Reply) {
        if let (Some(queue), Reply::Leased(given)) = (lease, reply) {
            let leases = given.iter().map(|delivery| delivery.lease).collect();
            let release = Request::Settle { queue, leases, how: Settle::Release };
            self.outbox.push(Frame::request(0, &release));
        }
    }

    /// Ends all calls: there is no connection any more. The first reason counts.
    pub(super) fn end(&self, reason: String) {
        let open = {
            let mut calls = self.calls.lock();
            calls.ended.get_or_insert(reason);
            std::mem::take(&mut calls.open)
        };
        // Outside the lock: each drop wakes a caller.
        drop(open);
        self.outbox.break_off();
    }

    fn disconnected(&self) -> ManagerError {
        let reason = self.calls.lock().ended.clone();
        ManagerError::Disconnected { reason: reason.unwrap_or_else(|| "it was closed".into()) }
    }
}

/// Ends the calls also when the runtime ends the connection's task.
struct EndOfCalls(Arc<Shared>);

impl Drop for EndOfCalls {
    fn drop(&mut self) {
        self.0.end("the runtime that served it ended".into());
    }
}

/// Before its first ping, a client may be silent for a sixth of what the manager endures.
pub(super) fn idle(silence: Duration) -> Duration {
    (silence / 6).max(Duration::from_millis(1))
}

/// What a client says that has nothing to say.
pub(super) fn ping() -> Frame {
    Frame::request(PING, &Request::Ping)
}

/// Reads and writes until the connection ends.
async fn serve<R, W>(shared: Arc<Shared>, read: R, write: W, silence: Duration)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let calls = EndOfCalls(shared);
    let shared = &calls.0;
    let mut reader = FrameReader::new(read, usize::MAX);
    let progress = LastSeen::now();
    let write =
        shared.outbox.write_to(write, silence, idle(silence), || progress.touch(), || Some(ping()));
    let ended = tokio::select! {
        ended = read_replies(shared, &mut reader, silence, &progress) => ended,
        ended = write => match ended {
            Ok(()) => {
                reader.drain(PATIENCE).await;
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    shared.end(match ended {
        Ok(()) => "it was closed".into(),
        Err(error) => error.to_string(),
    });
}

async fn read_replies<R: AsyncRead + Unpin>(
    shared: &Shared,
    reader: &mut FrameReader<R>,
    silence: Duration,
    progress: &LastSeen,
) -> io::Result<()> {
    loop {
        match reader.next(silence).await {
            Ok(Some(frame)) => shared.deliver_frame(frame)?,
            Ok(None) => return Ok(()),
            // The manager answers a ping only after what was sent before, which may take long.
            Err(error) if error.kind() == io::ErrorKind::TimedOut && progress.within(silence) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A connection over which both ends have proven their key.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Gives up what connecting takes too long.
pub(super) async fn in_time<T>(
    address: &str,
    connecting: impl Future<Output = Result<T, ManagerError>>,
) -> Result<T, ManagerError> {
    timeout(CONNECT, connecting).await.unwrap_or_else(|_| {
        let source = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        Err(ManagerError::Unreachable { address: address.into(), source })
    })
}

/// Opens a connection and proves the key.
pub(super) async fn dial(address: &str, dial: &Dial) -> Result<Stream, ManagerError> {
    let mut stream = reach(address).await?;
    prepare(&stream);
    let failed = |error| told(address, error);
    let near = stream.peer_addr().is_ok_and(|peer| is_near(&stream, peer));
    let md5 = if near || dial.allow_md5 { Md5::Allowed } else { Md5::Refused };
    let Some(tls) = &dial.tls else {
        handshake::introduce(&mut stream, &dial.key, md5).await.map_err(failed)?;
        return Ok(Stream::Plain(stream));
    };
    // The manager speaks first: the challenge to those without TLS.
    handshake::read_small(&mut stream).await.map_err(failed)?;
    let mut stream =
        tls.connect(stream).await.map_err(|error| TlsError::of_handshake(address, error))?;
    handshake::introduce(&mut stream, &dial.key, md5).await.map_err(failed)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Opens a connection and says hello; `None` if it is a server of Python that answers.
async fn greet(address: &str, how: Dial) -> Result<Option<(Stream, ServerHello)>, ManagerError> {
    let mut stream = dial(address, &how).await?;
    let greeting = match &mut stream {
        Stream::Plain(stream) => hello(stream, how.name).await,
        Stream::Tls(stream) => hello(stream, how.name).await,
    };
    match greeting.map_err(|error| told(address, error))? {
        Greeting::Spinneret(hello) if hello.version == VERSION => Ok(Some((stream, hello))),
        Greeting::Spinneret(hello) => {
            let (ours, theirs) = (VERSION, hello.version);
            Err(ManagerError::VersionMismatch { address: address.into(), ours, theirs })
        }
        Greeting::Python => Ok(None),
    }
}

async fn hello<S>(stream: &mut S, name: String) -> Result<Greeting, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    handshake::write_small(stream, &Hello { version: VERSION, name }.write()).await?;
    handshake::greeting(stream, VERSION).await
}

/// What a failed handshake tells the caller.
fn told(address: &str, error: HandshakeError) -> ManagerError {
    let address = address.to_owned();
    match error {
        HandshakeError::WrongKey => ManagerError::WrongKey { address },
        HandshakeError::NeedsTls => TlsError::Required { address }.into(),
        HandshakeError::Io(source) => match TlsError::of_verdict(&address, &source) {
            Some(verdict) => verdict.into(),
            // Not what a manager does to strangers, but what one does that is shutting down.
            None => ManagerError::Disconnected {
                reason: format!("it ended during the handshake: {source}"),
            },
        },
        error @ (HandshakeError::Protocol(_) | HandshakeError::Md5) => {
            ManagerError::NotAManager { address, reason: error.to_string() }
        }
    }
}

/// Connects to the first of the address's hosts that answers.
async fn reach(address: &str) -> Result<TcpStream, ManagerError> {
    let unresolvable = |source| ManagerError::Unresolvable { address: address.into(), source };
    let hosts = tokio::net::lookup_host(address).await.map_err(unresolvable)?;
    let mut failed = None;
    for host in hosts {
        match TcpStream::connect(host).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(match failed {
        None => unresolvable(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            ManagerError::Refused { address: address.into() }
        }
        Some(source) => ManagerError::Unreachable { address: address.into(), source },
    })
}
