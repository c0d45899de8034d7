//! Networks as files: safetensors, which any of its readers opens.
//!
//! | tensor | | |
//! |---|---|---|
//! | `embedding.weight` | [V + 1, D] | the vectors of unknown words, and of each word |
//! | `gru.…`, `lstm.…`, `filters3.…`, `encoder.…` | | the encoder, named as PyTorch names it |
//! | `linear.weight`, `linear.bias` | [C, H], `[C]` | scores |
//!
//! Labels, words and settings are metadata, as text.

use std::path::Path;

use plies_nn::Checkpoint;
use plies_tensor::{DType, Rng, Tensor};

use super::super::calibration::Link;
use super::super::ngrams::Tokens;
use super::encoder::Layers;
use super::network::Network;
use super::{Encoder, NeuralClassifier, NeuralSettings, Pooling, Reading};
use crate::vocabulary::Vocabulary;
use crate::{Error, Result};

/// What such a file says it is.
pub(in crate::classify) const KIND: &str = "plies-text network 1";

impl NeuralClassifier {
    /// Writes the model: what is found under `path` is all of the old file or all of the new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.to_checkpoint().save(path)?)
    }

    /// Reads a model, from a checkpoint of its training as well: there nothing has calibrated it yet.
    ///
    /// # Errors
    /// What the operating system says; a file that is no network of this program, or damaged.
    pub fn load(path: &Path) -> Result<NeuralClassifier> {
        Self::from_checkpoint(&Checkpoint::load(path)?, &path.display().to_string())
    }

    /// Reads the bytes of a model's file; `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no network.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<NeuralClassifier> {
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
        let mut file = self.description();
        file.put_model(&self.network);
        file
    }

    /// What says which model it is, without its weights.
    pub(super) fn description(&self) -> Checkpoint {
        let mut file = Checkpoint::new();
        let (settings, reading) = (&self.settings, &self.reading);
        file.set_architecture(KIND);
        file.set("encoder", settings.encoder.name());
        file.set("both directions", settings.both_directions.to_string());
        file.set("layers", settings.layers.to_string());
        file.set("hidden", settings.hidden.to_string());
        file.set("pooling", settings.pooling().name());
        file.set("tokens", reading.tokens.name());
        file.set("lowercase", reading.lowercase.to_string());
        file.set("words of a text", reading.max_words.to_string());
        file.set("scale", self.link.scale.to_string());
        file.set("several labels", self.link.many.to_string());
        file.set("labels", serde_json::to_string(&self.labels).expect("strings are JSON"));
        let words: Vec<(&str, u64)> =
            self.vocabulary.words().zip(self.vocabulary.counts().iter().copied()).collect();
        file.set("words", serde_json::to_string(&words).expect("strings are JSON"));
        file
    }

    pub(in crate::classify) fn from_checkpoint(
        file: &Checkpoint,
        origin: &str,
    ) -> Result<NeuralClassifier> {
        let wrong = |reason: String| Error::format(origin, reason);
        let text = |key: &str| {
            file.get(key).ok_or_else(|| wrong(format!("no {key} is stored; is it damaged?")))
        };
        file.check_architecture(KIND)?;
        file.check_finite()?;
        let bad = |key: &str, value: &str| wrong(format!("{key} is {value:?}, which is unknown"));
        let name = text("encoder")?;
        let encoder = Encoder::from_name(name).ok_or_else(|| bad("encoder", name))?;
        let name = text("pooling")?;
        let pooling = Pooling::from_name(name).ok_or_else(|| bad("pooling", name))?;
        let name = text("tokens")?;
        let tokens = Tokens::from_name(name).ok_or_else(|| bad("tokens", name))?;
        let reading = Reading {
            tokens,
            lowercase: file.number("lowercase")?,
            max_words: file.number("words of a text")?,
        };
        let labels: Vec<String> =
            serde_json::from_str(text("labels")?).map_err(|e| wrong(format!("labels: {e}")))?;
        let words: Vec<(String, u64)> =
            serde_json::from_str(text("words")?).map_err(|e| wrong(format!("words: {e}")))?;
        let vocabulary =
            Vocabulary::from_counts(words.iter().map(|(word, count)| (word.as_str(), *count)));
        let link = Link { scale: file.number("scale")?, many: file.number("several labels")? };
        if labels.len() < 2 || !(link.scale.is_finite() && link.scale > 0.0) {
            let reason = format!("{} labels and scale {}", labels.len(), link.scale);
            return Err(wrong(format!("{reason}; is it damaged?")));
        }
        let table = file.tensors().get("embedding.weight");
        let table = table.ok_or_else(|| wrong("no tensor embedding.weight".to_owned()))?;
        let (rows, dims, dtype) = (words.len() + 1, table.dims(), table.dtype());
        let is_table = dims.len() == 2 && dims[0] == rows && dims[1] > 0 && dtype == DType::F32;
        if vocabulary.len() != words.len() || !is_table {
            let n = vocabulary.len();
            let reason = format!("embedding.weight is {dtype} {dims:?} for {n} words");
            return Err(wrong(format!("{reason}; is it damaged?")));
        }
        let settings = NeuralSettings {
            both_directions: file.number("both directions")?,
            layers: file.number("layers")?,
            dim: dims[1],
            hidden: file.number("hidden")?,
            pooling: Some(pooling),
            ..NeuralSettings::new(encoder)
        };
        settings.check().and_then(|()| reading.check()).map_err(|e| wrong(e.to_string()))?;
        // The network is made before the file's tensors are put into it: it is no larger than the file,
        // whatever that says of sizes.
        let numbers: usize = file.tensors().values().map(Tensor::elem_count).sum();
        let of_scores = Layers::width(&settings).saturating_mul(labels.len());
        let width = Layers::width(&settings);
        let of_pool = if pooling == Pooling::Attention { width.saturating_mul(width) } else { 0 };
        let needed = Layers::least_numbers(&settings).max(of_scores).max(of_pool);
        if needed > numbers {
            let reason = format!("{numbers} numbers, where {needed} are needed; is it damaged?");
            return Err(wrong(reason));
        }
        let mut network = Network::new(&settings, table.clone(), labels.len(), &mut Rng::new(0));
        file.load_model(&mut network)?;
        Ok(NeuralClassifier { settings, reading, vocabulary, labels, network, link })
    }
}
