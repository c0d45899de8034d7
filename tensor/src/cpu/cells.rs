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
        for start in (0..width).step_by(LANES) {
            let end = width.min(start + LANES);
            let mut x = [[0f32; LANES]; I];
            for (x, input) in x.iter_mut().zip(inputs) {
                // A whole block is one load, which a copy of unknown length isn't.
                match <&[f32; LANES]>::try_from(&input[start..end]) {
                    Ok(block) => *x = *block,
                    Err(_) => x[..end - start].copy_from_slice(&input[start..end]),
                }
            }
            let mut y = [[0f32; LANES]; O];
            for lane in 0..LANES {
                let at = std::array::from_fn(|i| Lane::<FMA>(x[i][lane]));
                let results: [Lane<FMA>; O] = C::at(at);
                for (y, result) in y.iter_mut().zip(results) {
                    y[lane] = result.0;
                }
            }
            for (y, output) in y.iter().zip(outputs.iter_mut()) {
                match <&mut [f32; LANES]>::try_from(&mut output[start..end]) {
                    Ok(block) => *block = *y,
                    Err(_) => output[start..end].copy_from_slice(&y[..end - start]),
                }
            }
        }
    }
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
