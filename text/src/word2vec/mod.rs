//! Word vectors that predict the words around (word2vec, fastText).
//!
//! In the order in which it can be read: [`Settings`] say which of the models; `block` is the arithmetic
//! that all of them are; `rows` says, model by model, which rows a block takes; `weights` are the rows,
//! shared by threads; `train` brings the words; `file`
//! keeps a model, to go on from.

mod block;
mod buffer;
mod file;
mod huffman;
mod model;
mod rows;
mod sampler;
mod settings;
mod subwords;
mod train;
mod weights;

pub use model::Model;
pub use settings::{Architecture, Objective, Settings};
pub use subwords::Subwords;
pub(crate) use train::count_by;
pub use train::{Progress, Watch, count, train, train_from};

/// Floats that are computed together: as many as the widest vectors of today hold.
const LANES: usize = 16;
