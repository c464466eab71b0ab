//! Memory for stacks: reserved in large pieces, committed as it is used, with a guard below each.
//!
//! A slot is `guard page | stack ... | block of thread-locals`, from low to high. Guards are page
//! table markers (`MADV_GUARD_INSTALL`, Linux 6.13): they split no mapping, so that their number
//! is not limited as that of `mprotect`ed pages is (65,530 mappings, two a stack). On older
//! kernels the first thousands of stacks are guarded by `mprotect`, further ones by looking at
//! each suspension whether the page below the stack is still zeros.

use std::{io, num::NonZeroUsize, ptr};

use corosensei::stack::{Stack, StackPointer};

use super::tls::Dtv;

pub(super) const PAGE: usize = 4096;

/// What is reserved at once, unless a single slot needs more.
const CHUNK: usize = 64 << 20;

/// How many stacks of a size keep the memory that they have touched when they are free.
const WARM: usize = 128;

/// How many guards are made by `mprotect` where there are no markers; each is two mappings.
const PROTECTED: usize = 12_000;

/// Linux 6.13; not in the `libc` crate yet.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// How overflowing a stack is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// The processor faults.
    Faults,
    /// Somebody looks whether the page is still zeros.
    Looked,
}

/// A stack with room for thread-locals at its top, until it is [given back](Stacks::give).
pub(super) struct Slot {
    /// Of the guard page.
    low: usize,
    /// Bytes from `low` to the top.
    size: usize,
    guard: Guard,
    /// Where the stack proper begins, below the thread-locals; the top in a bare slot.
    base: usize,
    /// Kept with the slot when it is used again.
    pub dtv: Option<Dtv>,
}

impl Slot {
    pub fn top(&self) -> usize {
        self.low + self.size
    }

    /// Says that all from `base` up is not for frames.
    pub fn set_base(&mut self, base: usize) {
        debug_assert!(self.low + 2 * PAGE <= base && base <= self.top());
        self.base = base & !(corosensei::stack::STACK_ALIGNMENT - 1);
    }

    /// Where the guard page lies.
    pub fn guard(&self) -> usize {
        self.low
    }

    /// Whether the guard does not fault.
    pub fn is_looked(&self) -> bool {
        self.guard == Guard::Looked
    }

    /// Whether a stack is seen to have overflowed into the page at `guard`, which does not fault.
    pub fn overflowed(guard: usize) -> bool {
        let words = PAGE / size_of::<u64>();
        let page = guard as *const u64;
        (words - 32..words).any(|index| {
            let word = page.wrapping_add(index);
            // SAFETY: within the page, which is readable as it does not fault.
            unsafe { word.read_volatile() != 0 }
        })
    }
}

// SAFETY: there is a guard below the stack, or its overflow is looked for; `Stacks` makes slots of
// at least four pages, and thread-locals that leave less than `MIN_STACK_SIZE` are refused.
unsafe impl Stack for Slot {
    fn base(&self) -> StackPointer {
        NonZeroUsize::new(self.base).expect("mappings do not begin at 0")
    }

    fn limit(&self) -> StackPointer {
        NonZeroUsize::new(self.low).expect("mappings do not begin at 0")
    }
}

/// The stacks of one hub.
#[derive(Default)]
pub(super) struct Stacks {
    /// Few: most programs use one size.
    sizes: Vec<Size>,
    /// How many guards were made by `mprotect`.
    protected: usize,
    /// As if the kernel had no markers and no mapping to spare, for tests.
    #[cfg(test)]
    looked: bool,
}

/// The stacks of one size.
struct Size {
    slot: usize,
    /// Free ones with touched memory; the last was given back last and is taken first.
    warm: Vec<Slot>,
    /// Free ones whose memory was given back.
    cold: Vec<Slot>,
    /// What of the newest chunk was not used yet.
    rest: (usize, usize),
}

impl Stacks {
    /// A stack of `size` bytes, which is rounded up to whole pages.
    pub fn take(&mut self, size: usize) -> io::Result<Slot> {
        let slot = size.max(4 * PAGE).next_multiple_of(PAGE) + PAGE;
        let index = self.sizes.iter().position(|size| size.slot == slot).unwrap_or_else(|| {
            self.sizes.push(Size { slot, warm: Vec::new(), cold: Vec::new(), rest: (0, 0) });
            self.sizes.len() - 1
        });
        let size = &mut self.sizes[index];
        if let Some(slot) = size.warm.pop().or_else(|| size.cold.pop()) {
            return Ok(slot);
        }
        if size.rest.0 == size.rest.1 {
            size.rest = reserve(slot)?;
        }
        let low = size.rest.0;
        let guard = self.guard(low)?;
        self.sizes[index].rest.0 += slot;
        Ok(Slot { low, size: slot, guard, base: low + slot, dtv: None })
    }

    /// Takes a stack back that nothing runs on any more.
    pub fn give(&mut self, mut slot: Slot) {
        let Some(size) = self.sizes.iter_mut().find(|size| size.slot == slot.size) else {
            return;
        };
        if size.warm.len() < WARM {
            size.warm.push(slot);
            return;
        }
        slot.dtv = None;
        let len = if slot.guard == Guard::Looked { slot.size } else { slot.size - PAGE };
        let begin = slot.top() - len;
        // SAFETY: the memory is the slot's, and what it holds is not needed any more. If the kernel
        // refuses, it stays in use, no more.
        unsafe { libc::madvise(begin as *mut _, len, libc::MADV_DONTNEED) };
        size.cold.push(slot);
    }

    fn guard(&mut self, low: usize) -> io::Result<Guard> {
        #[cfg(test)]
        if self.looked {
            return Ok(Guard::Looked);
        }
        // SAFETY: the page is the slot's, which nobody uses yet.
        if unsafe { libc::madvise(low as *mut _, PAGE, MADV_GUARD_INSTALL) } == 0 {
            return Ok(Guard::Faults);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        if self.protected < PROTECTED {
            // SAFETY: as above.
            if unsafe { libc::mprotect(low as *mut _, PAGE, libc::PROT_NONE) } == 0 {
                self.protected += 1;
                return Ok(Guard::Faults);
            }
        }
        Ok(Guard::Looked)
    }
}

/// Address space for slots of `slot` bytes: begin and end. It is never unmapped.
fn reserve(slot: usize) -> io::Result<(usize, usize)> {
    let len = (CHUNK / slot).max(1) * slot;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, where the kernel likes.
    let begin = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if begin == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping just made. A kernel without huge pages refuses, which is as well.
    unsafe { libc::madvise(begin, len, libc::MADV_NOHUGEPAGE) };
    Ok((begin as usize, begin as usize + len))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn the_last_given_back_is_the_first_taken() {
        let mut stacks = Stacks::default();
        let first = stacks.take(64 << 10).unwrap();
        let second = stacks.take(64 << 10).unwrap();
        let (a, b) = (first.guard(), second.guard());
        assert_ne!(a, b);
        stacks.give(first);
        stacks.give(second);
        assert_eq!(stacks.take(64 << 10).unwrap().guard(), b);
        assert_eq!(stacks.take(64 << 10).unwrap().guard(), a);
        // Another size is another place.
        let other = stacks.take(128 << 10).unwrap();
        assert!(other.top() - other.guard() > 128 << 10);
    }

    #[test]
    fn memory_beyond_the_warm_ones_is_given_back() {
        let mut stacks = Stacks::default();
        let slots: Vec<_> = (0..WARM + 50).map(|_| stacks.take(64 << 10).unwrap()).collect();
        let tops: Vec<usize> = slots.iter().map(Slot::top).collect();
        for slot in slots {
            // SAFETY: the page is the slot's.
            unsafe { slice::from_raw_parts_mut((slot.top() - PAGE) as *mut u8, PAGE) }.fill(1);
            stacks.give(slot);
        }
        let kept = tops.iter().filter(|&&top| {
            // SAFETY: the page is readable, and nobody has it.
            unsafe { *((top - 1) as *const u8) == 1 }
        });
        assert_eq!(kept.count(), WARM);
    }

    #[test]
    fn an_overflow_into_a_guard_that_does_not_fault_is_seen() {
        let mut stacks = Stacks { looked: true, ..Stacks::default() };
        let slot = stacks.take(64 << 10).unwrap();
        assert!(slot.is_looked());
        assert!(!Slot::overflowed(slot.guard()));
        // SAFETY: the word is in the slot's guard, which does not fault.
        unsafe { *((slot.guard() + PAGE - 8) as *mut u64) = 1 };
        assert!(Slot::overflowed(slot.guard()));
    }
}
