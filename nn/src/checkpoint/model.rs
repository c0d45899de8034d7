//! Models and the tensors of a file, matched by name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use plies_tensor::Tensor;

use super::nested::inner_name;
use super::stored::Stored;
use super::{Checkpoint, CheckpointError, HEADER, OPTIMIZER, TRAINING, one_line};
use crate::Module;
use crate::visitor::{Found, FoundMut, Visitor, VisitorMut};

/// Which names a file and a model do not share.
#[doc(alias("missing_keys", "unexpected_keys"))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// What the model has and the file has not, in the model's order, buffers last.
    pub missing: Vec<String>,
    /// What the file has and the model has not, in the order of names.
    pub unexpected: Vec<String>,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

/// In one line: `3.bias is missing; head.weight and head.bias do not exist in this model`.
impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let list = |names: &[String]| {
            let mut shown = names[..names.len().min(SHOWN)].to_vec();
            if names.len() > SHOWN {
                shown.push(format!("{} more", names.len() - SHOWN));
            }
            let last = shown.pop().unwrap_or_default();
            one_line(if shown.is_empty() {
                last
            } else {
                format!("{} and {last}", shown.join(", "))
            })
        };
        let verb = |names: &[String], one, many| if names.len() == 1 { one } else { many };
        let Differences { missing, unexpected } = self;
        if !missing.is_empty() {
            write!(f, "{} {} missing", list(missing), verb(missing, "is", "are"))?;
        }
        if !missing.is_empty() && !unexpected.is_empty() {
            f.write_str("; ")?;
        }
        if !unexpected.is_empty() {
            let does = verb(unexpected, "does", "do");
            write!(f, "{} {does} not exist in this model", list(unexpected))?;
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Stores all parameters and buffers of a model, in place of those of another; what an optimiser
    /// remembers stays. A file of nothing else is what PyTorch's users call weights: it says
    /// `{"format": "pt"}`, and `load_state_dict` takes it as it is. A parameter that stands in several
    /// places is stored under each of its names, as there.
    ///
    /// # Panics
    /// When two parameters or buffers have one name, or the names of a child called `optimizer` or
    /// `training` are those of what stands beside a model.
    #[track_caller]
    pub fn put_model(&mut self, model: &dyn Module) {
        let parts = match parts(model) {
            Ok(parts) => parts,
            Err(mistake) => panic!("put_model: {mistake}"),
        };
        self.tensors.retain(|name, _| nest_of(name).is_some());
        self.tensors.extend(parts.into_iter().map(|part| (part.name, part.tensor)));
    }

    /// Gives a model the parameters and buffers that are stored here, on the devices where its own
    /// are. Nothing is changed unless all fit. For a parameter that stands in several places one of its names
    /// is enough.
    ///
    /// # Errors
    /// Tensors that are missing, left over, or of another shape or dtype; different ones for the places
    /// of one parameter; a model that [`put_model`](Checkpoint::put_model) does not store; a fault of a device.
    pub fn load_model(&self, model: &mut dyn Module) -> Result<(), CheckpointError> {
        self.fitting(model)?.put(model);
        Ok(())
    }

    /// What [`load_model`](Checkpoint::load_model) gives a model, if all of it fits.
    pub(crate) fn fitting(&self, model: &dyn Module) -> Result<Fitting, CheckpointError> {
        let (fitting, differences) = self.matched(model)?;
        match differences.is_empty() {
            true => Ok(fitting),
            false => Err(self.mismatch(differences.to_string())),
        }
    }

    /// Gives a model what is stored here under names that it has, leaves the rest of it as it is, and
    /// says what was left on either side: for a body without its head, or a file of an older version.
    ///
    /// # Errors
    /// A tensor of another shape or dtype, and then nothing is changed; a fault of a device.
    ///
    /// # Example
    /// ```
    /// use plies_nn::{Activation, Checkpoint, Linear, Mlp, Sequential};
    /// use plies_tensor::Rng;
    /// let mut rng = Rng::new(1);
    /// let mut file = Checkpoint::new();
    /// file.put_model(&Sequential::new().push(Linear::new(2, 3, &mut rng).without_bias()));
    /// let mut model = Sequential::new().push(Linear::new(2, 3, &mut rng));
    /// let differences = file.load_matching(&mut model).unwrap();
    /// assert_eq!((differences.missing, differences.unexpected), (vec!["0.bias".to_owned()], vec![]));
    /// ```
    #[doc(alias = "strict")]
    pub fn load_matching(&self, model: &mut dyn Module) -> Result<Differences, CheckpointError> {
        let (fitting, differences) = self.matched(model)?;
        fitting.put(model);
        Ok(differences)
    }

    /// The tensors whose names begin with `prefix`, under what is left of their names: `module.` of
    /// models that were trained on several devices, `_orig_mod.` of compiled ones, or the part of a
    /// larger model. Text stays.
    ///
    /// # Errors
    /// When no name begins so.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Checkpoint;
    /// use plies_tensor::Tensor;
    /// let mut file = Checkpoint::new();
    /// file.insert("encoder.0.weight", Tensor::from([1f32]));
    /// file.insert("decoder.0.weight", Tensor::from([2f32]));
    /// let encoder = file.part("encoder.").unwrap();
    /// assert!(encoder.tensors().keys().eq(["0.weight"]));
    /// ```
    pub fn part(&self, prefix: &str) -> Result<Self, CheckpointError> {
        let part = self.rename(|name| name.strip_prefix(prefix).map(str::to_owned))?;
        if part.tensors.is_empty() {
            return Err(self.mismatch(format!("no name begins with \"{prefix}\"")));
        }
        Ok(part)
    }

    /// The same tensors under other names, without those that get none. Text stays.
    ///
    /// # Errors
    /// When two tensors would have one name.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Checkpoint;
    /// use plies_tensor::Tensor;
    /// let mut file = Checkpoint::new();
    /// file.insert("norm.gamma", Tensor::from([1f32]));
    /// let file = file.rename(|name| Some(name.replace("gamma", "weight"))).unwrap();
    /// assert!(file.tensors().keys().eq(["norm.weight"]));
    /// ```
    pub fn rename(
        &self,
        mut to: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            let Some(new) = to(name) else { continue };
            if new == HEADER {
                return Err(self.mismatch(format!("a tensor would be called {new}")));
            }
            if tensors.insert(new.clone(), tensor.clone()).is_some() {
                return Err(self.mismatch(format!("two tensors would be called {new}")));
            }
        }
        Ok(Checkpoint { tensors, ..self.clone() })
    }

    /// What is stored here for each parameter and each buffer of a model.
    fn matched(&self, model: &dyn Module) -> Result<(Fitting, Differences), CheckpointError> {
        let mut tensors = Vec::new();
        // The first name of each leaf that something is stored under, and what is.
        let mut leaves: HashMap<u64, (String, Tensor)> = HashMap::new();
        let parts = parts(model).map_err(|mistake| self.mismatch(mistake))?;
        for Part { kind, name, tensor, leaf } in &parts {
            let found = self.tensors.get(name);
            let found = found.map(|found| self.like(kind, name, found, tensor)).transpose()?;
            if let (Some(leaf), Some(found)) = (leaf, &found) {
                let (first, same) =
                    leaves.entry(*leaf).or_insert_with(|| (name.clone(), found.clone()));
                if first != name && Stored::new(same)? != Stored::new(found)? {
                    let reason = format!("{first} and {name} differ, which are one parameter here");
                    return Err(self.mismatch(reason));
                }
            }
            tensors.push(found);
        }
        for (Part { leaf, .. }, tensor) in parts.iter().zip(&mut tensors) {
            if tensor.is_none() {
                *tensor = leaf.and_then(|leaf| leaves.get(&leaf)).map(|(_, tensor)| tensor.clone());
            }
        }
        let places = || parts.iter().zip(&tensors);
        let missing = ["parameter", "buffer"].into_iter().flat_map(|kind| {
            let of_kind =
                places().filter(move |(part, found)| part.kind == kind && found.is_none());
            of_kind.map(|(part, _)| part.name.clone())
        });
        let missing = missing.collect();
        let used: BTreeSet<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let is_left = |name: &&String| nest_of(name).is_none() && !used.contains(name.as_str());
        let unexpected = self.tensors.keys().filter(is_left).cloned().collect();
        Ok((Fitting(tensors), Differences { missing, unexpected }))
    }
}

/// A parameter by one of its names, or a buffer.
struct Part {
    kind: &'static str,
    name: String,
    tensor: Tensor,
    /// What the names of one parameter have in common.
    leaf: Option<u64>,
}

/// All that a model is stored as, or why it cannot be.
fn parts(model: &dyn Module) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    model.visit(&mut Visitor::new(&mut |name, found| {
        let (kind, tensor, leaf) = match found {
            Found::Parameter(p) => ("parameter", p.value(), p.leaf_id()),
            Found::Buffer(buffer) => ("buffer", buffer, None),
            Found::Activation(_) => return,
        };
        parts.push(Part { kind, name: name.to_owned(), tensor: tensor.clone(), leaf });
    }));
    let mut names = BTreeSet::new();
    for Part { name, .. } in &parts {
        if let Some(nest) = nest_of(name) {
            return Err(format!(
                "{name} is a name of what stands beside a model; call the child other than {nest}"
            ));
        }
        if name == HEADER || !names.insert(name) {
            let taken = if name == HEADER { "is the header's name" } else { "is the name of two" };
            return Err(format!("{name} {taken}; a parameter or buffer needs one of its own"));
        }
    }
    Ok(parts)
}

/// Whether a model can be stored and loaded by the names that its parameters and buffers have.
pub(crate) fn check_names(model: &dyn Module) -> Result<(), String> {
    parts(model).map(drop)
}

/// What a tensor of this name is nested under, if it is no model's.
fn nest_of(name: &str) -> Option<&'static str> {
    [OPTIMIZER, TRAINING].into_iter().find(|nest| inner_name(nest, name).is_some())
}

/// A tensor, where there is one, for each parameter and buffer, in the order of a walk.
pub(crate) struct Fitting(Vec<Option<Tensor>>);

impl Fitting {
    /// Puts them in their places.
    pub(crate) fn put(self, model: &mut dyn Module) {
        let mut tensors = self.0.into_iter();
        model.visit_mut(&mut VisitorMut::new(&mut |_, place| {
            let Some(tensor) = tensors.next().flatten() else { return };
            match place {
                FoundMut::Parameter(parameter) => *parameter.value_mut() = tensor,
                FoundMut::Buffer(buffer) => *buffer = tensor,
            }
        }));
    }
}
