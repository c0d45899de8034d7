//! Models as ONNX graphs, for runtimes that know nothing of this crate.
//!
//! [`Module::export`] says in ONNX's operators what [`Module::forward`] computes in evaluation: the same lines
//! with a [`Value`] in place of a `Var`. [`Export`] runs it on a whole model and finds out the shapes of the
//! result by running the model itself. Graphs are always there, so that no layer has to ask; what writes them
//! into files, and brings protobuf with it, is behind the feature `onnx`.
//!
//! The operators are those of opset 21 (ONNX 1.16, ONNX Runtime 1.18). Parameters keep their names and layouts,
//! except where an operator wants several as one: gates of recurrent layers.
//!
//! # Example
//! ```
//! use plies_nn::onnx::Export;
//! use plies_nn::{Activation, Mlp};
//! use plies_tensor::{DType, Device, Rng, Tensor};
//! let model = Mlp::new(&[4, 8, 3], Activation::Gelu, &mut Rng::new(1));
//! let x = Tensor::zeros([2, 4], DType::F32, &Device::cpu()); // any example will do
//! let graph = Export::default().of(&model, &x).unwrap();
//! assert!(graph.to_string().starts_with("x: f32 [batch, 4]\nlayers.0.weight: f32 [8, 4]\n"));
//! assert!(graph.to_string().ends_with("-> y: f32 [batch, 3]\n"));
//! // With the feature `onnx`: graph.save("model.onnx".as_ref())
//! ```

mod formula;
mod graph;
#[cfg(feature = "onnx")]
mod proto;

pub use graph::{Attribute, Dim, Graph, Value};

use std::path::PathBuf;

use plies_autograd::{Var, no_grad};
use plies_tensor::{DType, Tensor};

use crate::{Module, Pass};

/// What can be wrong with an export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer does not say how it is exported.
    #[error("{} can't be exported: implement Module::export", place(path, layer))]
    Unsupported {
        /// Where the layer is in the model, empty for the model itself.
        path: String,
        /// Its type.
        layer: String,
    },
    /// A layer has what ONNX has not.
    #[error("{}: {reason}", if path.is_empty() { "the model" } else { path })]
    Layer {
        /// Where the layer is in the model, empty for the model itself.
        path: String,
        /// What ONNX has not.
        reason: String,
    },
    /// The example is none.
    #[error("{0}")]
    Example(String),
    /// The model is larger than protobuf's 2 GiB.
    #[error("a model of {bytes} bytes; a file of ONNX's has less than 2 GiB")]
    Size {
        /// What the file would have.
        bytes: usize,
    },
    /// The file could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A device failed while its tensors were read.
    #[error(transparent)]
    Device(#[from] plies_tensor::Error),
}

fn place(path: &str, layer: &str) -> String {
    if path.is_empty() { layer.to_owned() } else { format!("{path} ({layer})") }
}

/// What an export gives.
pub type Result<T> = std::result::Result<T, Error>;

/// How a model of one input `x` and one output `y` becomes a graph.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// The axes of x that may have another size each time, with their names; the others keep the example's.
    pub axes: &'a [(usize, &'a str)],
    /// Whether there is an input `lengths` as well, I32 `[B]`: how many steps of each sequence recurrent
    /// layers read.
    pub lengths: bool,
}

impl Default for Export<'_> {
    /// Any number of examples, along axis 0.
    fn default() -> Self {
        Export { axes: &[(0, "batch")], lengths: false }
    }
}

impl Export<'_> {
    /// The graph of a model in evaluation. The model is run on the example `x`, and with each of the named
    /// axes twice as long, to see which axes of the output go with which.
    ///
    /// # Errors
    /// A layer that cannot be exported, by its place in the model; an axis that the example has not, or has
    /// nothing along.
    ///
    /// # Panics
    /// As the model does on inputs that do not fit it.
    #[track_caller]
    pub fn of(&self, model: &dyn Module, x: &Tensor) -> Result<Graph> {
        for &(axis, name) in self.axes {
            if x.dims().get(axis).is_none_or(|&size| size == 0) {
                let reason = format!("axis {axis} ({name}) of an example {}", x.shape());
                return Err(Error::Example(reason));
            }
        }
        let named = |axis: usize| self.axes.iter().find(|named| named.0 == axis);
        let dim = |(axis, &size): (usize, &usize)| {
            named(axis).map_or(Dim::Fixed(size), |&(_, name)| name.into())
        };
        let graph = Graph::new();
        let input = graph.input("x", x.dtype(), x.dims().iter().enumerate().map(dim));
        if self.lengths {
            let batch = named(0).map_or(Dim::Fixed(x.dim(0)), |&(_, name)| name.into());
            graph.lengths("lengths", batch);
        }
        let y = model.export(&input, &graph)?;
        let (dtype, dims) = self.output(model, x);
        graph.output("y", &Value { dtype, ..y }, dims);
        Ok(graph)
    }

    /// The dtype and the dimensions of the output.
    #[track_caller]
    fn output(&self, model: &dyn Module, x: &Tensor) -> (DType, Vec<Dim>) {
        let run = |x: &Tensor| {
            let x = Var::constant(x.clone());
            no_grad(|| model.forward(&x, &mut Pass::eval())).value().clone()
        };
        let y = run(x);
        let longer = |&(axis, _): &(usize, &str)| run(&Tensor::cat(&[x, x], axis as isize));
        let longer: Vec<Tensor> = self.axes.iter().map(longer).collect();
        let dim = |(at, &size): (usize, &usize)| {
            let mut moved = self
                .axes
                .iter()
                .zip(&longer)
                .filter(|(_, longer)| longer.dims().get(at).is_none_or(|&other| other != size));
            match (moved.next(), moved.next()) {
                (None, _) => Dim::Fixed(size),
                (Some((&(axis, name), longer)), None)
                    if x.dims()[axis] == size && longer.dims().get(at) == Some(&(2 * size)) =>
                {
                    name.into()
                }
                _ => Dim::Named(format!("y.{at}")),
            }
        };
        (y.dtype(), y.dims().iter().enumerate().map(dim).collect())
    }
}

/// ONNX's number for a dtype.
fn element_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => 1,
        DType::I32 => 6,
        DType::F64 => 11,
    }
}
