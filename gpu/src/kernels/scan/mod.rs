//! Along an axis: positions of extremes, and running sums.
//!
//! A line belongs to as many threads as its length is worth. An extreme is found like a sum, by a tree, whose
//! values carry their positions. Running sums go along the line a stretch at a time: within it each thread
//! adds the sum of the n elements before its own for n = 1, 2, 4 … (Hillis and Steele 1986), and the whole
//! stretch is added to the next one.

use plies_tensor::{ArgReduce, DType};

use super::{Bound, MOST, Seen, code, push_strides, strides_in};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, coordinates, fill, head, place};
use crate::strided::{Operand, join_axes};

/// A line of so many elements, so far apart.
pub(crate) struct Line {
    pub(crate) length: usize,
    pub(crate) step: isize,
    /// In the result.
    pub(crate) out_step: isize,
}

/// `operands` are the input and the result over the axes outside of the line.
pub(crate) fn arg_reduce(
    gpu: &Shared,
    op: ArgReduce,
    dtype: DType,
    line: &Line,
    dims: Vec<usize>,
    operands: Vec<Operand<'_>>,
) {
    let lanes = line.length.next_power_of_two().div_ceil(4).clamp(1, 256);
    let beats = if op == ArgReduce::Max { ">" } else { "<" };
    let is_nan = |name: &str| match dtype {
        DType::I32 => "false".to_owned(),
        _ => format!("(bitcast<u32>({name}) & 0x7fffffffu) > 0x7f800000u"),
    };
    let (x, y) = (is_nan("x"), is_nan("y"));
    let words = [("beats", beats), ("x_is_nan", &*x), ("y_is_nan", &*y)];
    let kernel = Kernel {
        name: "argmax",
        text: include_str!("arg_reduce.wgsl"),
        words: &words,
        class: op as u32,
        out: DType::I32,
    };
    kernel.run(gpu, dtype, line, lanes, dims, operands);
}

/// Running sums; operands as in [`arg_reduce`].
pub(crate) fn cumsum(
    gpu: &Shared,
    dtype: DType,
    line: &Line,
    dims: Vec<usize>,
    operands: Vec<Operand<'_>>,
) {
    let lanes = if line.length <= 64 { 1 } else { 256 };
    let text = include_str!("cumsum.wgsl");
    let kernel = Kernel { name: "cumsum", text, words: &[], class: 0, out: dtype };
    kernel.run(gpu, dtype, line, lanes, dims, operands);
}

struct Kernel<'a> {
    name: &'static str,
    text: &'a str,
    words: &'a [(&'a str, &'a str)],
    class: u32,
    /// What the result's elements are.
    out: DType,
}

impl Kernel<'_> {
    fn run(
        &self,
        gpu: &Shared,
        dtype: DType,
        line: &Line,
        lanes: usize,
        mut dims: Vec<usize>,
        mut operands: Vec<Operand<'_>>,
    ) {
        if dims.contains(&0) || line.length == 0 {
            return;
        }
        join_axes(&mut dims, &mut operands);
        let count: usize = dims.iter().product();
        let mut bound = Bound::empty();
        let seen = [Seen::read(dtype), Seen::write(self.out)];
        for (i, operand) in operands.iter().enumerate() {
            let mut whole = operand.clone();
            whole.strides.push([line.step, line.out_step][i]);
            let reach = [&*dims, &[line.length]].concat();
            let fits = bound.add(&whole, &reach, seen[i], gpu.sight()).is_some();
            if !fits || count * line.length > MOST {
                gpu.unsupported(&format!("{} of more than a kernel sees", self.name));
            }
        }
        let mut numbers = Numbers::default();
        numbers.size(count);
        numbers.size(line.length);
        numbers.step(line.step);
        numbers.step(line.out_step);
        dims.iter().for_each(|&dim| numbers.size(dim));
        for (operand, &offset) in operands.iter().zip(&bound.offsets) {
            push_strides(&mut numbers, offset, &operand.strides);
        }
        let class = vec![code(dtype), self.class, lanes as u32, dims.len() as u32];
        let key = Key { kernel: self.name, formula: None, class };
        let groups = count.div_ceil(256 / lanes) as u64;
        gpu.launch(key, &bound.bindings, &numbers, groups, || {
            let mut slots = Slots::default();
            let (count, length) = (slots.u32(), slots.u32());
            let (step, out_step) = (slots.i32(), slots.i32());
            let sizes: Vec<String> = dims.iter().map(|_| slots.u32()).collect();
            let mut places = coordinates("i", &sizes);
            let mut out = String::new();
            for k in 0..2 {
                let (offset, strides) = strides_in(&mut slots, dims.len());
                places += &format!("    let a{k} = {offset} + {};\n", place("i", &strides));
                out = offset;
            }
            let lanes = lanes.to_string();
            let mut words = vec![
                ("lanes", &*lanes),
                ("count", &count),
                ("length", &length),
                ("step", &step),
                ("out_step", &out_step),
                ("places", &places),
                ("out", &out),
            ];
            words.extend(self.words);
            head(dtype, 1, &bound.buffers) + &fill(self.text, &words)
        });
    }
}
