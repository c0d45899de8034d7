//! Arguments for documents with labels: which, in which format, and how they become n-grams.

use std::path::Path;

use clap::{Args, ValueEnum};
use plies_console::Failure;
use plies_text::{
    classify::{Method, NGrams, Settings, Tokens},
    labelled::{Column, Format, Labelled},
};

use super::text::open;

/// How documents are written down.
#[derive(Args, Debug)]
pub(crate) struct DocumentArgs {
    /// The format [default: by the file's name or its first line]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatName>,

    /// The column of labels in CSV, TSV or JSON lines, by name or number [default: label]
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// The column of texts, by name or number [default: text]
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,

    /// Take bytes that are not UTF-8 for "\u{fffd}" rather than for a mistake
    #[arg(long)]
    lossy: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// __label__x the text
    Fasttext,
    /// Columns between tabs
    Tsv,
    /// Columns between commas
    Csv,
    /// A JSON object a line
    Jsonl,
    /// Text without labels
    Lines,
}

impl DocumentArgs {
    /// The documents in a file, in standard input for `-`, or the embedded ones.
    pub(crate) fn open(&self, file: Option<&Path>) -> Result<Labelled, Failure> {
        let Some(file) = file else { return Ok(Labelled::embedded()) };
        let source = open(Some(file), plies_text::embedded::sentences)?.lossy(self.lossy);
        let mut set = Labelled::new(source)?;
        if let Some(format) = self.format {
            set = set.format(match format {
                FormatName::Fasttext => Format::FastText,
                FormatName::Tsv => Format::Tsv,
                FormatName::Csv => Format::Csv,
                FormatName::Jsonl => Format::JsonLines,
                FormatName::Lines => Format::Lines,
            });
        }
        if let Some(column) = &self.label {
            set = set.label_column(Column::from(column.as_str()));
        }
        if let Some(column) = &self.text {
            set = set.text_column(Column::from(column.as_str()));
        }
        Ok(set)
    }
}

/// How a classifier learns.
#[derive(Args, Debug)]
pub(crate) struct MethodArgs {
    /// How weights are learnt
    #[arg(long, value_name = "METHOD", default_value = "nb-svm")]
    pub(crate) method: MethodName,

    /// n-grams of up to so many words; 0 for none
    #[arg(long, value_name = "N", default_value_t = 2)]
    words: usize,

    /// n-grams of so many characters of each word, such as 3-5 [default: none]
    #[arg(long, value_name = "N-M", value_parser = span)]
    characters: Option<(usize, usize)>,

    /// What a word is
    #[arg(long, value_name = "KIND", default_value = "marks")]
    pub(crate) tokens: TokensName,

    /// Tell capitals from small letters
    #[arg(long)]
    pub(crate) case: bool,

    /// Hash n-grams to 2^N features [default: each n-gram is a feature]
    #[arg(long, value_name = "N")]
    bits: Option<u32>,

    /// Leave out n-grams of fewer than N documents [default: 1, for long documents 2]
    #[arg(long, value_name = "N")]
    min_count: Option<u32>,

    /// What a document weighs against the size of weights, for lr, svm and nb-svm
    #[arg(long, value_name = "C", value_parser = super::number)]
    cost: Option<f64>,

    /// Passes over the documents: all for fasttext, at most so many for others
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,

    /// The first learning rate [default: 0.5 for fasttext, 0.001 for networks]
    #[arg(long, value_name = "RATE", value_parser = super::number)]
    pub(crate) lr: Option<f64>,

    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodName {
    /// Naive Bayes, from counts
    Nb,
    /// Support vector machine led by naive Bayes
    NbSvm,
    /// Logistic regression
    Lr,
    /// Support vector machine
    Svm,
    /// fastText's averaged embeddings
    Fasttext,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TokensName {
    /// Words, and every mark by itself
    Marks,
    /// Words and numbers as Unicode defines them
    Words,
    /// What stands between white space
    Blanks,
    /// Every character
    Characters,
}

impl TokensName {
    pub(crate) fn tokens(self) -> Tokens {
        match self {
            TokensName::Marks => Tokens::Marks,
            TokensName::Words => Tokens::Words,
            TokensName::Blanks => Tokens::Blanks,
            TokensName::Characters => Tokens::Characters,
        }
    }
}

fn span(text: &str) -> Result<(usize, usize), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    match (least.parse(), most.parse()) {
        (Ok(least), Ok(most)) => Ok((least, most)),
        _ => Err("it takes two numbers, such as 3-5".to_owned()),
    }
}

impl MethodName {
    pub(crate) fn method(self) -> Method {
        match self {
            MethodName::Nb => Method::NaiveBayes,
            MethodName::NbSvm => Method::NbSvm,
            MethodName::Lr => Method::LogisticRegression,
            MethodName::Svm => Method::Svm,
            MethodName::Fasttext => Method::FastText,
        }
    }
}

impl MethodArgs {
    pub(crate) fn ngrams(&self) -> NGrams {
        NGrams {
            tokens: self.tokens.tokens(),
            lowercase: !self.case,
            words: self.words,
            characters: self.characters.unwrap_or((0, 0)),
            bits: self.bits.unwrap_or(64),
        }
    }

    pub(crate) fn settings(&self, method: Method) -> Settings {
        Settings {
            min_documents: self.min_count,
            cost: self.cost.map(|cost| cost as f32),
            epochs: self.epochs,
            lr: self.lr.unwrap_or(0.5) as f32,
            seed: self.seed,
            ..Settings::new(method)
        }
    }
}
