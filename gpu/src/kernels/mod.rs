//! What the device runs: a folder for each kernel, with its text (WGSL), the Rust that chooses its
//! variant and gives it its numbers, and at the top what it computes and how.
//!
//! Workgroups have 256 threads, which every device has. A workgroup's number is folded into two
//! dimensions; what exceeds the work does nothing.

pub(crate) mod cast;
pub(crate) mod contract;
pub(crate) mod index;
pub(crate) mod map;
pub(crate) mod pool;
pub(crate) mod random;
pub(crate) mod recur;
pub(crate) mod reduce;
pub(crate) mod scan;
pub(crate) mod sort;

use plies_tensor::DType;

use crate::pipeline::Access;
use crate::queue::Binding;
use crate::shader::{Numbers, Slots, coordinates, place};
use crate::strided::{BindingLimits, Operand};

/// Threads of a workgroup.
pub(crate) const THREADS: u64 = 256;
/// The most elements that a kernel numbers, so that numbers fit an i32.
pub(crate) const MOST: usize = 1 << 30;

/// Operands with the buffers that a kernel is given for them; operands in one buffer share it.
pub(crate) struct Bindings<'a> {
    pub(crate) entries: Vec<(Binding<'a>, Access)>,
    /// What the text says of each buffer.
    pub(crate) buffers: Vec<(Access, DType, usize)>,
    /// The buffer of each operand.
    pub(crate) of: Vec<usize>,
    /// Where each operand begins in its buffer.
    pub(crate) offsets: Vec<isize>,
}

/// How a kernel sees an operand.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) access: Access,
    pub(crate) dtype: DType,
    /// Elements read or written at once.
    pub(crate) width: usize,
}

impl Usage {
    pub(crate) fn read(dtype: DType) -> Self {
        Usage { access: Access::Read, dtype, width: 1 }
    }

    pub(crate) fn write(dtype: DType) -> Self {
        Usage { access: Access::Write, dtype, width: 1 }
    }
}

impl<'a> Bindings<'a> {
    pub(crate) fn empty() -> Self {
        Bindings { entries: vec![], buffers: vec![], of: vec![], offsets: vec![] }
    }

    /// Adds an operand over `dims`; `None` if it is more than a kernel can see.
    pub(crate) fn add(
        &mut self,
        operand: &Operand<'a>,
        dims: &[usize],
        usage: Usage,
        limits: BindingLimits,
    ) -> Option<usize> {
        let (binding, offset) = operand.binding(dims, limits)?;
        let place = |b: &Binding<'_>| (b.memory.block().id, b.start, b.bytes);
        let same = (0..self.entries.len()).find(|&i| {
            place(&self.entries[i].0) == place(&binding)
                && self.buffers[i] == (usage.access, usage.dtype, usage.width)
        });
        let at = same.unwrap_or_else(|| {
            self.entries.push((binding, usage.access));
            self.buffers.push((usage.access, usage.dtype, usage.width));
            self.entries.len() - 1
        });
        self.of.push(at);
        self.offsets.push(offset);
        Some(at)
    }

    /// Operands over the same axes.
    pub(crate) fn all(
        operands: &[Operand<'a>],
        usage: &[Usage],
        dims: &[usize],
        limits: BindingLimits,
    ) -> Option<Self> {
        let mut bindings = Bindings::empty();
        for (operand, &usage) in operands.iter().zip(usage) {
            bindings.add(operand, dims, usage, limits)?;
        }
        Some(bindings)
    }

    /// Which operand is in which buffer, for a key.
    pub(crate) fn class(&self) -> impl Iterator<Item = u32> {
        self.of.iter().map(|&buffer| buffer as u32)
    }
}

/// Number of a dtype in a key.
pub(crate) fn code(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::F64 => 1,
        DType::I32 => 2,
    }
}

/// The strides of an operand as expressions, after its offset.
pub(crate) fn strides_in(slots: &mut Slots, rank: usize) -> (String, Vec<String>) {
    let offset = slots.i32();
    (offset, (0..rank).map(|_| slots.i32()).collect())
}

/// The numbers of [`strides_in`].
pub(crate) fn push_strides(numbers: &mut Numbers, offset: isize, strides: &[isize]) {
    numbers.step(offset);
    strides.iter().for_each(|&stride| numbers.step(stride));
}

/// Sizes of axes, and where each operand is at `i`: numbers that [`places`] finds.
pub(crate) fn push_places(
    numbers: &mut Numbers,
    dims: &[usize],
    operands: &[Operand<'_>],
    offsets: &[isize],
) {
    dims.iter().for_each(|&dim| numbers.size(dim));
    for (operand, &offset) in operands.iter().zip(offsets) {
        push_strides(numbers, offset, &operand.strides);
    }
}

/// `let a0 …`, where each operand is at the position `i` of so many axes.
pub(crate) fn places(slots: &mut Slots, rank: usize, operands: usize) -> String {
    let dims: Vec<String> = (0..rank).map(|_| slots.u32()).collect();
    let mut text = coordinates("i", &dims);
    for k in 0..operands {
        let (offset, strides) = strides_in(slots, rank);
        text += &format!("    let a{k} = {offset} + {};\n", place("i", &strides));
    }
    text
}
