//! Joining numbers: in vector lanes within a block, in wider accumulators between blocks.

use std::ops::{Deref, DerefMut};

use super::evaluate::BLOCK;
use super::isa::{Loop, vectorised};
use super::memory::Memory;
use super::prefetch;
use super::primitive::{Code, Primitive};
use crate::Reduce;

/// Partial results that become one at the end: a vector register.
const LANES: usize = 16;

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

fn join_integer(op: Reduce, a: i64, b: i64) -> i64 {
    match op {
        Reduce::Sum => a.wrapping_add(b),
        Reduce::Prod => a.wrapping_mul(b),
        Reduce::Max => a.max(b),
        Reduce::Min => a.min(b),
    }
}

fn join_float(op: Reduce, a: f64, b: f64) -> f64 {
    match op {
        Reduce::Sum => a + b,
        Reduce::Prod => a * b,
        Reduce::Max => Reducible::max(a, b),
        Reduce::Min => Reducible::min(a, b),
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
            self.integer = join_integer(op, self.integer, x);
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
            _ => self.value = join_float(op, self.value, x),
        }
    }

    pub(super) fn merge<T: Reducible>(&mut self, op: Reduce, other: Wide) {
        if T::IS_INTEGER {
            self.integer = join_integer(op, self.integer, other.integer);
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

/// A [`Wide`] for each place of a row, its parts in arrays of their own so that vectors hold several.
#[derive(Default)]
pub(super) struct WideRow {
    value: Row,
    lost: Row,
    integer: Vec<i64>,
}

/// Numbers in recycled memory: a fresh row for each sum would cost more than the sum.
struct Row(Memory);

impl Default for Row {
    fn default() -> Self {
        Row(Memory::scratch::<f64>(0))
    }
}

impl Row {
    fn of(value: f64, len: usize) -> Self {
        let mut row = Row(Memory::scratch::<f64>(len));
        row.fill(value);
        row
    }
}

impl Deref for Row {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        self.0.as_slice()
    }
}

impl DerefMut for Row {
    fn deref_mut(&mut self) -> &mut [f64] {
        self.0.as_slice_mut()
    }
}

impl WideRow {
    pub(super) fn new<T: Reducible>(op: Reduce, len: usize) -> Self {
        let Wide { value, lost, integer } = Wide::new::<T>(op);
        if T::IS_INTEGER {
            return WideRow { integer: vec![integer; len], ..WideRow::default() };
        }
        WideRow { value: Row::of(value, len), lost: Row::of(lost, len), integer: Vec::new() }
    }

    /// Joins a row of elements.
    pub(super) fn join<T: Reducible>(&mut self, op: Reduce, row: &[T]) {
        if T::IS_INTEGER {
            let row = row.iter().map(|x| x.to_i64());
            return self.join_integers(op, row);
        }
        match op {
            Reduce::Sum => vectorised(AddRow { wide: self, row }),
            _ => {
                for (value, x) in self.value.iter_mut().zip(row) {
                    *value = join_float(op, *value, x.to_f64());
                }
            }
        }
    }

    /// Joins another row of results.
    pub(super) fn merge<T: Reducible>(&mut self, op: Reduce, other: &WideRow) {
        if T::IS_INTEGER {
            return self.join_integers(op, other.integer.iter().copied());
        }
        self.join(op, &other.value);
        for (lost, x) in self.lost.iter_mut().zip(&*other.lost) {
            *lost += x;
        }
    }

    fn join_integers(&mut self, op: Reduce, row: impl Iterator<Item = i64>) {
        for (integer, x) in self.integer.iter_mut().zip(row) {
            *integer = join_integer(op, *integer, x);
        }
    }

    pub(super) fn finish<T: Reducible>(&self, out: &mut [T]) {
        for (i, out) in out.iter_mut().enumerate() {
            let at = |part: &[f64]| part.get(i).copied().unwrap_or_default();
            let integer = self.integer.get(i).copied().unwrap_or_default();
            *out = Wide { value: at(&self.value), lost: at(&self.lost), integer }.finish();
        }
    }
}

struct AddRow<'a, T> {
    wide: &'a mut WideRow,
    row: &'a [T],
}

impl<T: Reducible> Loop for AddRow<'_, T> {
    /// Knuth's two-sum: what rounding takes from the sum, whichever of the two is larger.
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let sums = self.wide.value.iter_mut().zip(&mut *self.wide.lost);
        for ((value, lost), x) in sums.zip(self.row) {
            let x = x.to_f64();
            let sum = *value + x;
            let of_x = sum - *value;
            *lost += (*value - (sum - of_x)) + (x - of_x);
            *value = sum;
        }
    }
}

/// Joins a block: eight vectors of lanes in a tree, these one after the other, the lanes in a tree. An
/// element of a sum goes through 3 + length / 128 + 4 roundings, fifteen in a block of a thousand.
pub(super) fn fold<T: Reducible>(op: Reduce, block: &[T]) -> T {
    let start = identity(op);
    let mut out = start;
    match op {
        Reduce::Sum => vectorised(Fold { block, start, join: T::add, out: &mut out }),
        Reduce::Prod => vectorised(Fold { block, start, join: T::mul, out: &mut out }),
        Reduce::Max => vectorised(Fold { block, start, join: T::max, out: &mut out }),
        Reduce::Min => vectorised(Fold { block, start, join: T::min, out: &mut out }),
    }
    out
}

struct Fold<'a, T, J> {
    block: &'a [T],
    start: T,
    join: J,
    out: &'a mut T,
}

impl<T: Copy, J: Fn(T, T) -> T> Loop for Fold<'_, T, J> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Fold { block, start, join, out } = self;
        let mut lanes = [start; LANES];
        let (groups, rest) = block.as_chunks::<{ 8 * LANES }>();
        for group in groups {
            for (i, lane) in lanes.iter_mut().enumerate() {
                let pair = |k: usize| join(group[k * LANES + i], group[(k + 1) * LANES + i]);
                let eight = join(join(pair(0), pair(2)), join(pair(4), pair(6)));
                *lane = join(*lane, eight);
            }
        }
        let (vectors, rest) = rest.as_chunks::<LANES>();
        for vector in vectors {
            for (lane, &x) in lanes.iter_mut().zip(vector) {
                *lane = join(*lane, x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane = join(*lane, x);
        }
        let eight: [T; 8] = std::array::from_fn(|i| join(lanes[i], lanes[i + 8]));
        let four: [T; 4] = std::array::from_fn(|i| join(eight[i], eight[i + 4]));
        *out = join(join(four[0], four[2]), join(four[1], four[3]));
    }
}

/// The loop that joins its first operand's values, or one value as often, to one number.
pub(super) fn reduction<T: Reducible>(op: Reduce, single: bool) -> Code<T> {
    /// # Safety
    /// As for [`Code`].
    unsafe fn join<T: Reducible, const OP: u8, const SINGLE: bool>(
        operands: [*const T; 3],
        out: *mut T,
        n: usize,
    ) {
        let op = [Reduce::Sum, Reduce::Prod, Reduce::Max, Reduce::Min][OP as usize];
        // SAFETY: the caller's promise.
        unsafe {
            *out = if SINGLE {
                repeat(op, *operands[0], n)
            } else {
                fold_long(op, std::slice::from_raw_parts(operands[0], n))
            };
        }
    }
    match (op, single) {
        (Reduce::Sum, false) => join::<T, 0, false>,
        (Reduce::Prod, false) => join::<T, 1, false>,
        (Reduce::Max, false) => join::<T, 2, false>,
        (Reduce::Min, false) => join::<T, 3, false>,
        (Reduce::Sum, true) => join::<T, 0, true>,
        (Reduce::Prod, true) => join::<T, 1, true>,
        (Reduce::Max, true) => join::<T, 2, true>,
        (Reduce::Min, true) => join::<T, 3, true>,
    }
}

/// Joins lines of equal length, at most a block, that follow one another: one result for each.
pub(super) fn fold_lines<T: Reducible>(op: Reduce, values: &[T], out: &mut [T]) {
    let (count, row) = (out.len(), values.len() / out.len());
    let (values, out) = (values.as_ptr(), out.as_mut_ptr());
    Lines { values, out, count, row }.fold(op);
}

/// Writes the number of each row to all of its places.
///
/// # Safety
/// There are `count` values and `count` rows of `row` places, none of which is a value.
pub(super) unsafe fn spread<T: Reducible>(values: *const T, out: *mut T, [count, row]: [usize; 2]) {
    vectorised(Spread(Lines { values, out, count, row }));
}

struct Spread<T>(Lines<T>);

impl<T: Reducible> Loop for Spread<T> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Lines { values, out, count, row } = self.0;
        for line in 0..count {
            // SAFETY: the promise of `spread`.
            unsafe {
                std::slice::from_raw_parts_mut(out.add(line * row), row).fill(*values.add(line));
            }
        }
    }
}

/// Lines of `row` values, and as many numbers as lines.
#[derive(Clone, Copy)]
struct Lines<T> {
    values: *const T,
    out: *mut T,
    count: usize,
    row: usize,
}

impl<T: Reducible> Lines<T> {
    fn fold(self, op: Reduce) {
        let (lines, start) = (self, identity(op));
        match op {
            Reduce::Sum => vectorised(FoldEach { lines, start, join: T::add }),
            Reduce::Prod => vectorised(FoldEach { lines, start, join: T::mul }),
            Reduce::Max => vectorised(FoldEach { lines, start, join: T::max }),
            Reduce::Min => vectorised(FoldEach { lines, start, join: T::min }),
        }
    }
}

struct FoldEach<T, J> {
    lines: Lines<T>,
    start: T,
    join: J,
}

impl<T: Copy, J: Fn(T, T) -> T + Copy> Loop for FoldEach<T, J> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let FoldEach { lines: Lines { values, out, count, row }, start, join } = self;
        if row <= LANES {
            return self.beside_each_other();
        }
        for line in 0..count {
            // SAFETY: the promise of `Lines`.
            unsafe {
                let block = std::slice::from_raw_parts(values.add(line * row), row);
                Fold { block, start, join, out: &mut *out.add(line) }.run::<FMA>();
            }
        }
    }
}

impl<T: Copy, J: Fn(T, T) -> T + Copy> FoldEach<T, J> {
    /// Rows shorter than a vector: many rows at a time, one in each lane.
    #[inline(always)]
    fn beside_each_other(self) {
        let FoldEach { lines: Lines { values, out, count, row }, start, join } = self;
        for first in (0..count).step_by(LANES) {
            // The last row stands in for those that are missing.
            let rows: [usize; LANES] = std::array::from_fn(|i| (first + i).min(count - 1));
            let places = rows.map(|r| r * row);
            let mut lanes = [start; LANES];
            for column in 0..row {
                for (lane, place) in lanes.iter_mut().zip(places) {
                    // SAFETY: the promise of `Lines`; no place of these rows is written yet.
                    *lane = join(*lane, unsafe { *values.add(place + column) });
                }
            }
            for (lane, r) in lanes.into_iter().zip(rows) {
                // SAFETY: as above; other rows than these have other places.
                unsafe { *out.add(r) = lane };
            }
        }
    }
}

/// Joins values of any number: blocks in vector lanes, their results in a wide accumulator.
fn fold_long<T: Reducible>(op: Reduce, values: &[T]) -> T {
    if values.len() <= BLOCK {
        return fold(op, values);
    }
    let mut wide = Wide::new::<T>(op);
    fold_blocks(op, values, &mut wide);
    wide.finish()
}

/// Joins blocks one after the other to a wide accumulator, in one call for all of them: the next one
/// is on its way from memory, and its lanes begin anew, while those of the last meet.
pub(super) fn fold_blocks<T: Reducible>(op: Reduce, values: &[T], wide: &mut Wide) {
    match op {
        Reduce::Sum => vectorised(FoldBlocks { values, op, wide, join: T::add }),
        Reduce::Prod => vectorised(FoldBlocks { values, op, wide, join: T::mul }),
        Reduce::Max => vectorised(FoldBlocks { values, op, wide, join: T::max }),
        Reduce::Min => vectorised(FoldBlocks { values, op, wide, join: T::min }),
    }
}

struct FoldBlocks<'a, T, J> {
    values: &'a [T],
    op: Reduce,
    wide: &'a mut Wide,
    join: J,
}

impl<T: Reducible, J: Fn(T, T) -> T + Copy> Loop for FoldBlocks<'_, T, J> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let FoldBlocks { values, op, wide, join } = self;
        let start = identity(op);
        for (i, block) in values.chunks(BLOCK).enumerate() {
            if let Some(next) = values.get((i + 1) * BLOCK..(i + 2) * BLOCK) {
                prefetch::lines(next.as_ptr(), next.len());
            }
            let mut folded = start;
            Fold { block, start, join, out: &mut folded }.run::<FMA>();
            wide.join(op, folded);
        }
    }
}

/// Joins rows to `sums`, place by place: eight rows at a time in a tree.
pub(super) fn fold_rows<T: Reducible>(op: Reduce, sums: &mut [T], rows: &[T]) {
    match op {
        Reduce::Sum => vectorised(FoldRows { sums, rows, join: T::add }),
        Reduce::Prod => vectorised(FoldRows { sums, rows, join: T::mul }),
        Reduce::Max => vectorised(FoldRows { sums, rows, join: T::max }),
        Reduce::Min => vectorised(FoldRows { sums, rows, join: T::min }),
    }
}

struct FoldRows<'a, T, J> {
    sums: &'a mut [T],
    rows: &'a [T],
    join: J,
}

impl<T: Copy, J: Fn(T, T) -> T> Loop for FoldRows<'_, T, J> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let FoldRows { sums, rows, join } = self;
        let width = sums.len();
        let groups = rows.chunks_exact(8 * width);
        let rest = groups.remainder();
        for group in groups {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a group is eight rows long, and i is below the width.
                let at = |k: usize| unsafe { *group.get_unchecked(k * width + i) };
                let pair = |k: usize| join(at(k), at(k + 1));
                let eight = join(join(pair(0), pair(2)), join(pair(4), pair(6)));
                *sum = join(*sum, eight);
            }
        }
        for row in rest.chunks_exact(width) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum = join(*sum, x);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::super::isa::Isa;
    use super::*;

    const OPS: [Reduce; 4] = [Reduce::Sum, Reduce::Prod, Reduce::Max, Reduce::Min];

    /// Lengths around those of a vector, of eight vectors, and of a block.
    const LENGTHS: [usize; 14] = [1, 2, 10, 15, 16, 17, 33, 127, 128, 129, 1000, 1023, 1024, 2500];

    /// Numbers whose sums, and products if they are few, are exact.
    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| if i % 97 == 5 { -2.0 } else { [1.0, -1.0, 1.0][i * 7 % 3] }).collect()
    }

    fn naive<T: Reducible>(op: Reduce, values: &[T]) -> f64 {
        let start: T = identity(op);
        values.iter().fold(start.to_f64(), |a, x| join_float(op, a, x.to_f64()))
    }

    fn lines_and_blocks<T: Reducible>() {
        for (op, row) in OPS.into_iter().flat_map(|op| LENGTHS.map(|row| (op, row))) {
            for count in [1, 3, 16, 17, 50] {
                let values: Vec<T> =
                    numbers(count * row).iter().map(|&x| T::from_f64(x.into())).collect();
                let expected: Vec<f64> = values.chunks(row).map(|line| naive(op, line)).collect();
                Isa::for_each(|isa| {
                    let what = format!("{op:?} of {count} lines of {row} with {isa:?}");
                    let mut out = vec![T::default(); count];
                    if row <= BLOCK {
                        fold_lines(op, &values, &mut out);
                        let found: Vec<f64> = out.iter().map(|x| x.to_f64()).collect();
                        assert_eq!(found, expected, "{what}");
                    }
                    for (line, expected) in values.chunks(row).zip(&expected) {
                        let mut wide = Wide::new::<T>(op);
                        fold_blocks(op, line, &mut wide);
                        assert_eq!(wide.finish::<T>().to_f64(), *expected, "{what}");
                    }
                });
            }
        }
    }

    #[test]
    fn lines_are_what_a_loop_over_them_gives_on_every_instruction_set() {
        lines_and_blocks::<f32>();
        lines_and_blocks::<f64>();
    }

    #[test]
    fn a_nan_anywhere_in_a_line_is_its_result_alone() {
        for (op, row) in OPS.into_iter().flat_map(|op| LENGTHS[..13].iter().map(move |&r| (op, r)))
        {
            for at in [0, row / 2, row - 1] {
                let mut values = numbers(3 * row);
                values[row + at] = f32::NAN;
                Isa::for_each(|isa| {
                    let mut out = [0f32; 3];
                    fold_lines(op, &values, &mut out);
                    let right = !out[0].is_nan() && out[1].is_nan() && !out[2].is_nan();
                    assert!(right, "{op:?} of {row} with NaN at {at}, {isa:?}: {out:?}");
                    let mut wide = Wide::new::<f32>(op);
                    fold_blocks(op, &values, &mut wide);
                    assert!(wide.finish::<f32>().is_nan(), "{op:?} of {row}, {isa:?}");
                });
            }
        }
    }
}
