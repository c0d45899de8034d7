//! `nn`: the words nearest to a word.

use clap::Args;
use plies_console::{CommonArgs, Console, Failure};
use plies_text::{similarity::Directions, word2vec::Model};
use serde::Serialize;

use super::vectors_file::{VectorsArgs, unknown};
use crate::cli::one_or_more;

/// Show the words nearest to a word
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text nn marriage
  plies-text nn king queen --vectors glove.6B.100d.txt.gz -k 5
  plies-text nn --odd breakfast cereal dinner lunch")]
pub(crate) struct Nn {
    /// The words
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,

    /// How many neighbours of each
    #[arg(short, long = "neighbours", value_name = "N", default_value_t = 10, value_parser = one_or_more)]
    k: usize,

    /// Say which of the words is farthest from the others, instead
    #[arg(long)]
    odd: bool,

    #[command(flatten)]
    vectors: VectorsArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    neighbours: Vec<Neighbours<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    odd_one_out: Option<(&'a str, f32)>,
}

#[derive(Serialize)]
struct Neighbours<'a> {
    word: &'a str,
    nearest: Vec<(&'a str, f32)>,
}

impl Nn {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--vectors", &self.vectors.vectors)?;
        let vectors = self.vectors.load()?;
        let directions = Directions::new(&vectors);
        let mut report = Report {
            command: "nn",
            version: env!("CARGO_PKG_VERSION"),
            neighbours: Vec::new(),
            odd_one_out: None,
        };
        if self.odd {
            let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
            if let Some(word) = words.iter().find(|word| vectors.get(word).is_none()) {
                return Err(unknown(word));
            }
            report.odd_one_out = directions.odd_one_out(&words);
            if let Some((word, cosine)) = report.odd_one_out {
                console.result(&format!("{cosine:.3}  {word}"))?;
            }
            return console.json(&report);
        }
        for word in &self.words {
            let nearest = match directions.nearest(word, self.k) {
                Some(nearest) => nearest,
                // A model whose words are bags of n-grams has a vector for any.
                None => {
                    let model = Model::load(&self.vectors.vectors).ok();
                    let vector = model.and_then(|model| model.vector(word));
                    directions.nearest_to(&vector.ok_or_else(|| unknown(word))?, self.k)
                }
            };
            if self.words.len() > 1 {
                console.result(&format!("{word}:"))?;
            }
            for (word, cosine) in &nearest {
                console.result(&format!("{cosine:.3}  {word}"))?;
            }
            report.neighbours.push(Neighbours { word, nearest });
        }
        console.json(&report)
    }
}
