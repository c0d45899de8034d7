//! The cells of recurrent networks, compiled: sixteen elements at a time go through a whole step
//! without leaving the registers.

use std::ops::{Add, Mul, Sub};

use super::isa::{Loop, vectorised};
use super::math;
use crate::Formula;
use crate::cells::{self, Cell, Number};

/// One step for a row of each input, which gives a row of each output.
pub(super) type Step<T> = fn(&[&[T]], &mut [&mut [T]]);

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

fn step<C: Cell<I, O>, const I: usize, const O: usize>(
    inputs: &[&[f32]],
    outputs: &mut [&mut [f32]],
) {
    vectorised(Rows::<C, I, O>(inputs, outputs, std::marker::PhantomData));
}

struct Rows<'a, 'x, 'y, C, const I: usize, const O: usize>(
    &'a [&'x [f32]],
    &'a mut [&'y mut [f32]],
    std::marker::PhantomData<C>,
);

impl<C: Cell<I, O>, const I: usize, const O: usize> Loop for Rows<'_, '_, '_, C, I, O> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Rows(inputs, outputs, _) = self;
        assert!(inputs.len() == I && outputs.len() == O);
        let width = inputs[0].len();
        // Cut to one length, so that one comparison covers all of them.
        let inputs: [&[f32]; I] = std::array::from_fn(|i| &inputs[i][..width]);
        let mut outputs = outputs.iter_mut();
        let mut outputs: [&mut [f32]; O] = std::array::from_fn(|_| match outputs.next() {
            Some(output) => &mut output[..width],
            None => unreachable!("there are {O}"),
        });
        let mut start = 0;
        while start + LANES <= width {
            let blocks = inputs.map(|input| {
                let (block, _) = input[start..].as_chunks::<LANES>();
                &block[0]
            });
            let results = block::<C, FMA, I, O>(blocks);
            for (output, y) in outputs.iter_mut().zip(&results) {
                output[start..start + LANES].copy_from_slice(y);
            }
            start += LANES;
        }
        if start < width {
            let mut rest = [[0f32; LANES]; I];
            for (x, input) in rest.iter_mut().zip(inputs) {
                x[..width - start].copy_from_slice(&input[start..]);
            }
            let results = block::<C, FMA, I, O>(rest.each_ref());
            for (output, y) in outputs.iter_mut().zip(&results) {
                output[start..].copy_from_slice(&y[..width - start]);
            }
        }
    }
}

/// A step of one block. Before it puts lanes side by side, the compiler has to know that the results
/// are apart from the inputs and how long each input is: references to arrays say so, slices do not.
#[inline(always)]
fn block<C: Cell<I, O>, const FMA: bool, const I: usize, const O: usize>(
    inputs: [&[f32; LANES]; I],
) -> [[f32; LANES]; O] {
    let mut results = [[0f32; LANES]; O];
    for lane in 0..LANES {
        let y: [Lane<FMA>; O] = C::at(inputs.map(|input| Lane(input[lane])));
        for (result, y) in results.iter_mut().zip(y) {
            result[lane] = y.0;
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
