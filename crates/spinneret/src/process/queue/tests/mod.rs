//! What a queue promises, tested through its face and its core.

#![allow(clippy::unwrap_used)]

mod face;
mod hostile;
mod leases;
mod processes;
mod ring;

use std::time::Duration;

use serde_bytes::ByteBuf;

use super::core::Core;
use super::terms::{How, Options, Put, Take};
use super::{Batch, Queue};

/// Long enough for anything that is to come; a test that waits for so long has failed.
const SOON: Duration = Duration::from_secs(30);

/// Long enough to see that nothing comes.
const BRIEFLY: Duration = Duration::from_millis(5);

/// The smallest ring, with few slots.
fn options() -> Options {
    Options { memory: 0, max_items: usize::MAX, slots: 4, slot_bytes: 64, large_bytes: 1 << 20 }
}

fn core() -> Core {
    Core::with(&options()).unwrap()
}

/// Another mapping of the same queue: what another process would have.
fn mapped_again(core: &Core) -> Core {
    Core::attach(core.fd().try_clone().unwrap()).unwrap()
}

fn bytes(byte: u8, length: usize) -> ByteBuf {
    ByteBuf::from(vec![byte; length])
}

fn batch(messages: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    for message in messages {
        batch
            .push(false, |bytes| {
                bytes.extend_from_slice(message);
                Ok::<_, ()>(())
            })
            .unwrap();
    }
    batch
}

fn put(core: &Core, message: &[u8]) {
    assert_eq!(core.try_put(&batch(&[message]), 0).unwrap(), Put::Done(1));
}

/// Takes one message, if there is one.
fn take(core: &Core, how: How) -> Option<(Vec<u8>, u32)> {
    let mut out = Batch::default();
    match core.try_take(1, how, &mut out).unwrap() {
        Take::Done(1) => Some((out.get(0).to_vec(), out.slot(0))),
        _ => None,
    }
}

/// The bytes that the queue's file takes.
fn memory(core: &Core) -> u64 {
    u64::try_from(rustix::fs::fstat(core.fd()).unwrap().st_blocks).unwrap() * 512
}
