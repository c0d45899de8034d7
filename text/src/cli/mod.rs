//! The command line. Each command is a file in `commands`, with its arguments and what it does; here is
//! what several of them share.

pub(crate) mod attention;
mod commands;
pub(crate) mod explanation;
pub(crate) mod labelled;
pub(crate) mod network;
pub(crate) mod text;
pub(crate) mod training;
pub(crate) mod verdict;

use clap::{Parser, Subcommand};
use commands::{
    analogies, bpe, curve, evaluate, generate, info, lm, map, nn, phrases, predict, rnn, seq2seq,
    skipgram, supervised, test, translate,
};
use plies_console::Failure;

/// Word vectors, classifiers, language models, and sequences that answer sequences.
///
/// Texts to try everything on are inside the program; a command that is given no file uses them.
#[derive(Debug, Parser)]
#[command(
    name = "plies-text",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "In a clone of the repository, `cargo text` stands for `plies-text`.\n\
        Exit status: 0 all is well, 2 bad input (one line on stderr), 130 Ctrl-C."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands: a variant and a row in `run` for each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Skipgram(skipgram::Skipgram),
    Cbow(skipgram::Cbow),
    Nn(nn::Nn),
    Analogies(analogies::Analogies),
    Evaluate(evaluate::Evaluate),
    Map(map::Map),
    Phrases(phrases::PhrasesCommand),
    Supervised(supervised::Supervised),
    Rnn(rnn::Rnn),
    Predict(predict::Predict),
    Test(test::Test),
    Curve(curve::Curve),
    Lm(lm::Lm),
    Generate(generate::Generate),
    Seq2seq(seq2seq::Seq2SeqArgs),
    Translate(translate::Translate),
    Bpe(bpe::BpeArgs),
    Info(info::Info),
}

impl Command {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Command::Skipgram(args) => args.run(),
            Command::Cbow(args) => args.run(),
            Command::Nn(args) => args.run(),
            Command::Analogies(args) => args.run(),
            Command::Evaluate(args) => args.run(),
            Command::Map(args) => args.run(),
            Command::Phrases(args) => args.run(),
            Command::Supervised(args) => args.run(),
            Command::Rnn(args) => args.run(),
            Command::Predict(args) => args.run(),
            Command::Test(args) => args.run(),
            Command::Curve(args) => args.run(),
            Command::Lm(args) => args.run(),
            Command::Generate(args) => args.run(),
            Command::Seq2seq(args) => args.run(),
            Command::Translate(args) => args.run(),
            Command::Bpe(args) => args.run(),
            Command::Info(args) => args.run(),
        }
    }
}

/// A whole number, but not zero.
pub(crate) fn one_or_more(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&n| n > 0);
    number.ok_or_else(|| "it takes a whole number from 1 on".to_owned())
}

/// A finite number.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite());
    number.ok_or_else(|| "it takes a number, such as 0.05".to_owned())
}
