//! What is to be written on a connection: many callers push frames, one at a time writes them.
//!
//! Pushing never waits, so that it may be done anywhere; whoever takes in work for a connection
//! looks for [`room`](Outbox::room) first. Everything that was pushed meanwhile goes out in one
//! write. Usually a task does that ([`Outbox::write_to`]); where a caller may use the socket
//! itself, it writes at once ([`Outbox::write_now`]) and leaves to the task only what the socket
//! does not take.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    time::{Sleep, sleep},
};

use super::{stream::Watchdog, wire::Frame};

/// Bytes waiting to be written above which no more requests of the connection are taken.
const HIGH_WATER: usize = 1 << 20;
/// Pieces that are handed to the socket at a time.
const PIECES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Something for the task to write, or the end.
    filled: Notify,
    /// Room again, or the end.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Full parts, then `tail`.
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes pushed and not yet written, those in a writer's hands included.
    unwritten: usize,
    /// Somebody has taken what was there, and looks again before it stops.
    writing: bool,
    /// Nothing more is pushed; what is there is written yet.
    closed: bool,
    /// Nothing more is written.
    broken: bool,
}

impl State {
    /// Everything that is to be written.
    fn take(&mut self) -> VecDeque<Bytes> {
        let mut parts = std::mem::take(&mut self.parts);
        if !self.tail.is_empty() {
            parts.push_back(std::mem::take(&mut self.tail).freeze());
        }
        parts
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tail.is_empty()
    }
}

impl Outbox {
    pub fn new() -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), drained: Notify::new() }
    }

    /// Queues a frame for the task that writes, or drops it when the connection ends anyway.
    pub fn push(&self, frame: Frame) {
        self.push_quietly(frame);
        self.filled.notify_one();
    }

    /// Queues a frame for whoever writes next. The caller makes sure that somebody does.
    pub fn push_quietly(&self, frame: Frame) {
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
        if state.tail.is_empty() {
            state.tail = tail;
        } else {
            state.tail.extend_from_slice(&tail);
        }
    }

    /// Makes the task that writes look.
    #[cfg(unix)]
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// Whether no more than a fair amount is unwritten, or nothing is written any more.
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.unwritten <= HIGH_WATER || state.broken
    }

    /// Waits for that.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.has_room() {
                return;
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
        state.take();
        drop(state);
        self.drained.notify_waiters();
        self.filled.notify_one();
    }

    /// Everything that is to be written now, unless there is nothing or somebody else writes.
    fn take(&self) -> Option<Writing<'_>> {
        let mut state = self.state.lock();
        if state.writing || state.is_empty() {
            return None;
        }
        state.writing = true;
        let parts = Parts(state.take());
        Some(Writing { outbox: self, parts, over: false })
    }

    /// Writes what is there by a call that does not wait, for as long as it takes something; the
    /// rest is the task's. Calls `progress` whenever it took something.
    #[cfg(unix)]
    pub fn write_now(
        &self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
        progress: impl Fn(),
    ) -> io::Result<()> {
        let Some(mut writing) = self.take() else {
            return Ok(());
        };
        loop {
            let written = {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let count = writing.parts.chunks_vectored(&mut pieces);
                write(&pieces[..count])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => writing.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            progress();
            if !writing.has_more() {
                return Ok(());
            }
        }
    }

    /// Writes what is pushed until the outbox is closed and empty, then ends the stream. If the
    /// future is dropped, what it has not written is there for the next.
    ///
    /// Calls `progress` whenever the stream took some of it. After `idle` with nothing to write,
    /// writes what `beat` makes, if any, which is no progress. Fails if the stream takes nothing for `stall`.
    pub async fn write_to<W: AsyncWrite + Unpin>(
        &self,
        mut stream: W,
        stall: Duration,
        idle: Duration,
        progress: impl Fn(),
        beat: impl Fn() -> Option<Frame>,
    ) -> io::Result<()> {
        let mut idle = Watchdog::new(idle);
        let mut beats = false;
        loop {
            let mut writing = match self.next(&mut idle).await {
                Next::Write(writing) => writing,
                Next::End => break,
                Next::Idle => {
                    if let Some(beat) = beat() {
                        self.push_quietly(beat);
                        beats = true;
                    }
                    continue;
                }
            };
            loop {
                let write = write_some(&mut stream, &mut writing);
                if patiently(stall, write).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                if !beats {
                    progress();
                }
                if !writing.has_more() {
                    break;
                }
            }
            beats = false;
            patiently(stall, stream.flush()).await?;
            idle.touch();
        }
        patiently(stall, stream.shutdown()).await
    }

    /// What the writing task is to do next. Looks whenever it is polled, so that the task may have
    /// pushed quietly.
    async fn next(&self, idle: &mut Watchdog) -> Next<'_> {
        let mut filled = pin!(self.filled.notified());
        poll_fn(|context| {
            loop {
                if let Some(writing) = self.take() {
                    return Poll::Ready(Next::Write(writing));
                }
                let state = self.state.lock();
                if state.broken || state.closed && state.is_empty() && !state.writing {
                    return Poll::Ready(Next::End);
                }
                drop(state);
                if filled.as_mut().poll(context).is_pending() {
                    return idle.poll_bark(context).map(|()| Next::Idle);
                }
                filled.set(self.filled.notified());
            }
        })
        .await
    }
}

enum Next<'a> {
    Write(Writing<'a>),
    /// Nothing was to be written for a while.
    Idle,
    /// Nothing more is to be written.
    End,
}

/// What somebody is writing. What is left of it when it is dropped comes first for the next.
struct Writing<'a> {
    outbox: &'a Outbox,
    parts: Parts,
    /// There was nothing more, so that somebody else may write by now.
    over: bool,
}

impl Writing<'_> {
    fn advance(&mut self, written: usize) {
        self.parts.advance(written);
        let mut state = self.outbox.state.lock();
        let before = state.unwritten;
        state.unwritten = before.saturating_sub(written);
        let crossed = before > HIGH_WATER && state.unwritten <= HIGH_WATER;
        drop(state);
        if crossed {
            self.outbox.drained.notify_waiters();
        }
    }

    /// Whether there is more to write, what was pushed meanwhile included.
    fn has_more(&mut self) -> bool {
        if self.parts.has_remaining() {
            return true;
        }
        let mut state = self.outbox.state.lock();
        self.parts = Parts(state.take());
        if self.parts.has_remaining() {
            return true;
        }
        self.over = true;
        state.writing = false;
        let ends = state.closed || state.broken;
        drop(state);
        if ends {
            self.outbox.filled.notify_one();
        }
        false
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut state = self.outbox.state.lock();
        state.writing = false;
        if !state.broken {
            for part in self.parts.0.drain(..).rev() {
                state.parts.push_front(part);
            }
        }
        drop(state);
        // What is left is the task's, and so is the end.
        self.outbox.filled.notify_one();
    }
}

/// Writes some of it.
async fn write_some<W: AsyncWrite + Unpin>(
    stream: &mut W,
    writing: &mut Writing<'_>,
) -> io::Result<usize> {
    let written = {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = writing.parts.chunks_vectored(&mut pieces);
        match &pieces[..count] {
            [piece] => stream.write(piece).await?,
            pieces => stream.write_vectored(pieces).await?,
        }
    };
    writing.advance(written);
    Ok(written)
}

/// Fails if it takes longer than that. Has no timer for what is done at once.
async fn patiently<T>(
    stall: Duration,
    write: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut write = pin!(write);
    let mut late: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if let Poll::Ready(done) = write.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        let late = late.get_or_insert_with(|| Box::pin(sleep(stall)));
        late.as_mut()
            .poll(context)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the other end reads nothing")))
    })
    .await
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

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let parts = self.0.iter().filter(|part| !part.is_empty());
        into.iter_mut().zip(parts).map(|(slot, part)| *slot = IoSlice::new(part)).count()
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
mod tests;
