//! Messages on a stream: four bytes of length, little-endian, then the message.

use serde::Serialize;

use crate::task::LARGEST;

/// What a message adds to the arguments or the result that it carries, generously.
const OVERHEAD: usize = 1 << 20;

/// The most bytes in a message.
const MOST: usize = LARGEST + OVERHEAD;

/// The most bytes in a greeting: some hundred thousand tasks.
const GREETING: usize = 16 << 20;

/// The length of the length.
const PREFIX: usize = 4;

/// The most memory that an empty buffer holds on to.
const KEPT: usize = 1 << 20;

/// A length that no peer of ours would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes was announced, more than any has: the stream is broken")]
pub(crate) struct FrameError(usize);

/// Appends a message to `out`.
pub(crate) fn put<T: Serialize>(out: &mut Vec<u8>, message: &T) -> Result<(), String> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    let written = rmp_serde::encode::write(out, message).map_err(|error| error.to_string());
    let length = out.len() - start - PREFIX;
    match (written, u32::try_from(length)) {
        (Ok(()), Ok(prefix)) if length <= MOST => {
            out[start..start + PREFIX].copy_from_slice(&prefix.to_le_bytes());
            Ok(())
        }
        (written, _) => {
            out.truncate(start);
            Err(written.err().unwrap_or_else(|| FrameError(length).to_string()))
        }
    }
}

/// Collects bytes as they come and gives back whole messages.
///
/// It never allocates by an announced length: memory grows only with what has arrived.
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where the first message that was not taken starts; at most `bytes.len()`.
    start: usize,
    /// The most bytes in a message.
    limit: usize,
}

impl FrameBuffer {
    /// For a stream that begins with a greeting: what speaks another protocol is found out by a
    /// length that no greeting has.
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, limit: GREETING }
    }

    /// The greeting is over: messages may be as long as arguments and results.
    pub(crate) fn greeted(&mut self) {
        self.limit = MOST;
    }

    /// Where to append bytes that arrive, with room for `more` of them.
    pub(crate) fn room(&mut self, more: usize) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.reserve(more);
        &mut self.bytes
    }

    /// The next whole message, if one has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some(prefix) = rest.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > self.limit {
            return Err(FrameError(length));
        }
        let end = PREFIX + length;
        if rest.len() < end {
            return Ok(None);
        }
        let message = self.start + PREFIX..self.start + end;
        self.start = message.end;
        Ok(Some(&self.bytes[message]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_however_the_stream_is_cut() {
        let messages = ["", "a", &"long".repeat(1000)];
        let mut stream = Vec::new();
        for message in messages {
            put(&mut stream, &message).unwrap();
        }
        for cut in [1, 2, 3, 5, 7, 1000, stream.len()] {
            let (mut buffer, mut got) = (FrameBuffer::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.room(piece.len()).extend_from_slice(piece);
                while let Some(frame) = buffer.next().unwrap() {
                    got.push(rmp_serde::from_slice::<String>(frame).unwrap());
                }
            }
            assert_eq!(got, messages, "in pieces of {cut}");
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_anything_is_allocated() {
        let mut buffer = FrameBuffer::new();
        buffer.room(8).extend_from_slice(&[0xff; 8]);
        assert_eq!(buffer.next(), Err(FrameError(u32::MAX as usize)));
        assert!(buffer.bytes.capacity() < 1024);
    }

    #[test]
    fn a_greeting_is_short_and_what_follows_may_be_long() {
        let mut buffer = FrameBuffer::new();
        buffer.room(4).extend_from_slice(b"GET ");
        assert!(buffer.next().is_err());
        buffer.greeted();
        assert_eq!(buffer.next(), Ok(None));
    }

    #[test]
    fn half_a_message_is_none_yet() {
        let mut buffer = FrameBuffer::new();
        for byte in [4, 0, 0, 0, 1, 2, 3] {
            buffer.room(1).push(byte);
            assert_eq!(buffer.next(), Ok(None));
        }
        buffer.room(2).extend_from_slice(&[4, 9]);
        assert_eq!(buffer.next(), Ok(Some(&[1, 2, 3, 4][..])));
        assert_eq!(buffer.next(), Ok(None));
        buffer.room(3).extend_from_slice(&[0, 0, 0]);
        assert_eq!(buffer.next(), Ok(None));
    }
}
