//! `add`: the sums of digits that are seen one after another, in words.

use std::{borrow::Cow, fmt::Write as _, path::Path, sync::Arc};

use plies_console::{Console, Failure};
use plies_digits::{
    idx::Examples,
    sequences::Sequences,
    speller::{MAX_IMAGES, Speller, Spelt, Task},
    terminal::{self, Captioned, Style},
    words::read_number,
};
use plies_nn::data::Dataset;
use serde::Serialize;

use super::{
    examples,
    predict::shown,
    spell::{self, Answer, Origin, Share},
    style,
};
use crate::cli::{ADD_FILE, AddArgs};

/// The longest sums that are learnt, unless the command line says otherwise.
const LONGEST: usize = 5;
/// How much further the test goes.
const FURTHER: usize = 3;
/// Which test digits stand together in a sum; the same ones whatever the network's seed.
const SUMS: u64 = 7;

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    version: &'static str,
    #[serde(flatten)]
    origin: Origin,
    data: &'a str,
    beam: usize,
    /// The longest sums that were learnt.
    longest: usize,
    lengths: Vec<Length>,
}

/// Sums of so many digits.
#[derive(Serialize)]
struct Length {
    images: usize,
    learnt: bool,
    /// The sum in words, every letter.
    spelt: Share,
    /// Each digit read by itself, by the same network, and the numbers added.
    read_and_added: Share,
}

#[derive(Serialize)]
struct Pictures<'a> {
    command: &'static str,
    version: &'static str,
    checkpoint: Cow<'a, str>,
    beam: usize,
    files: Vec<Cow<'a, str>>,
    /// The likeliest first.
    sums: Vec<Answer<'a>>,
    /// Each picture by itself.
    read: Vec<&'a str>,
}

pub(crate) fn run(args: &AddArgs) -> Result<(), Failure> {
    let console = Console::new(&args.spell.common)?;
    if let Some(model) = &args.spell.model {
        console.keep_apart("--model", model)?;
    }
    if args.spell.image.is_empty() { test(args, &console) } else { add(args, &console) }
}

fn test(args: &AddArgs, console: &Console) -> Result<(), Failure> {
    let out = args.out.as_deref().unwrap_or(Path::new(ADD_FILE));
    let (train, test, data) = examples(console, &args.spell.data, &[("--out", out)])?;
    let task = Task::Sums(args.longest.unwrap_or(LONGEST));
    let spell::Trained { speller, origin, saved } =
        spell::trained(console, &args.spell, task, out, train, &data)?;
    let test = Arc::new(test);
    let report = || show(args, console, &speller, origin, &test, &data);
    // That the network is not saved is the worst that can be said, so it is said last.
    let reported = report();
    saved.and(reported)
}

fn show(
    args: &AddArgs,
    console: &Console,
    speller: &Speller,
    origin: Origin,
    test: &Arc<Examples>,
    data: &str,
) -> Result<(), Failure> {
    let Task::Sums(longest) = speller.settings.task else { unreachable!("it was loaded as one") };
    let furthest = (longest + FURTHER).min(MAX_IMAGES).min(test.len());
    // Every test digit by itself, in their order.
    let single = Sequences::each(test.clone());
    let read = speller.spell_all(&single, args.spell.beam)?;
    let numbers: Vec<Option<usize>> = read.iter().map(|spelt| read_number(&spelt.text)).collect();
    let mut lengths = Vec::new();
    let mut drawn = Vec::new();
    for images in 1..=furthest {
        let sequences = Sequences::sums(test.clone(), |_| images, SUMS + images as u64);
        let n = sequences.len();
        let spelt = speller.spell_all(&sequences, args.spell.beam)?;
        let added = |i: usize| {
            let sum: Option<usize> = sequences.sequence(i).iter().map(|&i| numbers[i]).sum();
            sum == Some(sequences.sum(i))
        };
        lengths.push(Length {
            images,
            learnt: images <= longest,
            spelt: Share::of((0..n).map(|i| spelt[i].text == sequences.text(i))),
            read_and_added: Share::of((0..n).map(added)),
        });
        if drawn.len() < args.spell.draw && images > 1 && n > 0 {
            drawn.push((sequences.sequence(0).to_vec(), spelt[0].clone()));
        }
    }
    for (sequence, sum) in &drawn {
        let digits: Vec<(&[u8], &str)> =
            sequence.iter().map(|&i| (test.image(i), read[i].text.as_str())).collect();
        console.say(&draw(speller, &digits, sum, style(console))?)?;
    }
    console.say("sums right, 95 % interval")?;
    console.say("digits  spelt in words               read one by one, and added")?;
    for row in &lengths {
        let learnt = if row.learnt { "" } else { "  none learnt" };
        let (spelt, added) = (row.spelt.text(), row.read_and_added.text());
        console.say(&format!("{:>6} {spelt:<29}{added}{learnt}", row.images))?;
    }
    if console.quiet() {
        let of = |learnt: bool| {
            let rows = lengths.iter().filter(|row| row.learnt == learnt);
            let rows = rows.map(|row| format!("{}: {}", row.images, row.spelt.percent()));
            rows.collect::<Vec<_>>().join(", ")
        };
        console.result(&format!(
            "sums right, by digits: {}; none learnt, {}",
            of(true),
            of(false)
        ))?;
    }
    console.json(&Report {
        command: "add",
        version: env!("CARGO_PKG_VERSION"),
        origin,
        data,
        beam: args.spell.beam,
        longest,
        lengths,
    })
}

/// Digits with what each is by itself, the sum, and at which of them each of its letters looked.
fn draw(
    speller: &Speller,
    digits: &[(&[u8], &str)],
    sum: &Spelt,
    style: Style,
) -> Result<String, Failure> {
    let captions: Vec<String> = digits.iter().map(|(_, word)| spell::short(word, 12)).collect();
    let captioned: Vec<Captioned<'_>> = digits
        .iter()
        .zip(&captions)
        .map(|(&(pixels, _), caption)| Captioned { pixels, caption })
        .collect();
    let mut text = terminal::draw(&captioned, style);
    let images: Vec<&[u8]> = digits.iter().map(|(pixels, _)| *pixels).collect();
    let looked = speller.attention(&spell::sequence(&images), &sum.text)?;
    let letters: String = sum.text.chars().flat_map(|letter| [letter, ' ']).collect();
    let label = |word: &str| format!("{word:>12}  ");
    let _ = writeln!(text, "{}{}", label("their sum"), letters.trim_end());
    for (i, word) in captions.iter().enumerate() {
        let tenth = |weights: &Vec<f32>| match (10.0 * weights[i]) as u8 {
            0 => ". ".to_owned(),
            tenths => format!("{} ", tenths.min(9)),
        };
        let row: String = looked[..sum.text.len()].iter().map(tenth).collect();
        let _ = writeln!(text, "{}{}", label(word), row.trim_end());
    }
    text.push_str("              tenths of a letter's look at each digit\n");
    Ok(text)
}

/// The sum of pictures.
fn add(args: &AddArgs, console: &Console) -> Result<(), Failure> {
    let file = args.spell.model.as_deref().unwrap_or(Path::new(ADD_FILE));
    console.keep_apart("--model", file)?;
    let names = &args.spell.image;
    if names.len() > MAX_IMAGES {
        let reason =
            format!("{} pictures are more than the {MAX_IMAGES} that are added", names.len());
        return Err(Failure::BadInput(reason));
    }
    let speller = spell::load(file, true)?;
    let digits = spell::pictures(console, names)?;
    let images: Vec<&[u8]> = digits.iter().map(Vec::as_slice).collect();
    let beam = args.spell.beam;
    let found = speller.spell(&spell::sequence(&images), &[images.len()], beam)?.swap_remove(0);
    let mut read = Vec::new();
    for image in &images {
        let mut alone = speller.spell(&spell::sequence(&[image]), &[1], beam)?.swap_remove(0);
        read.push(alone.swap_remove(0).text);
    }
    if console.quiet() {
        console.result(&found[0].text)?;
    } else {
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        let both: Vec<(&[u8], &str)> =
            images.iter().copied().zip(read.iter().map(String::as_str)).collect();
        let drawn = draw(&speller, &both, &found[0], style(console))?;
        let others = spell::alternatives(&found, style(console));
        console.say(&format!("{}\n\n{drawn}\n{others}", names.join(" + ")))?;
    }
    console.json(&Pictures {
        command: "add",
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: file.to_string_lossy(),
        beam,
        files: names.iter().map(|name| name.to_string_lossy()).collect(),
        sums: spell::answers(&found),
        read: read.iter().map(String::as_str).collect(),
    })
}
