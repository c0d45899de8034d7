//! A language model that counts: n-grams, interpolated as Kneser and Ney do it.
//!
//! ```text
//! p(w | c) = (max(n(cw) - D, 0) + D · n₊(c) · p(w | c')) / n(c)
//! ```
//!
//! c' is c without its first token and n₊(c) the number of different tokens after c. n counts the longest
//! n-grams; of a shorter one it is the number of different tokens before it, since that is how likely it is
//! where a longer one was not seen. Below single tokens all are equally likely.

use std::collections::HashMap;

use crate::hash::{Quick, mix};

/// What is known of n-grams of one length.
#[derive(Clone, Debug, Default)]
struct Level {
    /// n(cw), by the hash of c and w.
    grams: HashMap<u64, u32, Quick>,
    /// n(c) and n₊(c), by the hash of c.
    contexts: HashMap<u64, (u32, u32), Quick>,
    /// n₁ / (n₁ + 2 n₂), where nᵢ n-grams were counted i times.
    discount: f64,
}

/// Probabilities of the next token by the n - 1 before it.
///
/// N-grams are known by hashes of 64 bits. Memory is some thirty bytes for each different n-gram of each
/// length.
///
/// # Source
/// Kneser, Ney: Improved backing-off for m-gram language modeling (1995); Chen, Goodman: An empirical study
/// of smoothing techniques for language modeling (1999), equation 24, with one discount for each length.
///
/// # Example
/// ```
/// use plies_text::language::KneserNey;
/// let model = KneserNey::train(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 3, 3);
/// assert!(model.probability(&[0, 1], 2) > 0.8);
/// ```
#[doc(alias("n-gram language model", "interpolated Kneser-Ney"))]
#[derive(Clone, Debug)]
pub struct KneserNey {
    vocabulary: usize,
    /// By the length of c.
    levels: Vec<Level>,
}

/// The hash of no token.
const NOTHING: u64 = 0;

impl KneserNey {
    /// Counts n-grams of up to `order` tokens; tokens are numbers below `vocabulary`.
    ///
    /// # Panics
    /// When `order` is 0.
    #[track_caller]
    pub fn train(tokens: &[i32], order: usize, vocabulary: usize) -> KneserNey {
        assert!(order > 0, "kneser_ney: n-grams of 0 tokens");
        let mut levels = vec![Level::default(); order];
        let mut hashes = vec![NOTHING; order];
        for (i, &token) in tokens.iter().enumerate() {
            contexts(&tokens[..i], &mut hashes);
            // From the longest there is; shorter ones count when a longer one is new.
            for length in (0..=i.min(order - 1)).rev() {
                let (level, context) = (&mut levels[length], hashes[length]);
                let count = level.grams.entry(gram(context, token)).or_default();
                *count += 1;
                let is_new = *count == 1;
                let (all, different) = level.contexts.entry(context).or_default();
                *all += 1;
                *different += u32::from(is_new);
                if !is_new {
                    break;
                }
            }
        }
        for level in &mut levels {
            let times = |n: u32| level.grams.values().filter(|&&count| count == n).count() as f64;
            let (once, twice) = (times(1), times(2));
            // Where there are none, as in a text of a few letters, some probability is left for the unseen.
            level.discount = if once > 0.0 { once / (once + 2.0 * twice) } else { 0.5 };
        }
        KneserNey { vocabulary, levels }
    }

    /// The probability of a token after others.
    pub fn probability(&self, before: &[i32], token: i32) -> f64 {
        let mut hashes = vec![NOTHING; self.levels.len()];
        contexts(before, &mut hashes);
        self.of(&hashes, before.len(), token)
    }

    fn of(&self, hashes: &[u64], before: usize, token: i32) -> f64 {
        let mut p = 1.0 / self.vocabulary.max(1) as f64;
        for (level, &context) in self.levels.iter().zip(hashes).take(before + 1) {
            let Some(&(all, different)) = level.contexts.get(&context) else { break };
            let count = level.grams.get(&gram(context, token)).copied().unwrap_or(0);
            let seen = (f64::from(count) - level.discount).max(0.0);
            p = (seen + level.discount * f64::from(different) * p) / f64::from(all);
        }
        p
    }

    /// The mean of -ln p of each token after all before it, in nats; what is before the first is nothing.
    pub fn nats_per_token(&self, tokens: &[i32]) -> f64 {
        let mut hashes = vec![NOTHING; self.levels.len()];
        let nats = tokens.iter().enumerate().map(|(i, &token)| {
            contexts(&tokens[..i], &mut hashes);
            -self.of(&hashes, i, token).ln()
        });
        nats.sum::<f64>() / tokens.len().max(1) as f64
    }
}

/// The hashes of the last 0, 1, 2 … tokens.
fn contexts(before: &[i32], hashes: &mut [u64]) {
    for length in 1..hashes.len().min(before.len() + 1) {
        let token = before[before.len() - length];
        hashes[length] = mix(hashes[length - 1], token as u64 + 1);
    }
}

fn gram(context: u64, token: i32) -> u64 {
    mix(context ^ 0x5bd1_e995, token as u64 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The formula word by word, with windows of the text in place of tables.
    fn naive(tokens: &[i32], order: usize, vocabulary: usize, before: &[i32], token: i32) -> f64 {
        // How often an n-gram counts: as often as it is there, or as there are different tokens before it, of
        // which the beginning of the text is one.
        let n = |gram: &[i32]| {
            if gram.len() == order {
                return tokens.windows(order).filter(|window| *window == gram).count();
            }
            let longer = tokens.windows(gram.len() + 1).filter(|window| window[1..] == *gram);
            let mut first: Vec<i32> = longer.map(|window| window[0]).collect();
            first.sort_unstable();
            first.dedup();
            first.len() + usize::from(tokens.starts_with(gram))
        };
        let mut p = 1.0 / vocabulary as f64;
        for length in 0..order.min(before.len() + 1) {
            let context = &before[before.len() - length..];
            let after = |context: &[i32]| -> Vec<usize> {
                (0..vocabulary as i32).map(|next| n(&[context, &[next]].concat())).collect()
            };
            let counts = after(context);
            let all: usize = counts.iter().sum();
            if all == 0 {
                break;
            }
            let mut grams: Vec<&[i32]> = tokens.windows(length + 1).collect();
            grams.sort_unstable();
            grams.dedup();
            let times = |i: usize| grams.iter().filter(|gram| n(gram) == i).count() as f64;
            let (once, twice) = (times(1), times(2));
            let d = if once > 0.0 { once / (once + 2.0 * twice) } else { 0.5 };
            let different = counts.iter().filter(|&&count| count > 0).count() as f64;
            let seen = (counts[token as usize] as f64 - d).max(0.0);
            p = (seen + d * different * p) / all as f64;
        }
        p
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn probabilities_are_those_of_a_naive_count(
            tokens in prop::collection::vec(0..3, 1..30), before in prop::collection::vec(0..3, 0..4)
        ) {
            let model = KneserNey::train(&tokens, 3, 3);
            for token in 0..3 {
                let (ours, theirs) =
                    (model.probability(&before, token), naive(&tokens, 3, 3, &before, token));
                prop_assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
            }
        }

        #[test]
        fn probabilities_add_up_to_one(
            tokens in prop::collection::vec(0..4, 0..60), before in prop::collection::vec(0..4, 0..4)
        ) {
            let model = KneserNey::train(&tokens, 3, 4);
            let sum: f64 = (0..4).map(|token| model.probability(&before, token)).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn a_pair_is_worked_out_by_hand() {
        // a b a b a c: pairs ab 2, ba 2, ac 1; D = 1 / (1 + 2 · 2) = 0.2.
        let model = KneserNey::train(&[0, 1, 0, 1, 0, 2], 2, 3);
        // Single tokens by what is before them, of which the beginning is one: a 2 (that and b), b 1, c 1.
        let d = 2.0 / (2.0 + 2.0);
        let single_b = ((1.0 - d) + d * 3.0 / 3.0) / 4.0;
        let expected = ((2.0 - 0.2) + 0.2 * 2.0 * single_b) / 3.0;
        assert!((model.probability(&[0], 1) - expected).abs() < 1e-12);
    }

    #[test]
    fn what_repeats_is_expected() {
        let tokens: Vec<i32> = (0..600).map(|i| i % 7).collect();
        let model = KneserNey::train(&tokens[..500], 4, 7);
        assert!(model.nats_per_token(&tokens[500..]) < 0.1);
    }
}
