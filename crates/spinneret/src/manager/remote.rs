//! The client's end of a connection: many callers, one stream.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{net::TcpStream, sync::oneshot, time::timeout};

use super::{
    authkey::AuthKey,
    error::ManagerError,
    handshake::{self, HandshakeError, Hello, ServerHello},
    server::prepare,
    store::Settle,
    stream::{FrameReader, LastSeen, Outbox},
    wire::{FRAME_OVERHEAD, Frame, Name, Reply, Request, SMALLEST_MAX_FRAME, VERSION, read_reply},
};

/// How long connecting may take, name look-up, handshake and all.
const CONNECT: Duration = Duration::from_secs(10);
/// How long to wait for the manager to close after everything is written.
const PATIENCE: Duration = Duration::from_secs(2);
/// The number of pings, whose answers only show that the manager is there.
const PING: u64 = u64::MAX;

/// A connection to a manager. Ends when it is dropped, after what was told is written.
#[derive(Debug)]
pub(crate) struct Remote {
    shared: Arc<Shared>,
    max_item: usize,
}

impl Remote {
    /// Connects, and serves the connection on the current tokio runtime.
    pub async fn connect(address: &str, key: &AuthKey, name: String) -> Result<Self, ManagerError> {
        let late = || ManagerError::Unreachable {
            address: address.into(),
            source: io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        };
        let dialled = timeout(CONNECT, dial(address, key, name)).await;
        let (stream, hello) = dialled.map_err(|_| late())??;
        let shared = Arc::new(Shared { outbox: Outbox::new(), calls: Mutex::default() });
        tokio::spawn(serve(Arc::clone(&shared), stream, hello.silence));
        let max_frame = (hello.max_frame as usize).max(SMALLEST_MAX_FRAME);
        Ok(Self { shared, max_item: max_frame - FRAME_OVERHEAD })
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
        self.shared.outbox.push(Frame::request(id, &request));
        let waits = request.may_wait();
        // The items are on their way: no need to keep them until the answer.
        drop(request);
        let mut call = Call { shared: &self.shared, id, waits, lease, receiver, over: false };
        let answer = (&mut call.receiver).await;
        call.over = true;
        answer.map_err(|_| self.shared.disconnected())
    }

    /// Tells the manager something that has no answer.
    pub fn tell(&self, request: &Request) {
        self.shared.outbox.push(Frame::request(0, request));
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.outbox.close();
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
struct Shared {
    outbox: Outbox,
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

    /// Gives back what an answer brought that nobody took.
    fn undo(&self, lease: Option<Name>, reply: Reply) {
        if let (Some(queue), Reply::Leased(given)) = (lease, reply) {
            let leases = given.iter().map(|delivery| delivery.lease).collect();
            let release = Request::Settle { queue, leases, how: Settle::Release };
            self.outbox.push(Frame::request(0, &release));
        }
    }

    /// Ends all calls: there is no connection any more.
    fn end(&self, reason: String) {
        let open = {
            let mut calls = self.calls.lock();
            calls.ended = Some(reason);
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
        if self.0.calls.lock().ended.is_none() {
            self.0.end("the runtime that served it ended".into());
        }
    }
}

/// Reads and writes until the connection ends.
async fn serve(shared: Arc<Shared>, stream: TcpStream, silence: Duration) {
    let calls = EndOfCalls(shared);
    let shared = &calls.0;
    // Before the first ping, a client may be silent for a sixth of what the manager endures.
    let idle = (silence / 6).max(Duration::from_millis(1));
    let (read, write) = stream.into_split();
    let mut reader = FrameReader::new(read, usize::MAX);
    let progress = LastSeen::now();
    let write = shared.outbox.write_to(
        write,
        silence,
        idle,
        || progress.touch(),
        || Some(Frame::request(PING, &Request::Ping)),
    );
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

async fn read_replies<R: tokio::io::AsyncRead + Unpin>(
    shared: &Shared,
    reader: &mut FrameReader<R>,
    silence: Duration,
    progress: &LastSeen,
) -> io::Result<()> {
    loop {
        let frame = match reader.next(silence).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            // The manager answers a ping only after what was sent before, which may take long.
            Err(error) if error.kind() == io::ErrorKind::TimedOut && progress.within(silence) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let (id, reply) =
            read_reply(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        shared.deliver(id, reply);
    }
}

/// Opens a connection and shakes hands.
async fn dial(
    address: &str,
    key: &AuthKey,
    name: String,
) -> Result<(TcpStream, ServerHello), ManagerError> {
    let mut stream = reach(address).await?;
    prepare(&stream);
    let address = || address.to_owned();
    let greeted = async {
        handshake::introduce(&mut stream, key).await?;
        let hello = Hello { version: VERSION, name };
        handshake::write_small(&mut stream, &hello.write()).await?;
        handshake::read_small(&mut stream).await
    };
    let answer = match greeted.await {
        Ok(answer) => answer,
        Err(HandshakeError::WrongKey) => return Err(ManagerError::WrongKey { address: address() }),
        Err(HandshakeError::Io(source)) => {
            // Not what a manager does to strangers, but what one does that is shutting down.
            let reason = format!("it ended during the handshake: {source}");
            return Err(ManagerError::Disconnected { reason });
        }
        Err(HandshakeError::Protocol(reason)) => {
            return Err(ManagerError::NotAManager { address: address(), reason });
        }
    };
    let Some(hello) = ServerHello::read(&answer, VERSION) else {
        let reason = "its hello is not spinneret's".into();
        return Err(ManagerError::NotAManager { address: address(), reason });
    };
    if hello.version != VERSION {
        let (ours, theirs) = (VERSION, hello.version);
        return Err(ManagerError::VersionMismatch { address: address(), ours, theirs });
    }
    Ok((stream, hello))
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
