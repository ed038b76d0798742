//! The allocator of a component: bump a pointer, free only what came last.
//!
//! Every call has a fresh instance, so nothing needs to be freed. What costs is touching new pages and growing
//! the memory: a call with few rows fits the static arena, which lies in memory the instance has anyway.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait, and hands out raw memory")]

use core::{
    alloc::{GlobalAlloc, Layout},
    arch::wasm32,
    cell::UnsafeCell,
    ptr,
};

const ARENA_BYTES: usize = 32 * 1024;
const PAGE_BYTES: usize = 64 * 1024;
/// Growing costs a system call whatever the size, and untouched pages cost nothing.
const GROWTH_PAGES: usize = 16;

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; ARENA_BYTES]>);

struct Bump {
    /// Next free address; 0 until the first allocation.
    next: UnsafeCell<usize>,
    /// First address that is not ours.
    end: UnsafeCell<usize>,
}

// SAFETY: a component has one thread.
unsafe impl Sync for Memory {}
// SAFETY: a component has one thread.
unsafe impl Sync for Bump {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; ARENA_BYTES]));

#[global_allocator]
static BUMP: Bump = Bump { next: UnsafeCell::new(0), end: UnsafeCell::new(0) };

unsafe extern "C" {
    /// Where the linker's own data ends; from here to the end of the memory nothing is used.
    static __heap_base: u8;
}

impl Bump {
    /// Makes room for `size` bytes at some address from `next` on, or returns false.
    #[cold]
    fn refill(&self, layout: Layout) -> bool {
        // SAFETY: one thread, and no reference to either cell outlives a statement.
        let (next, end) = unsafe { (&mut *self.next.get(), &mut *self.end.get()) };
        let arena = MEMORY.0.get() as usize;
        if *end == 0 {
            (*next, *end) = (arena, arena + ARENA_BYTES);
            return true;
        }
        let memory_end = wasm32::memory_size(0) * PAGE_BYTES;
        let heap_base = ptr::addr_of!(__heap_base) as usize;
        // The second test tells the arena from a heap that happens to be empty and to start at the arena's end.
        if *end == arena + ARENA_BYTES && *next < heap_base {
            (*next, *end) = (heap_base, memory_end);
            return true;
        }
        let missing = layout.size().saturating_add(layout.align());
        let pages = missing.div_ceil(PAGE_BYTES);
        // Near the memory's limit only what is needed may still be had.
        for pages in [pages.max(GROWTH_PAGES), pages] {
            if wasm32::memory_grow(0, pages) != usize::MAX {
                // Nobody else grows the memory, so that the new pages follow the old ones.
                *end = memory_end + pages * PAGE_BYTES;
                return true;
            }
        }
        false
    }
}

// SAFETY: addresses only ever come from the static arena or from memory above the heap's base, each once,
// unless the last block gives its own back.
unsafe impl GlobalAlloc for Bump {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        loop {
            // SAFETY: one thread.
            let (next, end) = unsafe { (*self.next.get(), *self.end.get()) };
            let Some(start) = next.checked_next_multiple_of(layout.align()) else {
                return ptr::null_mut();
            };
            let Some(block_end) = start.checked_add(layout.size()) else {
                return ptr::null_mut();
            };
            if block_end <= end {
                // SAFETY: one thread.
                unsafe { *self.next.get() = block_end };
                return start as *mut u8;
            }
            if !self.refill(layout) {
                return ptr::null_mut();
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: one thread.
        let next = unsafe { &mut *self.next.get() };
        if block as usize + layout.size() == *next {
            *next = block as usize;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: one thread; the references end before `alloc` takes its own.
        {
            let (next, end) = unsafe { (&mut *self.next.get(), *self.end.get()) };
            if block as usize + layout.size() == *next && new_size <= end - block as usize {
                *next = block as usize + new_size;
                return block;
            }
        }
        if new_size <= layout.size() {
            return block;
        }
        // SAFETY: the caller keeps `realloc`'s contract: the size is not zero and fits the alignment.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size());
            }
            moved
        }
    }
}
