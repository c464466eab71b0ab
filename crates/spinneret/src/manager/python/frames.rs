//! Messages of Python on a stream: a length of 4 bytes, or -1 and one of 8, and a pickle.

use std::{io, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use super::socket::Socket;

/// Room for what is read at once, in bytes. Kept by every idle connection.
const SMALL: usize = 1 << 10;
/// How far ahead of what has arrived memory is taken for a long message, in bytes, at first.
const STEP: usize = 64 << 10;
/// How much is read while a call waits, in bytes: nothing comes then, unless the client was
/// interrupted and goes on with another call.
const AHEAD: usize = 64 << 10;
/// How often to look for the end of a client that has sent more than that.
const LOOK: Duration = Duration::from_secs(1);

/// Reads and writes messages, one at a time.
pub(super) struct Frames<S> {
    pub stream: S,
    /// What has been read of the next message.
    buffer: BytesMut,
    max_frame: usize,
}

impl<S: Socket> Frames<S> {
    /// `start` is what has been read of the first message already.
    pub fn new(stream: S, start: BytesMut, max_frame: usize) -> Self {
        Self { stream, buffer: start, max_frame }
    }

    /// The next message, or `None` at the stream's end between two.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let missing = match self.head()? {
                Some((head, length)) if self.buffer.len() - head >= length => {
                    self.buffer.advance(head);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
                Some((head, length)) => head + length - self.buffer.len(),
                None => 1,
            };
            if self.buffer.is_empty() {
                // What the last message took is not kept for the next one.
                self.buffer = BytesMut::with_capacity(SMALL);
            } else if self.buffer.capacity() - self.buffer.len() < missing {
                // It grows with what has arrived, not with what was announced.
                self.buffer.reserve(missing.min(self.buffer.len().max(STEP)));
            }
            if !self.read().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ended within a message"));
            }
        }
    }

    /// The lengths of the next message's head and body, if the head is there.
    fn head(&self) -> io::Result<Option<(usize, usize)>> {
        let Some((short, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let (head, length) = match i32::from_be_bytes(*short) {
            -1 => match rest.first_chunk::<8>() {
                Some(long) => (12, u64::from_be_bytes(*long)),
                None => return Ok(None),
            },
            short => {
                let length = u64::try_from(short)
                    .map_err(|_| malformed(format!("announced a message of {short} bytes")))?;
                (4, length)
            }
        };
        match usize::try_from(length) {
            Ok(length) if length <= self.max_frame => Ok(Some((head, length))),
            _ => Err(malformed(format!(
                "announced a message of {length} bytes, {} are allowed",
                self.max_frame
            ))),
        }
    }

    /// Reads something; false at the stream's end.
    async fn read(&mut self) -> io::Result<bool> {
        // Only what is in the middle of a message can be held up; with each read it would cost time.
        if !self.buffer.is_empty() {
            self.stream.hasten();
        }
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits until the stream ends or breaks, keeping a little of what arrives until then. Safe to
    /// cancel.
    pub async fn ended(&mut self) {
        while self.buffer.len() < AHEAD {
            if self.buffer.capacity() == self.buffer.len() {
                self.buffer.reserve(SMALL);
            }
            if !matches!(self.read().await, Ok(true)) {
                return;
            }
        }
        // Nothing more is read, so that no event tells of the end.
        while !self.stream.has_hung_up() {
            sleep(LOOK).await;
        }
    }

    /// Writes what [`frame`] made.
    pub async fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await
    }
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, duplex},
        time::timeout,
    };

    use super::*;

    const LIMIT: usize = 1 << 20;

    /// Reads all messages of a stream that arrives in pieces of that size.
    async fn read(bytes: &[u8], piece: usize) -> io::Result<Vec<Bytes>> {
        let (mut near, far) = duplex(piece);
        let mut frames = Frames::new(far, BytesMut::new(), LIMIT);
        let write = async {
            // An error ends the reader before the writer.
            let _ = near.write_all(bytes).await;
            drop(near);
        };
        let read = async {
            let mut read = Vec::new();
            while let Some(message) = frames.next().await? {
                read.push(message);
            }
            drop(frames);
            Ok(read)
        };
        tokio::join!(write, read).1
    }

    #[tokio::test]
    async fn messages_are_read_however_they_are_cut() {
        let long = vec![7; 200_000];
        let short_head = [&200_000_u32.to_be_bytes()[..], &long].concat();
        let long_head = [&[0xff; 4][..], &200_000_u64.to_be_bytes(), &long].concat();
        let small = b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x02xy".to_vec();
        let stream = [b"\0\0\0\x01x", &short_head[..], b"\0\0\0\0", &long_head, &small].concat();
        for piece in [101, 5000, 1 << 21] {
            let read = read(&stream, piece).await.unwrap();
            assert_eq!(read, [b"x", &long[..], b"", &long, b"xy"]);
        }
    }

    #[tokio::test]
    async fn what_was_read_before_is_the_start_of_the_first_message() {
        let (mut near, far) = duplex(100);
        let mut frames = Frames::new(far, BytesMut::from(&b"\0\0\0\x03a"[..]), LIMIT);
        near.write_all(b"bc\0\0\0\x01d").await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap(), "abc");
        assert_eq!(frames.next().await.unwrap().unwrap(), "d");
    }

    #[tokio::test]
    async fn announcements_that_make_no_sense_end_the_connection() {
        for head in [&b"\x80\0\0\0"[..], b"\xff\xff\xff\xfe", b"\x7f\xff\xff\xff", b"\0\x10\0\x01"]
        {
            let error = read(head, 100).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{head:?}");
        }
        let long = [&[0xff; 4][..], &u64::MAX.to_be_bytes()].concat();
        let error = read(&long, 100).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_a_message_is_an_error() {
        for cut in [&b"\0"[..], b"\0\0\0\x02", b"\0\0\0\x02x", b"\xff\xff\xff\xff\0\0"] {
            let error = read(cut, 100).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut:?}");
        }
        assert!(read(b"", 100).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn memory_grows_with_what_arrives_and_not_with_what_is_announced() {
        let (mut near, far) = duplex(100);
        let mut frames = Frames::new(far, BytesMut::new(), usize::MAX);
        near.write_all(b"\x7f\xff\xff\xffabc").await.unwrap();
        let next = timeout(Duration::from_millis(10), frames.next()).await;
        assert!(next.is_err(), "it is not all there");
        assert!(frames.buffer.capacity() < 4 * STEP, "{}", frames.buffer.capacity());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_seen_while_a_call_waits_and_little_is_read_ahead() {
        let (mut near, far) = duplex(1 << 20);
        let mut frames = Frames::new(far, BytesMut::new(), LIMIT);
        near.write_all(b"\0\0\0\x01x").await.unwrap();
        let waits = timeout(Duration::from_secs(1), frames.ended()).await;
        assert!(waits.is_err(), "nothing has ended");
        assert_eq!(frames.next().await.unwrap().unwrap(), "x");
        near.write_all(&vec![0; 1 << 20]).await.unwrap();
        let waits = timeout(Duration::from_secs(1), frames.ended()).await;
        assert!(waits.is_err() && frames.buffer.len() < 4 * AHEAD, "{}", frames.buffer.len());

        let (near, far) = duplex(100);
        let mut frames = Frames::new(far, BytesMut::new(), LIMIT);
        drop(near);
        frames.ended().await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_end_is_seen_though_much_more_was_sent_than_is_read() {
        use tokio::net::{TcpListener, TcpStream};

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let mut frames = Frames::new(far, BytesMut::new(), LIMIT);
        near.write_all(&vec![0; 2 * AHEAD]).await.unwrap();
        let waits = timeout(LOOK / 2, frames.ended()).await;
        assert!(waits.is_err() && frames.buffer.len() >= AHEAD, "{}", frames.buffer.len());
        drop(near);
        frames.ended().await;
    }
}
