//! Single layers, whose work is more than one product: forward alone, and forward with the gradients
//! of the input and of all parameters. What comes from above is a fixed random gradient.

use std::hint::black_box;

use plies_autograd::Var;
use plies_nn::{Conv2d, Gru, Lstm, MaxPool2d, Module, Pass};
use plies_tensor::{Conv, Pool, Rng, Tensor};

use crate::gemm::numbers;
use crate::{Bench, Contender, Heading, Unit};

#[derive(Clone, Copy)]
enum Layer {
    /// x [B, inputs, side, side], a square filter, no padding.
    Conv {
        inputs: usize,
        outputs: usize,
        side: usize,
        filter: usize,
    },
    /// Windows of 2x2 of x [B, channels, side, side].
    MaxPool {
        channels: usize,
        side: usize,
    },
    /// x [B, STEPS, UNITS] to as many units, from a state of zeros.
    Lstm,
    Gru,
}

use Layer::{Conv as Filters, MaxPool as Maxima};

const STEPS: usize = 100;
const UNITS: usize = 128;

/// A layer and its batch.
struct Case {
    name: &'static str,
    layer: Layer,
    batch: usize,
}

const CASES: &[Case] = &[
    Case {
        name: "conv5_1_16",
        layer: Filters { inputs: 1, outputs: 16, side: 28, filter: 5 },
        batch: 64,
    },
    Case {
        name: "conv5_16_32",
        layer: Filters { inputs: 16, outputs: 32, side: 12, filter: 5 },
        batch: 64,
    },
    Case {
        name: "conv3_64_64",
        layer: Filters { inputs: 64, outputs: 64, side: 16, filter: 3 },
        batch: 32,
    },
    Case { name: "maxpool2_16", layer: Maxima { channels: 16, side: 24 }, batch: 64 },
    Case { name: "lstm_128", layer: Layer::Lstm, batch: 32 },
    Case { name: "gru_128", layer: Layer::Gru, batch: 32 },
];

pub fn run(bench: &mut Bench) {
    bench.report.section("layers, GFLOP/s or ns");
    for case in CASES {
        for gradients in [false, true] {
            let name = format!("{}_{}", case.name, if gradients { "gradients" } else { "forward" });
            if !bench.wants(&name) {
                continue;
            }
            let (unit, forward) = case.work();
            // Each gradient, of the input and of the weights, is as much work again.
            let passes = if gradients && matches!(unit, Unit::Gflops) { 3.0 } else { 1.0 };
            let work = passes * forward;
            let goal = Some(1.0);
            let heading = Heading { section: "layers", case: &name, unit, work, goal };
            bench.case(&heading, contenders(case, gradients));
        }
    }
}

impl Case {
    /// Work of the forward pass.
    fn work(&self) -> (Unit, f64) {
        let recurrent = |gates: usize| 2 * self.batch * STEPS * gates * UNITS * 2 * UNITS;
        let (unit, work) = match self.layer {
            Filters { inputs, outputs, side, filter } => {
                let places = (side - filter + 1).pow(2);
                (Unit::Gflops, 2 * self.batch * outputs * places * inputs * filter * filter)
            }
            Maxima { channels, side } => (Unit::Nanoseconds, self.batch * channels * side * side),
            Layer::Lstm => (Unit::Gflops, recurrent(4)),
            Layer::Gru => (Unit::Gflops, recurrent(3)),
        };
        (unit, work as f64)
    }

    fn x_dims(&self) -> Vec<usize> {
        match self.layer {
            Filters { inputs: channels, side, .. } | Maxima { channels, side } => {
                vec![self.batch, channels, side, side]
            }
            Layer::Lstm | Layer::Gru => vec![self.batch, STEPS, UNITS],
        }
    }
}

fn contenders(case: &Case, gradients: bool) -> Vec<Contender<'static>> {
    let mut contenders = vec![Contender::new("plies", ours(case, gradients))];
    if matches!(case.layer, Filters { .. } | Maxima { .. }) {
        let candle = candle(case, gradients).expect("a layer");
        contenders.push(Contender::new("candle", candle));
        contenders.push(Contender::new("burn", burn(case, gradients)));
    }
    contenders
}

fn ours(case: &Case, gradients: bool) -> Box<dyn FnMut()> {
    let rng = &mut Rng::new(1);
    let dims = case.x_dims();
    let n = dims.iter().product();
    let x = Tensor::from_slice(&numbers(n), &dims[..]);
    let x = if gradients { Var::leaf(x) } else { Var::constant(x) };
    let mut pass = Pass::train(Rng::new(2));
    let layer: Box<dyn Module> = match case.layer {
        Filters { inputs, outputs, filter, .. } => {
            Box::new(Conv2d::new(inputs, outputs, [filter; 2], Conv::default(), rng))
        }
        Maxima { .. } => Box::new(MaxPool2d(Pool::new(2))),
        Layer::Lstm => Box::new(Lstm::new(UNITS, UNITS, rng)),
        Layer::Gru => Box::new(Gru::new(UNITS, UNITS, rng)),
    };
    if !gradients {
        return Box::new(move || {
            plies_autograd::no_grad(|| black_box(layer.forward(&x, &mut pass)));
        });
    }
    let y = layer.forward(&x, &mut pass);
    let d_y = Var::constant(Tensor::from_slice(&numbers(y.elem_count()), y.dims()));
    Box::new(move || {
        (layer.forward(&x, &mut pass) * &d_y).sum_all().backward();
        x.zero_grad();
        layer.zero_grad();
    })
}

fn candle(case: &Case, gradients: bool) -> candle_core::Result<Box<dyn FnMut()>> {
    use candle_core::{DType, Device, Tensor, Var};
    use candle_nn::{Module, VarBuilder, VarMap, conv2d};
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let filters = match case.layer {
        Filters { inputs, outputs, filter, .. } => {
            Some(conv2d(inputs, outputs, filter, Default::default(), vb)?)
        }
        _ => None,
    };
    let x = Var::from_tensor(&Tensor::rand(-1f32, 1.0, case.x_dims(), &Device::Cpu)?)?;
    let forward = move |x: &Tensor| match &filters {
        Some(filters) => filters.forward(x),
        None => x.max_pool2d(2),
    };
    let d_y = forward(x.as_tensor())?.rand_like(-1.0, 1.0)?;
    Ok(Box::new(move || {
        if gradients {
            let y = forward(x.as_tensor()).and_then(|y| (y * &d_y)?.sum_all());
            black_box(y.and_then(|y| y.backward()).expect("gradients"));
        } else {
            black_box(forward(&x.as_detached_tensor()).expect("a result"));
        }
    }))
}

fn burn(case: &Case, gradients: bool) -> Box<dyn FnMut()> {
    use burn::nn::conv::Conv2dConfig;
    use burn::nn::pool::MaxPool2dConfig;
    use burn::tensor::{Device, Distribution, Tensor};
    let device = if gradients { Device::flex().autodiff() } else { Device::flex() };
    let filters = match case.layer {
        Filters { inputs, outputs, filter, .. } => {
            Some(Conv2dConfig::new([inputs, outputs], [filter; 2]).init(&device))
        }
        _ => None,
    };
    let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
    let forward = move |x: Tensor<4>| match &filters {
        Some(filters) => filters.forward(x),
        None => pool.forward(x),
    };
    let range = Distribution::Uniform(-1.0, 1.0);
    let dims: [usize; 4] = case.x_dims().try_into().expect("four axes");
    let x = Tensor::<4>::random(dims, range, &device);
    if !gradients {
        return Box::new(move || {
            black_box(forward(x.clone()));
        });
    }
    let x = x.require_grad();
    let d_y = Tensor::<4>::random(forward(x.clone()).dims(), range, &device);
    Box::new(move || {
        black_box((forward(x.clone()) * d_y.clone()).sum().backward());
    })
}
