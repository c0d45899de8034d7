//! Joining numbers: in vector lanes within a block, in wider accumulators between blocks.

use super::primitive::Primitive;
use crate::Reduce;

/// Elements joined before lanes meet.
const RUN: usize = 256;

/// Independent partial results, enough to keep the vector units busy.
const LANES: usize = 32;

/// A running result that is wider than an element.
#[derive(Clone, Copy)]
pub(super) struct Wide {
    value: f64,
    /// What rounding has taken from `value` so far (Neumaier, 1974), for sums.
    lost: f64,
    /// Integers join exactly (and wrap at the end) instead.
    integer: i64,
}

/// Element types that can be reduced.
pub(super) trait Reducible: Primitive {
    const IS_INTEGER: bool;
    fn to_i64(self) -> i64;
    fn from_i64_wrapping(value: i64) -> Self;
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// NaN wins.
    fn max(self, other: Self) -> Self;
    /// NaN wins.
    fn min(self, other: Self) -> Self;
    /// No other number is above it.
    fn highest() -> Self;
    /// No other number is below it.
    fn lowest() -> Self;
}

macro_rules! reducible_float {
    ($t:ident) => {
        impl Reducible for $t {
            const IS_INTEGER: bool = false;
            fn to_i64(self) -> i64 {
                0
            }
            fn from_i64_wrapping(_: i64) -> Self {
                0.0
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // The first test is false when either is NaN; then NaN is kept.
                if self > other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other || self.is_nan() { self } else { other }
            }
            fn highest() -> Self {
                $t::INFINITY
            }
            fn lowest() -> Self {
                $t::NEG_INFINITY
            }
        }
    };
}
reducible_float!(f32);
reducible_float!(f64);

impl Reducible for i32 {
    const IS_INTEGER: bool = true;
    fn to_i64(self) -> i64 {
        i64::from(self)
    }
    fn from_i64_wrapping(value: i64) -> Self {
        value as i32
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Ord::max(self, other)
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Ord::min(self, other)
    }
    fn highest() -> Self {
        i32::MAX
    }
    fn lowest() -> Self {
        i32::MIN
    }
}

pub(super) fn identity<T: Reducible>(op: Reduce) -> T {
    match op {
        Reduce::Sum => T::default(),
        Reduce::Prod => T::from_f64(1.0),
        Reduce::Max => T::lowest(),
        Reduce::Min => T::highest(),
    }
}

impl Wide {
    pub(super) fn new<T: Reducible>(op: Reduce) -> Self {
        let start: T = identity(op);
        Wide { value: start.to_f64(), lost: 0.0, integer: start.to_i64() }
    }

    pub(super) fn join<T: Reducible>(&mut self, op: Reduce, x: T) {
        if T::IS_INTEGER {
            let x = x.to_i64();
            self.integer = match op {
                Reduce::Sum => self.integer.wrapping_add(x),
                Reduce::Prod => self.integer.wrapping_mul(x),
                Reduce::Max => self.integer.max(x),
                Reduce::Min => self.integer.min(x),
            };
        } else {
            self.join_float(op, x.to_f64());
        }
    }

    fn join_float(&mut self, op: Reduce, x: f64) {
        match op {
            Reduce::Sum => {
                let sum = self.value + x;
                self.lost += if self.value.abs() >= x.abs() {
                    (self.value - sum) + x
                } else {
                    (x - sum) + self.value
                };
                self.value = sum;
            }
            Reduce::Prod => self.value *= x,
            Reduce::Max => self.value = Reducible::max(self.value, x),
            Reduce::Min => self.value = Reducible::min(self.value, x),
        }
    }

    pub(super) fn merge<T: Reducible>(&mut self, op: Reduce, other: Wide) {
        if T::IS_INTEGER {
            self.integer = match op {
                Reduce::Sum => self.integer.wrapping_add(other.integer),
                Reduce::Prod => self.integer.wrapping_mul(other.integer),
                Reduce::Max => self.integer.max(other.integer),
                Reduce::Min => self.integer.min(other.integer),
            };
            return;
        }
        self.join_float(op, other.value);
        self.lost += other.lost;
    }

    pub(super) fn finish<T: Reducible>(self) -> T {
        if T::IS_INTEGER {
            T::from_i64_wrapping(self.integer)
        } else if self.value.is_finite() && self.lost.is_finite() {
            T::from_f64(self.value + self.lost)
        } else {
            T::from_f64(self.value)
        }
    }
}

/// Joins a block: runs of `RUN` elements in `LANES` lanes, the lanes in a tree, the runs in order.
/// No element of a sum goes through more than RUN / LANES + log₂ LANES + length / RUN roundings.
pub(super) fn fold<T: Reducible>(op: Reduce, block: &[T]) -> T {
    #[inline(always)]
    fn lanes<T: Reducible>(block: &[T], start: T, join: impl Fn(T, T) -> T + Copy) -> T {
        block.chunks(RUN).map(|run| lanes_of_run(run, start, join)).fold(start, join)
    }
    #[inline(always)]
    fn lanes_of_run<T: Reducible>(run: &[T], start: T, join: impl Fn(T, T) -> T + Copy) -> T {
        if run.len() < LANES {
            return run.iter().fold(start, |a, &b| join(a, b));
        }
        let mut acc = [start; LANES];
        let chunks = run.chunks_exact(LANES);
        for (a, &x) in acc.iter_mut().zip(chunks.remainder()) {
            *a = join(*a, x);
        }
        for chunk in chunks {
            for (a, &x) in acc.iter_mut().zip(chunk) {
                *a = join(*a, x);
            }
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                acc[i] = join(acc[i], acc[i + width]);
            }
        }
        acc[0]
    }
    let start = identity(op);
    match op {
        Reduce::Sum => lanes(block, start, T::add),
        Reduce::Prod => lanes(block, start, T::mul),
        Reduce::Max => lanes(block, start, T::max),
        Reduce::Min => lanes(block, start, T::min),
    }
}

/// `acc[i] = join(acc[i], row[i])`
pub(super) fn fold_rows<T: Reducible>(op: Reduce, acc: &mut [T], row: &[T]) {
    let pairs = acc.iter_mut().zip(row);
    match op {
        Reduce::Sum => pairs.for_each(|(a, &x)| *a = a.add(x)),
        Reduce::Prod => pairs.for_each(|(a, &x)| *a = a.mul(x)),
        Reduce::Max => pairs.for_each(|(a, &x)| *a = T::max(*a, x)),
        Reduce::Min => pairs.for_each(|(a, &x)| *a = T::min(*a, x)),
    }
}

/// The reduction of `n` equal elements.
pub(super) fn repeat<T: Reducible>(op: Reduce, x: T, n: usize) -> T {
    match op {
        Reduce::Max | Reduce::Min => x,
        Reduce::Sum if T::IS_INTEGER => T::from_i64_wrapping(x.to_i64().wrapping_mul(n as i64)),
        Reduce::Sum => T::from_f64(x.to_f64() * n as f64),
        Reduce::Prod => (0..n).fold(T::from_f64(1.0), |a, _| a.mul(x)),
    }
}
