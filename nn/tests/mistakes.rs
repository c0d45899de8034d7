//! A mistake is reported at the line that made it, by the name of the layer and what was asked of it.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};
use std::thread;

use plies_autograd::Var;
use plies_nn::data::{
    Affine, Augment, Batch, Concat, Draws, Erase, Loader, SequenceDataset, Split, Subset,
    TensorDataset,
};
use plies_nn::metrics::ConfusionMatrix;
use plies_nn::optim::{
    Adadelta, Adagrad, Adam, Clip, Ema, Lbfgs, Lion, Muon, NAdam, Optimizer, ParameterGroups,
    RAdam, Regularized, RmsProp, Sgd, State, clip_grad_norm,
};
use plies_nn::pretrain::{Autoencoder, ContrastiveDivergence, Corruption, Rbm, Stack};
use plies_nn::train::{Checkpoints, CsvLog, Fit, LrSweep, Statistics, evaluate, find_lr, fit};
use plies_nn::{
    Activation, AdaptiveAvgPool1d, AdaptiveMaxPool2d, AlphaDropout, AttentionMask, BatchNorm,
    CheckpointError, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Directions, Dropout,
    Embedding, Flatten, Glu, GroupNorm, Gru, GruCell, LayerNorm, Linear, LogSoftmax, Lstm,
    LstmCell, Maxout, Mlp, Module, MultiHeadAttention, Pad, Padding, Parallel, Pass, Perceptron,
    PositionalEncoding, Prelu, RecurrentOptions, RecurrentState, Residual, RmsNorm, Rnn, RnnCell,
    SequencePool, Sequential, Softmax, SpatialDropout, TransformerEncoder, TransformerEncoderLayer,
    Unflatten, loss, scaled_dot_product_attention,
};
use plies_tensor::{Conv, Rng, Tensor};

/// How the message begins, and the mistake.
type Row<'a> = (&'a str, &'a dyn Fn());

/// Two examples of one number, in classes 0 and 1.
fn loader() -> Loader {
    let data = TensorDataset::new(Tensor::from([[1f32], [2.0]]), Tensor::from([0, 1]));
    Loader::new(Arc::new(data), 1)
}

/// Two visible units and a hidden one.
fn machine() -> Rbm {
    Rbm::binary(2, 1, &mut Rng::new(1))
}

fn pictures(augment: &Augment, images: Tensor) -> Batch {
    augment.apply(Batch::new(images, Tensor::from([7])), &Draws::new(1, 0, 0, &[0]))
}

/// With a weight that has been turned round since its gradient was computed.
fn reshaped(mut layer: Linear) -> Linear {
    layer.weight().sum_all().backward();
    layer.for_each_parameter_mut(&mut |name, p| {
        if name == "weight" {
            *p.value_mut() = p.value().t();
        }
    });
    layer
}

fn run(model: &mut dyn Module, loss: &dyn Fn(&Var, &Tensor) -> Var, epochs: usize) -> usize {
    fit(model, &mut Sgd::new(0.1), loss, &loader(), &Fit::epochs(epochs), &mut []).unwrap().epochs
}

#[test]
fn a_mistake_is_reported_at_the_callers_line_by_the_name_of_the_layer() {
    static SEEN: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
    const HUGE: usize = usize::MAX / 2 + 1;
    let rng = || Rng::new(1);
    let conv = Conv::default();
    let options = RecurrentOptions::default();
    let no_layers = RecurrentOptions { layers: 0, ..options };
    let many_layers = RecurrentOptions { layers: HUGE, ..options };
    let dropout = RecurrentOptions { dropout: 2.0, ..options };
    let both = RecurrentOptions { directions: Directions::Both, ..options };
    let linear = || Linear::new(1, 2, &mut rng());
    let attention = || MultiHeadAttention::new(4, 2, &mut rng());
    let all = AttentionMask::default();
    let x = Var::constant(Tensor::from([[[1f32, 2.0]]]));
    let batch = Var::constant(Tensor::from([[[1f32, 2.0]; 3]; 2]));
    let cosines = Var::constant(Tensor::from([[1f32, 2.0]; 2]));
    let sweep = LrSweep::default();
    let search = |sweep| {
        let (mut model, mut sgd) = (linear(), Sgd::new(0.1));
        _ = find_lr(&mut model, &mut sgd, &loss::cross_entropy, &loader(), &sweep);
    };
    let rows: &[Row<'_>] = &[
        ("linear: sizes [2, 9223372036854775808]", &|| drop(Linear::new(HUGE, 2, &mut rng()))),
        ("mlp: sizes [9223372036854775808, 2]", &|| {
            drop(Mlp::new(&[1, 2, HUGE], Activation::Relu, &mut rng()));
        }),
        ("embedding: sizes [9223372036854775808, 2]", &|| {
            drop(Embedding::new(HUGE, 2, &mut rng()));
        }),
        ("embedding: number 2 at position 1 is outside 0..2", &|| {
            drop(Embedding::new(2, 3, &mut rng()).of(&Tensor::from([0, 2])));
        }),
        ("embedding: index is f32, not i32", &|| {
            drop(Embedding::new(2, 3, &mut rng()).of(&Tensor::from([0f32])));
        }),
        ("conv1d: sizes [9223372036854775808, 2, 3]", &|| {
            drop(Conv1d::new(2, HUGE, 3, conv, &mut rng()));
        }),
        ("conv2d: sizes [2, 9223372036854775808, 3, 3]", &|| {
            drop(Conv2d::new(HUGE, 2, [3, 3], conv, &mut rng()));
        }),
        ("conv2d: weight [2, 2, 0, 3] has windows of no elements", &|| {
            drop(Conv2d::new(2, 2, [0, 3], conv, &mut rng()));
        }),
        ("conv1d: 3 input channels, not a multiple of 2 groups", &|| {
            drop(Conv1d::new(3, 2, 1, conv.groups(2), &mut rng()));
        }),
        ("conv1d: 3 output channels, not a multiple of 2 groups", &|| {
            drop(Conv1d::new(2, 3, 1, conv.groups(2), &mut rng()));
        }),
        // The operation's own words, which name the padding.
        ("conv: weight [1, 1, 1] does not fit into the input [1, 1, 2], Conv", &|| {
            let layer = Conv1d::new(1, 1, 1, conv.padding(HUGE), &mut rng());
            drop(layer.forward(&x, &mut Pass::eval()));
        }),
        ("pad: 1 and 0 elements around axis 1 of [1, 1, 2], Reflect", &|| {
            let layer = Conv1d::new(1, 1, 1, conv, &mut rng());
            let pad = Pad::new(Padding::Reflect, &[[1, 0], [0, 0]]);
            drop(layer.pad(pad).forward(&x, &mut Pass::eval()));
        }),
        ("pad: input [1, 1, 2] has no 4 axes", &|| {
            drop(Pad::new(Padding::Replicate, &[[0, 0]; 4]).forward(&x, &mut Pass::eval()));
        }),
        ("same_padding: Conv", &|| {
            drop(Conv1d::new(1, 1, 3, conv.stride(2), &mut rng()).same(Padding::Circular));
        }),
        ("conv_transpose1d: sizes [2, 9223372036854775808, 3]", &|| {
            drop(ConvTranspose1d::new(2, HUGE, 3, conv, &mut rng()));
        }),
        ("conv_transpose2d: weight [2, 2, 3, 0] has windows of no elements", &|| {
            drop(ConvTranspose2d::new(2, 2, [3, 0], conv, &mut rng()));
        }),
        ("conv_transpose1d: 3 input channels, not a multiple of 2 groups", &|| {
            drop(ConvTranspose1d::new(3, 2, 1, conv.groups(2), &mut rng()));
        }),
        ("conv_transpose1d: 3 output channels, not a multiple of 2 groups", &|| {
            drop(ConvTranspose1d::new(2, 3, 1, conv.groups(2), &mut rng()));
        }),
        ("conv_transpose1d: bias [3] for weight [2, 1, 1] in 2 groups", &|| {
            let weight = Tensor::from([[[1f32]], [[2.0]]]);
            let bias = Tensor::from([1f32, 2.0, 3.0]);
            drop(ConvTranspose1d::from_weights(weight, Some(bias), conv.groups(2)));
        }),
        ("conv_transpose2d: weight [2] must have 2 axes behind [C, O]", &|| {
            drop(ConvTranspose2d::from_weights(Tensor::from([1f32, 2.0]), None, conv));
        }),
        ("conv_transpose2d: input [1, 1, 2]; expected [N, C, H, W]", &|| {
            let layer = ConvTranspose2d::new(1, 1, [1, 1], conv, &mut rng());
            drop(layer.forward(&x, &mut Pass::eval()));
        }),
        ("conv_transpose: output padding 1 must be less than the stride 1", &|| {
            let layer = ConvTranspose1d::new(1, 1, 1, conv, &mut rng()).output_padding(1);
            drop(layer.forward(&x, &mut Pass::eval()));
        }),
        ("adaptive_avg_pool1d: [0] windows of an input [1, 1, 2]", &|| {
            drop(AdaptiveAvgPool1d(0).forward(&x, &mut Pass::eval()));
        }),
        ("adaptive_max_pool2d: input [1, 1, 2]; expected [N, C, H, W]", &|| {
            drop(AdaptiveMaxPool2d([1, 1]).forward(&x, &mut Pass::eval()));
        }),
        ("dropout: p = -0.1 is not", &|| _ = Dropout::new(-0.1)),
        ("spatial_dropout: p = NaN is not", &|| _ = SpatialDropout::new(f64::NAN)),
        ("spatial_dropout: input [2]; expected [N, C, ...]", &|| {
            drop(SpatialDropout::new(0.5).forward(&x.flatten(), &mut Pass::eval()));
        }),
        ("alpha_dropout: p = 1.5 is not", &|| _ = AlphaDropout::new(1.5)),
        ("flatten: axes -1 to 1 of [1, 1, 2]", &|| {
            drop(Flatten::axes(-1, 1).forward(&x, &mut Pass::eval()));
        }),
        ("unflatten: axis 2 of [1, 1, 2] as [3]", &|| {
            drop(Unflatten::new(2, [3]).forward(&x, &mut Pass::eval()));
        }),
        ("glu: axis 1 of [1, 1, 2] cannot be halved", &|| {
            drop(Glu(1).forward(&x, &mut Pass::eval()));
        }),
        ("softmax: ", &|| drop(Softmax(3).forward(&x, &mut Pass::eval()))),
        ("log_softmax: ", &|| drop(LogSoftmax(3).forward(&x, &mut Pass::eval()))),
        ("prelu: sizes", &|| drop(Prelu::of_channels(HUGE))),
        ("prelu: input [1, 1, 2], expected [B, 3, ...]", &|| {
            drop(Prelu::of_channels(3).forward(&x, &mut Pass::eval()));
        }),
        ("maxout: sizes [2, 9223372036854775808, 2]", &|| {
            drop(Maxout::new(2, 2, HUGE, &mut rng()));
        }),
        ("maxout: weight must be [O · 0, I], not [0, 2]", &|| {
            drop(Maxout::new(2, 2, 0, &mut rng()));
        }),
        ("maxout: bias [1] for weight [2, 1]", &|| {
            let weight = Tensor::from([[1f32], [2.0]]);
            drop(Maxout::from_weights(2, weight, Some(Tensor::from([1f32]))));
        }),
        ("perceptron: 1 classes are nothing to tell apart", &|| drop(Perceptron::new(2, 1))),
        ("perceptron: sizes", &|| drop(Perceptron::new(HUGE, 2))),
        ("perceptron: inputs [1, 1, 2] and classes [1]; expected [B, 2] and [B]", &|| {
            _ = Perceptron::new(2, 2).learn(x.value(), &Tensor::from([0]));
        }),
        ("perceptron: classes are f32, not i32", &|| {
            _ = Perceptron::new(2, 2).learn(&x.value().squeeze(0), &Tensor::from([0f32]));
        }),
        ("perceptron: class 2 at position 0 is outside 0..2", &|| {
            _ = Perceptron::new(2, 2).learn(&x.value().squeeze(0), &Tensor::from([2]));
        }),
        ("residual: [1, 1, 3] to be added to [1, 1, 2]", &|| {
            let block = Residual::new(Linear::new(2, 3, &mut rng()));
            drop(block.forward(&x, &mut Pass::eval()));
        }),
        ("parallel: no branches", &|| drop(Parallel::cat(0).forward(&x, &mut Pass::eval()))),
        ("parallel: results [1, 1, 2] and [1, 1, 1] of an input [1, 1, 2] to be added", &|| {
            let layers = Parallel::sum().push(Activation::Relu).push(Linear::new(2, 1, &mut rng()));
            drop(layers.forward(&x, &mut Pass::eval()));
        }),
        ("sequential: position 1 among 0 layers", &|| {
            Sequential::new().insert(1, Activation::Relu);
        }),
        ("sequential: position 0 among 0 layers", &|| drop(Sequential::new().remove(0))),
        ("sequential: \"12\" is not the name of a layer", &|| {
            drop(Sequential::new().push_named("12", Activation::Relu));
        }),
        ("sequential: two layers named \"relu\"", &|| {
            let model = Sequential::new().push_named("relu", Activation::Relu);
            drop(model.push_named("relu", Activation::Relu));
        }),
        ("batch_norm: 1 numbers for each channel of [1, 2] have no variance", &|| {
            let layer = BatchNorm::new(2).without_running_statistics();
            drop(layer.forward(&x.squeeze(0), &mut Pass::eval()));
        }),
        ("layer_norm: sizes", &|| drop(LayerNorm::new([HUGE]))),
        ("rms_norm: sizes", &|| drop(RmsNorm::new([HUGE]))),
        ("group_norm: sizes", &|| drop(GroupNorm::new(1, HUGE))),
        ("batch_norm: sizes", &|| drop(BatchNorm::new(HUGE))),
        ("lstm: hidden is 0", &|| drop(Lstm::new(2, 0, &mut rng()))),
        ("gru: hidden is 0", &|| drop(Gru::new(2, 0, &mut rng()))),
        ("rnn: hidden is 0", &|| drop(Rnn::new(2, 0, &mut rng()))),
        ("lstm: sizes [1, 1, 4, 2, 9223372036854775808]", &|| {
            drop(Lstm::new(HUGE, 2, &mut rng()));
        }),
        ("lstm: sizes [1, 1, 4, 9223372036854775808, ", &|| drop(Lstm::new(2, HUGE, &mut rng()))),
        ("gru: sizes [9223372036854775808, 1, 3, 2, 2]", &|| {
            drop(Gru::with(2, 2, many_layers, &mut rng()));
        }),
        ("gru: layers is 0", &|| drop(Gru::with(2, 2, no_layers, &mut rng()))),
        ("rnn: dropout 2 is not a probability", &|| drop(Rnn::relu(2, 2, dropout, &mut rng()))),
        ("rnn: 1 lengths for a batch of 2 sequences", &|| {
            drop(Rnn::new(2, 2, &mut rng()).run(&batch, Some(&[1]), None, &mut Pass::eval()));
        }),
        ("gru: sequence 1 has a length of 4, more than the 3 steps of the batch", &|| {
            drop(Gru::new(2, 2, &mut rng()).run(&batch, Some(&[3, 4]), None, &mut Pass::eval()));
        }),
        ("gru: in both directions a layer needs whole sequences", &|| {
            let layer = Gru::with(2, 2, both, &mut rng());
            drop(layer.resume(&batch, None, &mut RecurrentState::new(), &mut Pass::eval()));
        }),
        ("rnn: in both directions a layer needs whole sequences", &|| {
            let layer = Rnn::with(2, 2, both, &mut rng());
            let (step, mut state) = (batch.select(1, 0), RecurrentState::new());
            drop(layer.step(&step, &mut state, &mut Pass::eval()));
        }),
        ("gru: the state is that of another layer", &|| {
            let mut state = RecurrentState::from([batch.clone(), batch.clone()]);
            let layer = Gru::new(2, 2, &mut rng());
            drop(layer.resume(&batch, None, &mut state, &mut Pass::eval()));
        }),
        ("lstm: x [2, 3, 2] where [B, 2]", &|| {
            let mut state = RecurrentState::new();
            drop(Lstm::new(2, 2, &mut rng()).step(&batch, &mut state, &mut Pass::eval()));
        }),
        ("rnn: a state [2, 3, 2] where [1, 2, 4]", &|| {
            let (step, mut state) = (batch.select(1, 0), RecurrentState::from([batch.clone()]));
            drop(Rnn::new(2, 4, &mut rng()).step(&step, &mut state, &mut Pass::eval()));
        }),
        ("recurrent_state: sequence 3 of a batch of 3", &|| {
            RecurrentState::from([batch.clone()]).reset(&[0, 3]);
        }),
        ("recurrent_state: sequence 4 of a batch of 3", &|| {
            drop(RecurrentState::from([batch.clone()]).select(&[4]));
        }),
        ("gru_cell: hidden is 0", &|| drop(GruCell::new(2, 0, &mut rng()))),
        ("lstm_cell: sizes [4, 2, 9223372036854775808]", &|| {
            drop(LstmCell::new(HUGE, 2, &mut rng()));
        }),
        ("rnn_cell: x [1, 1, 2] where [B, 2]", &|| {
            drop(RnnCell::new(2, 3, &mut rng()).step(&x, None));
        }),
        ("gru_cell: a state [1, 2] where [1, 3]", &|| {
            let x = x.select(0, 0);
            drop(GruCell::new(2, 3, &mut rng()).step(&x, Some(&x)));
        }),
        ("sequence_pool: x [1, 2] where [B, T, N]", &|| {
            drop(SequencePool::Max.of(&x.select(0, 0), None));
        }),
        ("sequence_pool: sequence 0 has a length of 4, more than the 3", &|| {
            drop(SequencePool::Mean.of(&batch, Some(&[4, 1])));
        }),
        ("positional_encoding: x [3], expected", &|| {
            drop(PositionalEncoding.at(&batch.select(0, 0).select(1, 0), 0));
        }),
        ("multi_head_attention: 4 features in 3 heads", &|| {
            drop(TransformerEncoderLayer::new(4, 3, 2, &mut rng()));
        }),
        ("transformer_encoder_layer: sizes [2, 9223372036854775808]", &|| {
            drop(TransformerEncoderLayer::new(2, 1, HUGE, &mut rng()));
        }),
        ("transformer_encoder_layer: x [1, 1, 2] where [B, T, 4]", &|| {
            let layer = TransformerEncoderLayer::new(4, 1, 2, &mut rng());
            drop(layer.forward(&x, &mut Pass::eval()));
        }),
        ("transformer_encoder: 3 lengths for a batch of 2", &|| {
            let layers = [TransformerEncoderLayer::new(2, 1, 2, &mut rng())];
            let model = TransformerEncoder::new(layers);
            drop(model.run(&batch, Some(&[1, 1, 1]), &all, &mut Pass::eval()));
        }),
        ("multi_head_attention: 4 features in 3 heads", &|| {
            drop(MultiHeadAttention::new(4, 3, &mut rng()));
        }),
        ("multi_head_attention: 4 features in 0 heads", &|| {
            drop(MultiHeadAttention::new(4, 0, &mut rng()));
        }),
        ("multi_head_attention: sizes [3, 2, 9223372036854775808]", &|| {
            drop(MultiHeadAttention::with(2, 1, [2, HUGE], &mut rng()));
        }),
        ("dropout: p = 2 is not a probability", &|| drop(attention().dropout(2.0))),
        ("multi_head_attention: x [1, 1, 2] where [B, T, 4]", &|| {
            drop(attention().forward(&x, &mut Pass::eval()));
        }),
        ("multi_head_attention: x [2, 3, 2] where [B, T, 5]", &|| {
            let layer = MultiHeadAttention::with(2, 1, [2, 5], &mut rng());
            drop(layer.run(&batch, None, &all, &mut Pass::eval()));
        }),
        (
            "multi_head_attention: query [1, 1, 2], key [2, 3, 2], value [2, 3, 2]; expected",
            &|| {
                let layer = MultiHeadAttention::new(2, 1, &mut rng());
                drop(layer.cross([&x, &batch, &batch], None, &all, &mut Pass::eval()));
            },
        ),
        ("multi_head_attention: a mask [2, 3] for queries and keys [2, 1, 3, 3]", &|| {
            let layer = MultiHeadAttention::new(2, 1, &mut rng());
            let mask = AttentionMask::allow(&Tensor::from([[1, 1, 1], [1, 1, 1]]));
            drop(layer.run(&batch, None, &mask, &mut Pass::eval()));
        }),
        ("scaled_dot_product_attention: q [1, 1, 2], k [2, 3, 2], v [2, 3, 2]; expected", &|| {
            let pass = &mut Pass::eval();
            drop(scaled_dot_product_attention([&x, &batch, &batch], None, &all, 0.0, pass));
        }),
        ("scaled_dot_product_attention: 1 lengths for a batch of 2", &|| {
            let pass = &mut Pass::eval();
            drop(scaled_dot_product_attention([&batch; 3], Some(&[1]), &all, 0.0, pass));
        }),
        ("scaled_dot_product_attention: lengths of q [1, 2], which is no batch", &|| {
            let (q, pass) = (Var::constant(Tensor::from([[1f32, 2.0]])), &mut Pass::eval());
            drop(scaled_dot_product_attention([&q; 3], Some(&[1]), &all, 0.0, pass));
        }),
        ("confusion: sizes", &|| drop(ConfusionMatrix::new(HUGE))),
        ("confusion: classes 1, ", &|| {
            drop(evaluate(&linear(), &loader(), 1, &loss::cross_entropy))
        }),
        ("loader: 1 weights for 2 examples", &|| drop(loader().sample(1, &[1.0], 2))),
        ("loader: weight -1 of example 1 is not 0 or more", &|| {
            drop(loader().sample(1, &[1.0, -1.0], 2));
        }),
        ("loader: the weights add up to inf", &|| {
            drop(loader().sample(1, &[1.0, f64::INFINITY], 2));
        }),
        ("loader: nothing can be drawn", &|| drop(loader().sample(1, &[0.0, 0.0], 2))),
        ("loader: 0 threads make no batches", &|| drop(loader().workers(0))),
        ("loader: a pool of 0 batches", &|| drop(loader().bucket(0))),
        ("affine: [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]] maps the plane onto a line", &|| {
            _ = Affine::scale(0.0, 1.0);
        }),
        ("affine: [[NaN", &|| _ = Affine::rotation(f64::NAN)),
        ("augment: rotate(-1)", &|| drop(Augment::new().rotate(-1.0))),
        ("augment: shift(inf)", &|| drop(Augment::new().shift(f64::INFINITY))),
        ("augment: scale(0, 1) is not a range", &|| drop(Augment::new().scale(0.0, 1.0))),
        ("augment: shear(90); columns lean", &|| drop(Augment::new().shear(90.0))),
        ("augment: flip(2); a probability", &|| drop(Augment::new().flip(2.0))),
        ("augment: elastic with sigma 0", &|| drop(Augment::new().elastic(1.0, 0.0))),
        ("augment: noise(NaN)", &|| drop(Augment::new().noise(f64::NAN))),
        ("augment: areas of 0.5 to 0.4", &|| {
            drop(Augment::new().erase(Erase { area: (0.5, 0.4), ..Erase::default() }));
        }),
        ("augment: mixing with alpha 0", &|| drop(Augment::new().mixup(0.0, 2))),
        ("augment: a window of [4, 1] on pictures of [1, 2] with 1 around", &|| {
            drop(pictures(&Augment::new().crop([4, 1], 1), Tensor::from([[[1f32, 2.0]]])));
        }),
        ("augment: images [1, 2]; expected [N, C, H, W]", &|| {
            drop(pictures(&Augment::new(), Tensor::from([[1f32, 2.0]])));
        }),
        ("augment: images are f64, not f32", &|| {
            drop(pictures(&Augment::new(), Tensor::from([[[1f64, 2.0]]])));
        }),
        ("augment: target 7 at position 0 is outside 0..2", &|| {
            drop(pictures(&Augment::new().mixup(1.0, 2), Tensor::from([[[1f32, 2.0]]])));
        }),
        ("corruption: 2 is not a probability", &|| {
            let layer = Autoencoder::new(2, 1, Activation::Tanh, &mut rng());
            drop(layer.corruption(Corruption::Masking(2.0)));
        }),
        ("autoencoder: sizes [9223372036854775808, 2]", &|| {
            drop(Autoencoder::new(2, HUGE, Activation::Tanh, &mut rng()));
        }),
        ("rbm: sizes [9223372036854775808, 2]", &|| drop(Rbm::binary(2, HUGE, &mut rng()))),
        ("rbm: weight [1, 2], hidden bias [2], visible bias [2]", &|| {
            let two = Tensor::from([1f32, 2.0]);
            drop(machine().with_weights(Tensor::from([[1f32, 2.0]]), two.clone(), two));
        }),
        ("log_partition: 2^21 states", &|| {
            drop(Rbm::binary(1, 21, &mut rng()).log_partition());
        }),
        ("contrastive divergence: 0 steps", &|| {
            drop(ContrastiveDivergence::new(machine()).steps(0));
        }),
        ("contrastive divergence: 0 chains", &|| {
            drop(ContrastiveDivergence::new(machine()).persistent(0, &mut rng()));
        }),
        ("contrastive divergence: target 1 is no share", &|| {
            drop(ContrastiveDivergence::new(machine()).sparse(1.0, 1.0));
        }),
        ("contrastive divergence: examples [1, 1, 2]; expected [B, 2]", &|| {
            drop(ContrastiveDivergence::new(machine()).forward(&x, &mut Pass::eval()));
        }),
        ("stack: a layer of 2 inputs on one of 1 outputs", &|| {
            let mut stack = Stack::new();
            stack.push(&machine());
            stack.push(&machine());
        }),
        ("stack: no layers", &|| drop(Stack::new().into_mlp(2, &mut rng()))),
        ("stack: layers of different activations", &|| {
            let mut stack = Stack::new();
            stack.push(&machine());
            stack.push(&Autoencoder::new(1, 1, Activation::Tanh, &mut rng()));
            drop(stack.into_mlp(2, &mut rng()));
        }),
        ("mlp: layer 1 takes 1 numbers, layer 0 gives 2", &|| {
            drop(Mlp::from_layers(vec![linear(), linear()], Activation::Relu));
        }),
        ("split: shares [0.5, 0.6] are not parts of one whole", &|| {
            drop(Split::shuffled(9, 1).parts([0.5, 0.6]));
        }),
        ("split: 1 folds", &|| drop(Split::shuffled(9, 1).folds(1))),
        ("subset: example 2 of 2", &|| drop(Subset::new(loader().dataset().clone(), vec![0, 2]))),
        ("concat: no data sets", &|| drop(Concat::new(Vec::new()))),
        ("sequences: 1 sequences with targets [2]", &|| {
            drop(SequenceDataset::new(vec![Tensor::from([1])], Tensor::from([0, 1])));
        }),
        ("sequences: sequence 0 of 1 steps with targets of 2", &|| {
            let (input, target) = (Tensor::from([1]), Tensor::from([0, 1]));
            drop(SequenceDataset::tagged(vec![input], vec![target], 0.0));
        }),
        ("sequences: inputs 1 is i32 [1, 1], the first i32 [1]", &|| {
            let inputs = vec![Tensor::from([1]), Tensor::from([[1]])];
            drop(SequenceDataset::new(inputs, Tensor::from([0, 1])));
        }),
        ("fit: the loss has the shape [1, 2]", &|| _ = run(&mut linear(), &|y, _| y.clone(), 1)),
        ("fit: the loss depends on none of the model's parameters", &|| {
            _ = run(&mut linear(), &|y, _| y.detach().sum_all(), 1);
        }),
        ("fit: inside no_grad nothing is recorded", &|| {
            plies_autograd::no_grad(|| _ = run(&mut linear(), &loss::cross_entropy, 1));
        }),
        ("sequences: there are none, of which no batch has a shape", &|| {
            let none = SequenceDataset::tagged(Vec::new(), Vec::new(), 0.0);
            drop(plies_nn::data::Dataset::batch(&none, &[]));
        }),
        ("mse: predictions are f32, what they are compared with i32; cast", &|| {
            drop(loss::mse(&x, &Tensor::from([[[1, 2]]])));
        }),
        ("cosine_embedding: target 0 at position 1 is neither -1 nor 1", &|| {
            drop(loss::cosine_embedding(&cosines, &cosines, &Tensor::from([1f32, 0.0])));
        }),
        ("sgd: lr -1 is not 0 or more", &|| drop(Sgd::new(-1.0))),
        ("sgd: lr NaN is not 0 or more", &|| drop(Sgd::new(f64::NAN))),
        ("sgd: momentum 1.5 is not in 0..1", &|| drop(Sgd::new(0.1).momentum(1.5))),
        ("sgd: momentum 1 is not in 0..1", &|| drop(Sgd::new(0.1).nesterov(1.0))),
        ("sgd: dampening -1 is not in 0..1", &|| drop(Sgd::new(0.1).dampening(-1.0))),
        ("sgd: weight_decay -3 is not", &|| drop(Sgd::new(0.1).weight_decay(-3.0))),
        ("adam: lr NaN", &|| drop(Adam::new(f64::NAN))),
        ("adam: beta2 1 is not in 0..1", &|| drop(Adam::new(0.1).betas(0.9, 1.0))),
        ("adam: beta1 1 is not in 0..1", &|| drop(Adam::new(0.1).betas(1.0, 0.9))),
        ("adam: eps -1 is not 0 or more", &|| drop(Adam::new(0.1).eps(-1.0))),
        ("adamw: weight_decay inf is not", &|| drop(Adam::adamw(0.1, f64::INFINITY))),
        ("nadam: momentum_decay -1", &|| drop(NAdam::new(0.1).momentum_decay(-1.0))),
        ("nadam: weight_decay -1", &|| drop(NAdam::new(0.1).decoupled_weight_decay(-1.0))),
        ("radam: beta1 NaN is not in 0..1", &|| drop(RAdam::new(0.1).betas(f64::NAN, 0.9))),
        ("lion: beta1 5 is not in 0..1", &|| drop(Lion::new(0.1).betas(5.0, 5.0))),
        ("rmsprop: alpha 2 is not in 0..1", &|| drop(RmsProp::new(0.1).alpha(2.0))),
        ("adagrad: lr_decay -1", &|| drop(Adagrad::new(0.1).lr_decay(-1.0))),
        ("adadelta: rho 2 is not in 0..1", &|| drop(Adadelta::new(0.1).rho(2.0))),
        ("muon: momentum 3 is not in 0..1", &|| drop(Muon::new(0.1).momentum(3.0))),
        ("muon: 0 iterations", &|| drop(Muon::new(0.1).iterations(0))),
        ("lbfgs: lr -1", &|| drop(Lbfgs::new().learning_rate(-1.0))),
        ("regularized: l1 -1", &|| drop(Regularized::new(Sgd::new(0.1)).l1(-1.0))),
        ("regularized: max_norm -1 is not above 0", &|| {
            drop(Regularized::new(Sgd::new(0.1)).max_norm(-1.0));
        }),
        ("regularized: max_norm NaN is not above 0", &|| {
            drop(Regularized::new(Sgd::new(0.1)).max_norm(f64::NAN));
        }),
        ("clip_grad_norm: NaN is no bound", &|| _ = clip_grad_norm(&linear(), f64::NAN)),
        ("clip_grad_norm: -1 is no bound", &|| _ = Clip::Norm(-1.0).apply(&linear())),
        ("sgd: parameter weight is f32 [1, 2], its gradient f32 [2, 1]", &|| {
            Sgd::new(0.1).step(&mut reshaped(linear()));
        }),
        ("regularized: parameter weight is f32 [1, 2], its gradient f32 [2, 1]", &|| {
            Regularized::new(Sgd::new(0.1)).l1(1.0).step(&mut reshaped(linear()));
        }),
        ("lbfgs: parameter weight is f32 [1, 2], its gradient f32 [2, 1]", &|| {
            Lbfgs::new().step(&mut reshaped(linear()));
        }),
        ("adam: parameter weight is f32 [1, 2], what is remembered of it f32 [2, 1]", &|| {
            let mut adam = Adam::new(0.1);
            for mut layer in [linear(), Linear::new(2, 1, &mut rng())] {
                layer.weight().sum_all().backward();
                adam.step(&mut layer);
            }
        }),
        ("ema: parameter weight is f32 [1, 2], what is remembered of it f32 [2, 1]", &|| {
            let mut ema = Ema::new(Sgd::new(0.1), 0.9);
            ema.step(&mut linear());
            ema.step(&mut Linear::new(2, 1, &mut rng()));
        }),
        ("regularized: around ema decay=0.5 of sgd", &|| {
            drop(Regularized::new(ParameterGroups::new(Ema::new(Sgd::new(0.1), 0.5))));
        }),
        ("checkpoints: one after every 0 epochs", &|| drop(Checkpoints::new("").every_epochs(0))),
        ("checkpoints: one after every 0 batches", &|| drop(Checkpoints::new("").every_batches(0))),
        ("csv_log: a row after every 0 batches", &|| drop(CsvLog::new("").every_batches(0))),
        ("statistics: after every 0 batches", &|| drop(Statistics::every_batches(0))),
        ("find_lr: no rates from 1 to 0.1", &|| search(LrSweep { from: 1.0, to: 0.1, ..sweep })),
        ("find_lr: no rates from 0 to 10", &|| search(LrSweep { from: 0.0, ..sweep })),
    ];
    let (before, this) = (Arc::new(take_hook()), thread::current().id());
    let of_others = before.clone();
    set_hook(Box::new(move |info| {
        if thread::current().id() != this {
            return of_others(info); // Another test's.
        }
        let Some(location) = info.location() else { return };
        let message = info.payload_as_str().unwrap_or_default();
        SEEN.lock().unwrap().push((format!("{location}"), message.to_owned()));
    }));
    let outcomes: Vec<bool> =
        rows.iter().map(|(_, mistake)| catch_unwind(AssertUnwindSafe(mistake)).is_err()).collect();
    set_hook(Box::new(move |info| before(info)));
    let mut seen = SEEN.lock().unwrap().drain(..).collect::<Vec<_>>().into_iter();
    let mut wrong = Vec::new();
    for ((start, _), panicked) in rows.iter().zip(outcomes) {
        if !panicked {
            wrong.push(format!("{start}: accepted"));
            continue;
        }
        let (place, message) = seen.next().unwrap();
        if !message.starts_with(start) || !place.contains("tests/mistakes.rs") {
            wrong.push(format!("{start}: at {place}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Numbers that are as good as others, however large.
#[test]
fn what_is_no_mistake_is_not_treated_as_one() {
    assert_eq!(loader().prefetch(usize::MAX).epoch(0).count(), 2);
    assert_eq!(
        run(&mut Sequential::new(), &|y, _| y.sum_all(), 2),
        2,
        "nothing to learn is no fault"
    );
    let stopped = Fit { stop: Arc::new(true.into()), ..Fit::epochs(usize::MAX) };
    let mut model = Linear::new(1, 2, &mut Rng::new(1));
    let report =
        fit(&mut model, &mut Sgd::new(0.1), &loss::cross_entropy, &loader(), &stopped, &mut []);
    assert!(report.unwrap().stopped);
}

#[test]
fn an_optimiser_state_that_does_not_fit_is_an_error_of_its_own_kind() {
    let error = Sgd::new(0.1).load_state(State::new(), &State::new()).unwrap_err();
    assert!(matches!(error, CheckpointError::State { .. }));
    assert_eq!(error.to_string(), "optimiser state: step is missing");
}

#[test]
fn a_training_of_nothing_is_an_error() {
    let refused = |loader: &Loader, settings: &Fit| {
        let (mut model, mut sgd) = (Linear::new(1, 2, &mut Rng::new(1)), Sgd::new(0.1));
        fit(&mut model, &mut sgd, &loss::cross_entropy, loader, settings, &mut [])
            .unwrap_err()
            .to_string()
    };
    let data = TensorDataset::new(Tensor::from([[1f32]]), Tensor::from([1]));
    let none = Loader::new(Arc::new(data), 2).drop_last();
    let backwards = Fit { epochs: std::ops::Range { start: 5, end: 2 }, ..Fit::epochs(0) };
    assert_eq!(refused(&loader(), &backwards), "fit: epochs 5 to 2 are none");
    let error = "fit: no batches, for there are 1 examples";
    assert_eq!(refused(&none, &Fit::epochs(1)), error);
    let held_out = Fit { held_out: Some(none), ..Fit::epochs(1) };
    assert_eq!(refused(&loader(), &held_out), "fit: no batches of held-out examples");
    let (mut twins, mut sgd) = (
        Sequential::new().push_named("training", Linear::new(1, 2, &mut Rng::new(1))),
        Sgd::new(0.1),
    );
    let settings = Fit::epochs(1);
    let error = fit(&mut twins, &mut sgd, &loss::cross_entropy, &loader(), &settings, &mut []);
    assert!(error.unwrap_err().to_string().starts_with("fit: training.weight is a name of"));
}
