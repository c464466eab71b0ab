//! Plays with a queue whose memory is written over at the same time, as a script of bytes says: for
//! the tests, which make scripts by chance, and the fuzz target `queue_memory`, which breeds them.

use std::time::{Duration, Instant};

use super::batch::Batch;
use super::core::{Core, TAKE_BYTES};
use super::layout::{Header, PAGE};
use super::terms::{How, Options, Take};

/// Runs a script; panics if anything but errors comes of it.
///
/// What the kernel wrote for the two locks stays: waiting is all that can be done there.
// Making the first queue fails only if the system refuses the memory.
#[allow(clippy::unwrap_used)]
pub(crate) fn play(script: &[u8]) {
    let mut script = Script(script);
    let slot_bytes = [64, 0][script.below(2)];
    let options =
        Options { memory: 0, max_items: usize::MAX, slots: 4, slot_bytes, large_bytes: 100_000 };
    let mut core = Core::with(&options).unwrap();
    while !script.0.is_empty() {
        match script.below(4) {
            0 => damage(&core, &mut script),
            1 if script.below(8) == 0 => {
                // Another process's view of it, with the shape that the header has by now.
                if let Ok(other) = Core::attach(core.fd().try_clone().unwrap()) {
                    core = other;
                }
            }
            _ => use_it(&core, &mut script),
        }
    }
}

/// Bytes that decide; zeroes when they are used up.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    fn below(&mut self, end: usize) -> usize {
        let bytes = if end <= 256 { 1 } else { 4 };
        // At most four bytes.
        self.number(bytes) as usize % end
    }

    /// A word of the kinds that break things, in the place of `old`.
    fn word(&mut self, old: u64) -> u64 {
        match self.below(9) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => self.number(2),
            4 => self.number(1) * PAGE as u64,
            5 => (self.number(1) << 62) | (self.number(1) << 32) | self.number(3),
            6 => (self.number(1) << 32) | self.number(1),
            7 => old.wrapping_add(self.number(1) << 32).wrapping_add(self.number(1)),
            _ => self.number(8),
        }
    }
}

/// Writes over some words of the header, the slots and the ring, but not over the locks.
// Aligned, since it is a multiple of eight.
#[allow(clippy::cast_ptr_alignment)]
fn damage(core: &Core, script: &mut Script<'_>) {
    let header = core.header();
    let offset = |address: usize| address - core.shm.at(0).addr();
    let lock = |lock: &crate::os::RobustMutex| {
        let start = offset(std::ptr::from_ref(lock).addr());
        start..start + size_of_val(lock)
    };
    let (producers, consumers) = (&header.producers.0, &header.consumers.0);
    let marks = [
        &header.head.0,
        &header.tail.0,
        &producers.head_seen,
        &consumers.tail_seen,
        &consumers.redo,
        &header.frontier,
    ];
    let locks = [lock(&producers.lock), lock(&consumers.lock)];
    for _ in 0..=script.below(4) {
        let words = |bytes: usize| bytes / 8;
        let at = match script.below(6) {
            0 => 8 * script.below(words(size_of::<Header>())),
            1 => offset(std::ptr::from_ref(marks[script.below(marks.len())]).addr()),
            2 | 3 if core.shape.slots > 0 => {
                let slot = core.shape.slot(&core.shm, script.below(core.shape.slots.min(8)));
                offset(std::ptr::from_ref(slot).addr()) + 8 * script.below(words(size_of_val(slot)))
            }
            4 => core.shape.ring_at() + 8 * script.below(64),
            _ => 8 * script.below(words(core.shape.end())),
        };
        if locks.iter().all(|lock| at + 8 <= lock.start || at >= lock.end) {
            let place = core.shm.at(at).cast::<u64>();
            // SAFETY: a word of the mapping, aligned.
            let old = unsafe { place.read_volatile() };
            // SAFETY: as above.
            unsafe { place.write_volatile(script.word(old)) };
        }
    }
}

/// Calls one of the operations.
fn use_it(core: &Core, script: &mut Script<'_>) {
    let deadline = || Instant::now().checked_add(Duration::from_micros(100));
    let mut out = Batch::default();
    match script.below(17) {
        0 => drop(core.try_put(&batch(&[3, 500]), 0)),
        1 => drop(core.try_put(&batch(&[20_000]), 0)),
        2 => drop(core.try_put(&batch(&[0, 8192, 9000, 64, 65]), script.below(6))),
        3 => drop(core.try_take(1, How::Get, &mut out)),
        4 => drop(core.try_take(100, How::Get, &mut out)),
        5..=7 => lease(core, script, &mut out),
        8 => {
            // A lease that is somebody else's, or nobody's.
            if core.shape.slots > 0 {
                let index = script.below(core.shape.slots) as u32;
                core.acknowledge(index, script.number(1) as u32);
                core.release(index, script.number(1) as u32);
            }
        }
        9 => drop(core.task_done()),
        10 => drop(core.join(deadline())),
        11 => core.requeue_of_the_dead(),
        12 => drop(core.wait_for_items(deadline())),
        13 => drop(core.wait_to_lease(deadline())),
        14 => drop(core.wait_for_space(script.below(100_000), deadline())),
        15 => {
            let _guard = core.lock_consumers();
            core.recover();
        }
        _ => {
            let _ = (core.len(), core.has_items(), core.is_idle(), core.is_ready());
            if script.below(20) == 0 {
                core.close();
            }
        }
    }
    // So much, twice that for the vector's growth, as somebody really wrote.
    let pages = rustix::fs::fstat(core.fd()).map_or(0, |stat| stat.st_blocks.unsigned_abs() * 512);
    let most = 2 * (TAKE_BYTES as u64 + pages);
    assert!(out.bytes.capacity() as u64 <= most, "{} of {most} bytes", out.bytes.capacity());
}

/// Leases some messages, and ends the leases in one of the ways there are, or not at all.
fn lease(core: &Core, script: &mut Script<'_>, out: &mut Batch) {
    let Ok(owner) = core.owner() else { return };
    if let Ok(Take::Done(_)) = core.try_take(1 + script.below(4), How::Lease(owner), out) {
        for index in 0..out.len() {
            match script.below(4) {
                0 => drop(core.acknowledge(out.slot(index), owner)),
                1 => drop(core.release(out.slot(index), owner)),
                2 => core.settle(out.slot(index)),
                _ => {}
            }
        }
    }
    if script.below(8) == 0 {
        core.seize(owner);
    }
}

/// Messages of these lengths; those of an odd one are to be taken alone.
fn batch(lengths: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for length in lengths {
        let written: Result<(), ()> = batch.push(length % 2 == 1, |bytes| {
            bytes.resize(bytes.len() + length, 7);
            Ok(())
        });
        debug_assert!(written.is_ok());
    }
    batch
}
