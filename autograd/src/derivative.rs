//! The derivative of a formula, as another formula.
//!
//! Reverse accumulation over the formula's own nodes: starting from d_y at the root, each node
//! hands its share on to its operands by the table in [`operand_gradients`]. Since the result is a
//! formula again, it is evaluated in one fused pass and can be differentiated as often as one likes.
//!
//! **Branches.** What flows into one branch of a `select` counts only where that branch was taken.
//! Putting 0 there at once would not do: below x = 0 the share of ln x in `select(x > 0, ln x, 0)`
//! would become 0 · 1/x, which is NaN at x = 0. So a share carries the branches it came through,
//! and the `select` is put around it at the end, when nothing is multiplied any more.

use std::collections::HashMap;
use std::f64::consts::FRAC_2_SQRT_PI;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use plies_tensor::{Binary, Expr, Formula, Node, Reduce, Unary};

use crate::Reads;

/// The formula of d_y · ∂y/∂xᵢ: its inputs are those of `formula`, then d_y; its scalars are the
/// same. `None` when y does not depend on xᵢ.
///
/// At kinks: |x|' = 0 at 0; where two operands of min or max are equal, each gets half; the steps of
/// floor, round and comparisons have derivative 0 everywhere; `select` passes the gradient to the
/// branch it took and nothing, not even NaN, to the other; ∂(xʸ)/∂y is 0 at x = 0 for y ≥ 0.
///
/// Derivatives are found once for each formula and kept; numbers that vary from call to call should
/// therefore be scalars of the formula, not constants in it.
///
/// # Panics
/// When the formula has several outputs, or no input `i`.
///
/// # Example
/// ```
/// use plies_autograd::derivative;
/// use plies_tensor::Formula;
/// let f = Formula::new(|[x, y]| x * y);
/// assert_eq!(derivative(&f, 0), Some(Formula::new(|[_x, y, d]| d * y)));
/// ```
#[track_caller]
pub fn derivative(formula: &Formula, i: usize) -> Option<Formula> {
    assert!(i < formula.n_inputs(), "derivative: input {i} of {}", formula.n_inputs());
    derivatives(formula).partial(i, false).map(|partial| partial.formula.clone())
}

/// The derivatives of one formula, each found when it is first asked for.
pub(crate) struct Derivatives {
    formula: Formula,
    /// By input, and by whether y is known.
    partials: Vec<[OnceLock<Option<Partial>>; 2]>,
}

/// d_y · ∂y/∂xᵢ
pub(crate) struct Partial {
    /// Its inputs are all of the formula's, then d_y, then y where it is known.
    formula: Formula,
    /// The same without the inputs that it does not read,
    pub(crate) compact: Formula,
    /// and those that are left.
    pub(crate) used: Vec<usize>,
    pub(crate) reads: Reads,
}

/// The derivatives of `formula`, which keeps them; equal formulas share them.
pub(crate) fn derivatives(formula: &Formula) -> &Arc<Derivatives> {
    type Cache = Mutex<HashMap<Formula, Arc<Derivatives>>>;
    static CACHE: LazyLock<Cache> = LazyLock::new(Mutex::default);
    formula.attachment(|| {
        assert!(formula.n_outputs() == 1, "derivative: a formula of one output is needed");
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Derivatives::new(formula));
        cache.entry(formula.clone()).or_insert_with(made).clone()
    })
}

impl Derivatives {
    fn new(formula: &Formula) -> Derivatives {
        let partials = (0..formula.n_inputs()).map(|_| Default::default()).collect();
        Derivatives { formula: formula.clone(), partials }
    }

    /// With respect to input `i`; `None` when there is no dependence. With `y_is_known` it may read
    /// the formula's value instead of computing it again: the derivative of tanh is 1 - y².
    pub(crate) fn partial(&self, i: usize, y_is_known: bool) -> Option<&Partial> {
        let n = self.formula.n_inputs();
        let find = || differentiate(&self.formula, i, y_is_known).map(|f| Partial::new(f, n));
        self.partials[i][usize::from(y_is_known)].get_or_init(find).as_ref()
    }
}

impl Partial {
    /// Of a formula of `n_x` inputs.
    fn new(formula: Formula, n_x: usize) -> Partial {
        let n = formula.n_inputs();
        let used: Vec<usize> =
            (0..n).filter(|&i| formula.nodes().contains(&Node::Input(i))).collect();
        let compact = Formula::build(used.len(), formula.n_scalars(), |g| {
            let place = |i| used.iter().position(|&u| u == i);
            let inputs: Vec<Expr<'_>> =
                (0..n).map(|i| place(i).map_or(g.constant(f64::NAN), |i| g.input(i))).collect();
            let scalars: Vec<Expr<'_>> = (0..formula.n_scalars()).map(|i| g.scalar(i)).collect();
            formula.substitute(g, &inputs, &scalars)
        });
        let mut reads = Reads::inputs(used.iter().copied().filter(|&i| i < n_x));
        if used.contains(&(n_x + 1)) {
            reads = reads | Reads::OUTPUT;
        }
        Partial { formula, compact, used, reads }
    }

    /// Whether the gradient of xᵢ is d_y as it is.
    pub(crate) fn is_identity(&self) -> bool {
        self.compact.nodes() == [Node::Input(0)]
    }
}

fn differentiate(formula: &Formula, i: usize, y_is_known: bool) -> Option<Formula> {
    let nodes = formula.nodes();
    // Which nodes xᵢ reaches.
    let mut reached = vec![false; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        reached[id] = *node == Node::Input(i) || node.operands().any(|operand| reached[operand]);
    }
    let n = formula.n_inputs();
    let mut depends = false;
    let n_known = n + 1 + usize::from(y_is_known);
    let made = Formula::build(n_known, formula.n_scalars(), |g| {
        let inputs: Vec<Expr<'_>> = (0..n).map(|i| g.input(i)).collect();
        let scalars: Vec<Expr<'_>> = (0..formula.n_scalars()).map(|i| g.scalar(i)).collect();
        let mut values = g.replay(nodes, &inputs, &scalars);
        if y_is_known && nodes[formula.roots()[0]].operands().next().is_some() {
            values[formula.roots()[0]] = g.input(n + 1);
        }
        let mut shares: Vec<Vec<Share<'_>>> = nodes.iter().map(|_| Vec::new()).collect();
        shares[formula.roots()[0]].push(Share { value: g.input(n), taken: Vec::new() });
        let mut d_x = None;
        for id in (0..nodes.len()).rev().filter(|&id| reached[id]) {
            let Some(share) = total(std::mem::take(&mut shares[id])) else { continue };
            if nodes[id] == Node::Input(i) {
                d_x = Some(share.within(0).value);
                continue;
            }
            let share = match nodes[id] {
                // What is added up over the row must be 0 in the elements of other branches.
                Node::Reduce(..) => share.within(0),
                _ => share,
            };
            let Share { value: d_y, taken } = share;
            for (operand, d_operand, branch) in operand_gradients(id, nodes, &values, d_y) {
                if reached[operand]
                    && let Some(taken) = enter(&taken, branch)
                {
                    shares[operand].push(Share { value: d_operand, taken });
                }
            }
        }
        depends = d_x.is_some();
        vec![d_x.unwrap_or_else(|| g.constant(0.0))]
    });
    depends.then_some(made)
}

/// A share of a gradient, and the branches in which alone it counts, the outermost first.
struct Share<'g> {
    value: Expr<'g>,
    taken: Vec<Branch<'g>>,
}

/// One side of a decision.
#[derive(Clone, Copy)]
struct Branch<'g> {
    /// The node that decides: the condition of a select, or a min or max itself.
    decision: usize,
    side: Side,
    /// Taken where this is not 0; for [`Side::Else`] where it is.
    condition: Expr<'g>,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// The branch of a select where the condition holds,
    Then,
    /// and the other one: exactly one of the two is taken.
    Else,
    /// The operands of a min or max, which are both taken where they are equal.
    Left,
    Right,
}

impl Branch<'_> {
    fn is(&self, other: &Self) -> bool {
        self.decision == other.decision && self.side == other.side
    }

    fn excludes(&self, other: &Self) -> bool {
        let sides = (self.side, other.side);
        self.decision == other.decision
            && matches!(sides, (Side::Then, Side::Else) | (Side::Else, Side::Then))
    }
}

impl<'g> Share<'g> {
    /// The same share after leaving all but the outermost `n` branches: 0 where they were not taken.
    fn within(mut self, n: usize) -> Share<'g> {
        while self.taken.len() > n
            && let Some(branch) = self.taken.pop()
        {
            let zero = self.value.graph().constant(0.0);
            self.value = match branch.side {
                Side::Else => branch.condition.select(zero, self.value),
                _ => branch.condition.select(self.value, zero),
            };
        }
        self
    }
}

/// The branches inside `taken`, in `branch`; `None` when the two exclude each other.
fn enter<'g>(taken: &[Branch<'g>], branch: Option<Branch<'g>>) -> Option<Vec<Branch<'g>>> {
    let mut inside = taken.to_vec();
    if let Some(branch) = branch {
        if taken.iter().any(|outer| outer.excludes(&branch)) {
            return None;
        }
        if !taken.iter().any(|outer| outer.is(&branch)) {
            inside.push(branch);
        }
    }
    Some(inside)
}

/// How many outer branches two shares have in common.
fn common(a: &[Branch<'_>], b: &[Branch<'_>]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a.is(b)).count()
}

/// The sum of shares.
fn total(shares: Vec<Share<'_>>) -> Option<Share<'_>> {
    let mut sum: Vec<Share<'_>> = Vec::new();
    for share in shares {
        add(&mut sum, share);
    }
    let mut left = sum.into_iter();
    let first = left.next()?;
    Some(left.fold(first, |a, b| {
        let n = common(&a.taken, &b.taken);
        let (a, b) = (a.within(n), b.within(n));
        Share { value: a.value + b.value, taken: a.taken }
    }))
}

/// Adds a share to others, joining what came through the same branches and what came through the two
/// sides of one select.
fn add<'g>(sum: &mut Vec<Share<'g>>, mut share: Share<'g>) {
    let mut i = 0;
    while i < sum.len() {
        let (n, other) = (share.taken.len(), &sum[i]);
        let shared = common(&share.taken, &other.taken);
        if n == other.taken.len() && shared == n {
            let other = sum.remove(i);
            share.value = other.value + share.value;
            i = 0;
        } else if n == other.taken.len()
            && shared + 1 == n
            && share.taken[shared].excludes(&other.taken[shared])
        {
            let other = sum.remove(i);
            let (a, b) = match share.taken[shared].side {
                Side::Then => (share.value, other.value),
                _ => (other.value, share.value),
            };
            share.value = share.taken[shared].condition.select(a, b);
            share.taken.truncate(shared);
            i = 0;
        } else {
            i += 1;
        }
    }
    sum.push(share);
}

/// One row for each primitive y = f(operands): what d_y gives to each operand, and in which branch.
fn operand_gradients<'g>(
    id: usize,
    nodes: &[Node],
    values: &[Expr<'g>],
    d_y: Expr<'g>,
) -> Vec<(usize, Expr<'g>, Option<Branch<'g>>)> {
    let y = values[id];
    let zero = d_y.graph().constant(0.0);
    match nodes[id] {
        Node::Input(_) | Node::Scalar(_) | Node::Const(_) => vec![],
        Node::Unary(op, operand) => {
            let x = values[operand];
            let d_x = match op {
                Unary::Neg => -d_y,
                Unary::Abs => x.lt(zero).select(-d_y, x.eq(zero).select(zero, d_y)),
                Unary::Sqrt => d_y * 0.5 / y,
                Unary::Exp => d_y * y,
                Unary::ExpM1 => d_y * (y + 1.0),
                Unary::Ln => d_y / x,
                Unary::Ln1p => d_y / (x + 1.0),
                Unary::Sin => d_y * x.cos(),
                Unary::Cos => -d_y * x.sin(),
                Unary::Tanh => d_y * (1.0 - y * y),
                Unary::Sigmoid => d_y * (y * (1.0 - y)),
                Unary::Erf => d_y * (FRAC_2_SQRT_PI * (-x * x).exp()),
                Unary::Floor | Unary::Round => return vec![],
            };
            vec![(operand, d_x, None)]
        }
        Node::Binary(op, left, right) => {
            let (a, b) = (values[left], values[right]);
            let branch = |side, condition| Some(Branch { decision: id, side, condition });
            // At a tie both operands of min and max get half.
            let half = || a.eq(b).select(0.5 * d_y, d_y);
            let (d_a, d_b) = match op {
                Binary::Add => ((d_y, None), (d_y, None)),
                Binary::Sub => ((d_y, None), (-d_y, None)),
                Binary::Mul => ((d_y * b, None), (d_y * a, None)),
                Binary::Div => ((d_y / b, None), (-d_y * y / b, None)),
                // x⁰ = 1 for every x, and 0ʸ is 0 or 1 near y ≥ 0: flat, not 0 · ∞.
                Binary::Pow => {
                    let flat = a.eq(zero) * b.ge(zero);
                    (
                        (b.eq(zero).select(zero, d_y * b * a.pow(b - 1.0)), None),
                        (flat.select(zero, d_y * y * a.ln()), None),
                    )
                }
                Binary::Min => {
                    ((half(), branch(Side::Left, a.le(b))), (half(), branch(Side::Right, b.le(a))))
                }
                Binary::Max => {
                    ((half(), branch(Side::Left, a.ge(b))), (half(), branch(Side::Right, b.ge(a))))
                }
                Binary::Lt | Binary::Le | Binary::Eq => return vec![],
            };
            vec![(left, d_a.0, d_a.1), (right, d_b.0, d_b.1)]
        }
        // Every element of the row got y, so each of them has a share in it.
        Node::Reduce(op, operand) => {
            let x = values[operand];
            let d_x = match op {
                Reduce::Sum => d_y.row_sum(),
                Reduce::Prod => d_y.row_sum() * y / x,
                // At a tie all get the same.
                Reduce::Max | Reduce::Min => {
                    let taken = x.eq(y);
                    taken.select(d_y.row_sum() / taken.row_sum(), 0.0)
                }
            };
            vec![(operand, d_x, None)]
        }
        Node::Select(decision, a, b) => {
            let branch = |side| Some(Branch { decision, side, condition: values[decision] });
            vec![(a, d_y, branch(Side::Then)), (b, d_y, branch(Side::Else))]
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

    #[test]
    fn the_two_sides_of_a_select_become_one_select() {
        let f = Formula::new(|[x, c]| c.select(x, 3.0 * x));
        assert_eq!(format!("{:?}", derivative(&f, 0).unwrap()), "select(x1, x2, (x2 * 3.0))");
    }

    #[test]
    fn a_branch_is_left_after_its_last_factor() {
        let f = Formula::new(|[x, c]| c.select(x.ln(), c));
        assert_eq!(format!("{:?}", derivative(&f, 0).unwrap()), "select(x1, (x2 / x0), 0.0)");
    }

    #[test]
    fn what_is_known_is_not_computed_again() {
        let tanh = Formula::new(|[x]| x.tanh());
        let partial = derivatives(&tanh).partial(0, true).unwrap();
        assert_eq!(partial.compact, Formula::new(|[d, y]| d * (1.0 - y * y)));
        assert_eq!(partial.reads, Reads::OUTPUT);
    }

    #[test]
    fn inputs_that_the_derivative_does_not_read_are_dropped() {
        let product = Formula::new(|[x, y]| x * y);
        let partial = derivatives(&product).partial(0, false).unwrap();
        assert_eq!(partial.used, [1, 2]);
        assert_eq!(partial.compact, Formula::new(|[y, d]| d * y));
        let sum = Formula::new(|[x, y]| x + y);
        assert!(derivatives(&sum).partial(1, true).unwrap().is_identity());
    }
}
