//! Frames on a byte stream: one end reads them, the other writes what many callers queue.

use std::{collections::VecDeque, future::Future, io, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::{Instant, timeout},
};

use super::wire::Frame;

/// How much is read at a time at least, in bytes.
const READ_SIZE: usize = 32 << 10;
/// Bytes waiting to be written above which no more requests of the connection are taken.
const HIGH_WATER: usize = 1 << 20;

/// Reads frames, keeping what came of the next one.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
    max_frame: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R, max_frame: usize) -> Self {
        Self { stream, buffer: BytesMut::new(), max_frame }
    }

    /// The next frame's content, or `None` at the stream's end between two frames. Fails if for
    /// longer than `silence` no byte arrives. Safe to cancel.
    pub async fn next(&mut self, silence: Duration) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            // A long frame's memory grows with what has arrived of it, not with what it announces.
            self.buffer.reserve(READ_SIZE);
            let read = timeout(silence, self.stream.read_buf(&mut self.buffer)).await;
            let read = read.map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("silent for {} seconds", silence.as_secs_f32()),
                )
            })?;
            if read? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ended within a frame"))
                };
            }
        }
    }

    fn buffered(&mut self) -> io::Result<Option<Bytes>> {
        let Some(head) = self.buffer.first_chunk::<4>() else {
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

    /// Reads and forgets until the stream ends, so that closing it does not reset the connection
    /// under what the other end has yet to read.
    pub async fn drain(&mut self, patience: Duration) {
        let _ = timeout(patience, async {
            loop {
                self.buffer.clear();
                self.buffer.reserve(READ_SIZE);
                if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                    break;
                }
            }
        })
        .await;
    }
}

/// What is to be written on a connection. Any number of callers push, one task writes.
///
/// Pushing never waits, so that it may be done anywhere; whoever takes in work for a connection
/// calls [`room`](Self::room) first.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Something to write, or the end.
    filled: Notify,
    /// Room again, or the end.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Full parts, then `tail`.
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes pushed and not yet written, those in the writer's hands included.
    unwritten: usize,
    /// Nothing more is pushed; what is there is written yet.
    closed: bool,
    /// Nothing more is written.
    broken: bool,
}

impl Outbox {
    pub fn new() -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), drained: Notify::new() }
    }

    /// Queues a frame, or drops it when the connection ends anyway.
    pub fn push(&self, frame: Frame) {
        let mut state = self.state.lock();
        if state.closed || state.broken {
            return;
        }
        state.unwritten += frame.len();
        let (mut parts, tail) = frame.into_parts();
        if let Some(first) = parts.next() {
            // Small frames and the heads of large ones go out together.
            state.tail.extend_from_slice(&first);
            let head = state.tail.split().freeze();
            state.parts.push_back(head);
            state.parts.extend(parts);
        }
        state.tail.extend_from_slice(&tail);
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until no more than a fair amount is unwritten, or nothing is written any more.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            {
                let state = self.state.lock();
                if state.unwritten <= HIGH_WATER || state.broken {
                    return;
                }
            }
            drained.await;
        }
    }

    /// Lets the writer end once everything is written.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Drops what is unwritten; nobody writes any more.
    pub fn break_off(&self) {
        let mut state = self.state.lock();
        state.broken = true;
        state.parts.clear();
        state.tail.clear();
        drop(state);
        self.drained.notify_waiters();
        self.filled.notify_one();
    }

    /// Everything that is to be written now, waiting until there is something; `None` at the end.
    async fn take(&self) -> Option<Parts> {
        loop {
            {
                let mut state = self.state.lock();
                let mut parts = std::mem::take(&mut state.parts);
                if !state.tail.is_empty() {
                    parts.push_back(state.tail.split().freeze());
                }
                if !parts.is_empty() {
                    return Some(Parts(parts));
                }
                if state.closed || state.broken {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    fn written(&self, bytes: usize) {
        let mut state = self.state.lock();
        let before = state.unwritten;
        state.unwritten = before.saturating_sub(bytes);
        let crossed = before > HIGH_WATER && state.unwritten <= HIGH_WATER;
        drop(state);
        if crossed {
            self.drained.notify_waiters();
        }
    }

    /// Writes what is pushed until the outbox is closed and empty, then ends the stream.
    ///
    /// Calls `progress` whenever the stream took some of it. After `idle` with nothing to write,
    /// writes what `beat` makes, if any. Fails if the stream takes nothing for `stall`.
    pub async fn write_to<W: AsyncWrite + Unpin>(
        &self,
        mut stream: W,
        stall: Duration,
        idle: Duration,
        progress: impl Fn(),
        beat: impl Fn() -> Option<Frame>,
    ) -> io::Result<()> {
        loop {
            match timeout(idle, self.take()).await {
                Ok(Some(mut parts)) => {
                    while parts.has_remaining() {
                        let written = patiently(stall, stream.write_buf(&mut parts)).await?;
                        if written == 0 {
                            return Err(io::ErrorKind::WriteZero.into());
                        }
                        self.written(written);
                        progress();
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    let Some(beat) = beat() else { continue };
                    let (parts, tail) = beat.into_parts();
                    for part in parts.chain([tail.freeze()]) {
                        patiently(stall, stream.write_all(&part)).await?;
                    }
                }
            }
        }
        patiently(stall, stream.shutdown()).await
    }
}

async fn patiently<T>(
    stall: Duration,
    write: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(stall, write).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the other end reads nothing"))
    })
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

/// Pieces to be written one after the other.
#[derive(Debug)]
struct Parts(VecDeque<Bytes>);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.iter().find(|part| !part.is_empty()).map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [io::IoSlice<'a>]) -> usize {
        let parts = self.0.iter().filter(|part| !part.is_empty());
        into.iter_mut().zip(parts).map(|(slot, part)| *slot = io::IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.0.front_mut() else {
                return;
            };
            if first.len() > count {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.0.pop_front();
        }
    }

    fn has_remaining(&self) -> bool {
        self.0.iter().any(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::wire::{Name, Request, Wait, read_request};

    const LONG: Duration = Duration::from_mins(1);

    fn put(items: Vec<Bytes>) -> Request {
        Request::Put { queue: Name::sought("q"), wait: Wait::No, items }
    }

    #[tokio::test]
    async fn frames_large_and_small_arrive_as_they_were_pushed() {
        let (near, far) = tokio::io::duplex(1000);
        let outbox = Outbox::new();
        let requests: Vec<Request> = (0..50)
            .map(|n| put(vec![vec![n; 10].into(), vec![n; 30_000].into(), vec![n; 3].into()]))
            .collect();
        for (id, request) in requests.iter().enumerate() {
            outbox.push(Frame::request(id as u64, request));
        }
        outbox.close();
        outbox.push(Frame::request(99, &Request::Ping));
        let write = outbox.write_to(near, LONG, LONG, || (), || None);
        let read = async {
            let mut reader = FrameReader::new(far, 1 << 20);
            let mut got = Vec::new();
            while let Some(frame) = reader.next(LONG).await.unwrap() {
                let (id, request) = read_request(frame).unwrap();
                assert_eq!(id as usize, got.len());
                got.push(request.unwrap());
            }
            got
        };
        let (written, got) = tokio::join!(write, read);
        written.unwrap();
        assert_eq!(got, requests, "and nothing that was pushed after closing");
    }

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
    async fn a_silent_stream_and_a_stalled_one_are_errors() {
        let (near, far) = tokio::io::duplex(10);
        let error = FrameReader::new(far, 10).next(LONG).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (near_too, _far) = tokio::io::duplex(10);
        drop(near);
        let outbox = Outbox::new();
        outbox.push(Frame::request(1, &put(vec![vec![0; 100].into()])));
        let error = outbox.write_to(near_too, LONG, LONG, || (), || None).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn room_is_waited_for_until_something_is_written() {
        let outbox = Outbox::new();
        outbox.room().await;
        outbox.push(Frame::request(1, &put(vec![vec![0; 2 << 20].into()])));
        let (near, far) = tokio::io::duplex(1 << 10);
        let mut room = std::pin::pin!(outbox.room());
        let waits = tokio::select! { biased; () = &mut room => false, () = async {} => true };
        assert!(waits);
        let mut reader = FrameReader::new(far, 4 << 20);
        tokio::select! {
            () = room => {}
            _ = outbox.write_to(near, LONG, LONG, || (), || None) => unreachable!("not closed"),
            () = async {
                reader.next(LONG).await.unwrap();
                std::future::pending::<()>().await;
            } => {}
        }
    }
}
