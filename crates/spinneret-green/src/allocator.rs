//! An allocator for programs with many coroutines.

use std::alloc::{GlobalAlloc, Layout};

use crate::backend::on_hub;

/// An allocator that has one cache per thread, made to have one per hub instead of one per
/// coroutine.
///
/// Allocators such as mimalloc or jemalloc keep a cache for each thread in a thread-local. Green
/// threads have thread-locals of their own, so each would get a cache of 100 to 900 KB. With this
/// around it, the allocator sees the hub's thread-locals. The C library's allocator, which Rust
/// programs have by default, does not need it.
///
/// ```
/// use std::alloc::System;
///
/// use spinneret_green::HubAllocator;
///
/// // `System` stands for what the program uses.
/// #[global_allocator]
/// static ALLOCATOR: HubAllocator<System> = HubAllocator(System);
/// # assert_eq!(spinneret_green::spawn(|| vec![1u8; 100].len()).join()?, 100);
/// # Ok::<(), spinneret_green::JoinError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HubAllocator<A>(
    /// The allocator itself.
    pub A,
);

// SAFETY: all is done by the allocator within, which keeps the contract. No coroutine is suspended
// meanwhile, and its hub never changes.
unsafe impl<A: GlobalAlloc> GlobalAlloc for HubAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract; also below.
        on_hub(|| unsafe { self.0.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        on_hub(|| unsafe { self.0.dealloc(block, layout) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        on_hub(|| unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        on_hub(|| unsafe { self.0.realloc(block, layout, size) })
    }
}
