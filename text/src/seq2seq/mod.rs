//! Sequence to sequence: a text is read, and another is written that answers it, with attention to the first.
//!
//! ```text
//! e₁ … e_S = encoder(x₁ … x_S)            GRU in both directions
//! d_t = decoder(y_{t-1}, d_{t-1})         GRU, from the encoder's last states
//! a_ts = softmax_s(d_tᵀ W_a e_s / √H)     where it looks
//! h̃_t = tanh(W_c [Σ_s a_ts e_s ; d_t])    p(y_t) = softmax(W h̃_t + b)
//! ```
//!
//! [`Pairs`] are made by rule (number words to digits, words backwards) or come from a file; [`train`] learns
//! from them; [`Seq2Seq::answer`] searches the likeliest answer with a beam; an [`Answer`] says where each of
//! its tokens came from, which [`Answer::draw`] shows.

mod answer;
mod attention;
mod model;
mod pairs;
mod train;

pub use answer::Answer;
pub use model::{Architecture, Seq2Seq};
pub use pairs::{Pairs, in_words};
pub use train::{Score, Settings, train};
