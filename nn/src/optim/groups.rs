//! Parameters that are not all treated alike.

use std::collections::BTreeMap;

use plies_autograd::Var;
use plies_tensor::Tensor;

use super::{Optimizer, State};
use crate::checkpoint::{take_from, under};
use crate::{CheckpointError, Module, Pass, Visitor, VisitorMut};

/// Whether a parameter of this name belongs to a group.
pub(super) type Takes = dyn Fn(&str, &Tensor) -> bool + Send + Sync;

/// An optimiser for each group of parameters: weight decay for matrices alone, a smaller learning rate for
/// what has been trained before, another rule for a table. PyTorch's `param_groups`.
///
/// A parameter belongs to the first group that takes it, and to the optimiser of the rest if none
/// does. A learning rate that is set, by a schedule for example, is that of the rest; the others stay in
/// proportion.
///
/// # Example
/// ```
/// use plies_nn::optim::{Adam, Optimizer, ParameterGroups};
/// // As is usual for transformers: biases and the scales of normalisations do not decay.
/// let mut optimizer = ParameterGroups::new(Adam::adamw(1e-3, 0.1))
///     .group(|_, parameter| parameter.rank() < 2, Adam::adamw(1e-3, 0.0))
///     .group(|name, _| name.starts_with("embedding."), Adam::new(1e-4));
/// optimizer.set_lr(5e-4); // 5e-5 for the embedding
/// ```
#[doc(alias("param_groups", "parameter groups"))]
pub struct ParameterGroups {
    /// What groups 1, 2, … take; group 0 has the rest.
    takes: Vec<Box<Takes>>,
    groups: Vec<Group>,
}

struct Group {
    optimizer: Box<dyn Optimizer>,
    /// Its learning rate in proportion to that of the rest.
    proportion: f64,
}

impl ParameterGroups {
    /// One optimiser for all that no group takes.
    pub fn new(rest: impl Optimizer + 'static) -> Self {
        let rest = Group { optimizer: Box::new(rest), proportion: 1.0 };
        ParameterGroups { takes: Vec::new(), groups: vec![rest] }
    }

    /// Another for those parameters, by name and value, that `takes` says.
    ///
    /// # Panics
    /// When the learning rate of the rest is 0, which nothing is in proportion to.
    #[track_caller]
    pub fn group(
        mut self,
        takes: impl Fn(&str, &Tensor) -> bool + Send + Sync + 'static,
        optimizer: impl Optimizer + 'static,
    ) -> Self {
        assert!(self.lr() != 0.0, "parameter_groups: the learning rate of the rest is 0");
        let proportion = optimizer.lr() / self.lr();
        self.takes.push(Box::new(takes));
        self.groups.push(Group { optimizer: Box::new(optimizer), proportion });
        self
    }

    fn optimizers(&self) -> impl Iterator<Item = &dyn Optimizer> {
        self.groups.iter().map(|group| group.optimizer.as_ref())
    }

    fn take_up(
        &mut self,
        states: Vec<State>,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        let mut both = self.groups.iter_mut().zip(states);
        both.try_for_each(|(group, state)| group.optimizer.load_state(state, parameters))
    }
}

impl Optimizer for ParameterGroups {
    #[track_caller]
    fn step(&mut self, model: &mut dyn Module) {
        let members = members(&self.takes, model);
        for (group, Group { optimizer, .. }) in self.groups.iter_mut().enumerate() {
            optimizer.step(&mut Part { model, group, members: &members });
        }
    }

    fn lr(&self) -> f64 {
        self.groups[0].optimizer.lr()
    }

    fn lr_of(&self, name: &str, parameter: &Tensor) -> f64 {
        self.groups[group_of(&self.takes, name, parameter)].optimizer.lr_of(name, parameter)
    }

    fn set_lr(&mut self, lr: f64) {
        for Group { optimizer, proportion } in &mut self.groups {
            optimizer.set_lr(lr * *proportion);
        }
    }

    fn describe(&self) -> String {
        self.optimizers().map(Optimizer::describe).collect::<Vec<_>>().join("; ")
    }

    /// The state of each group under its number.
    fn state(&self) -> State {
        let numbered = self.optimizers().enumerate();
        numbered.flat_map(|(i, optimizer)| under(&i.to_string(), optimizer.state())).collect()
    }

    fn load_state(
        &mut self,
        mut state: State,
        parameters: &BTreeMap<String, Tensor>,
    ) -> Result<(), CheckpointError> {
        let groups = 0..self.groups.len();
        let states = groups.map(|i| take_from(&mut state, &i.to_string())).collect();
        if let Some(key) = state.keys().next() {
            return Err(CheckpointError::State { reason: format!("{key} is of no group") });
        }
        let before = self.optimizers().map(Optimizer::state).collect();
        self.take_up(states, parameters).inspect_err(|_| {
            // Those before the one that refused have taken theirs; the old ones fit them.
            let _ = self.take_up(before, parameters);
        })
    }

    fn shows_averages(&self) -> Option<bool> {
        self.optimizers().filter_map(Optimizer::shows_averages).max()
    }

    fn show_averages(&mut self, model: &mut dyn Module, show: bool) {
        if self.shows_averages().is_none() {
            return;
        }
        let members = members(&self.takes, model);
        for (group, Group { optimizer, .. }) in self.groups.iter_mut().enumerate() {
            optimizer.show_averages(&mut Part { model, group, members: &members }, show);
        }
    }
}

/// The parameters of a model that belong to one group, as a model.
struct Part<'a> {
    model: &'a mut dyn Module,
    group: usize,
    /// The group of each parameter, in the model's order.
    members: &'a [usize],
}

/// The group of each parameter of a model: asked once in a step, not again by each group.
fn members(takes: &[Box<Takes>], model: &dyn Module) -> Vec<usize> {
    let mut members = Vec::new();
    model.for_each_parameter(&mut |name, p| members.push(group_of(takes, name, p.value())));
    members
}

fn group_of(takes: &[Box<Takes>], name: &str, parameter: &Tensor) -> usize {
    takes.iter().position(|takes| takes(name, parameter)).map_or(0, |i| i + 1)
}

impl Module for Part<'_> {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.model.forward(x, pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        let mut members = self.members.iter();
        self.model.for_each_parameter(&mut |name, parameter| {
            if members.next() == Some(&self.group) {
                visitor.parameter(name, parameter);
            }
        });
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        let mut members = self.members.iter();
        self.model.for_each_parameter_mut(&mut |name, parameter| {
            if members.next() == Some(&self.group) {
                visitor.parameter(name, parameter);
            }
        });
    }
}
