//! One connection to a server that speaks Python's protocol: frames out, frames in.

use std::{fmt, io};

use bytes::{Buf, Bytes, BytesMut};
use spinneret_pickle::{Dialect, Value, WriteError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::manager::python::socket::Socket;

/// How much is read at a time at least, in bytes.
const READ_SIZE: usize = 16 << 10;
/// A buffer that grew beyond this is given up when its message is read, in bytes.
const KEPT: usize = 64 << 10;
/// Room before a message for the longest head.
const LONGEST_HEAD: usize = 12;
/// The longest message with a head of four bytes. Python before 3.8 reads no longer ones.
const LONGEST_PLAIN: usize = 0x7fff_ffff;

/// See the module. After the proof of the key it is a matter of requests and answers, in turn.
pub(crate) struct Connection {
    stream: Box<dyn Socket + Sync>,
    /// What has arrived of the next answer.
    buffer: BytesMut,
    state: State,
}

/// How far the exchange is. It says what a call that is dropped leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Ready for a request.
    Idle,
    /// A part of a request may be written: only closing helps.
    Writing,
    /// The request is written, and its answer is to come.
    Waiting,
}

impl Connection {
    pub fn new(stream: Box<dyn Socket + Sync>) -> Self {
        stream.keep_alive();
        Self { stream, buffer: BytesMut::new(), state: State::Idle }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Sends a request and waits for its answer.
    pub async fn ask(&mut self, request: &Frame) -> io::Result<Bytes> {
        self.state = State::Writing;
        self.stream.write_all(request.bytes()).await?;
        self.stream.flush().await?;
        self.state = State::Waiting;
        self.answer().await
    }

    /// Waits for the answer to the request that was sent. Safe to cancel.
    pub async fn answer(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(message) = self.buffered()? {
                self.state = State::Idle;
                return Ok(message);
            }
            // Memory grows with what has arrived, not with what is announced.
            self.buffer.reserve(READ_SIZE.max(self.buffer.len()));
            self.stream.hasten();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether a request can be sent, as far as is known.
    pub fn is_usable(&self) -> bool {
        self.state == State::Idle && self.buffer.is_empty() && !self.stream.has_ended()
    }

    fn buffered(&mut self) -> io::Result<Option<Bytes>> {
        let Some((head, length)) = head(&self.buffer)? else {
            return Ok(None);
        };
        if ((self.buffer.len() - head) as u64) < length {
            return Ok(None);
        }
        self.buffer.advance(head);
        // As many bytes are there, so that the number fits.
        let message = self.buffer.split_to(length as usize).freeze();
        if self.buffer.is_empty() && message.len() > KEPT {
            self.buffer = BytesMut::new();
        }
        Ok(Some(message))
    }
}

/// The length of a message's head and what it announces, once it is there.
fn head(bytes: &[u8]) -> io::Result<Option<(usize, u64)>> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    match i32::from_be_bytes(*head) {
        -1 => Ok(rest.first_chunk::<8>().map(|length| (12, u64::from_be_bytes(*length)))),
        length => u64::try_from(length).map(|length| Some((4, length))).map_err(|_| {
            let text = format!("announced a message of {length} bytes");
            io::Error::new(io::ErrorKind::InvalidData, text)
        }),
    }
}

/// A message with its head, so that one write sends both: a second one would wait for the first to
/// be acknowledged, some 40 ms.
pub(crate) struct Frame {
    bytes: Vec<u8>,
    start: usize,
}

impl Frame {
    /// A value as a message.
    pub fn new(value: &Value, dialect: Dialect) -> Result<Self, FrameError> {
        let mut bytes = vec![0; LONGEST_HEAD];
        value.write_to(&mut bytes, dialect).map_err(FrameError::Unwritable)?;
        let length = bytes.len() - LONGEST_HEAD;
        let start = if length <= LONGEST_PLAIN {
            // Fits, as was just seen.
            bytes[8..LONGEST_HEAD].copy_from_slice(&(length as u32).to_be_bytes());
            8
        } else if dialect == Dialect::Python38 {
            bytes[..4].copy_from_slice(&(-1_i32).to_be_bytes());
            bytes[4..LONGEST_HEAD].copy_from_slice(&(length as u64).to_be_bytes());
            0
        } else {
            return Err(FrameError::TooLong { size: length, limit: LONGEST_PLAIN });
        };
        Ok(Self { bytes, start })
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Why a value cannot be sent.
pub(crate) enum FrameError {
    Unwritable(WriteError),
    TooLong { size: usize, limit: usize },
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn frame(length: usize, dialect: Dialect) -> Vec<u8> {
        let value = Value::bytes(vec![7; length]);
        Frame::new(&value, dialect).ok().unwrap().bytes().to_vec()
    }

    #[test]
    fn a_frame_is_its_length_and_its_pickle() {
        for dialect in [Dialect::Python2, Dialect::Python3, Dialect::Python38] {
            let bytes = frame(300, dialect);
            let pickle = Value::bytes(vec![7; 300]).write(dialect).unwrap();
            assert_eq!(head(&bytes).unwrap(), Some((4, pickle.len() as u64)));
            assert_eq!(bytes[4..], pickle);
        }
    }

    #[test]
    fn heads_are_short_or_long_and_never_negative() {
        assert_eq!(head(&[0, 0, 1]).unwrap(), None);
        assert_eq!(head(&[0, 0, 1, 2, 9]).unwrap(), Some((4, 258)));
        assert_eq!(head(&[0x7f, 255, 255, 255]).unwrap(), Some((4, 0x7fff_ffff)));
        assert_eq!(head(&[255; 11]).unwrap(), None);
        let mut long = vec![255; 4];
        long.extend((5_u64 << 32).to_be_bytes());
        assert_eq!(head(&long).unwrap(), Some((12, 5 << 32)));
        for negative in [-2, i32::MIN] {
            assert!(head(&negative.to_be_bytes()).is_err());
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_in_pieces_and_a_silent_connection_is_usable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut connection = Connection::new(Box::new(near));
        assert!(connection.is_usable());

        let request = Frame::new(&Value::none(), Dialect::Python3).ok().unwrap();
        let server = async {
            let mut asked = vec![0; request.bytes().len()];
            far.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, request.bytes());
            for byte in b"\0\0\0\x05hello" {
                far.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (answer, ()) = tokio::join!(connection.ask(&request), server);
        assert_eq!(answer.unwrap(), "hello");
        assert!(connection.is_usable());

        drop(far);
        while connection.is_usable() {
            tokio::task::yield_now().await;
        }
        let error = connection.ask(&request).await.unwrap_err();
        assert_ne!(connection.state(), State::Idle, "{error}");
    }
}
