//! What commands that use word vectors share: the file, and the words that are asked for.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use plies_console::{Failure, called_as};
use plies_text::vectors::{Format, WordVectors};

#[derive(Args, Debug)]
pub(crate) struct VectorsArgs {
    /// The vectors: word2vec's text or binary, GloVe's text, or safetensors; gzip or not
    #[arg(long, value_name = "FILE", default_value = "vectors.bin")]
    pub(crate) vectors: PathBuf,
}

impl VectorsArgs {
    pub(crate) fn load(&self) -> Result<WordVectors, Failure> {
        if !self.vectors.exists() {
            let advice =
                format!("no such file; learn vectors first: {} skipgram", called_as("text"));
            return Err(Failure::at(&self.vectors, advice));
        }
        Ok(WordVectors::load(&self.vectors)?)
    }
}

/// A file format, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// word2vec's binary, which gensim reads
    Binary,
    /// word2vec's text
    Text,
    /// GloVe's text
    Glove,
    /// safetensors: vectors, words, counts
    Safetensors,
    /// safetensors with a byte for each number
    Int8,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Binary => Format::Binary,
            FormatName::Text => Format::Text,
            FormatName::Glove => Format::Glove,
            FormatName::Safetensors => Format::Safetensors,
            FormatName::Int8 => Format::Quantized,
        }
    }
}

/// What to say of a word without a vector.
pub(crate) fn unknown(word: &str) -> Failure {
    let small = word.to_lowercase();
    let advice = if small == word {
        "it is not in the file"
    } else {
        "it is not in the file; try it in small letters"
    };
    Failure::BadInput(format!("{word:?} has no vector: {advice}"))
}
