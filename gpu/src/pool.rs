//! Device memory, recycled by size. A block goes back to the pool when its tensor is dropped, even
//! while the device still works with it: the queue runs commands in order, so whoever gets the block
//! next writes it after that work. The host, which can write past the recorded commands, asks
//! [`Memory::last_used`] first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wgpu::{BufferDescriptor, BufferUsages, ErrorFilter};

use crate::Counters;
use crate::fault::Fault;

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
    /// Why there was no memory.
    missing: Option<String>,
    /// Why its values are not what they should be.
    spoilt: OnceLock<Fault>,
}

/// The number of the block that stands where there was no memory.
const NO_BLOCK: u64 = 0;

pub(crate) struct Pool {
    device: wgpu::Device,
    /// Bytes that blocks may take in all.
    limit: u64,
    /// Stands where there was no memory; no kernel is given it.
    nothing: wgpu::Buffer,
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

fn buffer(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    device.create_buffer(&BufferDescriptor {
        label: None,
        size,
        usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

impl Pool {
    pub(crate) fn new(device: wgpu::Device, limit: u64) -> Arc<Pool> {
        Arc::new(Pool {
            nothing: buffer(&device, 256),
            device,
            limit,
            free: Mutex::default(),
            next_id: AtomicU64::new(NO_BLOCK + 1),
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
        Some(self.memory(block, None))
    }

    /// What stands for a tensor that there was no memory for.
    pub(crate) fn missing(self: &Arc<Self>, reason: String) -> Memory {
        let block = Block { buffer: self.nothing.clone(), id: NO_BLOCK, used: AtomicU64::new(0) };
        self.memory(block, Some(reason))
    }

    fn memory(self: &Arc<Self>, block: Block, missing: Option<String>) -> Memory {
        Memory { block: Some(block), pool: self.clone(), missing, spoilt: OnceLock::new() }
    }

    fn allocate(&self, size: u64) -> Option<Block> {
        let held = self.in_use.load(Ordering::Relaxed) + self.cached.load(Ordering::Relaxed);
        if held as u64 + size > self.limit {
            return None;
        }
        let scope = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let buffer = buffer(&self.device, size);
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

    /// What went wrong with the values, if something has; memory that was missing is missed by the operation
    /// that needs it first.
    pub(crate) fn fault(&self, operation: &'static str) -> Option<Fault> {
        let missing = || Some(Fault { operation, reason: self.missing.clone()? });
        self.spoilt.get().cloned().or_else(missing)
    }

    /// From now on these are no values. Whether it is memory that was missing, and nobody knew yet.
    pub(crate) fn spoil(&self, fault: &Fault) -> bool {
        self.spoilt.set(fault.clone()).is_ok() && self.missing.is_some()
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
        let Some(block) = self.block.take().filter(|block| block.id != NO_BLOCK) else { return };
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
