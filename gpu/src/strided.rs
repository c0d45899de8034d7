//! Operands as kernels see them: a block of memory, where the first element lies, and a stride for
//! each axis of the loop that they share.

use plies_tensor::{Layout, Target, View};

use crate::pool::Memory;
use crate::queue::Binding;

/// A strided view of device memory, in elements.
#[derive(Clone)]
pub(crate) struct Operand<'a> {
    pub(crate) memory: &'a Memory,
    /// Number of elements of the whole buffer.
    pub(crate) len: usize,
    pub(crate) offset: isize,
    pub(crate) strides: Vec<isize>,
}

/// Limits of what a kernel can see at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindingLimits {
    /// Bytes.
    pub(crate) largest: u64,
    /// Bytes that a part of a buffer must begin at a multiple of.
    pub(crate) alignment: u64,
}

/// Bytes of an element; a device has no other types.
pub(crate) const ELEMENT: u64 = 4;

impl<'a> Operand<'a> {
    pub(crate) fn of(view: View<'a>) -> Self {
        Operand::new(view.buffer.memory(), view.buffer.len(), view.layout)
    }

    pub(crate) fn of_target(target: &'a Target<'_>) -> Self {
        Operand::new(target.buffer.memory(), target.buffer.len(), target.layout)
    }

    fn new(memory: &'a Memory, len: usize, layout: &Layout) -> Self {
        let strides = layout.strides().to_vec();
        Operand { memory, len, offset: layout.offset() as isize, strides }
    }

    /// Row-major memory.
    pub(crate) fn contiguous(memory: &'a Memory, len: usize, dims: &[usize]) -> Self {
        Operand { memory, len, offset: 0, strides: row_major(dims) }
    }

    /// Smallest and largest element that is visited.
    fn extent(&self, dims: &[usize]) -> [isize; 2] {
        let [mut low, mut high] = [self.offset; 2];
        for (&dim, &stride) in dims.iter().zip(&self.strides) {
            let span = (dim.max(1) as isize - 1) * stride;
            if span < 0 { low += span } else { high += span }
        }
        [low, high]
    }

    /// What a kernel has to see, and where the first element lies in it; `None` when that is more
    /// than it can.
    pub(crate) fn binding(
        &self,
        dims: &[usize],
        limits: BindingLimits,
    ) -> Option<(Binding<'a>, isize)> {
        let memory = self.memory;
        let size = memory.block().buffer.size();
        if size <= limits.largest {
            return Some((Binding { memory, start: 0, bytes: size }, self.offset));
        }
        let [low, high] = self.extent(dims);
        let start = (low as u64 * ELEMENT) / limits.alignment * limits.alignment;
        // To whole vectors of four.
        let end = ((high as u64 + 1) * ELEMENT).next_multiple_of(4 * ELEMENT).min(size);
        let bytes = end - start;
        let offset = self.offset - (start / ELEMENT) as isize;
        (bytes <= limits.largest).then_some((Binding { memory, start, bytes }, offset))
    }

    /// The elements from `start` on along an axis.
    pub(crate) fn from(&self, axis: usize, start: usize) -> Self {
        let offset = self.offset + start as isize * self.strides[axis];
        Operand { offset, ..self.clone() }
    }
}

/// Strides of a row-major buffer.
pub(crate) fn row_major(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1] as isize;
    }
    strides
}

/// Joins neighbouring axes that every operand walks as one, and drops those of one element.
pub(crate) fn join_axes(dims: &mut Vec<usize>, operands: &mut [Operand<'_>]) {
    for axis in (0..dims.len()).rev() {
        if dims[axis] == 1 {
            dims.remove(axis);
            remove_axis(operands, axis);
        } else if axis + 1 < dims.len() {
            let inner = dims[axis + 1] as isize;
            if operands.iter().all(|o| o.strides[axis] == o.strides[axis + 1] * inner) {
                dims[axis] *= dims.remove(axis + 1);
                remove_axis(operands, axis);
            }
        }
    }
}

fn remove_axis(operands: &mut [Operand<'_>], axis: usize) {
    for operand in operands {
        operand.strides.remove(axis);
    }
}

/// The same work in two parts, cut along its longest axis among the first `axes`; `None` where none
/// can be cut.
pub(crate) fn halves<'a>(
    dims: &[usize],
    operands: &[Operand<'a>],
    axes: usize,
) -> Option<[(Vec<usize>, Vec<Operand<'a>>); 2]> {
    let axis = (0..axes).max_by_key(|&axis| (dims[axis], usize::MAX - axis))?;
    let half = dims[axis] / 2;
    if half == 0 {
        return None;
    }
    let part = |start: usize, n: usize| {
        let mut dims = dims.to_vec();
        dims[axis] = n;
        (dims, operands.iter().map(|operand| operand.from(axis, start)).collect())
    };
    Some([part(0, half), part(half, dims[axis] - half)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_every_operand_walks_as_one_are_joined() {
        let device = crate::gpu::tests::open();
        let Some(gpu) = device else { return };
        let memory = gpu.scratch(1);
        let operand = |strides: &[isize]| Operand {
            memory: &memory,
            len: 1,
            offset: 0,
            strides: strides.to_vec(),
        };
        let mut dims = vec![2, 1, 3, 4, 5];
        let mut operands = [operand(&[60, 7, 20, 5, 1]), operand(&[0, 7, 0, 5, 1])];
        join_axes(&mut dims, &mut operands);
        assert_eq!(dims, [6, 20]);
        assert_eq!(operands.map(|o| o.strides), [[20, 1], [0, 1]]);
    }
}
