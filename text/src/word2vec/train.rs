//! Brings the words of a text to the models, on one or several threads.
//!
//! The text streams by once to be counted and once for each epoch. Threads take turns to fetch a chunk;
//! what they do with it is their own business. Memory is the model's, three rows of the vocabulary, and a
//! megabyte for each thread, whatever the text's length.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::huffman::Tree;
use super::rows::{Sequence, Shared, Targets, Worker};
use super::sampler::Sampler;
use super::subwords::Bags;
use super::weights::Weights;
use super::{Model, Objective, Settings};
use crate::corpus::{Chunk, Chunks, Source};
use crate::random::Stream;
use crate::tokenize::Words;
use crate::vocabulary::{Counter, Vocabulary};
use crate::{Error, Result};

/// Words that are learned from together, at the same learning rate.
const SEQUENCE: usize = 1 << 10;

/// How often a caller hears of it.
const PAUSE: Duration = Duration::from_millis(100);

/// One block in so many is asked how well it is predicted.
const ASKED: u64 = 256;

/// How far a training is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Words of the vocabulary seen so far, over all epochs, those passed over included.
    pub words: u64,
    /// How many there will be: those of the text, once for each epoch.
    pub total: u64,
    /// Since training began.
    pub elapsed: Duration,
    /// The learning rate now.
    pub lr: f64,
    /// The mean loss of a pair, lately.
    pub loss: f64,
}

impl Progress {
    /// What is done, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 1.0 } else { (self.words as f64 / self.total as f64).min(1.0) }
    }

    /// Words a second.
    pub fn rate(&self) -> f64 {
        self.words as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Hears how far a training is, and may end it.
pub type Watch<'a> = &'a mut (dyn FnMut(&Progress) -> ControlFlow<()> + Send);

/// Counts the words of a text on several threads.
///
/// The counts do not depend on the number of threads as long as each thread's [`Counter`] has room for all
/// different words. One without room forgets its rarest words, other ones on each thread, and those may
/// then be missing or be counted short ([`Counter::forgotten_up_to`] is above 0).
///
/// # Errors
/// What is wrong with the text.
pub fn count(source: &Source, words: &Words, threads: usize) -> Result<Counter> {
    count_by(source, threads, |text, counter| {
        words.for_each(text, &mut String::new(), &mut |word| counter.add(word));
    })
}

/// Counts whatever is found in pieces of a text, which end with lines if possible.
pub(crate) fn count_by(
    source: &Source,
    threads: usize,
    each: impl Fn(&str, &mut Counter) + Sync,
) -> Result<Counter> {
    let chunks = Mutex::new(source.chunks()?);
    let work = || -> Result<Counter> {
        let (mut counter, mut chunk) = (Counter::new(), Chunk::default());
        while chunks.lock().unwrap_or_else(PoisonError::into_inner).next(&mut chunk)? {
            each(&chunk.text(source)?, &mut counter);
        }
        Ok(counter)
    };
    let counted = on_threads(threads, |_| work());
    let mut all: Option<Counter> = None;
    for counter in counted {
        let counter = counter?;
        match &mut all {
            None => all = Some(counter),
            Some(all) => all.merge(&counter),
        }
    }
    Ok(all.unwrap_or_default())
}

/// Trains vectors for the words of a text, which is read `epochs + 1` times.
///
/// `watch` hears of it ten times a second and may end it; what was learned until then is the result.
///
/// # Errors
/// What is wrong with the settings or the text; a text without a word that is frequent enough, or with too many
/// different ones ([`Counter::check`]).
///
/// # Example
/// ```
/// use plies_text::{corpus::Source, tokenize::Words, word2vec::{self, Settings}};
/// use std::ops::ControlFlow;
/// let text = Source::bytes("text", "the cat sat on the mat\n".repeat(50).into_bytes());
/// let settings = Settings { dim: 16, ..Settings::default() };
/// let model = word2vec::train(&text, &Words::plain(), settings, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(model.vocabulary.word(0), "the");
/// assert_eq!(model.vector("cat").unwrap().len(), 16);
/// # Ok::<(), plies_text::Error>(())
/// ```
pub fn train(
    source: &Source,
    words: &Words,
    settings: Settings,
    watch: Watch<'_>,
) -> Result<Model> {
    settings.check()?;
    let counter = count(source, words, settings.threads)?;
    counter.check(settings.min_count, source.name())?;
    let vocabulary = counter.vocabulary(settings.min_count);
    if vocabulary.is_empty() {
        let reason = format!(
            "no word occurs {} times or more; lower the minimum count, or give more text",
            settings.min_count
        );
        return Err(Error::format(source.name(), reason));
    }
    let known = vocabulary.total();
    train_from(Model::new(vocabulary, settings), source, words, known, watch)
}

/// Trains a model that exists: its words stay as they are, others are passed over. `known` is how many words
/// of the text the model knows ([`Counter::known_to`]), since the learning rate falls with the share of them
/// that is done; the model's own counts are those of the text that it began with.
///
/// # Errors
/// What is wrong with the settings or the text; a text without a word of the vocabulary.
pub fn train_from(
    model: Model,
    source: &Source,
    words: &Words,
    known: u64,
    watch: Watch<'_>,
) -> Result<Model> {
    let Model { vocabulary, settings, input, output } = model;
    settings.check()?;
    if vocabulary.is_empty() {
        return Err(Error::format(source.name(), "nothing can be learned: the model has no words"));
    }
    let (input, output) =
        (Weights::from_rows(input, settings.dim), Weights::from_rows(output, settings.dim));
    let targets = match settings.objective {
        Objective::Negative(negative) => {
            Targets::Sampled { sampler: Sampler::new(vocabulary.counts(), 0.75), negative }
        }
        Objective::Hierarchical => Targets::Ways(Tree::new(vocabulary.counts())),
    };
    let shared = Shared {
        architecture: settings.architecture,
        targets,
        window: settings.window,
        bags: settings.subwords.map(|subwords| Bags::new(vocabulary.words(), subwords)),
        input: &input,
        output: &output,
    };
    let run = Run {
        source,
        words,
        settings: &settings,
        vocabulary: &vocabulary,
        total: known.saturating_mul(settings.epochs as u64),
        keep: vocabulary.keep(settings.sample),
        shared,
        chunks: Mutex::new((0, None)),
        done: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        began: Instant::now(),
    };
    let watch = Mutex::new(watch);
    // The first thread is the caller's, and the only one to speak with it.
    let ended = on_threads(settings.threads, |thread| {
        let ended = if thread == 0 {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            run.work(&mut **watch)
        } else {
            run.work(&mut |_| ControlFlow::Continue(()))
        };
        if ended.is_err() {
            run.is_over.store(true, Relaxed);
        }
        ended
    });
    ended.into_iter().collect::<Result<()>>()?;
    let is_whole = settings.epochs > 0 && !run.is_over.load(Relaxed);
    if is_whole && run.done.load(Relaxed) == 0 {
        let known = vocabulary.len();
        let reason = format!("has none of the model's {known} words; are they cut the same way?");
        return Err(Error::format(source.name(), reason));
    }
    drop(run);
    Ok(Model { settings, vocabulary, input: input.into_rows(), output: output.into_rows() })
}

/// What all threads see.
struct Run<'a> {
    source: &'a Source,
    words: &'a Words,
    settings: &'a Settings,
    vocabulary: &'a Vocabulary,
    /// Words that will have been seen in the end.
    total: u64,
    keep: Vec<f32>,
    shared: Shared<'a>,
    /// The epoch, and its text.
    chunks: Mutex<(usize, Option<Chunks>)>,
    /// Words seen.
    done: AtomicU64,
    is_over: AtomicBool,
    began: Instant,
}

impl Run<'_> {
    /// The next chunk and its epoch; `None` after the last.
    fn next(&self, chunk: &mut Chunk) -> Result<Option<usize>> {
        let mut feed = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let (epoch, chunks) = &mut *feed;
        while *epoch < self.settings.epochs {
            let open = match chunks {
                Some(open) => open,
                None => chunks.insert(self.source.chunks()?),
            };
            if open.next(chunk)? {
                return Ok(Some(*epoch));
            }
            *chunks = None;
            *epoch += 1;
        }
        Ok(None)
    }

    /// What one thread does until all is done.
    fn work(&self, watch: Watch<'_>) -> Result<()> {
        let total = self.total;
        let mut worker = Worker::default();
        let (mut sequence, mut chunk, mut buffer) =
            (Sequence::default(), Chunk::default(), String::new());
        let (mut told, mut blocks) = (self.began, 0u64);
        let (mut loss, mut weight) = (0.0, 0.0);
        while let Some(epoch) = self.next(&mut chunk)? {
            let text = chunk.text(self.source)?;
            let mut random = Stream::new(self.settings.seed, [epoch as u64, chunk.index()]);
            let mut lines = text.split_inclusive('\n').peekable();
            let mut seen = 0u64;
            while let Some(line) = lines.next() {
                let (words, keep) = (&mut sequence.words, &self.keep);
                self.words.for_each(line, &mut buffer, &mut |word| {
                    let Some(number) = self.vocabulary.find(word) else { return };
                    seen += 1;
                    let keep = keep[number as usize];
                    if keep >= 1.0 || random.uniform() < keep {
                        words.push(number);
                    }
                });
                if !self.settings.across_lines || lines.peek().is_none() {
                    sequence.end_line();
                }
                if sequence.words.len() < SEQUENCE && lines.peek().is_some() {
                    continue;
                }
                sequence.end_line();
                let done = self.done.fetch_add(seen, Relaxed) + seen;
                seen = 0;
                let left = 1.0 - done as f64 / (total as f64 + 1.0);
                let lr = self.settings.lr * left.max(1e-4);
                if blocks == 0 || blocks % ASKED == 0 {
                    // Shown, and changes nothing.
                    let first = 0..sequence.words.len().min(8);
                    worker.prepare(&self.shared, &sequence, first, &mut random.clone());
                    let (sum, pairs) = worker.block.objective();
                    loss = 0.9 * loss - sum;
                    weight = 0.9 * weight + pairs;
                }
                blocks += 1;
                worker.learn(&self.shared, &sequence, lr as f32, &mut random);
                sequence.clear();
                if told.elapsed() >= PAUSE {
                    told = Instant::now();
                    let elapsed = self.began.elapsed();
                    let loss = loss / f64::max(weight, 1e-9);
                    let progress = Progress { words: done, total, elapsed, lr, loss };
                    if watch(&progress).is_break() {
                        self.is_over.store(true, Relaxed);
                    }
                }
                if self.is_over.load(Relaxed) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Calls `work` on so many threads, of which the caller's is the first.
fn on_threads<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let mut all = vec![work(0)];
        for other in others {
            match other.join() {
                Ok(result) => all.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}
