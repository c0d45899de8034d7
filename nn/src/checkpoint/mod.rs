//! Models in files: safetensors, which Python's `safetensors` and PyTorch read.
//!
//! Parameters and buffers stand under their own names, so that `load_file` gives a `state_dict`; an
//! optimiser's memory stands under `optimizer.…`; everything else (architecture, epoch, random
//! states) is text by key, as JSON under the one metadata key `plies`. Equal contents give equal
//! bytes: names are sorted and nothing tells the time.
//!
//! A file may come from anyone. Sizes are checked against the bytes that are there before memory is
//! taken, and what does not fit a model is an error of one line that names file, tensor and rule.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use plies_tensor::{Rng, Tensor, replace_file};
use safetensors::tensor::{SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

mod damage;
mod finite;
mod gradients;
mod model;
mod nested;
mod stored;

pub(crate) use finite::not_finite;
pub use model::Differences;
pub(crate) use model::check_names;
pub(crate) use nested::{take_from, under};
use stored::{Stored, read_tensor};

use crate::optim::Optimizer;

/// The key under which the metadata stands; a single one, so that the bytes have one order.
const METADATA: &str = "plies";

/// What safetensors has in the place of a tensor: the metadata.
const HEADER: &str = "__metadata__";

/// The version of what stands there. A higher one was written by a later release.
const VERSION: u32 = 1;

/// What an optimiser's tensors are nested under.
const OPTIMIZER: &str = "optimizer";

/// What the state of a training is nested under: how far it is, and what its callbacks remember.
pub(crate) const TRAINING: &str = "training";

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    entries: BTreeMap<String, String>,
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is no safetensors file, or holds what this crate cannot use.
    #[error("{origin}: {reason}")]
    Format {
        /// The file.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// The file holds another model.
    #[error("{origin}: {reason}")]
    Mismatch {
        /// The file.
        origin: String,
        /// Which parameter differs, and how.
        reason: String,
    },
    /// What an optimiser is to take up does not fit it, or its parameters.
    #[error("optimiser state: {reason}")]
    State {
        /// Which entry, and why.
        reason: String,
    },
    /// A device failed while its tensors were read.
    #[error(transparent)]
    Device(#[from] plies_tensor::Error),
}

/// Tensors by name, and text by key.
///
/// # Example
/// ```
/// use plies_nn::{Activation, Checkpoint, Mlp};
/// use plies_tensor::Rng;
/// let mut rng = Rng::new(1);
/// let trained = Mlp::new(&[2, 3, 1], Activation::Relu, &mut rng);
/// let mut checkpoint = Checkpoint::new();
/// checkpoint.put_model(&trained);
/// checkpoint.set("epoch", "3");
/// let bytes = checkpoint.to_bytes().unwrap();
///
/// let loaded = Checkpoint::from_bytes(&bytes, "memory").unwrap();
/// let mut model = Mlp::new(&[2, 3, 1], Activation::Relu, &mut rng);
/// loaded.load_model(&mut model).unwrap();
/// assert_eq!(loaded.get("epoch"), Some("3"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    origin: String,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Nothing yet.
    pub fn new() -> Self {
        Checkpoint { origin: "checkpoint".to_owned(), ..Self::default() }
    }

    /// Stores text under a key.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.metadata.insert(key.to_owned(), value.into());
    }

    /// The text under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// All text by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Stores a tensor.
    ///
    /// # Panics
    /// When it is to be called `__metadata__`, which is where text stands in a file.
    #[track_caller]
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        let name = name.into();
        assert!(name != HEADER, "checkpoint: {name} is no name for a tensor, text stands there");
        self.tensors.insert(name, tensor);
    }

    /// Stores what an optimiser remembers, in place of what another remembered.
    pub fn put_optimizer(&mut self, optimizer: &dyn Optimizer) {
        self.set("optimizer", optimizer.describe());
        take_from(&mut self.tensors, OPTIMIZER);
        self.tensors.extend(under(OPTIMIZER, optimizer.state()));
    }

    /// Stores the number of complete epochs.
    pub fn set_epoch(&mut self, complete: usize) {
        self.set("epoch", complete.to_string());
    }

    /// The number of complete epochs.
    ///
    /// # Errors
    /// When none is stored.
    pub fn epoch(&self) -> Result<usize, CheckpointError> {
        self.number("epoch")
    }

    /// The number that is stored as text under a key. Rust writes floats so that they come back to the
    /// last bit.
    ///
    /// # Errors
    /// When nothing is stored under the key, or something else.
    ///
    /// # Example
    /// ```
    /// let mut checkpoint = plies_nn::Checkpoint::new();
    /// checkpoint.set("least loss", 0.1f64.to_string());
    /// assert_eq!(checkpoint.number::<f64>("least loss").unwrap(), 0.1);
    /// let error = checkpoint.number::<usize>("least loss").unwrap_err().to_string();
    /// assert_eq!(error, "checkpoint: least loss \"0.1\" is no such number");
    /// ```
    pub fn number<T: FromStr>(&self, key: &str) -> Result<T, CheckpointError> {
        let stored = self.text(key)?;
        let wrong = |_| self.mismatch(format!("{key} \"{stored}\" is no such number"));
        stored.parse().map_err(wrong)
    }

    /// The numbers that are stored as text under a key, with spaces between them.
    ///
    /// # Errors
    /// When nothing is stored under the key, or something else.
    pub fn numbers<T: FromStr>(&self, key: &str) -> Result<Vec<T>, CheckpointError> {
        let wrong = |_| self.mismatch(format!("{key} are no such numbers"));
        self.text(key)?.split_whitespace().map(|word| word.parse().map_err(wrong)).collect()
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, CheckpointError> {
        self.get(key).ok_or_else(|| self.mismatch(format!("no {key} is stored")))
    }

    /// Stores a description of the model, in whatever words tell it from others: `mlp 784-128-10`.
    pub fn set_architecture(&mut self, description: &str) {
        self.set("architecture", description);
    }

    /// Checks that the model described here is the expected one, before it is built or loaded.
    ///
    /// # Errors
    /// Both descriptions when they differ.
    ///
    /// # Example
    /// ```
    /// let mut checkpoint = plies_nn::Checkpoint::new();
    /// checkpoint.set_architecture("mlp 2-8-2");
    /// assert!(checkpoint.check_architecture("mlp 2-8-2").is_ok());
    /// let error = checkpoint.check_architecture("mlp 2-16-2").unwrap_err().to_string();
    /// assert_eq!(error, "checkpoint: architecture is \"mlp 2-8-2\", not \"mlp 2-16-2\"");
    /// ```
    pub fn check_architecture(&self, expected: &str) -> Result<(), CheckpointError> {
        match self.get("architecture") {
            Some(found) if found == expected => Ok(()),
            Some(found) => {
                Err(self.mismatch(format!("architecture is \"{found}\", not \"{expected}\"")))
            }
            None => Err(self.mismatch(format!("no architecture is stored, \"{expected}\" needed"))),
        }
    }

    /// Stores a stream of random numbers and the position in it.
    ///
    /// [`fit`](crate::train::fit) and [`Loader`](crate::data::Loader) need none: what they draw
    /// follows from seed, epoch and batch. This is for loops of one's own.
    pub fn set_rng(&mut self, name: &str, rng: &Rng) {
        let (seed, position) = rng.state();
        self.set(&format!("rng.{name}"), format!("{seed} {position}"));
    }

    /// The stream of random numbers stored under a name, to be gone on with.
    ///
    /// # Errors
    /// When none is stored under the name.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Rng;
    /// let mut rng = Rng::new(7);
    /// rng.next_u32();
    /// let mut checkpoint = plies_nn::Checkpoint::new();
    /// checkpoint.set_rng("sampling", &rng);
    /// assert_eq!(checkpoint.rng("sampling").unwrap().next_u32(), rng.next_u32());
    /// ```
    pub fn rng(&self, name: &str) -> Result<Rng, CheckpointError> {
        let stored = self.get(&format!("rng.{name}"));
        let numbers = stored.and_then(|text| text.split_once(' '));
        let state = numbers.and_then(|(seed, at)| Some((seed.parse().ok()?, at.parse().ok()?)));
        match state {
            Some((seed, position)) => Ok(Rng::from_state(seed, position)),
            None => Err(self.mismatch(format!("no random state \"{name}\" is stored"))),
        }
    }

    /// What is stored, on the device of what is expected, whose shape and dtype it must have.
    fn like(
        &self,
        kind: &str,
        name: &str,
        found: &Tensor,
        expected: &Tensor,
    ) -> Result<Tensor, CheckpointError> {
        if (found.shape(), found.dtype()) == (expected.shape(), expected.dtype()) {
            return Ok(found.to_device(expected.device())?);
        }
        Err(self.mismatch(format!(
            "{kind} {name} is {} {}, this model needs {} {}",
            found.dtype(),
            found.shape(),
            expected.dtype(),
            expected.shape()
        )))
    }

    /// Gives an optimiser of the same kind and settings the memory that is stored here, for the
    /// parameters that are stored with it ([`load_model`](Checkpoint::load_model) compares those with
    /// the model's). The learning rate is not part of the settings: it may go on at another.
    ///
    /// # Errors
    /// When another optimiser was stored, or none, or its memory does not fit the parameters.
    pub fn load_optimizer(&self, optimizer: &mut dyn Optimizer) -> Result<(), CheckpointError> {
        let (stored, wanted) = (self.get("optimizer").unwrap_or("none"), optimizer.describe());
        if stored != wanted {
            let reason = format!("optimiser is \"{stored}\", not \"{wanted}\"");
            return Err(self.mismatch(reason));
        }
        let state = take_from(&mut self.tensors.clone(), OPTIMIZER);
        optimizer.load_state(state, &self.tensors).map_err(|error| match error {
            CheckpointError::State { .. } => self.mismatch(error.to_string()),
            other => other,
        })
    }

    pub(crate) fn mismatch(&self, reason: impl Into<String>) -> CheckpointError {
        CheckpointError::Mismatch { origin: self.origin.clone(), reason: one_line(reason.into()) }
    }

    /// The safetensors file as bytes.
    ///
    /// # Errors
    /// A fault of a device.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let tensors = self.tensors.iter().map(|(name, tensor)| Ok((name, Stored::new(tensor)?)));
        let tensors: Vec<_> = tensors.collect::<Result<_, CheckpointError>>()?;
        // One key only: several would stand in the order of a hash map.
        let metadata = match self.metadata.is_empty() {
            true => HashMap::from([("format".to_owned(), "pt".to_owned())]),
            false => {
                let metadata = Metadata { version: VERSION, entries: self.metadata.clone() };
                let text = serde_json::to_string(&metadata).map_err(|e| format(&self.origin, e))?;
                HashMap::from([(METADATA.to_owned(), text)])
            }
        };
        serialize(tensors, Some(metadata)).map_err(|e| format(&self.origin, e))
    }

    /// Writes the file: what is found under `path` is all of the old file or all of the new one, as
    /// [`replace_file`] promises.
    ///
    /// # Errors
    /// What the operating system says, a `path` that is a device or a folder, or a fault of a device.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes = self.to_bytes()?;
        replace_file(path, |file| file.write_all(&bytes))
            .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
    }

    /// Reads a file of this crate, of PyTorch's or of Python's `safetensors`.
    ///
    /// # Errors
    /// As [`from_bytes`](Checkpoint::from_bytes), or what the operating system says.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { path: path.to_owned(), source };
        // Reading a device or a pipe might never end.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(format(&path.display().to_string(), "not a regular file"));
        }
        let bytes = fs::read(path).map_err(io)?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// Reads the bytes of a safetensors file; `origin` names them in errors. F16 and BF16 become
    /// F32, other integers and booleans I32 where the values fit.
    ///
    /// # Errors
    /// Bytes that are no safetensors file, a tensor of a dtype or rank that does not exist here, or
    /// metadata of a later release.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self, CheckpointError> {
        let no_file = |e| format(origin, damage::describe(bytes, &e));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(no_file)?;
        let file = SafeTensors::deserialize(bytes).map_err(no_file)?;
        let metadata = match header.metadata().as_ref().and_then(|m| m.get(METADATA)) {
            Some(text) => read_metadata(text).map_err(|e| format(origin, e))?,
            None => BTreeMap::new(),
        };
        // In the order of names, so that of several mistakes always the same is reported.
        let views: BTreeMap<&str, TensorView<'_>> = file.iter().collect();
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            let tensor = read_tensor(&view)
                .map_err(|e| format(origin, format_args!("tensor {name}: {e}")))?;
            tensors.insert(name.to_owned(), tensor);
        }
        Ok(Checkpoint { origin: origin.to_owned(), tensors, metadata })
    }
}

fn format(origin: &str, reason: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Format { origin: origin.to_owned(), reason: one_line(reason.to_string()) }
}

/// Names come from files: what would break a line or command a terminal is written as an escape.
fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

fn read_metadata(text: &str) -> Result<BTreeMap<String, String>, String> {
    /// Read first, as other releases may store other things.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |e: serde_json::Error| format!("metadata is damaged ({e})");
    let Version { version } = serde_json::from_str(text).map_err(damaged)?;
    if version > VERSION {
        return Err(format!(
            "metadata has version {version}, this release reads versions up to {VERSION}"
        ));
    }
    let metadata: Metadata = serde_json::from_str(text).map_err(damaged)?;
    Ok(metadata.entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_calls_its_tensors_stays_on_one_line() {
        assert_eq!(one_line("a\nb\u{1b}[2J".to_owned()), "a\\nb\\u{1b}[2J");
        assert_eq!(one_line("größe".to_owned()), "größe");
    }
}
