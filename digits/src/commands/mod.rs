//! One file for each command, and what several of them share.

pub(crate) mod add;
pub(crate) mod caption;
pub(crate) mod compare;
pub(crate) mod device;
pub(crate) mod effects;
pub(crate) mod evaluate;
pub(crate) mod info;
pub(crate) mod predict;
#[cfg(feature = "serve")]
pub(crate) mod serve;
mod spell;
pub(crate) mod train;
mod trials;

use std::{env, path::Path};

use plies_console::{Console, Failure, called_as, keep_apart, thousands};
use plies_digits::{
    embedded,
    idx::{self, Examples},
    network::Network,
    terminal::{self, Captioned, Style},
    training,
};
use plies_nn::{
    Checkpoint,
    metrics::{ConfusionMatrix, wilson_interval},
    train::Evaluation,
};
use serde::Serialize;

use crate::cli::{DataArgs, DrawnArgs};

/// What digits can be drawn with where the report goes.
fn style(console: &Console) -> Style {
    Style::detect(console.is_terminal(), |name| env::var(name).ok())
}

/// Training set, test set, and what to call them; what is to be written must not take their place.
fn examples(
    console: &Console,
    data: &DataArgs,
    written: &[(&str, &Path)],
) -> Result<(Examples, Examples, String), Failure> {
    Ok(match &data.data {
        Some(folder) => {
            for file in idx::files(folder)? {
                console.keep_apart("--data", &file)?;
                for &out in written {
                    keep_apart(&[out, ("--data", &file)])?;
                }
            }
            let (train, test) = idx::read_folder(folder)?;
            (train, test, folder.display().to_string())
        }
        None => (embedded::train(), embedded::test(), "MNIST".to_owned()),
    })
}

/// The network in a file, with the advice that a beginner needs.
fn load(file: &Path) -> Result<(Network, Checkpoint), Failure> {
    if !file.exists() {
        let advice = format!("no such file; train a network first: {}", called_as("digits"));
        return Err(Failure::at(file, advice));
    }
    Ok(Network::load(file)?)
}

/// A network's answers to the test set; the file is where it comes from.
fn evaluate(network: &Network, test: &Examples, file: &Path) -> Result<Evaluation, Failure> {
    let evaluation = training::evaluate(&network.mlp, test.clone())?;
    let is_finite = evaluation.probability.iter().all(|p| p.is_finite());
    if is_finite && evaluation.loss.is_finite() {
        Ok(evaluation)
    } else {
        Err(no_probabilities(file))
    }
}

/// Finite weights may still be so large that what they are multiplied with is not.
fn no_probabilities(file: &Path) -> Failure {
    Failure::at(file, "the network in it gives no probabilities; its weights are too large")
}

/// How well a network reads the test set, for scripts.
#[derive(Debug, Serialize)]
struct TestResult {
    /// Share of the examples that are misread.
    test_error: f64,
    /// Wilson's 95 % interval of it.
    test_error_interval: [f64; 2],
    /// Number of misread examples.
    test_errors: usize,
    test_examples: usize,
    test_loss: f64,
    /// Rows are the true classes, columns the classes read.
    confusion: Vec<Vec<usize>>,
}

impl TestResult {
    fn of(evaluation: &Evaluation) -> TestResult {
        let confusion = &evaluation.confusion;
        let (all, right) = (confusion.total(), confusion.correct());
        let (low, high) = wilson_interval(all - right, all, 1.96);
        TestResult {
            test_error: (all - right) as f64 / all as f64,
            test_error_interval: [low, high],
            test_errors: all - right,
            test_examples: all,
            test_loss: evaluation.loss,
            confusion: rows(confusion),
        }
    }

    /// `test error 1.02 % (95 % interval 0.84 to 1.24 %), 102 of 10,000 misread`.
    fn line(&self) -> String {
        let [low, high] = self.test_error_interval;
        format!(
            "test error {:.2} % (95 % interval {:.2} to {:.2} %), {} of {} misread",
            100.0 * self.test_error,
            100.0 * low,
            100.0 * high,
            thousands(self.test_errors),
            thousands(self.test_examples)
        )
    }
}

fn rows(confusion: &ConfusionMatrix) -> Vec<Vec<usize>> {
    let classes = 0..confusion.n_classes();
    let row = |truth| classes.clone().map(|read| confusion.count(truth, read)).collect();
    classes.clone().map(row).collect()
}

/// The result, the confusion matrix, and a few of the misread digits.
fn show_test(
    console: &Console,
    drawn: &DrawnArgs,
    test: &Examples,
    evaluation: &Evaluation,
) -> Result<TestResult, Failure> {
    let result = TestResult::of(evaluation);
    console.result(&result.line())?;
    console.say(&format!("\n{}", terminal::confusion_table(&evaluation.confusion)))?;
    let mut misread: Vec<usize> = (0..test.len())
        .filter(|&i| evaluation.predicted[i] != usize::from(test.labels[i]))
        .collect();
    // The surest mistakes tell most. The sort is stable, so equal ones keep their order.
    misread.sort_by(|&a, &b| evaluation.probability[b].total_cmp(&evaluation.probability[a]));
    misread.truncate(drawn.misread);
    if !misread.is_empty() {
        console.say("The surest of the mistakes:\n")?;
        let captions = misread.iter().map(|&i| {
            let (truth, read) = (test.labels[i], evaluation.predicted[i]);
            format!("true {truth}, read {read} ({:.0} %)", 100.0 * evaluation.probability[i])
        });
        let captions: Vec<String> = captions.collect();
        let digits: Vec<Captioned<'_>> = misread
            .iter()
            .zip(&captions)
            .map(|(&i, caption)| Captioned { pixels: test.image(i), caption })
            .collect();
        console.say(terminal::draw(&digits, style(console)).trim_end_matches('\n'))?;
    }
    Ok(result)
}
