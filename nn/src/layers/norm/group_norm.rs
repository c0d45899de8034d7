//! Groups of channels of each example: y = (x - μ) / √(σ² + ε) · weight + bias, μ and σ² over a group's channels
//! and places, weight and bias of each channel.

use plies_autograd::Var;

use super::{Affine, EPS, check_channels, normalise};
use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// Normalises groups of channels of each example: μ and σ² over C / groups channels and all places.
/// With one group for each channel it is instance normalisation.
///
/// # Shapes
/// x [B, C, ...], weight and bias `[C]` -> [B, C, ...]
///
/// # Source
/// Wu, He: Group normalization (2018); with groups = C: Ulyanov, Vedaldi, Lempitsky: Instance
/// normalization (2016).
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{GroupNorm, Module, Pass};
/// use plies_tensor::Tensor;
/// let x = Var::constant(Tensor::from([[[1f32, 3.0], [5.0, 5.0]]])); // two channels of two places
/// let y = GroupNorm::new(2, 2).forward(&x, &mut Pass::eval());
/// for (y, expected) in y.to_vec::<f32>().unwrap().into_iter().zip([-1.0, 1.0, 0.0, 0.0]) {
///     assert!((y - expected).abs() < 1e-4f32);
/// }
/// ```
#[derive(Debug)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    affine: Affine,
    eps: f64,
}

impl GroupNorm {
    /// For C channels in `groups` groups; weight 1, bias 0, ε = 1e-5.
    ///
    /// # Panics
    /// When the channels cannot be divided so.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> Self {
        assert!(
            groups > 0 && channels.is_multiple_of(groups),
            "group_norm: {channels} channels in {groups} groups"
        );
        let affine = Affine::new("group_norm", [channels].into());
        GroupNorm { groups, channels, affine, eps: EPS }
    }

    /// The same layer without weight and bias.
    pub fn without_affine(mut self) -> Self {
        self.affine = Affine { weight: None, bias: None };
        self
    }

    /// Another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }
}

impl Module for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        let (groups, channels) = (self.groups, self.channels);
        check_channels("group_norm", x, channels);
        let places: usize = x.dims()[2..].iter().product();
        let n = channels / groups * places;
        // Each channel's number, at each of its places: [G, N].
        let at_places =
            |v: &Var| v.unsqueeze(1).broadcast_to([channels, places]).reshape([groups, n]);
        let rows = x.reshape([x.dim(0), groups, n]);
        normalise(&rows, self.affine.spread(x, at_places), self.eps).reshape(x.shape())
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let [weight, bias] = self.affine.export(x, [self.channels].into(), graph);
        let attributes = [("num_groups", self.groups.into()), ("epsilon", self.eps.into())];
        Ok(graph.op("GroupNormalization", &[x, &weight, &bias], attributes))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.affine.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.affine.visit_mut(visitor);
    }
}
