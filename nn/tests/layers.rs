//! Every layer: its gradient by finite differences, what it is in ONNX, its output on numbers worked out by hand; those
//! of PyTorch are in `golden.rs`.

use plies_autograd::Var;
use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_nn::onnx::Export;
use plies_nn::{
    Activation, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    AlphaDropout, AvgPool1d, AvgPool2d, BatchNorm, Checkpoint, Conv1d, Conv2d, ConvTranspose1d,
    ConvTranspose2d, Directions, Dropout, Flatten, Function, Glu, GroupNorm, Gru, GruCell,
    LayerNorm, Linear, LogSoftmax, Lstm, LstmCell, MaxPool1d, MaxPool2d, Maxout, Mlp, Module,
    MultiHeadAttention, Pad, Padding, Parallel, Pass, Perceptron, PositionalEncoding, Prelu,
    RecurrentOptions, Residual, RmsNorm, Rnn, RnnCell, SequencePool, Sequential, Softmax,
    SpatialDropout, TransformerEncoder, TransformerEncoderLayer, Unflatten, Visitor, VisitorMut,
};
use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Rng, Tensor};

type Make = Box<dyn Fn() -> Box<dyn Module>>;

/// Name, layer, shape of its input.
pub(crate) type Row = (String, Make, Vec<usize>);

fn row<M: Module + 'static>(
    name: impl Into<String>,
    dims: &[usize],
    make: impl Fn() -> M + 'static,
) -> Row {
    (name.into(), Box::new(move || Box::new(make())), dims.to_vec())
}

/// Every layer. A row with the name of a file in `golden` is what PyTorch computed there: its outputs and gradients are
/// compared with that, too.
pub(crate) fn layers() -> Vec<Row> {
    let activation = |&activation: &Activation| row(activation.name(), &[3, 4], move || activation);
    let rows = of_windows().into_iter().chain(of_features()).chain(others());
    rows.chain(Activation::ALL.iter().map(activation)).collect()
}

/// Convolutions, pools, and what stands around them.
fn of_windows() -> Vec<Row> {
    let rng = || Rng::new(1);
    let (conv, pool) = (Conv::default(), Pool::new([3, 2]).stride([2, 1]).padding([1, 0]));
    let conv1d = conv.stride(2).padding(2).dilation(2);
    let conv2d = conv.stride([2, 1]).padding([1, 0]).dilation([1, 2]);
    let grouped = conv.padding(1).groups(2);
    let transposed = conv.stride(2).padding(1);
    let transposed_2d = conv.stride([2, 1]).padding([1, 0]).dilation([1, 2]);
    let around = |padding| {
        let pad = Pad::new(padding, &[[1, 1], [2, 2]]);
        move || Conv2d::new(2, 2, [3, 3], conv, &mut rng()).pad(pad.clone())
    };
    let inside = Pool::new(3).stride(2).padding(1).count_padding(false);
    let hanging = Pool::new([2, 3]).stride([3, 2]).padding([1, 0]).round_up(true);
    let hanging_1d = Pool::new(2).stride(3).padding(1).round_up(true);
    vec![
        row("conv1d", &[2, 2, 7], move || Conv1d::new(2, 3, 3, conv1d, &mut rng())),
        row("conv2d", &[2, 3, 5, 4], move || Conv2d::new(3, 4, [3, 2], conv2d, &mut rng())),
        row("conv2d_groups", &[2, 4, 3, 4], move || Conv2d::new(4, 6, [3, 3], grouped, &mut rng())),
        row("max_pool1d", &[2, 2, 6], || MaxPool1d(Pool::new(3).stride(2).padding(1))),
        row("max_pool2d", &[2, 2, 5, 4], move || MaxPool2d(pool)),
        row("avg_pool1d", &[2, 2, 5], || AvgPool1d(Pool::new(2))),
        row("avg_pool2d", &[2, 2, 5, 4], move || AvgPool2d(pool)),
        row("avg_pool2d_inside", &[2, 2, 5, 4], move || AvgPool2d(inside)),
        row("conv_transpose1d", &[2, 2, 4], move || {
            let conv = transposed.dilation(2);
            ConvTranspose1d::new(2, 3, 3, conv, &mut rng()).output_padding(1)
        }),
        row("conv_transpose2d", &[2, 3, 3, 4], move || {
            ConvTranspose2d::new(3, 4, [3, 2], transposed_2d, &mut rng())
        }),
        row("conv_transpose2d_groups", &[2, 4, 3, 2], move || {
            let conv = transposed.groups(2);
            ConvTranspose2d::new(4, 6, [3, 3], conv, &mut rng()).output_padding([1, 0])
        }),
        row("conv1d_same", &[2, 2, 6], move || {
            Conv1d::new(2, 3, 4, conv.dilation(3), &mut rng()).same(Padding::Constant(0.0))
        }),
        row("conv2d_same", &[1, 2, 3, 4], move || {
            Conv2d::new(2, 3, [2, 3], conv, &mut rng()).same(Padding::Reflect)
        }),
        row("max_pool1d_round_up", &[2, 1, 3], || MaxPool1d(Pool::new(4).stride(2).round_up(true))),
        row("max_pool2d_round_up", &[2, 2, 5, 6], move || MaxPool2d(hanging)),
        row("avg_pool1d_round_up", &[2, 1, 6], move || AvgPool1d(hanging_1d)),
        row("avg_pool2d_round_up", &[2, 2, 5, 6], move || AvgPool2d(hanging)),
        row("avg_pool2d_round_up_inside", &[1, 2, 4, 6], move || AvgPool2d(inside.round_up(true))),
        row("adaptive_avg_pool1d", &[2, 2, 7], || AdaptiveAvgPool1d(3)),
        row("adaptive_avg_pool2d", &[2, 2, 5, 3], || AdaptiveAvgPool2d([3, 2])),
        row("adaptive_avg_pool2d_all", &[2, 2, 3, 4], || AdaptiveAvgPool2d([1, 1])),
        row("adaptive_max_pool1d", &[2, 2, 7], || AdaptiveMaxPool1d(4)),
        row("adaptive_max_pool2d", &[2, 2, 5, 3], || AdaptiveMaxPool2d([3, 2])),
        row("adaptive_max_pool2d_equals", &[2, 2, 5, 4], || AdaptiveMaxPool2d([2, 3])),
        row("max_pool2d_equals", &[1, 2, 5, 4], || MaxPool2d(Pool::new(3).stride(1))),
        row("conv2d_reflect", &[1, 2, 3, 4], around(Padding::Reflect)),
        row("conv2d_replicate", &[1, 2, 3, 4], around(Padding::Replicate)),
        row("conv2d_circular", &[1, 2, 3, 4], around(Padding::Circular)),
        row("pad_constant", &[2, 1, 3], || Pad::new(Padding::Constant(1.5), &[[1, 2]])),
        row("pad_reflect", &[1, 2, 2, 3], || Pad::new(Padding::Reflect, &[[0, 1], [1, 2]])),
        row("pad_replicate", &[1, 2, 2, 3], || Pad::new(Padding::Replicate, &[[0, 3], [1, 4]])),
        row("pad_circular", &[1, 2, 2, 3], || Pad::new(Padding::Circular, &[[0, 1], [3, 2]])),
    ]
}

/// Layers that look at features, and what changes shapes.
fn of_features() -> Vec<Row> {
    let rng = || Rng::new(1);
    vec![
        row("linear", &[2, 4], move || Linear::new(4, 3, &mut rng())),
        row("layer_norm", &[2, 3, 4], || LayerNorm::new([4])),
        row("layer_norm_axes", &[2, 3, 2], || LayerNorm::new([3, 2]).eps(1e-3)),
        row("layer_norm_without_bias", &[2, 4], || LayerNorm::new([4]).without_bias()),
        row("layer_norm_without_affine", &[2, 4], || LayerNorm::new([4]).without_affine()),
        row("rms_norm", &[3, 4], || RmsNorm::new([4])),
        row("rms_norm_without_affine", &[3, 4], || RmsNorm::new([4]).without_affine()),
        row("group_norm", &[2, 4, 3], || GroupNorm::new(2, 4)),
        row("group_norm_of_instances", &[2, 2, 3, 2], || GroupNorm::new(2, 2).without_affine()),
        row("softmax", &[2, 3, 2], || Softmax(1)),
        row("log_softmax", &[2, 3], || LogSoftmax(-1)),
        row("glu", &[2, 4, 2], || Glu(1)),
        row("prelu", &[3, 4], Prelu::new),
        row("prelu_of_channels", &[2, 2, 3], || Prelu::of_channels(2)),
        row("flatten", &[2, 3, 2], Flatten::default),
        row("unflatten", &[2, 6], || Unflatten::new(1, [3, 2])),
        row("maxout", &[2, 4], || Maxout::new(4, 3, 2, &mut Rng::new(1))),
        row("sequential", &[2, 3], || {
            Sequential::new()
                .push_named("first", Linear::new(3, 4, &mut Rng::new(1)))
                .push(Activation::Tanh)
                .push_named("last", Linear::new(4, 2, &mut Rng::new(1)))
        }),
    ]
}

/// Layers that PyTorch has not, and others of the settings above.
fn others() -> Vec<Row> {
    type Plain = (&'static str, fn() -> Box<dyn Module>, &'static [usize]);
    let rows: &[Plain] = &[
        (
            "linear without bias",
            || Box::new(Linear::new(4, 3, &mut Rng::new(3)).without_bias()),
            &[2, 4],
        ),
        ("linear over time", || Box::new(Linear::new(4, 2, &mut Rng::new(3))), &[2, 3, 4]),
        ("linear of no examples", || Box::new(Linear::new(4, 2, &mut Rng::new(3))), &[0, 4]),
        (
            "conv2d without bias",
            || {
                let conv = Conv::default().dilation(2);
                Box::new(Conv2d::new(1, 2, [2, 2], conv, &mut Rng::new(3)).without_bias())
            },
            &[1, 1, 4, 3],
        ),
        (
            "conv1d as long as its input",
            || {
                let layer = Conv1d::new(2, 2, 4, Conv::default().dilation(2), &mut Rng::new(3));
                Box::new(layer.same(Padding::Replicate))
            },
            &[1, 2, 5],
        ),
        (
            "conv2d with a mirror around",
            || {
                let layer = Conv2d::new(1, 2, [2, 3], Conv::default(), &mut Rng::new(3));
                Box::new(layer.pad(Pad::new(Padding::Reflect, &[[0, 1], [1, 2]])))
            },
            &[1, 1, 2, 3],
        ),
        (
            "conv_transpose2d without bias",
            || {
                let conv = Conv::default().padding([1, 0]);
                Box::new(ConvTranspose2d::new(1, 2, [2, 2], conv, &mut Rng::new(3)).without_bias())
            },
            &[1, 1, 3, 2],
        ),
        ("pad", || Box::new(Pad::new(Padding::Circular, &[[1, 2], [3, 0]])), &[2, 2, 3]),
        ("pad with a number", || Box::new(Pad::new(Padding::Constant(2.0), &[[1, 2]])), &[2, 3]),
        ("adaptive_avg_pool2d over all", || Box::new(AdaptiveAvgPool2d([1, 1])), &[2, 2, 3, 2]),
        (
            "max_pool1d that hangs over",
            || Box::new(MaxPool1d(Pool::new(2).round_up(true))),
            &[2, 2, 5],
        ),
        ("layer_norm over two axes", || Box::new(LayerNorm::new([3, 2])), &[2, 3, 2]),
        ("batch_norm", || Box::new(BatchNorm::new(3)), &[4, 3]),
        ("batch_norm of pictures", || Box::new(BatchNorm::new(2)), &[2, 2, 2, 2]),
        (
            "batch_norm by itself",
            || Box::new(BatchNorm::new(2).without_running_statistics()),
            &[3, 2],
        ),
        (
            "group_norm without weight and bias",
            || Box::new(GroupNorm::new(2, 4).without_affine()),
            &[1, 4, 2],
        ),
        (
            "batch_norm without weight and bias",
            || Box::new(BatchNorm::new(2).without_affine()),
            &[3, 2],
        ),
        ("dropout", || Box::new(Dropout::new(0.4)), &[3, 5]),
        ("spatial_dropout", || Box::new(SpatialDropout::new(0.4)), &[2, 3, 2]),
        ("alpha_dropout", || Box::new(AlphaDropout::new(0.4)), &[3, 5]),
        ("flatten of the last axes", || Box::new(Flatten::axes(-2, -1)), &[2, 3, 2]),
        (
            "maxout without bias",
            || Box::new(Maxout::new(3, 2, 3, &mut Rng::new(3)).without_bias()),
            &[2, 2, 3],
        ),
        ("function", || Box::new(Function::new(|x| x.celu(0.5) * 3.0)), &[2, 3]),
        ("perceptron", || Box::new(Perceptron::new(3, 2)), &[2, 3]),
        ("residual", || Box::new(Residual::new(Linear::new(3, 3, &mut Rng::new(3)))), &[2, 3]),
        (
            "residual with a projection",
            || {
                let mut rng = Rng::new(3);
                let body = Sequential::new()
                    .push(Linear::new(3, 4, &mut rng))
                    .push(Activation::Tanh)
                    .push(Dropout::new(0.3));
                Box::new(Residual::new(body).project(Linear::new(3, 4, &mut rng).without_bias()))
            },
            &[2, 3],
        ),
        (
            "parallel",
            || {
                let mut rng = Rng::new(3);
                let layers = Parallel::cat(1)
                    .push(Linear::new(3, 2, &mut rng))
                    .push_named("wide", Linear::new(3, 4, &mut rng));
                Box::new(layers)
            },
            &[2, 3],
        ),
        (
            "parallel, averaged",
            || {
                let layer = || Linear::new(3, 2, &mut Rng::new(3));
                Box::new(Parallel::mean().push(layer()).push(layer()))
            },
            &[2, 3],
        ),
        (
            "parallel, added",
            || Box::new(Parallel::sum().push(Activation::Tanh).push(Activation::Identity)),
            &[2, 3],
        ),
        ("rnn", || Box::new(Rnn::new(2, 3, &mut Rng::new(3))), &[2, 3, 2]),
        ("lstm", || Box::new(Lstm::new(2, 3, &mut Rng::new(3)).forget_bias(1.0)), &[2, 3, 2]),
        (
            "lstm in layers and both directions",
            || {
                let directions = Directions::Both;
                let options = RecurrentOptions { layers: 2, directions, bias: false, dropout: 0.3 };
                Box::new(Lstm::with(2, 2, options, &mut Rng::new(3)))
            },
            &[2, 3, 2],
        ),
        ("gru", || Box::new(Gru::new(2, 3, &mut Rng::new(3))), &[2, 3, 2]),
        ("rnn_cell", || Box::new(RnnCell::new(2, 3, &mut Rng::new(3))), &[2, 2]),
        ("rnn_cell with relu", || Box::new(RnnCell::relu(2, 3, &mut Rng::new(3))), &[2, 2]),
        ("lstm_cell", || Box::new(LstmCell::new(2, 3, &mut Rng::new(3)).forget_bias(1.0)), &[2, 2]),
        ("gru_cell", || Box::new(GruCell::new(2, 3, &mut Rng::new(3)).without_bias()), &[2, 2]),
        ("sequence_pool of the last step", || Box::new(SequencePool::Last), &[2, 3, 2]),
        ("sequence_pool of the mean", || Box::new(SequencePool::Mean), &[2, 3, 2]),
        ("sequence_pool of the largest", || Box::new(SequencePool::Max), &[2, 3, 2]),
        ("positional_encoding", || Box::new(PositionalEncoding), &[2, 3, 4]),
        (
            "transformer_encoder_layer",
            || {
                let layer = TransformerEncoderLayer::new(4, 2, 3, &mut Rng::new(3));
                Box::new(layer.activation(Activation::Tanh).dropout(0.2))
            },
            &[1, 3, 4],
        ),
        (
            "transformer_encoder",
            || {
                let layer = TransformerEncoderLayer::new(2, 1, 3, &mut Rng::new(3));
                let layers = [layer.activation(Activation::Gelu).norm_first()];
                Box::new(TransformerEncoder::new(layers).norm(LayerNorm::new([2])))
            },
            &[2, 2, 2],
        ),
        (
            "multi_head_attention",
            || Box::new(MultiHeadAttention::new(4, 2, &mut Rng::new(3)).dropout(0.3)),
            &[2, 3, 4],
        ),
        (
            "multi_head_attention without bias",
            || Box::new(MultiHeadAttention::new(2, 1, &mut Rng::new(3)).without_bias()),
            &[1, 2, 2],
        ),
        (
            "sequential with dropout",
            || {
                let mut rng = Rng::new(4);
                let layers = Sequential::new()
                    .push(Flatten::default())
                    .push(Linear::new(6, 3, &mut rng))
                    .push(Activation::Tanh)
                    .push(Dropout::new(0.3))
                    .push(Linear::new(3, 2, &mut rng));
                Box::new(layers)
            },
            &[2, 3, 2],
        ),
        (
            "mlp",
            || {
                let mlp = Mlp::new(&[4, 5, 3, 2], Activation::Silu, &mut Rng::new(5));
                Box::new(mlp.dropout(0.2, 0.3))
            },
            &[3, 4],
        ),
    ];
    let named =
        |&(name, make, dims): &Plain| (name.to_owned(), Box::new(make) as Make, dims.to_vec());
    rows.iter().map(named).collect()
}

#[test]
fn every_gradient_is_that_of_finite_differences() {
    for (name, make, dims) in layers() {
        let mut inputs = vec![Rng::new(8).normal(&dims[..], DType::F64, &Device::cpu())];
        make().for_each_parameter(&mut |_, p| inputs.push(p.value().to_dtype(DType::F64)));
        let f = |inputs: &[Var]| {
            let mut layer = make();
            let mut parameters = inputs[1..].iter();
            layer.for_each_parameter_mut(&mut |_, p| *p = parameters.next().unwrap().clone());
            assert!(parameters.next().is_none(), "{name}: `visit` shows more than `visit_mut`");
            // The same seed each time, so that the same units are dropped.
            layer.forward(&inputs[0], &mut Pass::train(Rng::new(1)))
        };
        gradcheck(f, &inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        gradgradcheck(f, &inputs).unwrap_or_else(|e| panic!("{name}, second order: {e}"));
    }
}

/// Rows that are no ONNX graphs, and why.
const NOT_IN_ONNX: [(&str, &str); 1] = [("function", "nobody knows what it does")];

/// Whether it computes the same is for `examples/onnx.rs` to show, which has a row for each, too.
#[test]
fn every_layer_is_an_onnx_graph() {
    // Without an example there is no graph.
    for (name, make, dims) in layers().into_iter().filter(|(_, _, dims)| dims[0] > 0) {
        let x = Rng::new(8).normal(&dims[..], DType::F32, &Device::cpu());
        let graph = Export::default().of(&*make(), &x);
        if NOT_IN_ONNX.iter().any(|(other, _)| *other == name) {
            assert!(graph.is_err(), "{name}: is an ONNX graph now");
            continue;
        }
        let graph = graph.unwrap_or_else(|error| panic!("{name}: {error}")).to_string();
        let y = make().forward(&Var::constant(x), &mut Pass::eval());
        let rest: Vec<String> = y.dims()[1..].iter().map(|n| format!(", {n}")).collect();
        let end = format!("-> y: {} [batch{}]\n", y.dtype(), rest.concat());
        assert!(graph.ends_with(&end), "{name}: {graph}");
    }
}

#[test]
fn names_are_those_of_pytorch_and_both_walks_agree() {
    for (name, make, _) in layers() {
        let mut layer = make();
        let names: Vec<String> = layer.named_parameters().into_iter().map(|(n, _)| n).collect();
        let mut again = Vec::new();
        layer.for_each_parameter_mut(&mut |name, _| again.push(name.to_owned()));
        assert_eq!(names, again, "{name}");
        match name.as_str() {
            "linear" | "conv1d" | "conv2d" | "conv_transpose1d" | "maxout" | "perceptron" => {
                assert_eq!(names, ["weight", "bias"]);
            }
            "prelu" | "rms_norm" | "layer_norm_without_bias" => assert_eq!(names, ["weight"]),
            "residual with a projection" => {
                assert_eq!(names, ["body.0.weight", "body.0.bias", "shortcut.weight"]);
            }
            "parallel" => {
                assert_eq!(names, ["0.weight", "0.bias", "wide.weight", "wide.bias"]);
            }
            "lstm" => {
                assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
            }
            "gru_cell" => assert_eq!(names, ["weight_ih", "weight_hh"]),
            "multi_head_attention" => {
                let out = ["out_proj.weight", "out_proj.bias"];
                assert_eq!(names[..2], ["in_proj_weight", "in_proj_bias"]);
                assert_eq!(names[2..], out);
            }
            "transformer_encoder" => {
                assert_eq!(names[0], "layers.0.self_attn.in_proj_weight");
                assert_eq!(names[names.len() - 2..], ["norm.weight", "norm.bias"]);
            }
            "sequential with dropout" => {
                assert_eq!(names, ["1.weight", "1.bias", "4.weight", "4.bias"])
            }
            "mlp" => assert_eq!((&*names[0], &*names[5]), ("layers.0.weight", "layers.2.bias")),
            _ => {}
        }
    }
}

#[test]
fn a_small_network_gives_the_numbers_worked_out_by_hand() {
    let mut model = Mlp::new(&[2, 2, 1], Activation::Relu, &mut Rng::new(1));
    let values = [
        Tensor::from([[1f32, -1.0], [2.0, 0.5]]),
        Tensor::from([0.5f32, -1.0]),
        Tensor::from([[3f32, -2.0]]),
        Tensor::from([0.25f32]),
    ];
    let mut next = values.into_iter();
    model.for_each_parameter_mut(&mut |_, p| *p.value_mut() = next.next().unwrap());
    let x = Var::constant(Tensor::from([[1f32, 2.0], [-1.0, 1.0], [3.0, 1.0]]));
    // Hidden, before ReLU: (-0.5, 2), (-1.5, -2.5), (2.5, 5.5).
    let y = model.forward(&x, &mut Pass::eval());
    assert_eq!(y.value().to_vec::<f32>().unwrap(), [-3.75, 0.25, -3.25]);
}

#[test]
fn convolution_and_pooling_give_the_numbers_worked_out_by_hand() {
    let image = Tensor::from([[[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]]]]);
    let image = Var::constant(image);
    let weight = Tensor::from([[[[1f32, 0.0], [0.0, -1.0]]], [[[0.0, 1.0], [1.0, 0.0]]]]);
    let bias = Tensor::from([0.5f32, -1.0]);
    let conv = Conv2d::from_weights(weight, Some(bias), Conv::default());
    let y = conv.forward(&image, &mut Pass::eval());
    assert_eq!(y.dims(), [1, 2, 2, 2]);
    let expected = [-3.5, -3.5, -3.5, -4.5, 5.0, 7.0, 11.0, 13.0];
    assert_eq!(y.value().to_vec::<f32>().unwrap(), expected);
    let pool = Pool::new(2).stride(1);
    let y = MaxPool2d(pool).forward(&image, &mut Pass::eval());
    assert_eq!(y.value().to_vec::<f32>().unwrap(), [5.0, 6.0, 8.0, 10.0]);
    let y = AvgPool2d(pool).forward(&image, &mut Pass::eval());
    assert_eq!(y.value().to_vec::<f32>().unwrap(), [3.0, 4.0, 6.0, 7.25]);
    // Corners see four elements, and five zeros that are not counted.
    let same = Pool::new(3).stride(2).padding(1);
    let y = AvgPool2d(same.count_padding(false)).forward(&image, &mut Pass::eval());
    assert_eq!(y.value().to_vec::<f32>().unwrap(), [3.0, 4.0, 6.0, 7.25]);
    let y = AvgPool2d(same).forward(&image, &mut Pass::eval());
    let expected = [12.0, 16.0, 24.0, 29.0];
    for (y, expected) in y.value().to_vec::<f32>().unwrap().into_iter().zip(expected) {
        assert!((y * 9.0 - expected).abs() < 1e-5, "{y}");
    }
}

/// Outputs of PyTorch 2.15, `nn.LayerNorm` and the others in double precision, with weight 1, 2, -1, 1/2
/// and bias 0, 1/2, 1, -1 as far as there are so many.
#[test]
fn normalisations_give_the_numbers_of_pytorch() {
    let x: Vec<f64> = (0..24).map(|i| f64::from(i * i % 7) - 2.0 + f64::from(i) / 10.0).collect();
    let x = Var::constant(Tensor::from_vec(x, [2, 4, 3]));
    let check = |mut layer: Box<dyn Module>, training: bool, expected: [f64; 6]| {
        let values = [[1.0, 2.0, -1.0, 0.5], [0.0, 0.5, 1.0, -1.0]];
        let mut values = values.iter();
        layer.for_each_parameter_mut(&mut |_, p| {
            let n = p.elem_count();
            *p = Var::leaf(Tensor::from_slice(&values.next().unwrap()[..n], [n]));
        });
        if training {
            layer.forward(&x, &mut Pass::train(Rng::new(1)));
        }
        let y = layer.forward(&x, &mut Pass::eval()).to_vec::<f64>().unwrap();
        let ends = y[..3].iter().chain(&y[21..]);
        for (y, expected) in ends.zip(expected) {
            assert!((y - expected).abs() < 1e-6, "{y} instead of {expected}");
        }
    };
    let expected = [-0.993477, -0.249794, -0.368374, -0.993477, -0.249794, -0.368374];
    check(Box::new(LayerNorm::new([3])), false, expected);
    let expected = [-1.115132, -1.003619, -1.226645, 0.038788, 0.930913, -1.667885];
    check(Box::new(RmsNorm::new([3])), false, expected);
    let expected = [-1.522942, -0.829741, 1.123826, -1.634334, -1.276504, -0.268076];
    check(Box::new(GroupNorm::new(2, 4)), false, expected);
    // After one batch in training.
    let expected = [-1.792715, -0.824473, 1.904209, -1.035955, -0.52008, 0.933748];
    check(Box::new(BatchNorm::new(4)), true, expected);

    let norm = BatchNorm::new(4);
    let x = Var::constant(x.value().to_dtype(DType::F32));
    let y = norm.forward(&x, &mut Pass::train(Rng::new(1))).mean(&[0, 2], false);
    assert!(y.to_vec::<f32>().unwrap().iter().all(|mean| mean.abs() < 1e-6));
    let names: Vec<String> = norm.named_buffers().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["running_mean", "running_var", "num_batches_tracked"]);
}

/// Values and slopes far from 0, where eˣ is infinite or 0 in F32.
#[test]
fn activations_and_their_gradients_are_finite_far_from_0() {
    for &activation in Activation::ALL {
        for at in [-1e4f32, -200.0, -90.0, 0.0, 90.0, 200.0, 1e4] {
            let x = Var::leaf(Tensor::from([at]));
            let y = activation.forward(&x, &mut Pass::eval());
            y.sum_all().backward();
            let slope = x.grad().unwrap().value().item().unwrap();
            let value = y.value().item().unwrap();
            assert!(value.is_finite() && value.abs() <= 1.1 * 1e4, "{activation}({at}) = {value}");
            assert!((-1.1..1.8).contains(&slope), "{activation}'({at}) = {slope}");
        }
    }
}

#[test]
fn every_activation_is_found_by_its_name() {
    for &activation in Activation::ALL {
        assert_eq!(activation.to_string().parse(), Ok(activation));
    }
    let error = "rulu".parse::<Activation>().unwrap_err();
    assert!(error.starts_with("unknown activation \"rulu\"; known are identity, relu"), "{error}");
}

#[test]
fn dropout_drops_its_share_scales_the_rest_and_passes_gradients_through_the_rest_alone() {
    let n = 100_000;
    let x = Var::leaf(Tensor::ones([n], DType::F32, &Device::cpu()));
    let y = Dropout::new(0.3).forward(&x, &mut Pass::train(Rng::new(2)));
    y.sum_all().backward();
    let y = y.value().to_vec::<f32>().unwrap();
    let kept = y.iter().filter(|&&v| v != 0.0).count() as f64 / n as f64;
    // Four standard deviations of a share of 100 000.
    assert!((kept - 0.7).abs() < 4.0 * (0.21 / n as f64).sqrt(), "{kept}");
    assert!(y.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
    assert_eq!(x.grad().unwrap().value().to_vec::<f32>().unwrap(), y);

    let all = Dropout::new(1.0).forward(&x, &mut Pass::train(Rng::new(2)));
    assert_eq!(all.value().sum_all().item().unwrap(), 0.0);
}

/// What becomes of numbers and their gradients with p = 0 and p = 1, infinite ones among them.
#[test]
fn dropout_of_nothing_and_of_everything() {
    let x = Var::leaf(Tensor::from([[1f32, f32::INFINITY], [-2.0, 0.5]]));
    type Make = fn(f64) -> Box<dyn Module>;
    let layers: [Make; 3] = [
        |p| Box::new(Dropout::new(p)),
        |p| Box::new(SpatialDropout::new(p)),
        |p| Box::new(AlphaDropout::new(p)),
    ];
    for make in layers {
        for p in [0.0, 1.0] {
            x.zero_grad();
            let y = make(p).forward(&x, &mut Pass::train(Rng::new(2)));
            y.sum_all().backward();
            let d_x = x.grad().unwrap().to_vec::<f32>().unwrap();
            assert_eq!(d_x, [if p == 0.0 { 1.0 } else { 0.0 }; 4]);
            let expected = if p == 0.0 { x.to_vec::<f32>().unwrap() } else { vec![0.0; 4] };
            assert_eq!(y.to_vec::<f32>().unwrap(), expected);
        }
    }
}

#[test]
fn alpha_dropout_keeps_mean_and_variance_and_spatial_dropout_the_channels_together() {
    let n = 200_000;
    let x = Var::constant(Rng::new(3).normal([n], DType::F64, &Device::cpu()));
    for p in [0.1, 0.5, 0.9] {
        let y = AlphaDropout::new(p).forward(&x, &mut Pass::train(Rng::new(2)));
        let (mean, var) = (y.mean_all().item().unwrap(), y.var(&[0], 0, false).item().unwrap());
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.02, "p = {p}: {mean}, {var}");
    }
    let x = Var::constant(Tensor::ones([50, 40, 3], DType::F32, &Device::cpu()));
    let y = SpatialDropout::new(0.3).forward(&x, &mut Pass::train(Rng::new(2)));
    let kept = y.to_vec::<f32>().unwrap();
    assert!(kept.chunks(3).all(|channel| channel.iter().all(|&v| v == channel[0])));
    let share = kept.iter().filter(|&&v| v > 0.0).count() as f64 / kept.len() as f64;
    // Four standard deviations of a share of 2000 channels.
    assert!((share - 0.7).abs() < 4.0 * (0.21 / 2000f64).sqrt(), "{share}");
}

#[test]
fn batch_norm_without_statistics_evaluates_by_the_batch_and_cumulative_ones_weigh_all_alike() {
    let x = |a: f64, b: f64| Var::constant(Tensor::from([[a], [b]]));
    let bare = BatchNorm::new(1).without_affine().without_running_statistics();
    assert!(bare.named_buffers().is_empty());
    let y = bare.forward(&x(1.0, 3.0), &mut Pass::eval()).to_vec::<f64>().unwrap();
    assert!((y[0] + 1.0).abs() < 1e-4 && (y[1] - 1.0).abs() < 1e-4, "{y:?}");

    let layer = BatchNorm::new(1).cumulative().without_affine();
    for (a, b) in [(1.0, 3.0), (4.0, 6.0), (0.0, 8.0)] {
        layer.forward(&x(a, b), &mut Pass::train(Rng::new(1)));
    }
    let buffers: Vec<f64> = layer.named_buffers().iter().map(|(_, b)| b.item().unwrap()).collect();
    let expected = [(2.0 + 5.0 + 4.0) / 3.0, (2.0 + 2.0 + 32.0) / 3.0, 3.0];
    for (buffer, expected) in buffers.iter().zip(expected) {
        assert!((buffer - expected).abs() < 1e-12, "{buffers:?}");
    }
}

#[test]
fn adaptive_windows_cover_the_input_and_take_the_first_of_equals() {
    // Windows 0..2, 1..4, 3..5: none sees beyond its end, whatever stands there.
    let x = Var::leaf(Tensor::from([[[1f64, 3.0, f64::INFINITY, 5.0, 7.0]]]));
    let y = AdaptiveAvgPool1d(3).forward(&x, &mut Pass::eval());
    assert_eq!(y.to_vec::<f64>().unwrap(), [2.0, f64::INFINITY, 6.0]);
    // More windows than elements repeat some.
    let y = AdaptiveAvgPool1d(2).forward(&x.narrow(-1, 0, 1), &mut Pass::eval());
    assert_eq!(y.to_vec::<f64>().unwrap(), [1.0, 1.0]);
    let none = Var::constant(Tensor::zeros([0, 2, 3, 3], DType::F32, &Device::cpu()));
    assert_eq!(AdaptiveMaxPool2d([2, 1]).forward(&none, &mut Pass::eval()).dims(), [0, 2, 2, 1]);

    let x = Var::leaf(Tensor::from([[[[0f64, 0.0, 5.0], [5.0, 0.0, 0.0]]]]));
    let y = AdaptiveMaxPool2d([1, 2]).forward(&x, &mut Pass::eval());
    assert_eq!(y.to_vec::<f64>().unwrap(), [5.0, 5.0]);
    let y = AdaptiveMaxPool2d([1, 1]).forward(&x, &mut Pass::eval());
    y.sum_all().backward();
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn layers_of_a_sequence_are_found_replaced_and_named() {
    let linear = |inputs, outputs| Linear::new(inputs, outputs, &mut Rng::new(1));
    let mut model = Sequential::new()
        .push_named("first", linear(2, 3))
        .push(Activation::Relu)
        .push_named("last", linear(3, 4));
    assert_eq!(model.names().collect::<Vec<_>>(), ["first", "1", "last"]);
    assert_eq!(model.iter().map(Module::parameter_count).collect::<Vec<_>>(), [9, 0, 16]);
    model[0].for_each_parameter_mut(&mut |_, p| *p.value_mut() = p.value().zeros_like());
    let x = Var::constant(Tensor::from([[5f32, -1.0]]));
    let zeros = model.forward(&x, &mut Pass::eval()).to_vec::<f32>().unwrap();
    assert_eq!(zeros, [0.0; 4]);

    let last = model.remove(2);
    assert_eq!(last.parameter_count(), 16);
    model.insert(0, Function::new(|x| x * 2.0));
    assert_eq!(model.names().collect::<Vec<_>>(), ["0", "first", "2"]);
    assert!(!model.is_empty() && model.len() == 3);
}

#[test]
fn two_layers_of_dropout_drop_different_units() {
    let x = Var::constant(Tensor::ones([1000], DType::F32, &Device::cpu()));
    let mut pass = Pass::train(Rng::new(2));
    let layer = Dropout::new(0.5);
    let (a, b) = (layer.forward(&x, &mut pass), layer.forward(&x, &mut pass));
    assert_ne!(a.value().to_vec::<f32>().unwrap(), b.value().to_vec::<f32>().unwrap());
}

/// y = weight · inner(x) + shift, where the shift is kept but not trained: a module with everything
/// that a module can have.
struct Shifted {
    weight: Var,
    shift: Tensor,
    inner: Sequential,
}

impl Module for Shifted {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        &self.weight * self.inner.forward(x, pass) + Var::constant(self.shift.clone())
    }
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.buffer("shift", &self.shift);
        visitor.child("inner", &self.inner);
    }
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.buffer("shift", &mut self.shift);
        visitor.child("inner", &mut self.inner);
    }
}

#[test]
fn buffers_are_named_and_saved_but_not_counted_as_parameters() {
    let model = |shift: f32| {
        let shifted = |shift: f32, inner: Sequential| {
            let weight = Var::leaf(Tensor::from([2f32]));
            Shifted { weight, shift: Tensor::from([shift]), inner }
        };
        let inner = Sequential::new().push(shifted(shift / 5.0, Sequential::new()));
        let outer = shifted(shift, inner);
        Sequential::new().push(Activation::Relu).push(Sequential::new().push(outer))
    };
    let saved = model(5.0);
    assert_eq!(saved.parameter_count(), 2);
    let names: Vec<String> = saved.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["1.0.weight", "1.0.inner.0.weight"]);
    let names: Vec<String> = saved.named_buffers().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["1.0.shift", "1.0.inner.0.shift"]);

    let mut checkpoint = Checkpoint::new();
    checkpoint.put_model(&saved);
    let mut loaded = model(0.0);
    checkpoint.load_model(&mut loaded).unwrap();
    let y = loaded.forward(&Var::constant(Tensor::from([1f32])), &mut Pass::eval());
    assert_eq!(y.value().to_vec::<f32>().unwrap(), [2.0 * (2.0 * 1.0 + 1.0) + 5.0]);

    let mut without = Checkpoint::new();
    without.insert("1.0.weight", Tensor::from([2f32]));
    without.insert("1.0.inner.0.weight", Tensor::from([2f32]));
    let error = without.load_model(&mut loaded).unwrap_err().to_string();
    assert_eq!(error, "checkpoint: 1.0.shift and 1.0.inner.0.shift are missing");
}

/// The functions that are put together from two branches, at the place where those meet.
#[test]
fn smooth_activations_have_no_kink_at_0() {
    use Activation::{Gelu, GeluTanh, Mish, Sigmoid, Silu, Softplus, Tanh};
    for activation in [Gelu, GeluTanh, Mish, Sigmoid, Silu, Softplus, Tanh] {
        let f = |x: &[Var]| activation.apply(&x[0]);
        gradcheck(f, &[Tensor::from([0f64])]).unwrap_or_else(|e| panic!("{activation}: {e}"));
        gradgradcheck(f, &[Tensor::from([0f64])]).unwrap_or_else(|e| panic!("{activation}: {e}"));
    }
}
