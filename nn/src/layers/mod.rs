//! The layers, a file each, by kind.

// Weights, and functions of each element.
mod activation;
mod dropout;
mod function;
mod glu;
mod linear;
mod maxout;
mod prelu;
mod softmax;

pub use activation::Activation;
pub use dropout::{AlphaDropout, Dropout, SpatialDropout};
pub use function::Function;
pub use glu::Glu;
pub use linear::Linear;
pub use maxout::Maxout;
pub use prelu::Prelu;
pub use softmax::{LogSoftmax, Softmax};

// Windows over sequences and images.
mod adaptive_pool;
mod conv;
mod conv_transpose;
mod flatten;
mod pad;
mod pool;

pub use adaptive_pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
};
pub use conv::{Conv1d, Conv2d};
pub use conv_transpose::{ConvTranspose1d, ConvTranspose2d};
pub use flatten::{Flatten, Unflatten};
pub use pad::{Pad, Padding};
pub use pool::{AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d};

// Mean 0 and variance 1.
mod norm;

pub use norm::{BatchNorm, GroupNorm, LayerNorm, RmsNorm};

// Sequences, step by step.
mod cell;
mod embedding;
mod gru;
mod lstm;
mod recurrent;
mod recurrent_state;
mod rnn;
mod sequence_pool;

pub use embedding::Embedding;
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use recurrent::{Directions, RecurrentOptions};
pub use recurrent_state::RecurrentState;
pub use rnn::{Rnn, RnnCell};
pub use sequence_pool::SequencePool;

// Sequences, every step at once.
mod attention;
mod multi_head_attention;
mod positional_encoding;
mod transformer;

pub use attention::{AttentionMask, scaled_dot_product_attention};
pub use multi_head_attention::MultiHeadAttention;
pub use positional_encoding::PositionalEncoding;
pub use transformer::{TransformerEncoder, TransformerEncoderLayer};

// Made of layers.
mod mlp;
mod parallel;
mod probe;
mod residual;
mod sequential;

pub use mlp::Mlp;
pub use parallel::Parallel;
pub use probe::Probe;
pub use residual::Residual;
pub use sequential::Sequential;

// What learns by a rule of its own.
mod perceptron;

pub use perceptron::Perceptron;
