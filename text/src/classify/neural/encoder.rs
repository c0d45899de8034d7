//! What reads the vectors of a text and gives a state for each word that depends on those around it.
//!
//! - recurrent: h_t = f(h_{t−1}, x_t), from the beginning, and from the end
//! - convolution: h_t = ReLU(W · [x_{t−k} … x_{t+k}] + b), of several widths side by side
//! - self-attention: h_t = Σ_s a_ts W x_s, in layers
//!
//! # Source
//! Hochreiter, Schmidhuber, *Long Short-Term Memory*, 1997; Cho et al., *Learning Phrase Representations
//! using RNN Encoder-Decoder*, 2014 (GRU); Kim, *Convolutional Neural Networks for Sentence
//! Classification*, 2014, whose windows end where the text does, where ours are filled up with zeros;
//! Vaswani et al., *Attention Is All You Need*, 2017, with norms before the maps.

use plies_nn::{
    AttentionMask, Conv1d, Directions, Dropout, Gru, LayerNorm, Linear, Lstm, Module, Padding,
    Pass, PositionalEncoding, RecurrentOptions, TransformerEncoder, TransformerEncoderLayer, Var,
    Visitor, VisitorMut,
};
use plies_tensor::{Conv, Elementwise, Rng};

use super::NeuralSettings;
use super::pool::steps;

/// What reads the vectors of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// Gated recurrent units.
    Gru,
    /// Long short-term memory.
    Lstm,
    /// Filters over three, four and five words.
    Convolution,
    /// The encoder of a transformer.
    SelfAttention,
}

impl Encoder {
    /// All of them, by the names that the program and files use.
    pub const NAMES: [(&str, Encoder); 4] = [
        ("gru", Encoder::Gru),
        ("lstm", Encoder::Lstm),
        ("cnn", Encoder::Convolution),
        ("attention", Encoder::SelfAttention),
    ];

    /// Heads of self-attention.
    pub(super) const HEADS: usize = 4;

    /// Whether it walks along a text, from one state to the next.
    pub(super) fn is_recurrent(self) -> bool {
        matches!(self, Encoder::Gru | Encoder::Lstm)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.1 == self).expect("each has a name").0
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Encoder> {
        Self::NAMES.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

/// Words that a filter sees.
const WIDTHS: [usize; 3] = [3, 4, 5];

/// An encoder with its weights.
#[derive(Debug)]
pub(super) enum Layers {
    Gru(Gru),
    Lstm(Lstm),
    Convolution(Vec<Conv1d>),
    SelfAttention(Box<(Linear, Dropout, TransformerEncoder)>),
}

impl Layers {
    pub(super) fn new(settings: &NeuralSettings, rng: &mut Rng) -> Layers {
        let (dim, hidden, layers) = (settings.dim(), settings.hidden, settings.layers);
        let options = RecurrentOptions {
            layers,
            directions: match settings.both_directions {
                true => Directions::Both,
                false => Directions::Forward,
            },
            dropout: if layers > 1 { settings.dropout } else { 0.0 },
            ..RecurrentOptions::default()
        };
        match settings.encoder {
            Encoder::Gru => Layers::Gru(Gru::with(dim, hidden, options, rng)),
            // A memory that forgets half at each step learns nothing of long texts at first
            // (Jozefowicz, Zaremba, Sutskever 2015).
            Encoder::Lstm => Layers::Lstm(Lstm::with(dim, hidden, options, rng).forget_bias(1.0)),
            Encoder::Convolution => {
                let filters = |width: usize| {
                    Conv1d::new(dim, hidden, width, Conv::default(), rng)
                        .same(Padding::Constant(0.0))
                };
                Layers::Convolution(WIDTHS.map(filters).into())
            }
            Encoder::SelfAttention => {
                let dropout = settings.dropout.min(0.2);
                let project = Linear::new(dim, hidden, rng);
                let layer = |_| {
                    TransformerEncoderLayer::new(hidden, Encoder::HEADS, 2 * hidden, rng)
                        .norm_first()
                        .dropout(dropout)
                };
                let encoder = TransformerEncoder::new((0..layers).map(layer).collect::<Vec<_>>())
                    .norm(LayerNorm::new([hidden]));
                Layers::SelfAttention(Box::new((project, Dropout::new(dropout), encoder)))
            }
        }
    }

    /// Numbers of a state.
    pub(super) fn width(settings: &NeuralSettings) -> usize {
        match settings.encoder {
            encoder if encoder.is_recurrent() && settings.both_directions => 2 * settings.hidden,
            Encoder::Convolution => WIDTHS.len() * settings.hidden,
            _ => settings.hidden,
        }
    }

    /// Fewer numbers than its weights have, but not by much.
    pub(super) fn least_numbers(settings: &NeuralSettings) -> usize {
        let (hidden, layers) = (settings.hidden, settings.layers);
        let directions = if settings.both_directions { 2 } else { 1 };
        let factors = match settings.encoder {
            Encoder::Gru => [3 * directions, layers, hidden, hidden],
            Encoder::Lstm => [4 * directions, layers, hidden, hidden],
            Encoder::Convolution => [WIDTHS.iter().sum(), 1, settings.dim(), hidden],
            Encoder::SelfAttention => [8, layers, hidden, hidden],
        };
        factors.into_iter().fold(1, usize::saturating_mul)
    }

    /// x [B, T, D] -> [B, T, H]; states beyond the end of a text mean nothing.
    pub(super) fn states(&self, x: &Var, pass: &mut Pass) -> Var {
        match self {
            Layers::Gru(layer) => layer.forward(x, pass),
            Layers::Lstm(layer) => layer.forward(x, pass),
            Layers::Convolution(filters) => {
                // A window that reaches beyond the end of a text sees zeros, as it does alone.
                let lengths = pass.lengths();
                let words = steps(x, lengths.as_deref()).map_or(x.clone(), |steps| x * &steps);
                let x = words.transpose(1, 2); // [B, D, T]
                let maps: Vec<Var> =
                    filters.iter().map(|filter| filter.forward(&x, pass).relu()).collect();
                Var::cat(&maps.iter().collect::<Vec<_>>(), 1).transpose(1, 2)
            }
            Layers::SelfAttention(parts) => {
                let (project, dropout, encoder) = &**parts;
                let x = PositionalEncoding.forward(&project.forward(x, pass), pass);
                let x = dropout.forward(&x, pass);
                let lengths = pass.lengths();
                encoder.run(&x, lengths.as_deref(), &AttentionMask::default(), pass)
            }
        }
    }

    fn named(&self) -> Vec<(String, &dyn Module)> {
        match self {
            Layers::Gru(layer) => vec![("gru".to_owned(), layer)],
            Layers::Lstm(layer) => vec![("lstm".to_owned(), layer)],
            Layers::Convolution(filters) => {
                let named = WIDTHS.iter().zip(filters);
                named.map(|(width, filter)| (format!("filters{width}"), filter as _)).collect()
            }
            Layers::SelfAttention(parts) => {
                vec![("project".to_owned(), &parts.0 as _), ("encoder".to_owned(), &parts.2)]
            }
        }
    }

    pub(super) fn visit(&self, visitor: &mut Visitor<'_>) {
        self.named().into_iter().for_each(|(name, part)| visitor.child(&name, part));
    }

    pub(super) fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        match self {
            Layers::Gru(layer) => visitor.child("gru", layer),
            Layers::Lstm(layer) => visitor.child("lstm", layer),
            Layers::Convolution(filters) => {
                for (width, filter) in WIDTHS.iter().zip(filters) {
                    visitor.child(&format!("filters{width}"), filter);
                }
            }
            Layers::SelfAttention(parts) => {
                visitor.child("project", &mut parts.0);
                visitor.child("encoder", &mut parts.2);
            }
        }
    }
}
