//! Classifiers that read words in their order: recurrent, convolutional and self-attending networks.
//!
//!   text ─► words' numbers ([`Sequences`]) ─► vectors [T, D] ─► encoder ─► a state for each word [T, H]
//!        ─► pool over time `[H]` ─► a score for each label
//!
//! All of them are this one network with another [`Encoder`]. Texts of about the same length
//! share a batch; what a batch is filled up with is not read, and recurrent layers do not compute it, so a
//! text has the scores in a batch that it has alone.

mod encoder;
mod explain;
mod file;
mod model;
mod network;
mod pool;
mod predict;
mod sequences;
mod settings;
#[cfg(test)]
mod tests;
mod texts;
mod train;

pub use encoder::Encoder;
pub(super) use file::KIND;
pub use model::{NeuralClassifier, WordState};
pub use pool::Pooling;
pub use sequences::{Reading, Sequences};
pub use settings::NeuralSettings;
