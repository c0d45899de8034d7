//! Any function of one variable, as a layer without parameters.

use std::fmt;

use plies_autograd::Var;

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
pub struct Function(Box<dyn Fn(&Var) -> Var + Send + Sync>);

impl Function {
    /// y = f(x)
    pub fn new(f: impl Fn(&Var) -> Var + Send + Sync + 'static) -> Self {
        Function(Box::new(f))
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
        self.0(x)
    }

    fn visit(&self, _visitor: &mut Visitor<'_>) {}

    fn visit_mut(&mut self, _visitor: &mut VisitorMut<'_>) {}
}
