//! Layers against PyTorch: outputs, last states, and the gradients of everything that went in, in the
//! files that `golden/make.py` has made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plies_autograd::Var;
use plies_nn::loss::{CrossEntropy, Reduction};
use plies_nn::{
    Activation, AttentionMask, BatchNorm, Checkpoint, Directions, Embedding, Flatten, Function,
    Gru, GruCell, LayerNorm, Lstm, LstmCell, Module, MultiHeadAttention, Pass, RecurrentOptions,
    Rnn, RnnCell, TransformerEncoder, TransformerEncoderLayer, loss,
};
use plies_tensor::testing::assert_close;
use plies_tensor::{DType, Elementwise, Rng, Tensor};

use crate::layers::layers;

/// Where the files are that other libraries' numbers are in.
pub(crate) fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden"].iter().collect()
}

/// One of them, by its place in the folder.
pub(crate) fn read(name: &str) -> Checkpoint {
    Checkpoint::load(&folder().join(format!("{name}.safetensors"))).unwrap()
}

/// A tensor of a file, in a dtype if it has real numbers.
pub(crate) fn tensor(file: &Checkpoint, name: &str, dtype: DType) -> Tensor {
    let tensor = &file.tensors()[name];
    if tensor.dtype().is_float() { tensor.to_dtype(dtype) } else { tensor.clone() }
}

/// A file, in one dtype.
struct Golden {
    file: Checkpoint,
    dtype: DType,
    /// What has a gradient, by name.
    leaves: Vec<(String, Var)>,
    /// What a layer keeps after all its passes.
    buffers: Vec<(String, Tensor)>,
    used: BTreeSet<String>,
}

/// Runs a layer on the inputs of a file; returns the outputs by name.
type Run = Box<dyn Fn(&mut Golden) -> Vec<(&'static str, Var)>>;

impl Golden {
    fn open(name: &str, dtype: DType) -> Golden {
        Golden { file: read(name), dtype, leaves: vec![], buffers: vec![], used: BTreeSet::new() }
    }

    fn tensor(&mut self, name: &str) -> Tensor {
        self.used.insert(name.to_owned());
        tensor(&self.file, name, self.dtype)
    }

    fn has(&self, name: &str) -> bool {
        self.file.tensors().contains_key(name)
    }

    /// How many steps the sequences have.
    fn lengths(&mut self) -> Vec<usize> {
        let lengths = self.tensor("lengths").to_vec::<i32>().unwrap();
        lengths.into_iter().map(|n| n as usize).collect()
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
        for (name, buffer) in std::mem::take(&mut self.buffers) {
            assert_close(&buffer, &self.tensor(&name), tolerance, tolerance);
        }
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
fn layer(make: impl Fn() -> Box<dyn Module> + 'static) -> Run {
    Box::new(move |golden| {
        let layer = golden.fill(make());
        vec![("y", layer.forward(&golden.leaf("x"), &mut Pass::eval()))]
    })
}

/// Two steps of training, the statistics after them, and an evaluation by those.
fn batch_norm(make: impl Fn() -> BatchNorm + 'static) -> Run {
    Box::new(move |golden| {
        let layer = golden.fill(make());
        let (x, x_1) = (golden.leaf("x"), golden.leaf("x_1"));
        let [y, y_1] = [&x, &x_1].map(|x| layer.forward(x, &mut Pass::train(Rng::new(1))));
        let z = layer.forward(&x, &mut Pass::eval());
        golden.buffers = layer.named_buffers();
        vec![("y", y), ("y_1", y_1), ("z", z)]
    })
}

fn embedding(options: fn(Embedding) -> Embedding) -> Run {
    Box::new(move |golden| {
        let table = golden.fill(options(Embedding::new(5, 3, &mut Rng::new(1))));
        vec![("y", table.of(&golden.tensor("index")))]
    })
}

/// Functions by name, each of an input of its own.
fn functions(list: impl Fn() -> Vec<(&'static str, Box<dyn Module>)> + 'static) -> Run {
    Box::new(move |golden| {
        let of = |(name, f): (&'static str, Box<dyn Module>)| {
            (name, f.forward(&golden.leaf(&format!("x_{name}")), &mut Pass::eval()))
        };
        list().into_iter().map(of).collect()
    })
}

fn activations() -> Vec<(&'static str, Box<dyn Module>)> {
    Activation::ALL.iter().map(|&f| (f.name(), Box::new(f) as Box<dyn Module>)).collect()
}

fn with_constants() -> Vec<(&'static str, Box<dyn Module>)> {
    vec![
        ("leaky_relu", Box::new(Function::new(|x| x.leaky_relu(0.2)))),
        ("elu", Box::new(Function::new(|x| x.elu(1.3)))),
        ("celu", Box::new(Function::new(|x| x.celu(0.5)))),
        ("hardtanh", Box::new(Function::new(|x| x.clamp(-0.5, 2.0)))),
    ]
}

/// x, how many steps the sequences have, and the state h before the first.
fn sequences(golden: &mut Golden) -> (Var, Vec<usize>, Var) {
    (golden.leaf("x"), golden.lengths(), golden.leaf("h_0"))
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

/// Self-attention, or that to `key` and `value` where the file has them.
fn attention(sizes: [usize; 2], causal: bool) -> Run {
    Box::new(move |golden| {
        let layer = golden.fill(MultiHeadAttention::with(4, 2, sizes, &mut Rng::new(1)));
        let lengths = golden.has("lengths").then(|| golden.lengths());
        let bias = golden.has("bias").then(|| golden.leaf("bias"));
        let (x, mask, pass) = (golden.leaf("x"), AttentionMask { causal, bias }, &mut Pass::eval());
        let (y, weights) = if golden.has("key") {
            let (key, value) = (golden.leaf("key"), golden.leaf("value"));
            layer.cross([&x, &key, &value], lengths.as_deref(), &mask, pass)
        } else {
            layer.run(&x, lengths.as_deref(), &mask, pass)
        };
        vec![("y", y), ("weights", weights)]
    })
}

fn transformer(make: fn(TransformerEncoderLayer) -> TransformerEncoderLayer) -> Run {
    Box::new(move |golden| {
        let layer = TransformerEncoderLayer::new(4, 2, 3, &mut Rng::new(1));
        let layer = golden.fill(make(layer));
        let (x, lengths, mask) = (golden.leaf("x"), golden.lengths(), AttentionMask::default());
        vec![("y", layer.run(&x, Some(&lengths), &mask, &mut Pass::eval()))]
    })
}

fn transformer_encoder(golden: &mut Golden) -> Vec<(&'static str, Var)> {
    let layer = || TransformerEncoderLayer::new(4, 2, 3, &mut Rng::new(1)).norm_first();
    let model = TransformerEncoder::new([layer(), layer()]).norm(LayerNorm::new([4]));
    let model = golden.fill(model);
    let (x, lengths, mask) = (golden.leaf("x"), golden.lengths(), AttentionMask::default());
    vec![("y", model.run(&x, Some(&lengths), &mask, &mut Pass::eval()))]
}

/// A cell whose state is h alone.
fn cell<M: Module + 'static>(
    make: fn(usize, usize, &mut Rng) -> M,
    step: fn(&M, &Var, &Var) -> Var,
) -> Run {
    Box::new(move |golden| {
        let cell = golden.fill(make(2, 3, &mut Rng::new(1)));
        vec![("h", step(&cell, &golden.leaf("x"), &golden.leaf("h_0")))]
    })
}

fn lstm_cell(golden: &mut Golden) -> Vec<(&'static str, Var)> {
    let cell = golden.fill(LstmCell::new(2, 3, &mut Rng::new(1)));
    let [x, h_0, c_0] = ["x", "h_0", "c_0"].map(|name| golden.leaf(name));
    let [h, c] = cell.step(&x, Some([&h_0, &c_0]));
    vec![("h", h), ("c", c)]
}

fn mean_cross_entropy(golden: &mut Golden) -> Vec<(&'static str, Var)> {
    let (logits, targets) = (golden.leaf("logits"), golden.tensor("targets"));
    vec![("loss", loss::cross_entropy(&logits, &targets))]
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

/// The table of `layers.rs`, and rows for what is more than one pass from x to y.
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
    rows.extend(of_features().into_iter().map(|(name, run)| (name.to_owned(), run)));
    for (name, sizes, causal) in [
        ("self", [4, 4], false),
        ("lengths", [4, 4], false),
        ("causal", [4, 4], true),
        ("bias", [4, 4], false),
        ("heads", [4, 4], false),
        ("cross", [4, 4], false),
        ("sizes", [3, 1], false),
    ] {
        rows.push((format!("multi_head_attention_{name}"), attention(sizes, causal)));
    }
    let others = [
        ("transformer_encoder_layer", transformer(|layer| layer)),
        (
            "transformer_encoder_layer_norm_first",
            transformer(|layer| layer.norm_first().activation(Activation::Gelu)),
        ),
        ("rnn_cell", cell(RnnCell::new, |cell, x, h| cell.step(x, Some(h)))),
        ("rnn_relu_cell", cell(RnnCell::relu, |cell, x, h| cell.step(x, Some(h)))),
        ("gru_cell", cell(GruCell::new, |cell, x, h| cell.step(x, Some(h)))),
        ("lstm_cell", Box::new(lstm_cell)),
        ("transformer_encoder", Box::new(transformer_encoder)),
    ];
    rows.extend(others.map(|(name, run)| (name.to_owned(), run)));
    for (name, ignore_index, label_smoothing) in [
        ("weights", None, 0.0),
        ("ignore", Some(-100), 0.0),
        ("smoothed", None, 0.2),
        ("all", Some(-100), 0.2),
        ("soft", None, 0.2),
    ] {
        let weighted = matches!(name, "weights" | "all" | "soft");
        for suffix in ["", "_2d"] {
            let run = cross_entropy(weighted, ignore_index, label_smoothing);
            rows.push((format!("cross_entropy_{name}{suffix}"), run));
        }
    }
    let has_run: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    let has_file = |name: &str| folder().join(format!("{name}.safetensors")).exists();
    for (name, make, _) in layers() {
        if has_file(&name) && !has_run.contains(&name) {
            rows.push((name, layer(make)));
        }
    }
    rows
}

/// Layers that are more than one pass, and lists of them.
fn of_features() -> Vec<(&'static str, Run)> {
    vec![
        ("batch_norm", batch_norm(|| BatchNorm::new(3))),
        ("batch_norm_of_images", batch_norm(|| BatchNorm::new(2).momentum(0.3).eps(1e-3))),
        ("batch_norm_cumulative", batch_norm(|| BatchNorm::new(2).cumulative().without_affine())),
        ("batch_norm_by_itself", batch_norm(|| BatchNorm::new(2).without_running_statistics())),
        ("flatten_axes", layer(|| Box::new(Flatten::axes(0, -2)))),
        ("cross_entropy", Box::new(mean_cross_entropy)),
        ("embedding", embedding(|table| table)),
        ("embedding_padding", embedding(|table| table.padding(2))),
        ("activation", functions(activations)),
        ("function", functions(with_constants)),
    ]
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
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors"));
    let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.0).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), rows);
}
