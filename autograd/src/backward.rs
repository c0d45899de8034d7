//! The walk back through a graph.
//!
//! Gradients wait at their nodes until the node has the largest number of all that are waiting; then
//! everything that was computed from it has been dealt with, and its gradient is complete. There is
//! no recursion, and no order to find: the numbers are the order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use plies_tensor::{Shape, Tensor};

use crate::graph::{Node, Part, Recording, Run, Step, is_recording, stand_in};
use crate::{Gradient, Var};

/// Node numbers are spread already, one multiplication is hash enough.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type IdMap<T> = HashMap<u64, T, BuildHasherDefault<IdHasher>>;
type IdSet = HashSet<u64, BuildHasherDefault<IdHasher>>;

/// How far a walk goes and where it hands gradients over.
enum Scope {
    /// Through everything, to the leaves.
    Leaves,
    /// To these nodes, through those that lead to them.
    Toward { ends: IdSet, leading: IdSet },
    /// To the nodes that were made before the one with this number, which are not entered.
    Since(u64),
}

impl Scope {
    fn is_end(&self, node: &Node) -> bool {
        match self {
            Scope::Leaves => node.is_leaf(),
            Scope::Toward { ends, .. } => ends.contains(&node.id),
            Scope::Since(start) => node.id < *start,
        }
    }

    /// Whether the gradient of this value is of interest.
    fn wants(&self, x: &Var) -> bool {
        match (self, &x.node) {
            (_, None) => false,
            (Scope::Toward { leading, .. }, Some(node)) => leading.contains(&node.id),
            _ => true,
        }
    }
}

/// What has arrived at a node so far.
struct Waiting<'y> {
    node: &'y Arc<Node>,
    whole: Option<Var>,
    /// Gradients of parts of an axis, by axis, start and length. They are put together once, when
    /// all are there: a row for each of a thousand steps makes one matrix, not a thousand that are
    /// almost all zeros.
    runs: BTreeMap<(usize, usize, usize), (Run, Var)>,
    /// Gradients of rows, with the numbers of the rows. Of a table of which few are read they are all
    /// there is.
    rows: Vec<(&'y Tensor, Var)>,
    /// How many rows the value has, if some have come.
    count: usize,
}

impl<'y> Waiting<'y> {
    fn at(node: &'y Arc<Node>) -> Self {
        Waiting { node, whole: None, runs: BTreeMap::new(), rows: Vec::new(), count: 0 }
    }

    fn add(&mut self, d_x: Var, part: Option<&'y Part>) {
        let add = |old: Option<Var>, d_x: Var| match old {
            Some(old) => old.plus(&d_x),
            None => d_x,
        };
        match part {
            None => self.whole = Some(add(self.whole.take(), d_x)),
            Some(&Part::Run(run)) => {
                let key = (run.axis, run.start, d_x.dims()[run.axis]);
                let old = self.runs.remove(&key).map(|(_, old)| old);
                self.runs.insert(key, (run, add(old, d_x)));
            }
            Some(Part::Rows { index, whole }) => {
                self.rows.push((index, d_x));
                self.count = *whole;
            }
        }
    }

    /// Everything together, taken away.
    fn total(&mut self) -> Option<Var> {
        let runs = std::mem::take(&mut self.runs);
        let total = match (self.whole.take(), join(runs)) {
            (Some(whole), Some(runs)) => Some(whole + runs),
            (whole, runs) => whole.or(runs),
        };
        let add = |total: Option<Var>, (index, d_x): (&Tensor, Var)| {
            let total = total.unwrap_or_else(|| {
                let mut shape = d_x.shape();
                shape[0] = self.count;
                let zero = Tensor::zeros([], d_x.dtype(), d_x.device());
                Var::constant(zero.broadcast_to(shape))
            });
            Some(total.index_add(0, index, &d_x))
        };
        std::mem::take(&mut self.rows).into_iter().fold(total, add)
    }

    /// The same for a leaf to keep: as rows, if nothing else has come.
    fn gradient(mut self) -> Option<Gradient> {
        if self.whole.is_some() || !self.runs.is_empty() || self.rows.is_empty() {
            return self.total().map(|d_x| Gradient::dense(d_x.into_value()));
        }
        let several: (Vec<&Tensor>, Vec<&Tensor>);
        let (index, values) = match &self.rows[..] {
            [(index, d_x)] => (Tensor::clone(index), d_x.value().clone()),
            rows => {
                several = rows.iter().map(|(index, d_x)| (*index, d_x.value())).unzip();
                (Tensor::cat(&several.0, 0), Tensor::cat(&several.1, 0))
            }
        };
        Some(Gradient::of_rows(&index, &values, self.count))
    }
}

/// Parts side by side, as few layers as their overlaps need, zeros in the gaps; the layers added up.
fn join(runs: BTreeMap<(usize, usize, usize), (Run, Var)>) -> Option<Var> {
    struct Layer {
        axis: usize,
        end: usize,
        whole: usize,
        pieces: Vec<Var>,
    }
    fn fill(layer: &mut Layer, to: usize) {
        if to > layer.end {
            let like = layer.pieces[0].value();
            let mut shape: Shape = like.shape();
            shape[layer.axis] = to - layer.end;
            let zero = Tensor::zeros([], like.dtype(), like.device());
            layer.pieces.push(Var::constant(zero.broadcast_to(shape)));
            layer.end = to;
        }
    }
    let mut layers: Vec<Layer> = Vec::new();
    for ((axis, start, length), (Run { whole, .. }, d_x)) in runs {
        let free = layers.iter_mut().find(|layer| layer.axis == axis && layer.end <= start);
        if let Some(layer) = free {
            fill(layer, start);
            layer.pieces.push(d_x);
            layer.end = start + length;
        } else {
            let mut layer = Layer { axis, end: 0, whole, pieces: vec![d_x] };
            fill(&mut layer, start);
            layer.pieces.rotate_left(1);
            layer.end = start + length;
            layers.push(layer);
        }
    }
    let whole = |mut layer: Layer| {
        let to = layer.whole;
        fill(&mut layer, to);
        Var::cat(&layer.pieces.iter().collect::<Vec<_>>(), layer.axis as isize)
    };
    layers.into_iter().map(whole).reduce(|sum, layer| sum + layer)
}

/// Walks back from `y` and calls `arrived` at each end, where all that makes up its gradient has come.
fn walk<'y>(
    y: &'y Var,
    d_y: Var,
    create_graph: bool,
    scope: &Scope,
    mut arrived: impl FnMut(Waiting<'y>),
) {
    if !scope.wants(y) {
        return;
    }
    let _recording = Recording::set(create_graph);
    let mut waiting: BTreeMap<u64, Waiting<'y>> = BTreeMap::new();
    let send = |waiting: &mut BTreeMap<u64, Waiting<'y>>, x: &'y Var, d_x, part| {
        if let Some(node) = &x.node {
            waiting.entry(node.id).or_insert_with(|| Waiting::at(node)).add(d_x, part);
        }
    };
    send(&mut waiting, y, d_y, None);
    while let Some((_, mut here)) = waiting.pop_last() {
        let node = here.node;
        let is_end = scope.is_end(node);
        // Nodes that are not entered complete their gradients elsewhere; their hooks run there.
        let is_entered = !(is_end && matches!(scope, Scope::Since(_)));
        let leads_on = |step: &&Step| step.inputs.iter().any(|x| scope.wants(x));
        let step = node.step.as_ref().filter(leads_on).filter(|_| is_entered);
        // Where nobody looks at the gradient on the way, it need not be put together.
        if step.is_some() || (is_entered && node.has_hooks()) {
            let Some(d_y) = here.total() else { continue };
            let d_y = node.run_hooks(d_y);
            if let Some(step) = step {
                if let Some(part) = &step.part {
                    send(&mut waiting, &step.inputs[0], d_y.clone(), Some(part));
                } else {
                    for (x, d_x) in step.inputs.iter().zip(vjp(step, node, &d_y, scope)) {
                        if let Some(d_x) = d_x
                            && scope.wants(x)
                        {
                            send(&mut waiting, x, d_x.into_wanted(), None);
                        }
                    }
                }
            }
            here.add(d_y, None);
        }
        if is_end {
            arrived(here);
        }
    }
}

/// The operation's gradients, checked.
fn vjp(step: &Step, node: &Arc<Node>, d_y: &Var, scope: &Scope) -> Vec<Option<Var>> {
    let (op, inputs) = (&step.op, &step.inputs);
    let value = step.output.clone().unwrap_or_else(|| stand_in(d_y.value()));
    let output = match is_recording() {
        // With its own node, so that a vjp written with the output is differentiable.
        true => Var::with_node(value, node.clone()),
        false => Var::constant(value),
    };
    let gradients = if inputs.iter().all(|x| x.node.is_none() || scope.wants(x)) {
        op.vjp(inputs, &output, d_y)
    } else {
        let only_wanted = |x: &Var| if scope.wants(x) { x.clone() } else { x.as_unwanted() };
        op.vjp(&inputs.iter().map(only_wanted).collect::<Vec<_>>(), &output, d_y)
    };
    assert!(
        gradients.len() == inputs.len(),
        "{}: vjp returned {} gradients for {} inputs",
        op.name(),
        gradients.len(),
        inputs.len()
    );
    for (x, d_x) in inputs.iter().zip(&gradients) {
        let Some(d_x) = d_x.as_ref().filter(|_| x.node.is_some()) else { continue };
        assert!(
            d_x.shape() == x.shape() && d_x.dtype() == x.dtype(),
            "{}: gradient {} {} for an input {} {}",
            op.name(),
            d_x.shape(),
            d_x.dtype(),
            x.shape(),
            x.dtype()
        );
    }
    gradients
}

/// The nodes behind `y` from number `start` on, each once, inputs before results.
fn nodes_since(y: &Var, start: u64) -> Vec<&Node> {
    let mut seen = IdSet::default();
    let mut nodes: Vec<&Node> = Vec::new();
    let mut left: Vec<&Node> = y.node.as_deref().into_iter().collect();
    while let Some(node) = left.pop() {
        if node.id < start || !seen.insert(node.id) {
            continue;
        }
        nodes.push(node);
        let inputs = node.step.iter().flat_map(|step| &step.inputs);
        left.extend(inputs.filter_map(|x| x.node.as_deref()));
    }
    nodes.sort_unstable_by_key(|node| node.id);
    nodes
}

/// The values made before number `start` that `y` was computed from, each once. Their elements may
/// be missing.
pub(crate) fn ends_before(y: &Var, start: u64) -> Vec<Var> {
    let mut seen = IdSet::default();
    let inputs = nodes_since(y, start)
        .into_iter()
        .filter_map(|node| node.step.as_ref())
        .flat_map(|s| &s.inputs);
    let is_new_end =
        |x: &&Var| x.node.as_ref().is_some_and(|node| node.id < start && seen.insert(node.id));
    inputs.filter(is_new_end).cloned().collect()
}

/// The gradients of Σ d_y · y with respect to what was made before number `start`, as far as it was
/// used directly, by node number.
pub(crate) fn grad_since(y: &Var, d_y: &Var, start: u64, create_graph: bool) -> HashMap<u64, Var> {
    let mut found = HashMap::new();
    walk(y, d_y.clone(), create_graph, &Scope::Since(start), |mut end| {
        found.extend(end.total().map(|d_x| (end.node.id, d_x)));
    });
    found
}

/// [`Var::backward_with`].
pub(crate) fn backward(y: &Var, d_y: &Var) {
    walk(y, d_y.clone(), false, &Scope::Leaves, |end| {
        let node = end.node;
        if let Some(gradient) = end.gradient() {
            node.add_grad(gradient);
        }
    });
}

/// The gradients of Σ y with respect to `wrt`, which may be leaves or values on the way; zeros where
/// `y` does not depend on one.
///
/// With `create_graph` the gradients are themselves recorded, so that they can be differentiated
/// again. The accumulated gradients of leaves are left alone, and gradients that lead to none of
/// `wrt` are not computed.
///
/// # Example
/// ```
/// use plies_autograd::{Var, grad};
/// use plies_tensor::Tensor;
/// let x = Var::leaf(Tensor::from(2f64));
/// let y = &x * &x * &x;
/// let d_x = grad(&y, &[&x], true).remove(0); // 3x²
/// let dd_x = grad(&d_x, &[&x], false).remove(0); // 6x
/// assert_eq!(d_x.value().item().unwrap(), 12.0);
/// assert_eq!(dd_x.value().item().unwrap(), 12.0);
/// ```
#[track_caller]
pub fn grad(y: &Var, wrt: &[&Var], create_graph: bool) -> Vec<Var> {
    let id = |x: &Var| x.node.as_ref().map(|node| node.id);
    let ends: IdSet = wrt.iter().filter_map(|x| id(x)).collect();
    let mut leading = IdSet::default();
    // What was made before the first of `wrt` leads to none.
    for node in nodes_since(y, ends.iter().min().copied().unwrap_or(u64::MAX)) {
        let mut inputs = node.step.iter().flat_map(|step| &step.inputs).filter_map(id);
        if ends.contains(&node.id) || inputs.any(|id| leading.contains(&id)) {
            leading.insert(node.id);
        }
    }
    let mut found: IdMap<Var> = IdMap::default();
    let ones = Var::constant(y.value().ones_like());
    walk(y, ones, create_graph, &Scope::Toward { ends, leading }, |mut end| {
        found.extend(end.total().map(|d_x| (end.node.id, d_x)));
    });
    let zeros = |x: &Var| Var::constant(x.value().zeros_like());
    let of = |x: &&Var| id(x).and_then(|id| found.get(&id).cloned()).unwrap_or_else(|| zeros(x));
    wrt.iter().map(of).collect()
}
