//! `info`: what is in a file.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use plies_text::{
    corpus::{Chunk, Source},
    embedded,
    vocabulary::Counter,
};
use serde::Serialize;

use crate::cli::{
    CommonArgs,
    console::{Console, Failure, thousands},
    text::WordArgs,
};

/// Show what is in a file: lines, words, the most frequent ones
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text info
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
            for line in chunks.text(&chunk)?.split_inclusive('\n') {
                lines += 1;
                words.for_each(line, &mut buffer, &mut |word| counter.add(word));
            }
        }
        Ok((counter, lines))
    }
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
