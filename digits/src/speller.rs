//! The speller: it looks at one image or at several, one after another, and spells what it has to say.
//!
//! ```text
//! images   28 x 28 ─ cnn ─▶ encoder h₁ ─▶ h₂ ─▶ … h_T    cnn: two convolutions and a linear layer,
//!                                                 │           the same for every image
//!                              ┌──────────────────┘      encoder, decoder: LSTMs
//! letters   end   s   e   v    ▼
//!            └────└───└───└─▶ decoder s₁ ─▶ s₂ ─▶ …
//!                                     │ softmax(s W h) attends to h₁ … h_T, c = Σ w h
//!                               tanh(W [c; s]) ─▶ the letter that comes next, or the end
//! ```
//!
//! With one image it is one-to-many: a caption. With several it is many-to-many: their sum, in words. Nothing else
//! differs, and the sum of one digit is the digit, so a speller of sums reads single digits as well.
//!
//! While it learns, the decoder is given the right letters up to each place (teacher forcing), so that all places are
//! one run of it; what it spells, it spells a letter at a time, by a beam.
//!
//! # Source
//! Vinyals, Toshev, Bengio, Erhan: Show and tell (2015); Sutskever, Vinyals, Le: Sequence to sequence learning with
//! neural networks (2014). That an LSTM can count, and a gated recurrent unit cannot: Weiss, Goldberg, Yahav: On the
//! practical computational power of finite precision RNNs (2018). Attention after the decoder's step: Luong, Pham,
//! Manning: Effective approaches to attention-based neural machine translation (2015), equations 5 and 8, "general";
//! our scores are divided by the root of the width.

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use plies_autograd::{Var, no_grad};
use plies_nn::{
    Activation, AttentionMask, BeamSearch, Conv2d, Embedding, Flatten, Linear, Lstm, Module, Pass,
    RecurrentState, Sequential, Visitor, VisitorMut,
    data::{Dataset, Loader},
    loss::CrossEntropy,
    optim::{Adam, Clip, Optimizer, Schedule},
    scaled_dot_product_attention,
    train::{Fit, TrainError},
};
use plies_tensor::{Conv, Elementwise, Result, Rng, Tensor};
use serde::{Deserialize, Serialize};

use crate::{
    dataset,
    idx::{COLS, ROWS},
    saved::{self, LoadError, Loaded, Stored},
    sequences::{MAX_LETTERS, NO_LETTER, Sequences},
    training::{self, Trained, Watch},
    words::{self, END, N_TOKENS},
};

/// The most images that a sum may have.
pub const MAX_IMAGES: usize = words::MAX_NUMBER / 9;
/// Numbers in the place of a letter.
const LETTER: usize = 32;
/// The widest layers that are built.
const MAX_WIDTH: usize = 4096;
const MAX_CHANNELS: usize = 512;
/// Rows and columns that two convolutions leave of 28.
const LEFT: usize = 7;
/// Images that are spelt together.
const TOGETHER: usize = 500;

/// What is to be spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Of one image, the digit's word and how it is written.
    Captions,
    /// Of one image to so many, the sum.
    Sums(usize),
}

/// What a speller is and how it is trained. Equal settings and data give equal spellers, to the last bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it learns to spell.
    pub task: Task,
    /// Channels of the first convolution; the second has twice as many.
    pub channels: usize,
    /// Numbers that the convolutions make of an image, and units of encoder and decoder.
    pub size: usize,
    /// Passes over the training set that the learning rate's decay is laid out for.
    pub epochs: usize,
    /// How often each image is in an epoch, in other sums each time.
    pub repeats: usize,
    /// Texts of a step.
    pub batch_size: usize,
    /// Learning rate of Adam at the start; it falls to 0 along half a cosine.
    pub lr: f64,
    /// Each training image is shifted at random by at most this many pixels along each axis.
    pub shift: usize,
    /// Only the first so many training examples are used; 0 for all.
    pub limit: usize,
    /// Where all random numbers start.
    pub seed: u64,
}

/// The layers by their sizes: `8 and 16 channels, 96 units, sums of 1 to 5`.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} channels, {} units, ", self.channels, 2 * self.channels, self.size)?;
        match self.task {
            Task::Captions => f.write_str("captions"),
            Task::Sums(longest) => write!(f, "sums of 1 to {longest}"),
        }
    }
}

impl Settings {
    /// Those that do well in a minute or two.
    pub fn new(task: Task) -> Settings {
        let (size, epochs, repeats) = match task {
            Task::Captions => (64, 15, 1),
            Task::Sums(_) => (128, 8, 3),
        };
        Settings {
            task,
            channels: 8,
            size,
            epochs,
            repeats,
            batch_size: 32,
            lr: 0.003,
            shift: 1,
            limit: 0,
            seed: 1,
        }
    }

    /// What is wrong with these settings, if anything.
    ///
    /// # Errors
    /// The first setting that is out of its range, by name.
    pub fn check(&self) -> std::result::Result<(), String> {
        let within = |what: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{what} of {value} is not in 1 to {most}"))
            }
        };
        if let Task::Sums(longest) = self.task {
            within("a longest sum", longest, MAX_IMAGES)?;
        }
        within("a number of channels", self.channels, MAX_CHANNELS)?;
        within("a size", self.size, MAX_WIDTH)?;
        within("a number of epochs", self.epochs, 100_000)?;
        within("a number of repeats", self.repeats, 1000)?;
        within("a batch", self.batch_size, 65_536)?;
        if !(self.lr > 0.0 && self.lr <= 100.0) {
            return Err(format!("a learning rate of {} is not above 0 and at most 100", self.lr));
        }
        if self.shift > 8 {
            return Err(format!("a shift of {} pixels is more than 8", self.shift));
        }
        Ok(())
    }

    /// The number of trained numbers.
    pub fn parameters(&self) -> usize {
        let (channels, size) = (self.channels, self.size);
        let lstm = |inputs: usize| 4 * size * (inputs + size + 2);
        let eye = channels * (5 * 5 + 1)
            + 2 * channels * (3 * 3 * channels + 1)
            + size * (2 * channels * LEFT * LEFT + 1);
        let out = size * 2 * size + size + N_TOKENS * (size + 1);
        eye + lstm(size) + N_TOKENS * LETTER + lstm(LETTER) + size * size + out
    }

    /// A speller of these settings with its first weights.
    pub fn build(&self) -> Speller {
        let (rng, channels, size) = (&mut Rng::new(self.seed), self.channels, self.size);
        Speller {
            settings: self.clone(),
            epochs_done: 0,
            cnn: Sequential::new()
                .push(Conv2d::new(1, channels, [5, 5], Conv::default().stride(2).padding(2), rng))
                .push(Activation::Relu)
                .push(Conv2d::new(
                    channels,
                    2 * channels,
                    [3, 3],
                    Conv::default().stride(2).padding(1),
                    rng,
                ))
                .push(Activation::Relu)
                .push(Flatten::default())
                .push(Linear::new(2 * channels * LEFT * LEFT, size, rng)),
            encoder: Lstm::new(size, size, rng),
            embedding: Embedding::new(N_TOKENS, LETTER, rng),
            decoder: Lstm::new(LETTER, size, rng),
            attention_query: Linear::new(size, size, rng).without_bias(),
            combine: Linear::new(2 * size, size, rng),
            output: Linear::new(size, N_TOKENS, rng),
        }
    }
}

impl Stored for Settings {
    const KEY: &'static str = saved::SPELLER;

    fn check(&self) -> std::result::Result<(), String> {
        Settings::check(self)
    }

    fn parameters(&self) -> usize {
        Settings::parameters(self)
    }
}

/// A network that spells what it sees, with its settings.
pub struct Speller {
    /// What it is and how it is trained.
    pub settings: Settings,
    /// Complete epochs behind it.
    pub epochs_done: usize,
    cnn: Sequential,
    encoder: Lstm,
    embedding: Embedding,
    decoder: Lstm,
    attention_query: Linear,
    combine: Linear,
    output: Linear,
}

/// What the encoder leaves of some sequences of images.
struct Encoded {
    /// h, [B, T, H]
    places: Var,
    lengths: Vec<usize>,
    /// That after the last image of each.
    state: RecurrentState,
}

impl Encoded {
    /// Those of some of the sequences.
    fn select(&self, rows: &[usize]) -> Encoded {
        let index: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let index = Tensor::from_slice_on(&index, [rows.len()], self.places.device());
        Encoded {
            places: self.places.index_select(0, &index),
            lengths: rows.iter().map(|&row| self.lengths[row]).collect(),
            state: self.state.select(rows),
        }
    }
}

/// A text that was spelt.
#[derive(Clone, Debug, PartialEq)]
pub struct Spelt {
    /// The text.
    pub text: String,
    /// Its probability: the product of the letters'.
    pub probability: f64,
    /// The probability of each letter after those before it, and of the end, where it came to one.
    pub letters: Vec<f64>,
}

impl Speller {
    /// x [B, T, 784], of which each sequence has so many
    fn encode(&self, x: &Var, lengths: Vec<usize>, pass: &mut Pass) -> Encoded {
        let [batch, time] = [x.dim(0), x.dim(1)];
        let seen = self.cnn.forward(&x.reshape([batch * time, 1, ROWS, COLS]), pass);
        let seen = seen.reshape([batch, time, self.settings.size]);
        let (places, last) = self.encoder.run(&seen, Some(&lengths), None, pass);
        Encoded { places, lengths, state: RecurrentState::from(last) }
    }

    /// The decoder's states [B, L, H] to the logits of the next letters [B, L, V], and the attention's weights [B, L, T].
    fn next(&self, written: &Var, encoded: &Encoded, pass: &mut Pass) -> (Var, Var) {
        let query = self.attention_query.forward(written, pass);
        let (mask, lengths) = (AttentionMask::default(), Some(&encoded.lengths[..]));
        let qkv = [&query, &encoded.places, &encoded.places];
        let (seen, weights) = scaled_dot_product_attention(qkv, lengths, &mask, 0.0, pass);
        let both = Var::cat(&[&seen, written], 2);
        let combined = self.combine.forward(&both, pass).tanh();
        (self.output.forward(&combined, pass), weights)
    }

    /// Logits [B, L, V] of the letters that are to be spelt [B, L], given at each place those before it.
    fn taught(&self, encoded: &Encoded, letters: &Tensor, pass: &mut Pass) -> (Var, Var) {
        let wanted = letters.to_vec::<i32>().expect("letters on the CPU can be read");
        let [batch, most] = [letters.dim(0), letters.dim(1)];
        let mut before = vec![END; wanted.len()];
        let mut lengths = Vec::with_capacity(batch);
        for (row, wanted) in wanted.chunks(most).enumerate() {
            let length = wanted.iter().position(|&letter| letter == NO_LETTER).unwrap_or(most);
            before[row * most + 1..row * most + length].copy_from_slice(&wanted[..length - 1]);
            lengths.push(length);
        }
        let before = self.embedding.of(&Tensor::from_vec(before, [batch, most]));
        let mut state = encoded.state.clone();
        let written = self.decoder.resume(&before, Some(&lengths), &mut state, pass);
        self.next(&written, encoded, pass)
    }

    /// The likeliest texts for each sequence of images, the likeliest first, by a beam of so many.
    ///
    /// # Shapes
    /// x [B, T, 784] from 0 to 1, lengths B
    ///
    /// # Errors
    /// A fault of the device.
    pub fn spell(&self, x: &Tensor, lengths: &[usize], width: usize) -> Result<Vec<Vec<Spelt>>> {
        no_grad(|| {
            let pass = &mut Pass::eval();
            let mut encoded = self.encode(&Var::constant(x.clone()), lengths.to_vec(), pass);
            let search = BeamSearch::new(width, END, MAX_LETTERS);
            let found = search.run(lengths.len(), |tokens, rows| {
                // Greedy, and before any ends, every row goes on where it is.
                if rows.iter().copied().ne(0..encoded.lengths.len()) {
                    encoded = encoded.select(rows);
                }
                let written = self
                    .decoder
                    .step(&self.embedding.of(tokens), &mut encoded.state, pass)
                    .unsqueeze(1);
                let (logits, _) = self.next(&written, &encoded, pass);
                Ok(logits.value().squeeze(1))
            })?;
            let spelt = |written: plies_nn::Written| Spelt {
                text: words::text(&written.tokens),
                probability: written.log_prob().exp(),
                letters: written.log_probs.iter().map(|p| p.exp()).collect(),
            };
            Ok(found.into_iter().map(|all| all.into_iter().map(spelt).collect()).collect())
        })
    }

    /// For each letter of a text, and its end, how much it looked at each image.
    ///
    /// # Shapes
    /// x [1, T, 784] -> one more than letters, T each
    ///
    /// # Errors
    /// A fault of the device.
    pub fn attention(&self, x: &Tensor, text: &str) -> Result<Vec<Vec<f32>>> {
        no_grad(|| {
            let pass = &mut Pass::eval();
            let encoded = self.encode(&Var::constant(x.clone()), vec![x.dim(1)], pass);
            let tokens = words::tokens(text);
            let n = tokens.len();
            let (_, weights) = self.taught(&encoded, &Tensor::from_vec(tokens, [1, n]), pass);
            let weights = weights.to_vec::<f32>()?;
            Ok(weights.chunks(x.dim(1)).map(<[f32]>::to_vec).collect())
        })
    }

    /// The likeliest text for each of some sequences.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn spell_all(&self, sequences: &Sequences, width: usize) -> Result<Vec<Spelt>> {
        let mut all = Vec::with_capacity(sequences.len());
        let numbers: Vec<usize> = (0..sequences.len()).collect();
        for numbers in numbers.chunks(TOGETHER) {
            let (inputs, lengths) = sequences.images(numbers);
            let best = self.spell(&inputs, &lengths, width)?;
            all.extend(best.into_iter().map(|mut all| all.swap_remove(0)));
        }
        Ok(all)
    }

    /// Reads a speller of a task from a file.
    ///
    /// # Errors
    /// A file that is missing, damaged or of something else.
    pub fn load(file: &Path, is_sum: bool) -> std::result::Result<Speller, LoadError> {
        let accept = |settings: &Settings| match matches!(settings.task, Task::Sums(_)) {
            sums if sums == is_sum => Ok(()),
            true => Err("is a network that spells sums; add uses it".to_owned()),
            false => Err("is a network that spells captions; caption uses it".to_owned()),
        };
        let Loaded { model, epochs, .. } = saved::load(file, accept, Settings::build)?;
        Ok(Speller { epochs_done: epochs, ..model })
    }
}

impl Module for Speller {
    /// The logits of each letter of what is to be spelt, which the pass has to say, given those before it.
    ///
    /// # Shapes
    /// x [B, T, 784], targets [B, L] -> [B, V, L]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let letters = pass.targets().cloned().expect("speller: it only learns by forward");
        let lengths = pass.lengths().map_or(vec![x.dim(1); x.dim(0)], |lengths| lengths.to_vec());
        let encoded = self.encode(x, lengths, pass);
        self.taught(&encoded, &letters, pass).0.transpose(1, 2)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("cnn", &self.cnn);
        visitor.child("encoder", &self.encoder);
        visitor.child("embedding", &self.embedding);
        visitor.child("decoder", &self.decoder);
        visitor.child("attention_query", &self.attention_query);
        visitor.child("combine", &self.combine);
        visitor.child("output", &self.output);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("cnn", &mut self.cnn);
        visitor.child("encoder", &mut self.encoder);
        visitor.child("embedding", &mut self.embedding);
        visitor.child("decoder", &mut self.decoder);
        visitor.child("attention_query", &mut self.attention_query);
        visitor.child("combine", &mut self.combine);
        visitor.child("output", &mut self.output);
    }
}

/// Trains a speller by its settings, and leaves it at its last complete epoch.
///
/// Adam follows the mean cross-entropy of each batch's letters, at a learning rate that falls to 0 along half a
/// cosine.
///
/// # Errors
/// A loss that is no number, or a fault of the device.
pub fn train(
    speller: &mut Speller,
    training: Sequences,
    stop: Arc<AtomicBool>,
    watch: &mut dyn Watch,
) -> std::result::Result<Trained, TrainError> {
    let settings = speller.settings.clone();
    let mut loader =
        Loader::new(Arc::new(training), settings.batch_size).shuffle(settings.seed).bucket(POOL);
    if settings.shift > 0 {
        let most = settings.shift;
        loader = loader.transform(settings.seed, move |batch, draws| {
            dataset::shift(batch, most, &mut draws.batch())
        });
    }
    let fit = Fit {
        seed: settings.seed,
        schedule: Schedule::Cosine { last: 0.0 },
        clip: Some(Clip::Norm(1.0)),
        stop,
        ..Fit::epochs(settings.epochs)
    };
    let loss = CrossEntropy { ignore_index: Some(NO_LETTER), ..CrossEntropy::default() };
    let loss = |logits: &Var, letters: &Tensor| loss.of(logits, letters);
    let mut adam: Box<dyn Optimizer> = Box::new(Adam::new(settings.lr));
    let beside = settings.empty_checkpoint();
    let trained = training::fit(speller, &mut *adam, &loss, &loader, &fit, beside, watch)?;
    speller.epochs_done = trained.best_epoch;
    Ok(trained)
}

/// Batches among whose examples those of about the same length are put together.
const POOL: usize = 16;
