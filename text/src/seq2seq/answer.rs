//! The likeliest answer, searched with a beam, and where each of its tokens came from: the decoder reads the
//! answer once more and looks.

use plies_nn::plies_autograd::no_grad;
use plies_nn::{BeamSearch, Pass, RecurrentState, Written};
use plies_tensor::Tensor;

use super::model::{BEGIN, END, Encoded, FIRST, PAD, Seq2Seq};

/// An answer, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Its tokens, the end not among them.
    pub tokens: Vec<String>,
    /// Tokens of the text that it answers.
    pub source: Vec<String>,
    /// For each token of the answer and its end, how much it looked at each of the source; a row adds up to
    /// 1.
    pub attention: Vec<Vec<f32>>,
    /// ln p of the answer.
    pub log_probability: f64,
}

impl Seq2Seq {
    /// The likeliest answer that a beam of `width` finds, by the mean over its tokens, for every token makes an
    /// answer less likely; 1 takes the likeliest token each time. Nothing is answered to an empty text.
    ///
    /// # Panics
    /// When `width` is 0.
    #[track_caller]
    pub fn answer(&self, text: &str, width: usize) -> Answer {
        let numbers = Self::numbers(&self.codecs()[0], text);
        let n = numbers.len();
        let search = BeamSearch::new(width, END, 3 * n + 50).length_penalty(1.0);
        let source = numbers.iter().map(|&n| Self::visible(&self.codecs()[0], n)).collect();
        let nothing = Written { tokens: Vec::new(), log_probs: Vec::new(), ended: false };
        let (written, attention) = match n {
            0 => (nothing, Vec::new()),
            _ => no_grad(|| {
                let x = Tensor::from_vec(numbers, [1, n]);
                let encoded = self.encode(&x, vec![n], &mut Pass::eval());
                let written = self.search(&encoded, search);
                let attention = self.attention(&encoded, &written);
                (written, attention)
            }),
        };
        let tokens = written.tokens.iter();
        Answer {
            text: self.text(&written.tokens),
            tokens: tokens.map(|&n| Self::visible(&self.codecs()[1], n)).collect(),
            source,
            attention,
            log_probability: written.log_prob(),
        }
    }

    /// The best of what a beam finds.
    fn search(&self, text: &Encoded, search: BeamSearch) -> Written {
        let pass = &mut Pass::eval();
        let mut state = RecurrentState::from([text.first.clone()]);
        let mut is_first = true;
        let step = |tokens: &Tensor, rows: &[usize]| {
            let k = rows.len();
            let last = match is_first {
                true => Tensor::from_vec(vec![BEGIN; k], [k]),
                false => tokens.clone(),
            };
            is_first = false;
            state = state.select(rows);
            let d = self.decoder().step(&self.embed(&last), &mut state, pass).unsqueeze(1);
            let [_, s, h] = [0, 1, 2].map(|axis| text.states.dim(axis));
            let encoded = Encoded {
                states: text.states.broadcast_to([k, s, h]),
                first: text.first.clone(),
                lengths: vec![s; k],
            };
            let (logits, _) = self.attend(&d, &encoded, pass); // [k, 1, V]
            Ok(logits.value().select(1, 0) + self.unwritten())
        };
        search.run(1, step).expect("on the host").remove(0).remove(0)
    }

    /// What is added to logits so that no answer has the filling in it, or begins twice, or holds what has no
    /// number `[V]`.
    fn unwritten(&self) -> Tensor {
        let codec = &self.codecs()[1];
        let unknown = codec.unknown().map(|n| n as i32 + FIRST);
        let never = |token: i32| token == PAD || token == BEGIN || Some(token) == unknown;
        let v = codec.len() + FIRST as usize;
        let number = |token| if never(token) { f32::NEG_INFINITY } else { 0.0 };
        Tensor::from_vec((0..v as i32).map(number).collect(), [v])
    }

    /// Where the decoder looks while it writes each token, and the end.
    fn attention(&self, text: &Encoded, written: &Written) -> Vec<Vec<f32>> {
        let n = written.log_probs.len();
        let read = [&[BEGIN], &written.tokens[..]].concat();
        let pass = &mut Pass::eval();
        let y = self.embed(&Tensor::from_slice(&read[..n], [1, n]));
        let (d, _) = self.decoder().run(&y, None, Some(&text.first), pass);
        let (_, weights) = self.attend(&d, text, pass); // [1, n, S]
        let weights = weights.to_vec::<f32>().expect("on the host");
        weights.chunks(text.states.dim(1)).map(<[f32]>::to_vec).collect()
    }
}
