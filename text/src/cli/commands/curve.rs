//! `curve`: accuracy against the number of labelled documents.

use std::{ops::ControlFlow, path::PathBuf, sync::atomic::Ordering};

use clap::Args;
use plies_console::{CommonArgs, Console, Failure, Interrupt, Progress, thousands};
use plies_text::classify::{Bags, CurvePoint, curve, sizes};
use serde::Serialize;

use crate::cli::labelled::{DocumentArgs, MethodArgs, MethodName};

/// Show how accuracy grows with the number of labelled documents
///
/// Trains on 100, 300, 1,000 … and all documents, several times on other ones, and tests on the same
/// fifth (or on --test). ± is the 95 % interval over seeds.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text curve
  plies-text curve reviews.csv.gz --methods nb,nb-svm,lr --seeds 5")]
pub(crate) struct Curve {
    /// Documents with labels; - is standard input [default: the embedded 3,000 sentences]
    file: Option<PathBuf>,

    /// Documents to measure models on [default: a fifth of FILE]
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,

    /// The methods to compare
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "nb,nb-svm,lr,fasttext"
    )]
    methods: Vec<MethodName>,

    /// So many times with other documents
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    method: MethodArgs,

    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    file: &'a str,
    test_documents: usize,
    methods: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    method: &'static str,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    documents: usize,
    accuracy: Vec<f64>,
    mean: f64,
    margin_95: f64,
}

impl Curve {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        let interrupt = Interrupt::handle();
        let ngrams = self.method.ngrams();
        let all = Bags::read(&self.documents.open(self.file.as_deref())?, &ngrams)?;
        let (train, test) = match &self.test {
            Some(file) => (all, Bags::read(&self.documents.open(Some(file))?, &ngrams)?),
            None => all.split(5, self.method.seed),
        };
        if test.is_empty() || train.len() < 10 {
            return Err(Failure::BadInput(format!(
                "{}: too few documents for a curve",
                train.origin()
            )));
        }
        let sizes = sizes(train.len());
        let mut report = Report {
            command: "curve",
            version: env!("CARGO_PKG_VERSION"),
            file: train.origin(),
            test_documents: test.len(),
            methods: Vec::new(),
        };
        console.say(&format!(
            "accuracy in %, tested on {} documents of {}\n{}",
            thousands(test.len()),
            train.origin(),
            heading(&sizes)
        ))?;
        let steps = (self.methods.len() * sizes.len()) as f64;
        let progress = Progress::new(&console, "curve");
        let stop = interrupt.stop();
        for (row, &name) in self.methods.iter().enumerate() {
            let settings = self.method.settings(name.method());
            let mut points = Vec::new();
            for (column, &n) in sizes.iter().enumerate() {
                // All documents are the same ones for every seed.
                let n_seeds = if n == train.len() { 1 } else { self.seeds };
                let seeds: Vec<u64> = (0..n_seeds).map(|i| self.method.seed + i).collect();
                let done = (row * sizes.len() + column) as f64;
                let report = |share: f64| {
                    progress.at((done + share) / steps, settings.method.name());
                    let stops = stop.load(Ordering::SeqCst);
                    if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                match curve(&train, &test, &settings, n, &seeds, &report) {
                    Ok(point) => points.push(point),
                    Err(plies_text::Error::Stopped) => {
                        drop(progress);
                        console.result(&line(settings.method.name(), &points))?;
                        return Err(Failure::Interrupted("stopped".to_owned()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let text = line(settings.method.name(), &points);
            progress.suspend(|| console.result(&text))?;
            let points = points.into_iter().map(|point| Point {
                documents: point.n_documents,
                mean: point.mean(),
                margin_95: point.margin(),
                accuracy: point.accuracy,
            });
            report.methods.push(Line { method: settings.method.name(), points: points.collect() });
        }
        drop(progress);
        console.json(&report)
    }
}

fn heading(sizes: &[usize]) -> String {
    let columns: Vec<String> = sizes.iter().map(|&n| format!("{:>11}", thousands(n))).collect();
    format!("{:8}{}", "", columns.concat())
}

fn line(method: &str, points: &[CurvePoint]) -> String {
    let cell = |point: &CurvePoint| match point.accuracy.len() {
        1 => format!("{:>5.1}      ", 100.0 * point.mean()),
        _ => format!("{:>5.1} ±{:<4.1}", 100.0 * point.mean(), 100.0 * point.margin()),
    };
    let cells: Vec<String> = points.iter().map(|point| format!("{:>11}", cell(point))).collect();
    format!("{method:8}{}", cells.concat()).trim_end().to_owned()
}
