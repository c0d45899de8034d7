//! `effects`: what is said about networks, each claim tested over seeds.

use std::{cell::Cell, collections::BTreeMap, fs};

use plies_console::{
    Console, Failure, Interrupt, MAX_COLUMNS, check_writable, duration, plot, thousands,
};
use plies_digits::{
    effects::{EFFECTS, Effect, Finding, Lab, Mean, Verdict},
    trial::{Trial, TrialError},
};
use serde::Serialize;

use super::examples;
use crate::cli::EffectsArgs;

/// The share of the examples that `--quick` takes.
const QUICK: f64 = 0.1;

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    /// "MNIST", or the folder.
    data: &'a str,
    seeds: u64,
    /// The share of the examples that experiments ask for.
    scale: f64,
    threads: usize,
    effects: &'a [Tested],
}

#[derive(Serialize)]
struct Tested {
    name: &'static str,
    claim: &'static str,
    verdict: Verdict,
    unit: &'static str,
    measured: BTreeMap<String, Mean>,
    seconds: f64,
}

pub(crate) fn run(args: &EffectsArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let chosen = chosen(&args.only)?;
    if args.seeds == 0 {
        return Err(Failure::BadInput("--seeds 0 measures nothing; it starts at 1".to_owned()));
    }
    if let Some(folder) = &args.plots {
        fs::create_dir_all(folder).map_err(|error| Failure::at(folder, error))?;
        check_writable(&folder.join("dropout.svg"))?;
    }
    let (train, test, data) = examples(&args.data)?;
    let scale = if args.quick { QUICK } else { 1.0 };
    console.progress(&format!(
        "{data}: up to {} training examples, {} test examples, seeds 1 to {}, {} threads",
        thousands((train.len() as f64 * scale) as usize),
        thousands(test.len()),
        args.seeds,
        plies_tensor::threads()
    ));
    let interrupt = Interrupt::handle();
    let stop = interrupt.stop();
    let mut tested = Vec::new();
    let mut is_stopped = false;
    for effect in chosen {
        console.say(&wrapped(&format!("{}: {}", effect.name, effect.claim)))?;
        let began = std::time::Instant::now();
        let trial = Trial {
            train: &train,
            test: &test,
            seed: 0,
            effort: 1.0,
            stop: &stop,
            progress: &|_| {},
            folder: None,
        };
        let lab = Lab { trial, seeds: args.seeds, scale, trainings: Cell::new(0) };
        let finding = match (effect.test)(&lab) {
            Ok(finding) => finding,
            Err(TrialError::Stopped) => {
                is_stopped = true;
                break;
            }
            Err(error) => return Err(Failure::BadInput(format!("{}: {error}", effect.name))),
        };
        let seconds = began.elapsed().as_secs_f64();
        show(&console, effect, &finding, seconds)?;
        if let Some(folder) = &args.plots {
            let file = folder.join(format!("{}.svg", effect.name));
            plot::curves(&file, effect.name, finding.axes, finding.log, &finding.curves)?;
            if let Some(picture) = &finding.picture {
                let file = folder.join(format!("{}.png", effect.name));
                picture.save(&file).map_err(|error| Failure::at(&file, error))?;
            }
        }
        tested.push(Tested {
            name: effect.name,
            claim: effect.claim,
            verdict: finding.verdict,
            unit: finding.unit,
            measured: finding
                .measured
                .into_iter()
                .map(|(what, mean)| (what, finite(mean)))
                .collect(),
            seconds,
        });
    }
    console.json(&Report {
        command: "effects",
        version: env!("CARGO_PKG_VERSION"),
        data: &data,
        seeds: args.seeds,
        scale,
        threads: plies_tensor::threads(),
        effects: &tested,
    })?;
    match is_stopped {
        true => Err(Failure::Interrupted(format!("stopped after {} of the effects", tested.len()))),
        false => Ok(()),
    }
}

/// JSON has no infinity; one seed has the interval of its only number.
fn finite(mean: Mean) -> Mean {
    Mean { interval: mean.interval.map(|b| if b.is_finite() { b } else { mean.mean }), ..mean }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Effect>, Failure> {
    let known = |name: &str| EFFECTS.iter().any(|effect| effect.name == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = EFFECTS.iter().map(|effect| effect.name).collect();
        let reason = format!("--only {name}: no such effect; there are {}", all.join(", "));
        return Err(Failure::BadInput(reason));
    }
    let is_chosen = |effect: &&Effect| names.is_empty() || names.iter().any(|n| n == effect.name);
    Ok(EFFECTS.iter().filter(is_chosen).collect())
}

fn show(
    console: &Console,
    effect: &Effect,
    finding: &Finding,
    seconds: f64,
) -> Result<(), Failure> {
    for (what, mean) in &finding.measured {
        let [low, high] = mean.interval;
        let interval = match low.is_finite() {
            true => format!("  ({low:.2} to {high:.2})"),
            false => String::new(),
        };
        console.say(&format!("  {what:<40}{:>8.2} {:<1}{interval}", mean.mean, finding.unit))?;
    }
    let verdict = match finding.verdict {
        Verdict::Holds => "the claim holds",
        Verdict::Fails => "the claim fails",
        Verdict::Unclear => "nothing is shown: the intervals overlap",
    };
    console.result(&format!("{}: {verdict}; {}\n", effect.name, duration(seconds)))
}

/// Lines of 80 columns at most.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.chars().count() + 1 + word.chars().count() > MAX_COLUMNS {
            lines.push(format!("  {word}"));
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
