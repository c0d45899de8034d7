//! Philox4x32-10: four random words as a function of a counter and a key, so the n-th number of a
//! stream costs no more than the first and any number of threads can fill parts of one tensor.
//!
//! Element i of a tensor depends on (seed, first block, i) alone. The key is the seed, the counter
//! is the number of the block: one block gives four F32 or two F64. A tensor filled in parts that
//! begin at a multiple of four (F64: two) elements is the tensor filled at once.
//!
//! # Source
//! Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).

use super::isa::{Loop, vectorised};
use super::math;

/// One block of four words.
#[inline(always)]
pub(crate) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const WORD: u64 = 0xffff_ffff;
    // Words in 64 bits, of which the upper half is ignored: a vector multiplies them as they lie.
    let mut c = counter.map(u64::from);
    let mut k = key.map(u64::from);
    for _ in 0..10 {
        let a = (c[0] & WORD).wrapping_mul(0xD251_1F53);
        let b = (c[2] & WORD).wrapping_mul(0xCD9E_8D57);
        c = [(b >> 32) ^ c[1] ^ k[0], b, (a >> 32) ^ c[3] ^ k[1], a];
        k = [k[0].wrapping_add(0x9E37_79B9) & WORD, k[1].wrapping_add(0xBB67_AE85) & WORD];
    }
    c.map(|word| word as u32)
}

/// What becomes of the four words of a block.
trait Draw<T, const N: usize> {
    fn at<const FMA: bool>(words: [u32; 4]) -> [T; N];
}

struct Fill<'a, T, D, const N: usize> {
    seed: u64,
    block: u64,
    out: &'a mut [T],
    draw: std::marker::PhantomData<D>,
}

impl<T: Copy, D: Draw<T, N>, const N: usize> Loop for Fill<'_, T, D, N> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let draw = |i: usize| {
            let block = self.block.wrapping_add(i as u64);
            D::at::<FMA>(philox([block as u32, (block >> 32) as u32, 0, 0], key))
        };
        let (blocks, rest) = self.out.as_chunks_mut::<N>();
        let n = blocks.len();
        for (i, out) in blocks.iter_mut().enumerate() {
            *out = draw(i);
        }
        if !rest.is_empty() {
            rest.copy_from_slice(&draw(n)[..rest.len()]);
        }
    }
}

fn fill<T: Copy + Send, D: Draw<T, N>, const N: usize>(seed: u64, block: u64, out: &mut [T]) {
    vectorised(Fill::<T, D, N> { seed, block, out, draw: std::marker::PhantomData });
}

struct Uniform;

/// Multiples of 2⁻²⁴.
impl Draw<f32, 4> for Uniform {
    #[inline(always)]
    fn at<const FMA: bool>(words: [u32; 4]) -> [f32; 4] {
        // As i32, which every instruction set converts.
        words.map(|word| (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0))
    }
}

/// Multiples of 2⁻⁵³, each from the upper bits of two words.
impl Draw<f64, 2> for Uniform {
    #[inline(always)]
    fn at<const FMA: bool>([a, b, c, d]: [u32; 4]) -> [f64; 2] {
        let number = |high: u32, low: u32| {
            let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
            // Exact: 26 bits and 27 bits.
            let high = f64::from((bits >> 27) as i32) * 134_217_728.0;
            (high + f64::from((bits & 0x7ff_ffff) as i32)) * (1.0 / 9_007_199_254_740_992.0)
        };
        [number(a, b), number(c, d)]
    }
}

/// Box and Muller (1958): of uniform u and v, √(-2 ln(1 - u)) times the cosine and the sine of v
/// turns are two independent normal numbers. 1 - u is never 0; in F32 it is at least 2⁻²⁴, so that no
/// number is beyond 5.8.
struct Normal;

impl Draw<f32, 4> for Normal {
    #[inline(always)]
    fn at<const FMA: bool>(words: [u32; 4]) -> [f32; 4] {
        let [a, b, c, d] = Uniform::at::<FMA>(words);
        let pair = |u: f32, v: f32| {
            let radius = (-2.0 * math::ln::<FMA>(1.0 - u)).sqrt();
            let (cos, sin) = math::turn::<FMA>(v);
            (radius * cos, radius * sin)
        };
        let ((a, b), (c, d)) = (pair(a, b), pair(c, d));
        [a, b, c, d]
    }
}

impl Draw<f64, 2> for Normal {
    #[inline(always)]
    fn at<const FMA: bool>(words: [u32; 4]) -> [f64; 2] {
        let [u, v] = Uniform::at::<FMA>(words);
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        [radius * cos, radius * sin]
    }
}

/// Uniform in [0, 1): element i from word i.
pub(super) fn fill_uniform_f32(seed: u64, block: u64, out: &mut [f32]) {
    fill::<_, Uniform, 4>(seed, block, out);
}

/// Uniform in [0, 1): element i from words 2i and 2i + 1.
pub(super) fn fill_uniform_f64(seed: u64, block: u64, out: &mut [f64]) {
    fill::<_, Uniform, 2>(seed, block, out);
}

/// Normal with mean 0 and variance 1: elements 2i and 2i + 1 from the uniform numbers there.
pub(super) fn fill_normal_f32(seed: u64, block: u64, out: &mut [f32]) {
    fill::<_, Normal, 4>(seed, block, out);
}

/// Normal with mean 0 and variance 1: elements 2i and 2i + 1 from the uniform numbers there.
pub(super) fn fill_normal_f64(seed: u64, block: u64, out: &mut [f64]) {
    fill::<_, Normal, 2>(seed, block, out);
}

#[cfg(test)]
mod tests {
    use super::super::isa::Isa;
    use super::*;

    /// # Source
    /// `kat_vectors` of Random123, the authors' implementation.
    #[test]
    fn the_published_words_come_out() {
        let ones = u32::MAX;
        let rows = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, words) in rows {
            assert_eq!(philox(counter, key), words);
        }
    }

    #[test]
    fn numbers_are_made_of_the_words_of_their_block_on_every_instruction_set() {
        // The counter's lower half overflows within the tensor, and so do both.
        for block in [0, u64::from(u32::MAX) - 3, u64::MAX - 3] {
            let (seed, n) = (0x0123_4567_89ab_cdef, 203);
            let word = |i: usize| {
                let c = block.wrapping_add(i as u64 / 4);
                let key = [seed as u32, (seed >> 32) as u32];
                philox([c as u32, (c >> 32) as u32, 0, 0], key)[i % 4]
            };
            Isa::for_each(|isa| {
                let (mut x, mut wide) = (vec![0f32; n], vec![0f64; n]);
                fill_uniform_f32(seed, block, &mut x);
                fill_uniform_f64(seed, block, &mut wide);
                for i in 0..n {
                    assert_eq!(x[i], (word(i) >> 8) as f32 / 16_777_216.0, "{isa:?}");
                    let bits = u64::from(word(2 * i)) << 32 | u64::from(word(2 * i + 1));
                    assert_eq!(wide[i], (bits >> 11) as f64 / (1u64 << 53) as f64, "{isa:?}");
                }
                let mut normal = vec![0f32; n];
                fill_normal_f32(seed, block, &mut normal);
                let u = |i: usize| f64::from(word(i) >> 8) / 16_777_216.0;
                for (i, &found) in normal.iter().enumerate() {
                    let radius = (-2.0 * (1.0 - u(i & !1)).ln()).sqrt();
                    let (sin, cos) = (std::f64::consts::TAU * u(i | 1)).sin_cos();
                    let exact = radius * if i % 2 == 0 { cos } else { sin };
                    assert!((f64::from(found) - exact).abs() <= 1e-6, "{found} {exact} {isa:?}");
                }
            });
        }
    }

    #[test]
    fn a_tensor_filled_in_parts_is_the_tensor_filled_at_once() {
        fn check<T: Copy + Default + PartialEq + std::fmt::Debug>(
            fill: fn(u64, u64, &mut [T]),
            per_block: usize,
        ) {
            Isa::for_each(|isa| {
                let mut whole = vec![T::default(); 1003];
                fill(5, 9, &mut whole);
                for blocks in [1, 3, 64, 100] {
                    let mut parts = vec![T::default(); 1003];
                    for (i, part) in parts.chunks_mut(blocks * per_block).enumerate() {
                        fill(5, 9 + (i * blocks) as u64, part);
                    }
                    assert_eq!(parts, whole, "{isa:?}");
                }
            });
        }
        check(fill_uniform_f32, 4);
        check(fill_normal_f32, 4);
        check(fill_uniform_f64, 2);
        check(fill_normal_f64, 2);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        const N: usize = 1 << 20;
        /// Mean of the first four powers.
        fn moments(x: impl Iterator<Item = f64> + Clone) -> [f64; 4] {
            [1, 2, 3, 4].map(|k| x.clone().map(|x| x.powi(k)).sum::<f64>() / N as f64)
        }
        let near = |found: [f64; 4], expected: [f64; 4], width: [f64; 4]| {
            for k in 0..4 {
                // Five standard deviations of the mean of N.
                let bound = 5.0 * width[k] / (N as f64).sqrt();
                assert!((found[k] - expected[k]).abs() < bound, "{found:?} {expected:?}");
            }
        };
        let (mut x, mut wide) = (vec![0f32; N], vec![0f64; N]);
        // Of uniform: 1 / (k + 1), with variance 1 / (2k + 1) - 1 / (k + 1)².
        let expected = [0.5, 1.0 / 3.0, 0.25, 0.2];
        let width = [1.0, 2.0, 3.0, 4.0f64]
            .map(|k| (1.0 / (2.0 * k + 1.0) - 1.0 / ((k + 1.0) * (k + 1.0))).sqrt());
        fill_uniform_f32(1, 0, &mut x);
        assert!(x.iter().all(|x| (0.0..1.0).contains(x)));
        near(moments(x.iter().copied().map(f64::from)), expected, width);
        fill_uniform_f64(1, 0, &mut wide);
        assert!(wide.iter().all(|x| (0.0..1.0).contains(x)));
        near(moments(wide.iter().copied()), expected, width);
        // Of normal: 0, 1, 0, 3, with variances 1, 2, 15, 96.
        let (expected, width) = ([0.0, 1.0, 0.0, 3.0], [1.0, 2.0, 15.0, 96.0].map(f64::sqrt));
        fill_normal_f32(1, 0, &mut x);
        near(moments(x.iter().copied().map(f64::from)), expected, width);
        // The two halves of a pair have nothing to do with each other.
        let product: f64 = x.chunks(2).map(|pair| f64::from(pair[0] * pair[1])).sum();
        assert!((product / (N / 2) as f64).abs() < 5.0 / ((N / 2) as f64).sqrt());
        fill_normal_f64(1, 0, &mut wide);
        near(moments(wide.iter().copied()), expected, width);
    }
}
