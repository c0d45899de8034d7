//! Host memory for tensors, recycled by size: a training step asks for the same sizes again and
//! again, and fresh pages from the operating system cost more than the arithmetic on them.
//!
//! Small blocks are kept and counted by the thread that freed them, where no other thread has to be
//! kept out; the others by all threads together. When the system has no more, what is kept goes back
//! to it before a request fails.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::backend::MemoryUse;
use crate::{DType, Element, View};

/// One cache line, and the widest vector register.
const ALIGN: usize = 64;

/// Bytes of the largest block that a thread keeps for itself.
const SMALL: usize = 16 * 1024;

/// Blocks of one size that a thread keeps for itself.
const KEPT: usize = 16;

/// Bytes that are not worth giving back.
const LITTLE: usize = 8 << 20;

/// How many bytes a thread takes or gives back in small blocks before it tells the others.
const LOT: usize = 4 * SMALL;

/// Bytes of live tensors, the most there have been, and what the system has given us. What threads
/// have not told yet is missing.
static IN_USE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static RESERVED: AtomicUsize = AtomicUsize::new(0);

static SHARED: Mutex<Free<{ SizeClass::COUNT }>> = Mutex::new(Free::EMPTY);

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own { free: Free::EMPTY, taken: 0 }) };
}

/// Bytes of a tensor, aligned to 64, always initialised.
pub(crate) struct Memory {
    bytes: NonNull<u8>,
    class: SizeClass,
    len: usize,
}

// SAFETY: the memory is owned, and plain bytes may be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: shared access only reads.
unsafe impl Sync for Memory {}

/// The number of a size of block. There are four sizes to each power of two, so that at most a fifth
/// is wasted and nearly equal batches share their blocks; class 0 has no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SizeClass(usize);

impl SizeClass {
    const COUNT: usize = 4 * usize::BITS as usize;
    const SMALL_COUNT: usize = SizeClass::of(SMALL).0 + 1;

    /// The smallest that holds `bytes`.
    const fn of(bytes: usize) -> SizeClass {
        if bytes == 0 {
            return SizeClass(0);
        }
        let units = bytes.div_ceil(ALIGN);
        if units <= 4 {
            return SizeClass(units);
        }
        // The two bits after the first one of `units - 1` say which quarter.
        let quarter = (units - 1).ilog2() as usize - 2;
        SizeClass(4 * quarter + ((units - 1) >> quarter) + 1)
    }

    /// Whether threads keep such blocks for themselves.
    fn is_small(self) -> bool {
        self.0 < SizeClass::SMALL_COUNT
    }

    const fn bytes(self) -> usize {
        let class = self.0;
        if class <= 4 {
            return class * ALIGN;
        }
        let quarter = (class - 5) / 4;
        (((class - 5) % 4 + 5) * ALIGN) << quarter
    }
}

/// Free blocks of each size.
struct Free<const CLASSES: usize>([Vec<Block>; CLASSES]);

/// A block that nobody uses, initialised.
struct Block(NonNull<u8>);

// SAFETY: it is owned memory.
unsafe impl Send for Block {}

impl<const CLASSES: usize> Free<CLASSES> {
    const EMPTY: Self = Free([const { Vec::new() }; CLASSES]);
}

fn shared<R>(f: impl FnOnce(&mut Free<{ SizeClass::COUNT }>) -> R) -> R {
    f(&mut SHARED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Counts bytes in use, or no longer in use; returns how many are now.
fn count(bytes: isize) -> usize {
    let in_use = (IN_USE.fetch_add(bytes, Relaxed) + bytes).max(0) as usize;
    if in_use > PEAK.load(Relaxed) {
        PEAK.fetch_max(in_use, Relaxed);
    }
    in_use
}

/// The small blocks that a thread keeps.
struct Own {
    free: Free<{ SizeClass::SMALL_COUNT }>,
    /// Bytes taken, less those given back, since the thread last told.
    taken: isize,
}

impl Own {
    /// Calls `f` on this thread's, unless the thread is about to end.
    fn with<R>(f: impl FnOnce(&mut Own) -> R) -> Option<R> {
        OWN.try_with(|own| f(&mut own.borrow_mut())).ok()
    }

    /// A block of a small class.
    fn take(&mut self, class: SizeClass) -> Option<Block> {
        let block = self.free.0[class.0].pop()?;
        self.count(class.bytes() as isize);
        Some(block)
    }

    /// Keeps a block of a small class, or gives it back when there are enough.
    fn put(&mut self, class: SizeClass, block: Block) -> Option<Block> {
        let blocks = &mut self.free.0[class.0];
        if blocks.len() == KEPT {
            return Some(block);
        }
        blocks.push(block);
        self.count(-(class.bytes() as isize));
        None
    }

    fn count(&mut self, bytes: isize) {
        self.taken += bytes;
        if self.taken.unsigned_abs() >= LOT {
            self.tell();
        }
    }

    fn tell(&mut self) {
        count(std::mem::take(&mut self.taken));
    }

    /// Gives all blocks to all threads.
    fn share(&mut self) {
        self.tell();
        for (class, blocks) in self.free.0.iter_mut().enumerate() {
            shared(|free| free.0[class].append(blocks));
        }
    }
}

impl Drop for Own {
    /// What a thread kept is for all when it ends.
    fn drop(&mut self) {
        self.share();
    }
}

/// The end of a request that the system could not meet; `what` had `len` elements.
#[cold]
#[track_caller]
pub(crate) fn out_of_memory(what: impl fmt::Display, dtype: DType, len: usize) -> ! {
    let (bytes, in_use) = (len as u128 * dtype.size_in_bytes() as u128, memory_use().in_use);
    panic!("{what} of {dtype}: {bytes} bytes, beside {in_use} that tensors hold, are not there")
}

impl Memory {
    /// Memory of `len` elements, unless there is not so much; the contents are those of an earlier
    /// tensor, or zeros.
    #[inline]
    pub(crate) fn of_elements(dtype: DType, len: usize) -> Option<Memory> {
        // Blocks are up to a quarter larger than what is asked for.
        let addressable = |bytes: &usize| *bytes <= isize::MAX as usize / 2;
        Memory::allocate(len.checked_mul(dtype.size_in_bytes()).filter(addressable)?)
    }

    /// Memory for an operation's own use.
    ///
    /// # Panics
    /// When there is not so much.
    #[inline]
    pub(super) fn scratch<T: Element>(len: usize) -> Memory {
        match Memory::of_elements(T::DTYPE, len) {
            Some(memory) => memory,
            None => out_of_memory(format_args!("scratch: {len} elements"), T::DTYPE, len),
        }
    }

    /// Memory of `len` bytes.
    fn allocate(len: usize) -> Option<Memory> {
        let class = SizeClass::of(len);
        let capacity = class.bytes();
        if capacity == 0 {
            return Some(Memory { bytes: NonNull::dangling(), class, len });
        }
        let own = if class.is_small() { Own::with(|own| own.take(class)) } else { None };
        let bytes = match own.flatten() {
            Some(Block(bytes)) => bytes,
            None => from_all(class)?,
        };
        Some(Memory { bytes, class, len })
    }

    /// The first byte, as the address of elements; dangling when there are none.
    pub(super) fn start<T: Element>(&self) -> *mut T {
        self.bytes.as_ptr().cast()
    }

    pub(super) fn as_slice<T: Element>(&self) -> &[T] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: `bytes` holds `len` initialised bytes, aligned for every element type.
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

/// A block that threads keep together, or one from the system, for which all that is kept is given
/// up if need be.
#[cold]
fn from_all(class: SizeClass) -> Option<NonNull<u8>> {
    let found = shared(|free| free.0[class.0].pop());
    let bytes = match found {
        Some(Block(bytes)) => bytes,
        None => from_system(class).or_else(|| {
            empty_cache();
            from_system(class)
        })?,
    };
    count(class.bytes() as isize);
    Some(bytes)
}

/// A block of zeros.
fn from_system(class: SizeClass) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(class.bytes(), ALIGN).ok()?;
    // SAFETY: the layout's size is not 0.
    let bytes = NonNull::new(unsafe { alloc_zeroed(layout) })?;
    RESERVED.fetch_add(class.bytes(), Relaxed);
    Some(bytes)
}

fn to_system(class: SizeClass, block: Block) {
    RESERVED.fetch_sub(class.bytes(), Relaxed);
    // SAFETY: allocated in `from_system` with this size and alignment, and owned.
    unsafe {
        dealloc(block.0.as_ptr(), Layout::from_size_align_unchecked(class.bytes(), ALIGN));
    }
}

/// Gives what is kept back to the system, but for the small blocks of other threads.
pub(super) fn empty_cache() {
    Own::with(Own::share);
    for class in 1..SizeClass::COUNT {
        let blocks = shared(|free| std::mem::take(&mut free.0[class]));
        blocks.into_iter().for_each(|block| to_system(SizeClass(class), block));
    }
}

/// Keeps a block for all threads, or gives it back to the system when twice as much is kept as was
/// ever in use at once. A step of training needs other sizes at its end than at its beginning; with
/// less, it would give pages back that its next step asks for.
#[cold]
fn to_all(class: SizeClass, block: Block) {
    let capacity = class.bytes();
    let in_use = count(-(capacity as isize));
    if RESERVED.load(Relaxed).saturating_sub(in_use) / 2 <= PEAK.load(Relaxed).max(LITTLE) {
        shared(|free| free.0[class.0].push(block));
        return;
    }
    to_system(class, block);
}

impl Drop for Memory {
    /// Keeps the block for the next tensors.
    fn drop(&mut self) {
        if self.class.bytes() == 0 {
            return;
        }
        let block = Block(self.bytes);
        let left = match self.class.is_small() {
            true => {
                let mut block = Some(block);
                Own::with(|own| block = block.take().and_then(|block| own.put(self.class, block)));
                block
            }
            false => Some(block),
        };
        if let Some(block) = left {
            to_all(self.class, block);
        }
    }
}

pub(super) fn memory_use() -> MemoryUse {
    Own::with(Own::tell);
    let in_use = IN_USE.load(Relaxed).max(0) as usize;
    MemoryUse {
        in_use,
        peak: PEAK.load(Relaxed).max(in_use),
        cached: RESERVED.load(Relaxed).saturating_sub(in_use),
    }
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
        let mut last = SizeClass(0);
        for bytes in (0..5000).chain([1 << 20, (1 << 20) + 1, 3_000_001, 1 << 40]) {
            let class = SizeClass::of(bytes);
            let size = class.bytes();
            assert!(size >= bytes && size.is_multiple_of(ALIGN), "{bytes} -> {size}");
            assert!(bytes < 257 || size * 4 <= bytes * 5, "{bytes} -> {size}");
            assert!(
                class == last || class.0 == last.0 + 1 || bytes > 5000,
                "{bytes} skips a class"
            );
            assert_eq!(SizeClass::of(size), class);
            last = class;
        }
        assert!(SizeClass::of(isize::MAX as usize).0 < SizeClass::COUNT);
    }

    #[test]
    fn what_an_ended_thread_kept_serves_others() {
        let allocate = || Memory::allocate(15_000).unwrap();
        let address = |memory: &Memory| memory.bytes.as_ptr() as usize;
        let kept = std::thread::spawn(move || {
            let held: Vec<Memory> = (0..KEPT).map(|_| allocate()).collect();
            held.iter().map(address).collect::<Vec<_>>()
        });
        let kept = kept.join().unwrap();
        let held: Vec<Memory> = (0..2 * KEPT).map(|_| allocate()).collect();
        assert!(held.iter().any(|memory| kept.contains(&address(memory))));
    }

    #[test]
    fn what_no_address_space_can_hold_is_refused() {
        for len in [1 << 58, 1 << 61, (1 << 62) - 1, usize::MAX] {
            assert!(Memory::of_elements(DType::F32, len).is_none());
        }
    }

    #[test]
    fn a_freed_buffer_serves_the_next_request_of_its_size() {
        let first = Memory::scratch::<f64>(123_457);
        let address = first.bytes;
        drop(first);
        let second = Memory::scratch::<f64>(123_400);
        assert_eq!(address, second.bytes);
    }
}
