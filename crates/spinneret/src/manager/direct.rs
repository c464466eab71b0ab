//! A connection whose blocking callers use the socket themselves, as one would by hand.
//!
//! A caller that blocks could leave everything to a background task: that costs two changes of
//! thread for each call, more than all the rest. So it writes its request to the socket itself,
//! and then reads. Since many may wait for answers and only one can read, there is a turn:
//!
//! - A caller that finds nobody reading takes the turn and reads, blocking in `recv`. It hands all
//!   answers to whom they belong. When its own comes, it leaves, and wakes the next who waits.
//! - Callers that find somebody reading park until their answer, or the turn, comes to them.
//! - The background task takes the turn when nobody blocks: for calls that are awaited, and for an
//!   idle connection, to notice its end. It stands by ([`Turn::standby`]) while blocking calls keep
//!   coming, and does not even watch the socket then, so that no answer wakes it.
//!
//! What needs no answer is written with the next request. While it stands by, the background task
//! looks every [`TICK`] whether something still lies there. It also writes what the socket did not
//! take at once, sends the heartbeats, and notices when they are not answered.
//!
//! The socket itself is a blocking one; who must not block says so with each call.

mod socket;

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{
    remote::{PATIENCE, Shared, idle, ping},
    runtime::thread_waker,
    stream::{Incoming, LastSeen, silent, with_arrivals},
    wire::Reply,
};
use socket::{Socket, Writer};

/// How long something that needs no answer may lie unwritten while calls keep coming, and after
/// how long without a call the background task takes over.
const TICK: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Debug)]
pub(super) struct Direct {
    socket: Socket,
    /// Locked only by who has the turn.
    incoming: Mutex<Incoming>,
    turn: Mutex<Turn>,
    /// Tells the background task to look at the turn.
    changed: Notify,
    /// Grows whenever something was read.
    reads: AtomicU64,
    /// When the socket last took something.
    progress: LastSeen,
    /// After this long without a byte, the manager is taken for dead.
    silence: Duration,
}

#[derive(Debug)]
struct Turn {
    reader: Reader,
    /// Who parks until there is an answer or it is their turn.
    parked: VecDeque<Thread>,
    /// Grows with each blocking call's beginning and end.
    calls: u64,
    /// The background task neither reads nor waits for anything but the next tick.
    standby: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    Caller,
    Background,
}

impl Direct {
    /// Takes over a connection whose hellos are said, and the runtime that is to serve it.
    pub fn start(
        stream: tokio::net::TcpStream,
        silence: Duration,
        shared: &Arc<Shared>,
    ) -> io::Result<Arc<Self>> {
        let turn =
            Turn { reader: Reader::Nobody, parked: VecDeque::new(), calls: 0, standby: true };
        let direct = Arc::new(Self {
            socket: Socket::new(stream)?,
            incoming: Mutex::new(Incoming::new(usize::MAX)),
            turn: Mutex::new(turn),
            changed: Notify::new(),
            reads: AtomicU64::new(0),
            progress: LastSeen::now(),
            silence,
        });
        tokio::spawn(serve(Arc::clone(&direct), Arc::clone(shared)));
        Ok(direct)
    }

    /// Waits for the answer of a request that was pushed, on this thread, doing all that is needed
    /// for it to come. `None` if the connection ends before.
    pub fn wait(&self, shared: &Shared, mut answer: oneshot::Receiver<Reply>) -> Option<Reply> {
        self.begin();
        self.write(shared);
        let mut place = Place { direct: self, shared, reading: false, parked: false };
        let waker = thread_waker();
        let mut context = Context::from_waker(&waker);
        loop {
            if place.may_read() {
                loop {
                    match answer.try_recv() {
                        Ok(reply) => return Some(reply),
                        Err(oneshot::error::TryRecvError::Closed) => return None,
                        Err(oneshot::error::TryRecvError::Empty) => self.read(shared),
                    }
                }
            }
            // Never a second time after it was ready.
            if let Poll::Ready(reply) = Pin::new(&mut answer).poll(&mut context) {
                return reply.ok();
            }
            thread::park();
        }
    }

    fn begin(&self) {
        let mut turn = self.turn.lock();
        turn.calls += 1;
        let standby = turn.standby || turn.reader == Reader::Background;
        drop(turn);
        if !standby {
            self.changed.notify_one();
        }
    }

    /// Sees to it that what was pushed quietly is written soon, though nobody waits for it.
    pub fn told(&self, shared: &Shared) {
        if !self.turn.lock().standby {
            shared.outbox.wake();
        }
    }

    /// Sees to it that somebody reads the answer of a call that is awaited.
    pub fn awaited(&self) {
        if self.turn.lock().reader == Reader::Nobody {
            self.changed.notify_one();
        }
    }

    /// Writes what is pushed and not yet written, as far as the socket takes it at once.
    pub fn write(&self, shared: &Shared) {
        let write = |pieces: &[IoSlice<'_>]| self.socket.send(pieces);
        if let Err(error) = shared.outbox.write_now(write, || self.progress.touch()) {
            shared.end(error.to_string());
        }
    }

    /// Reads once, waiting for something, and delivers the answers that came.
    fn read(&self, shared: &Shared) {
        let mut incoming = self.incoming.lock();
        let read = with_arrivals(|bytes| {
            let count = self.socket.receive(bytes)?;
            incoming.push(&bytes[..count]);
            Ok(count)
        });
        if let Err(error) = self.deliver(shared, &mut incoming, read) {
            shared.end(error);
        }
    }

    /// Delivers the answers among what was read. An error says why the connection ended.
    fn deliver(
        &self,
        shared: &Shared,
        incoming: &mut Incoming,
        read: io::Result<usize>,
    ) -> Result<(), String> {
        match read {
            Ok(0) => {
                incoming.end().map_err(|error| error.to_string())?;
                return Err("it was closed".into());
            }
            Ok(_) => self.reads.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        while let Some(frame) = incoming.next().map_err(|error| error.to_string())? {
            shared.deliver_frame(frame).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// The background task's reading, until the connection ends: why it did.
    async fn watch(&self, shared: &Shared, socket: &AsyncFd<Socket>) -> String {
        loop {
            let read = socket.async_io(Interest::READABLE, |socket| {
                let mut incoming = self.incoming.lock();
                let count = with_arrivals(|bytes| {
                    let count = socket.receive_now(bytes)?;
                    incoming.push(&bytes[..count]);
                    io::Result::Ok(count)
                })?;
                Ok(self.deliver(shared, &mut incoming, Ok(count)))
            });
            match read.await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return reason,
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Notices, asked every now and then, when the manager has been silent for too long. It answers
    /// a ping only after what was sent before, which may take long.
    fn check(&self, shared: &Shared, heard: &Mutex<(u64, Instant)>) {
        let mut heard = heard.lock();
        let (reads, since) = *heard;
        let now = self.reads.load(Ordering::Relaxed);
        if now != reads {
            *heard = (now, Instant::now());
        } else if since.elapsed() >= self.silence && !self.progress.within(self.silence) {
            shared.end(silent(self.silence).to_string());
        }
    }

    /// Waits until the background task is to read: nobody does, and either somebody awaits an
    /// answer or no blocking call came for a while.
    async fn stand_by(&self, shared: &Shared) {
        let mut seen = self.turn.lock().calls;
        loop {
            let standby = self.turn.lock().standby;
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep(TICK), if standby => {}
            }
            let mut turn = self.turn.lock();
            let active = turn.calls != seen;
            seen = turn.calls;
            let free = turn.reader == Reader::Nobody && turn.parked.is_empty();
            if free && (!active || shared.has_calls()) {
                turn.reader = Reader::Background;
                turn.standby = false;
                return;
            }
            turn.standby = active;
            drop(turn);
            if !active {
                // Something may have been told just before.
                shared.outbox.wake();
            }
        }
    }

    /// Waits until a blocking call wants to read, and lets it.
    async fn until_wanted(&self) {
        loop {
            self.changed.notified().await;
            let mut turn = self.turn.lock();
            if let Some(first) = turn.parked.front() {
                first.unpark();
                turn.reader = Reader::Nobody;
                turn.standby = true;
                return;
            }
        }
    }
}

/// A blocking call's place among those who wait.
struct Place<'a> {
    direct: &'a Direct,
    shared: &'a Shared,
    reading: bool,
    parked: bool,
}

impl Place<'_> {
    /// Takes the turn if it is free; else the caller is woken when it may be.
    fn may_read(&mut self) -> bool {
        let mut turn = self.direct.turn.lock();
        if turn.reader == Reader::Nobody {
            turn.reader = Reader::Caller;
            self.reading = true;
            return true;
        }
        if !self.parked {
            turn.parked.push_back(thread::current());
            self.parked = true;
        }
        if turn.reader == Reader::Background {
            drop(turn);
            self.direct.changed.notify_one();
        }
        false
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut turn = self.direct.turn.lock();
        turn.calls += 1;
        if self.parked {
            let me = thread::current().id();
            turn.parked.retain(|thread| thread.id() != me);
        }
        if self.reading {
            turn.reader = Reader::Nobody;
        }
        if turn.reader != Reader::Nobody {
            return;
        }
        if let Some(next) = turn.parked.front() {
            // Also if this one was woken to read and found its answer there instead.
            next.unpark();
            return;
        }
        let wanted = !turn.standby || self.shared.has_calls();
        drop(turn);
        if wanted {
            self.direct.changed.notify_one();
        }
    }
}

/// Ends the calls, and wakes who reads, also when the runtime ends the background task.
struct End<'a>(&'a Direct, &'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.1.end("the runtime that served it ended".into());
        self.0.socket.cut();
    }
}

/// The background task.
async fn serve(direct: Arc<Direct>, shared: Arc<Shared>) {
    let (direct, shared) = (&*direct, &*shared);
    let _end = End(direct, shared);
    let heard = Mutex::new((0, Instant::now()));
    let mut reads = false;
    let reason = loop {
        // While it stands by, an answer must not wake it.
        let interest =
            if reads { Interest::READABLE | Interest::WRITABLE } else { Interest::WRITABLE };
        let socket = match direct.socket.register(interest) {
            Ok(socket) => socket,
            Err(error) => break error.to_string(),
        };
        let change = async {
            if reads { direct.until_wanted().await } else { direct.stand_by(shared).await }
        };
        let write = shared.outbox.write_to(
            Writer(&socket),
            direct.silence,
            idle(direct.silence),
            || direct.progress.touch(),
            || {
                direct.check(shared, &heard);
                Some(ping())
            },
        );
        tokio::select! {
            // First, so that each tick writes what lies there.
            biased;
            ended = write => break match ended {
                Ok(()) => "it was closed".into(),
                Err(error) => error.to_string(),
            },
            reason = direct.watch(shared, &socket), if reads => break reason,
            () = change => reads = !reads,
        }
    };
    if !shared.has_ended() {
        // Everything is said: nobody but this task has the connection any more.
        drain(&direct.socket).await;
    }
    shared.end(reason);
}

/// Reads and forgets until the manager closes too: it may have something to say until then, and
/// closing before would reset the connection under what it has yet to read.
async fn drain(socket: &Socket) {
    let Ok(socket) = socket.register(Interest::READABLE) else {
        return;
    };
    let read = async {
        let mut bytes = [0; 1024];
        loop {
            let read = socket.async_io(Interest::READABLE, |socket| socket.receive_now(&mut bytes));
            if !matches!(read.await, Ok(1..)) {
                break;
            }
        }
    };
    let _ = timeout(PATIENCE, read).await;
}
