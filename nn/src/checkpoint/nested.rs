//! Checkpoints within checkpoints, by the names of what they hold.

use std::collections::BTreeMap;

use super::{Checkpoint, TRAINING};

impl Checkpoint {
    /// Stores all of another checkpoint in this one, its tensors and keys behind `name.`, in place of
    /// what was stored there. This is how what remembers something, a callback for example, puts it
    /// beside the model.
    ///
    /// # Example
    /// ```
    /// use plies_nn::Checkpoint;
    /// use plies_tensor::Tensor;
    /// let mut average = Checkpoint::new();
    /// average.insert("weight", Tensor::from([1f32]));
    /// let mut checkpoint = Checkpoint::new();
    /// checkpoint.nest("average", &average);
    /// assert!(checkpoint.tensors().contains_key("average.weight"));
    /// assert_eq!(checkpoint.nested("average").tensors().len(), 1);
    /// ```
    pub fn nest(&mut self, name: &str, inner: &Checkpoint) {
        let is_other = |key: &str| inner_name(name, key).is_none();
        self.tensors.retain(|key, _| is_other(key));
        self.metadata.retain(|key, _| is_other(key));
        self.tensors.extend(under(name, inner.tensors.clone()));
        self.metadata.extend(under(name, inner.metadata.clone()));
    }

    /// What is [nested](Checkpoint::nest) under a name; an empty checkpoint when nothing is.
    pub fn nested(&self, name: &str) -> Checkpoint {
        Checkpoint {
            origin: self.origin.clone(),
            tensors: take_from(&mut self.tensors.clone(), name),
            metadata: take_from(&mut self.metadata.clone(), name),
        }
    }

    /// The text that is no part of a training's state, for another to be saved beside it.
    pub(crate) fn settings(&self) -> Checkpoint {
        let mut settings = Checkpoint { tensors: BTreeMap::new(), ..self.clone() };
        take_from(&mut settings.metadata, TRAINING);
        settings
    }

    /// Stores all that another checkpoint holds, in place of what is here by the same names.
    pub fn put_all(&mut self, other: &Checkpoint) {
        self.tensors.extend(other.tensors.iter().map(|(name, t)| (name.clone(), t.clone())));
        self.metadata.extend(other.metadata.iter().map(|(key, text)| (key.clone(), text.clone())));
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.metadata.is_empty()
    }
}

/// All of `inner`, nested under a name.
pub(crate) fn under<T>(
    name: &str,
    inner: BTreeMap<String, T>,
) -> impl Iterator<Item = (String, T)> + use<T> {
    let prefix = format!("{name}.");
    inner.into_iter().map(move |(key, value)| (prefix.clone() + &key, value))
}

/// What is nested under a name, taken out.
pub(crate) fn take_from<T>(outer: &mut BTreeMap<String, T>, name: &str) -> BTreeMap<String, T> {
    let nested = outer.extract_if(.., |key, _| inner_name(name, key).is_some());
    nested.map(|(key, value)| (key[name.len() + 1..].to_owned(), value)).collect()
}

/// `key` within what is nested under `name`, if it is there.
pub(super) fn inner_name<'a>(name: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(name)?.strip_prefix('.')
}
