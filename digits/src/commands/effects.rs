//! `effects`: what is said about networks, each claim tested over seeds.

use std::{cell::OnceCell, fs, path::Path, time::Instant};

use plies_console::{
    Console, Failure, Interrupt, MAX_COLUMNS, check_writable, duration, keep_apart, plot, thousands,
};
use plies_digits::{
    effects::{EFFECTS, Effect, Finding, Found, Lab, Mean, Observed, Verdict},
    trial::TrialError,
};
use serde::Serialize;

use super::trials::{self, Trials};
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
    train_examples: usize,
    test_examples: usize,
    threads: usize,
    effects: &'a [Tested],
}

#[derive(Serialize)]
struct Tested {
    name: &'static str,
    claim: &'static str,
    verdict: Verdict,
    measured: Vec<Line>,
    /// Differences over the same seeds, below 0 where the claim is true.
    decides: Vec<Line>,
}

/// A mean over seeds; one seed has no interval.
#[derive(Serialize)]
struct Line {
    what: String,
    mean: f64,
    interval: [Option<f64>; 2],
}

pub(crate) fn run(args: &EffectsArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let chosen = trials::chosen(EFFECTS, "effect", |effect| effect.name, &args.only)?;
    if let Some(folder) = &args.plots {
        if folder.exists() && !folder.is_dir() {
            return Err(Failure::at(folder, "is not a folder; figures go into one"));
        }
        fs::create_dir_all(folder).map_err(|error| Failure::at(folder, error))?;
        check_writable(&folder.join("dropout.svg"))?;
        for effect in &chosen {
            for ending in ["svg", "png"] {
                let figure = folder.join(format!("{}.{ending}", effect.name));
                console.keep_apart("--plots", &figure)?;
                keep_apart(&[("--results", &args.results), ("--plots", &figure)])?;
            }
        }
    }
    let mut results = trials::known(&console, &args.results)?;
    let ([train, test], data) =
        trials::identified(&console, &args.data, &[("--results", &args.results)])?;
    if train.len() < 2 {
        return Err(Failure::BadInput(format!(
            "{data}: one example cannot be learnt and held out"
        )));
    }

    let interrupt = Interrupt::handle();
    let stop = interrupt.stop();
    let scale = if args.quick { QUICK } else { 1.0 };
    let progress = OnceCell::<Trials<'_>>::new();
    let share = |share| progress.get().map_or((), |progress| progress.done(share));
    let lab = Lab::new(train, &test, scale, &stop, &share);
    let like = Observed {
        effect: String::new(),
        setting: String::new(),
        seed: 0,
        data,
        train_examples: lab.train_examples(),
        test_examples: test.len(),
        scale,
        numbers: Vec::new(),
        seconds: 0.0,
        threads: plies_tensor::threads(),
    };
    let trials = trials(&chosen, args.seeds);
    let is_known =
        |trial: &Trial| results.find(&like.trial(trial.effect, trial.setting, trial.seed));
    let todo: Vec<&Trial> =
        trials.iter().filter(|trial| args.again || is_known(trial).is_none()).collect();
    let whole: f64 = todo.iter().map(|trial| trial.guess(scale)).sum();
    console.progress(&format!(
        "{}: up to {} examples to learn from, {} held out, {} to test\nseeds 1 to {}, {} threads",
        like.data,
        thousands((lab.train_examples() as f64 * scale) as usize),
        thousands(lab.held_out_examples()),
        thousands(test.len()),
        args.seeds,
        like.threads
    ));
    if todo.len() < trials.len() {
        let known = trials.len() - todo.len();
        console.progress(&format!("known from {}: {known} trials", args.results.display()));
    }
    if !todo.is_empty() {
        check_writable(&args.results)?;
        console.progress(&format!("to be made: {} trials, about {}", todo.len(), duration(whole)));
    }

    let progress = progress.get_or_init(|| Trials::new(&console, "effects", whole));
    let (mut tested, mut ended) = (Vec::new(), Ok(()));
    for effect in chosen {
        ended =
            todo.iter().filter(|trial| trial.effect.name == effect.name).try_for_each(|trial| {
                progress.begin(&format!("{} seed {}", effect.name, trial.seed), trial.guess(scale));
                let observed = trial.make(&lab, &like)?;
                progress.end();
                Ok(results.add(observed, &args.results)?)
            });
        if ended.is_err() {
            break;
        }
        let Some(found) = Found::of(effect, args.seeds, &like, &results) else { continue };
        let finding = (effect.judge)(&found);
        progress.bar.suspend(|| show(&console, effect, &finding))?;
        if let Some(folder) = &args.plots {
            if effect.picture.is_some() {
                progress.begin(&format!("{} as a picture", effect.name), 0.0);
            }
            ended = draw(folder, effect, &finding, &lab);
        }
        tested.push(Tested {
            name: effect.name,
            claim: effect.claim,
            verdict: finding.verdict(),
            measured: finding.measured.into_iter().map(Line::of).collect(),
            decides: finding.decides.into_iter().map(Line::of).collect(),
        });
        if ended.is_err() {
            break;
        }
    }
    if let Err(failure @ (Failure::BadInput(_) | Failure::ReaderGone)) = ended {
        return Err(failure);
    }
    console.json(&Report {
        command: "effects",
        version: env!("CARGO_PKG_VERSION"),
        data: &like.data,
        seeds: args.seeds,
        scale,
        train_examples: (lab.train_examples() as f64 * scale) as usize,
        test_examples: test.len(),
        threads: plies_tensor::threads(),
        effects: &tested,
    })?;
    ended.map_err(|_| trials::stopped(&args.results))
}

/// One trial of an effect.
struct Trial {
    effect: &'static Effect,
    setting: usize,
    seed: u64,
}

/// All trials: of each effect, of each seed, of each setting.
fn trials(effects: &[&'static Effect], seeds: u64) -> Vec<Trial> {
    let mut trials = Vec::new();
    for effect in effects {
        for seed in 1..=seeds {
            trials.extend((0..effect.settings.len()).map(|setting| Trial {
                effect,
                setting,
                seed,
            }));
        }
    }
    trials
}

impl Trial {
    /// About how many seconds it takes.
    fn guess(&self, scale: f64) -> f64 {
        0.2 + scale * self.effect.settings[self.setting].1
    }

    fn make(&self, lab: &Lab<'_>, like: &Observed) -> Result<Observed, Failure> {
        let began = Instant::now();
        let numbers = (self.effect.measure)(lab, self.setting, self.seed)
            .map_err(|error| failed(self.effect, &error))?;
        let seconds = (began.elapsed().as_secs_f64() * 100.0).round() / 100.0;
        Ok(Observed { numbers, seconds, ..like.trial(self.effect, self.setting, self.seed) })
    }
}

fn failed(effect: &Effect, error: &TrialError) -> Failure {
    match error {
        TrialError::Stopped => Failure::Interrupted("stopped".to_owned()),
        error => Failure::BadInput(format!("{}: {error}", effect.name)),
    }
}

impl Line {
    fn of((what, Mean { mean, interval }): (String, Mean)) -> Line {
        Line { what, mean, interval: interval.map(|bound| bound.is_finite().then_some(bound)) }
    }
}

fn show(console: &Console, effect: &Effect, finding: &Finding) -> Result<(), Failure> {
    console.say(&wrapped(&format!("{}: {}", effect.name, effect.claim)))?;
    let line = |(what, mean): &(String, Mean)| {
        let [low, high] = mean.interval;
        let interval = match low.is_finite() {
            true => format!("  ({low:.2} to {high:.2})"),
            false => String::new(),
        };
        console.say(&format!("  {what:<46}{:>8.2}{interval}", mean.mean))
    };
    finding.measured.iter().try_for_each(line)?;
    console.say("  so, seed by seed, and below 0 if the claim is true:")?;
    finding.decides.iter().try_for_each(line)?;
    let verdict = match finding.verdict() {
        Verdict::Holds => "the claim holds",
        Verdict::Fails => "the claim fails",
        Verdict::Unclear if finding.is_of_one_seed() => "one seed shows nothing; try --seeds 5",
        Verdict::Unclear => "nothing is shown: the interval holds 0",
    };
    console.result(&format!("{}: {verdict}\n", effect.name))
}

/// The figure, and the picture if there is one, which takes training.
fn draw(folder: &Path, effect: &Effect, finding: &Finding, lab: &Lab<'_>) -> Result<(), Failure> {
    let file = folder.join(format!("{}.svg", effect.name));
    plot::curves(&file, effect.claim, finding.axes, finding.log, &finding.curves)?;
    let Some(picture) = effect.picture else { return Ok(()) };
    let file = folder.join(format!("{}.png", effect.name));
    let picture = picture(lab).map_err(|error| failed(effect, &error))?;
    Ok(plot::save_image(&file, &picture)?)
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
