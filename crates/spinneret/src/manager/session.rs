//! One connection of the server, from the handshake to the end.

mod waiting;

use std::{
    future::{pending, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use super::{
    authkey::AuthKey,
    handshake::{self, First, HandshakeError, Md5, ServerHello},
    hub::{ConnectionKind, Hub},
    outbox::Outbox,
    python,
    store::Owner,
    strangers::Stranger,
    stream::{FrameReader, is_near},
    tls::{Door, Policy, Verdict},
    wire::{ClusterRequest, Frame, Malformed, Refusal, Reply, Request, VERSION, read_request},
};
use waiting::{Answer, WaitingRequests};

/// Requests of one connection that may wait at a time.
const MOST_WAITING: usize = 4096;
/// What a waiting request is counted for beyond its frame and its items' places, in bytes.
const WAITING_HEAD: usize = 1 << 10;
/// Bytes of items in waiting puts of one connection above which no more are let wait.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// How long a connection that ends may take to end well.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server's connections have in common.
pub(crate) struct Limits {
    pub key: AuthKey,
    /// What Python's connections need besides.
    pub python: Arc<python::Server>,
    /// Whether peers beyond this machine may prove their key by MD5.
    pub allow_md5: bool,
    /// The longest frame, in bytes.
    pub max_frame: usize,
    /// For the whole handshake.
    pub handshake: Duration,
    /// After this long without a byte, a peer is taken for dead.
    pub silence: Duration,
    pub tls: Policy,
}

/// Serves a connection, which is a `stranger` until it has proven that it has the key.
pub(crate) async fn serve(
    hub: Arc<Hub>,
    limits: Arc<Limits>,
    stream: TcpStream,
    address: SocketAddr,
    stranger: Stranger,
    mut stop: watch::Receiver<bool>,
) {
    // What is only needed for a while is boxed, here and below: a connection's memory is that of
    // its largest part.
    let greeting = Box::pin(timeout(limits.handshake, greet(stream, &limits, address)));
    let greeted = tokio::select! {
        greeted = greeting => greeted,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let (stream, peer) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(HandshakeError::WrongKey)) => {
            tracing::warn!(peer = %address, "refused a connection: its key is wrong");
            return;
        }
        Ok(Err(HandshakeError::NeedsTls)) => {
            tracing::warn!(
                peer = %address,
                "refused a connection: it came without TLS; give it the authority's file (ca.pem), \
                 or allow plain text",
            );
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
    if !stranger.make_known() {
        return;
    }
    let (stream, name) = match (stream, peer) {
        (stream, Peer::Ours(name)) => (stream, name),
        (Stream::Plain(stream), Peer::Python(start)) => {
            let server = Arc::clone(&limits.python);
            return Box::pin(python::serve(server, stream, address, start, stop)).await;
        }
        (Stream::Tls(stream), Peer::Python(start)) => {
            let server = Arc::clone(&limits.python);
            return Box::pin(python::serve(server, *stream, address, start, stop)).await;
        }
    };

    let encrypted = matches!(stream, Stream::Tls(_));
    let kind = ConnectionKind::Spinneret { version: VERSION };
    let owner = hub.enter(address, name.clone(), kind, encrypted);
    tracing::debug!(peer = %address, name, encrypted, "connected");
    // Also if this future is dropped, so that no lease outlives its connection.
    let presence = Presence { hub: Arc::clone(&hub), owner };
    let session = Session::new(&hub, &limits, owner);
    let ended = match stream {
        Stream::Plain(stream) => {
            let (reader, writer) = stream.into_split();
            Box::pin(session.run(reader, writer, stop)).await
        }
        Stream::Tls(stream) => {
            let (reader, writer) = tokio::io::split(*stream);
            Box::pin(session.run(reader, writer, stop)).await
        }
    };
    let returned = presence.hub.leave(owner);
    match ended {
        Ok(()) => tracing::debug!(peer = %address, name, returned, "disconnected"),
        Err(error) => {
            tracing::warn!(peer = %address, name, returned, %error, "closed a connection");
        }
    }
}

/// A connection whose peer has proven its key.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
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

/// Who a peer turns out to be: one of ours with its name, or Python and its first bytes.
enum Peer {
    Ours(String),
    Python(BytesMut),
}

/// The handshake, that of TLS included, up to the two hellos if the peer is one of ours.
async fn greet(
    mut stream: TcpStream,
    limits: &Limits,
    address: SocketAddr,
) -> Result<(Stream, Peer), HandshakeError> {
    let near = is_near(&stream, address);
    let mut door = Door::new(&mut stream, near || limits.tls.allows_plaintext());
    let welcomed = welcome(&mut door, limits, near).await;
    match door.verdict() {
        Some(Verdict::Tls) => {
            let mut stream = Box::new(limits.tls.accept(stream).await?);
            let peer = welcome(&mut stream, limits, near).await?;
            Ok((Stream::Tls(stream), peer))
        }
        Some(Verdict::Forbidden) => {
            handshake::write_small(&mut stream, handshake::NEEDS_TLS).await?;
            Err(HandshakeError::NeedsTls)
        }
        Some(Verdict::Plain) | None => Ok((Stream::Plain(stream), welcomed?)),
    }
}

async fn welcome<S>(stream: &mut S, limits: &Limits, near: bool) -> Result<Peer, HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let md5 = if near || limits.allow_md5 { Md5::Allowed } else { Md5::Refused };
    handshake::welcome(stream, &limits.key, md5).await?;
    let hello = match handshake::first(stream).await? {
        First::Hello(hello) => hello,
        First::Python(start) => return Ok(Peer::Python(start)),
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
    Ok(Peer::Ours(hello.name))
}

struct Session<'a> {
    hub: &'a Arc<Hub>,
    limits: &'a Limits,
    owner: Owner,
    outbox: Arc<Outbox>,
    waiting: WaitingRequests,
}

impl<'a> Session<'a> {
    fn new(hub: &'a Arc<Hub>, limits: &'a Limits, owner: Owner) -> Self {
        Self {
            hub,
            limits,
            owner,
            outbox: Arc::new(Outbox::new()),
            waiting: WaitingRequests::default(),
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
        let courier = self.hub.courier();
        let mut write = pin!(outbox.write_to(writer, silence, silence, || (), || None));
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let ended = loop {
            if let Err(error) = self.answer_buffered(&mut reader).await {
                break Err(error);
            }
            // A peer that does not read its answers may not ask for more.
            let room = outbox.has_room();
            let waits = self.waiting.count() > 0;
            let answers = self.waiting.answer(courier, |id, reply| send(&outbox, id, &reply));
            tokio::select! {
                // The answers to all that was read at a time go out first, and in one write.
                biased;
                // The writer ends before the reader only if the stream takes nothing any more.
                ended = &mut write => break ended.map(|()| false),
                // Before what a peer can keep ready for ever.
                _ = &mut stopped => break Ok(true),
                () = answers, if waits => {}
                more = reader.fill(silence), if room => match more {
                    Ok(true) => self.hub.linger.arrived(),
                    Ok(false) => break Ok(false),
                    Err(error) => break Err(error),
                },
                () = outbox.room(), if !room => {}
            }
        };
        if matches!(ended, Ok(true)) {
            // The hub has stopped: whoever waits is told so, and then everything is said.
            let told = async {
                while self.waiting.count() > 0 {
                    self.waiting.answer(courier, |id, reply| send(&outbox, id, &reply)).await;
                }
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
        self.waiting.clear();
        ended.map(drop)
    }

    /// Answers the requests that have arrived, as long as there is room for answers.
    async fn answer_buffered<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut FrameReader<R>,
    ) -> io::Result<()> {
        while self.outbox.has_room()
            && let Some(frame) = reader.buffered()?
        {
            let weight = frame.len();
            let (id, request) = read_request(frame).map_err(broken)?;
            match request {
                Ok(Request::Cancel { request }) => self.waiting.cancel(request),
                Ok(
                    request @ (Request::Put { .. }
                    | Request::PutWith { .. }
                    | Request::Lease { .. }
                    | Request::Join { .. }
                    | Request::Cluster(ClusterRequest::Fetch | ClusterRequest::Listen)),
                ) => {
                    self.answer_in_time(id, request, weight).await?;
                }
                // What is only told nobody waits for.
                Ok(request) if id != 0 && self.hub.may_wait(&request) => {
                    self.answer_in_time(id, request, weight).await?;
                }
                Ok(request) => {
                    let reply = self.hub.call_now(self.owner, request);
                    send(&self.outbox, id, &reply);
                }
                Err(malformed) => {
                    send(
                        &self.outbox,
                        id,
                        &Reply::Refused(Refusal::BadRequest(malformed.to_string())),
                    );
                }
            }
        }
        Ok(())
    }

    /// Answers at once what can be, and lets the rest wait aside.
    async fn answer_in_time(&mut self, id: u64, request: Request, weight: usize) -> io::Result<()> {
        if id == 0 {
            return Err(broken(Malformed("a request that needs an answer has no number")));
        }
        // Takers that wait are counted; whatever else waits does so with what it brought.
        let taker = matches!(request, Request::Lease { .. } | Request::Join { .. });
        let weight = if taker { 0 } else { weight + request.overhead() + WAITING_HEAD };
        let (hub, owner) = (Arc::clone(self.hub), self.owner);
        // Before it is begun: what a put has brought in by then would stay.
        let heavy = {
            let waits = self.waiting.weight();
            !taker && waits > 0 && waits + weight > MOST_WAITING_BYTES
        };
        if heavy || self.waiting.has(id) {
            send(&self.outbox, id, &Reply::Refused(Refusal::TooManyWaiting));
            return Ok(());
        }
        let mut answer: Answer = Box::pin(async move { hub.call(owner, request).await });
        if let Poll::Ready(reply) = poll_once(&mut answer).await {
            send(&self.outbox, id, &reply);
            return Ok(());
        }
        if taker && self.waiting.count() >= MOST_WAITING {
            send(&self.outbox, id, &Reply::Refused(Refusal::TooManyWaiting));
            return Ok(());
        }
        self.waiting.add(id, weight, answer);
        Ok(())
    }
}

/// Has an answer written by the task that asks for it, which looks for more after each step.
fn send(outbox: &Outbox, id: u64, reply: &Reply) {
    if id != 0 {
        outbox.push_quietly(Frame::reply(id, reply));
    }
}

/// Looks once whether the answer is there.
async fn poll_once(answer: &mut Answer) -> Poll<Reply> {
    poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await
}

fn broken(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broke the protocol: {malformed}"))
}

#[cfg(test)]
mod tests;
