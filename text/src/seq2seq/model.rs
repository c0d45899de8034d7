//! An encoder, a decoder, and attention between them.

use std::path::Path;

use plies_nn::{
    AttentionMask, Checkpoint, Directions, Dropout, Embedding, Gru, Linear, Module, Pass,
    RecurrentOptions, Var, Visitor, VisitorMut, scaled_dot_product_attention,
};
use plies_tensor::{Elementwise, Rng, Tensor};

use crate::language::{Codec, Unit};
use crate::{Error, Result};

/// What fills sequences up.
pub(super) const PAD: i32 = 0;
/// What stands before an answer.
pub(super) const BEGIN: i32 = 1;
/// What stands after one.
pub(super) const END: i32 = 2;
/// Tokens of a codec are numbered from here.
pub(super) const FIRST: i32 = 3;

/// What a model is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Architecture {
    /// Numbers for each token, E.
    pub embedding: usize,
    /// Units, H: half of them read forwards, half backwards.
    pub hidden: usize,
    /// The probability with which units are dropped in training.
    pub dropout: f64,
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture { embedding: 64, hidden: 128, dropout: 0.1 }
    }
}

impl Architecture {
    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [("embedding", self.embedding), ("hidden", self.hidden)] {
            if !(1..=1 << 16).contains(&value) {
                return Err(Error::setting(name, format!("is {value}; it may be 1 to 65536")));
            }
        }
        if !self.hidden.is_multiple_of(2) {
            let reason = format!("is {}; half of the units read backwards", self.hidden);
            return Err(Error::setting("hidden", reason));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let reason = format!("is {}; it may be 0 to below 1", self.dropout);
            return Err(Error::setting("dropout", reason));
        }
        Ok(())
    }
}

/// Answers texts with texts.
///
/// # Source
/// Sutskever, Vinyals, Le: Sequence to sequence learning with neural networks (2014); attention as in Luong,
/// Pham, Manning: Effective approaches to attention-based neural machine translation (2015), section 3.1,
/// "general", divided by √H as in Vaswani et al. (2017). Since the decoder does not read what it looked at
/// (no input feeding), it runs along a whole answer at once in training.
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// use plies_text::language::{Codec, Unit};
/// use plies_text::seq2seq::{Architecture, Seq2Seq};
/// let codec = |text: &str| Codec::learn(&Source::bytes("text", text.as_bytes()), Unit::Characters, 99, 1);
/// let model = Seq2Seq::new([codec("abc")?, codec("xyz")?], Architecture::default(), 1)?;
/// assert!(model.answer("cab", 3).tokens.len() < 100); // it has learned nothing yet
/// # Ok::<(), plies_text::Error>(())
/// ```
#[doc(alias("encoder-decoder", "translation"))]
#[derive(Debug)]
pub struct Seq2Seq {
    /// Of texts and of answers.
    codecs: [Codec; 2],
    pub(super) architecture: Architecture,
    source: Embedding,
    encoder: Gru,
    /// From the encoder's last states to the decoder's first.
    bridge: Linear,
    target: Embedding,
    decoder: Gru,
    query: Linear,
    combine: Linear,
    output: Linear,
}

/// A text that was read.
pub(super) struct Encoded {
    /// e [B, S, H]
    pub(super) states: Var,
    /// The decoder's first state [1, B, H].
    pub(super) first: Var,
    pub(super) lengths: Vec<usize>,
}

impl Seq2Seq {
    /// What a file of such a model says it is, under "architecture".
    pub const KIND: &str = "plies-text sequence to sequence 1";

    /// A model that has learned nothing, of the codecs of texts and of answers; its weights follow from the
    /// seed.
    ///
    /// # Errors
    /// An architecture that makes no sense.
    pub fn new(codecs: [Codec; 2], architecture: Architecture, seed: u64) -> Result<Seq2Seq> {
        architecture.check()?;
        let Architecture { embedding: e, hidden: h, .. } = architecture;
        let rng = &mut Rng::new(seed);
        let [texts, answers] = [&codecs[0], &codecs[1]].map(|codec| codec.len() + FIRST as usize);
        let both = RecurrentOptions { directions: Directions::Both, ..RecurrentOptions::default() };
        Ok(Seq2Seq {
            architecture,
            source: Embedding::new(texts, e, rng).padding(PAD as usize),
            encoder: Gru::with(e, h / 2, both, rng),
            bridge: Linear::new(h, h, rng),
            target: Embedding::new(answers, e, rng).padding(PAD as usize),
            decoder: Gru::new(e, h, rng),
            query: Linear::new(h, h, rng).without_bias(),
            combine: Linear::new(2 * h, h, rng).without_bias(),
            output: Linear::new(h, answers, rng),
            codecs,
        })
    }

    /// What the numbers of texts and of answers mean.
    pub fn codecs(&self) -> &[Codec; 2] {
        &self.codecs
    }

    /// What it is made of.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    fn dropout(&self) -> Dropout {
        Dropout::new(self.architecture.dropout)
    }

    /// Reads texts, filled up to the longest.
    ///
    /// # Shapes
    /// tokens [B, S]
    pub(super) fn encode(&self, tokens: &Tensor, lengths: Vec<usize>, pass: &mut Pass) -> Encoded {
        let x = self.dropout().forward(&self.source.of(tokens), pass);
        let (states, last) = self.encoder.run(&x, Some(&lengths), None, pass);
        let last = Var::cat(&[&last.select(0, 0), &last.select(0, 1)], 1); // [B, H]
        let first = self.bridge.forward(&last, pass).tanh().unsqueeze(0);
        Encoded { states, first, lengths }
    }

    /// Logits from states of the decoder, and where it looked.
    ///
    /// # Shapes
    /// d [B, T, H] -> [B, T, V], [B, T, S]
    pub(super) fn attend(&self, d: &Var, encoded: &Encoded, pass: &mut Pass) -> (Var, Var) {
        let (q, e) = (self.query.forward(d, pass), &encoded.states);
        let mask = AttentionMask::default();
        let (context, weights) =
            scaled_dot_product_attention([&q, e, e], Some(&encoded.lengths), &mask, 0.0, pass);
        let h = self.combine.forward(&Var::cat(&[&context, d], -1), pass).tanh();
        let h = self.dropout().forward(&h, pass);
        (self.output.forward(&h, pass), weights)
    }

    /// Embeddings of tokens of answers.
    pub(super) fn embed(&self, tokens: &Tensor) -> Var {
        self.target.of(tokens)
    }

    pub(super) fn decoder(&self) -> &Gru {
        &self.decoder
    }

    /// The numbers of a text, or of an answer.
    pub(super) fn numbers(codec: &Codec, text: &str) -> Vec<i32> {
        if text.is_empty() {
            return Vec::new();
        }
        // Words have their blank before them, the first one too.
        let numbers = match codec.unit() {
            Unit::Characters => codec.encode(text),
            Unit::Words | Unit::Bpe => codec.encode(&format!(" {text}")),
        };
        numbers.into_iter().map(|n| n as i32 + FIRST).collect()
    }

    /// A token as people see it.
    pub(super) fn visible(codec: &Codec, token: i32) -> String {
        match token {
            PAD | BEGIN | END => String::new(),
            token => codec.decode(&[(token - FIRST) as u32]).trim().to_owned(),
        }
    }

    /// The text of an answer's tokens.
    pub(super) fn text(&self, tokens: &[i32]) -> String {
        let codec = &self.codecs[1];
        let tokens: Vec<u32> =
            tokens.iter().filter(|&&t| t >= FIRST).map(|&t| (t - FIRST) as u32).collect();
        let text = codec.decode(&tokens);
        match codec.unit() {
            Unit::Characters => text,
            Unit::Words | Unit::Bpe => text.strip_prefix(' ').map(str::to_owned).unwrap_or(text),
        }
    }

    /// Writes the model: what is found under `path` is all of the old file or all of the new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.to_checkpoint().save(path)?)
    }

    /// The file as bytes: safetensors.
    ///
    /// # Errors
    /// A model that is larger than a file can be.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.to_checkpoint().to_bytes()?)
    }

    /// What says which model it is, without its weights.
    pub(super) fn description(&self) -> Checkpoint {
        let mut file = Checkpoint::new();
        file.set_architecture(Self::KIND);
        file.set("layers", format!("{} {}", self.architecture.embedding, self.architecture.hidden));
        for (codec, name) in self.codecs.iter().zip(["texts", "answers"]) {
            codec.save(&mut file, name);
        }
        file
    }

    fn to_checkpoint(&self) -> Checkpoint {
        let mut file = self.description();
        file.put_model(self);
        file
    }

    /// Reads a model.
    ///
    /// # Errors
    /// What the operating system says; a file that is no such model, or damaged.
    pub fn load(path: &Path) -> Result<Seq2Seq> {
        Self::from_checkpoint(&Checkpoint::load(path)?, &path.display().to_string())
    }

    /// Reads the bytes of a model's file; `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no such model.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Seq2Seq> {
        Self::from_checkpoint(&Checkpoint::from_bytes(bytes, origin)?, origin)
    }

    fn from_checkpoint(file: &Checkpoint, origin: &str) -> Result<Seq2Seq> {
        let wrong = |reason: &str| Error::format(origin, reason);
        if file.get("architecture").is_none() {
            return Err(wrong("is no model of sequences of this program"));
        }
        file.check_architecture(Self::KIND)?;
        file.check_finite()?;
        let [embedding, hidden] = file.numbers("layers")?[..] else {
            return Err(wrong("layers are not two numbers; is it damaged?"));
        };
        let architecture = Architecture { embedding, hidden, dropout: 0.0 };
        architecture.check().map_err(|error| wrong(&error.to_string()))?;
        let codecs = [Codec::load(file, "texts", origin)?, Codec::load(file, "answers", origin)?];
        // Before memory is taken for what the text says, the file has to hold as much.
        let dims = |name: &str| file.tensors().get(name).map(|tensor| tensor.dims().to_vec());
        let [texts, answers] = [&codecs[0], &codecs[1]].map(|codec| codec.len() + FIRST as usize);
        if dims("source.weight") != Some(vec![texts, embedding])
            || dims("output.weight") != Some(vec![answers, hidden])
            || dims("target.weight") != Some(vec![answers, embedding])
            || dims("bridge.weight") != Some(vec![hidden, hidden])
            || dims("encoder.weight_ih_l0").and_then(|dims| dims.get(1).copied()) != Some(embedding)
        {
            return Err(wrong("holds other tensors than it says; is it damaged?"));
        }
        let mut model = Seq2Seq::new(codecs, architecture, 0)?;
        file.load_model(&mut model)?;
        Ok(model)
    }
}

/// Tokens of each row before the padding, at least one.
fn lengths(tokens: &Tensor) -> Vec<usize> {
    let width = tokens.dim(1);
    let tokens = tokens.to_vec::<i32>().expect("on the host");
    let length = |row: &[i32]| row.iter().take_while(|&&token| token != PAD).count().max(1);
    tokens.chunks(width).map(length).collect()
}

impl Module for Seq2Seq {
    /// Logits of each token of given answers (teacher forcing).
    ///
    /// # Shapes
    /// [B, 2, L], in each row a text and an answer behind its beginning -> [B·T, V], where the longest answer
    /// has T
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let [source, target] = [0, 1].map(|row| x.value().select(1, row));
        let [lengths, steps] = [&source, &target].map(lengths);
        let longest = |lengths: &[usize]| lengths.iter().copied().max().unwrap_or(1);
        let (s, t) = (longest(&lengths), longest(&steps));
        let encoded = self.encode(&source.slice(1, ..s), lengths, pass);
        let y = self.dropout().forward(&self.embed(&target.slice(1, ..t)), pass);
        let (d, _) = self.decoder.run(&y, Some(&steps), Some(&encoded.first), pass);
        let (logits, _) = self.attend(&d, &encoded, pass);
        logits.reshape([x.dim(0) * t, logits.dim(2)])
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("source", &self.source);
        visitor.child("encoder", &self.encoder);
        visitor.child("bridge", &self.bridge);
        visitor.child("target", &self.target);
        visitor.child("decoder", &self.decoder);
        visitor.child("query", &self.query);
        visitor.child("combine", &self.combine);
        visitor.child("output", &self.output);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("source", &mut self.source);
        visitor.child("encoder", &mut self.encoder);
        visitor.child("bridge", &mut self.bridge);
        visitor.child("target", &mut self.target);
        visitor.child("decoder", &mut self.decoder);
        visitor.child("query", &mut self.query);
        visitor.child("combine", &mut self.combine);
        visitor.child("output", &mut self.output);
    }
}
