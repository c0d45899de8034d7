//! `curve`: accuracy against the number of labelled documents.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use clap::{Args, builder::RangedU64ValueParser};
use plies_console::{
    CommonArgs, Console, Failure, Interrupt, Progress, check_writable, plot, thousands,
};
use plies_text::{
    classify::{
        Bags, Contestant, CurvePoint, Estimate, Method, curve,
        neural::{Encoder, NeuralSettings, Reading, Sequences},
        sizes,
    },
    labelled::Labelled,
};
use serde::Serialize;

use crate::cli::{
    labelled::{DocumentArgs, MethodArgs},
    network::NetworkArgs,
};

/// Show how accuracy grows with the number of labelled documents
///
/// Trains on 100, 300, 1,000 … and all documents, several times on other ones, and tests on the same
/// fifth (or on --test). ± is the 95 % interval over seeds. Below, errors are compared with those of the
/// first method.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  plies-text curve
  plies-text curve reviews.csv.gz --methods nb,nb-svm,lr --seeds 5
  plies-text curve reviews.csv.gz --methods nb-svm,gru,cnn --vectors vectors.bin
  plies-text curve --methods nb-svm,gru --sizes 100,1000 --plot curve.svg")]
pub(crate) struct Curve {
    /// Documents with labels; - is standard input [default: the embedded 3,000 sentences]
    file: Option<PathBuf>,

    /// Documents to measure models on [default: a fifth of FILE]
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,

    /// The methods to compare: nb, nb-svm, lr, svm, fasttext; gru, lstm, cnn, attention
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = Name::parse,
        default_value = "nb-svm,nb,lr,fasttext"
    )]
    methods: Vec<Name>,

    /// Numbers of documents, such as 100,1000,10000 [default: 100, 300, 1,000 … and all]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = RangedU64ValueParser::<usize>::new().range(10..))]
    sizes: Vec<usize>,

    /// So many times with other documents
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,

    /// Draw errors against documents into FILE, an SVG or PNG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    method: MethodArgs,

    #[command(flatten)]
    network: NetworkArgs,

    #[command(flatten)]
    common: CommonArgs,
}

/// A method by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    Linear(Method),
    Neural(Encoder),
}

impl Name {
    fn parse(text: &str) -> Result<Name, String> {
        let linear = Method::from_name(text).map(Name::Linear);
        let found = linear.or_else(|| Encoder::from_name(text).map(Name::Neural));
        let names = || {
            let linear = Method::NAMES.iter().map(|row| row.0);
            linear.chain(Encoder::NAMES.iter().map(|row| row.0)).collect::<Vec<_>>().join(", ")
        };
        found.ok_or_else(|| format!("there are {}", names()))
    }
}

/// The documents, as those methods want them that are compared.
struct Documents {
    bags: Option<(Bags, Bags)>,
    sequences: Option<(Sequences, Sequences)>,
}

#[derive(Serialize)]
struct Report {
    command: &'static str,
    version: &'static str,
    file: String,
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
    /// Against the first method.
    relative_error: Option<f64>,
    relative_error_margin_95: Option<f64>,
}

impl Curve {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let console = Console::new(&self.common)?;
        if let Some(file) = &self.plot {
            plot::check_name(file)?;
            check_writable(file)?;
            console.keep_apart("--plot", file)?;
        }
        let settings = |encoder: Encoder| {
            let settings = self.network.settings(encoder);
            let lr = self.method.lr.unwrap_or(settings.lr);
            NeuralSettings { epochs: self.method.epochs, lr, ..settings }
        };
        for name in &self.methods {
            match name {
                Name::Linear(method) => {
                    self.method.settings(*method).check()?;
                    self.method.ngrams().check()?;
                }
                Name::Neural(encoder) => {
                    settings(*encoder).check()?;
                    self.reading().check()?;
                }
            }
        }
        let interrupt = Interrupt::handle();
        let vectors = self.network.vectors(&console)?;
        let documents = self.read()?;
        let contestant = |name: Name| match (name, &documents.bags, &documents.sequences) {
            (Name::Linear(method), Some((train, test)), _) => {
                Contestant::Linear { train, test, settings: self.method.settings(method) }
            }
            (Name::Neural(encoder), _, Some((train, test))) => {
                let settings = NeuralSettings { vectors: vectors.clone(), ..settings(encoder) };
                Contestant::Neural { train, test, settings }
            }
            _ => unreachable!("what is wanted was read"),
        };
        let contestants: Vec<Contestant<'_>> =
            self.methods.iter().map(|&n| contestant(n)).collect();
        let (n_train, n_test, file) = documents.counts();
        if n_test == 0 || n_train < 10 {
            return Err(Failure::BadInput(format!("{file}: too few documents for a curve")));
        }
        let sizes = if self.sizes.is_empty() { sizes(n_train) } else { self.sizes.clone() };
        if let Some(size) = sizes.iter().find(|&&size| size > n_train) {
            return Err(Failure::BadInput(format!(
                "--sizes: {size}; there are {n_train} documents to learn from"
            )));
        }
        console.say(&format!(
            "accuracy in %, tested on {} documents of {file}\n{}",
            thousands(n_test),
            heading(&sizes)
        ))?;
        let steps = (contestants.len() * sizes.len()) as f64;
        let progress = Progress::new(&console, "curve");
        let stop = interrupt.stop();
        let mut curves: Vec<(&'static str, Vec<CurvePoint>)> = Vec::new();
        let mut is_stopped = false;
        for (row, contestant) in contestants.iter().enumerate() {
            let mut points = Vec::new();
            for (column, &n) in sizes.iter().enumerate() {
                // All documents are the same ones for every seed.
                let n_seeds = if n == n_train { 1 } else { self.seeds };
                let seeds: Vec<u64> = (0..n_seeds).map(|i| self.method.seed + i).collect();
                let done = (row * sizes.len() + column) as f64;
                let report = |share: f64| {
                    let words = format!("{} of {}", contestant.name(), thousands(n));
                    progress.at((done + share) / steps, &words);
                    let stops = stop.load(Ordering::SeqCst);
                    if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                match curve(contestant, n, &seeds, &report) {
                    Ok(point) => points.push(point),
                    Err(plies_text::Error::Stopped) => is_stopped = true,
                    Err(error) => return Err(error.into()),
                }
                if is_stopped {
                    break;
                }
            }
            progress.suspend(|| console.result(&line(contestant.name(), &points)))?;
            curves.push((contestant.name(), points));
            if is_stopped {
                break;
            }
        }
        drop(progress);
        if curves.len() > 1 {
            console.say(&relative(&curves))?;
        }
        if let Some(plot) = &self.plot {
            draw(plot, &file, &curves)?;
        }
        console.json(&report(&file, n_test, &curves))?;
        if is_stopped {
            return Err(Failure::Interrupted("stopped; what is shown was finished".to_owned()));
        }
        Ok(())
    }

    fn reading(&self) -> Reading {
        self.network.reading(self.method.tokens, self.method.case)
    }

    /// The documents, split in the same way for all.
    fn read(&self) -> Result<Documents, Failure> {
        let ngrams = self.method.ngrams();
        let reading = self.reading();
        let seed = self.method.seed;
        let open = |file: Option<&Path>| self.documents.open(file);
        fn parts<T>(
            read: impl Fn(&Labelled) -> plies_text::Result<T>,
            split: impl Fn(T) -> (T, T),
            [file, test]: [Option<Labelled>; 2],
        ) -> Result<Option<(T, T)>, Failure> {
            let Some(file) = file else { return Ok(None) };
            let all = read(&file)?;
            Ok(Some(match test {
                Some(test) => (all, read(&test)?),
                None => split(all),
            }))
        }
        let sets = |is_wanted: bool| -> Result<[Option<Labelled>; 2], Failure> {
            if !is_wanted {
                return Ok([None, None]);
            }
            let test = self.test.as_deref().map(|test| open(Some(test))).transpose()?;
            Ok([Some(open(self.file.as_deref())?), test])
        };
        let linear = sets(self.methods.iter().any(|name| matches!(name, Name::Linear(_))))?;
        let neural = sets(self.methods.iter().any(|name| matches!(name, Name::Neural(_))))?;
        Ok(Documents {
            bags: parts(|set| Bags::read(set, &ngrams), |all| all.split(5, seed), linear)?,
            sequences: parts(
                |set| Sequences::read(set, &reading),
                |all| all.split(5, seed),
                neural,
            )?,
        })
    }
}

impl Documents {
    /// Documents to learn from, to be tested on, and their name.
    fn counts(&self) -> (usize, usize, String) {
        match (&self.bags, &self.sequences) {
            (Some((train, test)), _) => (train.len(), test.len(), train.origin().to_owned()),
            (_, Some((train, test))) => (train.len(), test.len(), train.origin().to_owned()),
            _ => (0, 0, String::new()),
        }
    }
}

/// Errors in per cent, both axes logarithmic.
fn draw(
    plot: &Path,
    file: &str,
    curves: &[(&'static str, Vec<CurvePoint>)],
) -> Result<(), Failure> {
    let curves: Vec<plot::Curve> = curves
        .iter()
        .map(|(method, points)| {
            let point = |point: &CurvePoint| {
                let Estimate { mean, margin } = point.estimate();
                let error = |accuracy: f64| (100.0 * (1.0 - accuracy)).max(0.01);
                let interval = [error(mean + margin), error(mean - margin)];
                (point.n_documents as f64, error(mean), interval)
            };
            let points = points.iter().map(point).collect();
            plot::Curve { label: (*method).to_owned(), points }
        })
        .collect();
    let axes = ["labelled documents", "error in %"];
    Ok(plot::curves(plot, file, axes, [true, true], &curves)?)
}

fn report(file: &str, test_documents: usize, curves: &[(&'static str, Vec<CurvePoint>)]) -> Report {
    let first = &curves[0].1;
    let of = |(method, points): &(&'static str, Vec<CurvePoint>)| {
        let point = |(i, point): (usize, &CurvePoint)| {
            let Estimate { mean, margin } = point.estimate();
            let relative = first.get(i).map(|first| point.relative_error(first));
            Point {
                documents: point.n_documents,
                accuracy: point.accuracy.clone(),
                mean,
                margin_95: margin,
                relative_error: relative.map(|relative| relative.mean),
                relative_error_margin_95: relative.map(|relative| relative.margin),
            }
        };
        Line { method, points: points.iter().enumerate().map(point).collect() }
    };
    Report {
        command: "curve",
        version: env!("CARGO_PKG_VERSION"),
        file: file.to_owned(),
        test_documents,
        methods: curves.iter().map(of).collect(),
    }
}

fn heading(sizes: &[usize]) -> String {
    let columns: Vec<String> = sizes.iter().map(|&n| format!("{:>11}", thousands(n))).collect();
    format!("{:9}{}", "", columns.concat())
}

fn line(method: &str, points: &[CurvePoint]) -> String {
    let cell = |point: &CurvePoint| {
        let Estimate { mean, margin } = point.estimate();
        match point.accuracy.len() {
            1 => format!("{:>5.1}      ", 100.0 * mean),
            _ => format!("{:>5.1} ±{:<4.1}", 100.0 * mean, 100.0 * margin),
        }
    };
    let cells: Vec<String> = points.iter().map(|point| format!("{:>11}", cell(point))).collect();
    format!("{method:9}{}", cells.concat()).trim_end().to_owned()
}

/// How much larger errors are than those of the first method.
fn relative(curves: &[(&'static str, Vec<CurvePoint>)]) -> String {
    let (name, first) = &curves[0];
    let mut text = format!("\nerror against that of {name}, in %");
    for (method, points) in &curves[1..] {
        let cell = |(point, first): (&CurvePoint, &CurvePoint)| {
            let Estimate { mean, margin } = point.relative_error(first);
            match point.accuracy.len() {
                1 => format!("{:>+5.0}      ", 100.0 * mean),
                _ => format!("{:>+5.0} ±{:<4.0}", 100.0 * mean, 100.0 * margin),
            }
        };
        let cells: Vec<String> = points.iter().zip(first).map(cell).collect();
        let line = format!("\n{method:9}{}", cells.concat());
        text.push_str(line.trim_end());
    }
    text
}
