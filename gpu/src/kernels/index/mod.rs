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
//! Of an axis that is longer than a kernel sees, one part after the other is read or added to: a kernel does
//! what is in its part.
//!
//! An index that names nothing cannot stop the program, which is far ahead by then. The kernel reads 0 or
//! adds nothing, and leaves a note that the host finds when it next reads a value.

use std::ops::Range;

use plies_tensor::DType;

use super::{Bindings, MOST, THREADS, Usage, code, places, push_places};
use crate::fault::Fault;
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, each, fill, head};
use crate::strided::{ELEMENT, Operand, halves, join_axes};

/// Bytes of the note.
pub(crate) const INDEX_ERROR: usize = 16;

const NOTE: &str = include_str!("note.wgsl");
/// Who wrote it.
const GATHER: i32 = 1;
const SCATTER_ADD: i32 = 2;

/// What a note says.
pub(crate) fn index_error(words: [i32; 4]) -> Option<Fault> {
    let operation = match words[0] {
        GATHER => "gather",
        SCATTER_ADD => "scatter_add",
        _ => return None,
    };
    let [_, index, size, _] = words;
    let reason = format!("index {index} is out of range for an axis of {size} elements");
    Some(Fault { operation, reason })
}

/// Most lines, and elements that are compared, for a thread for each place.
const FEW: [usize; 2] = [1024, 1 << 28];

/// A part of an axis that an index names places of.
#[derive(Clone)]
struct Window {
    size: usize,
    step: isize,
    /// The places that a kernel sees.
    seen: Range<usize>,
}

impl Window {
    fn whole(size: usize, step: isize) -> Self {
        Window { size, step, seen: 0..size }
    }

    /// The operand at the first of these places, with an axis more: over all of them.
    fn over<'a>(&self, operand: &Operand<'a>) -> Operand<'a> {
        let mut over = operand.clone();
        over.offset += self.seen.start as isize * self.step;
        over.strides.push(self.step);
        over
    }

    /// In two parts, if it is what takes most of what a kernel sees.
    fn halves(&self, gpu: &Shared) -> Option<[Window; 2]> {
        let Range { start, end } = self.seen;
        is_long(gpu, end - start, self.step).then(|| {
            let middle = start + (end - start) / 2;
            [start..middle, middle..end].map(|seen| Window { seen, ..self.clone() })
        })
    }
}

/// Whether so many places so far apart are most of what a kernel sees.
fn is_long(gpu: &Shared, length: usize, step: isize) -> bool {
    let reach = (length.max(1) - 1) as u64 * step.unsigned_abs() as u64 * ELEMENT;
    length > 1 && (2 * reach > gpu.limits().largest || length > MOST)
}

/// Result, index and input over the dimensions of the index; the input has stride 0 along the axis, where
/// `size` elements lie `step` apart.
pub(crate) fn gather<'a>(
    gpu: &'a Shared,
    dtype: DType,
    (size, step): (usize, isize),
    dims: Vec<usize>,
    operands: Vec<Operand<'a>>,
) {
    if !dims.contains(&0) {
        gather_from(gpu, dtype, &Window::whole(size, step), dims, operands);
    }
}

fn gather_from<'a>(
    gpu: &'a Shared,
    dtype: DType,
    window: &Window,
    mut dims: Vec<usize>,
    mut operands: Vec<Operand<'a>>,
) {
    join_axes(&mut dims, &mut operands);
    let count: usize = dims.iter().product();
    // All of the axis, wherever the index leads.
    let over = window.over(&operands[2]);
    let usage = [Usage::write(dtype), Usage::read(DType::I32)];
    let bindings = Bindings::all(&operands[..2], &usage, &dims, gpu.limits());
    let bindings = bindings.and_then(|mut bindings| {
        let reach = [&*dims, &[window.seen.len()]].concat();
        bindings.add(&over, &reach, Usage::read(dtype), gpu.limits())?;
        note(gpu, &mut bindings);
        Some(bindings)
    });
    let Some(bindings) = bindings.filter(|_| count <= MOST) else {
        if let Some(windows) = window.halves(gpu) {
            windows.iter().for_each(|window| {
                gather_from(gpu, dtype, window, dims.clone(), operands.clone());
            });
        } else if let Some(parts) = halves(&dims, &operands, dims.len()) {
            parts.into_iter().for_each(|(dims, operands)| {
                gather_from(gpu, dtype, window, dims, operands);
            });
        } else {
            gpu.unsupported("gather from so large a tensor");
        }
        return;
    };
    let mut numbers = Numbers::default();
    numbers.size(count);
    let Window { size, step, seen } = window;
    numbers.step(*step);
    [*size, seen.start, seen.end].iter().for_each(|&n| numbers.size(n));
    push_places(&mut numbers, &dims, &operands, &bindings.offsets);
    let mut class = vec![code(dtype), dims.len() as u32];
    class.extend(bindings.class());
    let key = Key { kernel: "gather", formula: None, class };
    let groups = (count as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || {
        let mut slots = Slots::default();
        let count = slots.u32();
        let [step, size, first, end] = [(); 4].map(|()| slots.i32());
        let names = bindings.of.iter().map(|i| format!("b{i}")).collect::<Vec<_>>();
        let words = [
            ("size", &*size),
            ("first", &first),
            ("end", &end),
            ("step", &step),
            ("places", &places(&mut slots, dims.len(), 3)),
            ("out", &names[0]),
            ("index", &names[1]),
            ("input", &names[2]),
            ("index_error", &names[3]),
            ("operation", &GATHER.to_string()),
        ];
        let head = head(dtype, 1, &bindings.buffers) + &fill(NOTE, &words);
        each(head, &count, &fill(include_str!("gather.wgsl"), &words))
    });
}

/// Adds the place for a note.
fn note<'a>(gpu: &'a Shared, bindings: &mut Bindings<'a>) {
    let words = INDEX_ERROR / 4;
    let operand = Operand::contiguous(&gpu.index_error, words, &[words]);
    bindings.add(&operand, &[words], Usage::write(DType::I32), gpu.limits());
}

/// Lines along the axis that is indexed: target, index and source over the axes outside of it.
#[derive(Clone)]
pub(crate) struct Scatter<'a> {
    pub(crate) dtype: DType,
    /// Elements along the axis of the target, and of the others.
    pub(crate) sizes: [usize; 2],
    /// From one to the next, in each operand.
    pub(crate) steps: [isize; 3],
    pub(crate) dims: Vec<usize>,
    pub(crate) operands: Vec<Operand<'a>>,
}

impl<'a> Scatter<'a> {
    pub(crate) fn run(self, gpu: &'a Shared) {
        let window = Window::whole(self.sizes[0], self.steps[0]);
        if !self.dims.contains(&0) && self.sizes[1] > 0 {
            self.run_in(gpu, &window);
        }
    }

    fn run_in(mut self, gpu: &'a Shared, window: &Window) {
        join_axes(&mut self.dims, &mut self.operands);
        let count: usize = self.dims.iter().product();
        let length = self.sizes[1];
        let mut bindings = Bindings::empty();
        let usage = [Usage::write(self.dtype), Usage::read(DType::I32), Usage::read(self.dtype)];
        let fits = self.operands.iter().enumerate().all(|(i, operand)| {
            let (over, along) = if i == 0 {
                (window.over(operand), window.seen.len())
            } else {
                let mut over = operand.clone();
                over.strides.push(self.steps[i]);
                (over, length)
            };
            let reach = [&*self.dims, &[along]].concat();
            bindings.add(&over, &reach, usage[i], gpu.limits()).is_some()
        });
        if !fits || count * window.seen.len() > MOST {
            return self.in_halves(gpu, window);
        }
        note(gpu, &mut bindings);
        let seen = window.seen.len();
        let few = count < FEW[0] && count * seen * length < FEW[1];
        let mut numbers = Numbers::default();
        numbers.size(count);
        let range = [window.size, window.seen.start, window.seen.end, length];
        range.iter().for_each(|&n| numbers.size(n));
        self.steps.iter().for_each(|&n| numbers.step(n));
        push_places(&mut numbers, &self.dims, &self.operands, &bindings.offsets);
        let mut class = vec![code(self.dtype), self.dims.len() as u32, few.into()];
        class.extend(bindings.class());
        let key = Key { kernel: "scatter_add", formula: None, class };
        let threads = if few { count * seen } else { count };
        gpu.launch(key, &bindings.entries, &numbers, (threads as u64).div_ceil(THREADS), || {
            self.text(&bindings, few)
        });
    }

    /// Parts in the order of the source where it is cut along the axis, so that sums are added as in one.
    fn in_halves(self, gpu: &'a Shared, window: &Window) {
        let [size, length] = self.sizes;
        if let Some(windows) = window.halves(gpu) {
            windows.iter().for_each(|window| self.clone().run_in(gpu, window));
        } else if self.steps[1..].iter().any(|&step| is_long(gpu, length, step)) {
            let half = length / 2;
            for (start, length) in [(0, half), (half, length - half)] {
                let mut part = Scatter { sizes: [size, length], ..self.clone() };
                for i in 1..3 {
                    part.operands[i].offset += start as isize * self.steps[i];
                }
                part.run_in(gpu, window);
            }
        } else if let Some(parts) = halves(&self.dims, &self.operands, self.dims.len()) {
            for (dims, operands) in parts {
                Scatter { dims, operands, ..self.clone() }.run_in(gpu, window);
            }
        } else {
            gpu.unsupported("scatter_add to so large a tensor");
        }
    }

    fn text(&self, bindings: &Bindings<'_>, few: bool) -> String {
        let mut slots = Slots::default();
        let count = slots.u32();
        let [size, first, end, length] = [(); 4].map(|()| slots.i32());
        let [step, index_step, source_step] = [(); 3].map(|()| slots.i32());
        let names = bindings.of.iter().map(|i| format!("b{i}")).collect::<Vec<_>>();
        let words = [
            ("size", &*size),
            ("first", &first),
            ("end", &end),
            ("length", &length),
            ("step", &step),
            ("index_step", &index_step),
            ("source_step", &source_step),
            ("places", &places(&mut slots, self.dims.len(), 3)),
            ("out", &names[0]),
            ("index", &names[1]),
            ("source", &names[2]),
            ("index_error", &names[3]),
            ("operation", &SCATTER_ADD.to_string()),
        ];
        let (threads, text) = match few {
            true => {
                (format!("{count} * u32({end} - {first})"), include_str!("scatter_places.wgsl"))
            }
            false => (count, include_str!("scatter_lines.wgsl")),
        };
        let head = head(self.dtype, 1, &bindings.buffers) + &fill(NOTE, &words);
        each(head, &threads, &fill(text, &words))
    }
}
