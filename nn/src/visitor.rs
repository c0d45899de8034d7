//! Walks over the parameters of a model.

use plies_autograd::Var;
use plies_tensor::Tensor;

use crate::Module;

pub(crate) enum Found<'a> {
    Parameter(&'a Var),
    Buffer(&'a Tensor),
    Activation(&'a Tensor),
}

pub(crate) enum FoundMut<'a> {
    Parameter(&'a mut Var),
    Buffer(&'a mut Tensor),
}

/// What a module shows its parts to, in [`Module::visit`].
pub struct Visitor<'a> {
    path: Path,
    found: &'a mut dyn FnMut(&str, Found<'_>),
}

/// What a module lends its parts to, in [`Module::visit_mut`].
pub struct VisitorMut<'a> {
    path: Path,
    found: &'a mut dyn FnMut(&str, FoundMut<'_>),
}

impl<'a> Visitor<'a> {
    pub(crate) fn new(found: &'a mut dyn FnMut(&str, Found<'_>)) -> Self {
        Visitor { path: Path::default(), found }
    }

    /// Something that is trained.
    pub fn parameter(&mut self, name: &str, parameter: &Var) {
        let depth = self.path.enter(name);
        (self.found)(&self.path.0, Found::Parameter(parameter));
        self.path.leave(depth);
    }

    /// Something that is saved with the model but not trained: running statistics, tables.
    pub fn buffer(&mut self, name: &str, buffer: &Tensor) {
        let depth = self.path.enter(name);
        (self.found)(&self.path.0, Found::Buffer(buffer));
        self.path.leave(depth);
    }

    /// An output of the last forward pass, kept to be looked at.
    pub fn activation(&mut self, name: &str, output: &Tensor) {
        let depth = self.path.enter(name);
        (self.found)(&self.path.0, Found::Activation(output));
        self.path.leave(depth);
    }

    /// A module that this one consists of.
    pub fn child(&mut self, name: &str, child: &dyn Module) {
        let depth = self.path.enter(name);
        child.visit(self);
        self.path.leave(depth);
    }
}

impl<'a> VisitorMut<'a> {
    pub(crate) fn new(found: &'a mut dyn FnMut(&str, FoundMut<'_>)) -> Self {
        VisitorMut { path: Path::default(), found }
    }

    /// Something that is trained.
    pub fn parameter(&mut self, name: &str, parameter: &mut Var) {
        let depth = self.path.enter(name);
        (self.found)(&self.path.0, FoundMut::Parameter(parameter));
        self.path.leave(depth);
    }

    /// Something that is saved with the model but not trained.
    pub fn buffer(&mut self, name: &str, buffer: &mut Tensor) {
        let depth = self.path.enter(name);
        (self.found)(&self.path.0, FoundMut::Buffer(buffer));
        self.path.leave(depth);
    }

    /// A module that this one consists of.
    pub fn child(&mut self, name: &str, child: &mut dyn Module) {
        let depth = self.path.enter(name);
        child.visit_mut(self);
        self.path.leave(depth);
    }
}

/// The dotted name of where a walk is.
#[derive(Debug, Default)]
pub(crate) struct Path(pub(crate) String);

impl Path {
    pub(crate) fn enter(&mut self, name: &str) -> usize {
        let depth = self.0.len();
        if depth > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        depth
    }

    pub(crate) fn leave(&mut self, depth: usize) {
        self.0.truncate(depth);
    }
}
