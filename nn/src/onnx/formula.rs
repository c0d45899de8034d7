//! Element-wise functions as nodes: a formula that ONNX has an operator for is that operator, any other one
//! a node for each of its primitives.

use std::sync::LazyLock;

use plies_tensor::{
    Binary, Elementwise, Formula, Node, Reduce, Unary, elementwise_operators, formula,
};

use super::graph::{Attribute, Graph, Value};

/// A formula that is an operator.
struct Known {
    formula: Formula,
    op: &'static str,
    /// The attributes that its scalars are.
    scalars: &'static [&'static str],
    /// An attribute that it always has.
    text: Option<(&'static str, &'static str)>,
}

/// Takes down the formula of a function.
struct Recorded(Formula);

impl Elementwise for Recorded {
    fn map(formula: &Formula, _inputs: &[&Self], _scalars: &[f64]) -> Self {
        Recorded(formula.clone())
    }
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let x = Recorded(formula!(|x| x).clone());
    let known = |y: Recorded, op, scalars| Known { formula: y.0, op, scalars, text: None };
    vec![
        known(x.relu(), "Relu", &[]),
        known(x.leaky_relu(0.0), "LeakyRelu", &["alpha"]),
        known(x.elu(0.0), "Elu", &["alpha"]),
        known(x.selu(), "Selu", &[]),
        known(x.softplus(), "Softplus", &[]),
        known(x.softsign(), "Softsign", &[]),
        known(x.gelu(), "Gelu", &[]),
        Known { text: Some(("approximate", "tanh")), ..known(x.gelu_tanh(), "Gelu", &[]) },
        known(x.mish(), "Mish", &[]),
        known(x.hardswish(), "HardSwish", &[]),
        known(x.ceil(), "Ceil", &[]),
        known(x.tan(), "Tan", &[]),
        known(x.recip(), "Reciprocal", &[]),
    ]
});

/// All functions, as nodes of the graph that the inputs belong to.
impl Elementwise for Value {
    #[track_caller]
    fn map(formula: &Formula, inputs: &[&Self], scalars: &[f64]) -> Self {
        let arity = (formula.n_inputs(), formula.n_scalars());
        assert!(
            arity == (inputs.len(), scalars.len()) && !inputs.is_empty(),
            "onnx: a formula of {} inputs and {} scalars, given {} and {}",
            arity.0,
            arity.1,
            inputs.len(),
            scalars.len()
        );
        assert!(formula.n_outputs() == 1, "onnx: a formula of {} outputs", formula.n_outputs());
        if let Some(known) = KNOWN.iter().find(|known| known.formula == *formula) {
            let scalars = known.scalars.iter().zip(scalars).map(|(&name, &s)| (name, s.into()));
            let text = known.text.iter().map(|&(name, text)| (name, text.into()));
            return inputs[0].graph.op(known.op, inputs, scalars.chain(text));
        }
        if formula.reduces_rows() && inputs.len() > 1 {
            let all = whole_rows(inputs);
            return primitives(formula, &all.iter().collect::<Vec<_>>(), scalars);
        }
        primitives(formula, inputs, scalars)
    }
}

elementwise_operators!(Value);

/// Inputs in the shape that they have together: sums of rows count what is repeated.
fn whole_rows(inputs: &[&Value]) -> Vec<Value> {
    let graph = &inputs[0].graph;
    let sum = inputs[1..].iter().fold(inputs[0].clone(), |sum, x| graph.op("Add", &[&sum, x], []));
    let shape = graph.op("Shape", &[&sum], []);
    inputs.iter().map(|x| graph.op("Expand", &[x, &shape], [])).collect()
}

/// What a primitive has come to: comparisons are no numbers until one is needed.
enum Term {
    Number(Value),
    Truth(Value),
}

fn primitives(formula: &Formula, inputs: &[&Value], scalars: &[f64]) -> Value {
    let (graph, dtype) = (&inputs[0].graph, inputs[0].dtype);
    let mut terms: Vec<Term> = Vec::with_capacity(formula.nodes().len());
    for node in formula.nodes() {
        let x = |id: usize| number(graph, &terms[id], dtype);
        let op = |op, inputs: &[&Value]| Term::Number(graph.op(op, inputs, []));
        let compare = |op, a: usize, b: usize| Term::Truth(graph.op(op, &[&x(a), &x(b)], []));
        let constant = |value: f64| graph.number(value, dtype);
        let term = match *node {
            Node::Input(i) => Term::Number(inputs[i].clone()),
            Node::Scalar(i) => Term::Number(constant(scalars[i])),
            Node::Const(bits) => Term::Number(constant(f64::from_bits(bits))),
            Node::Unary(Unary::ExpM1, a) => {
                op("Sub", &[&graph.op("Exp", &[&x(a)], []), &constant(1.0)])
            }
            Node::Unary(Unary::Ln1p, a) => {
                op("Log", &[&graph.op("Add", &[&x(a), &constant(1.0)], [])])
            }
            Node::Unary(function, a) => op(
                match function {
                    Unary::Neg => "Neg",
                    Unary::Abs => "Abs",
                    Unary::Sqrt => "Sqrt",
                    Unary::Exp | Unary::ExpM1 => "Exp",
                    Unary::Ln | Unary::Ln1p => "Log",
                    Unary::Sin => "Sin",
                    Unary::Cos => "Cos",
                    Unary::Tanh => "Tanh",
                    Unary::Sigmoid => "Sigmoid",
                    Unary::Erf => "Erf",
                    Unary::Floor => "Floor",
                    Unary::Round => "Round",
                },
                &[&x(a)],
            ),
            Node::Binary(Binary::Lt, a, b) => compare("Less", a, b),
            Node::Binary(Binary::Le, a, b) => compare("LessOrEqual", a, b),
            Node::Binary(Binary::Eq, a, b) => compare("Equal", a, b),
            Node::Binary(function, a, b) => op(
                match function {
                    Binary::Sub => "Sub",
                    Binary::Mul => "Mul",
                    Binary::Div => "Div",
                    Binary::Pow => "Pow",
                    Binary::Min => "Min",
                    Binary::Max => "Max",
                    Binary::Add | Binary::Lt | Binary::Le | Binary::Eq => "Add",
                },
                &[&x(a), &x(b)],
            ),
            Node::Select(c, a, b) => {
                let condition = match &terms[c] {
                    Term::Truth(condition) => condition.clone(),
                    Term::Number(value) => cast(graph, value, BOOL),
                };
                let mut y = graph.op("Where", &[&condition, &x(a), &x(b)], []);
                y.dtype = dtype;
                Term::Number(y)
            }
            Node::Reduce(reduce, a) => op(
                match reduce {
                    Reduce::Sum => "ReduceSum",
                    Reduce::Prod => "ReduceProd",
                    Reduce::Max => "ReduceMax",
                    Reduce::Min => "ReduceMin",
                },
                &[&x(a), &graph.ints(&[-1])],
            ),
        };
        terms.push(term);
    }
    number(graph, &terms[formula.roots()[0]], dtype)
}

/// 1 where something is true.
fn number(graph: &Graph, term: &Term, dtype: plies_tensor::DType) -> Value {
    match term {
        Term::Number(value) => value.clone(),
        Term::Truth(value) => Value { dtype, ..cast(graph, value, super::element_type(dtype)) },
    }
}

/// ONNX's number for booleans.
const BOOL: i32 = 9;

fn cast(graph: &Graph, value: &Value, to: i32) -> Value {
    graph.op("Cast", &[value], [("to", Attribute::Int(to.into()))])
}
