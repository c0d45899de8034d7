//! Elements of one type as elements of another.

use plies_tensor::DType;

use super::{Bound, MOST, Seen, THREADS, code, push_strides, strides_in};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, coordinates, fill, head, place};
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
    let seen = [Seen::read(dtypes[0]), Seen::write(dtypes[1])];
    let bound = Bound::all(&operands, &seen, &dims, gpu.sight()).filter(|_| count <= MOST);
    let Some(bound) = bound else {
        let parts = halves(&dims, &operands, dims.len());
        let parts = parts.unwrap_or_else(|| gpu.unsupported("cast of so large a tensor"));
        return parts.into_iter().for_each(|(dims, operands)| cast(gpu, dtypes, dims, operands));
    };
    let mut numbers = Numbers::default();
    numbers.size(count);
    dims.iter().for_each(|&dim| numbers.size(dim));
    for (operand, &offset) in operands.iter().zip(&bound.offsets) {
        push_strides(&mut numbers, offset, &operand.strides);
    }
    let class = vec![code(dtypes[0]), code(dtypes[1]), dims.len() as u32];
    let key = Key { kernel: "to_dtype", formula: None, class };
    let groups = (count as u64).div_ceil(THREADS);
    gpu.launch(key, &bound.bindings, &numbers, groups, || {
        let mut slots = Slots::default();
        let count = slots.u32();
        let sizes: Vec<String> = dims.iter().map(|_| slots.u32()).collect();
        let mut places = coordinates("i", &sizes);
        for k in 0..2 {
            let (offset, strides) = strides_in(&mut slots, dims.len());
            places += &format!("    let a{k} = {offset} + {};\n", place("i", &strides));
        }
        let name = if dtypes[1] == DType::I32 { "to_integer" } else { "to_float" };
        let words = [("count", &*count), ("places", &places), ("cast", name)];
        head(dtypes[1], 1, &bound.buffers) + &fill(include_str!("cast.wgsl"), &words)
    });
}
