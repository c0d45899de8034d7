//! Writing: a token is drawn from what the model expects, and read by it in turn.

use plies_nn::plies_autograd::no_grad;
use plies_tensor::Tensor;

use super::{LanguageModel, State};
use crate::random::Stream;
use crate::{Error, Result};

/// How a token is drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 the likely gets likelier, at 0 the likeliest is taken.
    pub temperature: f32,
    /// Only the k likeliest are drawn; 0 is no bound.
    pub top_k: usize,
    /// Only the fewest that have this probability together are drawn.
    pub top_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { temperature: 0.8, top_k: 0, top_p: 1.0 }
    }
}

impl Sampling {
    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// A temperature that is negative or not finite, a share that is not in 0 to 1.
    pub fn check(&self) -> Result<()> {
        let (t, p) = (self.temperature, self.top_p);
        if !(t >= 0.0 && t.is_finite()) {
            return Err(Error::setting("temperature", format!("is {t}; it may be 0 or more")));
        }
        if !(p > 0.0 && p <= 1.0) {
            return Err(Error::setting("top-p", format!("is {p}; it may be above 0, up to 1")));
        }
        Ok(())
    }

    /// Draws a number, `u` in [0, 1) being the chance. Of equal logits, the first is the likelier.
    ///
    /// # Source
    /// Holtzman et al.: The curious case of neural text degeneration (2020), for `top_p`.
    fn draw(&self, logits: &[f32], u: f32) -> u32 {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let by_logit =
            |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let k = match (self.temperature, self.top_k) {
            (0.0, _) => 1,
            (_, 0) => order.len(),
            (_, k) => k.min(order.len()),
        };
        if k < order.len() {
            order.select_nth_unstable_by(k, by_logit);
            order.truncate(k);
        }
        let largest = order.iter().map(|&i| logits[i as usize]).fold(f32::NEG_INFINITY, f32::max);
        let temperature = self.temperature.max(1e-6);
        let weight = |i: u32| f64::from(((logits[i as usize] - largest) / temperature).exp());
        let sum = |some: &[u32]| -> f64 { some.iter().map(|&i| weight(i)).sum() };
        // Where the weights of the likelier ones reach a sum, by halves of which one is looked into: O(n), where
        // sorting all would be O(n log n) for each token.
        let reach = |order: &mut [u32], mut left: f64| {
            let (mut low, mut high) = (0, order.len());
            while high - low > 1 {
                let half = (high - low) / 2;
                order[low..high].select_nth_unstable_by(half, by_logit);
                let likelier = sum(&order[low..low + half]);
                if left < likelier {
                    high = low + half;
                } else {
                    (low, left) = (low + half, left - likelier);
                }
            }
            low
        };
        let mut all = sum(&order);
        if self.top_p < 1.0 {
            let last = reach(&mut order, f64::from(self.top_p) * all);
            order.truncate(last + 1);
            all = sum(&order);
        }
        let drawn = reach(&mut order, f64::from(u) * all);
        order[drawn]
    }
}

/// A text without end, token by token: what each adds, which is nothing while a character is not complete.
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// use plies_text::language::{Architecture, Codec, Generator, LanguageModel, Sampling, Unit};
/// let codec = Codec::learn(&Source::bytes("text", *b"abcabc"), Unit::Characters, 100, 1)?;
/// let model = LanguageModel::new(codec, Architecture { hidden: 8, ..Architecture::default() }, 1)?;
/// let write = || Generator::new(&model, "ab", Sampling::default(), 7).unwrap().take(5).collect::<String>();
/// assert_eq!(write().chars().count(), 5);
/// assert_eq!(write(), write());
/// # Ok::<(), plies_text::Error>(())
/// ```
pub struct Generator<'m> {
    model: &'m LanguageModel,
    sampling: Sampling,
    state: State,
    logits: Vec<f32>,
    draws: Stream,
    /// The beginning of a character.
    pending: Vec<u8>,
}

impl<'m> Generator<'m> {
    /// Goes on from a prompt; without one, from the end of a line. Equal seeds give equal texts.
    ///
    /// # Errors
    /// Sampling that makes no sense.
    pub fn new(
        model: &'m LanguageModel,
        prompt: &str,
        sampling: Sampling,
        seed: u64,
    ) -> Result<Generator<'m>> {
        sampling.check()?;
        let prompt = if prompt.is_empty() { "\n" } else { prompt };
        let numbers: Vec<i32> =
            model.codec().encode(prompt).into_iter().map(|n| n as i32).collect();
        let mut state = State::default();
        let logits = model.read(&numbers, &mut state);
        let draws = Stream::new(seed, [0, 0]);
        Ok(Generator { model, sampling, state, logits, draws, pending: Vec::new() })
    }
}

impl Iterator for Generator<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(unknown) = self.model.codec().unknown() {
            self.logits[unknown as usize] = f32::NEG_INFINITY;
        }
        let token = self.sampling.draw(&self.logits, self.draws.uniform());
        let logits = no_grad(|| self.model.step(&Tensor::from([token as i32]), &mut self.state));
        self.logits = logits.to_vec().expect("on the host");
        self.pending.extend_from_slice(self.model.codec().token(token));
        Some(take_characters(&mut self.pending))
    }
}

/// The characters that are complete; what can be none becomes U+FFFD.
fn take_characters(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(pending) {
            Ok(all) => {
                text.push_str(all);
                pending.clear();
                return text;
            }
            Err(error) => {
                let good = error.valid_up_to();
                text.push_str(std::str::from_utf8(&pending[..good]).unwrap_or_default());
                let Some(bad) = error.error_len() else {
                    pending.drain(..good);
                    return text;
                };
                text.push('\u{fffd}');
                pending.drain(..good + bad);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sampling_keeps_to_its_bounds() {
        let logits = [0.1f32.ln(), 0.4f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let shares = |sampling: Sampling| {
            let mut counts = [0; 4];
            (0..1000).for_each(|i| counts[sampling.draw(&logits, i as f32 / 1000.0) as usize] += 1);
            counts
        };
        let plain = Sampling { temperature: 1.0, ..Sampling::default() };
        let near = |counts: [i32; 4], expected: [i32; 4]| {
            assert!(counts.iter().zip(expected).all(|(c, e)| (c - e).abs() <= 2), "{counts:?}");
        };
        near(shares(plain), [100, 400, 300, 200]);
        near(shares(Sampling { temperature: 0.5, ..plain }), [33, 533, 300, 133]);
        near(shares(Sampling { top_k: 2, ..plain }), [0, 571, 429, 0]);
        near(shares(Sampling { top_p: 0.75, ..plain }), [0, 444, 333, 222]);
        near(shares(Sampling { temperature: 0.0, ..plain }), [0, 1000, 0, 0]);
        assert!(Sampling { top_p: 0.0, ..plain }.check().is_err());
        assert!(Sampling { temperature: f32::NAN, ..plain }.check().is_err());
    }

    proptest! {
        /// As if all were sorted, and added one after the other.
        #[test]
        fn what_is_drawn_is_what_sorting_would_draw(
            logits in prop::collection::vec(-6f32..6.0, 1..60), u in 0f32..1.0,
            top_k in 0usize..70, top_p in 0.05f32..=1.0,
        ) {
            let sampling = Sampling { temperature: 0.7, top_k, top_p };
            let mut sorted: Vec<(f64, u32)> =
                logits.iter().map(|&z| (f64::from(z) / 0.7).exp()).zip(0..).collect();
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
            sorted.truncate(if top_k == 0 { usize::MAX } else { top_k });
            let mut add_up = |share: f32| {
                let all: f64 = sorted.iter().map(|row| row.0).sum();
                let (mut sum, wanted) = (0.0, f64::from(share) * all);
                let at = sorted.iter().position(|row| { sum += row.0; sum > wanted });
                let at = at.unwrap_or(sorted.len() - 1);
                // Rounding decides where a border is met.
                let is_near = (sum - wanted).min(wanted - (sum - sorted[at].0)) < 1e-5 * all;
                sorted.truncate(at + 1);
                (sorted[at].1, is_near)
            };
            let near_p = top_p < 1.0 && add_up(top_p).1;
            let (expected, is_near) = add_up(u);
            prop_assume!(!near_p && !is_near);
            prop_assert_eq!(sampling.draw(&logits, u), expected);
        }
    }

    #[test]
    fn a_long_prompt_is_read_a_window_at_a_time() {
        let text = crate::corpus::Source::bytes("t", b"a rose is a rose ".repeat(40));
        let codec =
            super::super::Codec::learn(&text, super::super::Unit::Characters, 50, 1).unwrap();
        let prompt: Vec<i32> =
            codec.encode(&"a rose is ".repeat(60)).into_iter().map(|n| n as i32).collect();
        let architecture = super::super::Architecture { hidden: 8, ..Default::default() };
        let model = LanguageModel::new(codec, architecture, 1).unwrap();
        let n = prompt.len();
        let mut state = State::default();
        let ours = model.read(&prompt, &mut state);
        let x = Tensor::from_vec(prompt, [1, n]);
        let rows = no_grad(|| model.run(&x, &mut State::default(), &mut plies_nn::Pass::eval()));
        let theirs = rows.value().slice(0, n - 1..).to_vec::<f32>().unwrap();
        assert_eq!(ours.len(), theirs.len());
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-5), "{ours:?} {theirs:?}");
    }

    #[test]
    fn characters_wait_for_their_last_byte() {
        let mut pending = vec![b'a', 0xc3];
        assert_eq!(take_characters(&mut pending), "a");
        pending.push(0xa9);
        assert_eq!((take_characters(&mut pending), pending.len()), ("é".to_owned(), 0));
        pending.extend([0xc3, b'b']);
        assert_eq!((take_characters(&mut pending), pending.len()), ("\u{fffd}b".to_owned(), 0));
    }
}
