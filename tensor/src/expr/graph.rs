//! The symbols a formula is written with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Binary, Node, Unary};
use crate::Reduce;

/// The nodes of a formula while it is being written.
#[derive(Default)]
pub struct Graph {
    nodes: RefCell<Vec<Node>>,
    ids: RefCell<HashMap<Node, usize>>,
}

/// One value inside a formula that is being written. It is a number's stand-in: it can be copied,
/// added, multiplied and passed to functions, with `f64` constants on either side of an operator.
#[derive(Clone, Copy)]
pub struct Expr<'g> {
    graph: &'g Graph,
    id: usize,
}

impl Graph {
    /// The element of input `i`.
    pub fn input(&self, i: usize) -> Expr<'_> {
        self.push(Node::Input(i))
    }

    /// The `i`-th scalar.
    pub fn scalar(&self, i: usize) -> Expr<'_> {
        self.push(Node::Scalar(i))
    }

    /// A number of the formula itself.
    pub fn constant(&self, value: f64) -> Expr<'_> {
        self.push(Node::Const(value.to_bits()))
    }

    fn push(&self, node: Node) -> Expr<'_> {
        let id = *self.ids.borrow_mut().entry(node).or_insert_with(|| {
            let mut nodes = self.nodes.borrow_mut();
            nodes.push(node);
            nodes.len() - 1
        });
        Expr { graph: self, id }
    }

    /// Adds `node`, whose operands are expressions of this graph, folding constants and dropping
    /// the identities that are exact for every number: x·1, x/1, x-0, -(-x), x¹.
    fn add(&self, node: Node) -> Expr<'_> {
        let constant = |id: usize| match self.nodes.borrow()[id] {
            Node::Const(bits) => Some(f64::from_bits(bits)),
            _ => None,
        };
        let at = |id: usize| Expr { graph: self, id };
        match node {
            Node::Unary(op, x) => {
                if let Some(x) = constant(x) {
                    return self.constant(op.at(x));
                }
                if let (Unary::Neg, Node::Unary(Unary::Neg, inner)) = (op, self.node(x)) {
                    return at(inner);
                }
            }
            Node::Binary(op, x, y) => match (op, constant(x), constant(y)) {
                (_, Some(x), Some(y)) => return self.constant(op.at(x, y)),
                (Binary::Mul | Binary::Div | Binary::Pow, None, Some(1.0)) => return at(x),
                (Binary::Mul, Some(1.0), None) => return at(y),
                (Binary::Sub, None, Some(zero)) if zero.to_bits() == 0 => return at(x),
                _ => {}
            },
            Node::Select(c, a, b) => {
                if a == b {
                    return at(a);
                }
                if let Some(c) = constant(c) {
                    return at(if c != 0.0 { a } else { b });
                }
            }
            Node::Input(_) | Node::Scalar(_) | Node::Const(_) | Node::Reduce(..) => {}
        }
        self.push(node)
    }

    pub(super) fn node(&self, id: usize) -> Node {
        self.nodes.borrow()[id]
    }

    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes.into_inner()
    }

    /// Rebuilds `nodes` in this graph on the given leaves; one expression per node.
    pub fn replay<'g>(
        &'g self,
        nodes: &[Node],
        inputs: &[Expr<'g>],
        scalars: &[Expr<'g>],
    ) -> Vec<Expr<'g>> {
        let mut values: Vec<Expr<'g>> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let value = match *node {
                Node::Input(i) => inputs[i],
                Node::Scalar(i) => scalars[i],
                Node::Const(_) => self.push(*node),
                Node::Unary(op, x) => self.add(Node::Unary(op, values[x].id)),
                Node::Binary(op, x, y) => self.add(Node::Binary(op, values[x].id, values[y].id)),
                Node::Select(c, a, b) => {
                    self.add(Node::Select(values[c].id, values[a].id, values[b].id))
                }
                Node::Reduce(op, x) => self.add(Node::Reduce(op, values[x].id)),
            };
            values.push(value);
        }
        values
    }
}

impl<'g> Expr<'g> {
    /// The graph this expression belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// Its node's index, after checking that it belongs to `graph`.
    #[track_caller]
    pub(super) fn id_in(self, graph: &Graph) -> usize {
        assert!(std::ptr::eq(self.graph, graph), "formula: an expression of another formula");
        self.id
    }

    /// A primitive of this.
    pub fn unary(self, op: Unary) -> Self {
        self.graph.add(Node::Unary(op, self.id))
    }

    /// A primitive of this and another value.
    #[track_caller]
    pub fn binary(self, op: Binary, other: impl IntoExpr<'g>) -> Self {
        let other = other.into_expr(self.graph).id_in(self.graph);
        self.graph.add(Node::Binary(op, self.id, other))
    }

    fn like(self, value: f64) -> Self {
        self.graph.constant(value)
    }
}

/// What stands for a value inside a formula: an expression, or a number of the formula's own.
pub trait IntoExpr<'g> {
    /// The value in `graph`.
    fn into_expr(self, graph: &'g Graph) -> Expr<'g>;
}

impl<'g> IntoExpr<'g> for Expr<'g> {
    fn into_expr(self, _graph: &'g Graph) -> Expr<'g> {
        self
    }
}

impl<'g> IntoExpr<'g> for f64 {
    fn into_expr(self, graph: &'g Graph) -> Expr<'g> {
        graph.constant(self)
    }
}

/// The primitives; everything else is written with them in [`Elementwise`](crate::Elementwise).
impl<'g> Expr<'g> {
    /// |x|
    pub fn abs(self) -> Self {
        self.unary(Unary::Abs)
    }
    /// √x
    pub fn sqrt(self) -> Self {
        self.unary(Unary::Sqrt)
    }
    /// eˣ
    pub fn exp(self) -> Self {
        self.unary(Unary::Exp)
    }
    /// eˣ - 1
    pub fn exp_m1(self) -> Self {
        self.unary(Unary::ExpM1)
    }
    /// Natural logarithm.
    pub fn ln(self) -> Self {
        self.unary(Unary::Ln)
    }
    /// ln(1 + x)
    pub fn ln_1p(self) -> Self {
        self.unary(Unary::Ln1p)
    }
    /// Sine.
    pub fn sin(self) -> Self {
        self.unary(Unary::Sin)
    }
    /// Cosine.
    pub fn cos(self) -> Self {
        self.unary(Unary::Cos)
    }
    /// Hyperbolic tangent.
    pub fn tanh(self) -> Self {
        self.unary(Unary::Tanh)
    }
    /// The logistic function, 1 / (1 + e⁻ˣ).
    pub fn sigmoid(self) -> Self {
        self.unary(Unary::Sigmoid)
    }
    /// Error function.
    pub fn erf(self) -> Self {
        self.unary(Unary::Erf)
    }
    /// Largest integer not above x.
    pub fn floor(self) -> Self {
        self.unary(Unary::Floor)
    }
    /// Nearest integer, halves to the even one.
    pub fn round(self) -> Self {
        self.unary(Unary::Round)
    }
    /// xʸ
    #[track_caller]
    pub fn pow(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Pow, y)
    }
    /// The smaller of two; NaN when either is NaN.
    #[track_caller]
    pub fn min(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Min, y)
    }
    /// The larger of two; NaN when either is NaN.
    #[track_caller]
    pub fn max(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Max, y)
    }
    /// 1 where x < y, else 0.
    #[track_caller]
    pub fn lt(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Lt, y)
    }
    /// 1 where x ≤ y, else 0.
    #[track_caller]
    pub fn le(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Le, y)
    }
    /// 1 where x > y, else 0.
    #[track_caller]
    pub fn gt(self, y: impl IntoExpr<'g>) -> Self {
        y.into_expr(self.graph).binary(Binary::Lt, self)
    }
    /// 1 where x ≥ y, else 0.
    #[track_caller]
    pub fn ge(self, y: impl IntoExpr<'g>) -> Self {
        y.into_expr(self.graph).binary(Binary::Le, self)
    }
    /// 1 where x = y, else 0.
    #[track_caller]
    pub fn eq(self, y: impl IntoExpr<'g>) -> Self {
        self.binary(Binary::Eq, y)
    }
    /// `a` where this is not 0, else `b`; the branch not taken has no influence, not even as NaN.
    #[track_caller]
    pub fn select(self, a: impl IntoExpr<'g>, b: impl IntoExpr<'g>) -> Self {
        let [a, b] = [a.into_expr(self.graph), b.into_expr(self.graph)];
        self.graph.add(Node::Select(self.id, a.id_in(self.graph), b.id_in(self.graph)))
    }
    /// Σ of this over the row: over the last axis of what the formula is applied to.
    pub fn row_sum(self) -> Self {
        self.graph.add(Node::Reduce(Reduce::Sum, self.id))
    }
    /// The largest of the row; NaN when any is NaN.
    pub fn row_max(self) -> Self {
        self.graph.add(Node::Reduce(Reduce::Max, self.id))
    }
    /// 1 / x
    pub fn recip(self) -> Self {
        1.0 / self
    }
    /// x²
    pub fn sqr(self) -> Self {
        self * self
    }
    /// xⁿ by repeated squaring.
    pub fn powi(self, n: i32) -> Self {
        let mut result = self.like(1.0);
        let (mut base, mut left) = (self, n.unsigned_abs());
        while left > 0 {
            if left & 1 == 1 {
                result = result * base;
            }
            left >>= 1;
            if left > 0 {
                base = base * base;
            }
        }
        if n < 0 { result.recip() } else { result }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<'g> $trait for Expr<'g> {
            type Output = Expr<'g>;
            #[track_caller]
            fn $method(self, y: Self) -> Self {
                self.binary(Binary::$trait, y)
            }
        }
        impl<'g> $trait<f64> for Expr<'g> {
            type Output = Expr<'g>;
            fn $method(self, y: f64) -> Self {
                self.binary(Binary::$trait, y)
            }
        }
        impl<'g> $trait<Expr<'g>> for f64 {
            type Output = Expr<'g>;
            fn $method(self, y: Expr<'g>) -> Expr<'g> {
                y.like(self).binary(Binary::$trait, y)
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

impl<'g> Neg for Expr<'g> {
    type Output = Expr<'g>;
    fn neg(self) -> Self {
        self.unary(Unary::Neg)
    }
}

/// What a formula's body may end in: one expression or an array of them.
pub trait Roots<'g> {
    /// The outputs in order.
    fn into_roots(self) -> Vec<Expr<'g>>;
}

impl<'g> Roots<'g> for Expr<'g> {
    fn into_roots(self) -> Vec<Expr<'g>> {
        vec![self]
    }
}

impl<'g, const M: usize> Roots<'g> for [Expr<'g>; M] {
    fn into_roots(self) -> Vec<Expr<'g>> {
        self.to_vec()
    }
}
