//! `evaluate`: a saved network on the test set.

use std::{borrow::Cow, time::Instant};

use plies_console::{Console, Failure, thousands};
use serde::Serialize;

use super::{TestResult, evaluate, examples, load, show_test};
use crate::cli::EvaluateArgs;

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    model: String,
    parameters: usize,
    checkpoint: Cow<'a, str>,
    data: &'a str,
    #[serde(flatten)]
    test: TestResult,
    epochs: usize,
    /// The seed that the network was trained with.
    seed: u64,
    threads: usize,
    evaluate_seconds: f64,
    examples_per_second: f64,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    console.keep_apart("--model", &args.model)?;
    let (network, _) = load(&args.model)?;
    let (_, test, data) = examples(&console, &args.data, &[])?;
    let settings = &network.settings;
    console.progress(&format!(
        "{}: {settings}, {} epochs\n{} test examples of {data}",
        args.model.display(),
        network.epochs_done,
        thousands(test.len())
    ));
    let started = Instant::now();
    let evaluation = evaluate(&network, &test, &args.model)?;
    let seconds = started.elapsed().as_secs_f64();
    let examples_per_second = test.len() as f64 / seconds.max(1e-9);
    let test = show_test(&console, &args.drawn, &test, &evaluation)?;
    console.json(&Report {
        command: "evaluate",
        version: env!("CARGO_PKG_VERSION"),
        model: settings.to_string(),
        parameters: settings.parameters(),
        checkpoint: args.model.to_string_lossy(),
        data: &data,
        test,
        epochs: network.epochs_done,
        seed: settings.seed,
        threads: plies_tensor::threads(),
        evaluate_seconds: seconds,
        examples_per_second,
    })
}
