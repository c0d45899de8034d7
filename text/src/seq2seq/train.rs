//! A model learns from pairs, and is measured on others.

use std::path::PathBuf;
use std::sync::Arc;

use plies_nn::Var;
use plies_nn::data::{Batch, Dataset, Loader};
use plies_nn::loss::CrossEntropy;
use plies_nn::metrics::wilson_interval;
use plies_nn::optim::{Adam, Clip, Schedule};
use plies_nn::train::Fit;
use plies_tensor::Tensor;

use super::model::{BEGIN, END, PAD, Seq2Seq};
use super::{Architecture, Pairs};
use crate::corpus::Source;
use crate::language::{Codec, Unit};
use crate::training::{Data, Report, Saves, Trained, Training};
use crate::{Error, Result};

/// How a model learns.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is made of.
    pub architecture: Architecture,
    /// What a token of a text and of an answer is.
    pub units: [Unit; 2],
    /// The most tokens that each side has; others are unknown.
    pub vocabulary: usize,
    /// Pairs of a step.
    pub batch: usize,
    /// How often all pairs are read.
    pub epochs: usize,
    /// Adam's learning rate at its highest; it falls to a fiftieth along half a cosine.
    pub lr: f64,
    /// Stops after so many epochs that are no better than the best.
    pub patience: usize,
    /// The first weights, the order of pairs and dropout follow from it.
    pub seed: u64,
    /// A folder for all that is needed to go on, saved after each epoch and at the end.
    pub checkpoints: Option<PathBuf>,
    /// Goes on from the newest of them.
    pub resume: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            architecture: Architecture::default(),
            units: [Unit::Words, Unit::Characters],
            vocabulary: 10_000,
            batch: 64,
            epochs: 5,
            lr: 3e-3,
            patience: 5,
            seed: 1,
            checkpoints: None,
            resume: false,
        }
    }
}

impl Settings {
    /// Whether its numbers make sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<()> {
        self.architecture.check()?;
        for (name, value) in [("batch", self.batch), ("epochs", self.epochs)] {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::setting(
                    name,
                    format!("is {value}; it may be 1 to {}", 1 << 20),
                ));
            }
        }
        if !(self.lr > 0.0 && self.lr.is_finite()) {
            return Err(Error::setting("lr", format!("is {}; it may be more than 0", self.lr)));
        }
        self.units.into_iter().try_for_each(|unit| Codec::check(unit, self.vocabulary))?;
        if self.resume && self.checkpoints.is_none() {
            return Err(Error::setting("resume", "needs the folder of checkpoints"));
        }
        Ok(())
    }
}

/// Pairs as examples.
struct Examples {
    sources: Vec<Vec<i32>>,
    targets: Vec<Vec<i32>>,
}

impl Dataset for Examples {
    fn len(&self) -> usize {
        self.sources.len()
    }

    /// inputs [B, 2, L], a text, and an answer behind its beginning; targets [B, L], the answer before its
    /// end
    fn batch(&self, indices: &[usize]) -> Batch {
        let length = |&i: &usize| self.sources[i].len().max(self.targets[i].len() + 1);
        let most = indices.iter().map(length).max().unwrap_or(1);
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        let put = |row: &mut Vec<i32>, tokens: &mut dyn Iterator<Item = i32>| {
            let start = row.len();
            row.extend(tokens);
            row.resize(start + most, PAD);
        };
        for &i in indices {
            let (source, target) = (&self.sources[i], &self.targets[i]);
            put(&mut inputs, &mut source.iter().copied());
            put(&mut inputs, &mut [BEGIN].into_iter().chain(target.iter().copied()));
            put(&mut targets, &mut target.iter().copied().chain([END]));
        }
        let b = indices.len();
        Batch::new(Tensor::from_vec(inputs, [b, 2, most]), Tensor::from_vec(targets, [b, most]))
    }

    fn steps(&self, index: usize) -> usize {
        self.sources[index].len() + self.targets[index].len()
    }
}

fn examples(pairs: &Pairs, codecs: &[Codec; 2]) -> Arc<dyn Dataset> {
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for (text, answer) in pairs.iter() {
        sources.push(Seq2Seq::numbers(&codecs[0], text));
        targets.push(Seq2Seq::numbers(&codecs[1], answer));
    }
    Arc::new(Examples { sources, targets })
}

/// The tokens of one side of all pairs.
fn codec(pairs: &Pairs, side: usize, settings: &Settings) -> Result<Codec> {
    let mut text = String::new();
    for (source, target) in pairs.iter() {
        text.push_str(match settings.units[side] {
            Unit::Characters => "",
            Unit::Words | Unit::Bpe => " ",
        });
        text.push_str([source, target][side]);
        text.push('\n');
    }
    let source = Source::bytes(["texts", "answers"][side], text.into_bytes());
    Codec::learn(&source, settings.units[side], settings.vocabulary, 1)
}

/// Tokens of a batch's answers, with their ends: what its loss is the mean of.
fn tokens(batch: &Batch) -> usize {
    let targets = batch.targets.to_vec::<i32>().expect("on the host");
    targets.into_iter().filter(|&token| token != PAD).count()
}

/// Trains a model on pairs and keeps the epoch that is the best on held-out ones. The loss is the mean over the
/// tokens of all answers and their ends, whatever the batches. Equal settings give equal models, however many
/// threads there are.
///
/// # Errors
/// Settings that make no sense, or no pairs; a checkpoint that does not fit; what ends the training before an
/// epoch is complete ([`End::Failed`](crate::training::End::Failed) says what ended it later).
pub fn train(
    pairs: &Pairs,
    held_out: &Pairs,
    settings: &Settings,
    report: &mut Report<'_>,
) -> Result<Trained<Seq2Seq>> {
    settings.check()?;
    if pairs.is_empty() {
        return Err(Error::format("pairs", "there are none to learn from"));
    }
    let codecs = [codec(pairs, 0, settings)?, codec(pairs, 1, settings)?];
    let mut model = Seq2Seq::new(codecs, settings.architecture, settings.seed)?;
    let data =
        |what, pairs: &Pairs| Data { what, name: pairs.name().into(), digest: pairs.digest() };
    let saves = settings.checkpoints.as_ref().map(|folder| Saves {
        folder: folder.clone(),
        resume: settings.resume,
        model: model.description(),
        data: vec![
            data("set of pairs to learn from", pairs),
            data("set of pairs to choose the best epoch by", held_out),
        ],
    });
    let loader = Loader::new(examples(pairs, model.codecs()), settings.batch)
        .shuffle(settings.seed)
        .bucket(50);
    let held_out = (!held_out.is_empty()).then(|| {
        Loader::new(examples(held_out, model.codecs()), settings.batch).bucket(usize::MAX)
    });
    let training = Training {
        fit: Fit {
            seed: settings.seed,
            schedule: Schedule::Cosine { last: 0.02 },
            warm_up: ((settings.epochs * loader.batches()) as u64 / 20).min(100),
            terms: Some(tokens),
            clip: Some(Clip::Norm(1.0)),
            held_out,
            ..Fit::epochs(settings.epochs)
        },
        patience: settings.patience,
        saves,
        of_example: 1,
    };
    let loss = |logits: &Var, targets: &Tensor| {
        let steps = logits.dim(0) / targets.dim(0);
        let loss = CrossEntropy { ignore_index: Some(PAD), ..CrossEntropy::default() };
        loss.of(logits, &targets.slice(1, ..steps).flatten())
    };
    let mut adam = Adam::new(settings.lr);
    Ok(training.run(&mut model, &mut adam, &loss, &loader, report)?.of(model))
}

/// How good answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Answers that are right to the last character, of all.
    pub exact: [usize; 2],
    /// Tokens that stand where they should, of the longer of the answer and what it should be.
    pub tokens: [usize; 2],
}

impl Score {
    /// A share with Wilson's interval of 95 %: low, share, high.
    pub fn interval([right, all]: [usize; 2]) -> [f64; 3] {
        let (low, high) = wilson_interval(right, all, 1.96);
        [low, right as f64 / all.max(1) as f64, high]
    }
}

impl Seq2Seq {
    /// Answers all texts with a beam of `width` and compares; `mistake` is shown the text, the answer and
    /// what it should be, where they differ.
    ///
    /// # Panics
    /// When `width` is 0.
    #[track_caller]
    pub fn test(
        &self,
        pairs: &Pairs,
        width: usize,
        mistake: &mut dyn FnMut(&str, &str, &str),
    ) -> Score {
        let mut score = Score { exact: [0; 2], tokens: [0; 2] };
        for (text, expected) in pairs.iter() {
            let answer = self.answer(text, width);
            let is_right = answer.text == expected;
            score.exact[0] += usize::from(is_right);
            score.exact[1] += 1;
            if !is_right {
                mistake(text, &answer.text, expected);
            }
            let codec = &self.codecs()[1];
            let [ours, theirs] = [&*answer.text, expected].map(|text| Self::numbers(codec, text));
            score.tokens[0] += ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            score.tokens[1] += ours.len().max(theirs.len());
        }
        score
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_texts_beginnings_and_ends() {
        let codec = |text: &str| {
            Codec::learn(&Source::bytes("t", text.as_bytes()), Unit::Characters, 9, 1).unwrap()
        };
        let pairs = Pairs::new(vec![("a".into(), "xx".into()), ("aaaa".into(), "x".into())]);
        let data = examples(&pairs, &[codec("a"), codec("x")]);
        let batch = data.batch(&[0, 1]);
        assert_eq!(
            batch.inputs.to_vec::<i32>().unwrap(),
            [4, 0, 0, 0, 1, 4, 4, 0, 4, 4, 4, 4, 1, 4, 0, 0]
        );
        assert_eq!(batch.targets.to_vec::<i32>().unwrap(), [4, 4, 2, 0, 4, 2, 0, 0]);
        assert_eq!(tokens(&batch), 5);
    }

    #[test]
    fn intervals_hold_the_share() {
        let [low, share, high] = Score::interval([9, 10]);
        assert!(low < share && share < high && (share - 0.9).abs() < 1e-12);
    }
}
