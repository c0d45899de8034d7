//! Layers one after another.

use std::fmt;
use std::ops::{Index, IndexMut};

use plies_autograd::Var;

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// y = fₙ(… f₂(f₁(x))); parameters are named by their layer's name, or its position if it has none,
/// `0.weight`, as in PyTorch's `Sequential`.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Linear, Module, Sequential};
/// use plies_tensor::Rng;
/// let mut rng = Rng::new(1);
/// let mut model = Sequential::new()
///     .push(Linear::new(2, 8, &mut rng))
///     .push(Activation::Tanh)
///     .push_named("head", Linear::new(8, 1, &mut rng));
/// let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "head.weight", "head.bias"]);
/// // Another head for the same body, and the old one elsewhere.
/// let head = model.remove(2);
/// model.insert(2, Linear::new(8, 3, &mut rng));
/// assert_eq!((model.len(), model[2].parameter_count()), (3, 27));
/// let other = Sequential::new().push(head);
/// assert_eq!(other.parameter_count(), 9);
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Named>,
}

/// A layer, and its name if it is not its position.
struct Named {
    name: Option<String>,
    layer: Box<dyn Module>,
}

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a layer.
    pub fn push(mut self, layer: impl Module + 'static) -> Self {
        self.insert(self.len(), layer);
        self
    }

    /// Appends a layer by the name that its parameters go by, in place of its position.
    ///
    /// # Panics
    /// When another layer has the name, it could be a position, or it is empty or dotted.
    #[track_caller]
    pub fn push_named(mut self, name: &str, layer: impl Module + 'static) -> Self {
        let is_position = name.bytes().all(|byte| byte.is_ascii_digit());
        assert!(
            !is_position && !name.contains('.'),
            "sequential: \"{name}\" is not the name of a layer"
        );
        assert!(
            self.layers.iter().all(|other| other.name.as_deref() != Some(name)),
            "sequential: two layers named \"{name}\""
        );
        self.layers.push(Named { name: Some(name.to_owned()), layer: Box::new(layer) });
        self
    }

    /// Puts a layer in front of the one at a position; those behind it move on.
    ///
    /// # Panics
    /// When the position is behind the end.
    #[track_caller]
    pub fn insert(&mut self, position: usize, layer: impl Module + 'static) {
        let n = self.len();
        assert!(position <= n, "sequential: position {position} among {n} layers");
        self.layers.insert(position, Named { name: None, layer: Box::new(layer) });
    }

    /// Takes the layer at a position out; those behind it move up.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn remove(&mut self, position: usize) -> Box<dyn Module> {
        let n = self.len();
        assert!(position < n, "sequential: position {position} among {n} layers");
        self.layers.remove(position).layer
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &dyn Module> + ExactSizeIterator {
        self.layers.iter().map(|named| named.layer.as_ref())
    }

    /// The layers' names, those of their parameters without what follows the dot, in order.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.layers.iter().enumerate().map(|(i, named)| named.name_at(i))
    }
}

impl Named {
    fn name_at(&self, position: usize) -> String {
        self.name.clone().unwrap_or_else(|| position.to_string())
    }
}

impl Index<usize> for Sequential {
    type Output = dyn Module;

    #[track_caller]
    fn index(&self, position: usize) -> &(dyn Module + 'static) {
        self.layers[position].layer.as_ref()
    }
}

impl IndexMut<usize> for Sequential {
    #[track_caller]
    fn index_mut(&mut self, position: usize) -> &mut (dyn Module + 'static) {
        self.layers[position].layer.as_mut()
    }
}

/// The layers' parameters: `Sequential(0.weight [8, 2], 0.bias [8])`.
impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.named_parameters();
        let parameters: Vec<String> =
            parameters.iter().map(|(name, p)| format!("{name} {}", p.shape())).collect();
        write!(f, "Sequential({})", parameters.join(", "))
    }
}

impl Module for Sequential {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.iter().fold(x.clone(), |x, layer| layer.forward(&x, pass))
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let mut layers = self.names().zip(self.iter());
        layers.try_fold(x.clone(), |x, (name, layer)| graph.child(&name, layer, &x))
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, named) in self.layers.iter().enumerate() {
            visitor.child(&named.name_at(i), named.layer.as_ref());
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        for (i, named) in self.layers.iter_mut().enumerate() {
            visitor.child(&named.name_at(i), named.layer.as_mut());
        }
    }
}
