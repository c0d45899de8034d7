//! What layers have in common.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use plies_autograd::Var;
use plies_tensor::{Device, Rng, Tensor};

use crate::onnx::{self, Graph, Value};
use crate::visitor::{Found, FoundMut, Visitor, VisitorMut};

/// How a forward pass is meant: training, with the random numbers it may draw, or evaluation; how long the
/// sequences of the batch are, if they are not all of one length; and what should come out, for a model that
/// is told as it goes along.
///
/// It is an argument rather than a hidden state of the layers, so that a model can be evaluated
/// while it is being trained, and the same seed always drops the same units.
///
/// # Example
/// ```
/// use plies_nn::Pass;
/// use plies_tensor::Rng;
/// assert!(!Pass::eval().training());
/// assert!(Pass::train(Rng::new(1)).training());
/// ```
#[derive(Clone, Debug)]
pub struct Pass {
    rng: Option<Rng>,
    lengths: Option<Arc<[usize]>>,
    targets: Option<Tensor>,
}

impl Pass {
    /// Nothing random: dropout passes everything.
    pub fn eval() -> Self {
        Pass { rng: None, lengths: None, targets: None }
    }

    /// Training, with random numbers from `rng`.
    pub fn train(rng: Rng) -> Self {
        Pass { rng: Some(rng), lengths: None, targets: None }
    }

    /// The same for sequences that have so many steps each, and padding after them: layers along time
    /// read no more in [`forward`](Module::forward).
    ///
    /// # Example
    /// ```
    /// use plies_nn::{Module, Pass, SequencePool, Var};
    /// use plies_tensor::Tensor;
    /// let x = Var::constant(Tensor::from([[[1f32], [3.0]], [[5.0], [f32::NAN]]])); // [2, 2, 1]
    /// let y = SequencePool::Mean.forward(&x, &mut Pass::eval().with_lengths(Some(vec![2, 1])));
    /// assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 5.0]);
    /// ```
    pub fn with_lengths(self, lengths: Option<Vec<usize>>) -> Self {
        Pass { lengths: lengths.map(Arc::from), ..self }
    }

    /// How many steps each sequence has, unless all have as many as there are.
    pub fn lengths(&self) -> Option<Arc<[usize]>> {
        self.lengths.clone()
    }

    /// The same with what the batch's outputs should be, for a model that writes a sequence and is given the
    /// right beginning of it at each step (teacher forcing). [`fit`](crate::train::fit) says so in training,
    /// and when it measures held-out examples; nobody does where a model is used.
    ///
    /// # Source
    /// Williams, Zipser: A learning algorithm for continually running fully recurrent neural networks (1989).
    ///
    /// # Example
    /// ```
    /// use plies_nn::{Embedding, Module, Pass, Var, Visitor, VisitorMut};
    /// use plies_tensor::{Rng, Tensor};
    ///
    /// /// The letter that comes next, from the one before; the first comes after letter 0.
    /// struct Bigrams(Embedding);
    /// impl Module for Bigrams {
    ///     fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
    ///         let word = pass.targets().expect("it only learns"); // [B, T]
    ///         let before = word.pad(1, 1, 0, 0.0).slice(1, ..word.dim(1));
    ///         assert_eq!((x.dim(0), before.to_vec::<i32>().unwrap()), (1, vec![0, 2, 1]));
    ///         self.0.of(&before) // logits [B, T, V]
    ///     }
    /// #   fn visit(&self, visitor: &mut Visitor<'_>) {
    /// #       visitor.child("table", &self.0);
    /// #   }
    /// #   fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
    /// #       visitor.child("table", &mut self.0);
    /// #   }
    ///     // …
    /// }
    /// let model = Bigrams(Embedding::new(3, 3, &mut Rng::new(1)));
    /// let mut pass = Pass::eval().with_targets(Some(Tensor::from([[2, 1, 0]])));
    /// assert_eq!(model.forward(&Var::constant(Tensor::from([7])), &mut pass).dims(), [1, 3, 3]);
    /// ```
    #[doc(alias = "teacher forcing")]
    pub fn with_targets(self, targets: Option<Tensor>) -> Self {
        Pass { targets, ..self }
    }

    /// What the outputs should be, where that is known.
    pub fn targets(&self) -> Option<&Tensor> {
        self.targets.as_ref()
    }

    /// Whether this is a training pass.
    pub fn training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random numbers of a training pass.
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }
}

/// A function with parameters.
///
/// Besides [`forward`](Module::forward) a module says what it holds, once to be read and once to be
/// changed: parameters, which are trained; buffers, which are saved with the model but not trained;
/// and other modules. Names are dotted as in PyTorch's `state_dict`, such as `layers.0.weight`; a
/// module names its own part.
///
/// A parameter that stands in several places, such as an embedding that is the weight of the last layer
/// too, is one leaf with a handle ([`Var`]) in each place. It is visited in each, for files have all of its
/// names, as PyTorch's `state_dict` does; but whoever walks over the parameters
/// ([`for_each_parameter`](Module::for_each_parameter) and what is made of it: steps, bounds of gradients,
/// penalties, counts) sees it once, by its first name, as `parameters()` does there.
///
/// # Example
/// ```
/// use plies_autograd::Var;
/// use plies_nn::{Linear, Module, Pass, Visitor, VisitorMut};
/// use plies_tensor::{Elementwise, Rng, Tensor};
///
/// /// y = x + scale · tanh(W x + b)
/// struct Residual {
///     linear: Linear,
///     scale: Var,
/// }
/// impl Module for Residual {
///     fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
///         x + &self.scale * self.linear.forward(x, pass).tanh()
///     }
///     fn visit(&self, visitor: &mut Visitor<'_>) {
///         visitor.child("linear", &self.linear);
///         visitor.parameter("scale", &self.scale);
///     }
///     fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
///         visitor.child("linear", &mut self.linear);
///         visitor.parameter("scale", &mut self.scale);
///     }
/// }
///
/// let scale = Var::leaf(Tensor::from([2f32, 3.0]));
/// let block = Residual { linear: Linear::new(2, 2, &mut Rng::new(1)), scale };
/// let names: Vec<String> = block.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["linear.weight", "linear.bias", "scale"]);
/// assert_eq!(block.parameter_count(), 4 + 2 + 2);
/// ```
pub trait Module: Send + Sync {
    /// The output for an input.
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var;

    /// Shows `visitor` each parameter, buffer and child with its part of the name, always in the
    /// same order.
    fn visit(&self, visitor: &mut Visitor<'_>);

    /// Lends `visitor` the same, in the same order, to be changed.
    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>);

    /// Writes into an ONNX graph what [`forward`](Module::forward) computes in evaluation; see
    /// [`onnx`](crate::onnx). A model that nobody exports needs none.
    ///
    /// # Errors
    /// Where there is none, or a layer inside has what ONNX has not.
    ///
    /// # Example
    /// ```
    /// use plies_nn::onnx::{self, Graph, Value};
    /// use plies_nn::{Linear, Module, Pass, Var, Visitor, VisitorMut};
    /// use plies_tensor::Elementwise;
    ///
    /// /// y = x + scale · tanh(W x + b)
    /// struct Residual {
    ///     linear: Linear,
    ///     scale: Var,
    /// }
    /// impl Module for Residual {
    ///     fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
    ///         x + &self.scale * self.linear.forward(x, pass).tanh()
    ///     }
    ///     fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
    ///         let scale = graph.tensor("scale", self.scale.value());
    ///         Ok(x + scale * graph.child("linear", &self.linear, x)?.tanh())
    ///     }
    /// #   fn visit(&self, visitor: &mut Visitor<'_>) {
    /// #       visitor.child("linear", &self.linear);
    /// #       visitor.parameter("scale", &self.scale);
    /// #   }
    /// #   fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
    /// #       visitor.child("linear", &mut self.linear);
    /// #       visitor.parameter("scale", &mut self.scale);
    /// #   }
    ///     // …
    /// }
    /// ```
    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let _ = x;
        Err(graph.unsupported(std::any::type_name::<Self>()))
    }

    /// Calls `f` with the name of each parameter, the children's among them, and the parameter: once,
    /// by its first name, with one that stands in several places.
    fn for_each_parameter(&self, f: &mut dyn FnMut(&str, &Var)) {
        let mut seen = HashSet::new();
        self.visit(&mut Visitor::new(&mut |name, found| {
            if let Found::Parameter(parameter) = found
                && parameter.leaf_id().is_none_or(|leaf| seen.insert(leaf))
            {
                f(name, parameter);
            }
        }));
    }

    /// Calls `f` with the name of each parameter, and the parameter, to be changed: once, by its first
    /// name, with one that stands in several places, all of which then have what `f` made of it.
    ///
    /// # Example
    /// ```
    /// use plies_nn::{Linear, Module, Pass, Var, Visitor, VisitorMut};
    /// use plies_tensor::{Elementwise, Rng};
    ///
    /// /// y = tanh(x Wᵀ) W
    /// struct Tied {
    ///     there: Var,
    ///     back: Var,
    /// }
    /// impl Module for Tied {
    ///     fn forward(&self, x: &Var, _: &mut Pass) -> Var {
    ///         x.matmul(&self.there.t()).tanh().matmul(&self.back)
    ///     }
    ///     fn visit(&self, visitor: &mut Visitor<'_>) {
    ///         visitor.parameter("there", &self.there);
    ///         visitor.parameter("back", &self.back);
    ///     }
    ///     fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
    ///         visitor.parameter("there", &mut self.there);
    ///         visitor.parameter("back", &mut self.back);
    ///     }
    /// }
    ///
    /// let weight = Linear::new(2, 3, &mut Rng::new(1)).weight().clone(); // [3, 2]
    /// let mut model = Tied { there: weight.clone(), back: weight };
    /// model.for_each_parameter_mut(&mut |name, p| {
    ///     assert_eq!(name, "there");
    ///     *p.value_mut() = p.value() * 2.0;
    /// });
    /// assert_eq!(model.back.to_vec::<f32>().unwrap(), model.there.to_vec::<f32>().unwrap());
    /// assert_eq!(model.parameter_count(), 6);
    /// ```
    #[doc(alias("tied weights", "weight tying", "shared parameters"))]
    fn for_each_parameter_mut(&mut self, f: &mut dyn FnMut(&str, &mut Var)) {
        let mut seen: HashMap<u64, Var> = HashMap::new();
        self.visit_mut(&mut VisitorMut::new(&mut |name, found| {
            let FoundMut::Parameter(parameter) = found else { return };
            let Some(leaf) = parameter.leaf_id() else { return f(name, parameter) };
            match seen.get(&leaf) {
                Some(changed) => *parameter = changed.clone(),
                None => {
                    f(name, parameter);
                    seen.insert(leaf, parameter.clone());
                }
            }
        }));
    }

    /// Calls `f` with the name of each buffer, the children's among them, and the buffer.
    fn for_each_buffer(&self, f: &mut dyn FnMut(&str, &Tensor)) {
        self.visit(&mut Visitor::new(&mut |name, found| {
            if let Found::Buffer(buffer) = found {
                f(name, buffer);
            }
        }));
    }

    /// Calls `f` with the name of each buffer, and the buffer, to be changed.
    fn for_each_buffer_mut(&mut self, f: &mut dyn FnMut(&str, &mut Tensor)) {
        self.visit_mut(&mut VisitorMut::new(&mut |name, found| {
            if let FoundMut::Buffer(buffer) = found {
                f(name, buffer);
            }
        }));
    }

    /// Calls `f` with the name of each output that a [`Probe`](crate::Probe) has kept of the last
    /// forward pass, and the output.
    fn for_each_activation(&self, f: &mut dyn FnMut(&str, &Tensor)) {
        self.visit(&mut Visitor::new(&mut |name, found| {
            if let Found::Activation(output) = found {
                f(name, output);
            }
        }));
    }

    /// All parameters with their names; the handles share the values.
    fn named_parameters(&self) -> Vec<(String, Var)> {
        let mut parameters = Vec::new();
        self.for_each_parameter(&mut |name, p| parameters.push((name.to_owned(), p.clone())));
        parameters
    }

    /// All buffers with their names; the handles share the values.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        let mut buffers = Vec::new();
        self.for_each_buffer(&mut |name, buffer| buffers.push((name.to_owned(), buffer.clone())));
        buffers
    }

    /// Number of trained numbers, those that stand in several places counted once.
    fn parameter_count(&self) -> usize {
        let mut count = 0;
        self.for_each_parameter(&mut |_, parameter| count += parameter.elem_count());
        count
    }

    /// Where the parameters are: the device of the first one, or the CPU.
    fn device(&self) -> Device {
        let mut device = None;
        self.for_each_parameter(&mut |_, parameter| {
            device.get_or_insert_with(|| parameter.device().clone());
        });
        device.unwrap_or_default()
    }

    /// Moves parameters and buffers to another device, where the passes then run; gradients are left behind.
    /// [`fit`](crate::train::fit) and [`evaluate`](crate::train::evaluate) bring each batch after them.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Example
    /// ```
    /// use plies_nn::{Linear, Module};
    /// use plies_tensor::{Device, Rng};
    /// let mut layer = Linear::new(3, 2, &mut Rng::new(1));
    /// layer.to_device(&Device::cpu()).unwrap();
    /// assert_eq!(layer.device(), Device::cpu());
    /// ```
    fn to_device(&mut self, device: &Device) -> plies_tensor::Result<()> {
        let mut outcome = Ok(());
        let mut to_move = |tensor: &mut Tensor| match tensor.to_device(device) {
            Ok(moved) => *tensor = moved,
            Err(fault) => outcome = Err(fault),
        };
        self.for_each_parameter_mut(&mut |_, parameter| {
            parameter.zero_grad();
            to_move(parameter.value_mut());
        });
        self.for_each_buffer_mut(&mut |_, buffer| to_move(buffer));
        outcome
    }

    /// Forgets all accumulated gradients.
    fn zero_grad(&self) {
        self.for_each_parameter(&mut |_, parameter| parameter.zero_grad());
    }
}

/// A boxed layer is a layer: one that was taken out of a [`Sequential`](crate::Sequential) goes into another.
impl<M: Module + ?Sized> Module for Box<M> {
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        (**self).forward(x, pass)
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        (**self).export(x, graph)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        (**self).visit_mut(visitor);
    }
}
