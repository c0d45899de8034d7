//! Functions of each element, sums and softmax, the result always freshly made.

use std::hint::black_box;

use burn::tensor::{Distribution, activation};
use candle_nn::ops;
use plies_tensor::{Elementwise, Tensor, formula};

use crate::gemm::numbers;
use crate::{Bench, Contender, Heading, Unit};

type Ours = fn(&Tensor, &Tensor) -> Tensor;
type Candle =
    fn(&candle_core::Tensor, &candle_core::Tensor) -> candle_core::Result<candle_core::Tensor>;
type Burn = fn(burn::Tensor<2>, burn::Tensor<2>) -> burn::Tensor<2>;

struct Case {
    name: &'static str,
    dims: [usize; 2],
    goal: f64,
    ours: Ours,
    candle: Candle,
    burn: Burn,
}

const CASES: &[Case] = &[
    Case {
        name: "exp_1e6",
        dims: [1, 1_000_000],
        goal: 1.0 / 0.9,
        ours: |x, _| x.exp(),
        candle: |x, _| x.exp(),
        burn: |x, _| x.exp(),
    },
    Case {
        name: "tanh_1e6",
        dims: [1, 1_000_000],
        goal: 1.0,
        ours: |x, _| x.tanh(),
        candle: |x, _| x.tanh(),
        burn: |x, _| x.tanh(),
    },
    Case {
        name: "sigmoid_1e6",
        dims: [1, 1_000_000],
        goal: 1.0 / 0.9,
        ours: |x, _| x.sigmoid(),
        candle: |x, _| ops::sigmoid(x),
        burn: |x, _| activation::sigmoid(x),
    },
    Case {
        name: "relu_1e6",
        dims: [1, 1_000_000],
        goal: 1.0,
        ours: |x, _| x.relu(),
        candle: |x, _| x.relu(),
        burn: |x, _| activation::relu(x),
    },
    Case {
        name: "add_1e6",
        dims: [1, 1_000_000],
        goal: 1.0,
        ours: |x, y| x + y,
        candle: |x, y| x + y,
        burn: |x, y| x + y,
    },
    Case {
        name: "sum_1e6",
        dims: [1, 1_000_000],
        goal: 1.0,
        ours: |x, _| x.sum_all(),
        candle: |x, _| x.sum_all(),
        burn: |x, _| x.sum().reshape([1, 1]),
    },
    Case {
        name: "add_1e7",
        dims: [1, 10_000_000],
        goal: 1.0 / 0.9,
        ours: |x, y| x + y,
        candle: |x, y| x + y,
        burn: |x, y| x + y,
    },
    Case {
        name: "mish_1e6",
        dims: [1, 1_000_000],
        // Twice as fast as what isn't fused; JAX fuses as well.
        goal: 1.0,
        ours: |x, _| x.mish(),
        candle: |x, _| x * ((x.exp()? + 1.0)?.log()?).tanh()?,
        burn: |x, _| activation::mish(x),
    },
    Case {
        name: "softmax_4096x1000",
        dims: [4096, 1000],
        goal: 1.0 / 0.7,
        ours: |x, _| x.softmax(-1),
        candle: |x, _| ops::softmax_last_dim(x),
        burn: |x, _| activation::softmax(x, 1),
    },
    Case {
        name: "log_softmax_4096x1000",
        dims: [4096, 1000],
        goal: 1.0 / 0.7,
        ours: |x, _| x.log_softmax(-1),
        candle: |x, _| ops::log_softmax(x, 1),
        burn: |x, _| activation::log_softmax(x, 1),
    },
    Case {
        name: "sum_rows_4096x1000",
        dims: [4096, 1000],
        goal: 1.0,
        ours: |x, _| x.sum(&[1], false),
        candle: |x, _| x.sum(1),
        burn: |x, _| x.sum_dim(1),
    },
    Case {
        name: "sum_columns_4096x1000",
        dims: [4096, 1000],
        goal: 1.0,
        ours: |x, _| x.sum(&[0], false),
        candle: |x, _| x.sum(0),
        burn: |x, _| x.sum_dim(0),
    },
    Case {
        name: "layer_norm_4096x1000",
        dims: [4096, 1000],
        goal: 1.0,
        ours: |x, y| {
            let f = formula!(|x, w; n, eps| {
                let d = x - x.row_sum() / n;
                d / ((d * d).row_sum() / n + eps).sqrt() * w + w
            });
            Tensor::map(f, &[x, &y.select(0, 0)], &[1000.0, 1e-5])
        },
        candle: |x, y| ops::layer_norm(x, &y.get(0)?, &y.get(0)?, 1e-5),
        burn: |x, y| {
            let y = y.slice([0..1, 0..1000]);
            let mean = x.clone().mean_dim(1);
            let x = x - mean;
            let variance = x.clone().square().mean_dim(1);
            x / (variance + 1e-5).sqrt() * y.clone() + y
        },
    },
];

pub fn run(bench: &mut Bench) {
    bench.report.section("element-wise, ns/element");
    for case in CASES {
        if !bench.wants(case.name) {
            continue;
        }
        let n = case.dims[0] * case.dims[1];
        let heading = Heading {
            section: "elementwise",
            case: case.name,
            unit: Unit::Nanoseconds,
            work: n as f64,
            goal: Some(case.goal),
        };
        bench.case(&heading, contenders(case));
    }
}

fn contenders(case: &Case) -> Vec<Contender<'_>> {
    let dims = case.dims;
    let n = dims[0] * dims[1];
    let (x, y): (Vec<f32>, _) = (numbers(n).iter().map(|x| 4.0 * x).collect(), numbers(n));
    let ours = {
        let (x, y) = (Tensor::from_slice(&x, dims), Tensor::from_slice(&y, dims));
        Contender::new("plies", move || {
            black_box((case.ours)(&x, &y));
        })
    };
    let candle = {
        let device = candle_core::Device::Cpu;
        let on = |data: &[f32]| {
            candle_core::Tensor::from_slice(data, (dims[0], dims[1]), &device).expect("a matrix")
        };
        let (x, y) = (on(&x), on(&y));
        Contender::new("candle", move || {
            black_box((case.candle)(&x, &y).expect("a result"));
        })
    };
    let burn = {
        let device = burn::tensor::Device::flex();
        let x = burn::Tensor::<2>::random(dims, Distribution::Uniform(-4.0, 4.0), &device);
        let y = burn::Tensor::<2>::random(dims, Distribution::Uniform(-1.0, 1.0), &device);
        Contender::new("burn", move || {
            black_box((case.burn)(x.clone(), y.clone()));
        })
    };
    vec![ours, candle, burn]
}
