//! The order of a formula's work on a block of elements: what each step computes, and where to.

use super::{Binary, Node, Unary};
use crate::Reduce;

/// Where values are when a block is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One number for the whole call: a constant, a scalar, or a function of those. The number of
    /// node n has place n.
    One(usize),
    /// The n-th of the numbers that are one for each row: reductions and functions of those.
    Row(usize),
    /// A block of the n-th input.
    Input(usize),
    /// A scratch block.
    Register(usize),
    /// A block of the n-th output.
    Output(usize),
}

/// What a step does with its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Unary(Unary),
    Binary(Binary),
    /// The second where the first is not 0, else the third.
    Select,
    /// ±a·b ± c, rounded once where the processor can.
    MulAdd(Signs),
    /// The second where the first compares with it so, else the third: x ≤ 0 gives 0, else x.
    Replace(Binary),
    Copy,
    /// The row's values joined.
    Reduce(Reduce),
}

impl Action {
    /// How many operands it takes.
    pub(crate) fn arity(self) -> usize {
        match self {
            Action::Unary(_) | Action::Copy | Action::Reduce(_) => 1,
            Action::Binary(_) => 2,
            Action::Select | Action::MulAdd(_) | Action::Replace(_) => 3,
        }
    }
}

/// Which way round a product and a summand meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signs {
    /// a·b + c
    Plus,
    /// a·b - c
    Minus,
    /// c - a·b
    From,
}

/// One loop over a block, or over a single number if its result is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    /// As many as the action takes; the others repeat the last.
    pub(crate) operands: [Place; 3],
    pub(crate) to: Place,
}

impl Step {
    /// Whether it joins the values of rows.
    pub(crate) fn reduces(&self) -> bool {
        matches!(self.action, Action::Reduce(_))
    }
}

/// Steps done once for each call and steps done for each block.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Constants and scalars, which are put in place first,
    pub(crate) leaves: Vec<usize>,
    /// and what follows from them alone.
    pub(crate) once: Vec<Step>,
    /// What is done for each block, in order.
    pub(crate) steps: Vec<Step>,
    /// Scratch blocks needed.
    pub(crate) n_registers: usize,
    /// Numbers that are one for each row.
    pub(crate) n_rows: usize,
}

impl Schedule {
    /// Whether rows are reduced, so that only whole rows can be evaluated.
    pub(crate) fn by_rows(&self) -> bool {
        self.n_rows > 0
    }
}

/// How often a node's value changes.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Pace {
    Call,
    Row,
    Element,
}

impl Schedule {
    /// Products that are only added to something become one step with the sum. Registers are handed
    /// out first come, first served, and returned after the last use: a step does not write a
    /// register that it reads, which loops can do only by way of a copy.
    ///
    /// In place, input n is the old value of output n. So an output is written directly only if
    /// no later step reads that input.
    pub(super) fn new(nodes: &[Node], roots: &[usize]) -> Self {
        let paces = paces(nodes);
        let mut work = work(nodes, roots, &paces);
        let outputs = Outputs::new(nodes, roots, &paces, &mut work);
        let is_leaf = |id: &usize| matches!(nodes[*id], Node::Scalar(_) | Node::Const(_));
        let leaves = (0..nodes.len()).filter(is_leaf).collect();
        let mut schedule = Schedule { leaves, ..Schedule::default() };
        schedule.place(nodes, &paces, work, &outputs);
        schedule
    }

    /// Decides where each value goes.
    fn place(&mut self, nodes: &[Node], paces: &[Pace], work: Vec<Work>, outputs: &Outputs) {
        let n_values = nodes.len() + work.len();
        let mut last_use = vec![0; n_values];
        for (step, work) in work.iter().enumerate() {
            work.operands.iter().for_each(|&operand| last_use[operand] = step);
        }
        outputs.copies.iter().for_each(|&(_, id)| last_use[id] = usize::MAX);
        let mut places: Vec<Place> = (0..n_values).map(Place::One).collect();
        for (place, node) in places.iter_mut().zip(nodes) {
            if let Node::Input(i) = node {
                *place = Place::Input(*i);
            }
        }
        let mut free = Vec::new();
        for (step, Work { action, mut operands, id }) in work.into_iter().enumerate() {
            let from = [0, 1, 2].map(|k: usize| places[operands[k.min(operands.len() - 1)]]);
            let to = match paces.get(id).copied().unwrap_or(Pace::Element) {
                Pace::Call => Place::One(id),
                Pace::Row => Place::Row(next(&mut self.n_rows)),
                Pace::Element => match outputs.direct.get(id).copied().flatten() {
                    Some(output) => Place::Output(output),
                    None => {
                        Place::Register(free.pop().unwrap_or_else(|| next(&mut self.n_registers)))
                    }
                },
            };
            let steps = if let Place::One(_) = to { &mut self.once } else { &mut self.steps };
            steps.push(Step { action, operands: from, to });
            places[id] = to;
            operands.sort_unstable();
            operands.dedup();
            for operand in operands.into_iter().filter(|&operand| last_use[operand] == step) {
                if let Place::Register(register) = places[operand] {
                    free.push(register);
                }
            }
        }
        self.steps.extend(outputs.copies.iter().map(|&(output, id)| Step {
            action: Action::Copy,
            operands: [places[id]; 3],
            to: Place::Output(output),
        }));
    }
}

/// The number of one more.
fn next(count: &mut usize) -> usize {
    *count += 1;
    *count - 1
}

/// A step on values: those of nodes by their numbers, and after them those that are put aside.
#[derive(Clone, Debug)]
struct Work {
    action: Action,
    operands: Vec<usize>,
    id: usize,
}

/// What computes the nodes, in their order.
fn work(nodes: &[Node], roots: &[usize], paces: &[Pace]) -> Vec<Work> {
    let merged = merged(nodes, roots, paces);
    let is_part = |id: usize| merged.iter().flatten().any(|with| with.part == id);
    let step = |(id, node): (usize, &Node)| {
        let action = match *node {
            Node::Input(_) | Node::Scalar(_) | Node::Const(_) => return None,
            Node::Unary(op, _) => Action::Unary(op),
            Node::Binary(op, ..) => Action::Binary(op),
            Node::Select(..) => Action::Select,
            Node::Reduce(op, _) => Action::Reduce(op),
        };
        Some(match merged[id] {
            Some(Merged { action, operands, .. }) => Work { action, operands: operands.into(), id },
            None => Work { action, operands: node.operands().collect(), id },
        })
    };
    nodes.iter().enumerate().filter(|&(id, _)| !is_part(id)).filter_map(step).collect()
}

/// How outputs come to their places.
struct Outputs {
    /// The output that a node is written to as it is computed.
    direct: Vec<Option<usize>>,
    /// Outputs that are copied at the end, and from which values: inputs, numbers, what several
    /// outputs share, and what would overwrite an old value too early.
    copies: Vec<(usize, usize)>,
}

impl Outputs {
    /// Puts old values that another output will overwrite aside, before all other work.
    fn new(nodes: &[Node], roots: &[usize], paces: &[Pace], work: &mut Vec<Work>) -> Outputs {
        let (mut copies, mut aside) = (Vec::new(), Vec::new());
        for (output, &root) in roots.iter().enumerate() {
            match nodes[root] {
                Node::Input(i) if i < roots.len() && i != output => {
                    let id = nodes.len() + aside.len();
                    aside.push(Work { action: Action::Copy, operands: vec![root], id });
                    copies.push((output, id));
                }
                Node::Input(_) => copies.push((output, root)),
                _ if paces[root] != Pace::Element => copies.push((output, root)),
                _ => {}
            }
        }
        work.splice(0..0, aside);
        let reads_after = |step: usize, input: usize| {
            let reads = |id: &usize| nodes.get(*id) == Some(&Node::Input(input));
            work[step + 1..].iter().any(|work| work.operands.iter().any(reads))
        };
        let mut direct = vec![None; nodes.len()];
        for (step, &Work { id, .. }) in work.iter().enumerate() {
            if paces.get(id) != Some(&Pace::Element) {
                continue;
            }
            let mut outputs = (0..roots.len()).filter(|&output| roots[output] == id);
            let Some(first) = outputs.next() else { continue };
            if reads_after(step, first) {
                copies.push((first, id));
            } else {
                direct[id] = Some(first);
            }
            copies.extend(outputs.map(|output| (output, id)));
        }
        Outputs { direct, copies }
    }
}

fn paces(nodes: &[Node]) -> Vec<Pace> {
    let mut paces: Vec<Pace> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let slowest = |pace: Pace, operand: usize| {
            if paces[operand] > pace { paces[operand] } else { pace }
        };
        paces.push(match node {
            Node::Input(_) => Pace::Element,
            Node::Reduce(..) => Pace::Row,
            _ => node.operands().fold(Pace::Call, slowest),
        });
    }
    paces
}

/// Two nodes that are one step.
#[derive(Clone, Copy)]
struct Merged {
    /// The node that is computed on the way; nothing else reads it.
    part: usize,
    action: Action,
    operands: [usize; 3],
}

/// For each node what it becomes together with an operand.
fn merged(nodes: &[Node], roots: &[usize], paces: &[Pace]) -> Vec<Option<Merged>> {
    let mut uses = vec![0; nodes.len()];
    nodes.iter().flat_map(Node::operands).for_each(|operand| uses[operand] += 1);
    roots.iter().for_each(|&root| uses[root] += 1);
    let is_part = |id: usize| uses[id] == 1 && paces[id] == Pace::Element;
    let merge = |node: &Node| match *node {
        Node::Binary(op @ (Binary::Add | Binary::Sub), x, y) => {
            let (part, c, signs) = match (op, nodes[x], nodes[y]) {
                (Binary::Sub, _, Node::Binary(Binary::Mul, ..)) if is_part(y) => {
                    (y, x, Signs::From)
                }
                (_, _, Node::Binary(Binary::Mul, ..)) if is_part(y) => (y, x, Signs::Plus),
                (Binary::Sub, Node::Binary(Binary::Mul, ..), _) if is_part(x) => {
                    (x, y, Signs::Minus)
                }
                (_, Node::Binary(Binary::Mul, ..), _) if is_part(x) => (x, y, Signs::Plus),
                _ => return None,
            };
            let Node::Binary(_, a, b) = nodes[part] else { return None };
            Some(Merged { part, action: Action::MulAdd(signs), operands: [a, b, c] })
        }
        Node::Select(part, a, b) if is_part(part) && paces[a] == Pace::Call => match nodes[part] {
            Node::Binary(op @ (Binary::Lt | Binary::Le | Binary::Eq), x, y) if y == a => {
                Some(Merged { part, action: Action::Replace(op), operands: [x, y, b] })
            }
            _ => None,
        },
        _ => None,
    };
    nodes.iter().map(merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Formula, formula};

    #[test]
    fn a_chain_needs_two_registers() {
        let f = Formula::new(|[x]| x.exp().tanh().erf().sin().cos() + 1.0);
        assert_eq!(f.schedule().n_registers, 2);
        assert_eq!(f.schedule().steps.last().map(|s| s.to), Some(Place::Output(0)));
    }

    #[test]
    fn scalars_are_computed_once() {
        let f = formula!(|x; lr, t| x * (lr / (1.0 - t.exp())));
        assert_eq!(f.schedule().steps.len(), 1);
    }

    #[test]
    fn a_product_that_is_only_added_is_no_step_of_its_own() {
        let f = formula!(|p, g; lr, decay| p - lr * (g + decay * p));
        let actions: Vec<Action> = f.schedule().steps.iter().map(|step| step.action).collect();
        assert_eq!(actions, [Action::MulAdd(Signs::Plus), Action::MulAdd(Signs::From)]);
    }

    #[test]
    fn a_rectifier_is_one_step() {
        let f = Formula::new(|[x]| x.le(0.0).select(0.0, x));
        let actions: Vec<Action> = f.schedule().steps.iter().map(|step| step.action).collect();
        assert_eq!(actions, [Action::Replace(Binary::Le)]);
    }

    #[test]
    fn an_output_is_written_late_while_its_old_value_is_read() {
        // Output 0 may not be written before output 1 is computed from input 0.
        let f = formula!(|x, y| [x + y, x * y]);
        let last = f.schedule().steps.last().unwrap();
        assert_eq!((last.action, last.to), (Action::Copy, Place::Output(0)));
    }

    #[test]
    fn what_follows_from_a_row_alone_is_computed_once_for_it() {
        let f = Formula::new(|[x]| x - x.exp().row_sum().ln());
        let places: Vec<Place> = f.schedule().steps.iter().map(|step| step.to).collect();
        assert_eq!(places, [Place::Register(0), Place::Row(0), Place::Row(1), Place::Output(0)]);
    }

    #[test]
    fn exchanged_inputs_are_put_aside_first() {
        let f = formula!(|x, y| [y, x]);
        let actions: Vec<Place> = f.schedule().steps.iter().map(|step| step.to).collect();
        let (r, o) = (Place::Register, Place::Output);
        assert_eq!(actions, [r(0), r(1), o(0), o(1)]);
    }
}
