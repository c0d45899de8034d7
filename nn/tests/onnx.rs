//! Models as ONNX graphs: what layers write, which axes vary, what is refused by name. Whether the files
//! compute what the models do is for `interop/check_onnx.py` to say, which runs them.

use plies_autograd::Var;
use plies_nn::onnx::{self, Export, Graph, Value};
use plies_nn::{
    Activation, AdaptiveMaxPool2d, BatchNorm, Conv1d, Directions, Dropout, Embedding, Flatten,
    GroupNorm, Gru, LayerNorm, Linear, Lstm, Module, MultiHeadAttention, Pass, RecurrentOptions,
    RmsNorm, Rnn, Sequential, Visitor, VisitorMut,
};
use plies_tensor::{Conv, DType, Device, Elementwise, Rng, Tensor, formula};
use proptest::prelude::*;

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::cpu())
}

fn text(model: &dyn Module, x: &Tensor) -> String {
    Export::default().of(model, x).unwrap().to_string()
}

/// y = f(x), whatever f is made of.
struct Function(fn(&Value) -> Value, fn(&Var) -> Var);

impl Module for Function {
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        (self.1)(x)
    }
    fn export(&self, x: &Value, _graph: &Graph) -> onnx::Result<Value> {
        Ok((self.0)(x))
    }
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

/// A layer whose author did not think of ONNX.
struct Doubled;

impl Module for Doubled {
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        x * 2.0
    }
    fn visit(&self, _visitor: &mut Visitor<'_>) {}
    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}

#[test]
fn parameters_keep_their_names_and_numbers_are_shared() {
    let mut rng = Rng::new(1);
    let model = Sequential::new()
        .push(Linear::new(2, 3, &mut rng).without_bias())
        .push(Dropout::new(0.5))
        .push(Sequential::new().push(RmsNorm::new([3])).push(Activation::Silu));
    assert_eq!(
        text(&model, &zeros(&[1, 2])),
        "x: f32 [batch, 2]\n\
         0.weight: f32 [3, 2]\n\
         2.0.weight: f32 [3]\n\
         0/Transpose = Transpose(0.weight) perm=[1, 0]\n\
         0/MatMul = MatMul(x, 0/Transpose)\n\
         2.0/Mul = Mul(0/MatMul, 0/MatMul)\n\
         2.0/ReduceMean = ReduceMean(2.0/Mul, [-1])\n\
         2.0/Add = Add(2.0/ReduceMean, 1e-5 f32)\n\
         2.0/Sqrt = Sqrt(2.0/Add)\n\
         2.0/Div = Div(0/MatMul, 2.0/Sqrt)\n\
         2.0/Mul_2 = Mul(2.0/Div, 2.0.weight)\n\
         2.1/Sigmoid = Sigmoid(2.0/Mul_2)\n\
         y = Mul(2.0/Mul_2, 2.1/Sigmoid)\n\
         -> y: f32 [batch, 3]\n"
    );
}

#[test]
fn functions_that_onnx_has_are_its_operators_and_others_are_primitives() {
    let rows = [
        (Activation::Relu, "y = Relu(x)\n"),
        (Activation::LeakyRelu, "y = LeakyRelu(x) alpha=0.01\n"),
        (Activation::Elu, "y = Elu(x) alpha=1.0\n"),
        (Activation::GeluTanh, "y = Gelu(x) approximate=\"tanh\"\n"),
        (Activation::Softplus, "y = Softplus(x)\n"),
        (Activation::Identity, "y = Identity(x)\n"),
        (Activation::Silu, "Sigmoid = Sigmoid(x)\ny = Mul(x, Sigmoid)\n"),
    ];
    for (activation, expected) in rows {
        let found = text(&activation, &zeros(&[1, 2]));
        assert_eq!(found, format!("x: f32 [batch, 2]\n{expected}-> y: f32 [batch, 2]\n"));
    }
    let select = Function(
        |x| Value::map(formula!(|x| x.lt(0.5).select(x * x, x.lt(0.0))), &[x], &[]),
        |x| x.clone(),
    );
    assert_eq!(
        text(&select, &zeros(&[1])),
        "x: f32 [batch]\n\
         Less = Less(x, 0.5 f32)\n\
         Mul = Mul(x, x)\n\
         Less_2 = Less(x, 0.0 f32)\n\
         Cast = Cast(Less_2) to=1\n\
         y = Where(Less, Mul, Cast)\n\
         -> y: f32 [batch]\n"
    );
}

/// Where the number of windows divides the size: a graph does not know the size.
#[test]
fn adaptive_windows_stand_side_by_side() {
    let graph = text(&AdaptiveMaxPool2d([2, 3]), &zeros(&[1, 1, 4, 6]));
    let expected = "Reshape = Reshape(x, [0, 0, 0, 3, -1])\n\
                    ReduceMax = ReduceMax(Reshape, [4]) keepdims=0\n\
                    Reshape_2 = Reshape(ReduceMax, [0, 0, 2, -1, 3])\n\
                    y = ReduceMax(Reshape_2, [3]) keepdims=0\n";
    assert!(graph.contains(expected), "{graph}");
}

#[test]
fn axes_of_the_output_are_named_after_those_of_the_input_that_they_go_with() {
    let sequences = Export { axes: &[(0, "batch"), (2, "length")], lengths: false };
    let same = Conv1d::new(2, 3, 3, Conv::default().padding(1), &mut Rng::new(1));
    let graph = sequences.of(&same, &zeros(&[1, 2, 5])).unwrap().to_string();
    assert!(graph.ends_with("-> y: f32 [batch, 3, length]\n"), "{graph}");
    let half = Conv1d::new(2, 3, 3, Conv::default().stride(2), &mut Rng::new(1));
    let graph = sequences.of(&half, &zeros(&[3, 2, 5])).unwrap().to_string();
    assert!(graph.ends_with("-> y: f32 [batch, 3, y.2]\n"), "{graph}");

    let steps = Export { axes: &[(0, "batch"), (1, "time")], lengths: true };
    let tokens = Sequential::new().push(Embedding::new(5, 2, &mut Rng::new(1))).push(Gru::new(
        2,
        3,
        &mut Rng::new(1),
    ));
    let graph = steps.of(&tokens, &Tensor::from([[0, 1, 2]])).unwrap().to_string();
    assert!(graph.starts_with("x: i32 [batch, time]\nlengths: i32 [batch]\n"), "{graph}");
    assert!(graph.ends_with("-> y: f32 [batch, time, 3]\n"), "{graph}");
    assert!(
        graph.contains("1.B_l0, lengths) hidden_size=3 direction=\"forward\" linear"),
        "{graph}"
    );
}

#[test]
fn what_cannot_be_exported_is_named_with_its_place() {
    let error =
        |model: &dyn Module, x: &Tensor| Export::default().of(model, x).unwrap_err().to_string();
    let inner = Sequential::new().push(Flatten::default()).push(Doubled);
    let model = Sequential::new().push(Activation::Relu).push(inner);
    let expected = "1.1 (Doubled) can't be exported: implement Module::export";
    assert_eq!(error(&model, &zeros(&[1, 2])), expected);
    let expected = "Doubled can't be exported: implement Module::export";
    assert_eq!(error(&Doubled, &zeros(&[1, 2])), expected);
    let wide = MultiHeadAttention::with(2, 1, [2, 3], &mut Rng::new(1));
    let expected = "1: multi_head_attention: an export is of self-attention, and this layer's keys or \
                    values are not as wide as its queries";
    let model = Sequential::new().push(Activation::Relu).push(wide);
    assert_eq!(error(&model, &zeros(&[1, 3, 2])), expected);
    let expected = "the model: a function of variables may be anything; Function::formula of a formula can be exported";
    assert_eq!(error(&plies_nn::Function::new(Var::t), &zeros(&[1, 2])), expected);
    let expected = "axis 0 (batch) of an example [0, 2]";
    assert_eq!(error(&Flatten::default(), &zeros(&[0, 2])), expected);
    let time = Export { axes: &[(2, "time")], lengths: false };
    let error = time.of(&Flatten::default(), &zeros(&[1, 2])).unwrap_err().to_string();
    assert_eq!(error, "axis 2 (time) of an example [1, 2]");
}

/// Two layers that are one, and two that are not.
#[test]
fn a_tensor_that_is_used_twice_is_stored_once() {
    let layer = Linear::new(2, 2, &mut Rng::new(1));
    let other = Linear::new(2, 2, &mut Rng::new(2));
    let graph = Graph::new();
    let x = graph.input("x", DType::F32, [2.into()]);
    let y = graph.child("a", &layer, &x).unwrap();
    let y = graph.child("a", &layer, &y).unwrap();
    graph.output("y", &graph.child("a", &other, &y).unwrap(), [2.into()]);
    let text = graph.to_string();
    let stored = text.lines().filter(|line| line.contains(": f32 [2, 2]"));
    assert_eq!(stored.collect::<Vec<_>>(), ["a.weight: f32 [2, 2]", "a.weight_2: f32 [2, 2]"]);
}

/// States go in and come out, as a program does that is given one step at a time.
#[test]
fn states_of_recurrent_layers_can_be_inputs_and_outputs() {
    let options = RecurrentOptions { layers: 2, ..RecurrentOptions::default() };
    let lstm = Lstm::with(2, 3, options, &mut Rng::new(1));
    let graph = Graph::new();
    let state = || [2.into(), "batch".into(), 3.into()];
    let x = graph.input("x", DType::F32, ["batch".into(), 1.into(), 2.into()]);
    let h = graph.input("h_0", DType::F32, state());
    let c = graph.input("c_0", DType::F32, state());
    let (y, [h, c]) = lstm.export_run(&x, Some([&h, &c]), &graph);
    graph.output("y", &y, ["batch".into(), 1.into(), 3.into()]);
    graph.output("h", &h, state());
    graph.output("c", &c, state());
    let text = graph.to_string();
    assert!(text.contains("Slice = Slice(h_0, [0], [1], [0])\n"), "{text}");
    assert!(text.contains(", R_l0, B_l0, , Slice, Slice_2) hidden_size=3"), "{text}");
    assert!(text.contains("h = Concat(LSTM_2, LSTM_5) axis=0\n"), "{text}");
}

/// One of the layers that take and give [B, T, 4].
fn layer(which: usize, rng: &mut Rng) -> Box<dyn Module> {
    let directions = Directions::Both;
    let both = RecurrentOptions { layers: 2, directions, bias: false, dropout: 0.1 };
    match which {
        0 => Box::new(Linear::new(4, 4, rng)),
        1 => Box::new(LayerNorm::new([4])),
        2 => Box::new(RmsNorm::new([4])),
        3 => Box::new(Dropout::new(0.3)),
        4 => Box::new(Gru::new(4, 4, rng)),
        5 => Box::new(Lstm::with(4, 2, both, rng)),
        6 => Box::new(Rnn::relu(4, 2, both, rng)),
        7 => Box::new(Conv1d::new(3, 3, 3, Conv::default().padding(1), rng)),
        8 => Box::new(GroupNorm::new(3, 3)),
        9 => Box::new(BatchNorm::new(3)),
        _ => Box::new(Activation::ALL[which % Activation::ALL.len()]),
    }
}

proptest! {
    /// In any order, each name is written once and before it is read, and the output has the shape that
    /// the model gives.
    #[test]
    fn any_sequence_of_layers_is_a_graph_in_order(
        layers in prop::collection::vec(0usize..30, 0..8),
        lengths in any::<bool>(),
    ) {
        let mut rng = Rng::new(1);
        let model = layers.into_iter().fold(Sequential::new(), |model, which| {
            model.push(layer(which, &mut rng))
        });
        let export = Export { axes: &[(0, "batch")], lengths };
        let text = export.of(&model, &zeros(&[2, 3, 4])).unwrap().to_string();
        prop_assert!(text.ends_with("-> y: f32 [batch, 3, 4]\n"), "{}", text);
        let mut known: Vec<&str> = Vec::new();
        for line in text.lines() {
            let Some((written, right)) = line.split_once(" = ") else {
                known.push(line.split(": ").next().unwrap());
                continue;
            };
            let read = right.split_once('(').unwrap().1.split(')').next().unwrap();
            for name in read.split(", ").filter(|name| !name.is_empty()) {
                let is_number = name.ends_with(" f32") || name.starts_with('[') || name.ends_with(']');
                let is_number = is_number || name.parse::<i64>().is_ok();
                prop_assert!(is_number || known.contains(&name), "{} in {}", name, text);
            }
            for name in written.split(", ") {
                prop_assert!(!known.contains(&name), "{} twice in {}", name, text);
                known.push(name);
            }
        }
    }
}
