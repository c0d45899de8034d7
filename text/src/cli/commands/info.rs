//! `info`: what is in a file, of a model, of vectors or of text.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, thousands};
use plies_text::{
    corpus::{Chunk, Source},
    embedded,
    vectors::WordVectors,
    vocabulary::Counter,
};
use serde::Serialize;

use super::model_file::Description;
use crate::cli::text::WordArgs;

/// Show what is in a file of a model, of word vectors or of text
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text info
  plies-text info vectors.bin
  plies-text info lm.safetensors
  plies-text info corpus.txt.gz --tokens words --lowercase")]
pub(crate) struct Info {
    /// The file, compressed by gzip or not; - is standard input [default: the embedded novel]
    file: Option<PathBuf>,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    file: &'a str,
    lines: u64,
    words: u64,
    different_words: usize,
    most_frequent: Vec<(&'a str, u64)>,
}

impl Info {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        if let Some(file) = &self.file
            && let Some(model) = Description::of(file)?
        {
            return model.show(&console);
        }
        if let Some(file) = &self.file
            && let Ok(vectors) = WordVectors::load(file)
        {
            return describe_vectors(&console, file, &vectors);
        }
        let source = self.words.source(self.file.as_deref(), embedded::novel)?;
        let (counter, lines) = self.count(&source)?;
        let vocabulary = counter.vocabulary(1);
        let most_frequent = vocabulary.words().zip(vocabulary.counts().iter().copied());
        let report = Report {
            command: "info",
            version: env!("CARGO_PKG_VERSION"),
            file: source.name(),
            lines,
            words: vocabulary.total(),
            different_words: vocabulary.len(),
            most_frequent: most_frequent.take(10).collect(),
        };
        console.result(describe(&report).trim_end())?;
        console.json(&report)
    }

    fn count(&self, source: &Source) -> Result<(Counter, u64), Failure> {
        let words = self.words.words(self.file.is_none());
        let (mut counter, mut lines, mut buffer) = (Counter::new(), 0, String::new());
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        while chunks.next(&mut chunk)? {
            for line in chunk.text(source)?.split_inclusive('\n') {
                lines += 1;
                words.for_each(line, &mut buffer, &mut |word| counter.add(word));
            }
        }
        Ok((counter, lines))
    }
}

#[derive(Serialize)]
struct VectorsReport<'a> {
    command: &'static str,
    version: &'static str,
    file: String,
    words: usize,
    dim: usize,
    first_words: Vec<&'a str>,
    /// Shortest and longest vector.
    lengths: [f32; 2],
}

fn describe_vectors(console: &Console, file: &Path, vectors: &WordVectors) -> Result<(), Failure> {
    let lengths = vectors.rows().chunks_exact(vectors.dim());
    let lengths = lengths.map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt());
    let lengths = lengths.fold([f32::MAX, 0.0f32], |[low, high], x| [low.min(x), high.max(x)]);
    let report = VectorsReport {
        command: "info",
        version: env!("CARGO_PKG_VERSION"),
        file: file.display().to_string(),
        words: vectors.len(),
        dim: vectors.dim(),
        first_words: vectors.vocabulary().words().take(10).collect(),
        lengths,
    };
    let [low, high] = lengths;
    console.result(&format!(
        "vectors    {}\nwords      {}, of {} numbers each\nlengths    {low:.3} to {high:.3}\nfirst      {}",
        report.file,
        thousands(report.words),
        report.dim,
        report.first_words.join(" ")
    ))?;
    console.json(&report)
}

fn describe(report: &Report<'_>) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    row("text", report.file.to_owned());
    row("lines", thousands(report.lines as usize));
    let (words, different) = (report.words as usize, report.different_words);
    row("words", format!("{}, {} different", thousands(words), thousands(different)));
    for (i, (word, count)) in report.most_frequent.iter().enumerate() {
        let name = if i == 0 { "frequent" } else { "" };
        row(name, format!("{:>9}  {word}", thousands(*count as usize)));
    }
    text
}
