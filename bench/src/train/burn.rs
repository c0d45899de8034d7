//! Steps of burn.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Gru, GruConfig, Linear, LinearConfig, Lstm,
    LstmConfig, Relu,
};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::prelude::{Device, Int, Module, Tensor};
use burn::tensor::Distribution;

use super::{Case, Network, Optimizer, STEPS, VOCABULARY, integers};

/// Layers in a row with ReLU and dropout between them.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
    dropout: Dropout,
    relu: Relu,
}

impl Mlp {
    fn new(sizes: &[usize], dropout: f64, device: &Device) -> Self {
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Mlp {
            layers: sizes.windows(2).map(layer).collect(),
            dropout: DropoutConfig::new(dropout).init(),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        let x = self.layers[..last]
            .iter()
            .fold(x, |x, layer| self.dropout.forward(self.relu.forward(layer.forward(x))));
        self.layers[last].forward(x)
    }
}

#[derive(Module, Debug)]
struct LeNet {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    head: Mlp,
    relu: Relu,
}

impl LeNet {
    fn new(device: &Device) -> Self {
        LeNet {
            first: Conv2dConfig::new([1, 16], [5, 5]).init(device),
            second: Conv2dConfig::new([16, 32], [5, 5]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            head: Mlp::new(&[512, 128, 10], 0.0, device),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.relu.forward(self.first.forward(x)));
        let x = self.pool.forward(self.relu.forward(self.second.forward(x)));
        self.head.forward(x.flatten(1, 3))
    }
}

#[derive(Module, Debug)]
struct LstmNetwork {
    embedding: Embedding,
    lstm: Lstm,
    output: Linear,
}

impl LstmNetwork {
    fn new(device: &Device) -> Self {
        LstmNetwork {
            embedding: EmbeddingConfig::new(VOCABULARY, 128).init(device),
            lstm: LstmConfig::new(128, 128, true).init(device),
            output: LinearConfig::new(128, 2).init(device),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let (_, state) = self.lstm.forward(self.embedding.forward(x), None);
        self.output.forward(state.hidden)
    }
}

#[derive(Module, Debug)]
struct GruNetwork {
    embedding: Embedding,
    gru: Gru,
    output: Linear,
}

impl GruNetwork {
    fn new(device: &Device) -> Self {
        GruNetwork {
            embedding: EmbeddingConfig::new(VOCABULARY, 128).init(device),
            gru: GruConfig::new(128, 128, true).init(device),
            output: LinearConfig::new(128, 2).init(device),
        }
    }

    fn forward(&self, x: Tensor<2, Int>) -> Tensor<2> {
        let states = self.gru.forward(self.embedding.forward(x), None);
        let [b, t, h] = states.dims();
        self.output.forward(states.slice([0..b, t - 1..t, 0..h]).reshape([b, h]))
    }
}

/// A step is the same code for every network; only types differ.
macro_rules! repeat {
    ($case:expr, $device:expr, $model:expr, $x:expr) => {{
        let cross_entropy = CrossEntropyLossConfig::new().init(&$device);
        let targets = indices($case.batch, $case.network.classes(), &$device);
        let (mut model, x) = (Some($model), $x);
        let (mut optimizer, lr) = match $case.optimizer {
            Optimizer::Sgd => (SgdConfig::new().init(), 0.01),
            Optimizer::Adam => (AdamConfig::new().init(), 0.001),
        };
        Box::new(move || {
            let network = model.take().expect("a model");
            let loss = cross_entropy.forward(network.forward(x.clone()), targets.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            model = Some(optimizer.step(lr, network, gradients));
        })
    }};
}

/// One step of `case`.
pub(super) fn step(case: &Case) -> Box<dyn FnMut()> {
    let device = Device::flex().autodiff();
    let b = case.batch;
    let range = Distribution::Uniform(-1.0, 1.0);
    match case.network {
        Network::Mlp { dropout } => {
            let model = Mlp::new(&[784, 512, 512, 10], dropout, &device);
            repeat!(case, device, model, Tensor::<2>::random([b, 784], range, &device))
        }
        Network::Tiny => {
            let model = Mlp::new(&[64, 32, 10], 0.0, &device);
            repeat!(case, device, model, Tensor::<2>::random([b, 64], range, &device))
        }
        Network::LeNet => {
            let x = Tensor::<4>::random([b, 1, 28, 28], range, &device);
            repeat!(case, device, LeNet::new(&device), x)
        }
        Network::Lstm => {
            let x = indices(b * STEPS, VOCABULARY, &device).reshape([b, STEPS]);
            repeat!(case, device, LstmNetwork::new(&device), x)
        }
        Network::Gru => {
            let x = indices(b * STEPS, VOCABULARY, &device).reshape([b, STEPS]);
            repeat!(case, device, GruNetwork::new(&device), x)
        }
    }
}

fn indices(n: usize, end: usize, device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i32> = integers(n, end).into_iter().map(|i| i as i32).collect();
    Tensor::from_data(indices.as_slice(), device)
}
