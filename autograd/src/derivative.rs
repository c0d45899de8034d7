//! The derivative of a formula, as another formula.
//!
//! Reverse accumulation over the formula's own nodes: starting from d_y at the root, each node
//! hands its share on to its operands by the table in [`operand_gradients`]. Since the result is a
//! formula again, it is evaluated in one fused pass and can be differentiated as often as one likes.

use std::collections::HashMap;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::sync::{LazyLock, PoisonError, RwLock};

use plies_tensor::{Binary, Expr, Formula, Node, Unary};

/// The formula of d_y · ∂y/∂xᵢ: its inputs are those of `formula`, then d_y; its scalars are the
/// same. `None` when y does not depend on xᵢ.
///
/// At kinks: |x|' = 0 at 0; where two operands of min or max are equal, each gets half; the steps of
/// floor, round and comparisons have derivative 0 everywhere; `select` passes the gradient to the
/// branch it took and 0 to the other. (A formula in that other branch multiplies this 0 by its own
/// derivative; if that is infinite the product is NaN, so write formulas whose branches stay finite.)
///
/// # Panics
/// When the formula has several outputs.
pub fn derivative(formula: &Formula, i: usize) -> Option<Formula> {
    type Cache = RwLock<HashMap<(Formula, usize), Option<Formula>>>;
    static CACHE: LazyLock<Cache> = LazyLock::new(RwLock::default);
    let key = (formula.clone(), i);
    if let Some(found) = CACHE.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return found.clone();
    }
    let made = differentiate(formula, i);
    CACHE.write().unwrap_or_else(PoisonError::into_inner).insert(key, made.clone());
    made
}

fn differentiate(formula: &Formula, i: usize) -> Option<Formula> {
    assert!(formula.n_outputs() == 1, "derivative: a formula of one output is needed");
    let nodes = formula.nodes();
    // Which nodes xᵢ reaches.
    let mut reached = vec![false; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        reached[id] = *node == Node::Input(i) || node.operands().any(|operand| reached[operand]);
    }
    let root = formula.roots()[0];
    let n = formula.n_inputs();
    let mut depends = false;
    let made = Formula::build(n + 1, formula.n_scalars(), |g| {
        let inputs: Vec<Expr<'_>> = (0..n).map(|i| g.input(i)).collect();
        let scalars: Vec<Expr<'_>> = (0..formula.n_scalars()).map(|i| g.scalar(i)).collect();
        let values = g.replay(nodes, &inputs, &scalars);
        let mut gradients: Vec<Option<Expr<'_>>> = vec![None; nodes.len()];
        gradients[root] = Some(g.input(n));
        let mut d_x = None;
        for id in (0..nodes.len()).rev().filter(|&id| reached[id]) {
            let Some(d_y) = gradients[id] else { continue };
            if nodes[id] == Node::Input(i) {
                d_x = Some(d_y);
                continue;
            }
            for (operand, d_operand) in operand_gradients(&nodes[id], &values, values[id], d_y) {
                if reached[operand] {
                    let sum = gradients[operand].map_or(d_operand, |sum| sum + d_operand);
                    gradients[operand] = Some(sum);
                }
            }
        }
        depends = d_x.is_some();
        vec![d_x.unwrap_or_else(|| g.constant(0.0))]
    });
    depends.then_some(made)
}

/// One row for each primitive y = f(operands): what d_y gives to each operand.
fn operand_gradients<'g>(
    node: &Node,
    values: &[Expr<'g>],
    y: Expr<'g>,
    d_y: Expr<'g>,
) -> Vec<(usize, Expr<'g>)> {
    let zero = d_y.graph().constant(0.0);
    let half = |tie: Expr<'g>, strict: Expr<'g>| strict + 0.5 * tie;
    match *node {
        Node::Input(_) | Node::Scalar(_) | Node::Const(_) => vec![],
        Node::Unary(op, operand) => {
            let x = values[operand];
            let d_x = match op {
                Unary::Neg => -d_y,
                Unary::Abs => x.gt(zero).select(d_y, x.lt(zero).select(-d_y, 0.0 * d_y)),
                Unary::Sqrt => d_y * 0.5 / y,
                Unary::Exp => d_y * y,
                Unary::ExpM1 => d_y * (y + 1.0),
                Unary::Ln => d_y / x,
                Unary::Ln1p => d_y / (x + 1.0),
                Unary::Sin => d_y * x.cos(),
                Unary::Cos => -d_y * x.sin(),
                Unary::Tanh => d_y * (1.0 - y * y),
                Unary::Erf => d_y * (FRAC_2_SQRT_PI * (-x * x).exp()),
                Unary::Floor | Unary::Round => return vec![],
            };
            vec![(operand, d_x)]
        }
        Node::Binary(op, left, right) => {
            let (a, b) = (values[left], values[right]);
            let (d_a, d_b) = match op {
                Binary::Add => (d_y, d_y),
                Binary::Sub => (d_y, -d_y),
                Binary::Mul => (d_y * b, d_y * a),
                Binary::Div => (d_y / b, -d_y * y / b),
                // 0⁰ = 1 for every base and exponent near it: both shares are 0 there, not 0 · ∞.
                Binary::Pow => (
                    b.eq(zero).select(zero, d_y * b * a.pow(b - 1.0)),
                    a.eq(zero).select(zero, d_y * y * a.ln()),
                ),
                Binary::Min => {
                    let tie = a.eq(b);
                    (d_y * half(tie, a.lt(b)), d_y * half(tie, b.lt(a)))
                }
                Binary::Max => {
                    let tie = a.eq(b);
                    (d_y * half(tie, a.gt(b)), d_y * half(tie, b.gt(a)))
                }
                Binary::Lt | Binary::Le | Binary::Eq => return vec![],
            };
            vec![(left, d_a), (right, d_b)]
        }
        Node::Select(c, a, b) => {
            let c = values[c];
            vec![(a, c.select(d_y, zero)), (b, c.select(zero, d_y))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivative_of_a_product_is_the_other_factor() {
        let f = Formula::new(|[x, y]| x * y);
        assert_eq!(derivative(&f, 0), Some(Formula::new(|[_x, y, d]| d * y)));
        assert_eq!(derivative(&f, 1), Some(Formula::new(|[x, _y, d]| d * x)));
    }

    #[test]
    fn what_does_not_depend_has_no_derivative() {
        assert_eq!(derivative(&Formula::new(|[_x, y]| y.exp()), 0), None);
        assert_eq!(derivative(&Formula::new(|[x]| x.floor()), 0), None);
    }
}
