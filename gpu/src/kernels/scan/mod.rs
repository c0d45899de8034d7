//! Along an axis: positions of extremes, and running sums.
//!
//! A line belongs to as many threads as its length is worth. An extreme is found like a sum, by a tree, whose
//! values carry their positions. Running sums go along the line a stretch at a time: within it each thread
//! adds the sum of the n elements before its own for n = 1, 2, 4 … (Hillis and Steele 1986), and the whole
//! stretch is added to the next one.
//!
//! Of more than a kernel sees, some lines come after the others; a line that is too long alone is walked in
//! parts, each of which takes up what the one before has left: the last sum, or the best so far.

use plies_tensor::{ArgReduce, DType};

use super::{Bindings, MOST, Usage, code, push_strides, strides_in};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::pool::Memory;
use crate::shader::{Numbers, Slots, Tree, coordinates, fill, head, place, together};
use crate::strided::{ELEMENT, Operand, halves, join_axes};

/// A line of so many elements, so far apart.
#[derive(Clone, Copy)]
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
    let tree = Tree {
        variables: &[["value", "values"], ["best", "positions"]],
        at: "thread",
        join: "if leads(other_value, other_best, value, best) { value = other_value; best = other_best; }",
        lanes,
        subgroup: gpu.subgroup(),
    };
    let tree = tree.text(false);
    let words = [("beats", beats), ("x_is_nan", &*x), ("y_is_nan", &*y), ("tree", &tree)];
    let kernel = Kernel {
        name: if op == ArgReduce::Max { "argmax" } else { "argmin" },
        text: include_str!("arg_reduce.wgsl"),
        words: &words,
        out: DType::I32,
        dtype,
        lanes,
    };
    kernel.run(gpu, *line, dims, operands);
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
    let kernel = Kernel { name: "cumsum", text, words: &[], out: dtype, dtype, lanes };
    kernel.run(gpu, *line, dims, operands);
}

struct Kernel<'a> {
    name: &'static str,
    text: &'a str,
    words: &'a [(&'a str, &'a str)],
    dtype: DType,
    /// What the result's elements are.
    out: DType,
    lanes: usize,
}

/// Which part of the lines.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// The place of its first element.
    first: usize,
    /// Where the best value so far is kept from one part to the next.
    best: Option<&'a Memory>,
}

impl Kernel<'_> {
    fn run(&self, gpu: &Shared, line: Line, mut dims: Vec<usize>, mut operands: Vec<Operand<'_>>) {
        if dims.contains(&0) || line.length == 0 {
            return;
        }
        join_axes(&mut dims, &mut operands);
        let whole = Part { first: 0, best: None };
        if self.launch(gpu, line, &dims, &operands, whole) {
            return;
        }
        if let Some(parts) = halves(&dims, &operands, dims.len()) {
            parts.into_iter().for_each(|(dims, operands)| self.run(gpu, line, dims, operands));
            return;
        }
        self.in_parts(gpu, line, &operands);
    }

    /// One line, a part after the other.
    fn in_parts(&self, gpu: &Shared, line: Line, operands: &[Operand<'_>]) {
        let step = line.step.abs().max(line.out_step.abs()).max(1) as u64;
        let limits = gpu.limits();
        // Less the element before, and what a binding begins too early and ends too late.
        let slack = limits.alignment + 8 * ELEMENT;
        let most = (limits.largest.saturating_sub(slack) / ELEMENT / step) as usize;
        let most = most.saturating_sub(1).min(MOST);
        // Whole stretches, so that sums are joined as they are in one part.
        let most = if most >= self.lanes { most / self.lanes * self.lanes } else { most };
        if most == 0 {
            gpu.unsupported(&format!("{} along steps of {step} elements", self.name));
        }
        let memory = gpu.scratch(1);
        let best = (self.name != "cumsum").then_some(&memory);
        for first in (0..line.length).step_by(most) {
            let mut part = operands.to_vec();
            part[0].offset += first as isize * line.step;
            part[1].offset += first as isize * line.out_step;
            let length = most.min(line.length - first);
            let line = Line { length, ..line };
            if !self.launch(gpu, line, &[], &part, Part { first, best }) {
                gpu.unsupported(&format!("{} of more than a kernel sees", self.name));
            }
        }
    }

    /// Whether a kernel can see so much.
    fn launch(
        &self,
        gpu: &Shared,
        line: Line,
        dims: &[usize],
        operands: &[Operand<'_>],
        Part { first, best }: Part<'_>,
    ) -> bool {
        let count: usize = dims.iter().product();
        let mut bindings = Bindings::empty();
        let usage = [Usage::read(self.dtype), Usage::write(self.out)];
        let mut fits = count * line.length <= MOST;
        for (i, operand) in operands.iter().enumerate() {
            let mut whole = operand.clone();
            let mut length = line.length;
            whole.strides.push([line.step, line.out_step][i]);
            let before = if i == 1 && first > 0 { line.out_step } else { 0 };
            if before != 0 {
                (whole.offset, length) = (whole.offset - before, length + 1);
            }
            let reach = [dims, &[length]].concat();
            fits = fits && bindings.add(&whole, &reach, usage[i], gpu.limits()).is_some();
            bindings.offsets.iter_mut().skip(i).for_each(|offset| *offset += before);
        }
        if !fits {
            return false;
        }
        let kept = best.map(|memory| Operand::contiguous(memory, 1, &[1]));
        if let Some(kept) = &kept {
            bindings.add(kept, &[1], Usage::write(self.dtype), gpu.limits());
        }
        let mut numbers = Numbers::default();
        [count, line.length, first].iter().for_each(|&n| numbers.size(n));
        numbers.step(line.step);
        numbers.step(line.out_step);
        dims.iter().for_each(|&dim| numbers.size(dim));
        for (operand, &offset) in operands.iter().zip(&bindings.offsets) {
            push_strides(&mut numbers, offset, &operand.strides);
        }
        let sizes = [code(self.dtype), self.lanes as u32, dims.len() as u32];
        let class = [&sizes[..], &[best.is_some().into()]].concat();
        let key = Key { kernel: self.name, formula: None, class };
        let groups = count.div_ceil(256 / self.lanes) as u64;
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            self.text(&bindings, dims.len(), best.is_some())
        });
        true
    }

    fn text(&self, bindings: &Bindings<'_>, rank: usize, in_parts: bool) -> String {
        let mut slots = Slots::default();
        let [count, length, first] = [(); 3].map(|()| slots.u32());
        let (step, out_step) = (slots.i32(), slots.i32());
        let sizes: Vec<String> = (0..rank).map(|_| slots.u32()).collect();
        let mut places = coordinates("i", &sizes);
        let mut out = String::new();
        for k in 0..2 {
            let (offset, strides) = strides_in(&mut slots, rank);
            places += &format!("    let a{k} = {offset} + {};\n", place("i", &strides));
            out = offset;
        }
        let earlier = match in_parts {
            false => String::new(),
            true => format!(
                "        let place = u32(b1[{out}]);
        if {first} > 0u && leads(b2[0], place, value, position) {{
            value = b2[0];
            position = place;
        }}
        b2[0] = value;\n"
            ),
        };
        let lanes = self.lanes.to_string();
        let mut words = vec![
            ("lanes", &*lanes),
            ("count", &count),
            ("length", &length),
            ("first", &first),
            ("step", &step),
            ("out_step", &out_step),
            ("places", &places),
            ("earlier", &earlier),
            ("out", &out),
        ];
        words.extend(self.words);
        together(head(self.dtype, 1, &bindings.buffers), 256, &fill(self.text, &words))
    }
}
