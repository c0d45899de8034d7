//! Training: texts of like length share a batch, Adam steps along bounded gradients, and the epoch that
//! says most of documents that it has not seen is kept.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use plies_nn::data::{Batch, Draws, Loader};
use plies_nn::optim::{Adam, Clip, Lazy, ParameterGroups, Schedule};
use plies_nn::train::Fit;
use plies_nn::{Var, loss};
use plies_tensor::{DType, Device, Rng, Tensor};

use super::super::calibration::{self, Link};
use super::network::Network;
use super::texts::{Texts, UNKNOWN};
use super::{NeuralClassifier, NeuralSettings, Sequences};
use crate::training::{Data, Report, Saves, Trained, Training};
use crate::vectors::WordVectors;
use crate::vocabulary::Vocabulary;
use crate::{Error, Result};

/// Documents held back, to choose the best epoch and to calibrate: a tenth, but not too few to tell
/// anything, and none of a handful.
fn held_out_of(n_documents: usize) -> usize {
    if n_documents < 20 { 0 } else { (n_documents / 10).clamp(20, 4000).min(n_documents / 4) }
}

/// A network is seldom less sure than it may be: the most by which its scores are multiplied.
const MOST_SURE: f32 = 2.0;

/// Batches among which texts are sorted by length.
const POOL: usize = 40;

impl NeuralClassifier {
    /// Learns from documents.
    ///
    /// # Errors
    /// Settings that make no sense, documents that all have one label or hold no words; a checkpoint that does
    /// not fit.
    pub fn train(documents: &Sequences, settings: &NeuralSettings) -> Result<NeuralClassifier> {
        Self::train_with(documents, settings, &mut |_| ControlFlow::Continue(()))?.into_result()
    }

    /// Learns from documents, and tells `report` after each batch and epoch how far it is. When that
    /// answers `Break` the model is the best epoch until then, or what there is in the first.
    ///
    /// # Errors
    /// As [`train`](Self::train); but what ends the training after a complete epoch is
    /// [`End::Failed`](crate::training::End::Failed), beside the best model until then.
    pub fn train_with(
        documents: &Sequences,
        settings: &NeuralSettings,
        report: &mut Report<'_>,
    ) -> Result<Trained<NeuralClassifier>> {
        settings.check()?;
        documents.check()?;
        let n = documents.len();
        let order = documents.targets.stratified(settings.seed);
        let (held_out, learnt) = order.split_at(held_out_of(n));
        let vocabulary = vocabulary(documents, learnt, settings)?;
        let mut rng = Rng::new(settings.seed);
        let table = table(&vocabulary, settings, &mut rng)?;
        let n_labels = documents.labels.len();
        let many = documents.targets.are_many();
        let mut model = NeuralClassifier {
            settings: settings.clone(),
            reading: documents.reading.clone(),
            vocabulary,
            labels: documents.labels.clone(),
            network: Network::new(settings, table, n_labels, &mut rng),
            link: Link { scale: 1.0, many },
        };
        let data = |what, some| Data {
            what,
            name: documents.origin().into(),
            digest: documents.digest(some),
        };
        let saves = settings.checkpoints.as_ref().map(|folder| Saves {
            folder: folder.clone(),
            resume: settings.resume,
            model: model.description(),
            data: vec![
                data("set of documents to learn from", learnt),
                data("set of documents to choose the best epoch by", held_out),
            ],
        });
        let rows = model.rows_of_words(documents);
        let texts = |some: &[usize]| {
            let row = |&word: &u32| rows[word as usize];
            let of = |&i: &usize| documents.of(i).iter().map(row).collect::<Vec<i32>>();
            let targets = documents.targets.select(some);
            Arc::new(Texts::new(some.iter().map(of)).with_targets(&targets, n_labels))
        };
        let (learnt, held_back) = (texts(learnt), texts(held_out));
        let batch = settings.batch_for(n);
        let mut loader = Loader::new(learnt, batch).shuffle(settings.seed).bucket(POOL);
        if settings.word_dropout > 0.0 {
            let p = settings.word_dropout;
            loader = loader.transform(settings.seed, move |batch, draws| forget(batch, draws, p));
        }
        let training = Training {
            fit: Fit {
                seed: settings.seed,
                schedule: Schedule::Cosine { last: 0.1 },
                clip: Some(Clip::Norm(settings.clip)),
                held_out: (!held_out.is_empty())
                    .then(|| Loader::new(held_back.clone(), 64).bucket(usize::MAX)),
                ..Fit::epochs(settings.epochs_for(n))
            },
            patience: if held_out.is_empty() { usize::MAX } else { settings.patience },
            saves,
            of_example: 1,
        };
        // A word that is not read keeps its vector, and a step costs what the batch holds.
        let lr = settings.lr;
        let mut adam = ParameterGroups::new(Adam::new(lr))
            .group(|name, _| name == "embedding.weight", Lazy(Adam::new(lr)));
        let loss = |scores: &Var, wanted: &Tensor| match wanted.dtype().is_float() {
            true => loss::binary_cross_entropy(scores, wanted),
            false => loss::cross_entropy(scores, wanted),
        };
        let trained = training.run(&mut model.network, &mut adam, &loss, &loader, report)?;
        let scores = model.scores(&held_back)?;
        let targets = documents.targets.select(held_out);
        let all: Vec<usize> = (0..held_out.len()).collect();
        // Documents of which all are right say nothing about how sure one may be.
        model.link.scale = calibration::scale(&scores, &all, &targets, many).min(MOST_SURE);
        (model.settings.vectors, model.settings.checkpoints) = (None, None);
        model.settings.resume = false;
        model.settings.dim = model.network.table().dim(1);
        Ok(trained.of(model))
    }

    /// The rows of all words that documents are made of.
    pub(super) fn rows_of_words(&self, documents: &Sequences) -> Vec<i32> {
        documents.words.iter().map(|word| self.row(word)).collect()
    }
}

/// The words that the network will know: those of the documents that it learns from, the most frequent
/// first, and then those that have vectors.
fn vocabulary(
    documents: &Sequences,
    learnt: &[usize],
    settings: &NeuralSettings,
) -> Result<Vocabulary> {
    let mut counts = vec![0u64; documents.words.len()];
    let occurrences = learnt.iter().flat_map(|&i| documents.of(i));
    occurrences.for_each(|&word| counts[word as usize] += 1);
    let word = |i: usize| documents.words[i].as_str();
    let has_vector = |i: usize| settings.vectors.as_ref().is_some_and(|v| v.get(word(i)).is_some());
    let mut known: Vec<usize> = (0..counts.len())
        .filter(|&i| counts[i] > 0 && (counts[i] >= settings.min_count || has_vector(i)))
        .collect();
    known.sort_by(|&a, &b| counts[b].cmp(&counts[a]).then(word(a).cmp(word(b))));
    let own: HashSet<&str> = known.iter().map(|&i| word(i)).collect();
    let others = settings.vectors.iter().flat_map(|vectors| vectors.vocabulary().words());
    let others = others.filter(|word| !own.contains(word)).map(|word| (word, 0));
    let all = known.iter().map(|&i| (word(i), counts[i])).chain(others);
    let vocabulary = Vocabulary::from_counts(all.take(settings.max_vocabulary));
    if vocabulary.is_empty() {
        let least = settings.min_count;
        let reason = format!("no word occurs {least} times or more; are the texts empty?");
        return Err(Error::format(documents.origin(), reason));
    }
    Ok(vocabulary)
}

/// The spread of a vector's numbers at first.
const SPREAD: f64 = 0.1;

/// A vector for each word, below that of unknown ones: given ones as long as others, on average.
fn table(vocabulary: &Vocabulary, settings: &NeuralSettings, rng: &mut Rng) -> Result<Tensor> {
    let (n, dim) = (vocabulary.len() + 1, settings.dim());
    let random = rng.normal([n, dim], DType::F32, &Device::cpu()) * SPREAD;
    let Some(vectors) = &settings.vectors else { return Ok(random) };
    let mut rows = random.to_vec::<f32>()?;
    let scale = scale_of(vectors);
    for (row, word) in rows.chunks_exact_mut(dim).skip(1).zip(vocabulary.words()) {
        if let Some(given) = vectors.get(word) {
            row.iter_mut().zip(given).for_each(|(x, given)| *x = scale * given);
        }
    }
    Ok(Tensor::from_vec(rows, [n, dim]))
}

/// What makes the mean square of given numbers that of others.
fn scale_of(vectors: &WordVectors) -> f32 {
    let rows = vectors.rows();
    let squares: f64 = rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let root = (squares / rows.len().max(1) as f64).sqrt();
    if root > 0.0 { (SPREAD / root) as f32 } else { 1.0 }
}

/// Takes some of the words for unknown ones, each with probability p, so that the network neither relies
/// on a single one nor meets the unknown for the first time when it is tested.
fn forget(batch: Batch, draws: &Draws<'_>, p: f64) -> Batch {
    let mut rows = batch.inputs.to_vec::<i32>().expect("a batch is made on the host");
    let time = batch.inputs.dim(1);
    for (position, row) in rows.chunks_exact_mut(time).enumerate() {
        let mut rng = draws.example(position);
        let length = batch.lengths.as_ref().map_or(time, |lengths| lengths[position]);
        row[..length].iter_mut().for_each(|word| {
            if rng.next_f64() < p {
                *word = UNKNOWN;
            }
        });
    }
    let dims = batch.inputs.dims().to_vec();
    Batch { inputs: Tensor::from_vec(rows, dims), ..batch }
}
