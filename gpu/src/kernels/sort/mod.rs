//! The first k elements of each line in order, and where they stood. Equal elements keep their order, NaN
//! counts as larger than every number.
//!
//! Up to some thousand elements each counts those before it, which needs no communication. Longer lines are
//! sorted as keys with their positions, by Batcher's bitonic network: log² steps, each a pass over memory in
//! which all pairs are independent. Positions are what comes out, and the values are gathered by them.
//!
//! Of more than a kernel sees, some lines come after the others. The keys of a line that is too long alone
//! are in parts: a kernel is given one of them, or the two that its pairs are in.

use plies_tensor::{DType, formula};

use super::index::gather;
use super::map::Map;
use super::scan::Line;
use super::{Bindings, MOST, THREADS, Usage, code, places, push_places};
use crate::gpu::Shared;
use crate::pipeline::{Access, Key};
use crate::pool::Memory;
use crate::shader::{Numbers, Slots, each, fill, head};
use crate::strided::{ELEMENT, Operand, halves, join_axes};

/// The longest line whose elements count each other.
const COUNTED: usize = 2048;

/// What to sort: the input, the values and the positions over the axes outside of the lines.
#[derive(Clone)]
pub(crate) struct Sort<'a> {
    pub(crate) dtype: DType,
    pub(crate) descending: bool,
    pub(crate) k: usize,
    pub(crate) line: Line,
    pub(crate) dims: Vec<usize>,
    pub(crate) operands: Vec<Operand<'a>>,
}

/// Keys with their positions: two words for each place of a line whose length is a power of two.
struct Keys {
    memory: Memory,
    /// All pairs, and those of a part.
    pairs: usize,
    part: usize,
}

impl Sort<'_> {
    pub(crate) fn run(mut self, gpu: &Shared) {
        if self.dims.contains(&0) || self.k == 0 {
            return;
        }
        join_axes(&mut self.dims, &mut self.operands);
        let done = match self.line.length <= COUNTED {
            true => self.rank(gpu),
            false => self.by_keys(gpu),
        };
        if done {
            return;
        }
        let Some(parts) = halves(&self.dims, &self.operands, self.dims.len()) else {
            return self.in_parts(gpu);
        };
        for (dims, operands) in parts {
            Sort { dims, operands, ..self.clone() }.run(gpu);
        }
    }

    fn count(&self) -> usize {
        self.dims.iter().product()
    }

    /// Input, values and positions, if a kernel sees them.
    fn bindings(&self, gpu: &Shared) -> Option<Bindings<'_>> {
        let usage = [Usage::read(self.dtype), Usage::write(self.dtype), Usage::write(DType::I32)];
        let Line { length, step, out_step } = self.line;
        let along = [(length, step), (self.k, out_step), (self.k, out_step)];
        let mut bindings = Bindings::empty();
        for (i, (length, step)) in along.into_iter().enumerate() {
            let mut whole = self.operands[i].clone();
            whole.strides.push(step);
            let reach = [&*self.dims, &[length]].concat();
            bindings.add(&whole, &reach, usage[i], gpu.limits())?;
        }
        (self.count() * length <= MOST).then_some(bindings)
    }

    /// Each element counts those before it. Whether a kernel sees them.
    fn rank(&self, gpu: &Shared) -> bool {
        let Some(bindings) = self.bindings(gpu) else { return false };
        let (count, length, rank) = (self.count(), self.line.length, self.dims.len());
        let mut numbers = Numbers::default();
        [count * length, length, self.k].iter().for_each(|&n| numbers.size(n));
        numbers.step(self.line.step);
        numbers.step(self.line.out_step);
        push_places(&mut numbers, &self.dims, &self.operands, &bindings.offsets);
        let class = vec![code(self.dtype), self.descending.into(), rank as u32];
        let key = Key { kernel: "sort", formula: None, class };
        let groups = ((count * length) as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            let mut slots = Slots::default();
            let [count, length, k] = [(); 3].map(|()| slots.u32());
            let (step, out_step) = (slots.i32(), slots.i32());
            let words = [
                ("length", &*length),
                ("k", &k),
                ("step", &step),
                ("out_step", &out_step),
                ("places", &places(&mut slots, rank, 3)),
            ];
            let head = head(self.dtype, 1, &bindings.buffers) + &self.key();
            each(head, &count, &fill(include_str!("rank.wgsl"), &words))
        });
        true
    }

    /// All lines at once. Whether a kernel sees them and their keys.
    fn by_keys(&self, gpu: &Shared) -> bool {
        let Line { length, step, out_step } = self.line;
        let padded = length.next_power_of_two();
        let pairs = self.count() * padded;
        if pairs > most_pairs(gpu) || self.bindings(gpu).is_none() {
            return false;
        }
        let keys = Keys { memory: gpu.scratch(2 * pairs), pairs, part: pairs };
        let [input, values, positions] = [0, 1, 2].map(|i| self.operands[i].clone());
        self.write_keys(gpu, &keys, &input, step, [0, padded, 0, length]);
        keys.sort(gpu, padded);
        self.take(gpu, &keys, &positions, out_step, [0, padded, self.k]);
        self.gather(gpu, [values, positions, input], [step, out_step, out_step]);
        true
    }

    /// A single line, whose keys are more than a kernel sees.
    fn in_parts(&self, gpu: &Shared) {
        let (n, k) = (self.line.length, self.k);
        let padded = n.next_power_of_two();
        let part = most_pairs(gpu).min(padded);
        let memory = [n, k].map(|len| gpu.scratch(len));
        let [input, positions] =
            [(0, n), (1, k)].map(|(i, len)| Operand::contiguous(&memory[i], len, &[]));
        copy_line(gpu, self.dtype, n, [(&input, 1), (&self.operands[0], self.line.step)]);
        let keys = Keys { memory: gpu.scratch(2 * padded), pairs: padded, part };
        for number in 0..padded / part {
            let first = number * part;
            let length = n.saturating_sub(first).min(part);
            // Behind the line there are keys, but no elements.
            let offset = if length > 0 { first as isize } else { 0 };
            let from = Operand { offset, ..input.clone() };
            self.write_keys(gpu, &keys, &from, 1, [number, part, first, length]);
        }
        keys.sort(gpu, padded);
        for first in (0..k).step_by(part) {
            let to = Operand { offset: first as isize, ..positions.clone() };
            self.take(gpu, &keys, &to, 1, [first / part, part, part.min(k - first)]);
        }
        let out_step = self.line.out_step;
        copy_line(gpu, DType::I32, k, [(&self.operands[2], out_step), (&positions, 1)]);
        self.gather(gpu, [self.operands[1].clone(), positions, input], [1, out_step, 1]);
    }

    /// The values of the positions: result, positions and input with their steps along the line, that of the
    /// input first.
    fn gather(&self, gpu: &Shared, operands: [Operand<'_>; 3], steps: [isize; 3]) {
        let [step, out_step, index_step] = steps;
        let mut operands = operands;
        for (operand, step) in operands.iter_mut().zip([out_step, index_step, 0]) {
            operand.strides.push(step);
        }
        let dims = [&*self.dims, &[self.k]].concat();
        gather(gpu, self.dtype, (self.line.length, step), dims, operands.to_vec());
    }

    fn write_keys(
        &self,
        gpu: &Shared,
        keys: &Keys,
        input: &Operand<'_>,
        step: isize,
        [number, padded, first, length]: [usize; 4],
    ) {
        let mut whole = input.clone();
        whole.strides.push(step);
        let mut bindings = Bindings::empty();
        let reach = [&*self.dims, &[length.max(1)]].concat();
        keys.see(gpu, bindings.add(&whole, &reach, Usage::read(self.dtype), gpu.limits()));
        keys.bind(gpu, number, Access::Write, &mut bindings);
        let (count, rank) = (self.count(), self.dims.len());
        let mut numbers = Numbers::default();
        [count * padded, length, padded, first].iter().for_each(|&n| numbers.size(n));
        numbers.step(step);
        push_places(&mut numbers, &self.dims, std::slice::from_ref(input), &bindings.offsets);
        let class = vec![code(self.dtype), self.descending.into(), rank as u32];
        let key = Key { kernel: "sort, keys", formula: None, class };
        let groups = ((count * padded) as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            let mut slots = Slots::default();
            let [count, length, padded, first] = [(); 4].map(|()| slots.u32());
            let step = slots.i32();
            let words = [
                ("length", &*length),
                ("padded", &padded),
                ("first", &first),
                ("step", &step),
                ("places", &places(&mut slots, rank, 1)),
            ];
            let head = head(self.dtype, 1, &bindings.buffers) + &self.key();
            each(head, &count, &fill(include_str!("keys.wgsl"), &words))
        });
    }

    /// The positions of the first k of each line, or of a part of one.
    fn take(
        &self,
        gpu: &Shared,
        keys: &Keys,
        positions: &Operand<'_>,
        step: isize,
        [number, padded, k]: [usize; 3],
    ) {
        let mut whole = positions.clone();
        whole.strides.push(step);
        let mut bindings = Bindings::empty();
        let reach = [&*self.dims, &[k]].concat();
        keys.see(gpu, bindings.add(&whole, &reach, Usage::write(DType::I32), gpu.limits()));
        keys.bind(gpu, number, Access::Read, &mut bindings);
        let (count, rank) = (self.count(), self.dims.len());
        let mut numbers = Numbers::default();
        [count * k, padded, k].iter().for_each(|&n| numbers.size(n));
        numbers.step(step);
        push_places(&mut numbers, &self.dims, std::slice::from_ref(positions), &bindings.offsets);
        let key = Key { kernel: "sort, first", formula: None, class: vec![rank as u32] };
        let groups = ((count * k) as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            let mut slots = Slots::default();
            let [count, padded, k] = [(); 3].map(|()| slots.u32());
            let step = slots.i32();
            let words = [
                ("padded", &*padded),
                ("k", &k),
                ("step", &step),
                ("places", &places(&mut slots, rank, 1)),
            ];
            let head = head(DType::I32, 1, &bindings.buffers);
            each(head, &count, &fill(include_str!("take.wgsl"), &words))
        });
    }

    /// The function that makes keys.
    fn key(&self) -> String {
        let ascending = match self.dtype {
            DType::I32 => "    let key = bitcast<u32>(x) ^ 0x80000000u;\n".to_owned(),
            _ => String::from(
                "    let bits = select(bitcast<u32>(x), 0u, x == 0.0f);
    let is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    let flipped = bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
    let key = select(flipped, 0xffffffffu, is_nan);\n",
            ),
        };
        let result = if self.descending { "    return ~key;\n" } else { "    return key;\n" };
        fill(include_str!("key.wgsl"), &[("key", &(ascending + result))])
    }
}

impl Keys {
    fn bind<'a>(
        &'a self,
        gpu: &Shared,
        number: usize,
        access: Access,
        bindings: &mut Bindings<'a>,
    ) {
        let offset = (2 * number * self.part) as isize;
        let len = 2 * self.pairs;
        let operand = Operand { memory: &self.memory, len, offset, strides: vec![1] };
        let usage = Usage { access, ..Usage::read(DType::I32) };
        self.see(gpu, bindings.add(&operand, &[2 * self.part], usage, gpu.limits()));
    }

    fn see(&self, gpu: &Shared, seen: Option<usize>) {
        if seen.is_none() {
            gpu.unsupported("sort of more than a kernel sees");
        }
    }

    /// Puts lines of `padded` pairs in order.
    fn sort(&self, gpu: &Shared, padded: usize) {
        let mut run = 2;
        while run <= padded {
            let mut distance = run / 2;
            while distance > 0 {
                // Numbers of parts: of the first of each pair, and how far the second's is from it.
                let far = distance / self.part;
                for number in (0..self.pairs / self.part).filter(|number| number & far == 0) {
                    self.exchange(gpu, [number, number + far], [distance, run, padded]);
                }
                distance /= 2;
            }
            run *= 2;
        }
    }

    fn exchange(
        &self,
        gpu: &Shared,
        [number, other]: [usize; 2],
        [distance, run, padded]: [usize; 3],
    ) {
        let mut bindings = Bindings::empty();
        self.bind(gpu, number, Access::Write, &mut bindings);
        let far = other != number;
        if far {
            self.bind(gpu, other, Access::Write, &mut bindings);
        }
        // Pairs in two parts are at the same place in each.
        let (count, distance) =
            if far { (self.part, self.part) } else { (self.part / 2, distance) };
        let shift = if far { self.part } else { 0 };
        let mut numbers = Numbers::default();
        let all = [count, distance, shift, number * self.part, padded, run];
        all.iter().for_each(|&n| numbers.size(n));
        let key = Key { kernel: "sort, exchange", formula: None, class: vec![far.into()] };
        let groups = (count as u64).div_ceil(THREADS);
        gpu.launch(key, &bindings.entries, &numbers, groups, || {
            let mut slots = Slots::default();
            let [count, distance, shift, start, padded, run] = [(); 6].map(|()| slots.u32());
            let words = [
                ("distance", &*distance),
                ("shift", &shift),
                ("start", &start),
                ("padded", &padded),
                ("run", &run),
                ("other", if far { "b1" } else { "b0" }),
            ];
            let head = head(DType::I32, 1, &bindings.buffers);
            each(head, &count, &fill(include_str!("exchange.wgsl"), &words))
        });
    }
}

/// Pairs of a power of two that a kernel sees.
fn most_pairs(gpu: &Shared) -> usize {
    let pairs = (gpu.limits().largest / (2 * ELEMENT)).min(MOST as u64 / 2).max(1);
    1 << pairs.ilog2()
}

/// The elements of one line in the places of another.
fn copy_line<'a>(
    gpu: &Shared,
    dtype: DType,
    length: usize,
    [to, from]: [(&Operand<'a>, isize); 2],
) {
    let line = |(operand, step)| Operand { strides: vec![step], ..Operand::clone(operand) };
    let formula = formula!(|x| x);
    let operands = vec![line(to), line(from)];
    Map { formula, dtype, dims: vec![length], operands, scalars: &[], in_place: false }.run(gpu);
}
