//! Why a label was given.

/// Why a label was given: log-odds, added up.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The text as the model sees it, in small letters perhaps.
    pub text: String,
    /// Each word's place in it, and what it says for the label (above 0) or against it.
    pub words: Vec<(std::ops::Range<usize>, f32)>,
    /// What speaks for the label before a word is read.
    pub bias: f32,
}

/// How much an output is above the mean of the others; of a single output its sign tells the label. With
/// two labels of which a document has one it is the logarithm of the odds.
pub(crate) fn advantage(outputs: &[f32], label: usize) -> f32 {
    match outputs {
        &[one] if label == 1 => one,
        &[one] => -one,
        all => {
            let others = all.iter().sum::<f32>() - all[label];
            all[label] - others / (all.len() - 1) as f32
        }
    }
}
