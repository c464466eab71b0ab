//! Messages too large for the ring: pages of the same file, far behind it.
//!
//! Offsets are handed out once and never again; what is read is punched out of the file, which gives
//! its pages back. The file's own count of pages tells how many bytes are in use, so there are no
//! books that a kill could falsify. What a killed process leaves behind, pages that no message
//! refers to, is swept away by the next who puts a large message.

use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, fallocate, fstat};
use rustix::io::{pread, pwrite};

use super::core::{Core, Fault};
use super::layout::{Mark, PAGE};
use super::leases::State;
use super::record::Body;

/// What `st_blocks` counts in.
const BLOCK: u64 = 512;

/// The end of the page before which an offset lies.
fn page_end(offset: u64) -> u64 {
    offset.checked_next_multiple_of(PAGE as u64).unwrap_or(u64::MAX)
}

impl Core {
    /// Writes a message to new pages; `None` if there may not be more for now. Under the producers'
    /// lock.
    pub(super) fn put_large(&self, message: &[u8]) -> Result<Option<u64>, Fault> {
        let swept = self.header().sweep.load(Ordering::Relaxed) != 0;
        if swept {
            self.sweep_if_due()?;
        }
        if !self.has_pages(message.len()) {
            // Perhaps somebody died with the consumers' lock, and nobody has noticed so far.
            if swept || !self.sweep_if_due()? || !self.has_pages(message.len()) {
                return Ok(None);
            }
        }
        self.write_large(message).map(Some)
    }

    /// Sweeps if somebody died where pages may have been left behind; says whether. Under the
    /// producers' lock.
    pub(super) fn sweep_if_due(&self) -> Result<bool, Fault> {
        // Taking it tells of a death.
        let _guard = self.lock_consumers();
        let due = self.header().sweep.load(Ordering::Relaxed) != 0;
        if due {
            self.sweep()?;
        }
        Ok(due)
    }

    /// Whether a large message may be put: one more, or the only one.
    pub(super) fn has_pages(&self, length: usize) -> bool {
        self.pages().map_or(true, |used| {
            used == 0 || used.saturating_add(length as u64) <= self.shape.large_bytes
        })
    }

    /// Writes bytes to new pages, and says where. Under either lock, or a sweep could take them away.
    pub(super) fn write_large(&self, message: &[u8]) -> Result<u64, Fault> {
        let length = (message.len() as u64).next_multiple_of(PAGE as u64);
        let place = self.header().frontier.fetch_add(length, Ordering::Relaxed);
        // Offsets of files are positive, and signed. So many bytes are never put.
        let fits = place.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok());
        if !fits || place < self.shape.end() as u64 || !place.is_multiple_of(PAGE as u64) {
            return Err(Fault::Damaged("the place for the next large message"));
        }
        let mut written = 0;
        while written < message.len() {
            match pwrite(self.fd(), &message[written..], place + written as u64) {
                Ok(count) => written += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    self.clear_large(place, message.len() as u64);
                    return Err(error.into());
                }
            }
        }
        Ok(place)
    }

    /// Appends the bytes of a large message.
    pub(super) fn read_large(&self, place: u64, len: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let damaged = Fault::Damaged("the place of a large message");
        let size = u64::try_from(fstat(self.fd())?.st_size).unwrap_or(0);
        let fits = place >= self.shape.end() as u64
            && place.checked_add(len).is_some_and(|end| end <= size);
        // Holes have no bytes, so nobody can make us allocate more than they did.
        if !fits || len > self.pages()? {
            return Err(damaged);
        }
        let (start, len) = (out.len(), usize::try_from(len).unwrap_or(usize::MAX));
        out.reserve(len);
        let mut read = 0;
        while read < len {
            let spare = &mut out.spare_capacity_mut()[..len - read];
            match pread(self.fd(), spare, place + read as u64) {
                Ok(([], _)) => {
                    out.truncate(start);
                    return Err(damaged);
                }
                Ok((bytes, _)) => {
                    read += bytes.len();
                    // SAFETY: so many bytes more were just written.
                    unsafe { out.set_len(start + read) };
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    out.truncate(start);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Gives the pages of a message back. Should that fail, a later sweep does it.
    pub(super) fn clear_large(&self, place: u64, len: u64) {
        if self.punch(place, place.saturating_add(len)).is_err() {
            self.header().sweep.store(1, Ordering::Relaxed);
        }
    }

    fn punch(&self, from: u64, to: u64) -> Result<(), Fault> {
        let to = page_end(to);
        if from >= self.shape.end() as u64 && from < to {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(self.fd(), flags, from, to - from)?;
        }
        Ok(())
    }

    /// Bytes in pages behind the ring.
    fn pages(&self) -> Result<u64, Fault> {
        let blocks = u64::try_from(fstat(self.fd())?.st_blocks).unwrap_or(0);
        Ok((blocks * BLOCK).saturating_sub(self.shape.end() as u64))
    }

    /// Gives back all pages that no message refers to. Under both locks, so none is on its way.
    fn sweep(&self) -> Result<(), Fault> {
        let header = self.header();
        let mut live = Vec::new();
        let mut head = Mark::load(&header.head.0, Ordering::Relaxed);
        let tail = Mark::load(&header.tail.0, Ordering::Relaxed);
        while head != tail {
            let record = self.read(head, tail)?;
            if let Body::Large { place, len } = record.body {
                live.push((place, place.saturating_add(len)));
            }
            head = head.after(record.units());
        }
        for index in 0..self.shape.slots {
            let slot = self.shape.slot(&self.shm, index);
            let place = slot.place.load(Ordering::Relaxed);
            if State::of(slot) != State::Free && place != 0 {
                live.push((place, place.saturating_add(slot.len.load(Ordering::Relaxed))));
            }
        }
        live.sort_unstable();
        let mut from = self.shape.end() as u64;
        for (start, end) in live {
            self.punch(from, start / PAGE as u64 * PAGE as u64)?;
            from = from.max(page_end(end));
        }
        // What was written last, if the file ends there, and what never was.
        let size = u64::try_from(fstat(self.fd())?.st_size).unwrap_or(0);
        self.punch(from, size)?;
        header.sweep.store(0, Ordering::Relaxed);
        Ok(())
    }
}
