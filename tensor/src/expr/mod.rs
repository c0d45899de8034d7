//! Element-wise mathematics written once, as data.
//!
//! [`Formula::new`]`(|[x, y]| (x * y).tanh())` runs its closure on symbols instead of numbers and
//! records what it did: a [`Formula`], a short list of [`Node`]s. The CPU runs the list over blocks
//! of a thousand elements, a GPU backend prints it as shader source, and automatic differentiation
//! turns it into the list of its derivative.
//!
//! While a formula is being written, equal sub-expressions are shared (`x.exp() * x.exp()` holds
//! one `exp`) and constants are folded.

mod graph;
mod primitive;
mod schedule;

pub use graph::{Expr, Graph, IntoExpr, Roots};
pub use primitive::{Binary, Node, Unary};
pub(crate) use schedule::{Action, Place, Schedule, Signs, Step};

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::DType;

/// A closed element-wise function: n inputs and s scalars to m outputs. Cloning shares it;
/// equality and hash are those of its nodes, so it can be the key of a cache of kernels.
///
/// # Example
/// ```
/// use plies_tensor::{Elementwise, Formula, Tensor};
/// let swish = Formula::new(|[x]| x / (1.0 + (-x).exp()));
/// let y = Tensor::map(&swish, &[&Tensor::from([0f32, 1.0])], &[]);
/// assert_eq!(y.to_vec::<f32>().unwrap(), [0.0, 0.731_058_6]);
/// ```
#[derive(Clone)]
pub struct Formula(Arc<Inner>);

struct Inner {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    n_inputs: usize,
    n_scalars: usize,
    hash: u64,
    schedule: Schedule,
    attachment: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Formula {
    /// A formula of N inputs and one output.
    #[track_caller]
    pub fn new<const N: usize>(f: impl for<'g> FnOnce([Expr<'g>; N]) -> Expr<'g>) -> Self {
        Self::build(N, 0, |g| vec![f(std::array::from_fn(|i| g.input(i)))])
    }

    /// A formula whose arity is known only at run time; `f` returns the outputs.
    ///
    /// # Panics
    /// When an output belongs to another [`Graph`], or there is none.
    #[track_caller]
    pub fn build(
        n_inputs: usize,
        n_scalars: usize,
        f: impl for<'g> FnOnce(&'g Graph) -> Vec<Expr<'g>>,
    ) -> Self {
        let graph = Graph::default();
        let mut roots = Vec::new();
        for root in f(&graph) {
            roots.push(root.id_in(&graph));
        }
        assert!(!roots.is_empty(), "formula: at least one output is needed");
        let (nodes, roots) = prune(&graph.into_nodes(), &roots);
        for node in &nodes {
            match *node {
                Node::Input(i) => assert!(i < n_inputs, "formula: input {i} of {n_inputs}"),
                Node::Scalar(i) => assert!(i < n_scalars, "formula: scalar {i} of {n_scalars}"),
                _ => {}
            }
        }
        let mut hasher = std::hash::DefaultHasher::new();
        (&nodes, &roots, n_inputs, n_scalars).hash(&mut hasher);
        let hash = hasher.finish();
        let schedule = Schedule::new(&nodes, &roots);
        let attachment = OnceLock::new();
        Formula(Arc::new(Inner { nodes, roots, n_inputs, n_scalars, hash, schedule, attachment }))
    }

    /// The steps, each after those it reads.
    pub fn nodes(&self) -> &[Node] {
        &self.0.nodes
    }

    /// The node of each output.
    pub fn roots(&self) -> &[usize] {
        &self.0.roots
    }

    /// Number of input tensors.
    pub fn n_inputs(&self) -> usize {
        self.0.n_inputs
    }

    /// Number of scalars.
    pub fn n_scalars(&self) -> usize {
        self.0.n_scalars
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        self.0.roots.len()
    }

    /// What a layer above has worked out about this formula, such as its derivatives: made once and
    /// kept with it, where it is found without a search.
    ///
    /// # Panics
    /// When something of another type is kept already.
    #[track_caller]
    pub fn attachment<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> &T {
        match self.0.attachment.get_or_init(|| Box::new(make())).downcast_ref() {
            Some(attachment) => attachment,
            None => panic!("formula: the attachment of {self:?} is of another type"),
        }
    }

    /// Whether rows are reduced, so that it cannot be evaluated for part of a row.
    pub fn reduces_rows(&self) -> bool {
        self.schedule().by_rows()
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.0.schedule
    }

    /// The formula's nodes with `inputs` and `scalars` in place of its own, inside the graph those
    /// belong to; one expression for each output.
    ///
    /// # Panics
    /// When the number of inputs or scalars differs from the formula's.
    #[track_caller]
    pub fn substitute<'g>(
        &self,
        graph: &'g Graph,
        inputs: &[Expr<'g>],
        scalars: &[Expr<'g>],
    ) -> Vec<Expr<'g>> {
        self.check_arity(inputs.len(), scalars.len());
        let values = graph.replay(self.nodes(), inputs, scalars);
        self.roots().iter().map(|&root| values[root]).collect()
    }

    #[track_caller]
    pub(crate) fn check_arity(&self, inputs: usize, scalars: usize) {
        assert!(
            inputs == self.n_inputs() && scalars == self.n_scalars(),
            "formula: takes {} inputs and {} scalars, got {inputs} and {scalars}",
            self.n_inputs(),
            self.n_scalars()
        );
    }
}

impl Formula {
    /// Checks that the formula means something on integers.
    #[track_caller]
    pub(crate) fn check_integer(&self, scalars: &[f64]) {
        for node in self.nodes() {
            let value = match *node {
                Node::Const(bits) => f64::from_bits(bits),
                Node::Scalar(i) => scalars[i],
                Node::Unary(op, _) if !op.is_on_integers() => panic!(
                    "{}: not defined on i32; cast the tensor with to_dtype first",
                    format!("{op:?}").to_lowercase()
                ),
                _ => continue,
            };
            DType::I32.check_holds(self, value);
        }
    }
}

/// Keeps the nodes that the roots need, in their order.
fn prune(nodes: &[Node], roots: &[usize]) -> (Vec<Node>, Vec<usize>) {
    let mut needed = vec![false; nodes.len()];
    for &root in roots {
        needed[root] = true;
    }
    for id in (0..nodes.len()).rev() {
        if needed[id] {
            for operand in nodes[id].operands() {
                needed[operand] = true;
            }
        }
    }
    let mut renamed = vec![usize::MAX; nodes.len()];
    let mut kept = Vec::new();
    for (id, node) in nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
        renamed[id] = kept.len();
        kept.push(match *node {
            Node::Unary(op, x) => Node::Unary(op, renamed[x]),
            Node::Binary(op, x, y) => Node::Binary(op, renamed[x], renamed[y]),
            Node::Select(c, a, b) => Node::Select(renamed[c], renamed[a], renamed[b]),
            Node::Reduce(op, x) => Node::Reduce(op, renamed[x]),
            leaf @ (Node::Input(_) | Node::Scalar(_) | Node::Const(_)) => leaf,
        });
    }
    (kept, roots.iter().map(|&root| renamed[root]).collect())
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash
                && self.0.nodes == other.0.nodes
                && self.0.roots == other.0.roots
                && self.0.n_inputs == other.0.n_inputs
                && self.0.n_scalars == other.0.n_scalars)
    }
}

impl Eq for Formula {}

impl Hash for Formula {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The lengths above which an expression gets a name: one that is repeated, and any.
const LONG: [usize; 2] = [24, 400];

/// Infix text: inputs are `x0`, `x1` and so on, scalars `s0` and so on. What is long and stands in
/// several places is written once, `t3 = exp(x0); …`, so that the text is as long as the formula.
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uses = vec![0; self.nodes().len()];
        self.nodes().iter().flat_map(Node::operands).for_each(|id| uses[id] += 1);
        self.roots().iter().for_each(|&root| uses[root] += 1);
        let mut text: Vec<String> = Vec::with_capacity(self.nodes().len());
        for (id, node) in self.nodes().iter().enumerate() {
            let term = match *node {
                Node::Input(i) => format!("x{i}"),
                Node::Scalar(i) => format!("s{i}"),
                Node::Const(bits) => format!("{:?}", f64::from_bits(bits)),
                Node::Unary(Unary::Neg, x) => format!("-{}", text[x]),
                Node::Unary(op, x) => format!("{}({})", format!("{op:?}").to_lowercase(), text[x]),
                Node::Binary(op, x, y) => {
                    let infix = match op {
                        Binary::Add => "+",
                        Binary::Sub => "-",
                        Binary::Mul => "*",
                        Binary::Div => "/",
                        Binary::Lt => "<",
                        Binary::Le => "<=",
                        Binary::Eq => "==",
                        Binary::Pow => "^",
                        Binary::Min => "min",
                        Binary::Max => "max",
                    };
                    format!("({} {infix} {})", text[x], text[y])
                }
                Node::Select(c, a, b) => format!("select({}, {}, {})", text[c], text[a], text[b]),
                Node::Reduce(op, x) => {
                    format!("row_{}({})", format!("{op:?}").to_lowercase(), text[x])
                }
            };
            if term.len() > LONG[usize::from(uses[id] < 2)] {
                write!(f, "t{id} = {term}; ")?;
                text.push(format!("t{id}"));
            } else {
                text.push(term);
            }
        }
        let roots: Vec<&str> = self.roots().iter().map(|&r| text[r].as_str()).collect();
        write!(f, "{}", roots.join(", "))
    }
}

/// A `&'static `[`Formula`], built the first time this place in the source is reached.
///
/// `formula!(|x, y| (x * y).tanh())`; scalars come after a semicolon: `formula!(|p, g; lr| p - lr * g)`;
/// an array makes several outputs.
#[macro_export]
macro_rules! formula {
    (|$($input:ident),* $(; $($scalar:ident),*)?| $body:expr) => {{
        static FORMULA: ::std::sync::LazyLock<$crate::Formula> = ::std::sync::LazyLock::new(|| {
            let n_inputs = <[&str]>::len(&[$(stringify!($input)),*]);
            let n_scalars = <[&str]>::len(&[$($(stringify!($scalar)),*)?]);
            $crate::Formula::build(n_inputs, n_scalars, |graph| {
                let mut position = 0..n_inputs;
                $(let $input = graph.input(position.next().unwrap_or_default());)*
                let mut position_of_scalar = 0..n_scalars;
                $($(let $scalar = graph.scalar(position_of_scalar.next().unwrap_or_default());)*)?
                let _ = (&mut position, &mut position_of_scalar);
                $crate::Roots::into_roots($body)
            })
        });
        &*FORMULA
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_subexpressions_are_shared_and_constants_folded() {
        let f = Formula::new(|[x]| x.exp() * x.exp() + (2.0 * x.graph().constant(3.0)));
        assert_eq!(f.nodes().len(), 5, "{f:?}");
        assert_eq!(format!("{f:?}"), "((exp(x0) * exp(x0)) + 6.0)");
    }

    #[test]
    fn what_a_long_formula_repeats_is_written_once() {
        let f = Formula::new(|[x]| (0..200).fold(x.exp(), |y, _| y * y + y));
        let text = f.to_string();
        assert!(text.len() < 40 * f.nodes().len(), "{} characters", text.len());
        assert!(text.starts_with("t3 = ((exp(x0) * exp(x0)) + exp(x0)); t7 = ((((t3 * t3) + t3)"));
        let chain = Formula::new(|[x]| (0..2000).fold(x, |y, _| y.exp())).to_string();
        assert!(chain.len() < 2000 * "exp()".len() + 100 * "t1000 = t1000; ".len());
        let outputs = Formula::build(1, 0, |g| {
            let y = g.input(0).tanh() * 0.123_456_789_012;
            vec![y, y, y + 1.0]
        });
        assert_eq!(outputs.to_string(), "t3 = (tanh(x0) * 0.123456789012); t3, t3, (t3 + 1.0)");
    }

    #[test]
    fn formulas_are_equal_when_their_nodes_are() {
        let f = Formula::new(|[x, y]| x * y);
        assert_eq!(f, Formula::new(|[x, y]| x * y));
        assert_ne!(f, Formula::new(|[x, y]| y * x));
    }

    #[test]
    fn substitution_composes() {
        let f = Formula::new(|[x]| x + 1.0);
        let g = Formula::build(1, 0, |g| f.substitute(g, &[g.input(0).exp()], &[]));
        assert_eq!(g, Formula::new(|[x]| x.exp() + 1.0));
    }
}
