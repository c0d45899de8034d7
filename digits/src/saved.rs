//! A model in a file: its weights as safetensors, and beside them, as JSON, the settings that it is built from.

use std::{fmt, fs, path::Path};

use plies_nn::{Checkpoint, CheckpointError, Module};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// A longer file than this is no model of ours.
const MAX_FILE: u64 = 4 << 30;

/// The keys of a checkpoint's metadata under which settings stand, and what their models are.
pub(crate) const CLASSIFIER: &str = "digits.settings";
pub(crate) const SPELLER: &str = "digits.speller";
const KINDS: [(&str, &str); 2] = [
    (CLASSIFIER, "is a network that reads digits, for predict, evaluate and serve"),
    (SPELLER, "is a network that spells, for caption and add"),
];

/// What a model is built from.
pub(crate) trait Stored: fmt::Display + Serialize + DeserializeOwned {
    /// The key under which they stand.
    const KEY: &'static str;

    /// Refuses a setting that is out of its range, by name.
    fn check(&self) -> Result<(), String>;

    /// The number of trained numbers of the model.
    fn parameters(&self) -> usize;

    /// A checkpoint of the settings alone, for a model to be put beside them.
    fn empty_checkpoint(&self) -> Checkpoint {
        let mut checkpoint = Checkpoint::new();
        let settings = serde_json::to_string(self).expect("plain numbers and names");
        checkpoint.set(Self::KEY, settings);
        checkpoint
    }
}

/// Why a file gives no model.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file is not there, is damaged, or holds other tensors.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The file is something else than a file of such a model.
    #[error("{file}: {reason}")]
    Refused {
        /// The file.
        file: String,
        /// What it is instead.
        reason: String,
    },
}

/// What is in a file.
pub(crate) struct Loaded<S, M> {
    pub(crate) settings: S,
    pub(crate) model: M,
    /// Complete epochs behind it.
    pub(crate) epochs: usize,
    /// All of it, for the optimiser.
    pub(crate) checkpoint: Checkpoint,
}

/// Reads a model, if its settings are acceptable; nothing is built before its weights are known to be there.
///
/// # Errors
/// A file that is missing, damaged or of something else.
pub(crate) fn load<S: Stored, M: Module>(
    file: &Path,
    accept: impl FnOnce(&S) -> Result<(), String>,
    build: impl FnOnce(&S) -> M,
) -> Result<Loaded<S, M>, LoadError> {
    let refused = |reason: String| LoadError::Refused { file: file.display().to_string(), reason };
    let damaged = |what: &dyn fmt::Display| refused(format!("its settings are damaged ({what})"));
    let io = |source| CheckpointError::Io { path: file.to_owned(), source };
    // A device or a pipe may never end.
    let found = fs::metadata(file).map_err(io)?;
    if !found.is_file() {
        return Err(refused("is not a regular file".to_owned()));
    }
    if found.len() > MAX_FILE {
        return Err(refused("is too long for a network of digits".to_owned()));
    }
    let checkpoint = Checkpoint::load(file)?;
    checkpoint.check_finite()?;
    let text = checkpoint.get(S::KEY).ok_or_else(|| refused(instead(&checkpoint)))?;
    let settings: S = serde_json::from_str(text).map_err(|error| damaged(&error))?;
    settings.check().map_err(|error| damaged(&error))?;
    let epochs = checkpoint.epoch().map_err(|_| damaged(&"epochs"))?;
    accept(&settings).map_err(refused)?;
    let of_model = checkpoint.tensors().iter().filter(|(name, _)| !name.starts_with("optimizer."));
    let held: usize = of_model.map(|(_, tensor)| tensor.elem_count()).sum();
    let promised = settings.parameters();
    if held != promised {
        return Err(refused(format!(
            "its settings say {settings}, which has {promised} parameters, but it holds {held}"
        )));
    }
    let mut model = build(&settings);
    checkpoint.load_model(&mut model)?;
    Ok(Loaded { settings, model, epochs, checkpoint })
}

/// What a file holds instead of the settings that are wanted.
fn instead(checkpoint: &Checkpoint) -> String {
    if let Some((_, kind)) = KINDS.iter().find(|(key, _)| checkpoint.get(key).is_some()) {
        return (*kind).to_owned();
    }
    let names: Vec<&str> = checkpoint.tensors().keys().map(String::as_str).take(3).collect();
    match names[..] {
        [] => "holds no tensor; it is not a network of plies-digits".to_owned(),
        _ => format!(
            "is not a network of plies-digits: it holds {} tensors ({}, ...) and none of our settings",
            checkpoint.tensors().len(),
            names.join(", ")
        ),
    }
}
