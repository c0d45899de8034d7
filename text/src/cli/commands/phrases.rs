//! `phrases`: words that belong together.

use std::{io::Write, path::PathBuf};

use clap::{Args, ValueEnum};
use plies_console::{CommonArgs, Console, Failure, check_writable, thousands};
use plies_tensor::{replace_file, threads};
use plies_text::{
    corpus::Source,
    embedded,
    phrases::{Phrases, Score, Settings},
};
use serde::Serialize;

use crate::cli::{number, text::WordArgs};

/// Join words that belong together: "new york" becomes "new_york"
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text phrases                             those of the embedded novel
  plies-text phrases corpus.txt -o joined.txt && plies-text skipgram joined.txt
  plies-text phrases corpus.txt -o joined.txt --passes 2")]
pub(crate) struct PhrasesCommand {
    /// The text, compressed by gzip or not; - is standard input [default: the embedded novel]
    text: Option<PathBuf>,

    /// Write the text with its phrases joined here
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// How much two words belong together
    #[arg(long, value_name = "NAME", default_value = "counts")]
    score: ScoreName,

    /// Join pairs with a higher score [default: 100 for counts, 0.5 for npmi]
    #[arg(long, value_name = "X", value_parser = number)]
    threshold: Option<f64>,

    /// Leave rarer words and pairs alone
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_count: u64,

    /// Join so many times: phrases of up to 2, 4, 8 words
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    passes: u8,

    /// Show the N pairs with the highest scores
    #[arg(short, value_name = "N", default_value_t = 20)]
    n: usize,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScoreName {
    /// How many times more often than by chance, word2vec's
    Counts,
    /// Normalised pointwise mutual information, -1 to 1
    Npmi,
}

#[derive(Serialize)]
struct Report {
    command: &'static str,
    version: &'static str,
    text: String,
    /// Of the last pass.
    pairs: Vec<(String, f64)>,
}

impl PhrasesCommand {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        if let Some(file) = &self.out {
            check_writable(file)?;
            console.keep_apart("--out", file)?;
        }
        let score = match self.score {
            ScoreName::Counts => Score::Counts,
            ScoreName::Npmi => Score::Npmi,
        };
        let default = if score == Score::Npmi { 0.5 } else { Settings::default().threshold };
        let threshold = self.threshold.unwrap_or(default);
        let settings = Settings { score, threshold, min_count: self.min_count };
        let mut source = self.words.source(self.text.as_deref(), embedded::novel)?;
        let name = source.name().to_owned();
        let words = self.words.visible_words(self.text.is_none());
        let mut phrases = Phrases::learn(&source, &words, settings, threads())?;
        for _ in 1..self.passes {
            let mut joined = Vec::new();
            phrases.write(&source, &words, &mut joined)?;
            source = Source::bytes(name.clone(), joined);
            phrases = Phrases::learn(&source, &words, settings, threads())?;
        }
        if let Some(file) = &self.out {
            let mut failed = None;
            let written = replace_file(file, |stream| {
                let mut stream = std::io::BufWriter::new(stream);
                failed = phrases.write(&source, &words, &mut stream).err();
                if failed.is_some() {
                    Err(std::io::Error::other("given up"))
                } else {
                    stream.flush()
                }
            });
            if let Some(error) = failed {
                return Err(error.into());
            }
            written.map_err(|error| Failure::at(file, error))?;
        }
        let pairs = phrases.pairs();
        console.result(&format!("{name}: {} pairs belong together", thousands(pairs.len())))?;
        for (words, score) in pairs.iter().take(self.n) {
            console.say(&format!("{score:>10.2}  {}", words.join("_")))?;
        }
        let pairs = pairs.into_iter().map(|(words, score)| (words.join("_"), score)).collect();
        console.json(&Report {
            command: "phrases",
            version: env!("CARGO_PKG_VERSION"),
            text: name,
            pairs,
        })
    }
}
