//! `caption`: what digits look like, in words.

use std::{borrow::Cow, path::Path, sync::Arc};

use plies_console::{Console, Failure, thousands};
use plies_digits::{
    sequences::Sequences,
    speller::{Speller, Spelt, Task},
    words::{Caption, digit_in},
};
use plies_nn::data::Dataset;
use serde::Serialize;

use super::{
    examples,
    predict::shown,
    spell::{self, Answer, LEGEND, Origin, Share},
    style,
};
use crate::cli::{CAPTION_FILE, CaptionArgs};

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    #[serde(flatten)]
    origin: Origin,
    data: &'a str,
    beam: usize,
    /// Every letter of the caption.
    captions: Share,
    /// The same by the likeliest letter each time.
    greedy: Share,
    /// The digit's word.
    digits: Share,
    /// Thin, bold, or neither.
    pens: Share,
    leans: Share,
}

#[derive(Serialize)]
struct Pictures<'a> {
    command: &'static str,
    version: &'static str,
    checkpoint: Cow<'a, str>,
    beam: usize,
    pictures: Vec<Picture<'a>>,
}

#[derive(Serialize)]
struct Picture<'a> {
    file: Cow<'a, str>,
    /// The likeliest first.
    captions: Vec<Answer<'a>>,
}

pub(crate) fn run(args: &CaptionArgs) -> Result<(), Failure> {
    let console = Console::new(&args.spell.common)?;
    if let Some(model) = &args.spell.model {
        console.keep_apart("--model", model)?;
    }
    if args.spell.image.is_empty() { test(args, &console) } else { caption(args, &console) }
}

fn test(args: &CaptionArgs, console: &Console) -> Result<(), Failure> {
    let out = args.out.as_deref().unwrap_or(Path::new(CAPTION_FILE));
    let (train, test, data) = examples(console, &args.spell.data, &[("--out", out)])?;
    let spell::Trained { speller, origin, saved } =
        spell::trained(console, &args.spell, Task::Captions, out, train, &data)?;
    let report =
        || show(args, console, &speller, origin, &Sequences::captions(Arc::new(test)), &data);
    // That the network is not saved is the worst that can be said, so it is said last.
    let reported = report();
    saved.and(reported)
}

fn show(
    args: &CaptionArgs,
    console: &Console,
    speller: &Speller,
    origin: Origin,
    sequences: &Sequences,
    data: &str,
) -> Result<(), Failure> {
    let n = sequences.len();
    let greedy = speller.spell_all(sequences, 1)?;
    let spelt = speller.spell_all(sequences, args.spell.beam)?;
    let exact = |spelt: &[Spelt]| Share::of((0..n).map(|i| spelt[i].text == sequences.text(i)));
    let said = |is: &dyn Fn(Caption, Caption) -> bool| {
        let right = |i: usize| {
            let [said, due] = [&spelt[i].text, sequences.text(i)].map(Caption::read);
            said.zip(due).is_some_and(|(said, due)| is(said, due))
        };
        Share::of((0..n).map(right))
    };
    let labels = &sequences.examples().labels;
    let report = Report {
        command: "caption",
        version: env!("CARGO_PKG_VERSION"),
        origin,
        data,
        beam: args.spell.beam,
        captions: exact(&spelt),
        greedy: exact(&greedy),
        digits: Share::of((0..n).map(|i| digit_in(&spelt[i].text) == Some(labels[i]))),
        pens: said(&|said, due| said.pen == due.pen),
        leans: said(&|said, due| said.lean == due.lean),
    };
    let digits: Vec<_> =
        (0..n.min(args.spell.draw)).map(|i| (sequences.examples().image(i), &spelt[i])).collect();
    if !digits.is_empty() {
        console.say(&format!("{LEGEND}\n\n{}", spell::draw(&digits, style(console))))?;
    }
    console.say(&format!("right on {} test digits, 95 % interval", thousands(n)))?;
    console.say(&format!("  the digit's word     {}", report.digits.text()))?;
    console.say(&format!("  thin, bold, neither  {}", report.pens.text()))?;
    console.say(&format!("  leaning              {}", report.leans.text()))?;
    console.say(&format!("  all, without a beam  {}", report.greedy.text()))?;
    let line = match console.quiet() {
        true => format!("captions right: {}", report.captions.text().trim_start()),
        false => format!("  all, a beam of {:<5} {}", args.spell.beam, report.captions.text()),
    };
    console.result(&line)?;
    console.json(&report)
}

/// Captions for pictures.
fn caption(args: &CaptionArgs, console: &Console) -> Result<(), Failure> {
    let file = args.spell.model.as_deref().unwrap_or(Path::new(CAPTION_FILE));
    console.keep_apart("--model", file)?;
    let speller = spell::load(file, false)?;
    let digits = spell::pictures(console, &args.spell.image)?;
    let found = digits.iter().map(|digit| {
        let mut found = speller.spell(&spell::sequence(&[digit]), &[1], args.spell.beam)?;
        Ok(found.swap_remove(0))
    });
    let found = found.collect::<Result<Vec<_>, plies_tensor::Error>>()?;
    for ((name, digit), found) in args.spell.image.iter().zip(&digits).zip(&found) {
        let best = &found[0];
        let drawn = spell::draw(&[(digit, best)], style(console));
        let others = spell::alternatives(found, style(console));
        match console.quiet() {
            true => console.result(&format!("{}: {}", shown(name), best.text))?,
            false => console.say(&format!("{}\n\n{drawn}\n{others}", shown(name)))?,
        }
    }
    let pictures = args.spell.image.iter().zip(&found).map(|(name, found)| Picture {
        file: name.to_string_lossy(),
        captions: spell::answers(found),
    });
    console.json(&Pictures {
        command: "caption",
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: file.to_string_lossy(),
        beam: args.spell.beam,
        pictures: pictures.collect(),
    })
}
