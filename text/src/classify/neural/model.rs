//! A trained network with what it needs to read a text and to answer.

use plies_nn::Pass;
use plies_nn::plies_autograd::no_grad;

use super::super::calibration::Link;
use super::network::Network;
use super::texts::{Texts, UNKNOWN};
use super::{Encoder, NeuralSettings, Reading};
use crate::Result;
use crate::vocabulary::Vocabulary;
use plies_nn::data::Dataset;

/// A classifier that reads words in their order.
///
/// # Example
/// ```no_run
/// use plies_text::classify::neural::{Encoder, NeuralClassifier, NeuralSettings, Reading, Sequences};
/// use plies_text::labelled::Labelled;
/// let sentences = Sequences::read(&Labelled::embedded(), &Reading::default())?;
/// let (train, test) = sentences.split(5, 1);
/// let model = NeuralClassifier::train(&train, &NeuralSettings::new(Encoder::Gru))?;
/// assert!(model.test(&test)?.accuracy() > 0.75);
/// let p = model.probabilities(&["Not good, not good at all."])?.remove(0); // of labels "0" and "1"
/// assert!(p[0] > p[1]);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[derive(Debug)]
pub struct NeuralClassifier {
    pub(super) settings: NeuralSettings,
    pub(super) reading: Reading,
    /// The word of row 1 of the embedding, of row 2 and so on; row 0 is for all others.
    pub(super) vocabulary: Vocabulary,
    pub(super) labels: Vec<String>,
    pub(super) network: Network,
    pub(super) link: Link,
}

/// A word in its text: what the network has for it at first, and what it makes of it there.
#[derive(Clone, Debug, PartialEq)]
pub struct WordState {
    /// The word as the network reads it.
    pub word: String,
    /// Its vector, which is the same in every text.
    pub vector: Vec<f32>,
    /// Its state, which depends on the words around it.
    pub state: Vec<f32>,
}

impl NeuralClassifier {
    /// What the network is made of. Vectors that it began with are not kept.
    pub fn settings(&self) -> &NeuralSettings {
        &self.settings
    }

    /// What reads the vectors.
    pub fn encoder(&self) -> Encoder {
        self.settings.encoder
    }

    /// How it reads a text.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What it can answer, in the order of probabilities.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The words that it knows.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether a document may have several labels.
    pub fn has_many_labels(&self) -> bool {
        self.link.many
    }

    /// Trained numbers.
    pub fn parameter_count(&self) -> usize {
        use plies_nn::Module;
        self.network.parameter_count()
    }

    /// A text's words as rows of the embedding, and where they stand in the text as the model sees it,
    /// which is put into `seen`.
    pub(super) fn rows(&self, text: &str, seen: &mut String) -> Vec<(i32, std::ops::Range<usize>)> {
        let words = self.reading.words();
        let mut buffer = String::new();
        let text = words.normalization.apply(text, &mut buffer);
        let (origin, mut rows) = (text.as_ptr() as usize, Vec::new());
        words.tokenizer.for_each(text, &mut |word| {
            let start = word.as_ptr() as usize - origin;
            rows.push((self.row(word), start..start + word.len()));
        });
        self.reading.shorten(&mut rows);
        seen.clear();
        seen.push_str(text);
        rows
    }

    /// The row of a word.
    pub(super) fn row(&self, word: &str) -> i32 {
        self.vocabulary.find(word).map_or(UNKNOWN, |number| number as i32 + 1)
    }

    /// The words of a text as the network sees them: the same word has the same vector in every text, and
    /// another state in each.
    ///
    /// # Errors
    /// What the device says.
    pub fn states(&self, text: &str) -> Result<Vec<WordState>> {
        let mut seen = String::new();
        let rows = self.rows(text, &mut seen);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Texts::new([rows.iter().map(|row| row.0).collect()]).batch(&[0]);
        let [vectors, states] = no_grad(|| {
            let x = self.network.vectors(&batch.inputs);
            let states = self.network.states(&x, &mut Pass::eval());
            [x, states].map(|values| values.to_vec::<f32>())
        });
        let (vectors, states) = (vectors?, states?);
        let of = |all: &[f32], i: usize| {
            let width = all.len() / rows.len();
            all[i * width..(i + 1) * width].to_vec()
        };
        let word = |(i, (_, range)): (usize, &(i32, std::ops::Range<usize>))| WordState {
            word: seen[range.clone()].to_owned(),
            vector: of(&vectors, i),
            state: of(&states, i),
        };
        Ok(rows.iter().enumerate().map(word).collect())
    }
}
