//! A recurrent language model.
//!
//! ```text
//! x [B, T] -> embedding [B, T, E] -> cells [B, T, H], layer by layer -> logits [B·T, V]
//! ```

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use plies_nn::plies_autograd::{linear, no_grad};
use plies_nn::{
    Checkpoint, Embedding, Gru, Linear, Lstm, Module, Pass, RecurrentState, Var, Visitor,
    VisitorMut, init,
};
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor, formula};

use super::Codec;
use crate::{Error, Result};

/// The cell that remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent units: fewer weights, faster, and on short texts better after as many epochs.
    #[default]
    Gru,
}

impl Cell {
    /// `lstm` or `gru`.
    pub fn name(self) -> &'static str {
        match self {
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }

    /// States of a layer.
    fn states(self) -> usize {
        match self {
            Cell::Lstm => 2,
            Cell::Gru => 1,
        }
    }
}

/// What a model is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Architecture {
    /// The cell.
    pub cell: Cell,
    /// Layers on top of one another.
    pub layers: usize,
    /// Numbers for each token, E.
    pub embedding: usize,
    /// Units of a layer, H; with [`tied`](Architecture::tied) the last has E.
    pub hidden: usize,
    /// Whether the table of tokens is the weight of the output, too.
    pub tied: bool,
    /// The probability with which units are dropped, before and after each layer; the same units for all
    /// steps of a window. Of no meaning but in training.
    pub dropout: f64,
}

impl Default for Architecture {
    fn default() -> Self {
        Architecture {
            cell: Cell::Gru,
            layers: 1,
            embedding: 64,
            hidden: 256,
            tied: false,
            dropout: 0.0,
        }
    }
}

/// Tokens that are read at once where nothing is learned: so many rows of logits are in memory.
const WINDOW: usize = 256;

/// More than any machine that this runs on can hold.
const MOST: usize = 1 << 16;

impl Architecture {
    pub(super) fn check(&self) -> Result<()> {
        let rows = [
            ("layers", self.layers, 64),
            ("embedding", self.embedding, MOST),
            ("hidden", self.hidden, MOST),
        ];
        for (name, value, most) in rows {
            if !(1..=most).contains(&value) {
                return Err(Error::setting(name, format!("is {value}; it may be 1 to {most}")));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let reason = format!("is {}; it may be 0 to below 1", self.dropout);
            return Err(Error::setting("dropout", reason));
        }
        Ok(())
    }

    /// Inputs and units of a layer.
    fn widths(&self, layer: usize) -> (usize, usize) {
        let inputs = if layer == 0 { self.embedding } else { self.hidden };
        let is_last = layer + 1 == self.layers;
        (inputs, if self.tied && is_last { self.embedding } else { self.hidden })
    }

    fn describe(&self) -> String {
        let Architecture { cell, layers, embedding, hidden, tied, .. } = self;
        format!("{} {layers} {embedding} {hidden} {tied}", cell.name())
    }
}

#[derive(Debug)]
enum Layer {
    Lstm(Lstm),
    Gru(Gru),
}

impl Layer {
    fn module(&self) -> &dyn Module {
        match self {
            Layer::Lstm(layer) => layer,
            Layer::Gru(layer) => layer,
        }
    }

    fn module_mut(&mut self) -> &mut dyn Module {
        match self {
            Layer::Lstm(layer) => layer,
            Layer::Gru(layer) => layer,
        }
    }
}

/// What a model remembers of the tokens before: the state of each layer.
#[derive(Clone, Debug, Default)]
pub struct State {
    layers: Vec<RecurrentState>,
}

/// Predicts the next token of a text.
///
/// # Source
/// Mikolov et al.: Recurrent neural network based language model (2010). Dropout of the same units at each
/// step: Gal, Ghahramani: A theoretically grounded application of dropout in recurrent neural networks
/// (2016), between layers, as in Merity et al.: Regularizing and optimizing LSTM language models (2018). Tied
/// weights: Press, Wolf: Using the output embedding to improve language models (2017).
///
/// # Example
/// ```
/// use plies_text::corpus::Source;
/// use plies_text::language::{Architecture, Codec, LanguageModel, Unit};
/// let codec = Codec::learn(&Source::bytes("text", *b"abcabc"), Unit::Characters, 100, 1)?;
/// let model = LanguageModel::new(codec, Architecture { hidden: 8, ..Architecture::default() }, 1)?;
/// let bits = model.bits("abc"); // for each token
/// assert_eq!(bits.len(), 3);
/// # Ok::<(), plies_text::Error>(())
/// ```
#[doc(alias("perplexity", "char-rnn"))]
#[derive(Debug)]
pub struct LanguageModel {
    codec: Codec,
    architecture: Architecture,
    embedding: Embedding,
    layers: Vec<Layer>,
    /// Without a weight where that is the embedding's.
    output: Option<Linear>,
    bias: Option<Var>,
}

impl LanguageModel {
    /// What a file of such a model says it is, under "architecture".
    pub const KIND: &str = "plies-text language model 1";

    /// A model that has learned nothing; its weights follow from the seed.
    ///
    /// # Errors
    /// An architecture that makes no sense.
    pub fn new(codec: Codec, architecture: Architecture, seed: u64) -> Result<LanguageModel> {
        architecture.check()?;
        let (v, rng) = (codec.len(), &mut Rng::new(seed));
        let Architecture { cell, layers, embedding, hidden, tied, .. } = architecture;
        // Small enough that a tied output begins near equal probabilities.
        let table = match tied {
            true => init::uniform([v, embedding], 0.1, rng),
            false => init::normal([v, embedding], 1.0, rng),
        };
        let layer = |l: usize| {
            let (inputs, units) = architecture.widths(l);
            match cell {
                Cell::Lstm => Layer::Lstm(Lstm::new(inputs, units, rng).forget_bias(1.0)),
                Cell::Gru => Layer::Gru(Gru::new(inputs, units, rng)),
            }
        };
        let layers: Vec<Layer> = (0..layers).map(layer).collect();
        let weight = || init::uniform([v, hidden], 1.0 / (hidden as f64).sqrt(), &mut rng.split());
        let output = (!tied).then(weight).map(|w| Linear::from_weights(w, Some(init::zeros([v]))));
        let bias = tied.then(|| Var::leaf(init::zeros([v])));
        let embedding = Embedding::from_weights(table);
        Ok(LanguageModel { codec, architecture, embedding, layers, output, bias })
    }

    /// What its numbers mean.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// What it is made of.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Drops units for all steps alike.
    ///
    /// y = x / (1 - p) where kept
    fn drop(&self, x: &Var, pass: &mut Pass) -> Var {
        let p = self.architecture.dropout;
        let Some(rng) = pass.rng().filter(|_| p > 0.0) else { return x.clone() };
        let u = Var::constant(rng.uniform([x.dim(0), 1, x.dim(2)], x.dtype(), x.device()));
        let f = formula!(|x, u; p, scale| u.lt(p).select(0.0, x * scale));
        Var::map(f, &[x, &u], &[p, 1.0 / (1.0 - p)])
    }

    /// Logits of the token after each, for sequences that go on from `state`, which is then that after them.
    ///
    /// # Shapes
    /// tokens [B, T] -> [B·T, V]
    ///
    /// # Panics
    /// When a number is no token's, or the state is that of another batch.
    #[track_caller]
    pub fn run(&self, tokens: &Tensor, state: &mut State, pass: &mut Pass) -> Var {
        let x = self.hidden(tokens, state, pass);
        let rows = x.reshape([tokens.elem_count(), x.dim(2)]);
        self.logits(&rows, pass)
    }

    /// Logits after the last of some tokens, which are read a window at a time: memory does not grow with
    /// them, and only the last row is multiplied by the vocabulary.
    ///
    /// # Panics
    /// Without tokens, or when a number is no token's.
    #[track_caller]
    pub(super) fn read(&self, tokens: &[i32], state: &mut State) -> Vec<f32> {
        assert!(!tokens.is_empty(), "read: no tokens");
        let mut last = None;
        for window in tokens.chunks(WINDOW) {
            let n = window.len();
            let x = Tensor::from_slice(window, [1, n]);
            let hidden = no_grad(|| self.hidden(&x, state, &mut Pass::eval()));
            last = Some(hidden.value().slice(1, n - 1..).squeeze(1));
        }
        let last = Var::constant(last.expect("there are tokens"));
        let logits = no_grad(|| self.logits(&last, &mut Pass::eval()));
        logits.to_vec().expect("on the host")
    }

    /// What the layers say of each token [B, T, H].
    #[track_caller]
    fn hidden(&self, tokens: &Tensor, state: &mut State, pass: &mut Pass) -> Var {
        state.layers.resize_with(self.layers.len(), RecurrentState::new);
        let mut x = self.drop(&self.embedding.of(tokens), pass);
        for (layer, state) in self.layers.iter().zip(&mut state.layers) {
            let y = match layer {
                Layer::Lstm(layer) => layer.resume(&x, None, state, pass),
                Layer::Gru(layer) => layer.resume(&x, None, state, pass),
            };
            x = self.drop(&y, pass);
        }
        x
    }

    /// Logits after one token of each sequence: [`run`](LanguageModel::run) of [B, 1], for texts that are
    /// written.
    ///
    /// # Shapes
    /// tokens `[B]` -> [B, V]
    #[track_caller]
    pub fn step(&self, tokens: &Tensor, state: &mut State) -> Var {
        state.layers.resize_with(self.layers.len(), RecurrentState::new);
        let pass = &mut Pass::eval();
        let mut x = self.embedding.of(tokens);
        for (layer, state) in self.layers.iter().zip(&mut state.layers) {
            x = match layer {
                Layer::Lstm(layer) => layer.step(&x, state, pass),
                Layer::Gru(layer) => layer.step(&x, state, pass),
            };
        }
        self.logits(&x, pass)
    }

    fn logits(&self, rows: &Var, pass: &mut Pass) -> Var {
        match &self.output {
            Some(output) => output.forward(rows, pass),
            None => linear(rows, self.embedding.weight(), self.bias.as_ref()),
        }
    }

    /// How surprising each token of a text is, in bits; the first follows the end of a line.
    pub fn bits(&self, text: &str) -> Vec<(String, f64)> {
        let numbers: Vec<i32> = self.codec.encode(text).into_iter().map(|n| n as i32).collect();
        let token = |&n: &i32| self.codec.decode(&[n as u32]);
        let bits = self.nats(&numbers).map(|nats| nats / std::f64::consts::LN_2);
        numbers.iter().map(token).zip(bits).collect()
    }

    /// The mean of -ln p of each token after all before it, in nats: the text is read in one stream, whose
    /// state goes on from its beginning to its end. The first token follows the end of a line.
    ///
    /// # Panics
    /// When a number is no token's.
    pub fn nats_per_token(&self, tokens: &[i32]) -> f64 {
        self.nats(tokens).sum::<f64>() / tokens.len().max(1) as f64
    }

    /// -ln p of each token.
    fn nats(&self, tokens: &[i32]) -> impl Iterator<Item = f64> {
        let mut last = self.codec.encode("\n").first().map_or(0, |&n| n as i32);
        let mut state = State::default();
        tokens.chunks(WINDOW).flat_map(move |window| {
            let n = window.len();
            let inputs = [&[last], &window[..n - 1]].concat();
            last = window[n - 1];
            let logits = no_grad(|| {
                self.run(&Tensor::from_vec(inputs, [1, n]), &mut state, &mut Pass::eval())
            });
            let index = Tensor::from_slice(window, [n, 1]);
            let p = logits.value().log_softmax(-1).gather(1, &index);
            p.to_vec::<f32>().expect("on the host").into_iter().map(|p| -f64::from(p))
        })
    }

    /// Writes the model: what is found under `path` is all of the old file or all of the new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.to_checkpoint().save(path)?)
    }

    /// The file as bytes: safetensors, in which PyTorch's modules find their weights.
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
        file.set("layers", self.architecture.describe());
        self.codec.save(&mut file, "codec");
        file
    }

    fn to_checkpoint(&self) -> Checkpoint {
        let mut file = self.description();
        file.put_model(self);
        file
    }

    /// Reads a model, from a checkpoint of its training as well.
    ///
    /// # Errors
    /// What the operating system says; a file that is no language model, or damaged.
    pub fn load(path: &Path) -> Result<LanguageModel> {
        Self::from_checkpoint(&Checkpoint::load(path)?, &path.display().to_string())
    }

    /// Reads the bytes of a model's file; `origin` names them in errors.
    ///
    /// # Errors
    /// Bytes that are no language model.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<LanguageModel> {
        Self::from_checkpoint(&Checkpoint::from_bytes(bytes, origin)?, origin)
    }

    fn from_checkpoint(file: &Checkpoint, origin: &str) -> Result<LanguageModel> {
        let wrong = |reason: &str| Error::format(origin, reason);
        if file.get("architecture").is_none() {
            return Err(wrong("is no language model of this program"));
        }
        file.check_architecture(Self::KIND)?;
        file.check_finite()?;
        // In training it is part of a `Reader`.
        let file = &file.part("model.").unwrap_or_else(|_| file.clone());
        let words: Vec<&str> = file.get("layers").unwrap_or_default().split(' ').collect();
        let [cell, layers, embedding, hidden, tied] = words[..] else {
            return Err(wrong("layers are not five words; is it damaged?"));
        };
        let cell = [Cell::Lstm, Cell::Gru].into_iter().find(|known| known.name() == cell);
        let number = |text: &str| text.parse::<usize>().ok();
        let (Some(cell), Some(layers), Some(embedding), Some(hidden), Ok(tied)) =
            (cell, number(layers), number(embedding), number(hidden), tied.parse())
        else {
            return Err(wrong("layers are not a cell, three numbers and a truth; is it damaged?"));
        };
        let architecture = Architecture { cell, layers, embedding, hidden, tied, dropout: 0.0 };
        architecture.check().map_err(|error| wrong(&error.to_string()))?;
        let codec = Codec::load(file, "codec", origin)?;
        // Before memory is taken for what the text says, the file has to hold as much.
        let has = |name: &str, dims: [usize; 2]| {
            file.tensors().get(name).is_some_and(|tensor| tensor.dims() == dims)
        };
        let gates = if cell == Cell::Lstm { 4 } else { 3 };
        let has_layer = |l: usize| {
            let (inputs, units) = architecture.widths(l);
            let weight = |of: &str, inputs| {
                has(&format!("layers.{l}.weight_{of}_l0"), [gates * units, inputs])
            };
            weight("ih", inputs) && weight("hh", units)
        };
        let (_, last) = architecture.widths(layers - 1);
        if !has("embedding.weight", [codec.len(), embedding])
            || !(tied || has("output.weight", [codec.len(), last]))
            || !(0..layers).all(has_layer)
        {
            return Err(wrong("holds other tensors than it says; is it damaged?"));
        }
        let mut model = LanguageModel::new(codec, architecture, 0)?;
        file.load_model(&mut model)?;
        Ok(model)
    }
}

impl Module for LanguageModel {
    /// Logits of sequences from zeros.
    ///
    /// # Shapes
    /// tokens [B, T] -> [B·T, V]
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.run(x.value(), &mut State::default(), pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        for (l, layer) in self.layers.iter().enumerate() {
            visitor.child(&format!("layers.{l}"), layer.module());
        }
        if let Some(output) = &self.output {
            visitor.child("output", output);
        }
        if let Some(bias) = &self.bias {
            visitor.parameter("output.bias", bias);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        for (l, layer) in self.layers.iter_mut().enumerate() {
            visitor.child(&format!("layers.{l}"), layer.module_mut());
        }
        if let Some(output) = &mut self.output {
            visitor.child("output", output);
        }
        if let Some(bias) = &mut self.bias {
            visitor.parameter("output.bias", bias);
        }
    }
}

/// A model whose states go on from batch to batch: what [`fit`](plies_nn::train::fit) trains. The states are
/// buffers, so that a training is resumed in the middle of a text.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) model: LanguageModel,
    /// The states of each layer, [1, B, H]; forward changes them, and takes the model by shared reference.
    states: Mutex<Vec<Tensor>>,
}

impl Reader {
    pub(super) fn new(model: LanguageModel, batch: usize) -> Reader {
        let Architecture { cell, layers, .. } = model.architecture;
        let zeros = |layer: usize| {
            let dims = [1, batch, model.architecture.widths(layer).1];
            (0..cell.states()).map(move |_| Tensor::zeros(dims, DType::F32, &Device::cpu()))
        };
        let states = Mutex::new((0..layers).flat_map(zeros).collect());
        Reader { model, states }
    }

    fn names(states: usize, cell: Cell) -> impl Iterator<Item = String> {
        (0..states).map(move |i| format!("state.{}.{}", i / cell.states(), i % cell.states()))
    }
}

impl Module for Reader {
    /// # Shapes
    /// [B, 1 + T], as [`streams`](super::corpus::streams) gives them -> [B·T, V]
    #[track_caller]
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        let (batch, steps) = (x.dim(0), x.dim(1) - 1);
        let goes_on = x.value().slice(1, ..1).to_vec::<i32>().expect("on the host");
        let begins: Vec<usize> = (0..batch).filter(|&b| goes_on[b] == 0).collect();
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |states: &[Tensor]| {
            let var = |i: usize| Var::constant(states[i].clone());
            let mut state = match states.len() {
                2 => RecurrentState::from([var(0), var(1)]),
                _ => RecurrentState::from([var(0)]),
            };
            state.reset(&begins);
            state
        };
        let cell = self.model.architecture.cell;
        let mut state = State { layers: states.chunks(cell.states()).map(of).collect() };
        let logits = self.model.run(&x.value().slice(1, 1..1 + steps), &mut state, pass);
        *states = state
            .layers
            .iter()
            .flat_map(|layer| layer.states().iter().map(|state| state.value().clone()))
            .collect();
        logits
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("model", &self.model);
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, state) in Self::names(states.len(), self.model.architecture.cell).zip(&*states) {
            visitor.buffer(&name, state);
        }
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("model", &mut self.model);
        let states = self.states.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (name, state) in Self::names(states.len(), self.model.architecture.cell).zip(states) {
            visitor.buffer(&name, state);
        }
    }
}
