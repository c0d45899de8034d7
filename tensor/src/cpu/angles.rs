//! Sine and cosine of a block of angles. Their series hold up to [`math::LARGEST_ANGLE`]; a block with a
//! larger one among them asks the library for that, so that all others keep their loop of vectors.

use std::marker::PhantomData;

use super::math;
use super::primitive::{Code, Function, Kernel, Map, Singles, compiled};

/// The loop of a periodic function.
pub(super) fn code<F: Periodic>(singles: Singles) -> Code<f32> {
    match singles {
        0 => compiled::<_, Angles<F, 0>>(),
        _ => compiled::<_, Angles<F, 1>>(),
    }
}

/// A periodic function, and the library's for angles that are too large for it.
pub(super) trait Periodic: Function<f32> {
    fn of_large(x: f64) -> f64;
}

pub(super) struct Sin;

impl Function<f32> for Sin {
    const ARITY: usize = 1;
    const IS_LONG: bool = true;
    #[inline(always)]
    fn at<const FMA: bool>([x, ..]: [f32; 3]) -> f32 {
        math::sin::<FMA>(x)
    }
}

impl Periodic for Sin {
    fn of_large(x: f64) -> f64 {
        x.sin()
    }
}

pub(super) struct Cos;

impl Function<f32> for Cos {
    const ARITY: usize = 1;
    const IS_LONG: bool = true;
    #[inline(always)]
    fn at<const FMA: bool>([x, ..]: [f32; 3]) -> f32 {
        math::cos::<FMA>(x)
    }
}

impl Periodic for Cos {
    fn of_large(x: f64) -> f64 {
        x.cos()
    }
}

/// A periodic function at each place.
struct Angles<F, const SINGLES: Singles>(PhantomData<F>);

impl<F: Periodic, const SINGLES: Singles> Kernel<f32> for Angles<F, SINGLES> {
    #[inline(always)]
    unsafe fn run<const FMA: bool>(operands: [*const f32; 3], out: *mut f32, n: usize) {
        let is_large = |x: f32| x.abs() > math::LARGEST_ANGLE;
        // SAFETY: the caller's promise; elements are read one by one before they are written.
        unsafe {
            // Bits order as sizes do, NaN above all, and a maximum of integers vectorises.
            let moves = usize::from(SINGLES == 0);
            let bits = |i: usize| (*operands[0].add(moves * i)).to_bits() & 0x7fff_ffff;
            if (0..n).map(bits).fold(0, u32::max) <= math::LARGEST_ANGLE.to_bits() {
                return Map::<F, SINGLES>::run::<FMA>(operands, out, n);
            }
            for i in 0..n {
                let x = *operands[0].add(moves * i);
                let y = if is_large(x) {
                    F::of_large(x.into()) as f32
                } else {
                    F::at::<FMA>([x, x, x])
                };
                *out.add(i) = y;
            }
        }
    }
}
