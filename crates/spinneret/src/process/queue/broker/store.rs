//! The queue as a plain state, under the lock of its [`Desk`](super::desk::Desk).

use std::collections::{BTreeMap, HashMap};

use crate::process::queue::terms::{Options, Put, Take};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// In the order in which they were put.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// Whether it is not to be taken along with others.
    pub(super) alone: bool,
    /// How many leases of it ended by a death.
    pub(super) deliveries: u32,
}

/// A message that was taken, and the number of its lease if it was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) message: Message,
    pub(super) lease: Option<u32>,
}

#[derive(Debug)]
struct Leased {
    message: Message,
    owner: u32,
}

#[derive(Debug)]
pub(super) struct Store {
    options: Options,
    /// By number: what was put first is taken first, also when it came back.
    waiting: BTreeMap<u64, Message>,
    /// By the lease's number.
    leases: HashMap<u32, Leased>,
    /// How many messages were ever put; the number of the next.
    put: u64,
    /// For how many the work is done.
    done: u64,
    next_lease: u32,
    next_owner: u32,
    /// Bytes of small messages that wait.
    small: usize,
    /// Bytes of large messages that wait or are leased.
    large: u64,
    closed: bool,
}

/// A message beyond so many bytes is large, or beyond a share of the memory.
const SMALL: usize = 64 * 1024;
const SHARE: usize = 8;

/// What a message costs beside its bytes, as far as the memory that was set aside is concerned.
const PREFIX: usize = 8;

/// A batch that was taken is not extended beyond so many bytes.
const TAKE_BYTES: usize = 512 * 1024;

/// The owner that has no leases.
pub(super) const NOBODY: u32 = 0;

impl Store {
    pub(super) fn new(options: &Options) -> Self {
        let mut options = options.clone();
        options.memory = options.memory.clamp(64 << 10, 1 << 30).next_power_of_two();
        options.max_items = options.max_items.max(1);
        Self {
            options,
            waiting: BTreeMap::new(),
            leases: HashMap::new(),
            put: 0,
            done: 0,
            next_lease: 0,
            next_owner: NOBODY,
            small: 0,
            large: 0,
            closed: false,
        }
    }

    /// A number for one who leases.
    pub(super) fn enter(&mut self) -> u32 {
        self.next_owner = self.next_owner.wrapping_add(1).max(NOBODY + 1);
        self.next_owner
    }

    /// The most bytes of a small message.
    fn small_most(&self) -> usize {
        SMALL.min(self.options.memory / SHARE)
    }

    fn is_large(&self, length: usize) -> bool {
        length > self.small_most()
    }

    /// Whether there is space for a message of `length` bytes.
    pub(super) fn has_space(&self, length: usize) -> bool {
        self.waiting.len() < self.options.max_items
            && if self.is_large(length) {
                self.large == 0 || self.large + length as u64 <= self.options.large_bytes
            } else {
                self.small + PREFIX + length <= self.options.memory
            }
    }

    /// Puts as many of the messages as there is space for.
    pub(super) fn put<'a>(&mut self, messages: impl Iterator<Item = (&'a [u8], bool)>) -> Put {
        if self.closed {
            return Put::Closed;
        }
        let mut count = 0;
        for (bytes, alone) in messages {
            if !self.has_space(bytes.len()) {
                break;
            }
            if self.is_large(bytes.len()) {
                self.large += bytes.len() as u64;
            }
            let message = Message { number: self.put, bytes: bytes.to_vec(), alone, deliveries: 0 };
            self.put += 1;
            self.insert(message);
            count += 1;
        }
        Put::Done(count)
    }

    fn insert(&mut self, message: Message) {
        if !self.is_large(message.bytes.len()) {
            self.small += PREFIX + message.bytes.len();
        }
        self.waiting.insert(message.number, message);
    }

    /// Takes up to `most` messages: for good, or leased to an owner.
    pub(super) fn take(&mut self, most: usize, lessee: Option<u32>, out: &mut Vec<Taken>) -> Take {
        let (small_most, mut count, mut bytes) = (self.small_most(), 0, 0);
        while count < most {
            if lessee.is_some() && !self.can_lease() {
                break;
            }
            let Some(first) = self.waiting.first_entry() else { break };
            let large = first.get().bytes.len() > small_most;
            let alone = first.get().alone || large;
            if count > 0 && (alone || bytes >= TAKE_BYTES) {
                break;
            }
            let message = first.remove();
            bytes += message.bytes.len();
            if !large {
                self.small -= PREFIX + message.bytes.len();
            }
            let lease = lessee.map(|owner| {
                let lease = self.new_lease();
                self.leases.insert(lease, Leased { message: message.clone(), owner });
                lease
            });
            if large && lease.is_none() {
                self.large -= message.bytes.len() as u64;
            }
            out.push(Taken { message, lease });
            count += 1;
            if alone {
                break;
            }
        }
        Take::Done(count)
    }

    fn new_lease(&mut self) -> u32 {
        loop {
            self.next_lease = self.next_lease.wrapping_add(1);
            if !self.leases.contains_key(&self.next_lease) {
                return self.next_lease;
            }
        }
    }

    /// Takes back what was taken a moment ago and could not be handed over.
    pub(super) fn untake(&mut self, taken: Taken) {
        if let Some(lease) = taken.lease {
            if self.leases.remove(&lease).is_none() {
                // Its owner was buried first, by which it came back.
                return;
            }
        } else if self.is_large(taken.message.bytes.len()) {
            self.large += taken.message.bytes.len() as u64;
        }
        self.insert(taken.message);
    }

    /// Whether nothing is there, and nothing can come any more but from `owner` itself.
    pub(super) fn is_drained(&self, owner: u32) -> bool {
        self.closed
            && self.waiting.is_empty()
            && self.leases.values().all(|leased| leased.owner == owner)
    }

    /// Whether there can be one more lease.
    pub(super) fn can_lease(&self) -> bool {
        self.leases.len() < self.options.slots
    }

    /// The work of a lease is done; `false` if it is not the owner's.
    pub(super) fn acknowledge(&mut self, lease: u32, owner: u32) -> bool {
        let Some(message) = self.end_lease(lease, owner) else { return false };
        if self.is_large(message.bytes.len()) {
            self.large -= message.bytes.len() as u64;
        }
        self.done += 1;
        true
    }

    /// The message of a lease comes back; `false` if it is not the owner's.
    pub(super) fn release(&mut self, lease: u32, owner: u32) -> bool {
        let message = self.end_lease(lease, owner);
        message.map(|message| self.insert(message)).is_some()
    }

    fn end_lease(&mut self, lease: u32, owner: u32) -> Option<Message> {
        if self.leases.get(&lease)?.owner != owner {
            return None;
        }
        self.leases.remove(&lease).map(|leased| leased.message)
    }

    /// An owner died: what it had leased comes back; says how many.
    pub(super) fn bury(&mut self, owner: u32) -> usize {
        let (lost, rest) = std::mem::take(&mut self.leases)
            .into_iter()
            .partition::<HashMap<_, _>, _>(|(_, leased)| leased.owner == owner);
        self.leases = rest;
        let count = lost.len();
        for Leased { mut message, .. } in lost.into_values() {
            message.deliveries = message.deliveries.saturating_add(1);
            self.insert(message);
        }
        count
    }

    /// The work for one message is done; `false` if it was for all.
    pub(super) fn task_done(&mut self) -> bool {
        let more = !self.is_idle();
        self.done += u64::from(more);
        more
    }

    pub(super) fn is_idle(&self) -> bool {
        self.done == self.put
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}
