//! Language models: which token comes next, learned from a text, and texts that are written by them.
//!
//! ```text
//! hₜ = cell(embedding(xₜ), hₜ₋₁)        p(xₜ₊₁ | x₁ … xₜ) = softmax(W hₜ + b)
//! ```
//!
//! A text is numbers for a [`Codec`], of characters, of words or of pieces of words. A [`LanguageModel`]
//! reads it in windows whose states go on from one to the next, by truncated backpropagation through time; a
//! [`Generator`] writes. What a model is worth is said by [`KneserNey`], counting, on the same text.

mod codec;
mod corpus;
mod generate;
mod model;
mod ngrams;
mod train;

pub use codec::{Codec, Unit};
pub use corpus::{Corpus, Part};
pub use generate::{Generator, Sampling};
pub use model::{Architecture, Cell, LanguageModel, State};
pub use ngrams::KneserNey;
pub use train::{Settings, train};
