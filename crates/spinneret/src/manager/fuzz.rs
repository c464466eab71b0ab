//! What the fuzz targets `handshake`, `python` and `messages` call, and the tests with their seeds.
//! Whatever the input: errors, but no panic, and nothing waits for ever.

use std::sync::Arc;
#[cfg(test)]
use std::{fs, path::Path};

use bytes::{Buf as _, Bytes, BytesMut};
use spinneret_pickle::{Limits, Value};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream, duplex},
    sync::watch,
};

use super::{
    authkey::AuthKey,
    handshake::{self, HandshakeError, Md5},
    hub::Hub,
    python::{self, fuzz},
    runtime::block_on,
    stream::Incoming,
    wire::{self, Frame, Reply, Request},
};

/// More than either end ever has on its way.
const ROOM: usize = 1 << 20;

/// The longest frame in a stream of [`frames`].
const LONGEST: usize = wire::SMALLEST_MAX_FRAME;

/// A stranger's side of the handshake. The first byte says which side that is, and whether the
/// stranger has the key for the first half of it: only then may the handshake succeed.
pub fn handshake(script: &[u8]) {
    let Some((mode, said)) = script.split_first() else { return };
    let (asks, has_key) = (mode & 1 == 1, mode & 2 == 2);
    let key = AuthKey::new("qiye");
    let (mut near, far) = duplex(ROOM);
    let ours = async {
        let proven = if asks {
            handshake::introduce(&mut near, &key, Md5::Allowed).await
        } else {
            handshake::welcome(&mut near, &key, Md5::Allowed).await
        };
        assert!(proven.is_err() || has_key, "who has no key proved it");
        if proven.is_ok() {
            let _ = handshake::first(&mut near).await;
        }
        // Whatever this end still says is of no use.
        drop(near);
    };
    let theirs = async {
        let mut far = far;
        if has_key {
            let half = if asks {
                handshake::challenge(&mut far, &key, Md5::Allowed).await.map(drop)
            } else {
                handshake::answer(&mut far, &key, Md5::Allowed, None).await
            };
            assert!(half.is_ok() || matches!(half, Err(HandshakeError::Io(_))), "{half:?}");
        }
        let _ = far.write_all(said).await;
        let _ = far.shutdown().await;
        far
    };
    block_on(async { tokio::join!(ours, theirs) });
}

/// Calls of Python's objects, one of each kind, by a client of the dialect that the first byte
/// says: which object, which of its methods, how long the
/// pickle of the arguments is, and that pickle; then the next call.
pub fn python(script: &[u8]) {
    let hub = Arc::new(Hub::new(1 << 20));
    let address = ([127, 0, 0, 1], 1).into();
    let server = Arc::new(python::Server::new(&hub, address, 1 << 20, None));
    let Some((dialect, calls)) = script.split_first() else { return };
    let dialect = fuzz::dialect(*dialect);
    let kinds = server.one_of_each(dialect);
    let mut calls = Bytes::copy_from_slice(calls);
    let mut said = fuzz::accept(dialect);
    while calls.remaining() >= 3 {
        let (kind, method) = (usize::from(calls.get_u8()), usize::from(calls.get_u8()));
        let length = usize::from(calls.get_u8()).min(calls.len());
        let (ident, methods) = &kinds[kind % kinds.len()];
        let args = Value::read(&calls.split_to(length), &Limits::default());
        let args = args.unwrap_or_else(|_| Value::tuple([]));
        said.extend(fuzz::request(ident, &methods[method % methods.len()], args, dialect));
    }
    // What is left over is no request, but may look like one.
    said.extend_from_slice(&calls);
    let stop = watch::Sender::new(false);
    let (near, far) = duplex(ROOM);
    let serve = python::serve(server, near, address, BytesMut::new(), stop.subscribe());
    block_on(async { tokio::join!(serve, talk(far, &said)) });
}

/// Says everything and hears everything.
async fn talk(mut far: DuplexStream, said: &[u8]) {
    let (mut read, mut write) = tokio::io::split(&mut far);
    let say = async {
        let _ = write.write_all(said).await;
        let _ = write.shutdown().await;
    };
    let mut nowhere = tokio::io::sink();
    let hear = tokio::io::copy(&mut read, &mut nowhere);
    let _ = tokio::join!(say, hear);
}

/// What a peer of ours says once it is welcome, in pieces as long as the first byte says: frames,
/// which are the same however the stream is cut. Each is read as a request and as a reply,
/// whichever it is, and what can be read can be written, and is then read the same. Returns what
/// was read.
pub fn frames(script: &[u8]) -> (Vec<Request>, Vec<Reply>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    let Some((cut, stream)) = script.split_first() else { return (requests, replies) };
    let read = |cut: usize| {
        let (mut incoming, mut found) = (Incoming::new(LONGEST), Vec::new());
        for piece in stream.chunks(cut) {
            incoming.push(piece);
            loop {
                match incoming.next() {
                    Ok(Some(frame)) => found.push(frame),
                    Ok(None) => break,
                    Err(error) => return (found, Some(error.to_string())),
                }
            }
        }
        (found, incoming.end().err().map(|error| error.to_string()))
    };
    let cut = read(usize::from(*cut) + 1);
    assert_eq!(cut, read(stream.len().max(1)));
    for frame in cut.0 {
        assert!(frame.len() <= LONGEST, "{} bytes", frame.len());
        if let Ok((id, Ok(request))) = wire::read_request(frame.clone()) {
            let written = content(Frame::request(id, &request));
            let again = wire::read_request(written.clone());
            let (_, again) = again.expect("what was written can be read");
            let again = again.expect("what was written makes sense");
            assert_eq!(content(Frame::request(id, &again)), written);
            requests.push(request);
        }
        if let Ok((id, reply)) = wire::read_reply(frame) {
            let written = content(Frame::reply(id, &reply));
            let (_, again) =
                wire::read_reply(written.clone()).expect("what was written can be read");
            assert_eq!(content(Frame::reply(id, &again)), written);
            replies.push(reply);
        }
    }
    (requests, replies)
}

/// A frame's content, without the length before it.
fn content(frame: Frame) -> Bytes {
    let (parts, tail) = frame.into_parts();
    let mut whole: BytesMut = parts.flatten().collect();
    whole.unsplit(tail);
    whole.split_off(4).freeze()
}

/// Calls `target` with each seed that there is for it.
#[cfg(test)]
pub(crate) fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut seeds = 0;
    for seed in fs::read_dir(folder).unwrap() {
        target(&fs::read(seed.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds");
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, mem::discriminant};

    use super::*;

    #[test]
    fn seeds_of_the_handshake_do_no_harm() {
        replay("handshake", handshake);
    }

    /// Seeds that nobody can read any more would try little.
    #[test]
    fn seeds_of_our_frames_are_of_every_kind() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/messages");
        let (mut asked, mut answered) = (HashSet::new(), HashSet::new());
        for seed in fs::read_dir(folder).unwrap() {
            // Behind the byte that says it is a stream of frames.
            let (requests, replies) = frames(&fs::read(seed.unwrap().path()).unwrap()[1..]);
            asked.extend(requests.iter().map(discriminant));
            answered.extend(replies.iter().map(discriminant));
        }
        assert_eq!((asked.len(), answered.len()), (21, 15));
    }

    #[test]
    fn seeds_of_python_do_no_harm() {
        replay("python", python);
    }
}
