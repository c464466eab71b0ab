//! What the fuzz targets in `fuzz/` call; there only under `cargo fuzz` and in tests. Whatever the
//! input: errors, but no panic.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::process::{FrameBuffer, Hello, Launch, Queue, Refusal, attachment, queue};

/// Damages a queue's memory, and uses it, as the script says.
pub fn queue_memory(script: &[u8]) {
    queue::hostile::play(script);
}

/// Decodes the input as what its first byte says.
pub fn messages(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 7 {
        0 => crate::pool::read_anything(bytes),
        1 => greetings(bytes),
        2 => frames(bytes),
        3 => values(bytes),
        4 => descriptors(bytes),
        5 => crate::manager::read_anything(Bytes::copy_from_slice(bytes)),
        _ => drop(crate::manager::fuzz::frames(bytes)),
    }
}

/// A handshake with somebody who is up to something.
pub fn handshake(script: &[u8]) {
    crate::manager::fuzz::handshake(script);
}

/// A connection of Python that calls whatever there is.
pub fn python(script: &[u8]) {
    crate::manager::fuzz::python(script);
}

fn greetings(bytes: &[u8]) {
    if let Ok(hello) = rmp_serde::from_slice::<Hello>(bytes) {
        let ours = Hello::ours();
        // Its first line of defence is the build, which no input guesses.
        assert!(ours.check(&hello).is_err() || hello == ours);
        let _ = hello.check(&ours);
    }
    if let Ok(launch) = rmp_serde::from_slice::<Launch<'_>>(bytes) {
        let _ = launch.program.check(&launch.program);
    }
    let _ = rmp_serde::from_slice::<Refusal>(bytes);
}

/// The messages of a stream, which are the same however it is cut.
fn frames(bytes: &[u8]) {
    let [fds, cut, stream @ ..] = bytes else { return };
    let read = |cut: usize| {
        let mut buffer = FrameBuffer::new();
        if fds % 2 == 1 {
            buffer.greeted();
        }
        buffer.room(0).1.extend((0..fds % 8).map_while(|_| null().ok()));
        let mut found = Vec::new();
        for piece in stream.chunks(cut) {
            buffer.room(piece.len()).0.copy_from_slice(piece);
            buffer.arrived(piece.len());
            loop {
                match buffer.next() {
                    Ok(Some((frame, fds))) => found.push((frame.to_vec(), fds.len())),
                    Ok(None) => break,
                    Err(error) => return (found, Some(error)),
                }
            }
        }
        (found, None)
    };
    assert_eq!(read(usize::from(*cut) + 1), read(stream.len().max(1)));
}

/// Of every kind that a value can be of, and nested.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Nothing,
    Flag(bool),
    Number(i64),
    Letter(char),
    Text(String),
    #[serde(with = "serde_bytes")]
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Maybe(Option<Box<Value>>),
    Fields {
        key: u128,
        value: Box<Value>,
    },
}

/// What users put into queues and send to tasks.
fn values(bytes: &[u8]) {
    fn decode<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        if let Ok(value) = attachment::decode::<T>(bytes, Vec::new()) {
            let (again, _) = attachment::encode(&value).expect("what was decoded can be encoded");
            let again = attachment::decode::<T>(&again, Vec::new());
            assert_eq!(again.expect("what was encoded can be decoded"), value);
        }
    }
    decode::<String>(bytes);
    decode::<(u64, Option<String>, Vec<u8>)>(bytes);
    decode::<std::collections::BTreeMap<String, Vec<i32>>>(bytes);
    decode::<Value>(bytes);
}

/// Values that hold descriptors, with descriptors that may be others than they say.
fn descriptors(bytes: &[u8]) {
    type Shared = (crate::shared::Value<u32>, crate::shared::Array<u64>);
    type Links = Vec<Option<crate::pipe::Connection<u8, u8>>>;

    let queue = || -> io::Result<OwnedFd> {
        let queue = Queue::<u8>::new(1).map_err(io::Error::other)?;
        let (_, fds) = attachment::encode(&queue).map_err(io::Error::other)?;
        fds.first().ok_or(io::ErrorKind::NotFound)?.try_clone()
    };
    let fds = || [null(), queue(), null()].into_iter().filter_map(Result::ok).collect();
    let _ = attachment::decode::<Vec<Option<Queue<String>>>>(bytes, fds());
    let _ = attachment::decode::<Shared>(bytes, fds());
    let _ = attachment::decode::<Links>(bytes, fds());
    let _ = attachment::decode::<Vec<crate::process::sync::Semaphore>>(bytes, fds());
}

fn null() -> io::Result<OwnedFd> {
    File::open("/dev/null").map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_messages_do_no_harm() {
        crate::manager::fuzz::replay("messages", messages);
    }
}
