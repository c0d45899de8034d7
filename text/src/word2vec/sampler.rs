//! Which words are drawn as negative samples: word w with a probability in proportion to count(w)^0.75.
//!
//! # Source
//! Mikolov et al. 2013 for the exponent; Walker's alias method as Vose (1991) builds it, two random numbers
//! for a word however many there are, where word2vec.c has a table of 100 million entries.

use crate::random::Stream;

pub(crate) struct Sampler {
    /// For each word: the share of its cell that is its own, of 2³², and whose the rest is.
    cells: Vec<(u32, u32)>,
}

impl Sampler {
    pub(crate) fn new(counts: &[u64], exponent: f64) -> Sampler {
        let weights: Vec<f64> =
            counts.iter().map(|&count| (count.max(1) as f64).powf(exponent)).collect();
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut shares: Vec<f64> = weights.iter().map(|weight| weight / mean).collect();
        let mut cells: Vec<(u32, u32)> = (0..counts.len()).map(|i| (u32::MAX, i as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..counts.len()).partition(|&i| shares[i] < 1.0);
        // What a small one leaves of its cell, a large one fills.
        while let (Some(&rich), Some(poor)) = (large.last(), small.pop()) {
            cells[poor] = ((shares[poor] * (1u64 << 32) as f64) as u32, rich as u32);
            shares[rich] -= 1.0 - shares[poor];
            if shares[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Sampler { cells }
    }

    #[inline]
    pub(crate) fn draw(&self, random: &mut Stream) -> u32 {
        let word = random.below(self.cells.len() as u32);
        let (own, other) = self.cells[word as usize];
        if (random.next() >> 32) as u32 <= own { word } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_drawn_in_proportion_to_a_power_of_their_counts() {
        for counts in [vec![1000, 100, 100, 10, 1, 1], vec![5], vec![7, 7, 7]] {
            let sampler = Sampler::new(&counts, 0.75);
            let mut random = Stream::new(3, [0, 0]);
            let n = 200_000;
            let mut drawn = vec![0; counts.len()];
            (0..n).for_each(|_| drawn[sampler.draw(&mut random) as usize] += 1);
            let powers: Vec<f64> = counts.iter().map(|&c| (c as f64).powf(0.75)).collect();
            let sum: f64 = powers.iter().sum();
            for (drawn, power) in drawn.into_iter().zip(powers) {
                let p = power / sum;
                let spread = (p * (1.0 - p) / f64::from(n)).sqrt();
                let share = f64::from(drawn) / f64::from(n);
                assert!((share - p).abs() <= 5.0 * spread + 1e-9, "{share} {p}");
            }
        }
    }
}
