//! What is in the file of a model, whichever kind it is.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::Path,
};

use plies_console::{Console, Failure, one_line, thousands};
use plies_nn::{Checkpoint, Module};
use plies_text::{
    bpe::Bpe,
    classify::{Model, neural::Encoder},
    language::{Codec, LanguageModel},
    seq2seq::Seq2Seq,
    vectors::WordVectors,
};
use serde::{Serialize, Serializer};

/// Columns of a row, but for its name.
const WIDTH: usize = 68;

/// A model in words: what it is, how large, and how it was made.
#[derive(Serialize)]
pub(super) struct Description {
    command: &'static str,
    version: &'static str,
    file: String,
    kind: &'static str,
    /// Trained numbers.
    parameters: Option<usize>,
    bytes: u64,
    #[serde(serialize_with = "as_object")]
    options: Vec<(&'static str, String)>,
}

fn as_object<S: Serializer>(options: &[(&str, String)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(options.iter().map(|(name, value)| (name, value)))
}

impl Description {
    /// Of a file; nothing when it is that of no model.
    ///
    /// # Errors
    /// A model that is damaged.
    pub(super) fn of(file: &Path) -> Result<Option<Description>, Failure> {
        let Ok(beginning) = beginning(file) else { return Ok(None) };
        let (kind, parameters, options) = if beginning.starts_with(b"#version") {
            let bpe = Bpe::load(file)?;
            let tokens = format!("{}, {} of them merged", thousands(bpe.len()), bpe.len() - 256);
            ("byte-pair encoding", None, vec![("tokens", tokens)])
        } else if beginning.get(8) == Some(&b'{') {
            let found = match Checkpoint::load(file) {
                Ok(checkpoint) => of_checkpoint(file, &checkpoint)?,
                // Counts of words may be larger than a checkpoint's numbers.
                Err(_) if WordVectors::load(file).is_ok() => None,
                Err(error) => return Err(error.into()),
            };
            let Some((kind, parameters, options)) = found else { return Ok(None) };
            (kind, Some(parameters), options)
        } else {
            return Ok(None);
        };
        Ok(Some(Description {
            command: "info",
            version: env!("CARGO_PKG_VERSION"),
            file: file.display().to_string(),
            kind,
            parameters,
            bytes: file.metadata().map(|found| found.len()).unwrap_or(0),
            options,
        }))
    }

    /// Shows it.
    pub(super) fn show(&self, console: &Console) -> Result<(), Failure> {
        let mut text = String::new();
        let mut row = |name: &str, value: &str| {
            let mut value = one_line(value);
            if value.chars().count() > WIDTH {
                value = value.chars().take(WIDTH - 1).chain(['…']).collect();
            }
            let _ = writeln!(text, "{name:<11}{value}");
        };
        row("model", &self.file);
        row("kind", self.kind);
        for (name, value) in &self.options {
            row(name, value);
        }
        if let Some(parameters) = self.parameters {
            let bytes = thousands(self.bytes as usize);
            row("weights", &format!("{}, in {bytes} bytes", thousands(parameters)));
        }
        console.result(text.trim_end())?;
        console.json(self)
    }
}

/// The first bytes: the length of a header and its first character, in a safetensors file.
fn beginning(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        File::open(file)?.take(9).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

type Found = (&'static str, usize, Vec<(&'static str, String)>);

/// Kind, trained numbers and options of a model of this program.
fn of_checkpoint(file: &Path, checkpoint: &Checkpoint) -> Result<Option<Found>, Failure> {
    let Some(architecture) = checkpoint.get("architecture") else { return Ok(None) };
    // What a training goes on from holds more than a model, and each kind of it something else.
    if let (Some(optimizer), Ok(epochs)) = (checkpoint.get("optimizer"), checkpoint.epoch()) {
        let of_optimizer = |name: &&String| name.starts_with("optimizer.");
        let of_training = |name: &&String| name.starts_with("training.");
        let of_model = |name: &&String| !of_optimizer(name) && !of_training(name);
        let tensors = checkpoint.tensors();
        let of_tensor = |name: &String| tensors[name].elem_count();
        let parameters = tensors.keys().filter(of_model).map(of_tensor);
        let options = vec![
            ("of", architecture.to_owned()),
            ("epochs", epochs.to_string()),
            ("optimiser", optimizer.to_owned()),
        ];
        return Ok(Some(("checkpoint of a training", parameters.sum(), options)));
    }
    Ok(match architecture {
        LanguageModel::KIND => {
            let model = LanguageModel::load(file)?;
            let made = model.architecture();
            let options = vec![
                ("cell", made.cell.name().to_owned()),
                ("layers", format!("{} of {} units", made.layers, thousands(made.hidden))),
                (
                    "embedding",
                    format!(
                        "{} numbers for each token{}",
                        made.embedding,
                        if made.tied { ", which are the output's weights, too" } else { "" }
                    ),
                ),
                ("tokens", tokens(model.codec())),
            ];
            Some(("language model", model.parameter_count(), options))
        }
        Seq2Seq::KIND => {
            let model = Seq2Seq::load(file)?;
            let made = model.architecture();
            let [texts, answers] = model.codecs();
            let options = vec![
                ("units", format!("{} of a GRU", thousands(made.hidden))),
                ("embedding", format!("{} numbers for each token", made.embedding)),
                ("texts", tokens(texts)),
                ("answers", tokens(answers)),
            ];
            Some(("sequence to sequence", model.parameter_count(), options))
        }
        other if other.starts_with("plies-text ") => Some(of_classifier(&Model::load(file)?)),
        _ => None,
    })
}

fn tokens(codec: &Codec) -> String {
    format!("{} {}", thousands(codec.len()), codec.unit().name())
}

fn of_classifier(model: &Model) -> Found {
    let labels = model.labels();
    let labels = ("labels", format!("{}: {}", labels.len(), labels.join(", ")));
    match model {
        Model::Linear(model) => {
            let ngrams = model.ngrams();
            let (least, most) = ngrams.characters;
            let characters =
                if most > 0 { format!(", {least} to {most} characters") } else { String::new() };
            let features = format!(
                "{}; 1 to {} words{characters}",
                thousands(model.n_features()),
                ngrams.words
            );
            let options =
                vec![("method", model.method().name().to_owned()), ("features", features), labels];
            ("linear classifier", model.parameter_count(), options)
        }
        Model::Neural(model) => {
            let made = model.settings();
            let directions = match made.encoder {
                Encoder::Gru | Encoder::Lstm if made.both_directions => ", in both directions",
                _ => "",
            };
            let options = vec![
                ("encoder", format!("{}{directions}", made.encoder.name())),
                ("layers", format!("{} of {} units", made.layers, thousands(made.hidden))),
                ("pooling", made.pooling().name().to_owned()),
                (
                    "words",
                    format!("{}, of {} numbers", thousands(model.vocabulary().len()), made.dim()),
                ),
                labels,
            ];
            ("network", model.parameter_count(), options)
        }
    }
}
