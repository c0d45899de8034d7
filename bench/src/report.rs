//! A case's figures: a line for people, a line of JSON for programs.

use std::io::Write;

use serde::Serialize;

use crate::measure::{Times, quantile};

/// How work and time become a figure.
#[derive(Clone, Copy, Serialize)]
pub enum Unit {
    /// Work is floating-point operations; more is better.
    #[serde(rename = "GFLOP/s")]
    Gflops,
    /// Work is bytes; more is better.
    #[serde(rename = "GB/s")]
    Gigabytes,
    /// Work is examples; more is better.
    #[serde(rename = "examples/s")]
    Examples,
    /// Work is elements or operations; less is better.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl Unit {
    fn figure(self, work: f64, seconds: f64) -> f64 {
        match self {
            Unit::Gflops | Unit::Gigabytes => work / seconds * 1e-9,
            Unit::Examples => work / seconds,
            Unit::Nanoseconds => seconds / work * 1e9,
        }
    }
}

/// The figures of one contender in one case.
#[derive(Serialize)]
struct Row<'a> {
    section: &'a str,
    case: &'a str,
    threads: usize,
    contender: &'a str,
    unit: Unit,
    /// Median of the rounds.
    figure: f64,
    /// Our speed by this contender's: median and quartiles of the rounds' ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_quartiles: Option<[f64; 2]>,
    /// The ratio to the best peer that we want to reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<f64>,
}

/// What a case is called, and what one iteration of it does.
pub struct Heading<'a> {
    pub section: &'a str,
    pub case: &'a str,
    pub unit: Unit,
    /// Work of one iteration.
    pub work: f64,
    pub goal: Option<f64>,
}

/// Where lines go.
pub struct Report {
    pub json: bool,
    pub threads: usize,
}

impl Report {
    /// Titles of a section's columns.
    pub fn section(&self, name: &str) {
        let threads =
            if self.threads == 1 { "1 thread" } else { &format!("{} threads", self.threads) };
        self.line(&format!(
            "\n{:<31} {:>6}  best peer{:>14}ours/peer",
            format!("{name}, {threads}"),
            "plies",
            ""
        ));
    }

    /// The table is for people: on standard output unless that carries JSON.
    fn line(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { print_line(text) }
    }

    /// Reports a case; the first of `times` is ours.
    pub fn case(&self, heading: &Heading<'_>, times: &[Times]) {
        let Heading { section, case, unit, work, goal } = *heading;
        let Some((ours, peers)) = times.split_first() else { return };
        let figure = |times: &Times| unit.figure(work, quantile(&times.seconds, 0.5));
        let ratios = |peer: &Times| -> Vec<f64> {
            peer.seconds.iter().zip(&ours.seconds).map(|(peer, ours)| peer / ours).collect()
        };
        let best = peers
            .iter()
            .min_by(|a, b| quantile(&a.seconds, 0.5).total_cmp(&quantile(&b.seconds, 0.5)));
        let mut text = format!("{case:<30} {:>7}", short(figure(ours)));
        if let Some(best) = best {
            let all = ratios(best);
            let [low, ratio, high] = [0.25, 0.5, 0.75].map(|share| quantile(&all, share));
            text += &format!(
                " {:>7} {:<14} {ratio:>5.2} ({low:.2}-{high:.2})",
                short(figure(best)),
                best.name
            );
            if let Some(goal) = goal.filter(|&goal| ratio < goal) {
                text += &format!(" <{goal:.2}");
            }
        }
        self.line(&text);
        if self.json {
            for contender in times {
                let all = ratios(contender);
                let is_peer = contender.name != ours.name;
                let row = Row {
                    section,
                    case,
                    threads: self.threads,
                    contender: &contender.name,
                    unit,
                    figure: figure(contender),
                    ratio: is_peer.then(|| quantile(&all, 0.5)),
                    ratio_quartiles: is_peer
                        .then(|| [0.25, 0.75].map(|share| quantile(&all, share))),
                    goal,
                };
                match serde_json::to_string(&row) {
                    Ok(json) => print_line(&json),
                    Err(error) => eprintln!("{case}: {error}"),
                }
            }
        }
    }
}

/// Prints to standard output; when nobody reads it any more, there is nothing left to do.
fn print_line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(1);
    }
}

/// Three digits that count.
fn short(figure: f64) -> String {
    match figure {
        x if x >= 1e6 => format!("{:.2}M", x / 1e6),
        x if x >= 1e4 => format!("{:.1}k", x / 1e3),
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x if x >= 1.0 => format!("{x:.2}"),
        x => format!("{x:.3}"),
    }
}
