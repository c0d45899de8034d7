//! Device memory, recycled by size. A block goes back to the pool when its tensor is dropped, even
//! while the device still works with it: the queue runs commands in order, so whoever gets the block
//! next writes it after that work. The host, which can write past the recorded commands, asks
//! [`Memory::last_used`] first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{BufferDescriptor, BufferUsages, ErrorFilter};

use crate::Counters;

/// A block of the device's memory.
pub(crate) struct Block {
    pub(crate) buffer: wgpu::Buffer,
    /// Unique, so that what refers to the block can be found again.
    pub(crate) id: u64,
    /// The last batch of commands that uses it.
    used: AtomicU64,
}

/// What a tensor holds: a block that returns to its pool.
pub(crate) struct Memory {
    block: Option<Block>,
    pool: Arc<Pool>,
}

pub(crate) struct Pool {
    device: wgpu::Device,
    /// Bytes that blocks may take in all.
    limit: u64,
    free: Mutex<HashMap<u64, Vec<Block>>>,
    next_id: AtomicU64,
    in_use: AtomicUsize,
    peak: AtomicUsize,
    cached: AtomicUsize,
    allocations: AtomicUsize,
}

/// The size of the block for so many bytes: four sizes between a power of two and the next, so that
/// at most a fifth is wasted.
pub(crate) fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 8).max(64);
    bytes.next_multiple_of(step)
}

impl Pool {
    pub(crate) fn new(device: wgpu::Device, limit: u64) -> Arc<Pool> {
        Arc::new(Pool {
            device,
            limit,
            free: Mutex::default(),
            next_id: AtomicU64::new(1),
            in_use: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            cached: AtomicUsize::new(0),
            allocations: AtomicUsize::new(0),
        })
    }

    fn free(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Block>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of at least so many bytes; `None` if the device has none left beside what is kept aside.
    pub(crate) fn take(self: &Arc<Self>, bytes: u64) -> Option<Memory> {
        let size = size_class(bytes);
        let kept = self.free().get_mut(&size).and_then(Vec::pop);
        let block = match kept {
            Some(block) => {
                self.cached.fetch_sub(size as usize, Ordering::Relaxed);
                block
            }
            None => self.allocate(size)?,
        };
        let now = self.in_use.fetch_add(size as usize, Ordering::Relaxed) + size as usize;
        self.peak.fetch_max(now, Ordering::Relaxed);
        Some(Memory { block: Some(block), pool: self.clone() })
    }

    fn allocate(&self, size: u64) -> Option<Block> {
        let held = self.in_use.load(Ordering::Relaxed) + self.cached.load(Ordering::Relaxed);
        if held as u64 + size > self.limit {
            return None;
        }
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: None,
            size,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        // Any other fault, such as a device that is lost, is reported when a value is read.
        if pollster::block_on(scope.pop()).is_some() {
            return None;
        }
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Some(Block { buffer, id, used: AtomicU64::new(0) })
    }

    /// Gives what is kept aside back to the driver, which frees what nothing else refers to.
    pub(crate) fn empty(&self) {
        let mut free = self.free();
        let size = |(size, blocks): (&u64, &Vec<Block>)| *size as usize * blocks.len();
        let bytes: usize = free.iter().map(size).sum();
        self.cached.fetch_sub(bytes, Ordering::Relaxed);
        free.clear();
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            in_use: self.in_use.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            cached: self.cached.load(Ordering::Relaxed),
            allocations: self.allocations.load(Ordering::Relaxed),
            ..Counters::default()
        }
    }
}

impl Memory {
    pub(crate) fn block(&self) -> &Block {
        match &self.block {
            Some(block) => block,
            None => unreachable!("memory: a block that was given back"),
        }
    }

    /// Notes that a batch of commands uses it.
    pub(crate) fn use_in(&self, batch: u64) {
        self.block().used.store(batch, Ordering::Relaxed);
    }

    /// The last batch that does.
    pub(crate) fn last_used(&self) -> u64 {
        self.block().used.load(Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(block) = self.block.take() else { return };
        let size = block.buffer.size();
        self.pool.in_use.fetch_sub(size as usize, Ordering::Relaxed);
        self.pool.cached.fetch_add(size as usize, Ordering::Relaxed);
        self.pool.free().entry(size).or_default().push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_waste_at_most_a_fifth() {
        assert_eq!(size_class(1), 256);
        for bytes in (256..100_000).step_by(4) {
            let size = size_class(bytes);
            assert!(size >= bytes && size.is_multiple_of(4) && size_class(size) == size);
            assert!(bytes < 512 || (size - bytes) * 5 <= size, "{bytes} in {size}");
        }
    }
}
