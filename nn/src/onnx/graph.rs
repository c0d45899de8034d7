//! A graph while it is being written: nodes, the tensors that they read, what goes in and comes out.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use plies_tensor::{DType, Tensor};

use super::{Error, Result};
use crate::Module;
use crate::visitor::Path;

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A number.
    Float(f32),
    /// A word.
    Text(String),
    /// Words.
    Texts(Vec<String>),
}

impl From<i32> for Attribute {
    fn from(value: i32) -> Self {
        Attribute::Int(value.into())
    }
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Attribute::Int(value)
    }
}

impl From<usize> for Attribute {
    fn from(value: usize) -> Self {
        Attribute::Int(value as i64)
    }
}

impl From<&[usize]> for Attribute {
    fn from(values: &[usize]) -> Self {
        Attribute::Ints(values.iter().map(|&value| value as i64).collect())
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(values: Vec<i64>) -> Self {
        Attribute::Ints(values)
    }
}

impl From<f64> for Attribute {
    fn from(value: f64) -> Self {
        Attribute::Float(value as f32)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Attribute::Text(value.to_owned())
    }
}

impl From<Vec<&str>> for Attribute {
    fn from(values: Vec<&str>) -> Self {
        Attribute::Texts(values.into_iter().map(str::to_owned).collect())
    }
}

/// The size of an axis of what goes into a graph or comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always the same.
    Fixed(usize),
    /// Any; the same wherever the name is the same.
    Named(String),
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Dim::Fixed(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Dim::Named(name.to_owned())
    }
}

/// What is computed: an operator, its inputs (without a name where one is left out) and outputs.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: &'static str,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

/// What is known beforehand.
#[derive(Debug)]
pub(super) enum Constant {
    Tensor(Tensor),
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "text shows their names"))]
    Ints(Vec<i64>),
}

/// What goes in or comes out.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) dims: Vec<Dim>,
}

#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<(String, Constant)>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    names: HashSet<String>,
    path: Path,
    lengths: Option<String>,
}

impl Parts {
    /// The nodes that the results need, and the names that those read or write.
    pub(super) fn needed(&self) -> (Vec<&Node>, HashSet<&str>) {
        let mut names: HashSet<&str> = self.outputs.iter().map(|port| &*port.name).collect();
        let mut nodes = Vec::new();
        // Each node stands behind those that it reads.
        for node in self.nodes.iter().rev() {
            let is_read = node.outputs.iter().any(|name| names.contains(&**name));
            if is_read || self.outputs.is_empty() {
                names.extend(node.inputs.iter().chain(&node.outputs).map(String::as_str));
                nodes.push(node);
            }
        }
        nodes.reverse();
        (nodes, names)
    }
}

/// A graph of ONNX's operators, written by the layers of a model one after another. A handle: its clones
/// are the same graph.
///
/// `Display` shows it as text, an operator a line.
///
/// # Example
/// ```
/// use plies_nn::onnx::Graph;
/// use plies_nn::{Linear, Module};
/// use plies_tensor::{DType, Rng};
/// let graph = Graph::new();
/// let x = graph.input("x", DType::F32, ["batch".into(), 3.into()]);
/// let y = Linear::new(3, 2, &mut Rng::new(1)).export(&x, &graph).unwrap().tanh();
/// graph.output("y", &y, ["batch".into(), 2.into()]);
/// assert_eq!(
///     graph.to_string(),
///     "x: f32 [batch, 3]\n\
///      weight: f32 [2, 3]\n\
///      bias: f32 [2]\n\
///      Transpose = Transpose(weight) perm=[1, 0]\n\
///      MatMul = MatMul(x, Transpose)\n\
///      Add = Add(MatMul, bias)\n\
///      y = Tanh(Add)\n\
///      -> y: f32 [batch, 2]\n"
/// );
/// # use plies_tensor::Elementwise;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Graph(pub(super) Rc<RefCell<Parts>>);

/// A value in a [`Graph`]. It is a tensor's stand-in: operators and all functions of
/// [`Elementwise`](plies_tensor::Elementwise) write nodes instead of computing.
#[derive(Clone, Debug)]
pub struct Value {
    pub(super) graph: Graph,
    pub(super) name: String,
    pub(super) dtype: DType,
}

impl Graph {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the graph is given under a name.
    pub fn input(&self, name: &str, dtype: DType, dims: impl IntoIterator<Item = Dim>) -> Value {
        let name = self.unique(name);
        let dims = dims.into_iter().collect();
        self.0.borrow_mut().inputs.push(Port { name: name.clone(), dtype, dims });
        self.value(name, dtype)
    }

    /// How many steps each sequence of the batch has, an input of integers `[B]` that recurrent layers read
    /// from now on.
    pub fn lengths(&self, name: &str, batch: impl Into<Dim>) {
        let lengths = self.input(name, DType::I32, [batch.into()]);
        self.0.borrow_mut().lengths = Some(lengths.name);
    }

    pub(crate) fn sequence_lengths(&self) -> Option<Value> {
        let name = self.0.borrow().lengths.clone()?;
        Some(self.value(name, DType::I32))
    }

    /// Makes a value a result of the graph, under a name.
    pub fn output(&self, name: &str, value: &Value, dims: impl IntoIterator<Item = Dim>) {
        let name = self.unique(name);
        let parts = &mut *self.0.borrow_mut();
        let is_taken = parts.outputs.iter().any(|port| port.name == value.name);
        let made = parts.nodes.iter().any(|node| node.outputs.contains(&value.name));
        if made && !is_taken {
            for node in &mut parts.nodes {
                let names = node.inputs.iter_mut().chain(&mut node.outputs);
                names.filter(|other| **other == value.name).for_each(|other| *other = name.clone());
            }
        } else {
            let (inputs, outputs) = (vec![value.name.clone()], vec![name.clone()]);
            parts.nodes.push(Node { op: "Identity", inputs, outputs, attributes: vec![] });
        }
        let dims = dims.into_iter().collect();
        parts.outputs.push(Port { name, dtype: value.dtype, dims });
    }

    /// A parameter or another tensor of the layer that is being exported, by its part of the name.
    pub fn tensor(&self, name: &str, tensor: &Tensor) -> Value {
        let name = self.inside(name, ".");
        let same = |(known, constant): &(String, Constant)| {
            *known == name && matches!(constant, Constant::Tensor(t) if is_same(t, tensor))
        };
        let known = self.0.borrow().constants.iter().any(same);
        let name =
            if known { name } else { self.constant(&name, Constant::Tensor(tensor.clone())) };
        self.value(name, tensor.dtype())
    }

    /// Integers of 64 bits, which operators take for shapes and axes.
    pub fn ints(&self, values: &[i64]) -> Value {
        let name = format!("{values:?}");
        let known = self.0.borrow().names.contains(&name);
        let ints = || Constant::Ints(values.to_vec());
        let name = if known { name } else { self.constant(&name, ints()) };
        self.value(name, DType::I32)
    }

    /// A number, of the dtype of what it meets.
    pub(crate) fn number(&self, value: f64, dtype: DType) -> Value {
        let name = format!("{value:?} {dtype}");
        let known = self.0.borrow().names.contains(&name);
        let number = || Tensor::scalar(value).to_dtype(dtype);
        let name = if known { name } else { self.constant(&name, Constant::Tensor(number())) };
        self.value(name, dtype)
    }

    /// The result of an operator, which has the dtype of the first input.
    pub fn op(
        &self,
        op: &'static str,
        inputs: &[&Value],
        attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
    ) -> Value {
        let inputs: Vec<Option<&Value>> = inputs.iter().map(|&input| Some(input)).collect();
        self.ops(op, &inputs, 1, attributes).swap_remove(0)
    }

    /// The `n` results of an operator, some of whose inputs may be left out.
    pub fn ops(
        &self,
        op: &'static str,
        inputs: &[Option<&Value>],
        n: usize,
        attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
    ) -> Vec<Value> {
        let dtype = inputs.iter().flatten().next().map_or(DType::F32, |input| input.dtype);
        let outputs: Vec<String> = (0..n).map(|_| self.unique(&self.inside(op, "/"))).collect();
        let last = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let name = |input: &Option<&Value>| input.map_or(String::new(), |input| input.name.clone());
        self.0.borrow_mut().nodes.push(Node {
            op,
            inputs: inputs[..last].iter().map(name).collect(),
            outputs: outputs.clone(),
            attributes: attributes.into_iter().collect(),
        });
        outputs.into_iter().map(|name| self.value(name, dtype)).collect()
    }

    /// The output of a layer inside the one that is being exported; names as in
    /// [`visit`](Module::visit).
    ///
    /// # Errors
    /// The child's.
    pub fn child(&self, name: &str, child: &dyn Module, x: &Value) -> Result<Value> {
        self.within(name, |graph| child.export(x, graph))
    }

    /// What `f` writes, as a part of this name of the layer that is being exported.
    pub fn within<T>(&self, name: &str, f: impl FnOnce(&Graph) -> T) -> T {
        let depth = self.0.borrow_mut().path.enter(name);
        let y = f(self);
        self.0.borrow_mut().path.leave(depth);
        y
    }

    /// That the layer that is being exported cannot be, and why.
    pub fn error(&self, reason: impl fmt::Display) -> Error {
        Error::Layer { path: self.0.borrow().path.0.clone(), reason: reason.to_string() }
    }

    /// For layers that do not say how they are exported.
    pub(crate) fn unsupported(&self, layer: &str) -> Error {
        let layer = layer.split('<').next().and_then(|path| path.rsplit("::").next());
        Error::Unsupported {
            path: self.0.borrow().path.0.clone(),
            layer: layer.unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn value(&self, name: String, dtype: DType) -> Value {
        Value { graph: self.clone(), name, dtype }
    }

    fn constant(&self, name: &str, constant: Constant) -> String {
        let name = self.unique(name);
        self.0.borrow_mut().constants.push((name.clone(), constant));
        name
    }

    /// A name of the layer that is being exported.
    fn inside(&self, name: &str, separator: &str) -> String {
        let path = &self.0.borrow().path.0;
        if path.is_empty() { name.to_owned() } else { format!("{path}{separator}{name}") }
    }

    /// The name, or one like it that nothing has.
    fn unique(&self, name: &str) -> String {
        let names = &mut self.0.borrow_mut().names;
        let mut candidates =
            std::iter::once(name.to_owned()).chain((2..).map(|i: usize| format!("{name}_{i}")));
        candidates.find(|name| names.insert(name.clone())).unwrap_or_default()
    }
}

fn is_same(a: &Tensor, b: &Tensor) -> bool {
    let bits = |t: &Tensor| {
        let numbers = t.to_f64_vec().ok()?;
        Some(numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>())
    };
    a.dtype() == b.dtype() && a.dims() == b.dims() && bits(a).is_some() && bits(a) == bits(b)
}

impl Value {
    /// The graph that it belongs to.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The product of matrices, over any leading axes.
    pub fn matmul(&self, other: &Value) -> Value {
        self.graph.op("MatMul", &[self, other], [])
    }

    /// The axes in another order.
    pub fn permute(&self, axes: &[i64]) -> Value {
        self.graph.op("Transpose", &[self], [("perm", axes.to_vec().into())])
    }

    /// The elements in another shape; 0 stands for the size that the axis has, -1 for what is left.
    pub fn reshape(&self, dims: &[i64]) -> Value {
        self.graph.op("Reshape", &[self, &self.graph.ints(dims)], [])
    }

    /// The axes from `first` to `last`, both included, as axes of these sizes; -1 is the last axis, or the
    /// size that is left.
    pub fn replace_axes(&self, first: i64, last: i64, sizes: &[i64]) -> Value {
        let graph = &self.graph;
        let shape = graph.op("Shape", &[self], []);
        let part = |from: i64, to: i64| {
            graph.op("Slice", &[&shape, &graph.ints(&[from]), &graph.ints(&[to])], [])
        };
        let before = (first != 0).then(|| part(0, first));
        let behind = (last != -1).then(|| part(last + 1, i64::MAX));
        let sizes = graph.ints(sizes);
        let dims: Vec<&Value> = before.iter().chain([&sizes]).chain(&behind).collect();
        graph.op("Reshape", &[self, &Value::cat(&dims, 0)], [])
    }

    /// The size of an axis, -1 being the last: 64-bit integers `[1]`.
    pub fn size(&self, axis: i64) -> Value {
        let mut part = vec![("start", axis.into())];
        if axis != -1 {
            part.push(("end", (axis + 1).into()));
        }
        self.graph.op("Shape", &[self], part)
    }

    /// 0, 1, … for each place along an axis: I32 `[N]`.
    pub fn positions(&self, axis: i64) -> Value {
        let scalar = |value: &Value| self.graph.op("Squeeze", &[value], []);
        let [zero, one] = [0, 1].map(|i| scalar(&self.graph.ints(&[i])));
        let range = self.graph.op("Range", &[&zero, &scalar(&self.size(axis)), &one], []);
        range.to_dtype(DType::I32)
    }

    /// `self` where `condition` is true, else a number.
    pub(crate) fn only_where(&self, condition: &Value, otherwise: f64) -> Value {
        let otherwise = self.graph.number(otherwise, self.dtype);
        let y = self.graph.op("Where", &[condition, self, &otherwise], []);
        Value { dtype: self.dtype, ..y }
    }

    /// Sequences [B, T, …] with 0 behind their ends, where the graph has lengths.
    pub(crate) fn within_lengths(&self) -> Value {
        let Some(lengths) = self.graph.sequence_lengths() else { return self.clone() };
        let position = self.positions(1).reshape(&[-1, 1]);
        let is_step = self.graph.op("Less", &[&position, &lengths.reshape(&[-1, 1, 1])], []);
        self.only_where(&is_step, 0.0)
    }

    /// The numbers in another dtype.
    pub fn to_dtype(&self, dtype: DType) -> Value {
        let to = [("to", super::element_type(dtype).into())];
        Value { dtype, ..self.graph.op("Cast", &[self], to) }
    }

    /// What its elements are.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// eˣ / Σ eˣ along an axis.
    pub fn softmax(&self, axis: i64) -> Value {
        self.graph.op("Softmax", &[self], [("axis", axis.into())])
    }

    /// Values side by side along an axis.
    ///
    /// # Panics
    /// When there are none.
    #[track_caller]
    pub fn cat(values: &[&Value], axis: i64) -> Value {
        assert!(!values.is_empty(), "cat: no values");
        values[0].graph.op("Concat", values, [("axis", axis.into())])
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Int(value) => write!(f, "{value}"),
            Attribute::Ints(values) => write!(f, "{values:?}"),
            Attribute::Float(value) => write!(f, "{value:?}"),
            Attribute::Text(value) => write!(f, "{value:?}"),
            Attribute::Texts(values) => write!(f, "{values:?}"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(Dim::to_string).collect();
        write!(f, "{}: {} [{}]", self.name, self.dtype, dims.join(", "))
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0.borrow();
        let (nodes, names) = parts.needed();
        for input in &parts.inputs {
            writeln!(f, "{input}")?;
        }
        for (name, constant) in &parts.constants {
            match constant {
                // The names of numbers are what they are.
                Constant::Tensor(t) if t.rank() > 0 && names.contains(&**name) => {
                    writeln!(f, "{name}: {} {}", t.dtype(), t.shape())?;
                }
                Constant::Tensor(_) | Constant::Ints(_) => {}
            }
        }
        for Node { op, inputs, outputs, attributes } in nodes {
            write!(f, "{} = {op}({})", outputs.join(", "), inputs.join(", "))?;
            for (name, attribute) in attributes {
                write!(f, " {name}={attribute}")?;
            }
            writeln!(f)?;
        }
        for output in &parts.outputs {
            writeln!(f, "-> {output}")?;
        }
        Ok(())
    }
}
