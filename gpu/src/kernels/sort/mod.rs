//! The first k elements of each line in order, and where they stood. Equal elements keep their order, NaN
//! counts as larger than every number.
//!
//! Up to some thousand elements each counts those before it, which needs no communication. Longer lines are
//! sorted as keys with their positions, by Batcher's bitonic network: log² steps, each a pass over memory in
//! which all pairs are independent.

use plies_tensor::DType;

use super::scan::Line;
use super::{Bound, MOST, Seen, THREADS, code, push_strides, strides_in};
use crate::gpu::Shared;
use crate::pipeline::{Access, Key};
use crate::shader::{Numbers, Slots, coordinates, fill, head, place};
use crate::strided::{Operand, join_axes};

/// The longest line whose elements count each other.
const COUNTED: usize = 2048;

/// What to sort: the input, the values and the positions over the axes outside of the lines.
pub(crate) struct Sort<'a> {
    pub(crate) dtype: DType,
    pub(crate) descending: bool,
    pub(crate) k: usize,
    pub(crate) line: Line,
    pub(crate) dims: Vec<usize>,
    pub(crate) operands: Vec<Operand<'a>>,
}

impl Sort<'_> {
    pub(crate) fn run(mut self, gpu: &Shared) {
        if self.dims.contains(&0) || self.k == 0 {
            return;
        }
        join_axes(&mut self.dims, &mut self.operands);
        let count: usize = self.dims.iter().product();
        let length = self.line.length;
        let padded = length.next_power_of_two();
        if 2 * count * padded > MOST {
            gpu.unsupported("sort of more than a kernel sees");
        }
        if length <= COUNTED {
            let text = include_str!("rank.wgsl");
            return self.launch(gpu, "sort", text, count * length, 3, None);
        }
        let memory = gpu.scratch(2 * count * padded);
        let keys = Operand::contiguous(&memory, 2 * count * padded, &[2 * count * padded]);
        let text = include_str!("keys.wgsl");
        self.launch(gpu, "sort, keys", text, count * padded, 1, Some((&keys, Access::Write)));
        let mut run = 2;
        while run <= padded {
            let mut distance = run / 2;
            while distance > 0 {
                exchange(gpu, &keys, [count * padded / 2, distance, run, padded]);
                distance /= 2;
            }
            run *= 2;
        }
        let text = include_str!("take.wgsl");
        self.launch(gpu, "sort, first", text, count * self.k, 3, Some((&keys, Access::Read)));
    }

    /// A kernel of the first operands and perhaps the keys.
    fn launch(
        &self,
        gpu: &Shared,
        name: &'static str,
        text: &str,
        threads: usize,
        n_operands: usize,
        keys: Option<(&Operand<'_>, Access)>,
    ) {
        let mut bound = Bound::empty();
        let seen = [Seen::read(self.dtype), Seen::write(self.dtype), Seen::write(DType::I32)];
        let (k, length) = (self.k, self.line.length);
        let steps = [self.line.step, self.line.out_step, self.line.out_step];
        let mut fits = true;
        for (i, operand) in self.operands[..n_operands].iter().enumerate() {
            let mut whole = operand.clone();
            whole.strides.push(steps[i]);
            let reach = [&*self.dims, &[if i == 0 { length } else { k }]].concat();
            fits &= bound.add(&whole, &reach, seen[i], gpu.sight()).is_some();
        }
        if let Some((keys, access)) = keys {
            let seen = Seen { access, ..Seen::read(DType::I32) };
            fits &= bound.add(keys, &[keys.len], seen, gpu.sight()).is_some();
        }
        if !fits {
            gpu.unsupported("sort of more than a kernel sees");
        }
        let count: usize = self.dims.iter().product();
        let padded = length.next_power_of_two();
        let mut numbers = Numbers::default();
        [count, length, padded, k].iter().for_each(|&n| numbers.size(n));
        numbers.step(steps[0]);
        numbers.step(steps[1]);
        self.dims.iter().for_each(|&dim| numbers.size(dim));
        for (operand, &offset) in self.operands[..n_operands].iter().zip(&bound.offsets) {
            push_strides(&mut numbers, offset, &operand.strides);
        }
        let rank = self.dims.len();
        let class = vec![code(self.dtype), self.descending.into(), rank as u32];
        let key = Key { kernel: name, formula: None, class };
        gpu.launch(key, &bound.bindings, &numbers, (threads as u64).div_ceil(THREADS), || {
            let mut slots = Slots::default();
            let [count, length, padded, k] = [(); 4].map(|()| slots.u32());
            let (step, out_step) = (slots.i32(), slots.i32());
            let sizes: Vec<String> = (0..rank).map(|_| slots.u32()).collect();
            let mut places = coordinates("i", &sizes);
            for i in 0..n_operands {
                let (offset, strides) = strides_in(&mut slots, rank);
                places += &format!("    let a{i} = {offset} + {};\n", place("i", &strides));
            }
            let words = [
                ("count", &*count),
                ("length", &length),
                ("padded", &padded),
                ("k", &k),
                ("step", &step),
                ("out_step", &out_step),
                ("places", &places),
            ];
            head(self.dtype, 1, &bound.buffers)
                + &fill(include_str!("key.wgsl"), &[("key", &self.key())])
                + &fill(text, &words)
        });
    }

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
        ascending + if self.descending { "    return ~key;\n" } else { "    return key;\n" }
    }
}

fn exchange(gpu: &Shared, keys: &Operand<'_>, sizes: [usize; 4]) {
    let mut bound = Bound::empty();
    if bound.add(keys, &[keys.len], Seen::write(DType::I32), gpu.sight()).is_none() {
        gpu.unsupported("sort of more than a kernel sees");
    }
    let mut numbers = Numbers::default();
    sizes.iter().for_each(|&n| numbers.size(n));
    let key = Key { kernel: "sort, exchange", formula: None, class: vec![] };
    let groups = (sizes[0] as u64).div_ceil(THREADS);
    gpu.launch(key, &bound.bindings, &numbers, groups, || {
        head(DType::I32, 1, &bound.buffers) + include_str!("exchange.wgsl")
    });
}
