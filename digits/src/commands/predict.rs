//! `predict`: pictures of digits, read by a saved network.

use std::{
    borrow::Cow,
    fmt::Write as _,
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use plies_console::{Console, Failure, one_line};
use plies_digits::{
    dataset,
    idx::N_CLASSES,
    preprocess::{self, Digit, PictureError},
    terminal::{self, Captioned, Style},
};
use serde::Serialize;

use super::{load, no_probabilities, style};
use crate::cli::PredictArgs;

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    model: String,
    checkpoint: Cow<'a, str>,
    predictions: Vec<Prediction<'a>>,
    /// The seed that the network was trained with.
    seed: u64,
    threads: usize,
}

#[derive(Serialize)]
struct Prediction<'a> {
    file: Cow<'a, str>,
    digit: usize,
    probability: f32,
    /// Of each class, 0 to 9.
    probabilities: [f32; N_CLASSES],
}

pub(crate) fn run(args: &PredictArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    console.keep_apart("--model", &args.model)?;
    let files = names(&args.files)?;
    for file in &files {
        console.keep_apart("a picture", file)?;
    }
    let (network, _) = load(&args.model)?;
    let (mut readable, mut digits, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for file in &files {
        match read(file) {
            Ok(digit) => {
                readable.push(file);
                digits.push(digit);
            }
            // A script gets all of its answers or none.
            Err(failure) if console.wants_json() => return Err(failure),
            Err(failure) => bad.push(failure),
        }
    }
    let inputs = dataset::inputs(digits.iter().map(Vec::as_slice));
    let probabilities = network.probabilities(&inputs)?;
    let mut predictions = Vec::new();
    if probabilities.as_flattened().iter().any(|p| !p.is_finite()) {
        return Err(no_probabilities(&args.model));
    }
    for (file, probabilities) in readable.iter().zip(probabilities) {
        let digit = largest(&probabilities);
        predictions.push(Prediction {
            file: file.to_string_lossy(),
            digit,
            probability: probabilities[digit],
            probabilities,
        });
    }
    for (prediction, digit) in predictions.iter().zip(&digits) {
        if console.quiet() {
            console.result(&format!(
                "{}: {}",
                shown(Path::new(prediction.file.as_ref())),
                prediction.digit
            ))?;
        } else {
            console.say(&draw(prediction, digit, style(&console)))?;
        }
    }
    let last_bad = bad.pop();
    bad.iter().for_each(Failure::complain);
    if let Some(failure) = last_bad {
        return Err(failure);
    }
    console.json(&Report {
        command: "predict",
        version: env!("CARGO_PKG_VERSION"),
        model: network.settings.to_string(),
        checkpoint: args.model.to_string_lossy(),
        predictions,
        seed: network.settings.seed,
        threads: plies_tensor::threads(),
    })
}

/// The pictures' names; standard input when there are none and something may come from there.
fn names(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let stdin = PathBuf::from("-");
    if given.is_empty() {
        if io::stdin().is_terminal() {
            let advice = "no picture is named; name PNG or JPEG files, or - for standard input";
            return Err(Failure::BadInput(advice.to_owned()));
        }
        return Ok(vec![stdin]);
    }
    if given.iter().filter(|file| **file == stdin).count() > 1 {
        return Err(Failure::BadInput("standard input (-) is named twice".to_owned()));
    }
    Ok(given.to_vec())
}

/// A picture as MNIST would hold it.
pub(super) fn read(file: &Path) -> Result<Digit, Failure> {
    let digit = if file == Path::new("-") {
        preprocess::read_digit(io::stdin().lock())
    } else if file.is_dir() {
        return Err(Failure::at(file, "is a folder, not a picture"));
    } else {
        File::open(file).map_err(PictureError::from).and_then(preprocess::read_digit)
    };
    digit.map_err(|error| Failure::at(Path::new(shown(file).as_str()), error))
}

/// A picture's name for people: one line, and nothing in it for the terminal to obey.
pub(super) fn shown(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        one_line(&file.to_string_lossy())
    }
}

fn largest(probabilities: &[f32; N_CLASSES]) -> usize {
    (1..N_CLASSES).fold(
        0,
        |best, class| {
            if probabilities[class] > probabilities[best] { class } else { best }
        },
    )
}

/// The picture as the network gets it, and the probability of each class.
fn draw(prediction: &Prediction<'_>, digit: &Digit, style: Style) -> String {
    let mut text = format!(
        "{}: {} ({:.1} %)\n\n",
        shown(Path::new(prediction.file.as_ref())),
        prediction.digit,
        100.0 * prediction.probability
    );
    text +=
        &terminal::draw(&[Captioned { pixels: digit, caption: "as the network sees it" }], style);
    for (class, &probability) in prediction.probabilities.iter().enumerate() {
        let bar = terminal::bar(probability.into(), 40, style);
        let _ = writeln!(text, "  {class}  {:>5.1} %  {bar}", 100.0 * probability);
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_without_commands_to_the_terminal() {
        assert_eq!(shown(Path::new("a\n\x1b[31mred.png")), "a ?[31mred.png");
        assert_eq!(shown(Path::new("größe 7.png")), "größe 7.png");
        assert_eq!(shown(Path::new("-")), "standard input");
    }
}
