//! One connection of Python, from its first message to its end.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use spinneret_pickle::{Dialect, Value};
use tokio::sync::watch;

use super::{
    Server,
    control::Control,
    frames::Frames,
    message::{self, Reply, Request, Unsendable},
    object::{Answer, Call, Object, Outcome, Receipt},
    objects::Ident,
    proxy,
    socket::Socket,
};
use crate::manager::{hub::ConnectionKind, store::Owner, wire};

/// Serves a connection whose peer has proven that it has the key. `start` is what was read of its
/// first message. Ends when the peer does, or with `stop`; never because nothing comes, since a
/// client of Python cannot connect again.
pub(crate) async fn serve<S: Socket>(
    server: Arc<Server>,
    stream: S,
    address: SocketAddr,
    start: BytesMut,
    mut stop: watch::Receiver<bool>,
) {
    stream.keep_alive();
    let encrypted = stream.is_encrypted();
    let frames = Frames::new(stream, start, server.max_frame);
    let ended = tokio::select! {
        ended = run(server, frames, address, encrypted) => ended,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    match ended {
        // A client that ends by itself, however it does.
        Err(error) if error.kind() != io::ErrorKind::InvalidData => {
            tracing::debug!(peer = %address, %error, "a connection of Python broke");
        }
        Err(error) => tracing::warn!(peer = %address, %error, "closed a connection of Python"),
        Ok(()) => {}
    }
}

async fn run<S: Socket>(
    server: Arc<Server>,
    mut frames: Frames<S>,
    address: SocketAddr,
    encrypted: bool,
) -> io::Result<()> {
    let Some(message) = frames.next().await? else {
        return Ok(());
    };
    let dialect = Dialect::of(&message);
    let control = match read(&server, message) {
        Ok(value) => match Request::of(&value) {
            Ok(request) => server.control(request, dialect),
            Err(wrong) => Control::Reply(Reply::traceback(wrong)),
        },
        Err(reply) => Control::Reply(reply),
    };
    match control {
        Control::Accept(name) => {
            frames.write(&text_frame(&Reply::none(), dialect)).await?;
            let owner = server.enter(address, dialect, name, encrypted);
            Served::new(server, address, dialect, owner).run(&mut frames).await
        }
        Control::Reply(reply) => {
            let frame = server.written(&reply, dialect).unwrap_or_else(|error| {
                text_frame(&Reply::traceback(format_args!("TypeError: {error}")), dialect)
            });
            frames.write(&frame).await
        }
        Control::Shutdown => {
            let mut answer = text_frame(&Reply::none(), dialect);
            if !dialect.is_python2() {
                // Python's own server answers twice, and clients count on one of the two.
                answer.extend_from_within(..);
            }
            let written = frames.write(&answer).await;
            tracing::info!(peer = %address, "a client of Python asked for the end");
            server.hub.call_now(0, wire::Request::Shutdown);
            written
        }
    }
}

/// A message as a value, or what to answer if it is none.
fn read(server: &Server, message: Bytes) -> Result<Value, Reply> {
    let read = server.objects.read(message, &server.limits);
    read.map_err(|error| Reply::traceback(format_args!("_pickle.UnpicklingError: {error}")))
}

impl Server {
    /// Takes in a connection that is to be served.
    fn enter(&self, address: SocketAddr, dialect: Dialect, name: String, encrypted: bool) -> Owner {
        tracing::debug!(peer = %address, name, %dialect, encrypted, "a thread of Python connected");
        let kind = ConnectionKind::Python { protocol: dialect.protocol() };
        self.hub.enter(address, name, kind, encrypted)
    }

    /// The reply as a message for such a client.
    fn written(&self, reply: &Reply, dialect: Dialect) -> Result<Vec<u8>, Unsendable> {
        let value = reply.to_value();
        let frame = message::frame(&value, dialect)?;
        if dialect.is_python2() && self.objects.any_proxies(&frame) {
            // Where Python 3 passes proxies on, Python 2 passes the objects themselves.
            return message::frame(&self.objects.referents(&value, dialect)?, dialect);
        }
        Ok(frame)
    }
}

/// A connection that calls objects: one thread of a client.
struct Served {
    server: Arc<Server>,
    address: SocketAddr,
    dialect: Dialect,
    owner: Owner,
    /// What this connection has called, by address, to be told of its end.
    called: HashMap<usize, Weak<dyn Object>>,
    /// When `called` is to be looked through for objects that are gone.
    enough: usize,
    /// The last reply, if it has proxies: until the next request, the client may not have made
    /// references of its own to what they stand for.
    replied: Option<Reply>,
}

/// A call under way.
struct Begun {
    object: Arc<dyn Object>,
    method: String,
    answer: Answer,
}

/// What is to be written, and who wants to know that it was.
struct Answered {
    reply: Reply,
    receipt: Option<Box<dyn Receipt>>,
}

impl From<Reply> for Answered {
    fn from(reply: Reply) -> Self {
        Self { reply, receipt: None }
    }
}

impl Served {
    fn new(server: Arc<Server>, address: SocketAddr, dialect: Dialect, owner: Owner) -> Self {
        let called = HashMap::new();
        Self { server, address, dialect, owner, called, enough: 16, replied: None }
    }

    async fn run<S: Socket>(&mut self, frames: &mut Frames<S>) -> io::Result<()> {
        while let Some(message) = frames.next().await? {
            self.server.hub.linger.arrived();
            self.replied = None;
            // What Python's own server takes for the end.
            if message.is_empty() {
                break;
            }
            let answered = match self.begin(message) {
                Ok(Begun { object, method, answer }) => match outcome(answer, frames).await {
                    Some(outcome) => self.answered(outcome, &*object, &method),
                    None => break,
                },
                Err(reply) => reply.into(),
            };
            // With the end of the manager their connection closes, as that of Python's own server
            // does: why a call failed then is of no use to a program that knows nothing of it.
            if self.server.hub.is_stopped() {
                break;
            }
            self.write(frames, answered).await?;
        }
        Ok(())
    }

    /// Makes the call that a message asks for. What is kept of the message is what the call keeps.
    fn begin(&mut self, message: Bytes) -> Result<Begun, Reply> {
        let value = read(&self.server, message)?;
        let Request { ident, method, args } = Request::of(&value).map_err(Reply::traceback)?;
        let object = self.server.objects.get(ident).ok_or_else(|| Reply::key_error(ident))?;
        self.remember(&object);
        let objects = Arc::clone(&self.server.objects);
        let call = Call { owner: self.owner, dialect: self.dialect, args, objects };
        let answer = Arc::clone(&object).call(method, call);
        Ok(Begun { object, method: method.into(), answer })
    }

    fn remember(&mut self, object: &Arc<dyn Object>) {
        let address = Arc::as_ptr(object).cast::<()>() as usize;
        let Entry::Vacant(place) = self.called.entry(address) else {
            return;
        };
        place.insert(Arc::downgrade(object));
        if let Some(behind) = object.behind() {
            self.remember(&behind);
        }
        if self.called.len() >= self.enough {
            self.called.retain(|_, object| object.strong_count() > 0);
            self.enough = 2 * self.called.len() + 16;
        }
    }

    fn answered(&self, outcome: Outcome, object: &dyn Object, method: &str) -> Answered {
        match outcome {
            Outcome::Return(value) => Reply::Return(value).into(),
            Outcome::Deliver(value, receipt) => {
                Answered { reply: Reply::Return(value), receipt: Some(receipt) }
            }
            Outcome::Raise(exception) => Reply::Error(exception).into(),
            Outcome::Proxy { typeid, object } => {
                let names = proxy::names(&*object, self.dialect);
                let ident = self.server.objects.share(object);
                let token = proxy::token(typeid, self.server.address, &ident);
                let shared = Shared { server: Arc::clone(&self.server), ident: Some(ident) };
                Answered {
                    reply: Reply::Proxy(Value::tuple([names, token])),
                    receipt: Some(Box::new(shared)),
                }
            }
            Outcome::NoSuchMethod => self.fallback(object, method).into(),
        }
    }

    /// What every object answers, whatever its methods are.
    fn fallback(&self, object: &dyn Object, method: &str) -> Reply {
        match method {
            "__str__" | "__repr__" => Reply::Return(Value::native(object.repr(self.dialect))),
            "#GETVALUE" => match object.value(self.dialect) {
                Some(value) => Reply::Return(value),
                None => Reply::Unserializable(format!("{}\n", object.repr(self.dialect))),
            },
            _ => Reply::key_error(method),
        }
    }

    async fn write<S: Socket>(
        &mut self,
        frames: &mut Frames<S>,
        Answered { reply, mut receipt }: Answered,
    ) -> io::Result<()> {
        let frame = match self.server.written(&reply, self.dialect) {
            Ok(frame) => frame,
            Err(error) => {
                if let Some(receipt) = receipt.take() {
                    receipt.unreadable(&error.to_string());
                }
                text_frame(&Reply::Unserializable(format!("{error}\n")), self.dialect)
            }
        };
        // Dropped otherwise, as a long item need not be there twice.
        self.replied = Some(reply).filter(|_| self.server.objects.any_proxies(&frame));
        frames.write(&frame).await?;
        if let Some(receipt) = receipt {
            receipt.delivered();
        }
        Ok(())
    }
}

/// A new object on its way to a client, which then refers to it.
struct Shared {
    server: Arc<Server>,
    /// None once the client has it.
    ident: Option<Ident>,
}

impl Receipt for Shared {
    fn delivered(mut self: Box<Self>) {
        self.ident = None;
    }

    fn unreadable(self: Box<Self>, _: &str) {}
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(ident) = self.ident.take() {
            self.server.objects.decref(&ident);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for object in self.called.values().filter_map(Weak::upgrade) {
            object.owner_gone(self.owner);
        }
        let returned = self.server.hub.leave(self.owner);
        tracing::debug!(peer = %self.address, returned, "a thread of Python disconnected");
    }
}

/// How a call ends, or `None` if the client ends before: then nothing was taken.
async fn outcome<S: Socket>(answer: Answer, frames: &mut Frames<S>) -> Option<Outcome> {
    let mut pending = match answer {
        Answer::Now(outcome) => return Some(outcome),
        Answer::Later(pending) => pending,
    };
    let now = poll_fn(|context| Poll::Ready(pending.as_mut().poll(context))).await;
    if let Poll::Ready(outcome) = now {
        return Some(outcome);
    }
    let outcome = tokio::select! {
        biased;
        () = frames.ended() => return None,
        outcome = pending => outcome,
    };
    // The client may have died in the same moment, which this thread has not been told yet. What
    // it was to be given goes back, as the receipt is dropped.
    let in_vain = matches!(outcome, Outcome::Deliver(..)) && frames.stream.has_ended();
    (!in_vain).then_some(outcome)
}

/// A reply of text only, which can always be written.
fn text_frame(reply: &Reply, dialect: Dialect) -> Vec<u8> {
    message::frame(&reply.to_value(), dialect)
        .unwrap_or_else(|_| unreachable!("short text can be written for every Python"))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::manager::{hub::Hub, python::args::Args};

    #[test]
    fn a_lock_is_free_after_its_holder_though_the_condition_it_was_taken_through_is_gone() {
        let hub = Arc::new(Hub::new(1 << 20));
        let (address, dialect) = (([127, 0, 0, 1], 1).into(), Dialect::Python38);
        let server = Arc::new(Server::new(&hub, address, 1 << 20, None));
        let call = |owner, args: Vec<Value>| Call {
            owner,
            dialect,
            args: Args::new(args, Vec::new()),
            objects: Arc::clone(&server.objects),
        };
        let (ident, lock) = server.create("Lock", call(0, Vec::new())).unwrap();
        let module = "multiprocessing.managers";
        let proxy = [
            Value::global(module, "AcquirerProxy"),
            proxy::token("Lock", address, &ident),
            Value::native("pickle"),
            Value::dict([]),
        ];
        let proxy = Value::reduce(Value::global(module, "RebuildProxy"), proxy);
        let (ident, condition) = server.create("Condition", call(0, vec![proxy])).unwrap();

        let owner = server.enter(address, dialect, "one".into(), false);
        let mut thread = Served::new(Arc::clone(&server), address, dialect, owner);
        thread.remember(&condition);
        drop(condition.call("acquire", call(owner, Vec::new())));
        assert!(server.objects.decref(&ident), "its last proxy goes");
        drop(thread);
        let again = lock.call("acquire", call(owner + 1, vec![Value::bool(false)]));
        let Answer::Now(Outcome::Return(acquired)) = again else { panic!("it waits") };
        assert_eq!(acquired.as_bool(), Some(true));
    }

    #[test]
    fn an_idle_session_is_small() {
        // What 10,000 idle connections have in memory beside their sockets: with the buffer and the
        // rest of the bookkeeping it is to stay far below 20 KiB.
        let hub = Arc::new(Hub::new(1 << 20));
        let address = ([127, 0, 0, 1], 1).into();
        let server = Arc::new(Server::new(&hub, address, 1 << 20, None));
        let stop = watch::Sender::new(false);
        let run = serve(server, duplex(1).0, address, BytesMut::new(), stop.subscribe());
        assert!(size_of_val(&run) <= 4096, "{} bytes", size_of_val(&run));
    }
}
