//! Messages in the ring, one behind the other.

use super::core::{Core, Fault};
use super::layout::{Mark, UNIT};

/// A record starts with its length in bytes and its kind, then come the bytes; or, for a large
/// message, its offset in the file and its length.
const PREFIX: usize = 8;
pub(super) const INLINE: u32 = 0;
pub(super) const LARGE: u32 = 1;
pub(super) const LARGE_BODY: usize = 16;
/// In the kind of a record that is not to be taken along with others.
pub(super) const ALONE: u32 = 1 << 8;

impl Core {
    pub(super) fn write(&self, at: Mark, kind: u32, body: &[u8]) {
        let offset = self.offset(at);
        // At most `PAGE` or `LARGE_BODY`.
        let prefix = u64::from(kind) << 32 | body.len() as u64;
        let place = self.shm.at(offset);
        // SAFETY: the caller has seen that the record fits into the free part of the ring, which the
        // mirror makes contiguous, and holds the lock that this part belongs to.
        unsafe { place.cast::<u64>().write_unaligned(prefix) };
        // SAFETY: as above.
        let place = unsafe { place.add(PREFIX) };
        // SAFETY: as above; `body` is memory of this process alone.
        unsafe { place.copy_from_nonoverlapping(body.as_ptr(), body.len()) };
    }

    /// Where in the mapping a mark points to.
    fn offset(&self, at: Mark) -> usize {
        let unit = at.position & (self.shape.units() - 1);
        self.shape.ring_at() + unit as usize * UNIT
    }

    /// The record at `head`, of which there must be one before `tail`. Other processes wrote it, so
    /// nothing is believed.
    // Records start at multiples of eight bytes.
    #[allow(clippy::cast_ptr_alignment)]
    pub(super) fn read(&self, head: Mark, tail: Mark) -> Result<Record, Fault> {
        let (used, items) = tail.since(head);
        if used > self.shape.units() || items == 0 || items > used {
            return Err(Fault::Damaged("the positions of its ring"));
        }
        let offset = self.offset(head);
        // SAFETY: `offset` is aligned and within the ring; what lies there was written before the
        // tail that we have acquired, and is not written again before the head is moved, which only
        // we may do.
        let prefix = unsafe { self.shm.at(offset).cast::<u64>().read_unaligned() };
        let (kind, len) = ((prefix >> 32) as u32, prefix as u32 as usize);
        let (alone, kind) = (kind & ALONE != 0, kind & !ALONE);
        let body = offset + PREFIX;
        let record = match kind {
            INLINE if len <= self.shape.inline_most() => {
                Record { alone, body: Body::Inline { offset: body, len } }
            }
            LARGE if len == LARGE_BODY => {
                // SAFETY: as above: `used` is checked against the record's length below, and the
                // mirror lies behind the ring.
                let words = unsafe { self.shm.at(body).cast::<[u64; 2]>().read_unaligned() };
                let (place, len) = (u64::from_le(words[0]), u64::from_le(words[1]));
                Record { alone, body: Body::Large { place, len } }
            }
            _ => return Err(Fault::Damaged("a record of its ring")),
        };
        if record.units() > used {
            return Err(Fault::Damaged("the length of a record"));
        }
        Ok(record)
    }

    /// Appends the bytes of an inline record.
    pub(super) fn copy(&self, record: &Record, out: &mut Vec<u8>) {
        if let Body::Inline { offset, len } = record.body {
            out.reserve(len);
            let spare = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
            // SAFETY: `read` has seen that the record lies within the ring or its mirror; `reserve`
            // has made room; and the two do not overlap.
            unsafe { spare.copy_from_nonoverlapping(self.shm.at(offset), len) };
            // SAFETY: just written.
            unsafe { out.set_len(out.len() + len) };
        }
    }
}

/// A message in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) alone: bool,
    pub(super) body: Body,
}

/// Where a message's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Its bytes are at `offset` of the mapping.
    Inline { offset: usize, len: usize },
    /// They are at `place` of the file, not checked so far.
    Large { place: u64, len: u64 },
}

impl Record {
    pub(super) fn units(&self) -> u32 {
        units(match self.body {
            Body::Inline { len, .. } => len,
            Body::Large { .. } => LARGE_BODY,
        })
    }
}

/// How many units a record with such a body takes.
pub(super) fn units(body: usize) -> u32 {
    // At most `PAGE / UNIT + 1`.
    (PREFIX + body).div_ceil(UNIT) as u32
}
