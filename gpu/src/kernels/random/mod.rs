//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), word for word that of plies-tensor: a thread makes one
//! block of four words from its number. Uniform numbers are the CPU's to the bit, normal ones to a few
//! roundings of a logarithm.

use plies_tensor::{DType, Distribution};

use super::{Bindings, THREADS, Usage};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::pool::Memory;
use crate::shader::{Numbers, Slots, each, fill, functions, head};
use crate::strided::{ELEMENT, Operand};

pub(crate) fn random(
    gpu: &Shared,
    distribution: Distribution,
    [seed, block]: [u64; 2],
    memory: &Memory,
    len: usize,
) {
    // As many blocks as a kernel sees at once. A part begins where a binding may.
    let most = (gpu.limits().largest / gpu.limits().alignment * gpu.limits().alignment) as usize;
    let most = most / ELEMENT as usize;
    let mut start = 0;
    while start < len {
        let n = most.min(len - start);
        let out = Operand { memory, len, offset: start as isize, strides: vec![1] };
        // The last block may reach into what a block of memory has beyond its tensor.
        let usage = Usage { width: 4, ..Usage::write(DType::F32) };
        let mut bindings = Bindings::empty();
        if bindings.add(&out, &[n], usage, gpu.limits()).is_none() {
            gpu.unsupported("random numbers for so large a tensor");
        }
        let first = block.wrapping_add((start / 4) as u64);
        let blocks = n.div_ceil(4);
        let mut numbers = Numbers::default();
        numbers.size(blocks);
        numbers.0.extend([first as u32, (first >> 32) as u32, seed as u32, (seed >> 32) as u32]);
        let class = vec![distribution as u32];
        let key = Key { kernel: "random", formula: None, class };
        let groups = (blocks as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            let mut slots = Slots::default();
            let [count, low, high, seed_low, seed_high] = [(); 5].map(|()| slots.u32());
            let distribution = match distribution {
                Distribution::Uniform => "uniform",
                Distribution::Normal => "normal",
            };
            let words = [
                ("low", &*low),
                ("high", &high),
                ("seed_low", &seed_low),
                ("seed_high", &seed_high),
                ("distribution", distribution),
            ];
            let head = head(DType::F32, 1, &bindings.buffers) + functions(DType::F32);
            each(head, &count, &fill(include_str!("random.wgsl"), &words))
        });
        start += n;
    }
}
