//! The processor as a backend. In the order in which it can be read:
//!
//! 1. **The machine.** `isa` chooses the vector instructions while the program runs, and compiles a
//!    loop for each; `memory` recycles blocks by size; `parallel` shares a loop among threads, and
//!    `team` has them; `prefetch` asks for what will be read.
//! 2. **A formula over a block** of a thousand elements, which stays in the first-level cache.
//!    `primitive` has a loop for each step, on the functions of `math`, and `angles` those of sine and
//!    cosine; `walk` brings elements of any strides in order; `evaluate` links the steps and runs them.
//! 3. **One pass over memory.** `map` runs a formula over all blocks; `accumulate` and `reduce` join
//!    its values, in an order that depends on the shape alone; `scan` has running sums and sorting,
//!    `index` reads and adds at positions, `pool` looks for the largest in windows. Most of this is
//!    bound by the memory that holds the operands.
//! 4. **Products**, bound by arithmetic. `gemm` is one product, and `matmul` a batch of them;
//!    `contract` makes convolutions products over windows that overlap; `recur` applies a cell along
//!    sequences, for each step a small product and a pass through `cells`, whose rows `placed` finds.
//! 5. `philox` gives the i-th random number.
//!
//! How near each is to what the machine can do stands in the crate's README. This folder is the only
//! place in the libraries with unsafe code.

mod isa;
mod memory;
mod parallel;
mod prefetch;
#[cfg(feature = "rayon")]
mod team;

mod angles;
mod evaluate;
mod math;
mod primitive;
mod walk;

mod accumulate;
mod index;
mod map;
mod pool;
mod reduce;
mod scan;

mod cells;
mod contract;
mod gemm;
mod matmul;
mod placed;
mod recur;

mod philox;

use std::any::Any;

pub(crate) use isa::Isa;
pub use isa::{Loop, instruction_set, vectorised};
pub use parallel::{set_threads, threads};
pub(crate) use philox::philox;

use crate::backend::{
    ArgReduce, Backend, Buffer, Contraction, Distribution, Epilogue, MemoryUse, OtherRows,
    OutOfRange, Target, View, Windows,
};
use crate::recurrence::by_definition;
use crate::{DType, Element, Formula, Recurrence, Reduce, Result};
use memory::elements;
pub(crate) use memory::{Memory, out_of_memory};

/// Calls a generic function with the Rust type of a dtype.
macro_rules! with_element {
    ($dtype:expr, $t:ident => $call:expr) => {
        match $dtype {
            DType::F32 => {
                type $t = f32;
                $call
            }
            DType::F64 => {
                type $t = f64;
                $call
            }
            DType::I32 => {
                type $t = i32;
                $call
            }
        }
    };
}

pub(crate) struct Cpu;

fn slice_mut<T: Element>(buffer: &mut Buffer) -> &mut [T] {
    buffer.memory_mut::<Memory>().as_slice_mut()
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn allocate(&self, dtype: DType, len: usize) -> Box<dyn Any + Send + Sync> {
        match Memory::of_elements(dtype, len) {
            Some(memory) => Box::new(memory),
            None => out_of_memory(format_args!("allocate: {len} elements"), dtype, len),
        }
    }

    fn write(&self, target: &mut Buffer, bytes: &[u8]) {
        with_element!(target.dtype(), T => {
            bytemuck::cast_slice_mut::<T, u8>(slice_mut::<T>(target)).copy_from_slice(bytes);
        });
    }

    fn read(&self, source: &Buffer, start: usize, bytes: &mut [u8]) -> Result<()> {
        with_element!(source.dtype(), T => {
            let data: &[T] = source.memory::<Memory>().as_slice();
            let len = bytes.len() / size_of::<T>();
            bytes.copy_from_slice(bytemuck::cast_slice(&data[start..start + len]));
        });
        Ok(())
    }

    fn map(
        &self,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
        in_place: bool,
    ) {
        with_element!(targets[0].buffer.dtype(), T => {
            map::map::<T>(formula, inputs, scalars, targets, in_place);
        });
    }

    fn map_rows(
        &self,
        formula: &Formula,
        rows: &[usize],
        others: OtherRows,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
    ) {
        with_element!(targets[0].buffer.dtype(), T => {
            map::map_rows::<T>(formula, rows, others, inputs, scalars, targets);
        });
    }

    fn reduce(
        &self,
        op: Reduce,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        axes: &[bool],
        out: &mut Buffer,
    ) {
        with_element!(out.dtype(), T => {
            reduce::reduce::<T>(op, formula, inputs, scalars, axes, slice_mut(out));
        });
    }

    fn arg_reduce(&self, op: ArgReduce, input: View<'_>, axis: usize, out: &mut Buffer) {
        with_element!(input.buffer.dtype(), T => {
            scan::arg_reduce::<T>(op, input, axis, slice_mut(out));
        });
    }

    fn cumsum(&self, input: View<'_>, axis: usize, out: &mut Buffer) {
        match out.dtype() {
            DType::F32 => scan::cumsum::<f32>(input, axis, slice_mut(out), |_| 0.0),
            DType::F64 => scan::cumsum::<f64>(input, axis, slice_mut(out), |_| 0.0),
            DType::I32 => scan::cumsum::<i32>(input, axis, slice_mut(out), |whole| whole as i32),
        }
    }

    fn sort(
        &self,
        input: View<'_>,
        axis: usize,
        descending: bool,
        k: usize,
        values: &mut Buffer,
        indices: &mut Buffer,
    ) {
        with_element!(values.dtype(), T => {
            let values = slice_mut::<T>(values);
            scan::sort(input, axis, descending, k, values, slice_mut(indices));
        });
    }

    fn matmul(&self, a: View<'_>, b: View<'_>, epilogue: Option<Epilogue<'_>>, out: &mut Buffer) {
        let dims = matmul::product(a, b, out);
        if let Some(Epilogue { formula, inputs, scalars }) = epilogue {
            let target = Target { buffer: out, layout: &crate::Layout::contiguous(dims) };
            self.map(formula, inputs, scalars, &mut [target], true);
        }
    }

    fn recur(&self, recurrence: &Recurrence<'_>, states: &mut [Buffer], kept: &mut [Buffer]) {
        match recurrence.weight.buffer.dtype() {
            DType::F32 => recur::recur::<f32>(recurrence, states, kept),
            DType::F64 => recur::recur::<f64>(recurrence, states, kept),
            DType::I32 => by_definition(self, recurrence, states, kept),
        }
    }

    fn contract(
        &self,
        loops: Contraction,
        a: View<'_>,
        b: View<'_>,
        epilogue: Option<Epilogue<'_>>,
        out: Target<'_>,
    ) {
        contract::contract(loops, a, b, epilogue, out);
    }

    fn gather(
        &self,
        input: View<'_>,
        axis: usize,
        index: View<'_>,
        out: &mut Buffer,
    ) -> std::result::Result<(), OutOfRange> {
        index::check(&index, input.layout.dims()[axis])?;
        with_element!(out.dtype(), T => {
            index::gather::<T>(input, axis, index, slice_mut(out));
        });
        Ok(())
    }

    fn scatter_add(
        &self,
        target: &mut Buffer,
        dims: &[usize],
        axis: usize,
        index: View<'_>,
        source: View<'_>,
    ) -> std::result::Result<(), OutOfRange> {
        index::check(&index, dims[axis])?;
        match target.dtype() {
            DType::F32 => {
                let target = slice_mut::<f32>(target);
                index::scatter_add(target, dims, axis, index, source, |a, b| a + b);
            }
            DType::F64 => {
                let target = slice_mut::<f64>(target);
                index::scatter_add(target, dims, axis, index, source, |a, b| a + b);
            }
            DType::I32 => {
                let target = slice_mut::<i32>(target);
                index::scatter_add(target, dims, axis, index, source, i32::wrapping_add);
            }
        }
        Ok(())
    }

    fn max_pool(
        &self,
        input: View<'_>,
        windows: Windows,
        values: &mut Buffer,
        positions: &mut Buffer,
    ) {
        with_element!(values.dtype(), T => {
            pool::max_pool::<T>(input, windows, slice_mut(values), slice_mut(positions));
        });
    }

    fn random(&self, distribution: Distribution, seed: u64, block: u64, out: &mut Buffer) {
        match (distribution, out.dtype()) {
            (Distribution::Uniform, DType::F32) => {
                philox::fill_uniform_f32(seed, block, slice_mut(out));
            }
            (Distribution::Uniform, DType::F64) => {
                philox::fill_uniform_f64(seed, block, slice_mut(out));
            }
            (Distribution::Normal, DType::F32) => {
                philox::fill_normal_f32(seed, block, slice_mut(out));
            }
            (Distribution::Normal, DType::F64) => {
                philox::fill_normal_f64(seed, block, slice_mut(out));
            }
            (_, DType::I32) => panic!("random: i32 has no such distribution; use Rng::below"),
        }
    }

    fn cast(&self, input: View<'_>, out: &mut Buffer) {
        with_element!(input.buffer.dtype(), From => {
            with_element!(out.dtype(), To => cast::<From, To>(input, slice_mut(out)))
        });
    }

    fn memory_use(&self) -> MemoryUse {
        memory::memory_use()
    }

    fn empty_cache(&self) {
        memory::empty_cache();
    }
}

fn cast<From: Element, To: Element>(input: View<'_>, out: &mut [To]) {
    let data: &[From] = elements(&input);
    if input.layout.is_contiguous() {
        let data = &data[input.layout.offset()..];
        for (to, from) in out.iter_mut().zip(data) {
            *to = To::from_f64(from.to_f64());
        }
    } else {
        for (to, from) in out.iter_mut().zip(input.layout.indices()) {
            *to = To::from_f64(data[from].to_f64());
        }
    }
}
