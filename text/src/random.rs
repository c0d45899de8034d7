//! Random numbers for loops over words: a stream for each seed and place, a nanosecond a number.

/// SplitMix64: the n-th number is a hash of a key and n.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream of a seed that belongs to a place, such as an epoch and a chunk.
    pub(crate) fn new(seed: u64, place: [u64; 2]) -> Stream {
        let mut stream = Stream(seed);
        for part in place {
            stream.0 = stream.next().wrapping_add(part);
        }
        stream
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..n`, every number but for 2⁻³² equally likely.
    #[inline]
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// In [0, 1), a multiple of 2⁻²⁴.
    #[inline]
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_streams_differ() {
        let mut stream = Stream::new(1, [0, 0]);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[stream.below(7) as usize] += 1);
        assert!(counts.iter().all(|n| (9_500..10_500).contains(n)), "{counts:?}");
        let mean = (0..10_000).map(|_| stream.uniform()).sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let first = |seed, place| Stream::new(seed, place).next();
        let all = [first(1, [0, 0]), first(2, [0, 0]), first(1, [1, 0]), first(1, [0, 1])];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])));
    }
}
