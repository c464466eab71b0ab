//! What the block of a new green thread is written from.

use std::{ffi::c_void, ops::Range, ptr, ptr::NonNull, slice};

use super::{
    fs_base,
    layout::{DTV, Layout, MULTIPLE_THREADS, Module},
};

/// The block of one hub's green threads: a picture of the hub's own with a new thread's
/// thread-locals, and which of its words are addresses within the block.
pub(in crate::green) struct Template {
    /// From the lowest thread-local to the descriptor's end, in words.
    picture: Box<[u64]>,
    /// The words of the picture that hold addresses in the block; they are kept as differences
    /// to the thread pointer.
    moved: Box<[usize]>,
    /// Bytes below the thread pointer.
    below: usize,
    above: usize,
    align: usize,
    /// The static modules: number, and bytes below the thread pointer.
    blocks: Box<[(usize, usize)]>,
    /// The words of the picture that a new thread has anew: begin and end.
    fresh: Box<[(usize, usize)]>,
    /// The highest number of a module when the picture was made.
    highest: usize,
    /// The generation of the set of modules that the vectors know.
    generation: u64,
    /// The table of second-level blocks of pthread keys without its first, in words from the
    /// thread pointer.
    keys: (usize, usize),
}

impl Template {
    /// From the calling thread, in which `layout` was found or one like it.
    pub fn of_this_thread(layout: &Layout) -> Self {
        let base = fs_base();
        let low = base - layout.below;
        let len = layout.below + layout.above;
        // SAFETY: the thread's own static area and descriptor, as `layout` found and checked them.
        // Nothing else writes to them here, but for the kernel's 32 bytes of `rseq`, which are
        // overwritten below.
        let own = unsafe { slice::from_raw_parts(low as *const u64, len / 8) };
        let mut picture: Box<[u64]> = own.into();

        // SAFETY: the picture is plain bytes as much as words.
        let bytes = unsafe { slice::from_raw_parts_mut(picture.as_mut_ptr().cast::<u8>(), len) };
        let at = |from_base: isize| layout.below.wrapping_add_signed(from_base);
        for module in layout.modules.iter().filter(|module| module.fresh) {
            let begin = layout.below - module.below;
            let (image, zeros) = bytes[begin..begin + module.len].split_at_mut(module.image.len());
            image.copy_from_slice(module.image);
            zeros.fill(0);
        }
        let errno = at(layout.errno);
        bytes[errno..errno + 4].fill(0);
        let threads = layout.below + MULTIPLE_THREADS;
        bytes[threads..threads + 4].copy_from_slice(&1i32.to_ne_bytes());
        if let Some(rseq) = layout.rseq {
            // `cpu_id_start`, and `cpu_id` as of a thread whose registration failed: the kernel
            // writes to the hub's, so this one would say a processor of long ago.
            let area = at(rseq);
            bytes[area..area + 4].fill(0);
            bytes[area + 4..area + 8].copy_from_slice(&(-2i32).to_ne_bytes());
        }

        let (first, count) = layout.keys;
        let table = layout.below / 8 + first;
        // The first block of keys lies in the descriptor itself.
        let inside = picture[table].wrapping_sub(low as u64) as usize;
        if inside < len && inside.is_multiple_of(8) && inside + layout.keys_block <= len {
            picture[inside / 8..(inside + layout.keys_block) / 8].fill(0);
        }
        picture[table + 1..table + count].fill(0);

        let words = |module: &Module| {
            let begin = layout.below - module.below;
            // What shares a word with another module is left alone.
            (begin.div_ceil(8), (begin + module.len) / 8)
        };
        let fresh = layout.modules.iter().filter(|module| module.fresh).map(words).collect();

        let mut moved = Vec::new();
        for (index, word) in picture.iter_mut().enumerate() {
            if (*word).wrapping_sub(low as u64) < len as u64 {
                *word = word.wrapping_sub(base as u64);
                moved.push(index);
            }
        }
        let vector = (base as *const *const u64).wrapping_add(DTV);
        // SAFETY: the word is the pointer to the vector.
        let vector = unsafe { *vector };
        // SAFETY: its first entry is the generation.
        let generation = unsafe { *vector };
        let blocks: Box<[_]> =
            layout.modules.iter().map(|module| (module.id, module.below)).collect();
        Self {
            picture,
            moved: moved.into(),
            below: layout.below,
            above: layout.above,
            align: layout.align,
            fresh,
            highest: layout.highest,
            blocks,
            generation,
            keys: (first + 1, count - 1),
        }
    }

    /// Bytes that a block takes at most.
    pub fn len(&self) -> usize {
        self.below + self.above + self.align
    }

    /// The thread pointer of a block that ends at `top` or somewhat before it.
    pub fn thread_pointer(&self, top: usize) -> usize {
        (top - self.above) & !(self.align - 1)
    }

    /// Where the block with this thread pointer begins.
    pub fn low(&self, pointer: usize) -> usize {
        pointer - self.below
    }

    /// Writes a new thread's block.
    ///
    /// # Safety
    /// The memory from [`low`](Self::low) to the descriptor's end is the caller's, and `pointer`
    /// came from [`thread_pointer`](Self::thread_pointer). `dtv` outlives what runs on the block.
    pub unsafe fn write(&self, pointer: usize, dtv: &Dtv) {
        let low = self.low(pointer) as *mut u64;
        // SAFETY: promised by the caller; nothing overlaps the template.
        unsafe { ptr::copy_nonoverlapping(self.picture.as_ptr(), low, self.picture.len()) };
        for &index in &self.moved {
            // SAFETY: within the picture, which was written there; also below.
            let word = unsafe { &mut *low.wrapping_add(index) };
            *word = word.wrapping_add(pointer as u64);
        }
        dtv.fill(self, pointer);
        // SAFETY: as above.
        unsafe { *(pointer as *mut u64).wrapping_add(DTV) = dtv.address() };
    }

    /// Lets new threads begin with the thread-locals that the block at `pointer` has now. Not if
    /// one of them is an address in `stack`: that is the block and the stack below.
    ///
    /// # Safety
    /// The block is a finished one of this template. Whatever its thread-locals own is never
    /// dropped, neither there nor in the copies, unless code takes it out.
    pub unsafe fn season(&mut self, pointer: usize, stack: Range<usize>) {
        let low = self.low(pointer) as *const u64;
        for &(begin, end) in &self.fresh {
            // SAFETY: within the block, which is as long as the picture.
            let now = unsafe { slice::from_raw_parts(low.wrapping_add(begin), end - begin) };
            if now.iter().any(|&word| stack.contains(&(word as usize))) {
                return;
            }
        }
        for &(begin, end) in &self.fresh {
            // SAFETY: as above.
            let now = unsafe { slice::from_raw_parts(low.wrapping_add(begin), end - begin) };
            self.picture[begin..end].copy_from_slice(now);
        }
    }

    /// Gives back what code on the block made the C library allocate for its thread, and `dtv`,
    /// unless it can be used again.
    ///
    /// # Safety
    /// The block was written with `dtv`, and nothing runs on it any more.
    pub unsafe fn clear(&self, pointer: usize, dtv: Dtv) -> Option<Dtv> {
        let (first, count) = self.keys;
        for index in first..first + count {
            // SAFETY: a word of the descriptor.
            let block = unsafe { *(pointer as *const *mut c_void).wrapping_add(index) };
            if !block.is_null() {
                // SAFETY: glibc allocated it for this thread's keys alone.
                unsafe { libc::free(block) };
            }
        }
        // The loader may have moved it, to make room for the modules of a library loaded since.
        std::mem::forget(dtv);
        // SAFETY: the word is the vector, `dtv` or what it was moved to.
        let now = unsafe { *(pointer as *const *mut [u64; 2]).wrapping_add(DTV) };
        // SAFETY: a vector's first entry lies before the one that is pointed at.
        let start = unsafe { now.sub(1) };
        let dtv = Dtv { entries: NonNull::new(start)? };
        dtv.free_blocks();
        (dtv.capacity() == self.highest).then_some(dtv)
    }

    /// A vector for a block of this template; `None` without memory.
    pub fn new_dtv(&self) -> Option<Dtv> {
        // SAFETY: the call has no preconditions.
        let memory = unsafe { libc::malloc((self.highest + 2) * size_of::<[u64; 2]>()) };
        let entries = NonNull::new(memory.cast::<[u64; 2]>())?;
        // SAFETY: allocated above.
        unsafe { entries.write([self.highest as u64, 0]) };
        Some(Dtv { entries })
    }
}

/// The vector of a thread's thread-local blocks, by module: what general-dynamic code looks in.
/// It comes from `malloc`, since the loader resizes it with `realloc`.
pub(in crate::green) struct Dtv {
    /// The capacity; then, where the thread control block points, the generation; then for each
    /// module its block and what to free when the thread ends.
    entries: NonNull<[u64; 2]>,
}

/// The block of a module that the thread has not used yet.
const UNALLOCATED: u64 = u64::MAX;

impl Dtv {
    fn address(&self) -> u64 {
        self.entries.as_ptr().wrapping_add(1) as u64
    }

    fn capacity(&self) -> usize {
        // SAFETY: the first entry is always there.
        unsafe { (*self.entries.as_ptr())[0] as usize }
    }

    fn fill(&self, template: &Template, pointer: usize) {
        let set = |index: usize, entry: [u64; 2]| {
            // SAFETY: it was allocated for the template's highest module and two more entries.
            unsafe { self.entries.as_ptr().wrapping_add(index).write(entry) };
        };
        set(1, [template.generation, 0]);
        (1..=template.highest).for_each(|id| set(id + 1, [UNALLOCATED, 0]));
        for &(id, below) in &template.blocks {
            set(id + 1, [(pointer - below) as u64, 0]);
        }
    }

    /// Frees the blocks that the loader allocated for modules outside of the static area.
    fn free_blocks(&self) {
        for id in 1..=self.capacity() {
            // SAFETY: the vector has that many entries.
            let entry = unsafe { &mut *self.entries.as_ptr().wrapping_add(id + 1) };
            let block = std::mem::take(&mut entry[1]);
            if block != 0 {
                // SAFETY: the loader allocated it for this thread, which has ended.
                unsafe { libc::free(block as *mut c_void) };
            }
        }
    }
}

impl Drop for Dtv {
    fn drop(&mut self) {
        // SAFETY: it came from `malloc`, and nothing runs that looks in it.
        unsafe { libc::free(self.entries.as_ptr().cast()) };
    }
}
