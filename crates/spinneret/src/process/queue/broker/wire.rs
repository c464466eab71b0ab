//! What a process and the broker say to each other: a request, then its reply.

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<'a> {
    /// The connection stands for its process: when it ends, so do the leases of the number in the
    /// reply.
    Enter,
    /// Messages, and whether they are not to be taken along with others.
    Put(#[serde(borrow)] Vec<(&'a Bytes, bool)>),
    Take {
        most: u64,
        lease: bool,
        owner: u32,
    },
    Acknowledge {
        lease: u32,
        owner: u32,
    },
    Release {
        lease: u32,
        owner: u32,
    },
    TaskDone,
    Close,
    IsClosed,
    Len,
    Wait {
        until: Until,
        milliseconds: u64,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Until {
    /// Something to take, for this owner.
    Items(u32),
    /// The same, and a lease to be had.
    Lease(u32),
    /// Space for a message so long.
    Space(u64),
    /// All work done.
    Idle,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply<'a> {
    Owner(u32),
    Put(u64),
    Taken(#[serde(borrow)] Vec<Item<'a>>),
    Closed,
    /// Whether it is so, or was done.
    Is(bool),
    Len(u64),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) bytes: &'a Bytes,
    /// The number of its lease; 0 if it has none.
    pub(super) lease: u32,
    pub(super) deliveries: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_and_changed_messages_never_panic() {
        let bytes = Bytes::new(b"abc");
        let requests = [
            Request::Enter,
            Request::Put(vec![(bytes, false), (bytes, true)]),
            Request::Take { most: 3, lease: true, owner: 7 },
            Request::Wait { until: Until::Space(9), milliseconds: 5 },
        ];
        let replies =
            [Reply::Taken(vec![Item { bytes, lease: 1, deliveries: 2 }]), Reply::Is(true)];
        let mut messages: Vec<_> =
            requests.iter().map(|request| rmp_serde::to_vec(request).unwrap()).collect();
        messages.extend(replies.iter().map(|reply| rmp_serde::to_vec(reply).unwrap()));
        for message in messages {
            for at in 0..message.len() {
                for byte in 0..=255 {
                    let mut changed = message.clone();
                    changed[at] = byte;
                    for bytes in [&changed[..], &changed[at..], &message[..at]] {
                        let _ = rmp_serde::from_slice::<Request<'_>>(bytes);
                        let _ = rmp_serde::from_slice::<Reply<'_>>(bytes);
                    }
                }
            }
        }
    }
}
