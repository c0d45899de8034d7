//! Vectors in use: neighbours, analogies, the odd one out.
//!
//! All of it compares directions: vectors are divided by their lengths once, then a product is a cosine.

use plies_tensor::Tensor;

use crate::vectors::WordVectors;
use crate::vocabulary::Vocabulary;

/// How "a is to b as c is to ?" is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// The word nearest to b − a + c: the largest cos(w, b) − cos(w, a) + cos(w, c).
    #[default]
    Add,
    /// The largest cos(w, b) · cos(w, c) / (cos(w, a) + 0.001), cosines moved to 0 … 1.
    Mul,
}

/// Vectors of length 1.
///
/// # Source
/// 3CosAdd is Mikolov, Yih, Zweig 2013; 3CosMul is Levy and Goldberg 2014, equation 4. Words of the question
/// are never the answer.
///
/// # Example
/// ```
/// use plies_text::{similarity::Directions, vectors::WordVectors};
/// let vectors = WordVectors::new(2, [
///     ("east", &[2.0, 0.0][..]), ("north", &[0.0, 1.0]), ("northeast", &[1.0, 1.0]),
/// ]);
/// let directions = Directions::new(&vectors);
/// let nearest = directions.nearest("east", 2).unwrap();
/// assert_eq!(nearest[0].0, "northeast");
/// assert!((nearest[0].1 - 0.5f32.sqrt()).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Directions<'v> {
    vocabulary: &'v Vocabulary,
    dim: usize,
    rows: Vec<f32>,
}

impl<'v> Directions<'v> {
    /// Divides vectors by their lengths; those of length 0 stay 0.
    pub fn new(vectors: &'v WordVectors) -> Directions<'v> {
        let dim = vectors.dim();
        let mut rows = vectors.rows().to_vec();
        rows.chunks_exact_mut(dim.max(1)).for_each(normalize);
        Directions { vocabulary: vectors.vocabulary(), dim, rows }
    }

    /// The words.
    pub fn vocabulary(&self) -> &'v Vocabulary {
        self.vocabulary
    }

    fn row(&self, number: u32) -> &[f32] {
        &self.rows[number as usize * self.dim..][..self.dim]
    }

    /// The cosine of two words' vectors; `None` when one is not known.
    pub fn cosine(&self, a: &str, b: &str) -> Option<f32> {
        let (a, b) = (self.vocabulary.find(a)?, self.vocabulary.find(b)?);
        Some(dot(self.row(a), self.row(b)))
    }

    /// The `n` words nearest to a word, and their cosines, the nearest first.
    pub fn nearest(&self, word: &str, n: usize) -> Option<Vec<(&'v str, f32)>> {
        let number = self.vocabulary.find(word)?;
        let scores = self.scores(self.row(number));
        Some(self.best(&scores, &[number], n))
    }

    /// The `n` words nearest to a vector.
    ///
    /// # Panics
    /// When the vector has another number of numbers.
    #[track_caller]
    pub fn nearest_to(&self, vector: &[f32], n: usize) -> Vec<(&'v str, f32)> {
        assert_eq!(vector.len(), self.dim, "nearest_to: the vector's dimension");
        let mut direction = vector.to_vec();
        normalize(&mut direction);
        self.best(&self.scores(&direction), &[], n)
    }

    /// The `n` best answers to "a is to b as c is to ?"; `None` when a word is not known.
    pub fn analogy(
        &self,
        [a, b, c]: [&str; 3],
        method: Method,
        n: usize,
    ) -> Option<Vec<(&'v str, f32)>> {
        let words = [self.vocabulary.find(a)?, self.vocabulary.find(b)?, self.vocabulary.find(c)?];
        let scores = match method {
            Method::Add => {
                let [a, b, c] = words.map(|number| self.row(number));
                let mut target: Vec<f32> = (0..self.dim).map(|i| b[i] - a[i] + c[i]).collect();
                normalize(&mut target);
                self.scores(&target)
            }
            Method::Mul => {
                let [a, b, c] = words.map(|number| self.scores(self.row(number)));
                (0..a.len()).map(|w| product(a[w], b[w], c[w])).collect()
            }
        };
        Some(self.best(&scores, &words, n))
    }

    /// Of some words the one that is farthest from the mean of all, and its cosine with it; words that
    /// are not known are passed over.
    pub fn odd_one_out<'w>(&self, words: &[&'w str]) -> Option<(&'w str, f32)> {
        let known: Vec<(&str, &[f32])> = words
            .iter()
            .filter_map(|&word| Some((word, self.row(self.vocabulary.find(word)?))))
            .collect();
        let mut mean = vec![0.0; self.dim];
        for (_, row) in &known {
            mean.iter_mut().zip(*row).for_each(|(sum, x)| *sum += x);
        }
        normalize(&mut mean);
        let cosines = known.iter().map(|(word, row)| (*word, dot(row, &mean)));
        cosines.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The answers to many questions at once, each the best of the first `limit` words, as a matrix
    /// product.
    pub(crate) fn answers(&self, questions: &[[u32; 3]], method: Method, limit: usize) -> Vec<u32> {
        let limit = limit.min(self.vocabulary.len());
        let all = Tensor::from_vec(self.rows[..limit * self.dim].to_vec(), [limit, self.dim]);
        let mut answers = Vec::new();
        for batch in questions.chunks(256) {
            let rows: Vec<f32> = match method {
                Method::Add => batch
                    .iter()
                    .flat_map(|words| {
                        let [a, b, c] = words.map(|number| self.row(number));
                        (0..self.dim).map(move |i| b[i] - a[i] + c[i])
                    })
                    .collect(),
                Method::Mul => {
                    batch.iter().flatten().flat_map(|&number| self.row(number)).copied().collect()
                }
            };
            let n = rows.len() / self.dim;
            let scores = Tensor::from_vec(rows, [n, self.dim]).matmul(&all.t());
            let scores = scores.to_vec::<f32>().expect("the CPU does not fail");
            let each = scores.chunks_exact(limit * n / batch.len());
            for (words, scores) in batch.iter().zip(each) {
                let score = |w: usize| match method {
                    Method::Add => scores[w],
                    Method::Mul => product(scores[w], scores[limit + w], scores[2 * limit + w]),
                };
                let mut best = (f32::NEG_INFINITY, 0);
                for w in 0..limit {
                    let score = score(w);
                    if score > best.0 && !words.contains(&(w as u32)) {
                        best = (score, w as u32);
                    }
                }
                answers.push(best.1);
            }
        }
        answers
    }

    fn scores(&self, direction: &[f32]) -> Vec<f32> {
        self.rows.chunks_exact(self.dim.max(1)).map(|row| dot(row, direction)).collect()
    }

    /// The `n` largest scores, without the words that were asked for.
    fn best(&self, scores: &[f32], asked: &[u32], n: usize) -> Vec<(&'v str, f32)> {
        let mut order: Vec<u32> =
            (0..scores.len() as u32).filter(|number| !asked.contains(number)).collect();
        let by_score =
            |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        let n = n.min(order.len());
        if n == 0 {
            return Vec::new();
        }
        order.select_nth_unstable_by(n - 1, by_score);
        order.truncate(n);
        order.sort_unstable_by(by_score);
        order
            .into_iter()
            .map(|number| (self.vocabulary.word(number), scores[number as usize]))
            .collect()
    }
}

fn product(a: f32, b: f32, c: f32) -> f32 {
    let moved = |cosine: f32| (1.0 + cosine) / 2.0;
    moved(b) * moved(c) / (moved(a) + 0.001)
}

fn dot(x: &[f32], y: &[f32]) -> f32 {
    // Eight sums, so that the compiler may use vectors.
    let mut sums = [0f32; 8];
    let (x8, x_rest) = x.as_chunks::<8>();
    let (y8, y_rest) = y.as_chunks::<8>();
    for (x, y) in x8.iter().zip(y8) {
        for l in 0..8 {
            sums[l] += x[l] * y[l];
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

fn normalize(row: &mut [f32]) {
    // In f64, since squares of large floats are too large for them.
    let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}
