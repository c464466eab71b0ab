//! Messages on a stream: four bytes of length and four of how many file descriptors belong to the
//! message, both little-endian, then the message.
//!
//! The descriptors of a message travel beside its first byte, so they are there when it is.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::attachment::{self, Descriptor};
use crate::task::LARGEST;

/// What a message adds to the arguments or the result that it carries, generously.
const OVERHEAD: usize = 1 << 20;

/// The most bytes in a message.
const MOST: usize = LARGEST + OVERHEAD;

/// The most bytes in a greeting: some hundred thousand tasks.
const GREETING: usize = 16 << 20;

/// The length of the length and the count.
const PREFIX: usize = 8;

/// The most memory that an empty buffer holds on to.
const KEPT: usize = 1 << 20;

/// A message and the descriptors that belong to it.
pub(crate) type Frame<'a> = (&'a [u8], Vec<Descriptor>);

/// What no peer of ours would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a message of {0} bytes was announced, more than any has: the stream is broken")]
    Length(usize),
    #[error("a message came with {0} file descriptors fewer than announced: the stream is broken")]
    Descriptors(usize),
}

/// Messages on their way out.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(super) bytes: Vec<u8>,
    /// Where in `bytes` a message with descriptors starts, and those; in ascending order.
    pub(super) attached: Vec<(usize, Vec<Arc<Descriptor>>)>,
}

impl Outbox {
    /// Appends a message and the descriptors that belong to it, at most [`attachment::MOST`].
    pub(crate) fn put<T: Serialize>(
        &mut self,
        message: &T,
        fds: Vec<Arc<Descriptor>>,
    ) -> Result<(), String> {
        let out = &mut self.bytes;
        let start = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        let written = rmp_serde::encode::write(out, message).map_err(|error| error.to_string());
        let length = out.len() - start - PREFIX;
        match (written, u32::try_from(length)) {
            (Ok(()), Ok(prefix)) if length <= MOST => {
                out[start..start + 4].copy_from_slice(&prefix.to_le_bytes());
                out[start + 4..start + 8].copy_from_slice(&(fds.len() as u32).to_le_bytes());
                if !fds.is_empty() {
                    self.attached.push((start, fds));
                }
                Ok(())
            }
            (written, _) => {
                out.truncate(start);
                Err(written.err().unwrap_or_else(|| FrameError::Length(length).to_string()))
            }
        }
    }

    /// Forgets all messages.
    #[cfg(not(shared_memory))]
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.attached.clear();
    }
}

/// Collects bytes and descriptors as they come and gives back whole messages.
///
/// It never allocates by an announced length: memory grows only with what has arrived.
pub(crate) struct FrameBuffer {
    /// What has arrived up to `end`, and room behind it.
    bytes: Vec<u8>,
    /// Where the first message that was not taken starts; at most `end`.
    start: usize,
    /// Where what has arrived ends; at most `bytes.len()`.
    end: usize,
    /// The descriptors of messages that were not taken.
    fds: VecDeque<Descriptor>,
    /// The most bytes in a message.
    limit: usize,
}

impl FrameBuffer {
    /// For a stream that begins with a greeting: what speaks another protocol is found out by a
    /// length that no greeting has.
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, fds: VecDeque::new(), limit: GREETING }
    }

    /// The greeting is over: messages may be as long as arguments and results.
    pub(crate) fn greeted(&mut self) {
        self.limit = MOST;
    }

    /// Where to put `more` bytes that arrive, and their descriptors; then say how many came with
    /// [`FrameBuffer::arrived`].
    pub(crate) fn room(&mut self, more: usize) -> (&mut [u8], &mut VecDeque<Descriptor>) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == 0 && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        if self.bytes.len() < self.end + more {
            self.bytes.resize(self.end + more, 0);
        }
        (&mut self.bytes[self.end..self.end + more], &mut self.fds)
    }

    /// How many bytes have arrived and were not taken.
    #[cfg(shared_memory)]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Counts in the bytes that were put where [`FrameBuffer::room`] said.
    pub(crate) fn arrived(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The next whole message, if one has arrived, with its descriptors.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let rest = &self.bytes[self.start..self.end];
        let Some(prefix) = rest.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *prefix;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > self.limit {
            return Err(FrameError::Length(length));
        }
        let end = PREFIX + length;
        let count = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        if count > self.fds.len().min(attachment::MOST) {
            return Err(FrameError::Descriptors(count - self.fds.len().min(attachment::MOST)));
        }
        if rest.len() < end {
            return Ok(None);
        }
        let message = self.start + PREFIX..self.start + end;
        self.start = message.end;
        Ok(Some((&self.bytes[message], self.fds.drain(..count).collect())))
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn arrive(buffer: &mut FrameBuffer, bytes: &[u8]) {
        buffer.room(bytes.len()).0.copy_from_slice(bytes);
        buffer.arrived(bytes.len());
    }

    fn fd() -> OwnedFd {
        std::io::pipe().unwrap().0.into()
    }

    #[test]
    fn messages_come_back_however_the_stream_is_cut() {
        let messages = ["", "a", &"long".repeat(1000)];
        let mut stream = Outbox::default();
        for message in messages {
            stream.put(&message, Vec::new()).unwrap();
        }
        let stream = stream.bytes;
        for cut in [1, 2, 3, 5, 7, 1000, stream.len()] {
            let (mut buffer, mut got) = (FrameBuffer::new(), Vec::new());
            for piece in stream.chunks(cut) {
                arrive(&mut buffer, piece);
                while let Some((frame, fds)) = buffer.next().unwrap() {
                    assert!(fds.is_empty());
                    got.push(rmp_serde::from_slice::<String>(frame).unwrap());
                }
            }
            assert_eq!(got, messages, "in pieces of {cut}");
        }
    }

    #[test]
    fn descriptors_go_to_the_messages_they_belong_to() {
        let mut out = Outbox::default();
        for count in [0, 2, 1] {
            out.put(&count, (0..count).map(|_| Arc::new(fd())).collect()).unwrap();
        }
        let mut buffer = FrameBuffer::new();
        buffer.room(0).1.extend([fd(), fd(), fd()]);
        arrive(&mut buffer, &out.bytes);
        for count in [0, 2, 1] {
            let (_, fds) = buffer.next().unwrap().unwrap();
            assert_eq!(fds.len(), count);
        }
    }

    #[test]
    fn descriptors_that_did_not_come_are_an_error() {
        let mut out = Outbox::default();
        out.put(&0, vec![Arc::new(fd()), Arc::new(fd())]).unwrap();
        let mut buffer = FrameBuffer::new();
        buffer.room(0).1.push_back(fd());
        arrive(&mut buffer, &out.bytes);
        assert_eq!(buffer.next().unwrap_err(), FrameError::Descriptors(1));
    }

    #[test]
    fn an_absurd_length_is_refused_before_anything_is_allocated() {
        let mut buffer = FrameBuffer::new();
        arrive(&mut buffer, &[0xff; 8]);
        assert_eq!(buffer.next().unwrap_err(), FrameError::Length(u32::MAX as usize));
        assert!(buffer.bytes.capacity() < 1024);
    }

    #[test]
    fn a_greeting_is_short_and_what_follows_may_be_long() {
        let mut buffer = FrameBuffer::new();
        arrive(&mut buffer, b"GET \0\0\0\0");
        assert!(buffer.next().is_err());
        buffer.greeted();
        assert!(buffer.next().unwrap().is_none());
    }

    #[test]
    fn half_a_message_is_none_yet() {
        let mut buffer = FrameBuffer::new();
        for byte in [4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3] {
            arrive(&mut buffer, &[byte]);
            assert!(buffer.next().unwrap().is_none());
        }
        arrive(&mut buffer, &[4, 9]);
        assert_eq!(buffer.next().unwrap().unwrap().0, &[1, 2, 3, 4]);
        assert!(buffer.next().unwrap().is_none());
        arrive(&mut buffer, &[0, 0, 0]);
        assert!(buffer.next().unwrap().is_none());
    }

    #[test]
    fn garbage_is_no_more_than_an_error() {
        // A generator of our own (xorshift), so that a failure comes again.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2000 {
            let mut buffer = FrameBuffer::new();
            for _ in 0..random() % 8 {
                // Mostly small numbers, which look more like lengths.
                let bytes: Vec<u8> = (0..random() % 64)
                    .map(|_| if random() % 4 == 0 { random() as u8 } else { (random() % 3) as u8 })
                    .collect();
                arrive(&mut buffer, &bytes);
                while let Ok(Some((frame, fds))) = buffer.next() {
                    assert!(fds.is_empty() && frame.len() <= 512);
                }
            }
        }
    }
}
