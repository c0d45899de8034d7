//! Sequences that a model writes, a token at a time: the likeliest, looked for along a beam.
//!
//! ln p(y₁ … y_n) = Σ_t ln p(y_t | y₁ … y_{t-1})
//!
//! Of all beginnings of t tokens the `width` likeliest go on to t + 1; what ends leaves the beam, and its place.
//! A beam of one is greedy: the likeliest token, each time. One that is as wide as there are beginnings finds the
//! likeliest of all sequences; in between nothing is promised, which is why the work grows with the width alone.

use plies_tensor::{Result, Tensor};

/// Looks for the likeliest sequences of tokens that end.
///
/// # Example
/// A model whose tokens follow from the one before: after 0, the beginning, 1 is likelier than 2, but 2 is
/// followed by the end for certain.
///
/// ```
/// use plies_nn::BeamSearch;
/// use plies_tensor::{Elementwise, Tensor};
/// let next = |before: i32| match before {
///     0 => [0.0f32, 0.6, 0.4], // of the end, 1 and 2
///     1 => [0.5, 0.25, 0.25],
///     _ => [1.0, 0.0, 0.0],
/// };
/// let write = |width: usize| {
///     let search = BeamSearch::new(width, 0, 10);
///     let step = |tokens: &Tensor, _rows: &[usize]| {
///         let rows: Vec<f32> = tokens.to_vec::<i32>()?.into_iter().flat_map(next).collect();
///         Ok(Tensor::from_vec(rows, [tokens.dim(0), 3]).ln()) // logits [N, V]
///     };
///     search.run(1, step).unwrap().remove(0)
/// };
/// assert_eq!(write(1)[0].tokens, [1]); // 0.6 · 0.5
/// let two = write(2);
/// assert_eq!(two[0].tokens, [2]); // 0.4 · 1
/// assert!((two[0].log_prob() - 0.4f64.ln()).abs() < 1e-6);
/// ```
#[doc(alias("greedy decoding", "generate", "sequence to sequence"))]
#[derive(Clone, Copy, Debug)]
pub struct BeamSearch {
    width: usize,
    end: i32,
    max_steps: usize,
    length_penalty: f64,
}

/// What a model has written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The tokens, without the one that ends them.
    pub tokens: Vec<i32>,
    /// The logarithm of each token's probability after those before it, the end's among them.
    pub log_probs: Vec<f64>,
    /// Whether it came to an end; if not, it was as long as it may be.
    pub ended: bool,
}

impl Written {
    /// The logarithm of its probability.
    pub fn log_prob(&self) -> f64 {
        self.log_probs.iter().sum()
    }
}

/// A beginning in the beam, and its row in the last call.
struct Beginning {
    written: Written,
    log_prob: f64,
    row: usize,
}

impl BeamSearch {
    /// A beam of `width` beginnings for each sequence; `end` is the token that ends one, and what the first
    /// is written after. None is longer than `max_steps`, the end included.
    ///
    /// # Panics
    /// When the width is 0.
    #[track_caller]
    pub fn new(width: usize, end: i32, max_steps: usize) -> Self {
        assert!(width > 0, "beam_search: a beam of width 0 finds nothing");
        BeamSearch { width, end, max_steps, length_penalty: 0.0 }
    }

    /// Compares what has been written by ln p / nᵃ, n tokens long, instead of by ln p: without, the short ones
    /// win, having fewer factors. 1 compares means.
    ///
    /// # Source
    /// Wu et al.: Google's neural machine translation system (2016), equation 14, without its constant.
    pub fn length_penalty(mut self, a: f64) -> Self {
        self.length_penalty = a;
        self
    }

    /// For each of `sequences`, at most `width` that were written, the best first.
    ///
    /// `step` is given the last token of each beginning in the beam, those of a sequence together, and the row
    /// that each goes on from: at the first call the number of its sequence, then that of the beginning in
    /// the call before, which may stand there several times. It answers with logits of what comes next; a token
    /// whose logit is -∞ is never written.
    ///
    /// # Shapes
    /// step: tokens `[N]` (I32), N rows -> logits [N, V]
    ///
    /// # Errors
    /// Those of `step`; a fault of the device.
    ///
    /// # Panics
    /// When the logits have another shape, or the end is not one of the V tokens.
    #[track_caller]
    pub fn run(
        &self,
        sequences: usize,
        mut step: impl FnMut(&Tensor, &[usize]) -> Result<Tensor>,
    ) -> Result<Vec<Vec<Written>>> {
        let nothing = Written { tokens: Vec::new(), log_probs: Vec::new(), ended: false };
        let begin = |row| vec![Beginning { written: nothing.clone(), log_prob: 0.0, row }];
        let mut beams: Vec<Vec<Beginning>> = (0..sequences).map(begin).collect();
        let mut found: Vec<Vec<Written>> = vec![Vec::new(); sequences];
        for _ in 0..self.max_steps {
            let all = || beams.iter().flatten();
            let rows: Vec<usize> = all().map(|beginning| beginning.row).collect();
            if rows.is_empty() {
                break;
            }
            let last = |b: &Beginning| b.written.tokens.last().copied().unwrap_or(self.end);
            let tokens: Vec<i32> = all().map(last).collect();
            let logits = step(&Tensor::from_vec(tokens, [rows.len()]), &rows)?;
            assert!(
                logits.rank() == 2
                    && logits.dim(0) == rows.len()
                    && (0..logits.dim(1) as i32).contains(&self.end),
                "beam_search: logits {} for {} beginnings and the end {}",
                logits.shape(),
                rows.len(),
                self.end
            );
            let n_tokens = logits.dim(1);
            let log_probs = logits.log_softmax(-1).to_f64_vec()?;
            let mut first_row = 0;
            for (beam, found) in beams.iter_mut().zip(&mut found) {
                let rows = first_row..first_row + beam.len();
                let of_beam = &log_probs[rows.start * n_tokens..rows.end * n_tokens];
                let next = self.go_on(beam, of_beam, first_row, self.width - found.len());
                let (ended, going): (Vec<Beginning>, _) =
                    next.into_iter().partition(|beginning| beginning.written.ended);
                found.extend(ended.into_iter().map(|beginning| beginning.written));
                *beam = going;
                first_row = rows.end;
            }
        }
        for (beam, found) in beams.into_iter().zip(&mut found) {
            found.extend(beam.into_iter().map(|beginning| beginning.written));
            let score = |written: &Written| self.score(written);
            found.sort_by(|a, b| score(b).total_cmp(&score(a)));
        }
        Ok(found)
    }

    /// The `width` likeliest of the beginnings with one token more; those before stand from `first_row` on.
    fn go_on(
        &self,
        beam: &[Beginning],
        log_probs: &[f64],
        first_row: usize,
        width: usize,
    ) -> Vec<Beginning> {
        let n_tokens = log_probs.len() / beam.len().max(1);
        // A model that gives no probability gives none.
        let number = |p: f64| if p.is_nan() { f64::NEG_INFINITY } else { p };
        let mut next: Vec<(f64, usize, usize)> = Vec::with_capacity(log_probs.len());
        for (row, beginning) in beam.iter().enumerate() {
            let of_row = &log_probs[row * n_tokens..(row + 1) * n_tokens];
            let sums = of_row.iter().map(|&p| beginning.log_prob + number(p));
            next.extend(sums.enumerate().map(|(token, sum)| (sum, row, token)));
        }
        // What cannot be takes nobody's place, unless there is nothing else.
        if next.iter().any(|(sum, ..)| *sum > f64::NEG_INFINITY) {
            next.retain(|(sum, ..)| *sum > f64::NEG_INFINITY);
        }
        // Of equal ones the earlier row, the smaller token: the same on every machine.
        let better = |a: &(f64, usize, usize), b: &(f64, usize, usize)| {
            b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        if (1..next.len()).contains(&width) {
            next.select_nth_unstable_by(width - 1, better);
        }
        next.truncate(width);
        next.sort_unstable_by(better);
        let begin = |(log_prob, row, token): (f64, usize, usize)| {
            let mut written = beam[row].written.clone();
            written.log_probs.push(number(log_probs[row * n_tokens + token]));
            written.ended = token as i32 == self.end;
            if !written.ended {
                written.tokens.push(token as i32);
            }
            Beginning { written, log_prob, row: first_row + row }
        };
        next.into_iter().map(begin).collect()
    }

    fn score(&self, written: &Written) -> f64 {
        let n = written.log_probs.len().max(1) as f64;
        written.log_prob() / n.powf(self.length_penalty)
    }
}
