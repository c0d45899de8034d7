//! Classifiers as files: safetensors, which any of its readers opens.
//!
//! | tensor | | |
//! |---|---|---|
//! | `fingerprints` | [V, 2] I32 | lower and upper half of each n-gram's fingerprint |
//! | `idf` | `[V]` | with tf-idf |
//! | `weights`, `bias` | [V, O], `[O]` | the linear model |
//!
//! Labels and settings are metadata, as text.

use std::path::Path;

use plies_nn::{Checkpoint, CheckpointError};
use plies_tensor::{DType, Tensor};

use super::calibration::Link;
use super::features::{Columns, Features};
use super::linear::Linear;
use super::{Classifier, Method, NGrams, Norm, Tokens, Weighting};
use crate::{Error, Result};

/// What such a file says it is.
pub(super) const KIND: &str = "plies-text classifier 1";

const WEIGHTINGS: [(&str, Weighting); 3] =
    [("counts", Weighting::Counts), ("binary", Weighting::Binary), ("tf-idf", Weighting::TfIdf)];
const NORMS: [(&str, Norm); 3] =
    [("none", Norm::None), ("sum", Norm::Sum), ("length", Norm::Length)];

fn name_of<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|row| row.1 == *value).expect("each has a name").0
}

fn of_name<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|row| row.0 == name).map(|row| row.1)
}

impl From<CheckpointError> for Error {
    fn from(error: CheckpointError) -> Error {
        match error {
            CheckpointError::Io { path, source } => Error::Io { path, source },
            CheckpointError::Format { origin, reason }
            | CheckpointError::Mismatch { origin, reason } => Error::Format { origin, reason },
            other => Error::format("model", other.to_string()),
        }
    }
}

impl Classifier {
    /// Writes the model: what is found under `path` is all of the old file or all of the new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.to_checkpoint().save(path)?)
    }

    /// Reads a model.
    ///
    /// # Errors
    /// What the operating system says; a file that is no classifier, or damaged.
    pub fn load(path: &Path) -> Result<Classifier> {
        Self::from_checkpoint(&Checkpoint::load(path)?, &path.display().to_string())
    }

    /// Reads the bytes of a model's file; `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no classifier.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Classifier> {
        Self::from_checkpoint(&Checkpoint::from_bytes(bytes, origin)?, origin)
    }

    /// The file as bytes.
    ///
    /// # Errors
    /// A model that is larger than a file can be.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.to_checkpoint().to_bytes()?)
    }

    fn to_checkpoint(&self) -> Checkpoint {
        let mut file = Checkpoint::new();
        let (features, ngrams) = (&self.features, &self.features.ngrams);
        let (least, most) = ngrams.characters;
        file.set_architecture(KIND);
        file.set("method", self.method.name());
        file.set("labels", serde_json::to_string(&self.labels).expect("strings are JSON"));
        file.set("tokens", ngrams.tokens.name());
        file.set("lowercase", ngrams.lowercase.to_string());
        file.set("n-grams", format!("{} {least} {most} {}", ngrams.words, ngrams.bits));
        file.set("weighting", name_of(&WEIGHTINGS, &features.weighting));
        file.set("norm", name_of(&NORMS, &features.norm));
        file.set("scale", self.link.scale.to_string());
        file.set("several labels", self.link.many.to_string());
        let n = features.columns.len();
        let fingerprints = features.columns.fingerprints().iter();
        let halves: Vec<i32> =
            fingerprints.flat_map(|&f| [f as u32 as i32, (f >> 32) as u32 as i32]).collect();
        file.insert("fingerprints", Tensor::from_vec(halves, [n, 2]));
        if !features.idf.is_empty() {
            file.insert("idf", Tensor::from_slice(&features.idf, [n]));
        }
        let n_outputs = self.linear.n_outputs();
        file.insert("weights", Tensor::from_slice(&self.linear.weights, [n, n_outputs]));
        file.insert("bias", Tensor::from_slice(&self.linear.bias, [n_outputs]));
        file
    }

    pub(super) fn from_checkpoint(file: &Checkpoint, origin: &str) -> Result<Classifier> {
        let wrong = |reason: String| Error::format(origin, reason);
        let text = |key: &str| {
            file.get(key).ok_or_else(|| wrong(format!("no {key} is stored; is it damaged?")))
        };
        if text("architecture").ok().or_else(|| file.get("architecture")).is_none() {
            return Err(wrong("is no classifier of this program".to_owned()));
        }
        file.check_architecture(KIND)?;
        file.check_finite()?;
        let bad = |key: &str, value: &str| wrong(format!("{key} is {value:?}, which is unknown"));
        let name = text("method")?;
        let method = Method::from_name(name).ok_or_else(|| bad("method", name))?;
        let labels: Vec<String> =
            serde_json::from_str(text("labels")?).map_err(|e| wrong(format!("labels: {e}")))?;
        let name = text("tokens")?;
        let tokens = Tokens::from_name(name).ok_or_else(|| bad("tokens", name))?;
        let [words, least, most, bits] = file.numbers::<u32>("n-grams")?[..] else {
            return Err(wrong("n-grams are not four numbers".to_owned()));
        };
        let ngrams = NGrams {
            tokens,
            lowercase: file.number("lowercase")?,
            words: words as usize,
            characters: (least as usize, most as usize),
            bits,
        };
        ngrams.check().map_err(|error| wrong(error.to_string()))?;
        let name = text("weighting")?;
        let weighting = of_name(&WEIGHTINGS, name).ok_or_else(|| bad("weighting", name))?;
        let name = text("norm")?;
        let norm = of_name(&NORMS, name).ok_or_else(|| bad("norm", name))?;
        let link = Link { scale: file.number("scale")?, many: file.number("several labels")? };
        if labels.len() < 2 || !(link.scale.is_finite() && link.scale > 0.0) {
            let reason = format!("{} labels and scale {}", labels.len(), link.scale);
            return Err(wrong(format!("{reason}; is it damaged?")));
        }
        let tensor = |name: &str, dtype: DType, dims: &[usize]| {
            let tensors = file.tensors();
            let found = tensors.get(name).ok_or_else(|| wrong(format!("no tensor {name}")))?;
            if found.dtype() != dtype || found.dims() != dims {
                let (is, found) = (found.dtype(), found.dims());
                return Err(wrong(format!("{name} is {is} {found:?}, not {dtype} {dims:?}")));
            }
            Ok(found)
        };
        let n = file
            .tensors()
            .get("fingerprints")
            .map_or(0, |found| found.dims()[..].first().copied().unwrap_or(0));
        let n_outputs = if labels.len() == 2 && !link.many { 1 } else { labels.len() };
        let halves = tensor("fingerprints", DType::I32, &[n, 2])?.to_vec::<i32>();
        let halves = halves.map_err(|e| wrong(e.to_string()))?;
        let numbers = |name: &str, dims: &[usize]| {
            let values = tensor(name, DType::F32, dims)?.to_vec::<f32>();
            values.map_err(|e| wrong(e.to_string()))
        };
        let idf = if weighting == Weighting::TfIdf { numbers("idf", &[n])? } else { Vec::new() };
        let linear = Linear {
            weights: numbers("weights", &[n, n_outputs])?,
            bias: numbers("bias", &[n_outputs])?,
        };
        let (halves, _) = halves.as_chunks::<2>();
        let whole = |half: &[i32; 2]| u64::from(half[0] as u32) | u64::from(half[1] as u32) << 32;
        let columns = Columns::new(halves.iter().map(whole).collect());
        let features = Features { ngrams, columns, weighting, norm, idf };
        Ok(Classifier { method, labels, features, linear, link })
    }
}
