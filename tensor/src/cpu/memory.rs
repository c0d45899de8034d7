//! Host memory for tensors, recycled by size: a training step asks for the same sizes again and
//! again, and fresh pages from the operating system cost more than the arithmetic on them.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::backend::MemoryUse;
use crate::{Element, View};

/// One cache line, and the widest vector register.
const ALIGN: usize = 64;

/// Bytes of a tensor, aligned to 64, always initialised.
pub(super) struct Memory {
    bytes: NonNull<u8>,
    capacity: usize,
    len: usize,
}

// SAFETY: the memory is owned, and plain bytes may be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: shared access only reads.
unsafe impl Sync for Memory {}

#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<Memory>>,
    usage: MemoryUse,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sizes are rounded up to four steps per power of two, so that at most a fifth is wasted and
/// nearly equal batches share their buffers.
fn size_class(bytes: usize) -> usize {
    if bytes <= ALIGN {
        return ALIGN;
    }
    let step = (bytes.next_power_of_two() / 8).max(ALIGN);
    bytes.div_ceil(step) * step
}

impl Memory {
    /// Memory of `len` bytes; the contents are those of an earlier tensor, or zeros.
    pub(super) fn allocate(len: usize) -> Memory {
        if len == 0 {
            return Memory { bytes: NonNull::dangling(), capacity: 0, len: 0 };
        }
        let capacity = size_class(len);
        let mut pool = pool();
        let recycled = pool.free.get_mut(&capacity).and_then(Vec::pop);
        pool.usage.in_use += capacity;
        pool.usage.peak = pool.usage.peak.max(pool.usage.in_use);
        if let Some(mut memory) = recycled {
            pool.usage.cached -= capacity;
            memory.len = len;
            return memory;
        }
        drop(pool);
        let Ok(layout) = Layout::from_size_align(capacity, ALIGN) else {
            panic!("allocate: {len} bytes exceed the address space")
        };
        // SAFETY: the layout's size is not 0.
        let Some(bytes) = NonNull::new(unsafe { alloc_zeroed(layout) }) else {
            handle_alloc_error(layout)
        };
        Memory { bytes, capacity, len }
    }

    pub(super) fn as_slice<T: Element>(&self) -> &[T] {
        // SAFETY: `bytes` holds `len` initialised bytes, aligned for every element type (dangling
        // only when `len` is 0, and then never read: the slice is empty and 64 > align_of T does
        // not matter because the empty slice is made from an aligned dangling pointer).
        if self.len == 0 {
            return &[];
        }
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len / size_of::<T>()) }
    }

    pub(super) fn as_slice_mut<T: Element>(&mut self) -> &mut [T] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: as in `as_slice`, and the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.bytes.as_ptr().cast(), self.len / size_of::<T>())
        }
    }
}

impl Drop for Memory {
    /// Gives the memory to the pool, or back to the system when more is cached than was ever in use
    /// at once.
    fn drop(&mut self) {
        if self.capacity == 0 {
            return;
        }
        let mut pool = pool();
        pool.usage.in_use = pool.usage.in_use.saturating_sub(self.capacity);
        if pool.usage.cached + self.capacity <= pool.usage.peak {
            let memory = Memory { bytes: self.bytes, capacity: self.capacity, len: self.capacity };
            pool.usage.cached += self.capacity;
            pool.free.entry(self.capacity).or_default().push(memory);
            return;
        }
        drop(pool);
        // SAFETY: allocated in `allocate` with this size and alignment, and owned by `self`.
        unsafe {
            dealloc(self.bytes.as_ptr(), Layout::from_size_align_unchecked(self.capacity, ALIGN));
        }
    }
}

pub(super) fn memory_use() -> MemoryUse {
    pool().usage
}

/// All elements of the buffer that a view looks at.
pub(super) fn elements<'a, T: Element>(view: &View<'a>) -> &'a [T] {
    view.buffer.memory::<Memory>().as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_hold_the_request_and_waste_at_most_a_quarter() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 3_000_001]) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(ALIGN));
            assert!(bytes < 512 || class * 4 <= bytes * 5 + 4, "{bytes} -> {class}");
        }
    }

    #[test]
    fn a_freed_buffer_serves_the_next_request_of_its_size() {
        let first = Memory::allocate(123_457);
        let address = first.bytes;
        drop(first);
        let second = Memory::allocate(123_400);
        assert_eq!(address, second.bytes);
    }
}
