//! Checkpoints within checkpoints, by the names of what they hold.

use super::Checkpoint;

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
        let outer = |key: &String| format!("{name}.{key}");
        let is_other = |key: &str| inner_name(name, key).is_none();
        self.tensors.retain(|key, _| is_other(key));
        self.metadata.retain(|key, _| is_other(key));
        self.tensors.extend(inner.tensors.iter().map(|(key, t)| (outer(key), t.clone())));
        self.metadata.extend(inner.metadata.iter().map(|(key, text)| (outer(key), text.clone())));
    }

    /// What is [nested](Checkpoint::nest) under a name; an empty checkpoint when nothing is.
    pub fn nested(&self, name: &str) -> Checkpoint {
        let inner = |key: &String| inner_name(name, key).map(str::to_owned);
        let (tensors, texts) = (self.tensors.iter(), self.metadata.iter());
        Checkpoint {
            origin: self.origin.clone(),
            tensors: tensors.filter_map(|(key, t)| Some((inner(key)?, t.clone()))).collect(),
            metadata: texts.filter_map(|(key, text)| Some((inner(key)?, text.clone()))).collect(),
        }
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

/// `key` within what is nested under `name`, if it is there.
pub(super) fn inner_name<'a>(name: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(name)?.strip_prefix('.')
}
