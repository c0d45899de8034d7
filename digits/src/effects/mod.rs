//! What is said about networks, tested: a claim, trials over seeds, a verdict, a figure.
//!
//! An experiment varies one thing. A trial is one setting of it, trained from one seed; what it measures is kept in a
//! file, and all that is said is computed from there. Trials with the same seed begin with the same random numbers and see
//! the same examples in the same order, so settings are compared seed by seed: a claim holds if the 95 % interval of
//! the mean difference (Student's) lies on its side of 0, fails if it lies on the other, and otherwise nothing is shown.
//!
//! Where the best of several settings is compared with something, it is the best on examples held out of the
//! training set. Chosen on the test set, the luckiest would win, and be judged by its luck.

mod activations;
mod depth;
mod dropout;
mod lab;
mod lesions;
mod probes;
mod remedies;
mod size;
mod starts;
mod weights;

use image::GrayImage;
use plies_console::plot::Curve;
use plies_nn::metrics::student_interval;
use serde::{Deserialize, Serialize};

pub use self::lab::{Lab, Scale};
use crate::{
    results::{Record, Results, possible_seconds},
    trial::TrialError,
};

/// All experiments.
pub const EFFECTS: &[Effect] = &[
    activations::EFFECT,
    dropout::EFFECT,
    remedies::EFFECT,
    starts::EFFECT,
    depth::EFFECT,
    size::EFFECT,
    lesions::EFFECT,
    probes::EFFECT,
    weights::EFFECT,
];

/// Something that is said about networks, and how it is tested.
pub struct Effect {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What is said.
    pub claim: &'static str,
    /// What is varied: the name of each setting, and about how many seconds a trial of it takes on two cores.
    pub settings: &'static [(&'static str, f64)],
    /// How many numbers a trial gives.
    pub numbers: usize,
    /// One trial: the setting, by its place in `settings`, and the seed.
    pub measure: fn(&Lab<'_>, usize, u64) -> Result<Vec<f64>, TrialError>,
    /// What all trials together show.
    pub judge: fn(&Found) -> Finding,
    /// A picture of networks that it trains for that.
    pub picture: Option<Drawn>,
}

/// A picture of trained networks.
pub type Drawn = fn(&Lab<'_>) -> Result<GrayImage, TrialError>;

/// What one trial has measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The effect's name.
    pub effect: String,
    /// The setting's name.
    pub setting: String,
    /// Where its random numbers started.
    pub seed: u64,
    /// What it ran on: "MNIST", or a folder.
    pub data: String,
    /// Examples that could be learnt from.
    pub train_examples: usize,
    /// Examples that were read.
    pub test_examples: usize,
    /// The share of the examples that experiments ask for.
    pub scale: f64,
    /// What was measured, in the order of the effect.
    pub numbers: Vec<f64>,
    /// How long it took.
    pub seconds: f64,
    /// Threads that it had.
    pub threads: usize,
}

impl Record for Observed {
    fn is_trial(&self, other: &Observed) -> bool {
        let trial = |o: &Observed| {
            let names = [&o.effect, &o.setting, &o.data].map(String::clone);
            (names, o.seed, o.train_examples, o.test_examples, o.numbers.len())
        };
        trial(self) == trial(other) && self.scale == other.scale
    }

    fn fault(&self) -> Option<String> {
        if !possible_seconds(self.seconds) {
            return Some(format!("{} seconds of {}, {}", self.seconds, self.effect, self.setting));
        }
        let unfit = self.numbers.iter().find(|number| number.is_nan() || number.abs() > 1e12)?;
        Some(format!("a number {unfit} of {}, {}", self.effect, self.setting))
    }
}

/// What the trials of an effect have measured.
#[derive(Clone, Debug)]
pub struct Found {
    /// [setting][seed][number]
    trials: Vec<Vec<Vec<f64>>>,
    scale: Scale,
}

impl Found {
    /// The trials of an effect, as described, that are among the results; nothing unless all are.
    ///
    /// `like` says what they ran on.
    pub fn of(
        effect: &Effect,
        seeds: u64,
        like: &Observed,
        results: &Results<Observed>,
    ) -> Option<Found> {
        let of_setting = |setting: usize| {
            let known = |seed| results.find(&like.trial(effect, setting, seed));
            (1..=seeds).map(|seed| Some(known(seed)?.numbers.clone())).collect::<Option<_>>()
        };
        let trials = (0..effect.settings.len()).map(of_setting).collect::<Option<_>>()?;
        Some(Found { trials, scale: Scale { share: like.scale, most: like.train_examples } })
    }

    /// One of the numbers of a setting, for each seed.
    fn each(&self, setting: usize, number: usize) -> Vec<f64> {
        self.trials[setting].iter().map(|numbers| numbers[number]).collect()
    }

    fn mean(&self, setting: usize, number: usize) -> Mean {
        Mean::of(&self.each(setting, number))
    }

    /// Of these settings, that with the least mean of a number.
    fn least(&self, settings: impl IntoIterator<Item = usize>, number: usize) -> usize {
        let mean = |setting: &usize| self.mean(*setting, number).mean;
        let least = settings.into_iter().min_by(|a, b| mean(a).total_cmp(&mean(b)));
        least.expect("a choice among some settings")
    }
}

impl Observed {
    /// This trial of an effect, not made yet; where it runs is as here.
    pub fn trial(&self, effect: &Effect, setting: usize, seed: u64) -> Observed {
        Observed {
            effect: effect.name.to_owned(),
            setting: effect.settings[setting].0.to_owned(),
            seed,
            numbers: vec![0.0; effect.numbers],
            ..self.clone()
        }
    }
}

/// The mean over seeds and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Student's interval.
    pub interval: [f64; 2],
}

impl Mean {
    /// Of one number for each seed. One alone has no interval that could separate it from another.
    pub fn of(values: &[f64]) -> Mean {
        let (low, high) = student_interval(values, 0.95);
        Mean { mean: values.iter().sum::<f64>() / values.len() as f64, interval: [low, high] }
    }

    fn point(&self, x: f64) -> (f64, f64, [f64; 2]) {
        (x, self.mean, self.interval.map(|bound| if bound.is_finite() { bound } else { self.mean }))
    }
}

/// Seed by seed, what a function makes of two numbers.
fn paired(a: &[f64], b: &[f64], of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| of(a, b)).collect()
}

fn difference(a: f64, b: f64) -> f64 {
    a - b
}

/// Whether a claim has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What decides lies as the claim says.
    Holds,
    /// Some of it lies the other way round.
    Fails,
    /// It may be either.
    Unclear,
}

/// What an experiment has found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The numbers, a line each.
    pub measured: Vec<(String, Mean)>,
    /// What decides, computed seed by seed: each below 0 if the claim is true.
    pub decides: Vec<(String, Mean)>,
    /// What the axes of the figure are.
    pub axes: [&'static str; 2],
    /// Which of them are logarithmic.
    pub log: [bool; 2],
    /// The figure.
    pub curves: Vec<Curve>,
}

impl Finding {
    /// Whether there is nothing that could show how much is chance.
    pub fn is_of_one_seed(&self) -> bool {
        self.decides.iter().any(|(_, mean)| !mean.interval[0].is_finite())
    }

    /// Holds if all that decides does, fails if anything of it does.
    pub fn verdict(&self) -> Verdict {
        let intervals = || self.decides.iter().map(|(_, mean)| mean.interval);
        if intervals().any(|[low, _]| low > 0.0) {
            Verdict::Fails
        } else if !self.decides.is_empty() && intervals().all(|[_, high]| high < 0.0) {
            Verdict::Holds
        } else {
            Verdict::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{embedded, idx::Examples};

    fn like() -> Observed {
        Observed {
            effect: String::new(),
            setting: String::new(),
            seed: 0,
            data: "MNIST".to_owned(),
            train_examples: 55_000,
            test_examples: 10_000,
            scale: 1.0,
            numbers: Vec::new(),
            seconds: 0.0,
            threads: 1,
        }
    }

    /// Trials whose numbers are what a function says of the setting, the seed and the place.
    fn made_up(
        effect: &Effect,
        seeds: u64,
        number: impl Fn(usize, u64, usize) -> f64,
    ) -> Results<Observed> {
        let mut all = Vec::new();
        for setting in 0..effect.settings.len() {
            for seed in 1..=seeds {
                let numbers = (0..effect.numbers).map(|i| number(setting, seed, i)).collect();
                all.push(Observed { numbers, ..like().trial(effect, setting, seed) });
            }
        }
        Results { all }
    }

    fn effect(name: &str) -> &'static Effect {
        EFFECTS.iter().find(|effect| effect.name == name).unwrap()
    }

    #[test]
    fn verdicts_come_from_differences_over_the_same_seeds() {
        let finding = |all: &[[f64; 3]]| Finding {
            measured: Vec::new(),
            decides: all.iter().map(|values| (String::new(), Mean::of(values))).collect(),
            axes: ["", ""],
            log: [false, false],
            curves: Vec::new(),
        };
        let [below, above, around] = [[-1.0, -1.1, -1.2], [2.0, 2.1, 2.2], [-1.5, 1.5, 1.0]];
        for (all, verdict) in [
            (&[below][..], Verdict::Holds),
            (&[below, below], Verdict::Holds),
            (&[above], Verdict::Fails),
            (&[below, around, above], Verdict::Fails),
            (&[], Verdict::Unclear),
            (&[around], Verdict::Unclear),
            (&[below, around], Verdict::Unclear),
        ] {
            assert_eq!(finding(all).verdict(), verdict, "{all:?}");
        }
    }

    /// Errors that differ far more between seeds than between settings.
    #[test]
    fn what_all_seeds_agree_on_is_shown_though_intervals_overlap() {
        let dropout = effect("dropout");
        let results = made_up(dropout, 5, |setting, seed, _| {
            let noise = 0.001 * (seed * (setting as u64 + 1) % 3) as f64;
            2.0 + seed as f64 - 0.1 * f64::from(u8::from(setting == 4)) + noise
        });
        let found = Found::of(dropout, 5, &like(), &results).unwrap();
        let finding = (dropout.judge)(&found);
        let [none, best] = [0, 4].map(|setting| finding.measured[setting].1.interval);
        assert!(best[1] > none[0]);
        assert_eq!(finding.verdict(), Verdict::Holds, "{:?}", finding.decides);
    }

    /// The rate that is best on what is held out is no good on the test set, and the luckiest there is not chosen.
    #[test]
    fn the_best_setting_is_chosen_on_what_is_held_out() {
        let dropout = effect("dropout");
        let results = made_up(dropout, 3, |setting, seed, number| {
            let noise = 0.01 * seed as f64;
            match (setting, number) {
                (3, 0) | (7, 1) => 1.0,
                (3, 1) => 9.0 + noise,
                _ => 5.0,
            }
        });
        let finding = (dropout.judge)(&Found::of(dropout, 3, &like(), &results).unwrap());
        assert_eq!(finding.verdict(), Verdict::Fails, "{:?}", finding.decides);
        assert!((finding.decides[0].1.mean - 4.02).abs() < 1e-9);
    }

    #[test]
    fn an_effect_is_judged_when_all_its_trials_are_known() {
        let depth = effect("depth");
        let mut results = made_up(depth, 2, |_, _, _| 1.0);
        assert!(Found::of(depth, 2, &like(), &results).is_some());
        assert!(Found::of(depth, 3, &like(), &results).is_none());
        let quick = Observed { scale: 0.1, ..like() };
        assert!(Found::of(depth, 2, &quick, &results).is_none());
        results.all.pop();
        assert!(Found::of(depth, 2, &like(), &results).is_none());
    }

    /// On a hundred images nothing is shown, but each gives its numbers and a figure.
    #[test]
    fn each_effect_gives_numbers_and_a_figure() {
        let few = |mut examples: Examples, count: usize| {
            examples.truncate(count);
            examples
        };
        let (train, test) = (few(embedded::train(), 120), few(embedded::test(), 10));
        let stop = Default::default();
        let mut lab = Lab::new(train, &test, 0.0, &stop, &|_| {});
        lab.effort = 0.0;
        let like = Observed { train_examples: 110, test_examples: 10, scale: 0.0, ..like() };
        for effect in EFFECTS {
            let mut results = Results::<Observed>::default();
            for setting in 0..effect.settings.len() {
                let numbers = (effect.measure)(&lab, setting, 1);
                let numbers = numbers.unwrap_or_else(|e| panic!("{}: {e}", effect.name));
                let finite = numbers.iter().all(|number| number.is_finite());
                assert!(numbers.len() == effect.numbers && finite, "{}: {numbers:?}", effect.name);
                results.all.push(Observed { numbers, ..like.trial(effect, setting, 1) });
            }
            let finding = (effect.judge)(&Found::of(effect, 1, &like, &results).unwrap());
            assert!(finding.measured.len() >= 2, "{}", effect.name);
            assert!(finding.curves.iter().all(|curve| curve.points.len() >= 2), "{}", effect.name);
            assert_eq!(finding.verdict(), Verdict::Unclear, "one seed shows nothing");
            if let Some(picture) = effect.picture {
                assert!(picture(&lab).unwrap().width() > 100);
            }
        }
    }
}
