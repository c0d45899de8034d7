//! Elements of one type as elements of another.

use plies_tensor::DType;

use super::{Bindings, MOST, THREADS, Usage, code, places, push_places};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, each, fill, head};
use crate::strided::{Operand, halves, join_axes};

/// `operands` are the input and a result over `dims`.
pub(crate) fn cast<'a>(
    gpu: &Shared,
    dtypes: [DType; 2],
    mut dims: Vec<usize>,
    mut operands: Vec<Operand<'a>>,
) {
    if dims.contains(&0) {
        return;
    }
    join_axes(&mut dims, &mut operands);
    let count: usize = dims.iter().product();
    let usage = [Usage::read(dtypes[0]), Usage::write(dtypes[1])];
    let bindings = Bindings::all(&operands, &usage, &dims, gpu.limits()).filter(|_| count <= MOST);
    let Some(bindings) = bindings else {
        let parts = halves(&dims, &operands, dims.len());
        let parts = parts.unwrap_or_else(|| gpu.unsupported("cast of so large a tensor"));
        return parts.into_iter().for_each(|(dims, operands)| cast(gpu, dtypes, dims, operands));
    };
    let mut numbers = Numbers::default();
    numbers.size(count);
    push_places(&mut numbers, &dims, &operands, &bindings.offsets);
    let class = vec![code(dtypes[0]), code(dtypes[1]), dims.len() as u32];
    let key = Key { kernel: "to_dtype", formula: None, class };
    let groups = (count as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || {
        let mut slots = Slots::default();
        let count = slots.u32();
        let places = places(&mut slots, dims.len(), 2);
        let name = if dtypes[1] == DType::I32 { "to_integer" } else { "to_float" };
        let words = [("places", &*places), ("cast", name)];
        let head = head(dtypes[1], 1, &bindings.buffers);
        each(head, &count, &fill(include_str!("cast.wgsl"), &words))
    });
}
