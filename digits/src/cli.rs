//! The command line.

use std::{num::IntErrorKind, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use plies_console::CommonArgs;
use plies_digits::{recipes::LADDER, settings::Settings};
use plies_nn::Activation;

/// Where a network is saved, and looked for, unless the command line says otherwise.
pub(crate) const DEFAULT_FILE: &str = "plies-digits.safetensors";

/// Reads handwritten digits: trains, measures and uses neural networks on MNIST.
///
/// MNIST is inside the program. Without a command it trains the default network on all of it,
/// which takes well under a minute on two cores, shows how well it reads the 10,000 test digits,
/// and saves it.
#[derive(Debug, Parser)]
#[command(
    name = "plies-digits",
    version,
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true,
    max_term_width = 100,
    after_help = "Exit status: 0 all is well, 2 bad input (one line on stderr), 130 Ctrl-C.",
    after_long_help = examples()
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}

fn examples() -> String {
    let serve = match cfg!(feature = "serve") {
        true => "  plies-digits serve                         a page to draw on\n",
        false => "",
    };
    format!(
        "\
Examples:
  plies-digits                               train, test and save a network
  plies-digits train --hidden 128 --epochs 5 a smaller network, quickly
  plies-digits evaluate --misread 12         test it again, draw 12 mistakes
  plies-digits predict seven.png photo.jpg   read pictures of digits
  plies-digits predict < seven.png           the same, from standard input
  plies-digits train --data fashion/         other IDX files: Fashion-MNIST
  plies-digits --json - --quiet              one JSON object for a script
  plies-digits compare --quick               published methods side by side
  plies-digits effects --only dropout        what is said about networks, tested
  plies-digits caption                       digits in words, letter by letter
  plies-digits add                           sums of digits in words
{serve}  plies-digits info                          what is there to work with

In a clone of the repository, `cargo digits` stands for `plies-digits`.

Exit status: 0 all is well, 2 bad input (one line on stderr), 130 Ctrl-C."
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network, test it, save it (the default)
    ///
    /// A multi-layer perceptron follows the cross-entropy of its answers by Adam, on images that
    /// are shifted at random by a pixel. Then the test set is read once: the error rate with its
    /// 95 % interval, which digits are taken for which, and the surest mistakes, drawn. The same
    /// seed gives the same network, bit for bit, on any number of threads.
    Train(Box<TrainArgs>),
    /// Test a saved network on the test set
    ///
    /// Shows the error rate with its 95 % interval, the confusion matrix, and some of the mistakes.
    Evaluate(EvaluateArgs),
    /// Read pictures of digits with a saved network
    ///
    /// Shows the picture as the network gets it, and the probability of each digit.
    Predict(PredictArgs),
    /// Measure the methods that have been published for MNIST
    ///
    /// From hard-coded rules over nearest neighbours to deep networks: the test error of each with
    /// its 95 % interval, the time it takes, and the figure that was published. Each is a few lines
    /// of src/recipes.rs. All of them take hours; --quick takes minutes, on a tenth of the training
    /// set and of the epochs.
    Compare(CompareArgs),
    /// Test what is said about networks
    ///
    /// Small experiments, each with a claim, a measurement over seeds, and a verdict: activations,
    /// dropout, remedies against overfitting, first weights, depth, the number of examples, units
    /// that are cut out, what the layers have learnt. Each is a file of src/effects.
    Effects(EffectsArgs),
    /// Train a network that says in words what it sees, letter by letter
    ///
    /// The digit's word, whether the pen is thin or bold, and whether the digit leans: "a bold seven
    /// leaning right". The last two are measured on the ink (src/words.rs says how), so there is one
    /// right caption for each image. An encoder looks at the image, a recurrent network spells; then
    /// the test set is captioned. --image captions pictures with the network that was saved.
    Caption(CaptionArgs),
    /// Train a network that sees digits one after another and spells their sum
    ///
    /// Nobody tells it what a single digit is called, except where a sum has only one. The test: sums
    /// of test digits by their length, also of lengths that it has never seen, beside the same network
    /// reading each digit alone and arithmetic adding. --image adds pictures of digits.
    Add(AddArgs),
    /// Serve a page to draw on, and answer as the pen moves
    ///
    /// The page shows the probability of each digit, the units of each layer, what speaks for the
    /// answer, and the training images that look most like the drawing. It needs nothing from
    /// elsewhere. Only this machine can reach it, unless --host says otherwise. Ctrl-C ends it.
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Built without the feature `serve`: says so
    #[cfg(not(feature = "serve"))]
    #[command(hide = true, disable_help_flag = true)]
    Serve {
        /// Whatever the page would be asked for
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<std::ffi::OsString>,
    },
    /// Show what is in the program, and in a saved network
    ///
    /// The embedded examples, the processor and its threads, and a network's layers and settings.
    Info(InfoArgs),
}

/// Where examples come from.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// A folder with four IDX files instead of the embedded MNIST
    ///
    /// Images of 28 x 28 pixels and labels from 0 to 9, for training and test, under MNIST's names
    /// (train-images-idx3-ubyte and so on) or EMNIST's (emnist-digits-train-...), compressed by
    /// gzip or not. Fashion-MNIST's files work as they are.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits train --seed 2
  plies-digits train --hidden 1024,512 --dropout 0.3 --epochs 40 --out large.st
  plies-digits train --hidden none           softmax regression, no hidden layer
  plies-digits train --resume large.st --epochs 60
  plies-digits train --validation 5000       keep the best epoch on 5,000
  plies-digits train --rotate 10 --shear 10 --scale 0.1 --epochs 40

The best epoch so far is saved after each epoch. Ctrl-C stops after the
current batch; --resume goes on from there."
)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,

    /// Save the network here (safetensors, readable from Python) [default: plies-digits.safetensors]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// Go on training the network in FILE, with its settings unless others are given
    ///
    /// It is saved in FILE again, unless --out names another.
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,

    /// Train on cpu, on gpu, or on the GPU with NAME in its name; info lists them
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: String,

    /// Go through the training set N times [default: 10]
    #[arg(long, short, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) epochs: Option<usize>,

    /// Take N examples into each step [default: 128]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) batch_size: Option<usize>,

    /// Start with this learning rate; it falls to 0 along half a cosine [default: 0.0015]
    #[arg(long, value_name = "RATE", value_parser = number, allow_hyphen_values = true)]
    pub(crate) lr: Option<f64>,

    /// Units of the hidden layers, such as 512,256, or none [default: 512,256]
    #[arg(long, value_name = "SIZES", value_parser = hidden)]
    pub(crate) hidden: Option<Hidden>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = |name: &str| name.parse::<Activation>(),
        help = activations()
    )]
    pub(crate) activation: Option<Activation>,

    /// Drop this share of the hidden units while training [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = number, allow_hyphen_values = true)]
    pub(crate) dropout: Option<f64>,

    /// Drop this share of the pixels while training [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = number, allow_hyphen_values = true)]
    pub(crate) input_dropout: Option<f64>,

    /// Shift each training image at random by up to N pixels, 0 to 8 [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) shift: Option<usize>,

    /// Turn each training image at random by up to so many degrees, 0 to 180 [default: 0]
    #[arg(long, value_name = "DEGREES", value_parser = number, allow_hyphen_values = true)]
    pub(crate) rotate: Option<f64>,

    /// Lean each training image by up to so many degrees, 0 to 60 [default: 0]
    #[arg(long, value_name = "DEGREES", value_parser = number, allow_hyphen_values = true)]
    pub(crate) shear: Option<f64>,

    /// Make each training image larger or smaller by up to this share, 0 to 0.9 [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = number, allow_hyphen_values = true)]
    pub(crate) scale: Option<f64>,

    /// Bend each training image elastically, as by another hand; 34 is much [default: 0]
    #[arg(long, value_name = "STRENGTH", value_parser = number, allow_hyphen_values = true)]
    pub(crate) elastic: Option<f64>,

    /// Pull weights to 0 by the penalty λ Σ|w| [default: 0]
    #[arg(long, value_name = "LAMBDA", value_parser = number, allow_hyphen_values = true)]
    pub(crate) l1: Option<f64>,

    /// Pull weights towards 0 by the penalty λ/2 Σw² [default: 0]
    #[arg(long, value_name = "LAMBDA", value_parser = number, allow_hyphen_values = true)]
    pub(crate) l2: Option<f64>,

    /// Limit the norm of the weights that come in at a unit; 0 for no limit [default: 0]
    #[arg(long, value_name = "NORM", value_parser = number, allow_hyphen_values = true)]
    pub(crate) max_norm: Option<f64>,

    /// Hold the last N training examples out and keep the epoch that reads them best [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) validation: Option<usize>,

    /// Train on the first N examples only; 0 for all [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<usize>)]
    pub(crate) limit: Option<usize>,

    /// Start all random numbers here; equal seeds give equal networks, bit for bit [default: 1]
    ///
    /// A training that is resumed keeps the seed that it began with.
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) drawn: DrawnArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// How many mistakes are drawn.
#[derive(Args, Debug)]
pub(crate) struct DrawnArgs {
    /// Draw N of the misread digits, the surest mistakes first
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = whole::<usize>)]
    pub(crate) misread: usize,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits evaluate
  plies-digits evaluate --model large.st --misread 12
  plies-digits evaluate --data my-digits/ --json result.json"
)]
pub(crate) struct EvaluateArgs {
    /// The network
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(crate) model: PathBuf,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) drawn: DrawnArgs,

    /// Taken for the sake of scripts; testing draws no random numbers
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
A picture shows one digit, of any size, dark on light or light on dark; it is cut out, scaled and
centred as MNIST's digits were, and drawn as the network gets it. Pictures that cannot be read are
named at the end, with exit status 2; with --json there is then no result at all.

Examples:
  plies-digits predict seven.png
  plies-digits predict *.jpg --quiet          one line for each picture
  curl -s https://example.org/4.png | plies-digits predict - --json -"
)]
pub(crate) struct PredictArgs {
    /// PNG or JPEG pictures; - is standard input, as is no name at all
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The network
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub(crate) model: PathBuf,

    /// Taken for the sake of scripts; reading draws no random numbers
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = compared()
)]
pub(crate) struct CompareArgs {
    /// Measure these rows only, by their names, separated by commas
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Try each row with seeds 1 to N; intervals are then those over seeds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = seeds)]
    pub(crate) seeds: u64,

    /// Learn from 6,000 examples, in a tenth of the epochs: minutes, and larger errors
    #[arg(long)]
    pub(crate) quick: bool,

    /// Keep what is measured here; what is in it is not measured again
    #[arg(long, value_name = "FILE", default_value = "plies-digits-compare.json")]
    pub(crate) results: PathBuf,

    /// Measure again what is known
    #[arg(long)]
    pub(crate) again: bool,

    /// Draw the table: FILE ends in .svg or .png
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Effects: activations, dropout, remedies, starts, depth, size, lesions, probes,
weights.

Examples:
  plies-digits effects --quick
  plies-digits effects --only dropout,depth --seeds 8 --plots figures/

Ctrl-C ends with the trials that are finished; the same command goes on from there."
)]
pub(crate) struct EffectsArgs {
    /// Test these only, by their names, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Train each network from seeds 1 to N; one seed shows nothing
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = seeds)]
    pub(crate) seeds: u64,

    /// A tenth of the examples, in smaller batches: as many steps, and other numbers
    #[arg(long)]
    pub(crate) quick: bool,

    /// Keep what is measured here; what is in it is not measured again
    #[arg(long, value_name = "FILE", default_value = "plies-digits-effects.json")]
    pub(crate) results: PathBuf,

    /// Measure again what is known
    #[arg(long)]
    pub(crate) again: bool,

    /// Draw a figure of each in this folder, as SVG, and weights as PNG
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[cfg(feature = "serve")]
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits serve                         then open http://127.0.0.1:7028/
  plies-digits serve --model large.st --port 8080
  plies-digits serve --host 0.0.0.0          for a phone in the same network"
)]
pub(crate) struct ServeArgs {
    /// The network [default: plies-digits.safetensors, which is trained first if it is not there]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Listen on this port; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 7028, value_parser = whole::<u16>)]
    pub(crate) port: u16,

    /// Listen on this address; 0.0.0.0 for all of this machine's
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = crate::commands::serve::host)]
    pub(crate) host: std::net::IpAddr,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

fn compared() -> String {
    let mut rows = String::new();
    for names in LADDER.chunks(3) {
        let names: Vec<String> = names.iter().map(|row| format!("{:<25}", row.name)).collect();
        rows.push_str(&format!("  {}\n", names.concat().trim_end()));
    }
    format!(
        "\
Rows:
{rows}
Examples:
  plies-digits compare --quick --plot ladder.svg
  plies-digits compare --only knn-l2,knn-l3,lenet-5
  plies-digits compare --only 800,800-elastic --seeds 3 --json -

Ctrl-C ends with the rows that are finished; the same command goes on from there."
    )
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits info
  plies-digits info --model large.st --json -"
)]
pub(crate) struct InfoArgs {
    /// The network [default: plies-digits.safetensors, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Taken for the sake of scripts
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// What both commands that spell take.
#[derive(Args, Debug)]
pub(crate) struct SpellArgs {
    /// Spell what these PNG or JPEG pictures show, with a network that was saved
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) image: Vec<PathBuf>,

    /// Use the network in FILE and train none
    #[arg(long, short, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,

    /// Go through the training set N times [default: 15 to caption, 8 to add]
    #[arg(long, short, value_name = "N", value_parser = whole::<usize>, conflicts_with_all = ["model", "image"])]
    pub(crate) epochs: Option<usize>,

    /// Train on the first N examples only; 0 for all [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, conflicts_with_all = ["model", "image"])]
    pub(crate) limit: Option<usize>,

    /// Train for a quarter of the epochs: sooner done, more mistakes
    #[arg(long, conflicts_with_all = ["model", "image"])]
    pub(crate) quick: bool,

    /// Start all random numbers here; equal seeds give equal networks, bit for bit [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub(crate) seed: Option<u64>,

    /// Follow the N likeliest beginnings of a text; 1 takes the likeliest letter each time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = beam)]
    pub(crate) beam: usize,

    /// Draw N examples with what is spelt
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<usize>)]
    pub(crate) draw: usize,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Where a network that captions is saved, and looked for.
pub(crate) const CAPTION_FILE: &str = "plies-caption.safetensors";
/// Where one that adds is.
pub(crate) const ADD_FILE: &str = "plies-add.safetensors";

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits caption                       train, test, save
  plies-digits caption --quick
  plies-digits caption --image seven.png four.jpg
  plies-digits caption --model plies-caption.safetensors --draw 12

Ctrl-C stops after the current batch; the last complete epoch is saved."
)]
pub(crate) struct CaptionArgs {
    /// Save the network here [default: plies-caption.safetensors]
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["model", "image"])]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) spell: SpellArgs,
}

#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  plies-digits add                           train, test, save
  plies-digits add --longest 3 --seed 2
  plies-digits add --image seven.png four.jpg

Ctrl-C stops after the current batch; the last complete epoch is saved."
)]
pub(crate) struct AddArgs {
    /// Save the network here [default: plies-add.safetensors]
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["model", "image"])]
    pub(crate) out: Option<PathBuf>,

    /// Learn from sums of 1 to N digits; the test goes three further [default: 5]
    #[arg(long, value_name = "N", value_parser = whole::<usize>, conflicts_with_all = ["model", "image"])]
    pub(crate) longest: Option<usize>,

    #[command(flatten)]
    pub(crate) spell: SpellArgs,
}

fn beam(text: &str) -> Result<usize, String> {
    let width = text.parse().ok().filter(|n| (1..=64).contains(n));
    width.ok_or_else(|| "it takes a whole number from 1 to 64".to_owned())
}

fn whole<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let too_large = || "it is too large".to_owned();
    match text.parse::<u64>() {
        Ok(n) => T::try_from(n).map_err(|_| too_large()),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err(too_large()),
        Err(_) => Err("it takes a whole number that is not negative".to_owned()),
    }
}

/// All trials are listed before the first is made.
fn seeds(text: &str) -> Result<u64, String> {
    match whole(text)? {
        n @ 1..=1000 => Ok(n),
        _ => Err("it takes a whole number from 1 to 1000".to_owned()),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "it takes a number, such as 0.001".to_owned())
}

fn activations() -> String {
    let names: Vec<&str> = Activation::ALL.iter().map(|activation| activation.name()).collect();
    let names = names.join(", ");
    format!("The non-linearity: {names} [default: {}]", Settings::default().activation)
}

/// Sizes of hidden layers; a type of its own, for clap takes a plain `Vec` as a repeated option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hidden(pub(crate) Vec<usize>);

fn hidden(text: &str) -> Result<Hidden, String> {
    if text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    let sizes = text.split(',').map(|size| size.trim().parse());
    sizes.collect::<Result<_, _>>().map(Hidden).map_err(|_| {
        "sizes are whole numbers separated by commas, such as 512,256, or the word none".to_owned()
    })
}

impl TrainArgs {
    /// These settings with what the command line says put over them.
    pub(crate) fn over(&self, mut settings: Settings) -> Settings {
        fn put<T: Clone>(value: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                *value = given.clone();
            }
        }
        put(&mut settings.hidden, self.hidden.as_ref().map(|Hidden(sizes)| sizes));
        put(&mut settings.activation, self.activation.as_ref());
        put(&mut settings.dropout, self.dropout.as_ref());
        put(&mut settings.input_dropout, self.input_dropout.as_ref());
        put(&mut settings.epochs, self.epochs.as_ref());
        put(&mut settings.batch_size, self.batch_size.as_ref());
        put(&mut settings.lr, self.lr.as_ref());
        put(&mut settings.shift, self.shift.as_ref());
        put(&mut settings.rotate, self.rotate.as_ref());
        put(&mut settings.shear, self.shear.as_ref());
        put(&mut settings.scale, self.scale.as_ref());
        put(&mut settings.elastic, self.elastic.as_ref());
        put(&mut settings.l1, self.l1.as_ref());
        put(&mut settings.l2, self.l2.as_ref());
        put(&mut settings.max_norm, self.max_norm.as_ref());
        put(&mut settings.validation, self.validation.as_ref());
        put(&mut settings.limit, self.limit.as_ref());
        put(&mut settings.seed, self.seed.as_ref());
        settings
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_states_the_real_defaults() {
        let command = Cli::command();
        let help = |name: &str| {
            let argument = command.get_arguments().find(|a| a.get_id() == name).unwrap();
            argument.get_help().unwrap().to_string()
        };
        let settings = Settings::default();
        let sizes: Vec<String> = settings.hidden.iter().map(usize::to_string).collect();
        for (name, value) in [
            ("hidden", sizes.join(",")),
            ("dropout", settings.dropout.to_string()),
            ("input_dropout", settings.input_dropout.to_string()),
            ("epochs", settings.epochs.to_string()),
            ("batch_size", settings.batch_size.to_string()),
            ("lr", settings.lr.to_string()),
            ("shift", settings.shift.to_string()),
            ("rotate", settings.rotate.to_string()),
            ("shear", settings.shear.to_string()),
            ("scale", settings.scale.to_string()),
            ("elastic", settings.elastic.to_string()),
            ("l1", settings.l1.to_string()),
            ("l2", settings.l2.to_string()),
            ("max_norm", settings.max_norm.to_string()),
            ("validation", settings.validation.to_string()),
            ("limit", settings.limit.to_string()),
            ("seed", settings.seed.to_string()),
            ("out", DEFAULT_FILE.to_owned()),
        ] {
            let help = help(name);
            assert!(help.ends_with(&format!("[default: {value}]")), "{name}: {help}");
        }
    }
}
