//! Layers against PyTorch: outputs, last states, and the gradients of everything that went in, in the
//! files that `golden/make.py` has made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plies_autograd::Var;
use plies_nn::loss::{CrossEntropy, Reduction};
use plies_nn::{
    AvgPool1d, AvgPool2d, Checkpoint, Conv1d, Conv2d, Directions, Gru, Linear, Lstm, MaxPool1d,
    MaxPool2d, Module, Pass, RecurrentOptions, Rnn, loss,
};
use plies_tensor::testing::assert_close;
use plies_tensor::{Conv, DType, Pool, Rng, Tensor};

/// A file, in one dtype.
struct Golden {
    file: Checkpoint,
    dtype: DType,
    /// What has a gradient, by name.
    leaves: Vec<(String, Var)>,
    used: BTreeSet<String>,
}

/// Runs a layer on the inputs of a file; returns the outputs by name.
type Run = Box<dyn Fn(&mut Golden) -> Vec<(&'static str, Var)>>;

impl Golden {
    fn folder() -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "golden"].iter().collect()
    }

    fn open(name: &str, dtype: DType) -> Golden {
        let path = Golden::folder().join(format!("{name}.safetensors"));
        let file = Checkpoint::load(&path).unwrap();
        Golden { file, dtype, leaves: vec![], used: BTreeSet::new() }
    }

    fn tensor(&mut self, name: &str) -> Tensor {
        self.used.insert(name.to_owned());
        let tensor = &self.file.tensors()[name];
        if tensor.dtype().is_float() { tensor.to_dtype(self.dtype) } else { tensor.clone() }
    }

    /// An input that has a gradient.
    fn leaf(&mut self, name: &str) -> Var {
        let leaf = Var::leaf(self.tensor(name));
        self.leaves.push((name.to_owned(), leaf.clone()));
        leaf
    }

    /// Gives a layer its parameters.
    fn fill<M: Module>(&mut self, mut layer: M) -> M {
        layer.for_each_parameter_mut(&mut |name, p| *p.value_mut() = self.tensor(name));
        self.leaves.extend(layer.named_parameters());
        layer
    }

    /// Compares outputs and gradients with those in the file, all of which must be asked for.
    fn check(&mut self, outputs: Vec<(&str, Var)>, tolerance: f64) {
        let mut total: Option<Var> = None;
        for (name, y) in &outputs {
            assert_close(y.value(), &self.tensor(name), tolerance, tolerance);
            let part = (y * Var::constant(self.tensor(&format!("d_{name}")))).sum_all();
            total = Some(total.map_or(part.clone(), |total| total + part));
        }
        total.unwrap().backward();
        for (name, leaf) in std::mem::take(&mut self.leaves) {
            let gradient = leaf.grad().unwrap();
            assert_close(
                gradient.value(),
                &self.tensor(&format!("d_{name}")),
                tolerance,
                tolerance,
            );
        }
        assert!(self.file.tensors().keys().eq(&self.used), "not all of the file was looked at");
    }
}

/// A layer of one input x and one output y.
fn layer<M: Module + 'static>(make: impl Fn() -> M + 'static) -> Run {
    Box::new(move |golden| {
        let layer = golden.fill(make());
        vec![("y", layer.forward(&golden.leaf("x"), &mut Pass::eval()))]
    })
}

/// x, how many steps the sequences have, and the state h before the first.
fn sequences(golden: &mut Golden) -> (Var, Vec<usize>, Var) {
    let lengths = golden.tensor("lengths").to_vec::<i32>().unwrap();
    (golden.leaf("x"), lengths.into_iter().map(|n| n as usize).collect(), golden.leaf("h_0"))
}

fn lstm(options: RecurrentOptions) -> Run {
    Box::new(move |golden| {
        let lstm = golden.fill(Lstm::with(2, 3, options, &mut Rng::new(1)));
        let (x, lengths, h_0) = sequences(golden);
        let initial = [&h_0, &golden.leaf("c_0")];
        let (y, [h, c]) = lstm.run(&x, Some(&lengths), Some(initial), &mut Pass::eval());
        vec![("y", y), ("h", h), ("c", c)]
    })
}

fn gru(options: RecurrentOptions) -> Run {
    Box::new(move |golden| {
        let gru = golden.fill(Gru::with(2, 3, options, &mut Rng::new(1)));
        let (x, lengths, h_0) = sequences(golden);
        let (y, h) = gru.run(&x, Some(&lengths), Some(&h_0), &mut Pass::eval());
        vec![("y", y), ("h", h)]
    })
}

fn rnn(
    make: fn(usize, usize, RecurrentOptions, &mut Rng) -> Rnn,
    options: RecurrentOptions,
) -> Run {
    Box::new(move |golden| {
        let rnn = golden.fill(make(2, 3, options, &mut Rng::new(1)));
        let (x, lengths, h_0) = sequences(golden);
        let (y, h) = rnn.run(&x, Some(&lengths), Some(&h_0), &mut Pass::eval());
        vec![("y", y), ("h", h)]
    })
}

/// All three reductions of one loss.
fn cross_entropy(weighted: bool, ignore_index: Option<i32>, label_smoothing: f64) -> Run {
    Box::new(move |golden| {
        let (logits, targets) = (golden.leaf("logits"), golden.tensor("targets"));
        let class_weights = weighted.then(|| golden.tensor("weight"));
        let of = |reduction| {
            let class_weights = class_weights.clone();
            CrossEntropy { class_weights, ignore_index, label_smoothing, reduction }
                .of(&logits, &targets)
        };
        let ways = [Reduction::Mean, Reduction::Sum, Reduction::None].map(of);
        ["mean", "sum", "none"].into_iter().zip(ways).collect()
    })
}

fn rows() -> Vec<(String, Run)> {
    let mut rows: Vec<(String, Run)> = Vec::new();
    for (layers, directions, suffix) in [
        (1, Directions::Forward, "1"),
        (1, Directions::Both, "1_both"),
        (2, Directions::Forward, "2"),
        (2, Directions::Both, "2_both"),
    ] {
        let options = RecurrentOptions { layers, directions, ..RecurrentOptions::default() };
        rows.push((format!("rnn_{suffix}"), rnn(Rnn::with, options)));
        rows.push((format!("rnn_relu_{suffix}"), rnn(Rnn::relu, options)));
        rows.push((format!("lstm_{suffix}"), lstm(options)));
        rows.push((format!("gru_{suffix}"), gru(options)));
    }
    let rng = || Rng::new(1);
    let (conv, pool) = (Conv::default(), Pool::new([3, 2]).stride([2, 1]).padding([1, 0]));
    let conv1d = conv.stride(2).padding(2).dilation(2);
    let conv2d = conv.stride([2, 1]).padding([1, 0]).dilation([1, 2]);
    let grouped = conv.padding(1).groups(2);
    let inside = Pool::new(3).stride(2).padding(1).count_padding(false);
    let others = [
        ("linear", layer(move || Linear::new(4, 3, &mut rng()))),
        ("conv1d", layer(move || Conv1d::new(2, 3, 3, conv1d, &mut rng()))),
        ("conv2d", layer(move || Conv2d::new(3, 4, [3, 2], conv2d, &mut rng()))),
        ("conv2d_groups", layer(move || Conv2d::new(4, 6, [3, 3], grouped, &mut rng()))),
        ("max_pool1d", layer(|| MaxPool1d(Pool::new(3).stride(2).padding(1)))),
        ("max_pool2d", layer(move || MaxPool2d(pool))),
        ("avg_pool1d", layer(|| AvgPool1d(Pool::new(2)))),
        ("avg_pool2d", layer(move || AvgPool2d(pool))),
        ("avg_pool2d_inside", layer(move || AvgPool2d(inside))),
        (
            "cross_entropy",
            Box::new(|golden: &mut Golden| {
                let (logits, targets) = (golden.leaf("logits"), golden.tensor("targets"));
                vec![("loss", loss::cross_entropy(&logits, &targets))]
            }),
        ),
    ];
    rows.extend(others.map(|(name, run)| (name.to_owned(), run)));
    for (name, ignore_index, label_smoothing) in [
        ("weights", None, 0.0),
        ("ignore", Some(-100), 0.0),
        ("smoothed", None, 0.2),
        ("all", Some(-100), 0.2),
    ] {
        let weighted = matches!(name, "weights" | "all");
        for suffix in ["", "_2d"] {
            let run = cross_entropy(weighted, ignore_index, label_smoothing);
            rows.push((format!("cross_entropy_{name}{suffix}"), run));
        }
    }
    rows
}

#[test]
fn layers_give_the_numbers_of_pytorch() {
    for (name, run) in rows() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-5)] {
            println!("{name} {dtype}");
            let mut golden = Golden::open(&name, dtype);
            let outputs = run(&mut golden);
            golden.check(outputs, tolerance);
        }
    }
}

#[test]
fn every_file_has_a_row() {
    let files = std::fs::read_dir(Golden::folder()).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.0).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), rows);
}
