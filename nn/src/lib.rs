#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod activation;
mod adaptive_pool;
mod check;
mod checkpoint;
mod conv;
mod conv_transpose;
pub mod data;
mod dropout;
mod embedding;
mod flatten;
mod function;
mod glu;
mod gru;
pub mod init;
mod linear;
pub mod loss;
mod lstm;
mod maxout;
pub mod metrics;
mod mlp;
mod module;
mod norm;
pub mod optim;
mod pad;
mod parallel;
mod perceptron;
mod pool;
mod prelu;
pub mod pretrain;
mod recurrent;
mod residual;
mod rnn;
mod sequential;
mod softmax;
mod stream;
pub mod train;
mod visitor;

pub use plies_autograd;
pub use plies_autograd::Var;
pub use plies_tensor;

pub use activation::Activation;
pub use adaptive_pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
};
pub use checkpoint::{Checkpoint, CheckpointError, Differences};
pub use conv::{Conv1d, Conv2d};
pub use conv_transpose::{ConvTranspose1d, ConvTranspose2d};
pub use dropout::{AlphaDropout, Dropout, SpatialDropout};
pub use embedding::Embedding;
pub use flatten::{Flatten, Unflatten};
pub use function::Function;
pub use glu::Glu;
pub use gru::Gru;
pub use linear::Linear;
pub use lstm::Lstm;
pub use maxout::Maxout;
pub use mlp::Mlp;
pub use module::{Module, Pass};
pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};
pub use pad::{Pad, Padding};
pub use parallel::Parallel;
pub use perceptron::Perceptron;
pub use pool::{AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d};
pub use prelu::Prelu;
pub use recurrent::{Directions, RecurrentOptions};
pub use residual::Residual;
pub use rnn::Rnn;
pub use sequential::Sequential;
pub use softmax::{LogSoftmax, Softmax};
pub use visitor::{Visitor, VisitorMut};
