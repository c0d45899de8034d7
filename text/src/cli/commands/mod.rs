//! One file for each command: its arguments, and `run`.

pub(crate) mod analogies;
pub(crate) mod bpe;
pub(crate) mod curve;
pub(crate) mod evaluate;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod lm;
pub(crate) mod map;
mod model_file;
pub(crate) mod nn;
pub(crate) mod phrases;
pub(crate) mod predict;
pub(crate) mod rnn;
pub(crate) mod seq2seq;
pub(crate) mod skipgram;
pub(crate) mod supervised;
pub(crate) mod test;
pub(crate) mod translate;
mod vectors_file;

use std::path::Path;

use plies_console::{Failure, called_as};
use plies_text::classify::Model;

/// Where a classifier is saved, and looked for, unless the command line says otherwise.
const DEFAULT_CLASSIFIER: &str = "classifier.safetensors";

/// The classifier in a file, with the advice that a beginner needs.
fn load_classifier(file: &Path) -> Result<Model, Failure> {
    if !file.exists() {
        let advice = format!(
            "no such file; train a classifier first: {} supervised, or rnn",
            called_as("text")
        );
        return Err(Failure::at(file, advice));
    }
    Ok(Model::load(file)?)
}
