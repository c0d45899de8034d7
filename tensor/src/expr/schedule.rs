//! The order of a formula's work on a block of elements: which register each step writes.

use super::Node;

/// Where a node's values are when a block is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One number for the whole call: a constant, a scalar, or a function of those.
    Uniform,
    /// A block of the n-th input.
    Input(usize),
    /// A scratch block.
    Register(usize),
    /// Written straight to the n-th output; nothing else reads it.
    Output(usize),
}

/// One node to compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) node: usize,
    pub(crate) place: Place,
}

/// Steps done once for each call and steps done for each block.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Where each node's values are found.
    pub(crate) places: Vec<Place>,
    /// Nodes that are one number for the whole call.
    pub(crate) uniform: Vec<usize>,
    /// Nodes computed for each block, in order.
    pub(crate) steps: Vec<Step>,
    /// Scratch blocks needed.
    pub(crate) n_registers: usize,
}

impl Schedule {
    /// Registers are handed out first come, first served, and returned after the last use. A step
    /// never writes a register that it reads.
    pub(super) fn new(nodes: &[Node], roots: &[usize]) -> Self {
        let mut last_use: Vec<usize> = (0..nodes.len()).collect();
        for (id, node) in nodes.iter().enumerate() {
            for operand in node.operands() {
                last_use[operand] = id;
            }
        }
        let is_read: Vec<bool> = last_use.iter().enumerate().map(|(id, &last)| last > id).collect();
        let mut places = Vec::with_capacity(nodes.len());
        let (mut uniform, mut steps) = (Vec::new(), Vec::new());
        let (mut free, mut n_registers) = (Vec::new(), 0);
        for (id, node) in nodes.iter().enumerate() {
            let place = match *node {
                Node::Input(i) => Place::Input(i),
                Node::Scalar(_) | Node::Const(_) => Place::Uniform,
                _ if node.operands().all(|operand| places[operand] == Place::Uniform) => {
                    Place::Uniform
                }
                _ => {
                    let outputs: Vec<usize> =
                        (0..roots.len()).filter(|&j| roots[j] == id).collect();
                    let place = match outputs[..] {
                        [output] if !is_read[id] => Place::Output(output),
                        _ => Place::Register(free.pop().unwrap_or_else(|| {
                            n_registers += 1;
                            n_registers - 1
                        })),
                    };
                    steps.push(Step { node: id, place });
                    place
                }
            };
            places.push(place);
            if place == Place::Uniform {
                uniform.push(id);
                continue;
            }
            let mut operands: Vec<usize> = node.operands().collect();
            operands.dedup();
            operands.sort_unstable();
            operands.dedup();
            for operand in operands {
                if let Place::Register(register) = places[operand]
                    && last_use[operand] == id
                    && !roots.contains(&operand)
                {
                    free.push(register);
                }
            }
        }
        Schedule { places, uniform, steps, n_registers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Formula, formula};

    #[test]
    fn a_chain_needs_two_registers() {
        let f = Formula::new(|[x]| x.exp().tanh().erf().sin().cos() + 1.0);
        assert_eq!(f.schedule().n_registers, 2);
        assert_eq!(f.schedule().steps.last().map(|s| s.place), Some(Place::Output(0)));
    }

    #[test]
    fn scalars_are_computed_once() {
        let f = formula!(|x; lr, t| x * (lr / (1.0 - t.exp())));
        assert_eq!(f.schedule().steps.len(), 1);
    }
}
