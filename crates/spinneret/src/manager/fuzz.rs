//! What the fuzz targets `handshake` and `python` call, and the tests with the seeds of those.
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
};

/// More than either end ever has on its way.
const ROOM: usize = 1 << 20;

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

/// Calls `target` with each seed that there is for it.
#[cfg(test)]
fn replay(name: &str, target: fn(&[u8])) {
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
    use super::*;

    #[test]
    fn seeds_of_the_handshake_do_no_harm() {
        replay("handshake", handshake);
    }

    #[test]
    fn seeds_of_python_do_no_harm() {
        replay("python", python);
    }
}
