//! Attention: every query reads from all values, more from those whose keys are like it.
//!
//! ```text
//! weights = softmax(q kᵀ / √D + bias)       along the keys
//! y = weights v
//! ```
//!
//! Which keys a query may see is a prefix of them, in every case that has a name: those of its sequence,
//! those up to its own position, or both. So one number for each query, how many keys it sees, takes the
//! place of a mask of T × S numbers, and the row formula of the softmax compares with it on its way
//! through. Any other mask is a bias of -∞.

use plies_autograd::{Op, Reads, Var, apply};
use plies_tensor::{DType, Elementwise, Shape, Tensor, formula};

use crate::{Dropout, Module, Pass, lengths};

/// Which keys a query sees, and which it prefers. The default is all of them, none before the others.
///
/// Besides, there are the lengths of the sequences, an argument of their own wherever a mask is one.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AttentionMask, Pass, scaled_dot_product_attention};
/// use plies_tensor::{DType, Device, Tensor};
/// let x = Var::constant(Tensor::zeros([1, 2, 3], DType::F32, &Device::cpu()));
/// let weights = |mask: AttentionMask| {
///     let pass = &mut Pass::eval();
///     let (_, weights) = scaled_dot_product_attention([&x, &x, &x], None, &mask, 0.0, pass);
///     weights.to_vec::<f32>().unwrap()
/// };
/// assert_eq!(weights(AttentionMask::default()), [0.5, 0.5, 0.5, 0.5]);
/// assert_eq!(weights(AttentionMask::causal()), [1.0, 0.0, 0.5, 0.5]);
/// // The second query sees nothing.
/// let allowed = Tensor::from([[0, 1], [0, 0]]);
/// assert_eq!(weights(AttentionMask::allow(&allowed)), [0.0, 1.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AttentionMask {
    /// Whether a query sees no key that comes after it. The last of T queries stands at the last of S
    /// keys, so query i sees the keys up to i + S - T. With lengths, T and S are the sequence's own.
    pub causal: bool,
    /// What is added to the products of queries and keys, -∞ where a query does not see a key. It may
    /// be learnt.
    pub bias: Option<Var>,
}

impl AttentionMask {
    /// No query sees a key that comes after it. The last query stands at the last key of its sequence
    /// (the triangle ends at the bottom right); under PyTorch's `is_causal` the first stands at the first
    /// (top left), which differs where there are not as many queries as keys.
    pub fn causal() -> Self {
        AttentionMask { causal: true, bias: None }
    }

    /// Adds a bias to the products of queries and keys.
    ///
    /// # Shapes
    /// [T, S], [B, T, S], or [B, N, T, S] for each of N heads; sizes of 1 are repeated
    pub fn bias(bias: Var) -> Self {
        AttentionMask { causal: false, bias: Some(bias) }
    }

    /// A query sees a key where `allowed` is not 0 (as the boolean masks of PyTorch's
    /// `scaled_dot_product_attention`; those of its `MultiheadAttention` mean the contrary).
    ///
    /// # Shapes
    /// as [`bias`](AttentionMask::bias)
    pub fn allow(allowed: &Tensor) -> Self {
        let allowed = allowed.to_dtype(DType::F32);
        let bias = formula!(|a| a.eq(0.0).select(f64::NEG_INFINITY, 0.0));
        Self::bias(Var::constant(Tensor::map(bias, &[&allowed], &[])))
    }

    /// Both: a query sees a key that both masks let it see, and prefers as both do together.
    ///
    /// # Panics
    /// When the shapes of two biases do not broadcast.
    ///
    /// # Example
    /// ```
    /// use plies_nn::AttentionMask;
    /// use plies_tensor::Tensor;
    /// let allowed = Tensor::from([[1, 0], [1, 1]]);
    /// let mask = AttentionMask::causal().and(AttentionMask::allow(&allowed));
    /// assert!(mask.causal && mask.bias.is_some());
    /// ```
    #[track_caller]
    pub fn and(self, other: AttentionMask) -> Self {
        let bias = match (self.bias, other.bias) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        AttentionMask { causal: self.causal || other.causal, bias }
    }
}

/// Rows of weights for the values, from products of queries and keys.
///
/// y = eᶻ / Σ eᶻ with z = s · scale + bias for the keys before `end`, and -∞ for the others; 0 where z is
/// -∞ along the whole row.
///
/// # Shapes
/// s [..., T, S], bias, position `[S]` and end [..., T, 1] broadcast to it -> y [..., T, S]
///
/// # Gradient
/// d_bias = y · (d_y - Σ d_y · y), d_s = d_bias · scale: 0 where y is, hence without a mask
struct Weigh {
    scale: f64,
    position: Tensor,
    end: Tensor,
}

impl Op for Weigh {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn forward(&self, inputs: &[&Tensor]) -> Tensor {
        let none = Tensor::zeros([], inputs[0].dtype(), inputs[0].device());
        let bias = inputs.get(1).copied().unwrap_or(&none);
        let f = formula!(|s, bias, position, end; scale| {
            let z = position.lt(end).select(s * scale + bias, f64::NEG_INFINITY);
            let largest = z.row_max();
            let e = (z - largest.eq(f64::NEG_INFINITY).select(0.0, largest)).exp();
            let sum = e.row_sum();
            e * sum.eq(0.0).select(0.0, sum.recip())
        });
        Tensor::map(f, &[inputs[0], bias, &self.position, &self.end], &[self.scale])
    }

    fn vjp(&self, inputs: &[Var], y: &Var, d_y: &Var) -> Vec<Option<Var>> {
        let f = formula!(|d, y; scale| scale * (y * (d - (d * y).row_sum())));
        let d_z = |scale: f64| Var::map(f, &[d_y, y], &[scale]);
        let wanted: Vec<bool> = inputs.iter().map(Var::requires_grad).collect();
        match (inputs, &wanted[..]) {
            ([_, bias], [_, true]) => {
                let d_z = d_z(1.0);
                let d_bias = d_z.sum_to(bias.shape());
                vec![wanted[0].then(|| d_z * self.scale), Some(d_bias)]
            }
            _ => vec![Some(d_z(self.scale)), None][..inputs.len()].to_vec(),
        }
    }

    fn reads(&self, _inputs: &[&Var]) -> Reads {
        Reads::OUTPUT
    }
}

/// How many keys each query sees: its sequence's, and with `causal` none after it, where the sequence's
/// last query stands at its last key. A query beyond the end of its own sequence sees none.
///
/// # Shapes
/// scores [B, ..., T, S] -> [B or 1, 1, ..., T or 1, 1]
fn ends(
    scores: &Tensor,
    lengths: Option<&[usize]>,
    of_queries: Option<&[usize]>,
    causal: bool,
) -> Tensor {
    let (queries, keys) = (scores.dim(-2), scores.dim(-1));
    let rows = if causal || of_queries.is_some() { queries } else { 1 };
    let batch = if lengths.is_some() || of_queries.is_some() { scores.dim(0) } else { 1 };
    let end = |row: usize| {
        let (b, i) = (row / rows, row % rows);
        let keys = lengths.map_or(keys, |lengths| lengths[b]);
        let queries = of_queries.map_or(queries, |lengths| lengths[b]);
        match i < queries {
            true if causal => (i + 1 + keys).saturating_sub(queries),
            true => keys,
            false => 0,
        }
    };
    let mut shape = Shape::from([1].repeat(scores.rank()));
    shape[0] = batch;
    let at = scores.rank() - 2;
    // Of a single matrix the first axis is that of the queries.
    shape[at] = if at == 0 { rows } else { shape[at] * rows };
    lengths::counts((0..batch * rows).map(end), shape, scores.dtype(), scores.device())
}

/// Attends with what has been checked; `of_queries` are the lengths of the sequences of queries.
pub(crate) fn attend(
    [q, k, v]: [&Var; 3],
    [lengths, of_queries]: [Option<&[usize]>; 2],
    causal: bool,
    bias: Option<&Var>,
    dropout: &Dropout,
    pass: &mut Pass,
) -> (Var, Var) {
    let scores = q.matmul(&k.t()); // [..., T, S]
    let keys = k.dim(-2);
    let op = Weigh {
        scale: 1.0 / (q.dim(-1) as f64).sqrt(),
        position: lengths::counts(0..keys, [keys], q.dtype(), q.device()),
        end: ends(scores.value(), lengths, of_queries, causal),
    };
    let weights = match bias {
        Some(bias) => apply(op, &[&scores, &bias.to_dtype(q.dtype())]),
        None => apply(op, &[&scores]),
    };
    let y = dropout.forward(&weights, pass).matmul(v); // [..., T, D]
    (y, weights)
}

/// Reads from values by the likeness of queries and keys: y = softmax(q kᵀ / √D + bias) v. Returns y and
/// the weights, as they are before dropout.
///
/// With `lengths`, the keys of member b of the batch end after `lengths[b]`; keys and values beyond take
/// no part, but must be finite. A query that sees no key, because of the lengths or the mask, gives
/// weights of 0 and y = 0, and gradients of 0. In a training pass each weight is dropped with probability
/// `dropout`.
///
/// # Shapes
/// q [B, ..., T, D], k [B, ..., S, D], v [B, ..., S, O], bias broadcast to [B, ..., T, S]
/// -> y [B, ..., T, O], weights [B, ..., T, S]
///
/// # Gradient
/// d_v = weightsᵀ · d_y; d_weights = d_y · vᵀ; d_z = weights · (d_weights - Σ d_weights · weights), along
/// the keys; d_q = d_z · k / √D, d_k = d_zᵀ · q / √D
///
/// # Panics
/// When the shapes are others, there are not B lengths or one is above S, or `dropout` is not a
/// probability.
///
/// # Source
/// Vaswani et al.: Attention is all you need (2017), equation 1.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{AttentionMask, Pass, scaled_dot_product_attention};
/// use plies_tensor::Tensor;
/// let q = Var::constant(Tensor::from([[[0f32, 0.0]]])); // like all keys
/// let k = Var::constant(Tensor::from([[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]]));
/// let v = Var::constant(Tensor::from([[[10f32], [20.0], [90.0]]]));
/// let (mask, pass) = (AttentionMask::default(), &mut Pass::eval());
/// let (y, weights) = scaled_dot_product_attention([&q, &k, &v], Some(&[2]), &mask, 0.0, pass);
/// assert_eq!(weights.to_vec::<f32>().unwrap(), [0.5, 0.5, 0.0]);
/// assert_eq!(y.to_vec::<f32>().unwrap(), [15.0]);
/// ```
#[track_caller]
pub fn scaled_dot_product_attention(
    [q, k, v]: [&Var; 3],
    lengths: Option<&[usize]>,
    mask: &AttentionMask,
    dropout: f64,
    pass: &mut Pass,
) -> (Var, Var) {
    let name = "scaled_dot_product_attention";
    let rank = q.rank();
    let lead = |x: &Var| Shape::from(&x.dims()[..rank - 2]);
    assert!(
        rank >= 2
            && [k.rank(), v.rank()] == [rank, rank]
            && [lead(k), lead(v)] == [lead(q), lead(q)]
            && q.dim(-1) == k.dim(-1)
            && k.dim(-2) == v.dim(-2),
        "{name}: q {}, k {}, v {}; expected [..., T, D], [..., S, D] and [..., S, O]",
        q.shape(),
        k.shape(),
        v.shape()
    );
    if let Some(lengths) = lengths {
        assert!(rank > 2, "{name}: lengths of q {}, which is no batch", q.shape());
        lengths::check(name, lengths, [q.dim(0), k.dim(-2)]);
    }
    let mut scores = lead(q);
    scores.push(q.dim(-2));
    scores.push(k.dim(-2));
    check_bias(name, mask.bias.as_ref(), scores);
    let dropout = Dropout::new(dropout);
    attend([q, k, v], [lengths, None], mask.causal, mask.bias.as_ref(), &dropout, pass)
}

#[track_caller]
pub(crate) fn check_bias(layer: &str, bias: Option<&Var>, scores: Shape) {
    let Some(bias) = bias else { return };
    assert!(
        bias.shape().broadcast(&scores) == Some(scores),
        "{layer}: a mask {} for queries and keys {scores}",
        bias.shape()
    );
}
