//! The encoder of a transformer: attention across the steps, then two affine maps at each of them.
//!
//! ```text
//! after (as published)                  before (`norm_first`)
//! x ← norm₁(x + attention(x))           x ← x + attention(norm₁(x))
//! x ← norm₂(x + W₂ f(W₁ x))             x ← x + W₂ f(W₁ norm₂(x))
//! ```

use plies_autograd::Var;
use plies_tensor::Rng;

use crate::lengths::Lengths;
use crate::onnx::{self, Graph, Value};
use crate::{
    Activation, AttentionMask, Dropout, LayerNorm, Linear, Module, MultiHeadAttention, Pass,
    Visitor, VisitorMut, check, init,
};

const NAME: &str = "transformer_encoder_layer";

/// A layer of a transformer's encoder; with a causal mask, of a decoder that attends to nothing else,
/// such as GPT.
///
/// # Shapes
/// x [B, T, E] -> [B, T, E]. Parameters as in PyTorch: `self_attn.…` as at [`MultiHeadAttention`],
/// `linear1.weight` [F, E], `linear1.bias` `[F]`, `linear2.weight` [E, F], `linear2.bias` `[E]`,
/// `norm1.weight` and the like `[E]`.
///
/// # Source
/// Vaswani et al.: Attention is all you need (2017), section 3.1. Norms before the maps: Xiong et al.: On
/// layer normalization in the transformer architecture (2020).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Activation, AttentionMask, Pass, TransformerEncoderLayer};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let layer = TransformerEncoderLayer::new(6, 2, 24, &mut Rng::new(1))
///     .activation(Activation::Gelu)
///     .norm_first()
///     .dropout(0.1);
/// let x = Var::constant(Tensor::ones([2, 4, 6], DType::F32, &Device::cpu()));
/// let pass = &mut Pass::train(Rng::new(2));
/// let y = layer.run(&x, Some(&[4, 2]), &AttentionMask::causal(), pass);
/// assert_eq!(y.dims(), [2, 4, 6]);
/// ```
#[derive(Debug)]
pub struct TransformerEncoderLayer {
    attention: MultiHeadAttention,
    linears: [Linear; 2],
    norms: [LayerNorm; 2],
    activation: Activation,
    norm_first: bool,
    dropout: Dropout,
}

impl TransformerEncoderLayer {
    /// N = `heads` heads over E = `size` features and F = `inner` features between the affine maps, in
    /// F32; ReLU, norms after, weights of the affine maps by Xavier's rule and biases 0.
    ///
    /// # Panics
    /// When E is not a multiple of N, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(size: usize, heads: usize, inner: usize, rng: &mut Rng) -> Self {
        let attention = MultiHeadAttention::new(size, heads, rng);
        check::size(NAME, &[size, inner]);
        let mut linear = |dims: [usize; 2]| {
            Linear::from_weights(init::xavier_uniform(dims, rng), Some(init::zeros([dims[0]])))
        };
        TransformerEncoderLayer {
            attention,
            linears: [linear([inner, size]), linear([size, inner])],
            norms: [LayerNorm::new([size]), LayerNorm::new([size])],
            activation: Activation::Relu,
            norm_first: false,
            dropout: Dropout::new(0.0),
        }
    }

    /// Another function f between the affine maps.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Norms before the maps, where they leave a straight way for gradients from layer to layer.
    pub fn norm_first(mut self) -> Self {
        self.norm_first = true;
        self
    }

    /// Dropout of weights of attention, of f's values and of what is added to x, with probability `p`.
    ///
    /// # Panics
    /// When `p` is not a probability.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self.attention = self.attention.dropout(p);
        self
    }

    /// The outputs at each step. With `lengths`, sequence b has `lengths[b]` steps; what x holds beyond is
    /// not read, and y is 0 there. The work is that of the steps there are, except for attention's products
    /// of queries and keys, and of weights and values, whose work is that of the padded batch.
    ///
    /// # Shapes
    /// x [B, T, E], mask as at [`AttentionMask::bias`] with S = T -> [B, T, E]
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
    ) -> Var {
        self.attention.check_input(NAME, x);
        let steps = Lengths::new(NAME, x, lengths);
        let rows = self.run_rows(steps.pack(x), &steps, mask, pass);
        steps.spread(&rows)
    }

    /// Steps x [R, E] -> [R, E]
    #[track_caller]
    fn run_rows(&self, x: Var, steps: &Lengths, mask: &AttentionMask, pass: &mut Pass) -> Var {
        let [norm_1, norm_2] = &self.norms;
        if self.norm_first {
            let x = &x + self.attend(&norm_1.forward(&x, pass), steps, mask, pass);
            &x + self.feed_forward(&norm_2.forward(&x, pass), pass)
        } else {
            let x = norm_1.forward(&(&x + self.attend(&x, steps, mask, pass)), pass);
            norm_2.forward(&(&x + self.feed_forward(&x, pass)), pass)
        }
    }

    #[track_caller]
    fn attend(&self, x: &Var, steps: &Lengths, mask: &AttentionMask, pass: &mut Pass) -> Var {
        let (y, _) = self.attention.run_rows(x, steps, mask, pass);
        self.dropout.forward(&y, pass)
    }

    fn feed_forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let [linear_1, linear_2] = &self.linears;
        let inner = self.activation.forward(&linear_1.forward(x, pass), pass); // [R, F]
        let y = linear_2.forward(&self.dropout.forward(&inner, pass), pass);
        self.dropout.forward(&y, pass)
    }

    /// [`run`](Self::run) in an ONNX graph; `causal` stands for the mask, and lengths are those of the graph.
    ///
    /// # Errors
    /// As those of the layers inside.
    pub fn export_run(&self, x: &Value, causal: bool, graph: &Graph) -> onnx::Result<Value> {
        let norm = |i: usize, x: &Value| graph.child(["norm1", "norm2"][i], &self.norms[i], x);
        let attend = |x: &Value| {
            graph.within("self_attn", |graph| self.attention.export_run(x, causal, graph))
        };
        let feed_forward = |x: &Value| {
            let inner = self.activation.apply(&graph.child("linear1", &self.linears[0], x)?);
            graph.child("linear2", &self.linears[1], &inner)
        };
        let y = if self.norm_first {
            let x = x + attend(&norm(0, x)?)?;
            &x + feed_forward(&norm(1, &x)?)?
        } else {
            let x = norm(0, &(x + attend(x)?))?;
            norm(1, &(&x + feed_forward(&x)?))?
        };
        Ok(y.within_lengths())
    }
}

impl Module for TransformerEncoderLayer {
    /// The outputs for sequences of the pass's lengths, all of whose steps see each other.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let lengths = pass.lengths();
        self.run(x, lengths.as_deref(), &AttentionMask::default(), pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        self.export_run(x, false, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("self_attn", &self.attention);
        visitor.child("linear1", &self.linears[0]);
        visitor.child("linear2", &self.linears[1]);
        visitor.child("norm1", &self.norms[0]);
        visitor.child("norm2", &self.norms[1]);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("self_attn", &mut self.attention);
        visitor.child("linear1", &mut self.linears[0]);
        visitor.child("linear2", &mut self.linears[1]);
        visitor.child("norm1", &mut self.norms[0]);
        visitor.child("norm2", &mut self.norms[1]);
    }
}

/// Layers of a transformer's encoder on top of one another, and if wanted a norm at the end.
///
/// # Shapes
/// x [B, T, E] -> [B, T, E]. Parameters as in PyTorch: `layers.0.…` as at [`TransformerEncoderLayer`],
/// `norm.weight` and `norm.bias` `[E]`.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{LayerNorm, Module, Pass, TransformerEncoder, TransformerEncoderLayer};
/// use plies_tensor::{DType, Device, Rng, Tensor};
/// let mut rng = Rng::new(1);
/// let layers = (0..2).map(|_| TransformerEncoderLayer::new(6, 2, 24, &mut rng).norm_first());
/// let model = TransformerEncoder::new(layers).norm(LayerNorm::new([6]));
/// let x = Var::constant(Tensor::ones([2, 4, 6], DType::F32, &Device::cpu()));
/// assert_eq!(model.forward(&x, &mut Pass::eval()).dims(), [2, 4, 6]);
/// ```
#[derive(Debug)]
pub struct TransformerEncoder {
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// Of layers, from the first to the last.
    pub fn new(layers: impl IntoIterator<Item = TransformerEncoderLayer>) -> Self {
        TransformerEncoder { layers: layers.into_iter().collect(), norm: None }
    }

    /// A norm of what the last layer gives, which layers with norms before their maps need.
    pub fn norm(mut self, norm: LayerNorm) -> Self {
        self.norm = Some(norm);
        self
    }

    /// As [`TransformerEncoderLayer::run`], through all layers.
    ///
    /// # Panics
    /// When x or the lengths do not fit, or the mask.
    #[track_caller]
    pub fn run(
        &self,
        x: &Var,
        lengths: Option<&[usize]>,
        mask: &AttentionMask,
        pass: &mut Pass,
    ) -> Var {
        for layer in &self.layers {
            layer.attention.check_input("transformer_encoder", x);
        }
        let steps = Lengths::new("transformer_encoder", x, lengths);
        let mut rows = steps.pack(x);
        for layer in &self.layers {
            rows = layer.run_rows(rows, &steps, mask, pass);
        }
        if let Some(norm) = &self.norm {
            rows = norm.forward(&rows, pass);
        }
        steps.spread(&rows)
    }

    /// [`run`](Self::run) in an ONNX graph; `causal` stands for the mask, and lengths are those of the graph.
    ///
    /// # Errors
    /// As those of the layers inside.
    pub fn export_run(&self, x: &Value, causal: bool, graph: &Graph) -> onnx::Result<Value> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("layers.{i}");
            x = graph.within(&name, |graph| layer.export_run(&x, causal, graph))?;
        }
        match &self.norm {
            Some(norm) => Ok(graph.child("norm", norm, &x)?.within_lengths()),
            None => Ok(x),
        }
    }
}

impl Module for TransformerEncoder {
    /// The outputs for sequences of the pass's lengths, all of whose steps see each other.
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let lengths = pass.lengths();
        self.run(x, lengths.as_deref(), &AttentionMask::default(), pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        self.export_run(x, false, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            visitor.child(&format!("layers.{i}"), layer);
        }
        if let Some(norm) = &self.norm {
            visitor.child("norm", norm);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            visitor.child(&format!("layers.{i}"), layer);
        }
        if let Some(norm) = &mut self.norm {
            visitor.child("norm", norm);
        }
    }
}
