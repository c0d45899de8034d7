//! Reading and adding at positions that an index names.
//!
//! ```text
//! gather       out[i, j]            = input[i, index[i, j]]
//! scatter_add  out[i, index[i, j]] += source[i, j]
//! ```
//!
//! A gather has a thread for each element. A sum's order must not be chance, and floats have no atomic
//! addition. So a thread has a whole line along the axis, whose elements nobody else writes; where there are
//! few lines and few places, a thread has a place of the target and looks for all that leads there.
//!
//! An index that names nothing cannot stop the program, which is far ahead by then. The kernel reads 0 or
//! adds nothing, and leaves a note that the host finds when it next reads a value.

use plies_tensor::DType;

use super::{Bound, MOST, Seen, THREADS, code, push_strides, strides_in};
use crate::fault::Fault;
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, coordinates, fill, head, place};
use crate::strided::{Operand, halves, join_axes};

/// Bytes of the note.
pub(crate) const COMPLAINT: usize = 16;

/// What a note says.
pub(crate) fn complaint(words: [i32; 4]) -> Option<Fault> {
    let operation = match words[0] {
        1 => "gather",
        2 => "scatter_add",
        _ => return None,
    };
    let [_, index, size, _] = words;
    let reason = format!("index {index} is out of range for an axis of {size} elements");
    Some(Fault { operation, reason })
}

/// Most lines, and elements that are compared, for a thread for each place.
const FEW: [usize; 2] = [1024, 1 << 28];

/// Result, index and input over the dimensions of the index; the input has stride 0 along the axis, where
/// `size` elements lie `step` apart.
pub(crate) fn gather<'a>(
    gpu: &'a Shared,
    dtype: DType,
    [size, step]: [isize; 2],
    mut dims: Vec<usize>,
    mut operands: Vec<Operand<'a>>,
) {
    if dims.contains(&0) {
        return;
    }
    join_axes(&mut dims, &mut operands);
    let count: usize = dims.iter().product();
    // All of the axis, wherever the index leads.
    let mut whole = operands[2].clone();
    whole.strides.push(step);
    let seen = [Seen::write(dtype), Seen::read(DType::I32)];
    let bound = Bound::all(&operands[..2], &seen, &dims, gpu.sight()).and_then(|mut bound| {
        let reach = [&*dims, &[size as usize]].concat();
        bound.add(&whole, &reach, Seen::read(dtype), gpu.sight())?;
        note(gpu, &mut bound);
        Some(bound)
    });
    let Some(bound) = bound.filter(|_| count <= MOST) else {
        let parts = halves(&dims, &operands, dims.len());
        let parts = parts.unwrap_or_else(|| gpu.unsupported("gather from so large a tensor"));
        return parts
            .into_iter()
            .for_each(|(dims, operands)| gather(gpu, dtype, [size, step], dims, operands));
    };
    let mut numbers = Numbers::default();
    numbers.size(count);
    numbers.step(size);
    numbers.step(step);
    dims.iter().for_each(|&dim| numbers.size(dim));
    for (operand, &offset) in operands.iter().zip(&bound.offsets) {
        push_strides(&mut numbers, offset, &operand.strides);
    }
    let mut class = vec![code(dtype), dims.len() as u32];
    class.extend(bound.class());
    let key = Key { kernel: "gather", formula: None, class };
    let groups = (count as u64).div_ceil(THREADS);
    gpu.launch(key, &bound.bindings, &numbers, groups, || {
        let mut slots = Slots::default();
        let (count, size, step) = (slots.u32(), slots.i32(), slots.i32());
        let names = bound.of.iter().map(|i| format!("b{i}")).collect::<Vec<_>>();
        let words = [
            ("count", &*count),
            ("size", &size),
            ("step", &step),
            ("places", &places(&mut slots, dims.len(), 3)),
            ("out", &names[0]),
            ("index", &names[1]),
            ("input", &names[2]),
            ("complaint", &names[3]),
        ];
        head(dtype, 1, &bound.buffers) + &fill(include_str!("gather.wgsl"), &words)
    });
}

/// Adds the place for a note.
fn note<'a>(gpu: &'a Shared, bound: &mut Bound<'a>) {
    let words = COMPLAINT / 4;
    let operand = Operand::contiguous(&gpu.complaint, words, &[words]);
    bound.add(&operand, &[words], Seen::write(DType::I32), gpu.sight());
}

/// Where each operand is.
fn places(slots: &mut Slots, rank: usize, operands: usize) -> String {
    let dims: Vec<String> = (0..rank).map(|_| slots.u32()).collect();
    let mut text = coordinates("i", &dims);
    for k in 0..operands {
        let (offset, strides) = strides_in(slots, rank);
        text += &format!("    let a{k} = {offset} + {};\n", place("i", &strides));
    }
    text
}

/// Target, index and source over the axes outside of the one that is indexed. Along it the target has
/// `size` elements, the others `length`, `steps` apart.
pub(crate) fn scatter_add<'a>(
    gpu: &'a Shared,
    dtype: DType,
    [size, length]: [usize; 2],
    steps: [isize; 3],
    mut dims: Vec<usize>,
    mut operands: Vec<Operand<'a>>,
) {
    if dims.contains(&0) || length == 0 {
        return;
    }
    join_axes(&mut dims, &mut operands);
    let count: usize = dims.iter().product();
    let mut bound = Bound::empty();
    let seen = [Seen::write(dtype), Seen::read(DType::I32), Seen::read(dtype)];
    for (i, operand) in operands.iter().enumerate() {
        let mut whole = operand.clone();
        whole.strides.push(steps[i]);
        let reach = [&*dims, &[if i == 0 { size } else { length }]].concat();
        if bound.add(&whole, &reach, seen[i], gpu.sight()).is_none() || count * size > MOST {
            gpu.unsupported("scatter_add to a tensor that is larger than a kernel sees");
        }
    }
    note(gpu, &mut bound);
    let few = count < FEW[0] && count * size * length < FEW[1];
    let mut numbers = Numbers::default();
    numbers.size(count);
    [size as isize, length as isize].iter().chain(&steps).for_each(|&n| numbers.step(n));
    dims.iter().for_each(|&dim| numbers.size(dim));
    for (operand, &offset) in operands.iter().zip(&bound.offsets) {
        push_strides(&mut numbers, offset, &operand.strides);
    }
    let mut class = vec![code(dtype), dims.len() as u32, few.into()];
    class.extend(bound.class());
    let key = Key { kernel: "scatter_add", formula: None, class };
    let threads = if few { count * size } else { count };
    gpu.launch(key, &bound.bindings, &numbers, (threads as u64).div_ceil(THREADS), || {
        let mut slots = Slots::default();
        let count = slots.u32();
        let [size, length, step, index_step, source_step] = [(); 5].map(|()| slots.i32());
        let names = bound.of.iter().map(|i| format!("b{i}")).collect::<Vec<_>>();
        let words = [
            ("count", &*count),
            ("size", &size),
            ("length", &length),
            ("step", &step),
            ("index_step", &index_step),
            ("source_step", &source_step),
            ("places", &places(&mut slots, dims.len(), 3)),
            ("out", &names[0]),
            ("index", &names[1]),
            ("source", &names[2]),
            ("complaint", &names[3]),
        ];
        let text = match few {
            true => include_str!("scatter_places.wgsl"),
            false => include_str!("scatter_lines.wgsl"),
        };
        head(dtype, 1, &bound.buffers) + &fill(text, &words)
    });
}
