//! One connection of the server, from the handshake to the end.

use std::{
    collections::HashMap,
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    authkey::AuthKey,
    handshake::{self, HandshakeError, Hello, ServerHello},
    hub::Hub,
    store::Owner,
    stream::{FrameReader, Outbox},
    wire::{Frame, Malformed, Refusal, Reply, Request, VERSION, read_request},
};

/// Requests of one connection that may wait at a time.
const MOST_WAITING: usize = 4096;
/// Bytes of items in waiting puts of one connection above which no more are let wait.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// How long a connection that ends may take to end well.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server's connections have in common.
#[derive(Debug)]
pub(crate) struct Limits {
    pub key: AuthKey,
    /// The longest frame, in bytes.
    pub max_frame: usize,
    /// For the whole handshake.
    pub handshake: Duration,
    /// After this long without a byte, a peer is taken for dead.
    pub silence: Duration,
}

/// Serves a connection. `unproven` is given back once the peer has proven that it has the key.
pub(crate) async fn serve<S>(
    hub: Arc<Hub>,
    limits: Arc<Limits>,
    stream: S,
    address: SocketAddr,
    unproven: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut stream = stream;
    let greeted = tokio::select! {
        greeted = timeout(limits.handshake, greet(&mut stream, &limits)) => greeted,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let name = match greeted {
        Ok(Ok(name)) => name,
        Ok(Err(HandshakeError::WrongKey)) => {
            tracing::warn!(peer = %address, "refused a connection: its key is wrong");
            return;
        }
        Ok(Err(error)) => {
            tracing::warn!(peer = %address, %error, "closed a connection during the handshake");
            return;
        }
        Err(_) => {
            tracing::warn!(peer = %address, "closed a connection that did not finish the handshake");
            return;
        }
    };
    drop(unproven);

    let (reader, writer) = tokio::io::split(stream);
    let owner = hub.enter(address, name.clone());
    tracing::debug!(peer = %address, name, "connected");
    // Also if this future is dropped, so that no lease outlives its connection.
    let presence = Presence { hub: Arc::clone(&hub), owner };
    let ended = Session::new(&hub, &limits, owner).run(reader, writer, stop).await;
    let returned = presence.hub.leave(owner);
    match ended {
        Ok(()) => tracing::debug!(peer = %address, name, returned, "disconnected"),
        Err(error) => {
            tracing::warn!(peer = %address, name, returned, %error, "closed a connection");
        }
    }
}

struct Presence {
    hub: Arc<Hub>,
    owner: Owner,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.hub.leave(self.owner);
    }
}

/// The handshake, up to the two hellos; returns the peer's name.
async fn greet<S>(stream: &mut S, limits: &Limits) -> Result<String, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    handshake::welcome(stream, &limits.key).await?;
    let first = handshake::read_small(stream).await?;
    let Some(hello) = Hello::read(&first) else {
        return Err(HandshakeError::Protocol("it does not speak spinneret's protocol".into()));
    };
    let ours = ServerHello {
        version: VERSION,
        max_frame: u32::try_from(limits.max_frame).unwrap_or(u32::MAX),
        silence: limits.silence,
    };
    // Told also to a peer of another version, which then knows which side to update.
    handshake::write_small(stream, &ours.write()).await?;
    if hello.version != VERSION {
        return Err(HandshakeError::Protocol(format!(
            "it speaks version {} of the protocol, this manager {VERSION}",
            hello.version
        )));
    }
    Ok(hello.name)
}

/// A future that answers a request.
type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

struct Session<'a> {
    hub: &'a Arc<Hub>,
    limits: &'a Limits,
    owner: Owner,
    outbox: Arc<Outbox>,
    /// Requests that wait; each returns its number and its weight in bytes.
    waiting: JoinSet<(u64, usize)>,
    /// What makes a waiting request answer at once.
    cancel: HashMap<u64, oneshot::Sender<()>>,
    waiting_bytes: usize,
}

impl<'a> Session<'a> {
    fn new(hub: &'a Arc<Hub>, limits: &'a Limits, owner: Owner) -> Self {
        Self {
            hub,
            limits,
            owner,
            outbox: Arc::new(Outbox::new()),
            waiting: JoinSet::new(),
            cancel: HashMap::new(),
            waiting_bytes: 0,
        }
    }

    async fn run<R, W>(
        mut self,
        reader: R,
        writer: W,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut reader = FrameReader::new(reader, self.limits.max_frame);
        let outbox = Arc::clone(&self.outbox);
        let silence = self.limits.silence;
        let write = outbox.write_to(writer, silence, silence, || (), || None);
        let mut write = std::pin::pin!(write);
        let ended = tokio::select! {
            ended = self.read(&mut reader) => ended.map(|()| false),
            // The writer ends first only if the stream takes nothing any more.
            ended = &mut write => ended.map(|()| false),
            _ = stop.wait_for(|stop| *stop) => Ok(true),
        };
        if matches!(ended, Ok(true)) {
            // The hub has stopped: whoever waits is told so, and then everything is said.
            let told = async {
                while self.waiting.join_next().await.is_some() {}
                outbox.close();
                pending::<()>().await;
            };
            let done = async {
                tokio::select! { () = told => {} _ = &mut write => {} }
                reader.drain(PATIENCE).await;
            };
            let _ = timeout(PATIENCE, done).await;
        }
        outbox.break_off();
        // Whoever still waits must not take anything after the leases went back.
        self.waiting.shutdown().await;
        ended.map(drop)
    }

    /// Reads requests until the connection ends.
    async fn read<R: AsyncRead + Unpin>(&mut self, reader: &mut FrameReader<R>) -> io::Result<()> {
        while let Some(frame) = reader.next(self.limits.silence).await? {
            let weight = frame.len();
            let (id, request) = read_request(frame).map_err(broken)?;
            match request {
                Ok(Request::Cancel { request }) => {
                    if let Some(cancel) = self.cancel.remove(&request) {
                        let _ = cancel.send(());
                    }
                }
                Ok(
                    request @ (Request::Put { .. } | Request::Lease { .. } | Request::Join { .. }),
                ) => {
                    self.answer_in_time(id, request, weight).await?;
                }
                Ok(request) => {
                    let reply = self.hub.call_now(self.owner, request);
                    self.send(id, &reply);
                }
                Err(malformed) => {
                    self.send(id, &Reply::Refused(Refusal::BadRequest(malformed.to_string())));
                }
            }
            // A peer that does not read its answers may not ask for more.
            self.outbox.room().await;
        }
        Ok(())
    }

    fn send(&self, id: u64, reply: &Reply) {
        if id != 0 {
            self.outbox.push(Frame::reply(id, reply));
        }
    }

    /// Answers at once what can be, and lets the rest wait aside.
    async fn answer_in_time(&mut self, id: u64, request: Request, weight: usize) -> io::Result<()> {
        if id == 0 {
            return Err(broken(Malformed("a request that needs an answer has no number")));
        }
        while let Some(ended) = self.waiting.try_join_next() {
            self.forget(ended);
        }
        let weight = if matches!(request, Request::Put { .. }) { weight } else { 0 };
        let (hub, owner) = (Arc::clone(self.hub), self.owner);
        let mut answer: Answer = Box::pin(async move { hub.call(owner, request).await });
        if let Poll::Ready(reply) = poll_once(&mut answer).await {
            self.send(id, &reply);
            return Ok(());
        }
        let heavy = self.waiting_bytes > 0 && self.waiting_bytes + weight > MOST_WAITING_BYTES;
        if heavy || self.waiting.len() >= MOST_WAITING || self.cancel.contains_key(&id) {
            self.send(id, &Reply::Refused(Refusal::TooManyWaiting));
            return Ok(());
        }
        let (cancel, cancelled) = oneshot::channel();
        self.cancel.insert(id, cancel);
        self.waiting_bytes += weight;
        let outbox = Arc::clone(&self.outbox);
        self.waiting.spawn(async move {
            let cancelled = async {
                if cancelled.await.is_err() {
                    pending::<()>().await;
                }
            };
            let reply = tokio::select! {
                biased;
                () = cancelled => Reply::Refused(Refusal::Cancelled),
                reply = answer => reply,
            };
            // In the same step as the items were taken: if this task is ended, it is before.
            outbox.push(Frame::reply(id, &reply));
            (id, weight)
        });
        Ok(())
    }

    fn forget(&mut self, ended: Result<(u64, usize), tokio::task::JoinError>) {
        match ended {
            Ok((id, weight)) => {
                self.cancel.remove(&id);
                self.waiting_bytes -= weight;
            }
            Err(error) => tracing::error!(%error, "a waiting request ended without an answer"),
        }
    }
}

/// Looks once whether the answer is there.
async fn poll_once(answer: &mut Answer) -> Poll<Reply> {
    poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await
}

fn broken(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broke the protocol: {malformed}"))
}
