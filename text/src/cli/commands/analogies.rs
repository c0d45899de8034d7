//! `analogies`: a is to b as c is to ?

use clap::Args;
use plies_console::{CommonArgs, Console, Failure};
use plies_text::similarity::{Directions, Method};
use serde::Serialize;

use super::vectors_file::{VectorsArgs, unknown};
use crate::cli::one_or_more;

/// Answer "A is to B as C is to ?"
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text analogies man king woman
  plies-text analogies paris france rome --mul --vectors vectors.bin")]
pub(crate) struct Analogies {
    a: String,
    b: String,
    c: String,

    /// How many answers
    #[arg(short, long = "answers", value_name = "N", default_value_t = 10, value_parser = one_or_more)]
    k: usize,

    /// Multiply and divide cosines (3CosMul), rather than add vectors (3CosAdd)
    #[arg(long)]
    mul: bool,

    #[command(flatten)]
    vectors: VectorsArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    question: [&'a str; 3],
    answers: Vec<(&'a str, f32)>,
}

impl Analogies {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--vectors", &self.vectors.vectors)?;
        let vectors = self.vectors.load()?;
        let question = [&self.a[..], &self.b, &self.c];
        if let Some(word) = question.iter().find(|word| vectors.get(word).is_none()) {
            return Err(unknown(word));
        }
        let method = if self.mul { Method::Mul } else { Method::Add };
        let directions = Directions::new(&vectors);
        let answers = directions.analogy(question, method, self.k).unwrap_or_default();
        for (word, score) in &answers {
            console.result(&format!("{score:.3}  {word}"))?;
        }
        let version = env!("CARGO_PKG_VERSION");
        console.json(&Report { command: "analogies", version, question, answers })
    }
}
