//! Frames as they come on a byte stream, how long it may be silent, and where it comes from.

use std::{
    cell::RefCell, future::poll_fn, io, net::SocketAddr, pin::Pin, task::Poll, time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};

/// How much is read at a time at most, in bytes.
const READ_SIZE: usize = 64 << 10;

thread_local! {
    /// Where bytes arrive. One for each thread, so that connections with nothing to say have none.
    static ARRIVALS: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// Lends the thread's memory for arrivals.
pub(crate) fn with_arrivals<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    ARRIVALS.with_borrow_mut(|bytes| read(bytes))
}

/// Bytes that came, to be taken in frames. Has no memory while it is empty.
#[derive(Debug)]
pub(crate) struct Incoming {
    buffer: BytesMut,
    max_frame: usize,
}

impl Incoming {
    pub fn new(max_frame: usize) -> Self {
        Self { buffer: BytesMut::new(), max_frame }
    }

    /// Appends what came. A long frame's memory grows with what has arrived of it, not with what
    /// it announces.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame's content, if it is there as a whole.
    pub fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
            self.rest();
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length > self.max_frame {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("announced a frame of {length} bytes, {} are allowed", self.max_frame),
            ));
        }
        if self.buffer.len() - 4 < length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream may end here: not within a frame.
    pub fn end(&self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ended within a frame"))
    }

    fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// Reads frames, keeping what came of the next one.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    incoming: Incoming,
    watchdog: Option<Watchdog>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R, max_frame: usize) -> Self {
        Self { stream, incoming: Incoming::new(max_frame), watchdog: None }
    }

    /// The next frame's content, or `None` at the stream's end between two frames. Fails if for
    /// longer than `silence` no byte arrives. Safe to cancel.
    pub async fn next(&mut self, silence: Duration) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            if !self.fill(silence).await? {
                return Ok(None);
            }
        }
    }

    /// The next frame's content, if it has arrived already.
    pub fn buffered(&mut self) -> io::Result<Option<Bytes>> {
        self.incoming.next()
    }

    /// Waits for more bytes; false at the stream's end between two frames. Fails as
    /// [`next`](Self::next) does. Safe to cancel.
    pub async fn fill(&mut self, silence: Duration) -> io::Result<bool> {
        let Self { stream, incoming, watchdog } = self;
        let watchdog = watchdog.get_or_insert_with(|| Watchdog::new(silence));
        poll_fn(|context| {
            let read = with_arrivals(|bytes| {
                let mut bytes = ReadBuf::new(bytes);
                let read = Pin::new(&mut *stream).poll_read(context, &mut bytes);
                incoming.push(bytes.filled());
                read.map_ok(|()| bytes.filled().len())
            });
            match read {
                Poll::Ready(Ok(0)) => Poll::Ready(incoming.end().map(|()| false)),
                Poll::Ready(Ok(_)) => {
                    watchdog.touch();
                    Poll::Ready(Ok(true))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => watchdog.poll_bark(context).map(|()| Err(silent(silence))),
            }
        })
        .await
    }

    /// Reads and forgets until the stream ends, so that closing it does not reset the connection
    /// under what the other end has yet to read.
    pub async fn drain(&mut self, patience: Duration) {
        let _ = timeout(patience, async {
            let mut bytes = [0; 1024];
            while matches!(self.stream.read(&mut bytes).await, Ok(1..)) {}
        })
        .await;
    }
}

/// What is said of a stream on which nothing came for so long.
pub(crate) fn silent(time: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("silent for {} seconds", time.as_secs_f32()))
}

/// Barks if it was not touched for some time. Touching it costs next to nothing: its timer is set
/// anew only when it goes off.
#[derive(Debug)]
pub(crate) struct Watchdog {
    touched: Instant,
    time: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Watchdog {
    pub fn new(time: Duration) -> Self {
        let now = Instant::now();
        Self { touched: now, time, timer: Box::pin(sleep_until(after(now, time))) }
    }

    pub fn touch(&mut self) {
        self.touched = Instant::now();
    }

    /// Ready when the time is over; the next time starts then.
    pub fn poll_bark(&mut self, context: &mut std::task::Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(context).is_ready() {
            let (now, due) = (Instant::now(), after(self.touched, self.time));
            if due <= now {
                self.touched = now;
                self.timer.as_mut().reset(after(now, self.time));
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// That time later, or so late that nobody is there to see it.
fn after(start: Instant, time: Duration) -> Instant {
    const AGES: Duration = Duration::from_hours(24 * 365);
    start.checked_add(time).unwrap_or_else(|| start + AGES)
}

/// The moment at which something last happened.
#[derive(Debug)]
pub(crate) struct LastSeen(Mutex<Instant>);

impl LastSeen {
    pub fn now() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    pub fn touch(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Whether that was within this time.
    pub fn within(&self, time: Duration) -> bool {
        self.0.lock().elapsed() < time
    }
}

/// Whether the other end is on this machine: connected by loopback, or from one of the machine's own
/// addresses to that same one, which nobody else can have.
pub(crate) fn is_near(stream: &TcpStream, peer: SocketAddr) -> bool {
    let peer = peer.ip().to_canonical();
    let own = stream.local_addr().map(|own| own.ip().to_canonical());
    peer.is_loopback() || own.is_ok_and(|own| own == peer)
}

/// Many frames are small and answered one by one: waiting to fill packets only delays them.
pub(crate) fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        let mut reader = FrameReader::new(&b"\x00\x00\x10\x01"[..], 0x1000);
        let error = reader.next(LONG).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_frame_is_an_error() {
        for cut in [&b"\0"[..], b"\0\0\0\x02", b"\0\0\0\x02x"] {
            let error = FrameReader::new(cut, 10).next(LONG).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(FrameReader::new(&b""[..], 10).next(LONG).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_silent_only_if_nothing_came_for_the_whole_time() {
        let (mut near, far) = tokio::io::duplex(10);
        let mut reader = FrameReader::new(far, 10);
        let speak = async {
            for byte in *b"\0\0\0\x02xy" {
                tokio::time::sleep(LONG * 3 / 4).await;
                tokio::io::AsyncWriteExt::write_all(&mut near, &[byte]).await.unwrap();
            }
        };
        let (frame, ()) = tokio::join!(reader.next(LONG), speak);
        assert_eq!(frame.unwrap().unwrap(), &b"xy"[..]);
        let start = Instant::now();
        let error = reader.next(LONG).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), LONG.as_secs());
    }

    #[tokio::test]
    async fn a_reader_that_waits_between_frames_holds_no_memory() {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let mut reader = FrameReader::new(far, 1 << 20);
        let frame = [&100_000_u32.to_be_bytes()[..], &vec![7; 100_000]].concat();
        tokio::io::AsyncWriteExt::write_all(&mut near, &frame).await.unwrap();
        assert_eq!(reader.next(LONG).await.unwrap().unwrap().len(), 100_000);
        assert_eq!(reader.buffered().unwrap(), None);
        assert_eq!(reader.incoming.buffer.capacity(), 0);
    }
}
