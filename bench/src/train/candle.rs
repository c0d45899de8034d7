//! Steps of candle.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::rnn::{GRUConfig, LSTMConfig, RNN};
use candle_nn::{
    AdamW, Dropout, Module, Optimizer as _, ParamsAdamW, SGD, VarBuilder, VarMap, conv2d,
    embedding, linear, loss, rnn,
};

use super::{Case, Network, Optimizer, STEPS, VOCABULARY, integers};

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

enum Update {
    Sgd(SGD),
    Adam(AdamW),
}

/// One step of `case`.
pub(super) fn step(case: &Case) -> Result<Box<dyn FnMut()>> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let (forward, x) = network(case, &vb)?;
    let mut update = match case.optimizer {
        Optimizer::Sgd => Update::Sgd(SGD::new(variables.all_vars(), 0.01)?),
        Optimizer::Adam => {
            let adam = ParamsAdamW { lr: 0.001, weight_decay: 0.0, ..Default::default() };
            Update::Adam(AdamW::new(variables.all_vars(), adam)?)
        }
    };
    let targets = indices(case.batch, case.network.classes())?;
    let mut step = move || {
        let loss = loss::cross_entropy(&forward(&x)?, &targets)?;
        match &mut update {
            Update::Sgd(sgd) => sgd.backward_step(&loss),
            Update::Adam(adam) => adam.backward_step(&loss),
        }
    };
    Ok(Box::new(move || step().expect("a step")))
}

fn indices(n: usize, end: usize) -> Result<Tensor> {
    let indices: Vec<u32> = integers(n, end).into_iter().map(|i| i as u32).collect();
    Tensor::new(indices, &Device::Cpu)
}

fn network(case: &Case, vb: &VarBuilder<'_>) -> Result<(Forward, Tensor)> {
    let b = case.batch;
    let uniform = |dims: &[usize]| Tensor::rand(-1f32, 1.0, dims, &Device::Cpu);
    Ok(match case.network {
        Network::Mlp { dropout } => {
            let first = linear(784, 512, vb.pp("1"))?;
            let second = linear(512, 512, vb.pp("2"))?;
            let third = linear(512, 10, vb.pp("3"))?;
            let train = dropout > 0.0;
            let dropout = Dropout::new(dropout as f32);
            let forward = move |x: &Tensor| {
                let x = dropout.forward(&first.forward(x)?.relu()?, train)?;
                let x = dropout.forward(&second.forward(&x)?.relu()?, train)?;
                third.forward(&x)
            };
            (Box::new(forward), uniform(&[b, 784])?)
        }
        Network::Tiny => {
            let (first, second) = (linear(64, 32, vb.pp("1"))?, linear(32, 10, vb.pp("2"))?);
            let forward = move |x: &Tensor| second.forward(&first.forward(x)?.relu()?);
            (Box::new(forward), uniform(&[b, 64])?)
        }
        Network::LeNet => {
            let first = conv2d(1, 16, 5, Default::default(), vb.pp("c1"))?;
            let second = conv2d(16, 32, 5, Default::default(), vb.pp("c2"))?;
            let third = linear(512, 128, vb.pp("1"))?;
            let fourth = linear(128, 10, vb.pp("2"))?;
            let forward = move |x: &Tensor| {
                let x = first.forward(x)?.relu()?.max_pool2d(2)?;
                let x = second.forward(&x)?.relu()?.max_pool2d(2)?;
                fourth.forward(&third.forward(&x.flatten_from(1)?)?.relu()?)
            };
            (Box::new(forward), uniform(&[b, 1, 28, 28])?)
        }
        Network::Lstm | Network::Gru => {
            let tokens = indices(b * STEPS, VOCABULARY)?.reshape((b, STEPS))?;
            let embedding = embedding(VOCABULARY, 128, vb.pp("e"))?;
            let output = linear(128, 2, vb.pp("o"))?;
            let forward: Forward = if case.network == Network::Lstm {
                let lstm = rnn::lstm(128, 128, LSTMConfig::default(), vb.pp("r"))?;
                Box::new(move |x| {
                    let states = lstm.seq(&embedding.forward(x)?)?;
                    output.forward(states.last().expect("a hundred steps").h())
                })
            } else {
                let gru = rnn::gru(128, 128, GRUConfig::default(), vb.pp("r"))?;
                Box::new(move |x| {
                    let states = gru.seq(&embedding.forward(x)?)?;
                    output.forward(states.last().expect("a hundred steps").h())
                })
            };
            (forward, tokens)
        }
    })
}
