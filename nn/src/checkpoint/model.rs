//! Models and the tensors of a file, matched by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plies_tensor::Tensor;

use super::nested::inner_name;
use super::{Checkpoint, CheckpointError, OPTIMIZER, TRAINING, one_line};
use crate::Module;

/// Which names a file and a model do not share.
#[doc(alias("missing_keys", "unexpected_keys"))]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// What the model has and the file has not, in the model's order.
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
    /// Stores all parameters and buffers of a model. A file of nothing else is what PyTorch's users
    /// call weights: it says `{"format": "pt"}`, and `load_state_dict` takes it as it is.
    pub fn put_model(&mut self, model: &dyn Module) {
        model.for_each_parameter(&mut |name, parameter| {
            self.insert(name, parameter.value().clone())
        });
        model.for_each_buffer(&mut |name, buffer| self.insert(name, buffer.clone()));
    }

    /// Gives a model the parameters and buffers that are stored here, on the devices where its own
    /// are. Nothing is changed unless all fit.
    ///
    /// # Errors
    /// Tensors that are missing, left over, or of another shape or dtype; a fault of a device.
    pub fn load_model(&self, model: &mut dyn Module) -> Result<(), CheckpointError> {
        let (tensors, differences) = self.matched(model)?;
        if !differences.is_empty() {
            return Err(self.mismatch(differences.to_string()));
        }
        put(tensors, model);
        Ok(())
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
        let (tensors, differences) = self.matched(model)?;
        put(tensors, model);
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
            if tensors.insert(new.clone(), tensor.clone()).is_some() {
                return Err(self.mismatch(format!("two tensors would be called {new}")));
            }
        }
        Ok(Checkpoint { tensors, ..self.clone() })
    }

    /// What is stored here for each parameter and then each buffer of a model.
    fn matched(
        &self,
        model: &dyn Module,
    ) -> Result<(Vec<Option<Tensor>>, Differences), CheckpointError> {
        let (mut used, mut missing) = (BTreeSet::new(), Vec::new());
        let mut find = |kind: &str, name: &str, expected: &Tensor| {
            let Some((name, found)) = self.tensors.get_key_value(name) else {
                missing.push(name.to_owned());
                return Ok(None);
            };
            used.insert(name.as_str());
            Ok(Some(self.like(kind, name, found, expected)?))
        };
        let mut tensors = Vec::new();
        model.for_each_parameter(&mut |name, p| tensors.push(find("parameter", name, p.value())));
        model.for_each_buffer(&mut |name, buffer| tensors.push(find("buffer", name, buffer)));
        let tensors = tensors.into_iter().collect::<Result<_, CheckpointError>>()?;
        let is_left = |name: &&String| {
            let is_ours = [OPTIMIZER, TRAINING].iter().any(|nest| inner_name(nest, name).is_some());
            !is_ours && !used.contains(name.as_str())
        };
        let unexpected = self.tensors.keys().filter(is_left).cloned().collect();
        Ok((tensors, Differences { missing, unexpected }))
    }
}

/// Puts a tensor, where there is one, in the place of each parameter and then each buffer.
fn put(tensors: Vec<Option<Tensor>>, model: &mut dyn Module) {
    let mut tensors = tensors.into_iter();
    model.for_each_parameter_mut(&mut |_, parameter| {
        if let Some(tensor) = tensors.next().flatten() {
            *parameter.value_mut() = tensor;
        }
    });
    model.for_each_buffer_mut(&mut |_, buffer| {
        if let Some(tensor) = tensors.next().flatten() {
            *buffer = tensor;
        }
    });
}
