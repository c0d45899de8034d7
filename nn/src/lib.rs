#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod activation;
mod check;
mod checkpoint;
mod conv;
pub mod data;
mod dropout;
mod embedding;
mod flatten;
mod gru;
pub mod init;
mod linear;
pub mod loss;
mod lstm;
pub mod metrics;
mod mlp;
mod module;
mod norm;
pub mod optim;
mod pool;
mod recurrent;
mod rnn;
mod sequential;
mod stream;
pub mod train;
mod visitor;

pub use plies_autograd;
pub use plies_autograd::Var;
pub use plies_tensor;

pub use activation::Activation;
pub use checkpoint::{Checkpoint, CheckpointError, Differences};
pub use conv::{Conv1d, Conv2d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gru::Gru;
pub use linear::Linear;
pub use lstm::Lstm;
pub use mlp::Mlp;
pub use module::{Module, Pass};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
pub use pool::{AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d};
pub use recurrent::{Directions, RecurrentOptions};
pub use rnn::Rnn;
pub use sequential::Sequential;
pub use visitor::{Visitor, VisitorMut};
