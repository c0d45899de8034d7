//! What a training makes, and can go on from.

use super::{LANES, Objective, Settings, Subwords};
use crate::random::Stream;
use crate::vocabulary::Vocabulary;

/// Words, their rows, and the rows of the targets, which only training needs.
#[derive(Clone, Debug)]
pub struct Model {
    /// The words.
    pub vocabulary: Vocabulary,
    /// How it was trained.
    pub settings: Settings,
    /// A row for each word, and then for each bucket of n-grams [V + buckets, dim].
    pub(crate) input: Vec<f32>,
    /// A row for each word [V, dim], or for each inner node of the tree [V - 1, dim].
    pub(crate) output: Vec<f32>,
}

impl Model {
    /// Rows as training begins: small random numbers for the words, zeros for the targets.
    pub fn new(vocabulary: Vocabulary, settings: Settings) -> Model {
        let buckets = settings.subwords.map_or(0, |subwords| subwords.buckets);
        let (rows, dim) = (vocabulary.len() + buckets, settings.dim);
        let mut random = Stream::new(settings.seed, [u64::MAX, LANES as u64]);
        let input = (0..rows * dim).map(|_| (random.uniform() - 0.5) / dim as f32).collect();
        let targets = match settings.objective {
            Objective::Negative(_) => vocabulary.len(),
            Objective::Hierarchical => vocabulary.len().saturating_sub(1),
        };
        Model { vocabulary, settings, input, output: vec![0.0; targets * dim] }
    }

    /// Numbers of a vector.
    pub fn dim(&self) -> usize {
        self.settings.dim
    }

    /// The vector of a word; of one that is not in the vocabulary only where words are bags of n-grams.
    pub fn vector(&self, word: &str) -> Option<Vec<f32>> {
        let dim = self.settings.dim;
        let own = self.vocabulary.find(word);
        let Some(subwords) = self.settings.subwords else {
            return own.map(|number| self.input[number as usize * dim..][..dim].to_vec());
        };
        let rows: Vec<u32> =
            own.into_iter().chain(subwords.rows(word, self.vocabulary.len())).collect();
        (!rows.is_empty()).then(|| self.mean(&rows))
    }

    /// The vectors of all words [V, dim].
    pub fn vectors(&self) -> Vec<f32> {
        let dim = self.settings.dim;
        let words = self.vocabulary.len();
        let Some(subwords) = self.settings.subwords else {
            return self.input[..words * dim].to_vec();
        };
        let row = |(number, word): (usize, &str)| {
            let rows: Vec<u32> =
                [number as u32].into_iter().chain(Subwords::rows(&subwords, word, words)).collect();
            self.mean(&rows)
        };
        self.vocabulary.words().enumerate().flat_map(row).collect()
    }

    fn mean(&self, rows: &[u32]) -> Vec<f32> {
        let dim = self.settings.dim;
        let mut mean = vec![0.0; dim];
        for &row in rows {
            let row = &self.input[row as usize * dim..][..dim];
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let n = rows.len() as f32;
        mean.iter_mut().for_each(|sum| *sum /= n);
        mean
    }
}
