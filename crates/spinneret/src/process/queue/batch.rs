//! Messages on their way into or out of a queue: one buffer for many.

/// Some messages, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// One for each message.
    pub(super) items: Vec<Item>,
}

/// One message of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Where it ends in the batch's bytes; it starts where the one before ends.
    pub(super) end: usize,
    /// The slot of its lease, for what was leased.
    pub(super) slot: u32,
    /// How many leases of it ended without an acknowledgement.
    pub(super) deliveries: u32,
    /// Whether it is not to be taken along with others.
    pub(super) alone: bool,
}

/// The most memory that an empty batch keeps.
const KEPT: usize = 1 << 20;

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Empties it. The memory stays, within reason.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        if self.bytes.capacity() > KEPT {
            *self = Self::default();
        }
    }

    /// Appends what `write` writes as one message; one that is `alone` will not be taken along with
    /// others.
    pub(crate) fn push<E>(
        &mut self,
        alone: bool,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        if written.is_err() {
            self.bytes.truncate(start);
        } else {
            self.items.push(Item { end: self.bytes.len(), slot: 0, deliveries: 0, alone });
        }
        written
    }

    /// What was appended to `bytes` since the last message is a message.
    pub(super) fn seal(&mut self, slot: u32, deliveries: u32) {
        self.items.push(Item { end: self.bytes.len(), slot, deliveries, alone: false });
    }

    /// The slot of a message that was leased.
    #[cfg(shared_memory)]
    pub(crate) fn slot(&self, index: usize) -> u32 {
        self.items[index].slot
    }

    /// Forgets bytes that belong to no message.
    #[cfg(shared_memory)]
    pub(super) fn trim(&mut self) {
        self.bytes.truncate(self.items.last().map_or(0, |item| item.end));
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.items[before].end);
        &self.bytes[start..self.items[index].end]
    }
}
