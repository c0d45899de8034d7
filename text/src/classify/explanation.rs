//! Why a label was given.

/// Why a label was given: the words' contributions add up, with the bias, to what the scores say for it, in
/// units of the logarithm of odds. Of two labels it is ln P(label) / P(the other); of more, the mean of
/// ln P(label) / P(another) over the others; where a document may have several labels, ln P / (1 − P).
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The text as the model sees it, in small letters perhaps.
    pub text: String,
    /// Each word's place in it, and what it says for the label (above 0) or against it.
    pub words: Vec<(std::ops::Range<usize>, f32)>,
    /// What speaks for the label before a word is read.
    pub bias: f32,
}
