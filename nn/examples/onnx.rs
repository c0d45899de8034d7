//! The layers that can be exported as ONNX files, with what they are given and what they answer.
//!
//! `cargo run -p plies-nn --features onnx --example onnx FOLDER`, then
//! `python nn/interop/check_onnx.py FOLDER`, which runs the files in ONNX Runtime and compares the answers.
//! Each model is exported from one example and asked about more and longer ones.

use std::path::{Path, PathBuf};

use plies_autograd::Var;
use plies_nn::onnx::{self, Export, Graph, Value};
use plies_nn::pretrain::{Autoencoder, Rbm};
use plies_nn::{
    Activation, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AttentionMask, AvgPool1d, AvgPool2d,
    BatchNorm, Checkpoint, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Directions, Flatten,
    Function, Glu, GroupNorm, Gru, GruCell, LayerNorm, Linear, LogSoftmax, Lstm, LstmCell,
    MaxPool1d, MaxPool2d, Maxout, Module, MultiHeadAttention, Pad, Padding, Parallel, Pass,
    Perceptron, PositionalEncoding, Prelu, RecurrentOptions, Residual, RmsNorm, Rnn, RnnCell,
    SequencePool, Sequential, Softmax, TransformerEncoder, TransformerEncoderLayer, Unflatten,
    Visitor, VisitorMut,
};
use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Rng, Tensor, formula};

#[path = "../interop/models.rs"]
mod models;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A layer of one's own, in the primitives of formulas: rows that sum to 1, of numbers that are cut off.
struct Shares;

impl Shares {
    fn of<T: Elementwise>(x: &T) -> T {
        let f = formula!(|x| {
            let e = (x - x.row_max()).exp();
            e.lt(0.1).select(0.0, e.min(0.9)) / e.row_sum() + x.le(0.0) * x.abs().pow(1.5)
        });
        T::map(f, &[x], &[])
    }
}

impl Module for Shares {
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        Shares::of(x)
    }
    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok(Shares::of(x))
    }
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// Which axes of [N, C, …] or [B, T, …] may change.
const BATCH: &[(usize, &str)] = &[(0, "batch")];
const SEQUENCE: &[(usize, &str)] = &[(0, "batch"), (2, "length")];
const IMAGE: &[(usize, &str)] = &[(0, "batch"), (2, "height"), (3, "width")];
const STEPS: &[(usize, &str)] = &[(0, "batch"), (1, "time")];

/// Name, layer, which axes may change, and the shape of what it is asked about.
type Row = (&'static str, Box<dyn Module>, &'static [(usize, &'static str)], Vec<usize>);

fn rows() -> Vec<Row> {
    let mut rng = Rng::new(1);
    let rng = &mut rng;
    let conv = Conv::default();
    let pool = Pool::new([3, 2]).stride([2, 1]).padding([1, 0]);
    let wide = conv.stride([2, 1]).padding([1, 0]).dilation([1, 2]);
    let mut rows: Vec<Row> = vec![
        ("mlp", Box::new(models::mlp(rng)), BATCH, vec![3, 6]),
        ("cnn", Box::new(models::cnn(rng)), BATCH, vec![3, 1, 8, 8]),
        ("linear", Box::new(Linear::new(4, 3, rng)), STEPS, vec![2, 3, 4]),
        ("linear_without_bias", Box::new(Linear::new(4, 3, rng).without_bias()), BATCH, vec![3, 4]),
        (
            "conv1d",
            Box::new(Conv1d::new(2, 3, 3, conv.stride(2).padding(2).dilation(2), rng)),
            SEQUENCE,
            vec![2, 2, 9],
        ),
        ("conv2d", Box::new(Conv2d::new(3, 4, [3, 2], wide, rng)), IMAGE, vec![2, 3, 5, 6]),
        (
            "conv2d_groups",
            Box::new(Conv2d::new(4, 6, [3, 3], conv.padding(1).groups(2), rng).without_bias()),
            IMAGE,
            vec![2, 4, 5, 6],
        ),
        (
            "max_pool1d",
            Box::new(MaxPool1d(Pool::new(3).stride(2).padding(1))),
            SEQUENCE,
            vec![2, 2, 9],
        ),
        ("max_pool2d", Box::new(MaxPool2d(pool)), IMAGE, vec![2, 2, 5, 4]),
        ("avg_pool1d", Box::new(AvgPool1d(Pool::new(2))), SEQUENCE, vec![2, 2, 9]),
        ("avg_pool2d", Box::new(AvgPool2d(pool)), IMAGE, vec![2, 2, 5, 4]),
        (
            "avg_pool2d_inside",
            Box::new(AvgPool2d(pool.count_padding(false))),
            IMAGE,
            vec![2, 2, 5, 4],
        ),
        ("layer_norm", Box::new(LayerNorm::new([4])), STEPS, vec![2, 3, 4]),
        ("layer_norm_two_axes", Box::new(LayerNorm::new([3, 4]).eps(0.1)), BATCH, vec![2, 3, 4]),
        ("rms_norm", Box::new(RmsNorm::new([4])), STEPS, vec![2, 3, 4]),
        ("rms_norm_two_axes", Box::new(RmsNorm::new([3, 4]).eps(0.1)), BATCH, vec![2, 3, 4]),
        ("group_norm", Box::new(GroupNorm::new(2, 4)), IMAGE, vec![2, 4, 3, 2]),
        ("group_norm_of_features", Box::new(GroupNorm::new(2, 4)), BATCH, vec![3, 4]),
        ("batch_norm", Box::new(BatchNorm::new(4)), IMAGE, vec![2, 4, 3, 2]),
        ("batch_norm_of_features", Box::new(BatchNorm::new(4).eps(0.1)), BATCH, vec![3, 4]),
        ("shares", Box::new(Shares), STEPS, vec![2, 3, 4]),
        ("rnn", Box::new(Rnn::new(3, 4, rng)), STEPS, vec![3, 5, 3]),
        ("lstm", Box::new(Lstm::new(3, 4, rng)), STEPS, vec![3, 5, 3]),
        ("gru", Box::new(Gru::new(3, 4, rng)), STEPS, vec![3, 5, 3]),
        ("rnn_cell", Box::new(RnnCell::new(3, 4, rng)), BATCH, vec![3, 3]),
        ("lstm_cell", Box::new(LstmCell::new(3, 4, rng)), BATCH, vec![3, 3]),
        ("gru_cell", Box::new(GruCell::new(3, 4, rng).without_bias()), BATCH, vec![3, 3]),
        ("attention", Box::new(MultiHeadAttention::new(4, 2, rng)), STEPS, vec![2, 3, 4]),
        ("transformer", Box::new(TransformerEncoderLayer::new(4, 2, 6, rng)), STEPS, vec![2, 3, 4]),
        ("positional_encoding", Box::new(PositionalEncoding), STEPS, vec![2, 300, 6]),
        ("sequence_pool_last", Box::new(SequencePool::Last), STEPS, vec![2, 3, 4]),
        ("sequence_pool_mean", Box::new(SequencePool::Mean), STEPS, vec![2, 3, 4]),
        ("sequence_pool_max", Box::new(SequencePool::Max), STEPS, vec![2, 3, 4]),
    ];
    let layers = more(conv, rng);
    rows.extend(layers);
    for activation in Activation::ALL {
        rows.push((activation.name(), Box::new(*activation), BATCH, vec![5, 7]));
    }
    rows
}

/// What ONNX has under other names, or only in parts.
fn more(conv: Conv, rng: &mut Rng) -> Vec<Row> {
    let transposed = conv.stride([2, 3]).padding([1, 0]).groups(2);
    let over = Pool::new(3).stride(2).padding(1).round_up(true);
    let padded = |padding| Box::new(Pad::new(padding, &[[1, 2], [2, 0]]));
    let branches = |parallel: Parallel, rng: &mut Rng| {
        Box::new(parallel.push(Linear::new(4, 4, rng)).push_named("past", Activation::Tanh))
    };
    let body = Sequential::new().push(Linear::new(4, 3, rng)).push(Activation::Hardswish);
    vec![
        (
            "conv1d_same",
            Box::new(Conv1d::new(2, 3, 4, conv, rng).same(Padding::Constant(0.5))),
            SEQUENCE,
            vec![2, 2, 9],
        ),
        (
            "conv2d_reflect",
            Box::new(Conv2d::new(2, 3, [3, 3], conv, rng).same(Padding::Reflect)),
            IMAGE,
            vec![2, 2, 5, 6],
        ),
        (
            "conv_transpose1d",
            Box::new(ConvTranspose1d::new(2, 3, 3, conv.dilation(2), rng)),
            SEQUENCE,
            vec![2, 2, 5],
        ),
        (
            "conv_transpose2d",
            Box::new(ConvTranspose2d::new(4, 6, [3, 2], transposed, rng).output_padding([1, 0])),
            IMAGE,
            vec![2, 4, 3, 4],
        ),
        ("max_pool2d_round_up", Box::new(MaxPool2d(over)), IMAGE, vec![2, 2, 6, 7]),
        ("avg_pool2d_round_up", Box::new(AvgPool2d(over)), IMAGE, vec![2, 2, 6, 7]),
        (
            "avg_pool2d_round_up_inside",
            Box::new(AvgPool2d(over.count_padding(false))),
            IMAGE,
            vec![2, 2, 6, 7],
        ),
        ("adaptive_avg_pool2d", Box::new(AdaptiveAvgPool2d([1, 1])), IMAGE, vec![2, 2, 5, 4]),
        ("adaptive_max_pool1d", Box::new(AdaptiveMaxPool1d(1)), SEQUENCE, vec![2, 2, 9]),
        ("adaptive_avg_pool2d_3x2", Box::new(AdaptiveAvgPool2d([3, 2])), IMAGE, vec![2, 2, 6, 4]),
        ("adaptive_max_pool1d_3", Box::new(AdaptiveMaxPool1d(3)), SEQUENCE, vec![2, 2, 9]),
        (
            "batch_norm_by_itself",
            Box::new(BatchNorm::new(4).without_running_statistics()),
            IMAGE,
            vec![3, 4, 3, 2],
        ),
        (
            "function",
            Box::new(Function::formula(formula!(|x; beta| x / (1.0 + (-beta * x).exp())), &[1.7])),
            BATCH,
            vec![5, 7],
        ),
        (
            "autoencoder",
            Box::new(Autoencoder::new(4, 3, Activation::Tanh, rng)),
            STEPS,
            vec![2, 3, 4],
        ),
        (
            "autoencoder_tied",
            Box::new(Autoencoder::new(4, 3, Activation::Sigmoid, rng).tied()),
            BATCH,
            vec![3, 4],
        ),
        ("pad_constant", padded(Padding::Constant(-1.5)), IMAGE, vec![2, 2, 4, 5]),
        ("pad_reflect", padded(Padding::Reflect), IMAGE, vec![2, 2, 4, 5]),
        ("pad_replicate", padded(Padding::Replicate), IMAGE, vec![2, 2, 4, 5]),
        ("pad_circular", padded(Padding::Circular), IMAGE, vec![2, 2, 4, 5]),
        ("layer_norm_alone", Box::new(LayerNorm::new([4]).without_affine()), STEPS, vec![2, 3, 4]),
        ("rms_norm_alone", Box::new(RmsNorm::new([4]).without_affine()), STEPS, vec![2, 3, 4]),
        ("flatten_axes", Box::new(Flatten::axes(-2, -1)), BATCH, vec![2, 3, 4, 2]),
        ("flatten_from_the_first", Box::new(Flatten::axes(0, 1)), STEPS, vec![2, 3, 4]),
        ("unflatten", Box::new(Unflatten::new(1, [3, 2])), BATCH, vec![2, 6, 4]),
        ("maxout", Box::new(Maxout::new(4, 3, 2, rng)), STEPS, vec![2, 3, 4]),
        ("prelu", Box::new(Prelu::new()), BATCH, vec![3, 4]),
        ("prelu_of_channels", Box::new(Prelu::of_channels(3)), IMAGE, vec![2, 3, 4, 2]),
        ("glu", Box::new(Glu(1)), SEQUENCE, vec![2, 4, 5]),
        ("softmax", Box::new(Softmax(1)), SEQUENCE, vec![2, 3, 5]),
        ("log_softmax", Box::new(LogSoftmax(-1)), STEPS, vec![2, 3, 5]),
        ("perceptron", Box::new(Perceptron::new(4, 3)), BATCH, vec![3, 4]),
        ("rbm", Box::new(Rbm::binary(4, 3, rng)), BATCH, vec![3, 4]),
        ("residual", Box::new(Residual::new(Linear::new(4, 4, rng))), STEPS, vec![2, 3, 4]),
        (
            "residual_projection",
            Box::new(Residual::new(body).project(Linear::new(4, 3, rng))),
            STEPS,
            vec![2, 3, 4],
        ),
        ("parallel_sum", branches(Parallel::sum(), rng), STEPS, vec![2, 3, 4]),
        ("parallel_mean", branches(Parallel::mean(), rng), STEPS, vec![2, 3, 4]),
        ("parallel_cat", branches(Parallel::cat(-1), rng), STEPS, vec![2, 3, 4]),
    ]
}

fn main() -> Outcome {
    let folder: PathBuf = std::env::args_os().nth(1).unwrap_or_else(|| ".".into()).into();
    std::fs::create_dir_all(&folder)?;
    let mut rng = Rng::new(2);
    for (name, mut model, axes, dims) in rows() {
        model.for_each_parameter_mut(&mut |_, p| {
            *p.value_mut() = rng.normal(p.shape(), p.dtype(), &Device::cpu()) * 0.5;
        });
        let x = rng.normal(dims, DType::F32, &Device::cpu()) * 2.0;
        model.forward(&Var::constant(x.clone()), &mut Pass::train(Rng::new(3))); // for batch norm
        let y = model.forward(&Var::constant(x.clone()), &mut Pass::eval());
        let example = axes[1..].iter().fold(x.narrow(0, 0, 1), |x, &(axis, _)| {
            x.narrow(axis as isize, 0, x.dim(axis as isize) - 1)
        });
        let graph = Export { axes, lengths: false }.of(&*model, &example)?;
        write(&folder, name, &graph, &[("x", x), ("y", y.value().clone())])?;
    }
    sequences(&folder, &mut rng)?;
    one_step(&folder, &mut rng)?;

    let tagger = models::Tagger::new(&mut rng);
    let (x, lengths) =
        (Tensor::from([[0, 1, 2, 3, 4], [5, 6, 0, 0, 0], [6, 5, 4, 3, 0]]), [5, 2, 4]);
    let y = tagger.run(&x, Some(&lengths), &mut Pass::eval());
    let export = Export { axes: STEPS, lengths: true };
    let graph = export.of(&tagger, &Tensor::from([[0, 1]]))?;
    let lengths = Tensor::from(lengths.map(|n| n as i32));
    write(&folder, "tagger", &graph, &[("x", x), ("lengths", lengths), ("y", y.value().clone())])
}

/// Sequences of different lengths, in layers and directions.
fn sequences(folder: &Path, rng: &mut Rng) -> Outcome {
    let lengths = [5, 2, 4];
    let directions = Directions::Both;
    let options = RecurrentOptions { layers: 2, directions, bias: true, dropout: 0.2 };
    let (tanh, lstm) = (Rnn::with(3, 4, options, rng), Lstm::with(3, 4, options, rng));
    let without = RecurrentOptions { bias: false, layers: 1, ..options };
    let (relu, gru) = (Rnn::relu(3, 4, without, rng), Gru::with(3, 4, options, rng));
    let x = rng.normal([3, 5, 3], DType::F32, &Device::cpu());
    let (given, pass) = (Var::constant(x.clone()), &mut Pass::eval());
    let attention = MultiHeadAttention::new(3, 3, rng).without_bias();
    let layer = TransformerEncoderLayer::new(3, 1, 5, rng).norm_first();
    let layers = [TransformerEncoderLayer::new(3, 3, 5, rng), layer];
    let transformer = TransformerEncoder::new(layers).norm(LayerNorm::new([3]));
    let mask = AttentionMask::default();
    let pools = SequencePool::ALL.iter().zip(["last", "mean", "max"]);
    let pools: Vec<(String, &SequencePool)> =
        pools.map(|(pool, name)| (format!("sequence_pool_{name}_lengths"), pool)).collect();
    let pools = pools.iter().map(|(name, pool)| -> (&str, &dyn Module, Var) {
        (name, *pool, pool.of(&given, Some(&lengths)))
    });
    let rows: [(&str, &dyn Module, Var); 6] = [
        ("attention_lengths", &attention, attention.run(&given, Some(&lengths), &mask, pass).0),
        ("transformer_lengths", &transformer, transformer.run(&given, Some(&lengths), &mask, pass)),
        ("rnn_lengths", &tanh, tanh.run(&given, Some(&lengths), None, pass).0),
        ("rnn_relu_lengths", &relu, relu.run(&given, Some(&lengths), None, pass).0),
        ("lstm_lengths", &lstm, lstm.run(&given, Some(&lengths), None, pass).0),
        ("gru_lengths", &gru, gru.run(&given, Some(&lengths), None, pass).0),
    ];
    for (name, layer, y) in rows.into_iter().chain(pools) {
        let export = Export { axes: STEPS, lengths: true };
        let graph = export.of(layer, &x.narrow(1, 0, 2))?;
        let lengths = Tensor::from(lengths.map(|n| n as i32));
        let io = [("x", x.clone()), ("lengths", lengths), ("y", y.value().clone())];
        write(folder, name, &graph, &io)?;
    }
    Ok(())
}

/// States in and out: what a program needs that is given one step at a time.
fn one_step(folder: &Path, rng: &mut Rng) -> Outcome {
    let options = RecurrentOptions { layers: 2, ..RecurrentOptions::default() };
    let lstm = Lstm::with(3, 4, options, rng);
    let graph = Graph::new();
    let states = || [2.into(), "batch".into(), 4.into()];
    let x = graph.input("x", DType::F32, ["batch".into(), 1.into(), 3.into()]);
    let [h, c] = ["h_0", "c_0"].map(|name| graph.input(name, DType::F32, states()));
    let (y, [h, c]) = lstm.export_run(&x, Some([&h, &c]), &graph);
    graph.output("y", &y, ["batch".into(), 1.into(), 4.into()]);
    graph.output("h", &h, states());
    graph.output("c", &c, states());

    let mut normal = |dims: [usize; 3]| Var::constant(rng.normal(dims, DType::F32, &Device::cpu()));
    let (x, h_0, c_0) = (normal([3, 1, 3]), normal([2, 3, 4]), normal([2, 3, 4]));
    let (y, [h, c]) = lstm.run(&x, None, Some([&h_0, &c_0]), &mut Pass::eval());
    let io = [("x", x), ("h_0", h_0), ("c_0", c_0), ("y", y), ("h", h), ("c", c)];
    write(folder, "lstm_one_step", &graph, &io.map(|(name, var)| (name, var.value().clone())))
}

fn write(folder: &Path, name: &str, graph: &Graph, io: &[(&str, Tensor)]) -> Outcome {
    graph.save(&folder.join(format!("{name}.onnx")))?;
    let mut file = Checkpoint::new();
    io.iter().for_each(|(name, tensor)| file.insert(*name, tensor.clone()));
    file.save(&folder.join(format!("{name}_io.safetensors")))?;
    println!("{name}");
    Ok(())
}
