//! Learning without labels, and networks that begin with what was learnt.
//!
//! An [`Autoencoder`] learns to undo a [`Corruption`]; an [`Rbm`] learns which inputs are likely, by
//! [`ContrastiveDivergence`]. Both are trained by [`fit`](crate::train::fit), with any optimiser, callbacks
//! and checkpoints. A [`Stack`] holds the layers learnt so far and gives the next one its inputs; in the
//! end it becomes a network, to be trained with labels.
//!
//! ```
//! use std::sync::Arc;
//! use plies_nn::data::{Dataset, Loader, TensorDataset};
//! use plies_nn::optim::Adam;
//! use plies_nn::pretrain::{Autoencoder, Corruption, Stack};
//! use plies_nn::train::{Fit, fit};
//! use plies_nn::{Activation, loss};
//! use plies_tensor::{DType, Device, Rng, Tensor};
//!
//! let mut rng = Rng::new(1);
//! let x = rng.bernoulli(0.3, [64, 20], DType::F32, &Device::cpu());
//! let data: Arc<dyn Dataset> = Arc::new(TensorDataset::new(x, Tensor::arange(64)));
//! let mut stack = Stack::new();
//! let mut inputs = 20;
//! for hidden in [16, 8] {
//!     let corruption = Corruption::Masking(0.25);
//!     let mut layer = Autoencoder::new(inputs, hidden, Activation::Sigmoid, &mut rng).corruption(corruption);
//!     let loader = Loader::new(stack.codes(data.clone()), 16).shuffle(2);
//!     fit(&mut layer, &mut Adam::new(0.01), &loss::binary_cross_entropy, &loader, &Fit::epochs(2), &mut []).unwrap();
//!     stack.push(&layer);
//!     inputs = hidden;
//! }
//! let classifier = stack.into_mlp(10, &mut rng); // 20-16-8-10, to be trained with labels
//! assert_eq!(format!("{classifier:?}"), "Mlp(20-16-8-10 sigmoid)");
//! ```
//!
//! # Source
//! Hinton, Osindero, Teh: A fast learning algorithm for deep belief nets (2006); Bengio, Lamblin, Popovici,
//! Larochelle: Greedy layer-wise training of deep networks (2007); Erhan et al.: Why does unsupervised
//! pre-training help deep learning? (2010).

mod autoencoder;
mod contrastive;
mod corruption;
mod rbm;
mod stack;

pub use autoencoder::Autoencoder;
pub use contrastive::{ContrastiveDivergence, contrast};
pub use corruption::Corruption;
pub use rbm::{Rbm, Visible};
pub use stack::{Pretrained, Stack};
