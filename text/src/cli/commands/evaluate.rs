//! `evaluate`: how good vectors are.

use std::path::{Path, PathBuf};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, thousands};
use plies_text::{
    corpus::Source,
    evaluate::{Section, analogies, similarity},
    similarity::{Directions, Method},
};
use serde::Serialize;

use super::vectors_file::VectorsArgs;

/// Measure vectors on analogies and on judgements of similarity
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text evaluate --analogies questions-words.txt
  plies-text evaluate --pairs wordsim353.tsv --pairs simlex999.txt --vectors v.bin")]
pub(crate) struct Evaluate {
    /// Questions: lines of four words, and `: name` where a section begins
    #[arg(long, value_name = "FILE", required_unless_present = "pairs")]
    analogies: Vec<PathBuf>,

    /// Judgements: lines of two words and a number, with tabs or commas between them
    #[arg(long, value_name = "FILE")]
    pairs: Vec<PathBuf>,

    /// Ask about the N first words only
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    limit: usize,

    /// Multiply and divide cosines (3CosMul), rather than add vectors (3CosAdd)
    #[arg(long)]
    mul: bool,

    /// Leave capitals of the questions as they are
    #[arg(long)]
    case: bool,

    #[command(flatten)]
    vectors: VectorsArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report {
    command: &'static str,
    version: &'static str,
    sections: Vec<SectionReport>,
    semantic: Option<f64>,
    syntactic: Option<f64>,
    all: Option<f64>,
    pairs: Vec<PairsReport>,
}

#[derive(Serialize)]
struct SectionReport {
    name: String,
    accuracy: f64,
    right: usize,
    asked: usize,
    passed_over: usize,
}

#[derive(Serialize)]
struct PairsReport {
    file: String,
    spearman: f64,
    pairs: usize,
    passed_over: usize,
}

impl Evaluate {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        console.keep_apart("--vectors", &self.vectors.vectors)?;
        let vectors = self.vectors.load()?;
        let directions = Directions::new(&vectors);
        let method = if self.mul { Method::Mul } else { Method::Add };
        let mut sections = Vec::new();
        for file in &self.analogies {
            let source = Source::file(file);
            sections.extend(analogies(&directions, &source, method, self.limit, !self.case)?);
        }
        let mut report = Report {
            command: "evaluate",
            version: env!("CARGO_PKG_VERSION"),
            semantic: share(&sections, |section| !section.is_syntactic()),
            syntactic: share(&sections, Section::is_syntactic),
            all: share(&sections, |_| true),
            sections: Vec::new(),
            pairs: Vec::new(),
        };
        if !sections.is_empty() {
            console.say(&format!("{:<30}{:>8}{:>9}{:>9}", "", "right", "of", "unknown"))?;
        }
        for section in sections {
            let (accuracy, right) = (section.accuracy(), section.right);
            console.say(&format!(
                "{:<30}{:>7.1}%{:>9}{:>9}",
                section.name,
                100.0 * accuracy,
                thousands(section.asked),
                thousands(section.passed_over)
            ))?;
            let Section { name, asked, passed_over, .. } = section;
            report.sections.push(SectionReport { name, accuracy, right, asked, passed_over });
        }
        for (name, share) in [
            ("meaning", report.semantic),
            ("grammar", report.syntactic),
            ("all analogies", report.all),
        ] {
            if let Some(share) = share {
                console.result(&format!("{name:<30}{:>7.1}%", 100.0 * share))?;
            }
        }
        for file in &self.pairs {
            let found = similarity(&directions, &Source::file(file), !self.case)?;
            let name = file.file_name().map_or(Path::new(file), Path::new).display().to_string();
            console.result(&format!(
                "{name:<30}{:>8.3}{:>9}{:>9}",
                found.spearman,
                thousands(found.pairs),
                thousands(found.passed_over)
            ))?;
            report.pairs.push(PairsReport {
                file: file.display().to_string(),
                spearman: found.spearman,
                pairs: found.pairs,
                passed_over: found.passed_over,
            });
        }
        console.json(&report)
    }
}

/// The share of right answers in some of the sections.
fn share(sections: &[Section], which: impl Fn(&Section) -> bool) -> Option<f64> {
    let (mut right, mut asked) = (0, 0);
    for section in sections.iter().filter(|section| which(section)) {
        right += section.right;
        asked += section.asked;
    }
    (asked > 0).then(|| right as f64 / asked as f64)
}
