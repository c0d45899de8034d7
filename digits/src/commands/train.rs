//! `train`: settings, examples, the training itself, the file, the report.

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use plies_console::{
    Console, Failure, Interrupt, MAX_COLUMNS, called_as, check_writable, one_line, thousands,
};
use plies_digits::{
    embedded,
    idx::Examples,
    network::Network,
    settings::Settings,
    training::{self, EpochDone, Trained, Watch},
};
use plies_nn::{
    CheckpointError, Module,
    optim::Regularized,
    train::{BatchEvent, TrainError},
};
use plies_tensor::Device;
use serde::Serialize;

use super::{TestResult, device, evaluate, examples, load, show_test};
use crate::{
    autosave::Autosave,
    cli::{DEFAULT_FILE, TrainArgs},
    progress::Training,
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
    /// Where the network is saved; nothing when that failed.
    checkpoint: Option<Cow<'a, str>>,
    resumed_from: Option<Cow<'a, str>>,
    /// "MNIST", or the folder.
    data: &'a str,
    train_examples: usize,
    validation_examples: usize,
    #[serde(flatten)]
    test: TestResult,
    /// Which of the epochs is saved.
    best_epoch: usize,
    train_loss: f64,
    validation_error: Option<f64>,
    /// How it was trained; `epochs` are those of all resumptions.
    #[serde(flatten)]
    settings: &'a Settings,
    /// "cpu", or the GPU's name.
    device: &'a str,
    threads: usize,
    train_seconds: f64,
    examples_per_second: f64,
}

pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let learnt = learn(args, &console)?;
    if learnt.saved.is_ok() {
        learnt.go_on()?;
    }
    // That the network is not saved is the worst that can be said, so it is said last.
    let reported = report(args, &console, &learnt);
    learnt.saved.and(reported)
}

/// A network after its training.
pub(crate) struct Learnt {
    network: Network,
    trained: Trained,
    test: Examples,
    /// "MNIST", or the folder.
    data: String,
    train_examples: usize,
    validation_examples: usize,
    device: Device,
    /// Where it is saved, and whether it could be.
    out: PathBuf,
    pub(crate) saved: Result<(), Failure>,
    interrupt: Interrupt,
}

impl Learnt {
    /// From now on Ctrl-C loses nothing; an error if it has been pressed already.
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        match self.interrupt.all_is_saved() {
            false => Ok(()),
            true => {
                let reason = format!("stopped; the network is saved in {}", self.out.display());
                Err(Failure::Interrupted(reason))
            }
        }
    }
}

/// Trains and saves the best epoch. What is said on the way is progress; the result is said by the caller.
pub(crate) fn learn(args: &TrainArgs, console: &Console) -> Result<Learnt, Failure> {
    if args.out.as_deref() == Some(Path::new("-")) {
        let advice = "--out -: a network goes to a file, not to standard output; name one";
        return Err(Failure::BadInput(advice.to_owned()));
    }
    let out = args.out.as_ref().or(args.resume.as_ref());
    let out = out.cloned().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    if let Some(file) = &args.resume {
        console.keep_apart("--resume", file)?;
    }
    console.keep_apart("--out", &out)?;
    let device = device::open(&args.device)?;
    let (mut network, mut optimizer) = start(args)?;
    network.mlp.to_device(&device)?;
    check_writable(&out)?;
    let settings = network.settings.clone();
    let (mut train, test, data) = examples(console, &args.data, &[("--out", &out)])?;
    let validation = hold_out(&settings, &mut train)?;
    let train_examples = train.len();

    let subset = match args.data.data {
        None if !embedded::FULL => " (the published package's half)",
        _ => "",
    };
    console.progress(&format!(
        "{settings}, {} parameters\n{} examples of {data}{subset}, {}, seed {}",
        thousands(settings.parameters()),
        thousands(train_examples),
        match args.device.as_str() {
            "cpu" => format!("{} threads", plies_tensor::threads()),
            _ => format!("on {}", device.name()),
        },
        settings.seed
    ));
    let interrupt = Interrupt::handle();
    let validation_examples = validation.as_ref().map_or(0, Examples::len);
    let epochs = network.epochs_done..settings.epochs;
    let go_on = format!("go on with {} train --resume {}", called_as("digits"), out.display());
    let (trained, saved) = watched(console, &interrupt, &out, epochs, &go_on, |stop, watch| {
        training::train(&mut network, &mut optimizer, train, validation, stop, watch)
    })?;
    Ok(Learnt {
        network,
        trained,
        test,
        data,
        train_examples,
        validation_examples,
        device,
        out,
        saved,
        interrupt,
    })
}

/// Tests the network, and says how all went.
fn report(args: &TrainArgs, console: &Console, learnt: &Learnt) -> Result<(), Failure> {
    let Learnt { network, trained, test, out, .. } = learnt;
    let (settings, is_saved) = (&network.settings, learnt.saved.is_ok());
    let evaluation = evaluate(network, test, out)?;
    say_took(console, trained, is_saved.then_some(out.as_path()))?;
    let test = show_test(console, &args.drawn, test, &evaluation)?;
    if is_saved {
        console.say(&next(out))?;
    }
    console.json(&Report {
        command: "train",
        version: env!("CARGO_PKG_VERSION"),
        model: settings.to_string(),
        parameters: settings.parameters(),
        checkpoint: is_saved.then(|| out.to_string_lossy()),
        resumed_from: args.resume.as_ref().map(|file| file.to_string_lossy()),
        data: &learnt.data,
        train_examples: learnt.train_examples,
        validation_examples: learnt.validation_examples,
        test,
        best_epoch: trained.best_epoch,
        train_loss: trained.loss,
        validation_error: trained.validation_error,
        settings,
        device: learnt.device.name(),
        threads: plies_tensor::threads(),
        train_seconds: trained.seconds,
        examples_per_second: rate(trained),
    })
}

/// Runs a training that draws its progress, saves the best epoch so far in `out`, and stops at Ctrl-C. What
/// comes with it says whether the best is saved; `go_on` is the advice to whoever stopped it.
pub(super) fn watched(
    console: &Console,
    interrupt: &Interrupt,
    out: &Path,
    epochs: Range<usize>,
    go_on: &str,
    train: impl FnOnce(Arc<AtomicBool>, &mut dyn Watch) -> Result<Trained, TrainError>,
) -> Result<(Trained, Result<(), Failure>), Failure> {
    let mut watching = Watching {
        progress: Training::new(console, epochs.start, epochs.end),
        autosave: Autosave::new(out),
        is_failing: false,
    };
    let trained = train(interrupt.stop(), &mut watching);
    let Watching { progress, mut autosave, .. } = watching;
    drop(progress);
    let trained = trained.map_err(|error| match autosave.is_saved() {
        true => {
            let file = out.display();
            Failure::BadInput(format!("{error}; the best epoch before that is saved in {file}"))
        }
        false => error.into(),
    })?;
    let Some(best) = &trained.best else {
        return Err(Failure::Interrupted(
            "stopped before the first epoch was complete; nothing is saved".to_owned(),
        ));
    };
    let saved = autosave.finish(best).map_err(|error| Failure::BadInput(not_saved(error)));
    if trained.stopped {
        saved?;
        return Err(Failure::Interrupted(format!(
            "stopped; epoch {} is saved in {}; {go_on}",
            trained.best_epoch,
            out.display(),
        )));
    }
    Ok((trained, saved))
}

/// Draws the progress and saves the best network.
struct Watching<'a> {
    progress: Training<'a>,
    autosave: Autosave<'a>,
    /// Whether the last attempt to save has failed, which is said once.
    is_failing: bool,
}

impl Watch for Watching<'_> {
    fn batch(&mut self, event: &BatchEvent) {
        self.progress.batch(event);
    }

    fn epoch(&mut self, done: &EpochDone<'_>) {
        let saved = self.autosave.epoch(done.best, done.is_best);
        self.progress.epoch(done);
        if let Err(error) = saved
            && !self.is_failing
        {
            self.is_failing = true;
            let reason = one_line(&not_saved(error));
            self.progress.line(&format!("{reason}; training goes on and tries again"));
        }
        self.is_failing &= !self.autosave.is_saved();
    }
}

fn not_saved(error: CheckpointError) -> String {
    match error {
        CheckpointError::Io { path, source } => {
            format!("{}: cannot be written ({source})", path.display())
        }
        error => error.to_string(),
    }
}

/// A new network, or the one to be resumed, with its optimiser.
fn start(args: &TrainArgs) -> Result<(Network, Regularized), Failure> {
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
        let optimizer = settings.optimizer();
        return Ok((Network::new(settings), optimizer));
    };
    let (mut network, checkpoint) = load(file)?;
    let settings = checked(args.over(network.settings.clone()))?;
    if settings.to_string() != network.settings.to_string() {
        let reason = format!("holds the network {}, not {settings}", network.settings);
        return Err(Failure::at(file, reason));
    }
    let began = &network.settings;
    for (option, now, then) in [
        ("seed", settings.seed.to_string(), began.seed.to_string()),
        ("l1", settings.l1.to_string(), began.l1.to_string()),
        ("l2", settings.l2.to_string(), began.l2.to_string()),
        ("max-norm", settings.max_norm.to_string(), began.max_norm.to_string()),
    ] {
        if now != then {
            let reason = format!(
                "began with {option} {then}, and only goes on as it began with the same; leave --{option} {now} out, \
                 or train anew without --resume"
            );
            return Err(Failure::at(file, reason));
        }
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

/// How long it took, and where it is saved.
pub(super) fn say_took(
    console: &Console,
    trained: &Trained,
    saved: Option<&Path>,
) -> Result<(), Failure> {
    let saved = saved.map_or(String::new(), |file| format!("; saved in {}", file.display()));
    let rate = thousands(rate(trained) as usize);
    console.say(&format!("trained for {:.1} s, {rate} examples/s{saved}", trained.seconds))
}

pub(super) fn rate(trained: &Trained) -> f64 {
    trained.examples as f64 / trained.seconds.max(1e-9)
}

fn next(out: &Path) -> String {
    let program = called_as("digits");
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
    let lines = rows.map(|(command, does)| {
        let line = format!("  {program} {command}");
        let explained = format!("  {program} {command:<width$}   {does}");
        if explained.len() > MAX_COLUMNS { line } else { explained }
    });
    format!("\nWhat to try next:\n{}", lines.join("\n"))
}
