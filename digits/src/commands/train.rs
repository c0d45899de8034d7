//! `train`: settings, examples, the training itself, the file, the report.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use plies_digits::{
    embedded,
    idx::Examples,
    network::{Network, Settings},
    training::{self, Trained},
};
use plies_nn::optim::Adam;
use serde::Serialize;

use super::{TestResult, examples, load, show_test};
use crate::{
    cli::{DEFAULT_FILE, TrainArgs},
    console::{Console, Failure, check_writable, program, thousands},
    progress::Progress,
};

/// With gradients and the optimiser's memory, four gigabytes.
const MAX_PARAMETERS: usize = 250_000_000;

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    /// The layers and the activation.
    model: String,
    parameters: usize,
    /// Where the network is saved.
    checkpoint: Cow<'a, str>,
    resumed_from: Option<Cow<'a, str>>,
    /// "MNIST", or the folder.
    data: &'a str,
    train_examples: usize,
    validation_examples: usize,
    #[serde(flatten)]
    test: TestResult,
    /// Complete epochs over all resumptions, and which of them is saved.
    epochs: usize,
    best_epoch: usize,
    train_loss: f64,
    validation_error: Option<f64>,
    batch_size: usize,
    lr: f64,
    dropout: f64,
    input_dropout: f64,
    shift: usize,
    seed: u64,
    threads: usize,
    train_seconds: f64,
    examples_per_second: f64,
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    console.keep_apart("--out", &out)?;
    if let Some(file) = &args.resume {
        console.keep_apart("--resume", file)?;
    }
    check_writable(&out)?;
    let (mut network, mut optimizer) = start(args)?;
    let settings = network.settings.clone();
    let (mut train, test, data) = examples(&args.data)?;
    let validation = hold_out(&settings, &mut train)?;
    let train_examples = train.len();

    let subset = match args.data.data {
        None if !embedded::FULL => " (the published package's half of it)",
        _ => "",
    };
    console.progress(&format!(
        "{settings}: {} parameters, {} examples of {data}{subset}, {} threads, seed {}",
        thousands(settings.parameters()),
        thousands(train_examples),
        plies_tensor::threads(),
        settings.seed
    ));
    let stop = stop_on_ctrl_c();
    let validation_examples = validation.as_ref().map_or(0, Examples::len);
    let trained = {
        let mut progress = Progress::new(&console, network.epochs_done, settings.epochs);
        training::train(&mut network, &mut optimizer, train, validation, stop, &mut progress)?
    };
    let Some(best) = &trained.best else {
        return Err(Failure::Interrupted(
            "stopped before the first epoch was complete; nothing is saved".to_owned(),
        ));
    };
    best.save(&out)?;
    if trained.stopped {
        return Err(Failure::Interrupted(format!(
            "stopped; epoch {} is saved in {}; go on with {} train --resume {}",
            trained.best_epoch,
            out.display(),
            program(),
            out.display()
        )));
    }

    let evaluation = training::evaluate(&network.mlp, test.clone())?;
    console.say(&format!(
        "trained for {:.1} s, {} examples/s; saved in {}",
        trained.seconds,
        thousands(rate(&trained) as usize),
        out.display()
    ))?;
    let test = show_test(&console, &args.drawn, &test, &evaluation)?;
    console.say(&next(&out))?;
    console.json(&Report {
        command: "train",
        version: env!("CARGO_PKG_VERSION"),
        model: settings.to_string(),
        parameters: settings.parameters(),
        checkpoint: out.to_string_lossy(),
        resumed_from: args.resume.as_ref().map(|file| file.to_string_lossy()),
        data: &data,
        train_examples,
        validation_examples,
        test,
        epochs: trained.epochs,
        best_epoch: trained.best_epoch,
        train_loss: trained.loss,
        validation_error: trained.validation_error,
        batch_size: settings.batch_size,
        lr: settings.lr,
        dropout: settings.dropout,
        input_dropout: settings.input_dropout,
        shift: settings.shift,
        seed: settings.seed,
        threads: plies_tensor::threads(),
        train_seconds: trained.seconds,
        examples_per_second: rate(&trained),
    })
}

/// A new network, or the one to be resumed, with its optimiser.
fn start(args: &TrainArgs) -> Result<(Network, Adam), Failure> {
    let checked = |settings: Settings| match settings.check() {
        Ok(()) if settings.parameters() > MAX_PARAMETERS => Err(Failure::BadInput(format!(
            "a network of {} parameters is larger than {}; make --hidden smaller",
            thousands(settings.parameters()),
            thousands(MAX_PARAMETERS)
        ))),
        Ok(()) => Ok(settings),
        Err(wrong) => Err(Failure::BadInput(wrong)),
    };
    let Some(file) = &args.resume else {
        let settings = checked(args.over(Settings::default()))?;
        return Ok((settings.build(), settings.optimizer()));
    };
    let (mut network, checkpoint) = load(file)?;
    let settings = checked(args.over(network.settings.clone()))?;
    if settings.to_string() != network.settings.to_string() {
        let reason = format!("holds the network {}, not {settings}", network.settings);
        return Err(Failure::at(file, reason));
    }
    if network.epochs_done >= settings.epochs {
        let done = network.epochs_done;
        let reason = format!("has {done} epochs behind it; ask for more than that with --epochs");
        return Err(Failure::at(file, reason));
    }
    network.mlp = network.mlp.dropout(settings.input_dropout, settings.dropout);
    network.settings = settings;
    let mut optimizer = network.settings.optimizer();
    checkpoint.load_optimizer(&mut optimizer)?;
    Ok((network, optimizer))
}

/// Cuts the training set to its limit and takes the examples to choose the best epoch by from its
/// end.
fn hold_out(settings: &Settings, train: &mut Examples) -> Result<Option<Examples>, Failure> {
    if settings.limit > 0 {
        train.truncate(settings.limit);
    }
    if settings.validation >= train.len() {
        return Err(Failure::BadInput(format!(
            "--validation {} leaves nothing of {} training examples",
            settings.validation,
            thousands(train.len())
        )));
    }
    Ok((settings.validation > 0).then(|| train.split_off_last(settings.validation)))
}

/// Set by the first Ctrl-C; a second one ends the program at once.
fn stop_on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    // Without a handler Ctrl-C still works, only not as politely.
    let _ = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    stop
}

fn rate(trained: &Trained) -> f64 {
    trained.examples as f64 / trained.seconds.max(1e-9)
}

fn next(out: &Path) -> String {
    let program = program();
    let model = match out.to_str() {
        Some(DEFAULT_FILE) => String::new(),
        _ => format!(" --model {}", out.display()),
    };
    let rows = [
        (format!("predict{model} PICTURE.png"), "reads a digit that you drew"),
        (format!("evaluate{model} --misread 12"), "draws more of the mistakes"),
        ("train --help".to_owned(), "other networks, other data"),
    ];
    let width = rows.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = rows.map(|(command, does)| format!("  {program} {command:<width$}   {does}"));
    format!("\nWhat to try next:\n{}", lines.join("\n"))
}
