//! Any function of one variable, as a layer without parameters.

use std::fmt;

use plies_autograd::Var;
use plies_tensor::{Elementwise, Formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut};

/// y = f(x), for what has no layer of its own: an activation with another constant than
/// [`Activation`](crate::Activation)'s, a change of axes between two layers.
///
/// # Example
/// ```
/// use plies_nn::{Function, Linear, Sequential};
/// use plies_tensor::{Elementwise, Rng};
/// let model = Sequential::new()
///     .push(Linear::new(2, 8, &mut Rng::new(1)))
///     .push(Function::new(|x| x.leaky_relu(0.2)))
///     .push(Function::new(|x| x.transpose(-2, -1)));
/// # assert_eq!(model.len(), 3);
/// ```
pub struct Function(Kind);

enum Kind {
    Any(Box<dyn Fn(&Var) -> Var + Send + Sync>),
    Formula(&'static Formula, Vec<f64>),
}

impl Function {
    /// y = f(x). What it computes is not known, so that it cannot be exported;
    /// [`formula`](Function::formula) can be.
    pub fn new(f: impl Fn(&Var) -> Var + Send + Sync + 'static) -> Self {
        Function(Kind::Any(Box::new(f)))
    }

    /// A formula of x, and of constants.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Function;
    /// use plies_tensor::formula;
    /// let swish = Function::formula(formula!(|x; beta| x / (1.0 + (-beta * x).exp())), &[1.7]);
    /// # _ = swish;
    /// ```
    pub fn formula(f: &'static Formula, constants: &[f64]) -> Self {
        Function(Kind::Formula(f, constants.to_vec()))
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}

impl Module for Function {
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        match &self.0 {
            Kind::Any(f) => f(x),
            Kind::Formula(f, constants) => Var::map(f, &[x], constants),
        }
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        match &self.0 {
            Kind::Any(_) => Err(graph.error(
                "a function of variables may be anything; Function::formula of a formula can be exported",
            )),
            Kind::Formula(f, constants) => Ok(Value::map(f, &[x], constants)),
        }
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
