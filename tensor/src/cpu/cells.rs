//! The cells of recurrent networks, compiled: sixteen elements at a time go through a whole step
//! without leaving the registers.

use std::ops::{Add, Mul, Sub};

use super::isa::{Loop, vectorised};
use super::math;
use crate::Formula;
use crate::cells::{self, Cell, Number};

/// One step for a row of each input, which gives a row of each output, of so many elements.
///
/// Unsafe, because all those elements must be there, and those written apart from each other and from those
/// read.
pub(super) type Step<T> = unsafe fn(usize, &[*const T], &[*mut T]);

/// The compiled loop of a cell, if it is one of those.
pub(super) fn compiled(formula: &Formula) -> Option<Step<f32>> {
    let rows: [(&Formula, Step<f32>); 8] = [
        (cells::tanh(), step::<cells::Tanh, 4, 2>),
        (cells::tanh_back(), step::<cells::TanhBack, 4, 1>),
        (cells::lstm(), step::<cells::Lstm, 14, 8>),
        (cells::lstm_alone(), step::<cells::LstmAlone, 14, 2>),
        (cells::lstm_back(), step::<cells::LstmBack, 12, 5>),
        (cells::gru(), step::<cells::Gru, 11, 6>),
        (cells::gru_alone(), step::<cells::GruAlone, 11, 1>),
        (cells::gru_back(), step::<cells::GruBack, 11, 5>),
    ];
    rows.into_iter().find(|(cell, _)| *cell == formula).map(|(_, step)| step)
}

const LANES: usize = 16;

/// # Safety
/// As [`Step`] says.
unsafe fn step<C: Cell<I, O>, const I: usize, const O: usize>(
    width: usize,
    inputs: &[*const f32],
    outputs: &[*mut f32],
) {
    let (Some(inputs), Some(outputs)) = (inputs.as_array::<I>(), outputs.as_array::<O>()) else {
        panic!("a cell of {I} inputs and {O} outputs");
    };
    vectorised(Row { width, inputs, outputs, cell: std::marker::PhantomData::<C> });
}

/// Made by [`step`] alone: its pointers are valid.
struct Row<'a, C, const I: usize, const O: usize> {
    width: usize,
    inputs: &'a [*const f32; I],
    outputs: &'a [*mut f32; O],
    cell: std::marker::PhantomData<C>,
}

impl<C: Cell<I, O>, const I: usize, const O: usize> Loop for Row<'_, C, I, O> {
    // Loops by index: an array's `map` becomes a function call in the midst of the loop.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn run<const FMA: bool>(self) {
        let mut blocks = [&[0f32; LANES]; I];
        let whole = self.width / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            // SAFETY: `start + LANES` elements are there, by the promise to `step`; no reference to an
            // input is used after an output was written.
            unsafe {
                for i in 0..I {
                    blocks[i] = &*self.inputs[i].add(start).cast();
                }
                let results = block::<C, FMA, I, O>(blocks);
                for o in 0..O {
                    self.outputs[o].add(start).cast::<[f32; LANES]>().write(results[o]);
                }
            }
        }
        let rest = self.width - whole;
        if rest > 0 {
            let mut inputs = [[0f32; LANES]; I];
            for i in 0..I {
                // SAFETY: as above.
                unsafe { self.inputs[i].add(whole).copy_to(inputs[i].as_mut_ptr(), rest) };
            }
            let results = block::<C, FMA, I, O>(inputs.each_ref());
            for o in 0..O {
                // SAFETY: as above.
                unsafe { self.outputs[o].add(whole).copy_from(results[o].as_ptr(), rest) };
            }
        }
    }
}

/// A step of one block. Before it puts lanes side by side, the compiler has to know that the results
/// are apart from the inputs and how long each input is: references to arrays say so, slices do not.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn block<C: Cell<I, O>, const FMA: bool, const I: usize, const O: usize>(
    inputs: [&[f32; LANES]; I],
) -> [[f32; LANES]; O] {
    let mut results = [[0f32; LANES]; O];
    for lane in 0..LANES {
        let mut x = [Lane(0.0); I];
        for i in 0..I {
            x[i] = Lane(inputs[i][lane]);
        }
        let y: [Lane<FMA>; O] = C::at(x);
        for o in 0..O {
            results[o][lane] = y[o].0;
        }
    }
    results
}

/// An element of a block; with `FMA` a fused multiply-add is an instruction.
#[derive(Clone, Copy)]
struct Lane<const FMA: bool>(f32);

macro_rules! operator {
    ($trait:ident, $method:ident, $operator:tt) => {
        impl<const FMA: bool> $trait for Lane<FMA> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Lane(self.0 $operator other.0)
            }
        }
    };
}

operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);

impl<const FMA: bool> Number for Lane<FMA> {
    #[inline(always)]
    fn tanh(self) -> Self {
        Lane(math::tanh::<FMA>(self.0))
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Lane(math::sigmoid::<FMA>(self.0))
    }
    #[inline(always)]
    fn complement(self) -> Self {
        Lane(1.0 - self.0)
    }
}
