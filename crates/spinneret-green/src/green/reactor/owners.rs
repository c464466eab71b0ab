//! Which descriptor a number stands for, and which reactors know it: one word per number, shared
//! by all threads.
//!
//! The word's upper half counts how often the number was closed while somebody knew it: its
//! *generation*. The lower half has a bit per reactor that keeps anything about the present
//! generation. Whoever closes a descriptor takes the word to the next generation with no bits, and
//! tells those whose bits were set. A reactor compares generations whenever it looks, so what it
//! kept of an earlier descriptor of the same number is never mistaken for the new one's, however
//! late it is told.
//!
//! From that moment until the descriptor is closed, one more bit says that it is being closed.
//! Meanwhile nobody can enter it: what was registered then would vanish with the descriptor, and
//! its waiter would wait for ever.

use std::{
    array,
    os::fd::RawFd,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

const PER_PAGE: usize = 1024;
const PAGES: usize = 4096;

type Page = [AtomicU64; PER_PAGE];

/// Pages are made when the first of their numbers is used, and stay.
static TABLE: [AtomicPtr<Page>; PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; PAGES];

/// The number's descriptor is being closed.
const CLOSING: u32 = 1 << 31;

/// How many bits there are for reactors.
pub(super) const BITS: usize = 31;

/// One number's word.
#[derive(Clone, Copy)]
pub(super) struct Entry(&'static AtomicU64);

/// Numbers that have a word; those beyond (four million) do not cooperate.
pub(super) const NUMBERS: usize = PER_PAGE * PAGES;

fn existing(fd: usize) -> Option<Entry> {
    let page = TABLE.get(fd / PER_PAGE)?.load(Ordering::Acquire);
    // SAFETY: a page that was published is never freed.
    let page = unsafe { page.as_ref() }?;
    Some(Entry(&page[fd % PER_PAGE]))
}

/// The word of `fd`; `None` if it is negative or too high.
pub(super) fn entry(fd: RawFd) -> Option<Entry> {
    let fd = usize::try_from(fd).ok()?;
    existing(fd).or_else(|| make(fd))
}

#[cold]
fn make(fd: usize) -> Option<Entry> {
    let place = TABLE.get(fd / PER_PAGE)?;
    let page: *mut Page = Box::into_raw(Box::new(array::from_fn(|_| AtomicU64::new(0))));
    let published =
        place.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire);
    if published.is_err() {
        // SAFETY: another thread's page was sooner, and nobody else has seen this one.
        drop(unsafe { Box::from_raw(page) });
    }
    existing(fd)
}

impl Entry {
    pub fn generation(self) -> u32 {
        (self.0.load(Ordering::Acquire) >> 32) as u32
    }

    /// Notes that the reactor with this bit keeps something about `generation`.
    pub fn claim(self, generation: u32, bit: u32) -> Claim {
        let claimed = self.0.try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let free = (word >> 32) as u32 == generation && word as u32 & CLOSING == 0;
            free.then_some(word | u64::from(bit))
        });
        match claimed {
            Ok(_) => Claim::Held,
            Err(word) if (word >> 32) as u32 == generation => Claim::Later,
            Err(_) => Claim::Over,
        }
    }
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The end of the generation will be told.
    Held,
    /// The number's descriptor is just being closed, or the one before was: try again soon.
    Later,
    /// The generation is over.
    Over,
}

/// What was known of a descriptor that is about to be closed.
pub(super) struct Known {
    pub generation: u32,
    /// Of the reactors that knew it; 0 if none did.
    pub bits: u32,
}

/// Says that `fd` is about to be closed, and ends its generation if any reactor knows it. `None`
/// if no reactor ever knew a number near it.
pub(super) fn close(fd: usize) -> Option<Known> {
    let entry = existing(fd)?;
    let word = entry
        .0
        .try_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let known = word as u32 & !CLOSING != 0;
            let generation = (word >> 32).wrapping_add(u64::from(known));
            Some(generation << 32 | u64::from(CLOSING))
        })
        .ok()?;
    Some(Known { generation: (word >> 32) as u32, bits: word as u32 & !CLOSING })
}

/// Says that `fd` is closed.
pub(super) fn closed(fd: usize) {
    if let Some(entry) = existing(fd) {
        entry.0.fetch_and(!u64::from(CLOSING), Ordering::AcqRel);
    }
}

/// The numbers of `range` that some reactor may know.
pub(super) fn known(first: usize, last: usize) -> impl Iterator<Item = usize> {
    let last = last.min(NUMBERS - 1);
    (first / PER_PAGE..=last / PER_PAGE)
        .filter(|&page| !TABLE[page].load(Ordering::Acquire).is_null())
        .flat_map(move |page| {
            (page * PER_PAGE).max(first)..=(page * PER_PAGE + PER_PAGE - 1).min(last)
        })
}

#[cfg(test)]
mod tests {
    use super::{Claim, close, closed, entry, known};

    #[test]
    fn closing_ends_a_generation_that_was_claimed_and_says_by_whom() {
        const FD: usize = 2_000_001;
        let entry = entry(FD as i32).unwrap();
        let generation = entry.generation();
        assert_eq!(close(FD).unwrap().bits, 0, "nobody knows it yet");
        assert_eq!(entry.claim(generation, 1), Claim::Later, "it is still being closed");
        closed(FD);
        assert_eq!(entry.claim(generation, 1), Claim::Held);
        assert_eq!(entry.claim(generation, 4), Claim::Held);
        let known = close(FD).unwrap();
        assert_eq!((known.generation, known.bits), (generation, 5));
        assert_eq!(entry.generation(), generation + 1);
        closed(FD);
        assert_eq!(entry.claim(generation, 1), Claim::Over, "that descriptor is closed");
        assert_eq!(entry.claim(generation + 1, 1), Claim::Held);
    }

    #[test]
    fn a_range_passes_over_numbers_that_were_never_used() {
        entry(3_000_000).unwrap();
        let all: Vec<usize> = known(2_999_990, usize::MAX).take(2_000).collect();
        assert!(all.contains(&3_000_000));
        assert!(all.len() <= 1_024 && all[0] >= 2_999_990);
    }

    #[test]
    fn negative_and_absurd_numbers_have_no_word() {
        assert!(entry(-1).is_none());
        assert!(entry(i32::MAX).is_none());
    }
}
