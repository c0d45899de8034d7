//! Attention in several heads, each with queries, keys and values of its own.
//!
//! ```text
//! head = softmax(q kᵀ / √(E / N) + bias) v     q = x_q W_qᵀ + b_q, k = x_k W_kᵀ + b_k, v = x_v W_vᵀ + b_v
//! y = [head, ...] W_outᵀ + b_out               N heads side by side
//! ```

use plies_autograd::{Var, linear};
use plies_tensor::{Rng, Shape};

use super::attention::{attend, check_bias};
use crate::lengths::Lengths;
use crate::onnx::{self, Graph, Value};
use crate::{AttentionMask, Dropout, Linear, Module, Pass, Visitor, VisitorMut, check, init};

/// The weights that make queries, keys and values.
#[derive(Debug)]
enum Projection {
    /// One below the other, [3E, E].
    Packed(Var),
    /// [E, E], [E, K] and [E, V].
    Separate([Var; 3]),
}

/// Attention in N heads, each of which looks for something of its own: queries, keys and values are
/// affine maps of what is given, E / N features for each head, and so is the result of what all heads
/// have read, side by side.
///
/// # Shapes
/// query [B, T, E], key [B, S, K], value [B, S, V] -> [B, T, E]. Parameters as in PyTorch:
/// `in_proj_weight` [3E, E], or where K or V are not E, `q_proj_weight` [E, E], `k_proj_weight` [E, K] and
/// `v_proj_weight` [E, V]; `in_proj_bias` `[3E]`, `out_proj.weight` [E, E], `out_proj.bias` `[E]`.
///
/// # Gradient
/// That of [`scaled_dot_product_attention`](crate::scaled_dot_product_attention) between those of affine maps.
///
/// # Source
/// Vaswani et al.: Attention is all you need (2017), section 3.2.2.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AttentionMask, MultiHeadAttention, Pass};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let layer = MultiHeadAttention::new(6, 2, &mut Rng::new(1));
/// let x = Var::constant(Tensor::ones([2, 4, 6], DType::F32, &Device::cpu()));
/// let mask = AttentionMask::causal();
/// let (y, weights) = layer.run(&x, Some(&[4, 2]), &mask, &mut Pass::eval());
/// assert_eq!((y.dims(), weights.dims()), (&[2, 4, 6][..], &[2, 2, 4, 4][..]));
/// ```
#[doc(alias("MultiheadAttention", "self-attention"))]
#[derive(Debug)]
pub struct MultiHeadAttention {
    heads: usize,
    projection: Projection,
    in_bias: Option<Var>,
    out: Linear,
    dropout: Dropout,
}

const NAME: &str = "multi_head_attention";

impl MultiHeadAttention {
    /// N = `heads` heads over E = `size` features in F32, weights by Xavier's rule, those of the output
    /// uniform in ±1/√E, biases 0, as in PyTorch.
    ///
    /// # Panics
    /// When E is not a multiple of N, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(size: usize, heads: usize, rng: &mut Rng) -> Self {
        Self::with(size, heads, [size, size], rng)
    }

    /// The same for keys of K features and values of V.
    ///
    /// # Panics
    /// As [`new`](MultiHeadAttention::new).
    #[track_caller]
    pub fn with(size: usize, heads: usize, [key, value]: [usize; 2], rng: &mut Rng) -> Self {
        assert!(
            heads > 0 && size > 0 && size.is_multiple_of(heads),
            "{NAME}: {size} features in {heads} heads"
        );
        check::size(NAME, &[3, size, size.max(key).max(value)]);
        let mut xavier = |dims: [usize; 2]| Var::leaf(init::xavier_uniform(dims, rng));
        let projection = if [key, value] == [size, size] {
            Projection::Packed(xavier([3 * size, size]))
        } else {
            Projection::Separate([size, key, value].map(|inputs| xavier([size, inputs])))
        };
        let in_bias = Some(Var::leaf(init::zeros([3 * size])));
        let out = init::uniform([size, size], 1.0 / (size as f64).sqrt(), rng);
        let out = Linear::from_weights(out, Some(init::zeros([size])));
        MultiHeadAttention { heads, projection, in_bias, out, dropout: Dropout::new(0.0) }
    }

    /// The same layer without biases.
    pub fn without_bias(mut self) -> Self {
        self.in_bias = None;
        self.out = self.out.without_bias();
        self
    }

    /// Drops weights of attention with probability `p` while training.
    ///
    /// # Panics
    /// When `p` is not a probability.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self
    }

    /// Self-attention: the sequences are queries, keys and values. Returns y and the weights of each
    /// head, as they are before dropout.
    ///
    /// With `lengths`, sequence b has `lengths[b]` steps; what x holds beyond is not read, and y and the
    /// weights are 0 there. A step that sees none, because of the mask, gives weights of 0, and the output's
    /// bias is y.
    ///
    /// # Shapes
    /// x [B, T, E], mask as at [`AttentionMask::bias`] with S = T -> y [B, T, E], weights [B, N, T, T]
    ///
    /// # Panics
    /// When the shapes are others, there are not B lengths or one is above T.
    #[track_caller]
    pub fn run(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        mask: &AttentionMask,
        pass: &mut Pass,
    ) -> (Var, Var) {
        self.check_input(NAME, x);
        let steps = Lengths::new(NAME, x, lengths);
        let (rows, weights) = self.run_rows(&steps.pack(x), &steps, mask, pass);
        (steps.spread(&rows), weights)
    }

    /// Self-attention of steps x [R, E] -> y [R, E], weights [B, N, T, T]
    #[track_caller]
    pub(crate) fn run_rows(
        &self,
        x: &Var,
        steps: &Lengths,
        mask: &AttentionMask,
        pass: &mut Pass,
    ) -> (Var, Var) {
        let size = self.size();
        let Projection::Packed(weight) = &self.projection else {
            unreachable!("no x is as wide as queries, keys and values of different widths")
        };
        let all = steps.spread(&linear(x, weight, self.in_bias.as_ref())); // [B, T, 3E]
        let [q, k, v] = [0, 1, 2].map(|i| all.narrow(2, i * size, size));
        let lengths = steps.if_different();
        let lengths = [lengths.as_deref(), lengths.as_deref()];
        let (heads, weights) = self.attend([&q, &k, &v], lengths, mask, pass);
        (self.out.forward(&steps.pack(&heads), pass), weights)
    }

    /// Checks the input of self-attention, which is all three.
    #[track_caller]
    pub(crate) fn check_input(&self, layer: &str, x: &Var) {
        for i in 0..3 {
            self.check(layer, "x", x, i);
        }
    }

    /// Attention to other sequences. Returns y and the weights of each head, as they are before dropout.
    ///
    /// With `lengths`, sequence b of keys and values ends after `lengths[b]`; what they hold beyond is
    /// not read. A query that sees no key gives weights of 0, and the output's bias is y.
    ///
    /// # Shapes
    /// query [B, T, E], key [B, S, K], value [B, S, V], mask as at [`AttentionMask::bias`] -> y [B, T, E],
    /// weights [B, N, T, S]
    ///
    /// # Panics
    /// When the shapes are others, there are not B lengths or one is above S.
    #[track_caller]
    pub fn cross(
        &self,
        [query, key, value]: [&Var; 3],
        lengths: Option<&[usize]>,
        mask: &AttentionMask,
        pass: &mut Pass,
    ) -> (Var, Var) {
        self.check(NAME, "query", query, 0);
        self.check(NAME, "key", key, 1);
        self.check(NAME, "value", value, 2);
        assert!(
            key.dims()[..2] == value.dims()[..2] && key.dim(0) == query.dim(0),
            "{NAME}: query {}, key {}, value {}; expected [B, T, E], [B, S, K] and [B, S, V]",
            query.shape(),
            key.shape(),
            value.shape()
        );
        let steps = Lengths::new(NAME, key, lengths);
        let q = self.project(query, 0);
        let k = steps.spread(&self.project(&steps.pack(key), 1));
        let v = steps.spread(&self.project(&steps.pack(value), 2));
        let (heads, weights) = self.attend([&q, &k, &v], [lengths, None], mask, pass);
        (self.out.forward(&heads, pass), weights)
    }

    fn size(&self) -> usize {
        self.out.weight().dim(0)
    }

    #[track_caller]
    fn check(&self, layer: &str, what: &str, x: &Var, i: usize) {
        let width = match &self.projection {
            Projection::Packed(weight) => weight.dim(1),
            Projection::Separate(weights) => weights[i].dim(1),
        };
        assert!(
            x.rank() == 3 && x.dim(2) == width,
            "{layer}: {what} {} where [B, T, {width}] is needed",
            x.shape()
        );
    }

    /// The queries (0), keys (1) or values (2) of x.
    fn project(&self, x: &Var, i: usize) -> Var {
        let size = self.size();
        let bias = self.in_bias.as_ref().map(|bias| bias.narrow(0, i * size, size));
        match &self.projection {
            Projection::Packed(weight) => {
                linear(x, &weight.narrow(0, i * size, size), bias.as_ref())
            }
            Projection::Separate(weights) => linear(x, &weights[i], bias.as_ref()),
        }
    }

    /// What all heads read, side by side: q [B, T, E], k and v [B, S, E] -> [B, T, E]
    #[track_caller]
    fn attend(
        &self,
        qkv: [&Var; 3],
        lengths: [Option<&[usize]>; 2],
        mask: &AttentionMask,
        pass: &mut Pass,
    ) -> (Var, Var) {
        let [batch, queries, size] = [0, 1, 2].map(|axis| qkv[0].dim(axis));
        let keys = qkv[1].dim(1);
        // A mask for each sequence is the same for its heads.
        let bias =
            mask.bias.as_ref().map(|b| if b.rank() == 3 { b.unsqueeze(1) } else { b.clone() });
        check_bias(NAME, bias.as_ref(), Shape::from([batch, self.heads, queries, keys]));
        let qkv = qkv.map(|x| {
            let heads = x.reshape([batch, x.dim(1), self.heads, size / self.heads]);
            heads.transpose(1, 2) // [B, N, T, E / N]
        });
        let (y, weights) =
            attend(qkv.each_ref(), lengths, mask.causal, bias.as_ref(), &self.dropout, pass);
        (y.transpose(1, 2).reshape([batch, queries, size]), weights)
    }

    /// [`run`](Self::run) in an ONNX graph: the outputs; `causal` stands for the mask, and lengths are those
    /// of the graph.
    ///
    /// # Errors
    /// When keys or values are to have other widths than queries; those of the layer inside.
    pub fn export_run(&self, x: &Value, causal: bool, graph: &Graph) -> onnx::Result<Value> {
        let Projection::Packed(weight) = &self.projection else {
            return Err(graph.error(format!(
                "{NAME}: an export is of self-attention, and this layer's keys or values are not as wide as \
                 its queries"
            )));
        };
        let heads = self.heads as i64;
        let width = self.size() as i64 / heads;
        let parts = |value: &Value, axis: i64| {
            graph.ops(
                "Split",
                &[Some(value)],
                3,
                [("axis", axis.into()), ("num_outputs", 3.into())],
            )
        };
        let bias = self.in_bias.as_ref().map(|bias| graph.tensor("in_proj_bias", bias.value()));
        let weights = parts(&graph.tensor("in_proj_weight", weight.value()), 0);
        let biases = bias.map(|bias| parts(&bias, 0));
        let qkv: Vec<Value> = (0..3)
            .map(|i| {
                let y = x.matmul(&weights[i].permute(&[1, 0]));
                let y = biases.as_ref().map_or(y.clone(), |biases| &y + &biases[i]);
                y.reshape(&[0, 0, heads, width]).permute(&[0, 2, 1, 3]) // [B, N, T, E / N]
            })
            .collect();
        let scores = qkv[0].matmul(&qkv[1].permute(&[0, 1, 3, 2])) / (width as f64).sqrt();
        let position = x.positions(1); // [T]
        let mut scores = scores; // [B, N, T, T]
        if causal {
            let own = position.reshape(&[-1, 1]);
            let seen = graph.op("LessOrEqual", &[&position, &own], []);
            scores = scores.only_where(&seen, f64::NEG_INFINITY);
        }
        if let Some(lengths) = graph.sequence_lengths() {
            let seen = graph.op("Less", &[&position, &lengths.reshape(&[-1, 1, 1, 1])], []);
            scores = scores.only_where(&seen, f64::NEG_INFINITY);
        }
        let y = scores.softmax(-1).matmul(&qkv[2]); // [B, N, T, E / N]
        let y = y.permute(&[0, 2, 1, 3]).reshape(&[0, 0, heads * width]);
        Ok(graph.child("out_proj", &self.out, &y)?.within_lengths())
    }
}

impl Module for MultiHeadAttention {
    /// Self-attention of sequences of the pass's lengths, all of whose steps see each other.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let lengths = pass.lengths();
        self.run(x, lengths.as_deref(), &AttentionMask::default(), pass).0
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        self.export_run(x, false, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        match &self.projection {
            Projection::Packed(weight) => visitor.parameter("in_proj_weight", weight),
            Projection::Separate([q, k, v]) => {
                visitor.parameter("q_proj_weight", q);
                visitor.parameter("k_proj_weight", k);
                visitor.parameter("v_proj_weight", v);
            }
        }
        if let Some(bias) = &self.in_bias {
            visitor.parameter("in_proj_bias", bias);
        }
        visitor.child("out_proj", &self.out);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        match &mut self.projection {
            Projection::Packed(weight) => visitor.parameter("in_proj_weight", weight),
            Projection::Separate([q, k, v]) => {
                visitor.parameter("q_proj_weight", q);
                visitor.parameter("k_proj_weight", k);
                visitor.parameter("v_proj_weight", v);
            }
        }
        if let Some(bias) = &mut self.in_bias {
            visitor.parameter("in_proj_bias", bias);
        }
        visitor.child("out_proj", &mut self.out);
    }
}
