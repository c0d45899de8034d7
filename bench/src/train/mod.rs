//! Whole training steps: forward, cross-entropy, backward, update. The same networks in each
//! framework, written as its own users would.

mod burn;
mod candle;
mod plies;

use crate::{Bench, Contender, Heading, Unit};

/// Networks and optimisers; B is the batch.
#[derive(Clone, Copy, PartialEq)]
enum Network {
    /// 784-512-512-10, ReLU, with this probability of dropout
    Mlp { dropout: f64 },
    /// 64-32-10, ReLU
    Tiny,
    /// 28x28: 16 maps 5x5, pool, 32 maps 5x5, pool, 128, 10
    LeNet,
    /// Embedding 20 000 x 128, LSTM of 128, the last state to 2 classes; 100 steps
    Lstm,
    /// The same with a GRU
    Gru,
}

#[derive(Clone, Copy, PartialEq)]
enum Optimizer {
    /// Learning rate 0.01, nothing else
    Sgd,
    /// Learning rate 0.001
    Adam,
}

use Network::{Gru, LeNet, Lstm, Mlp, Tiny};
use Optimizer::{Adam, Sgd};

struct Case {
    name: &'static str,
    network: Network,
    optimizer: Optimizer,
    batch: usize,
    /// Ratios to reach on one thread and on more.
    goals: [f64; 2],
}

const fn case(
    name: &'static str,
    network: Network,
    optimizer: Optimizer,
    batch: usize,
    goals: [f64; 2],
) -> Case {
    Case { name, network, optimizer, batch, goals }
}

const PLAIN: Network = Mlp { dropout: 0.0 };

const CASES: &[Case] = &[
    case("mlp_b64_sgd", PLAIN, Sgd, 64, [1.05, 1.3]),
    case("mlp_b64_adam", PLAIN, Adam, 64, [1.2, 1.2]),
    case("mlp_b128_sgd", PLAIN, Sgd, 128, [1.05, 1.3]),
    case("mlp_b128_adam", PLAIN, Adam, 128, [1.2, 1.2]),
    case("mlp_b128_dropout_adam", Mlp { dropout: 0.2 }, Adam, 128, [1.2, 1.2]),
    case("tiny_b32_sgd", Tiny, Sgd, 32, [2.5, 2.5]),
    case("tiny_b32_adam", Tiny, Adam, 32, [2.5, 2.5]),
    case("lenet_b64_sgd", LeNet, Sgd, 64, [1.5, 2.0]),
    case("lenet_b64_adam", LeNet, Adam, 64, [1.5, 2.0]),
    case("lstm_b32_sgd", Lstm, Sgd, 32, [1.5, 1.5]),
    case("lstm_b32_adam", Lstm, Adam, 32, [1.5, 1.5]),
    case("gru_b32_sgd", Gru, Sgd, 32, [2.5, 2.5]),
    case("gru_b32_adam", Gru, Adam, 32, [2.5, 2.5]),
];

pub fn run(bench: &mut Bench) {
    bench.report.section("train, examples/s");
    for case in CASES {
        if !bench.wants(case.name) {
            continue;
        }
        let mut contenders = vec![Contender::new("plies", plies::step(case))];
        if !bench.alone {
            contenders.push(Contender::new("candle", candle::step(case).expect("a network")));
            contenders.push(Contender::new("burn", burn::step(case)));
        }
        let heading = Heading {
            section: "train",
            case: case.name,
            unit: Unit::Examples,
            work: case.batch as f64,
            goal: Some(case.goals[usize::from(bench.threads > 1)]),
        };
        bench.case(&heading, contenders);
    }
}

/// Steps of one sequence.
const STEPS: usize = 100;
const VOCABULARY: usize = 20_000;

impl Network {
    fn classes(self) -> usize {
        match self {
            Mlp { .. } | Tiny | LeNet => 10,
            Lstm | Gru => 2,
        }
    }
}

/// Whole numbers below `end`.
fn integers(n: usize, end: usize) -> Vec<usize> {
    let mut state = 12345u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % end as u64) as usize
    };
    (0..n).map(|_| next()).collect()
}
