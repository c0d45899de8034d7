//! `info`: what is in the program, in the machine, and in a saved network.

use std::{borrow::Cow, fmt::Write as _, path::PathBuf};

use plies_console::{Console, Failure, thousands};
use plies_digits::{embedded, network::Network, settings::Settings};
use plies_nn::Module;
use plies_tensor::Device;
use serde::Serialize;

use super::{device::gpus, load};
use crate::cli::{DEFAULT_FILE, InfoArgs};

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    embedded: Embedded,
    threads: usize,
    processors: usize,
    processor: &'static str,
    vector_instructions: &'static str,
    device: String,
    /// Others that `train --device` takes.
    gpus: Vec<String>,
    /// Bytes that tensors take now, and took at most.
    memory_in_use: u64,
    memory_peak: u64,
    checkpoint: Option<Cow<'a, str>>,
    model: Option<String>,
    parameters: Option<usize>,
    epochs: Option<usize>,
    seed: Option<u64>,
    settings: Option<&'a Settings>,
}

#[derive(Serialize)]
struct Embedded {
    data: &'static str,
    train_examples: usize,
    test_examples: usize,
    bytes: usize,
    full: bool,
}

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let file = args.model.clone().or_else(|| {
        let default = PathBuf::from(DEFAULT_FILE);
        default.exists().then_some(default)
    });
    let network = match &file {
        Some(file) => {
            console.keep_apart("--model", file)?;
            Some(load(file)?.0)
        }
        None => None,
    };
    let embedded = Embedded {
        data: "MNIST",
        train_examples: embedded::train().len(),
        test_examples: embedded::test().len(),
        bytes: embedded::BYTES,
        full: embedded::FULL,
    };
    let device = Device::cpu();
    let memory = device.memory_use();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = network.as_ref().map(|network| &network.settings);
    let report = Report {
        command: "info",
        version: env!("CARGO_PKG_VERSION"),
        embedded,
        threads: plies_tensor::threads(),
        processors,
        processor: std::env::consts::ARCH,
        vector_instructions: plies_tensor::instruction_set()?,
        device: device.name().to_owned(),
        gpus: gpus(),
        memory_in_use: memory.in_use as u64,
        memory_peak: memory.peak as u64,
        checkpoint: file.as_ref().map(|file| file.to_string_lossy()),
        model: settings.map(Settings::to_string),
        parameters: settings.map(Settings::parameters),
        epochs: network.as_ref().map(|network| network.epochs_done),
        seed: settings.map(|settings| settings.seed),
        settings,
    };
    console.result(describe(&report, network.as_ref()).trim_end())?;
    console.json(&report)
}

fn describe(report: &Report<'_>, network: Option<&Network>) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<11}{value}");
    };
    row("program", format!("plies-digits {}", report.version));
    let Embedded { data, train_examples, test_examples, bytes, full } = &report.embedded;
    row(
        "data",
        format!(
            "{data}: {} training and {} test examples, {:.1} MB",
            thousands(*train_examples),
            thousands(*test_examples),
            *bytes as f64 / 1e6,
        ),
    );
    if !full {
        row("", "a clone of the repository has all 60,000 training examples".to_owned());
    }
    let Report { threads, processors, processor, vector_instructions, .. } = report;
    row(
        "processor",
        format!("{processor} with {vector_instructions}, {threads} of {processors} used"),
    );
    for gpu in &report.gpus {
        row("gpu", gpu.clone());
    }
    row("memory", format!("{} bytes in tensors", thousands(report.memory_in_use as usize)));
    let (Some(file), Some(network)) = (&report.checkpoint, network) else {
        row("network", format!("none; there is no {DEFAULT_FILE} here"));
        return text;
    };
    let settings = &network.settings;
    row("file", file.to_string());
    row("network", format!("{settings}, {} parameters", thousands(settings.parameters())));
    row(
        "training",
        format!(
            "{} of {} epochs, batches of {}, learning rate {}, seed {}",
            network.epochs_done, settings.epochs, settings.batch_size, settings.lr, settings.seed
        ),
    );
    row(
        "",
        format!(
            "dropout {} (pixels {}), shifts up to {}, {} held out, limit {}",
            settings.dropout,
            settings.input_dropout,
            settings.shift,
            thousands(settings.validation),
            thousands(settings.limit)
        ),
    );
    let others = [
        ("rotate", settings.rotate),
        ("shear", settings.shear),
        ("scale", settings.scale),
        ("elastic", settings.elastic),
        ("l1", settings.l1),
        ("l2", settings.l2),
        ("max-norm", settings.max_norm),
    ];
    let others = others.iter().filter(|(_, value)| *value != 0.0);
    let others: Vec<String> = others.map(|(name, value)| format!("{name} {value}")).collect();
    if !others.is_empty() {
        row("", others.join(", "));
    }
    for (name, parameter) in network.mlp.named_parameters() {
        row("", format!("{name:<18} {} {}", parameter.value().dtype(), parameter.value().shape()));
    }
    text
}
