//! Layers learnt one after another, each on what those below make of the inputs.

use std::sync::Arc;

use plies_autograd::Var;
use plies_tensor::{Rng, Tensor};

use super::{Autoencoder, Rbm};
use crate::data::{Batch, Dataset, Map};
use crate::init::{self, Distribution::Uniform, Fan};
use crate::{Activation, Linear, Mlp, Sequential};

/// A layer that was learnt without labels, and the way back.
#[derive(Clone, Debug)]
pub struct Pretrained {
    weight: Tensor,
    bias: Tensor,
    back_weight: Tensor,
    back_bias: Tensor,
    activation: Activation,
}

impl From<&Autoencoder> for Pretrained {
    fn from(layer: &Autoencoder) -> Self {
        Pretrained {
            weight: layer.weight().value().clone(),
            bias: layer.bias().value().clone(),
            back_weight: layer.back_weight().into_value(),
            back_bias: layer.back_bias().value().clone(),
            activation: layer.activation(),
        }
    }
}

impl From<&Rbm> for Pretrained {
    fn from(layer: &Rbm) -> Self {
        Pretrained {
            weight: layer.weight().value().clone(),
            bias: layer.hidden_bias().value().clone(),
            back_weight: layer.weight().value().t(),
            back_bias: layer.visible_bias().value().clone(),
            activation: Activation::Sigmoid,
        }
    }
}

impl Pretrained {
    fn forward(&self) -> Linear {
        Linear::from_weights(self.weight.clone(), Some(self.bias.clone()))
    }

    fn back(&self) -> Linear {
        Linear::from_weights(self.back_weight.contiguous(), Some(self.back_bias.clone()))
    }
}

/// Layers learnt without labels, from the inputs upwards: the data set of the next layer, and networks that
/// begin with them. See the [module](crate::pretrain) for a training.
///
/// # Source
/// Hinton, Osindero, Teh (2006); unrolled: Hinton, Salakhutdinov: Reducing the dimensionality of data with
/// neural networks (2006).
///
/// # Example
/// ```
/// use plies_nn::pretrain::{Rbm, Stack};
/// use plies_nn::{Module, Pass, Var};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let mut rng = Rng::new(1);
/// let mut stack = Stack::new();
/// stack.push(&Rbm::binary(6, 4, &mut rng));
/// stack.push(&Rbm::binary(4, 2, &mut rng));
/// let x = Tensor::ones([3, 6], DType::F32, &Device::cpu());
/// assert_eq!(stack.encode(&x).dims(), [3, 2]);
/// let back = stack.unrolled().forward(&Var::constant(x), &mut Pass::eval());
/// assert_eq!(back.dims(), [3, 6]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stack {
    layers: Vec<Pretrained>,
}

impl Stack {
    /// No layers yet.
    pub fn new() -> Self {
        Stack::default()
    }

    /// Puts a layer on top, as it is now.
    ///
    /// # Panics
    /// When it does not take as many numbers as the layer below gives.
    #[track_caller]
    pub fn push(&mut self, layer: impl Into<Pretrained>) {
        let layer = layer.into();
        if let Some(below) = self.layers.last() {
            let (from, to) = (below.weight.dim(0), layer.weight.dim(1));
            assert!(from == to, "stack: a layer of {to} inputs on one of {from} outputs");
        }
        self.layers.push(layer);
    }

    /// The layers, from the inputs upwards.
    pub fn layers(&self) -> &[Pretrained] {
        &self.layers
    }

    /// What the topmost layer makes of x [B, V]; x itself when there is none.
    ///
    /// # Panics
    /// When x has another width than the first layer.
    #[track_caller]
    pub fn encode(&self, x: &Tensor) -> Tensor {
        self.layers.iter().fold(x.clone(), |x, layer| {
            let x = plies_autograd::linear(
                &Var::constant(x),
                &Var::constant(layer.weight.clone()),
                Some(&Var::constant(layer.bias.clone())),
            );
            layer.activation.apply(x.value())
        })
    }

    /// `dataset` as the next layer learns from it: what the layers make of the inputs, as inputs and as
    /// targets. It is computed for each batch when that is asked for, on the loader's threads.
    pub fn codes(&self, dataset: Arc<dyn Dataset>) -> Arc<dyn Dataset> {
        let stack = self.clone();
        Arc::new(Map::new(dataset, move |batch| {
            let codes = stack.encode(&batch.inputs);
            Batch { inputs: codes.clone(), targets: codes, ..batch }
        }))
    }

    /// A network that begins with these layers, below a new one of `outputs` units, uniform by Glorot's rule:
    /// to be trained with labels.
    ///
    /// # Panics
    /// When there are no layers, or their activations differ; then [`encoder`](Stack::encoder) is what to
    /// push the output layer onto.
    #[track_caller]
    pub fn into_mlp(self, outputs: usize, rng: &mut Rng) -> Mlp {
        let Some(top) = self.layers.last() else { panic!("stack: no layers, so no inputs") };
        let activation = top.activation;
        assert!(
            self.layers.iter().all(|layer| layer.activation == activation),
            "stack: layers of different activations are no mlp; push onto encoder()"
        );
        let dims = [outputs, top.weight.dim(0)];
        crate::check::size("stack", &dims);
        let weight = init::variance_scaling(dims, 1.0, Fan::Mean, Uniform, rng);
        let output = Linear::from_weights(weight, Some(init::zeros([outputs])));
        let layers = self.layers.iter().map(Pretrained::forward).chain([output]);
        Mlp::from_layers(layers.collect(), activation)
    }

    /// The layers with their activations.
    pub fn encoder(&self) -> Sequential {
        self.layers.iter().fold(Sequential::new(), |model, layer| {
            model.push(layer.forward()).push(layer.activation)
        })
    }

    /// The way up and back down again, a deep autoencoder: logits or numbers, as its lowest layer has it.
    pub fn unrolled(&self) -> Sequential {
        let mut model = self.encoder();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            model = model.push(layer.back());
            // What comes back is what the layer below has made.
            if i > 0 {
                model = model.push(self.layers[i - 1].activation);
            }
        }
        model
    }
}
