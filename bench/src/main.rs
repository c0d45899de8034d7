//! plies beside its peers: the Rust crates in this very process, and NumPy, PyTorch and JAX in a
//! Python that waits for its turn. Every case is a race of contenders that take turns.
//!
//! `cargo xtask bench --help`

mod elementwise;
mod gemm;
mod layers;
mod measure;
mod overhead;
mod peak;
mod python;
mod report;
mod train;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};

use measure::{Contender, Effort, race};
use python::Python;
use report::{Heading, Report, Unit};

/// Measures plies beside its peers and prints ratios of speed (ours / best peer; more is better),
/// with their quartiles. `<1.05` at the end of a line: the goal that was not reached.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", max_term_width = 80)]
struct Arguments {
    /// What to measure; everything if nothing is named
    sections: Vec<Section>,
    /// Numbers of threads, one table each
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<NonZeroUsize>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    case: String,
    /// Fewer and shorter rounds: a rough look
    #[arg(long)]
    quick: bool,
    /// One line of JSON for each contender on standard output; the table goes to standard error
    #[arg(long)]
    json: bool,
    /// Without the peers: our figures alone
    #[arg(long)]
    alone: bool,
    /// A Python that has some of NumPy, PyTorch and JAX; may be named several times
    #[arg(long, value_name = "PROGRAM", conflicts_with = "alone")]
    python: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Section {
    /// What the machine can do: multiply-adds and memory
    Peak,
    /// Matrix products
    Gemm,
    /// Functions of each element, sums, softmax
    Elementwise,
    /// What an operation costs besides its arithmetic
    Overhead,
    /// Convolution, pooling and recurrent layers, forward and with gradients
    Layers,
    /// Whole training steps
    Train,
}

/// Marks the process that measures, whose threads the environment has already limited.
const CHILD: &str = "PLIES_BENCH_THREADS";

/// A run of one number of threads.
pub struct Bench {
    threads: usize,
    effort: Effort,
    only: String,
    /// Whether any case was asked for yet.
    found: bool,
    alone: bool,
    pythons: Vec<Python>,
    report: Report,
}

impl Bench {
    /// Whether a case was asked for: what it needs is made only then.
    fn wants(&mut self, case: &str) -> bool {
        let wants = case.contains(&self.only);
        self.found |= wants;
        wants
    }

    /// Races the contenders of a case, ours first, and those of Python.
    fn case(&mut self, heading: &Heading<'_>, mut contenders: Vec<Contender<'_>>) {
        if self.alone {
            contenders.truncate(1);
        }
        contenders.extend(
            self.pythons
                .iter_mut()
                .flat_map(|python| python.contenders(heading.section, heading.case)),
        );
        let times = race(contenders, self.threads, self.effort);
        self.report.case(heading, &times);
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match std::env::var(CHILD).ok().and_then(|n| n.parse().ok()) {
        Some(threads) => measure(&arguments, threads),
        None => {
            // Libraries read their number of threads once, from the environment.
            for threads in &arguments.threads {
                let n = threads.to_string();
                let names = [
                    CHILD,
                    "RAYON_NUM_THREADS",
                    "OMP_NUM_THREADS",
                    "MKL_NUM_THREADS",
                    "OPENBLAS_NUM_THREADS",
                    "MATMUL_NUM_THREADS",
                ];
                let status = std::env::current_exe().and_then(|program| {
                    Command::new(program)
                        .args(std::env::args_os().skip(1))
                        .envs(names.map(|name| (name, &n)))
                        .status()
                });
                match status {
                    Ok(status) if status.success() => {}
                    // The child has said why.
                    Ok(_) => return ExitCode::FAILURE,
                    Err(error) => {
                        eprintln!("bench: {error}");
                        return ExitCode::FAILURE;
                    }
                }
            }
            ExitCode::SUCCESS
        }
    }
}

fn measure(arguments: &Arguments, threads: usize) -> ExitCode {
    plies_tensor::set_threads(threads);
    let mut pythons = Vec::new();
    for program in &arguments.python {
        match Python::start_all(program, threads) {
            Ok(started) => pythons.extend(started),
            Err(reason) => {
                eprintln!("bench: {}: {reason}", program.display());
                return ExitCode::FAILURE;
            }
        }
    }
    let mut bench = Bench {
        threads,
        effort: if arguments.quick { Effort::QUICK } else { Effort::FULL },
        only: arguments.case.clone(),
        found: false,
        alone: arguments.alone,
        pythons,
        report: Report { json: arguments.json, threads },
    };
    let wants = |section| arguments.sections.is_empty() || arguments.sections.contains(&section);
    for (section, run) in [
        (Section::Peak, peak::run as fn(&mut Bench)),
        (Section::Gemm, gemm::run),
        (Section::Elementwise, elementwise::run),
        (Section::Overhead, overhead::run),
        (Section::Layers, layers::run),
        (Section::Train, train::run),
    ] {
        if wants(section) {
            run(&mut bench);
        }
    }
    if !bench.found {
        eprintln!("bench: no case of these sections has `{}` in its name", bench.only);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
