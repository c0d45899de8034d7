//! A matrix that several threads read and change at the same time, in safe Rust.
//!
//! Hogwild (Niu et al. 2011) lets threads step on each other's updates: the rows are many, collisions
//! are rare, and one that is lost is noise. In C that is a data race, which has no meaning; here every
//! element is atomic. Relaxed loads and stores of two floats in one 64-bit word cost no more than plain
//! ones of that size. What they cannot be is vectorised, so a row is copied to the thread's own memory,
//! where the arithmetic is, and the change is added in the end. Two threads that add to one row at the same
//! time may lose a part of one change; no float is ever half written.
//!
//! One thread alone is deterministic.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::LANES;
use super::buffer::{per_line, start};

/// Rows [R, dim] of floats, each padded with zeros to whole cache lines.
pub(crate) struct Weights {
    dim: usize,
    /// Words of two floats in a row.
    stride: usize,
    start: usize,
    words: Vec<AtomicU64>,
}

impl Weights {
    /// Rows, row-major, which are given up: there may not be memory for both.
    pub(crate) fn from_rows(rows: Vec<f32>, dim: usize) -> Weights {
        let stride = dim.div_ceil(LANES) * LANES / 2;
        let n = rows.len() / dim * stride + per_line::<u64>();
        let mut words: Vec<AtomicU64> = (0..n).map(|_| AtomicU64::new(0)).collect();
        let start = start(&words);
        for (words, row) in words[start..].chunks_exact_mut(stride).zip(rows.chunks_exact(dim)) {
            for (word, two) in words.iter_mut().zip(row.chunks(2)) {
                let two = [two[0], two.get(1).copied().unwrap_or(0.0)];
                *word.get_mut() = bytemuck::cast(two);
            }
        }
        Weights { dim, stride, start, words }
    }

    /// Floats of a row, padding included: a multiple of [`LANES`].
    pub(crate) fn width(&self) -> usize {
        2 * self.stride
    }

    #[inline]
    fn row(&self, row: usize) -> &[AtomicU64] {
        &self.words[self.start + row * self.stride..][..self.stride]
    }

    /// Copies a row.
    #[inline]
    pub(crate) fn read(&self, row: usize, out: &mut [u64]) {
        for (out, word) in out.iter_mut().zip(self.row(row)) {
            *out = word.load(Relaxed);
        }
    }

    /// Adds to a row, by way of memory for a row, where the addition is vectorised.
    #[inline]
    pub(crate) fn add(&self, row: usize, change: &[f32], sum: &mut [u64]) {
        let words = self.row(row);
        for (sum, word) in sum.iter_mut().zip(words) {
            *sum = word.load(Relaxed);
        }
        let floats: &mut [f32] = bytemuck::cast_slice_mut(sum);
        floats.iter_mut().zip(change).for_each(|(sum, change)| *sum += change);
        for (sum, word) in sum.iter().zip(words) {
            word.store(*sum, Relaxed);
        }
    }

    /// Looks at a row, so that it is in the cache when it is read. Many rows that are looked at come from
    /// memory at the same time; rows that are copied come one after the other.
    #[inline]
    pub(crate) fn touch(&self, row: usize) -> u64 {
        let lines = self.row(row).iter().step_by(per_line::<u64>());
        lines.fold(0, |all, word| all ^ word.load(Relaxed))
    }

    /// Rows, row-major, without the padding.
    pub(crate) fn into_rows(self) -> Vec<f32> {
        let rows = (self.words.len() - per_line::<u64>()) / self.stride;
        let mut out = Vec::with_capacity(rows * self.dim);
        for row in 0..rows {
            let start = out.len();
            for word in self.row(row) {
                let two: [f32; 2] = bytemuck::cast(word.load(Relaxed));
                out.extend(two);
            }
            out.truncate(start + self.dim);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Buffer;
    use super::*;

    #[test]
    fn rows_are_kept_and_added_to() {
        for dim in [1, 2, 15, 16, 17, 100] {
            let rows: Vec<f32> = (0..3 * dim).map(|i| i as f32).collect();
            let weights = Weights::from_rows(rows.clone(), dim);
            let mut buffer = Buffer::default();
            buffer.resize(weights.width());
            weights.read(1, buffer.words_mut());
            assert_eq!(buffer.floats()[..dim], rows[dim..2 * dim]);
            assert!(buffer.floats()[dim..].iter().all(|&x| x == 0.0));
            let change: Vec<f32> = buffer.floats().to_vec();
            weights.add(1, &change, buffer.words_mut());
            weights.touch(1);
            let back = weights.into_rows();
            assert_eq!(back[..dim], rows[..dim]);
            assert!((dim..2 * dim).all(|i| back[i] == 2.0 * rows[i]));
            assert_eq!(back[2 * dim..], rows[2 * dim..]);
        }
    }
}
