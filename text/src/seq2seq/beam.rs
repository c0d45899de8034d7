//! The likeliest answer, searched with a beam: of all beginnings the k likeliest are kept, each is continued
//! by every token, and of those again the k likeliest are kept.

use plies_nn::plies_autograd::no_grad;
use plies_nn::{Pass, RecurrentState};
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

/// A beginning of an answer.
#[derive(Clone)]
struct Beginning {
    tokens: Vec<i32>,
    attention: Vec<Vec<f32>>,
    log_p: f64,
}

impl Beginning {
    /// By this the finished are compared: the mean over its tokens, for every token makes an answer less
    /// likely.
    fn score(&self) -> f64 {
        self.log_p / self.tokens.len().max(1) as f64
    }
}

impl Seq2Seq {
    /// The likeliest answer that a beam of `width` finds; 1 takes the likeliest token each time. Nothing is
    /// answered to an empty text.
    ///
    /// # Panics
    /// When `width` is 0.
    #[track_caller]
    pub fn answer(&self, text: &str, width: usize) -> Answer {
        assert!(width > 0, "answer: a beam of 0 beginnings");
        let numbers = Self::numbers(&self.codecs()[0], text);
        let source = numbers.iter().map(|&n| Self::visible(&self.codecs()[0], n)).collect();
        let best = no_grad(|| self.search(&numbers, width));
        let tokens = best.tokens.iter().filter(|&&token| token != END);
        Answer {
            text: self.text(&best.tokens),
            tokens: tokens.map(|&n| Self::visible(&self.codecs()[1], n)).collect(),
            source,
            attention: best.attention,
            log_probability: best.log_p,
        }
    }

    fn search(&self, source: &[i32], width: usize) -> Beginning {
        let empty = Beginning { tokens: Vec::new(), attention: Vec::new(), log_p: 0.0 };
        if source.is_empty() {
            return empty;
        }
        let (n, pass) = (source.len(), &mut Pass::eval());
        let one = self.encode(&Tensor::from_slice(source, [1, n]), vec![n], pass);
        let mut state = RecurrentState::from([one.first.clone()]);
        let (mut open, mut finished): (Vec<Beginning>, Vec<Beginning>) = (vec![empty], Vec::new());
        let longest = 3 * n + 50;
        for step in 0..longest {
            let k = open.len();
            let last: Vec<i32> =
                open.iter().map(|b| b.tokens.last().copied().unwrap_or(BEGIN)).collect();
            let y = self.embed(&Tensor::from_slice(&last, [k]));
            let d = self.decoder().step(&y, &mut state, pass).unsqueeze(1); // [k, 1, H]
            let [_, s, h] = [0, 1, 2].map(|axis| one.states.dim(axis));
            let encoded = Encoded {
                states: one.states.broadcast_to([k, s, h]),
                first: one.first.clone(),
                lengths: vec![n; k],
            };
            let (logits, weights) = self.attend(&d, &encoded, pass);
            let log_p = logits.log_softmax(-1).to_vec::<f32>().expect("on the host");
            let weights = weights.to_vec::<f32>().expect("on the host");
            let v = log_p.len() / k;
            let mut next: Vec<(f64, usize, i32)> = Vec::new();
            for (b, beginning) in open.iter().enumerate() {
                // No answer has the filling in it, or begins twice, or holds what has no number.
                let unknown = self.codecs()[1].unknown().map(|n| n as i32 + FIRST);
                let allowed = (0..v as i32)
                    .filter(|&token| token != PAD && token != BEGIN && Some(token) != unknown);
                next.extend(allowed.map(|token| {
                    (beginning.log_p + f64::from(log_p[b * v + token as usize]), b, token)
                }));
            }
            next.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
            next.truncate(width);
            let (mut grown, mut kept) = (Vec::new(), Vec::new());
            for (log_p, b, token) in next {
                let mut new = open[b].clone();
                new.tokens.push(token);
                new.attention.push(weights[b * s..(b + 1) * s].to_vec());
                new.log_p = log_p;
                if token == END || step + 1 == longest {
                    finished.push(new);
                } else {
                    grown.push(new);
                    kept.push(b);
                }
            }
            if grown.is_empty() || finished.len() >= width {
                break;
            }
            state = state.select(&kept);
            open = grown;
        }
        let best = finished
            .into_iter()
            .reduce(|best, other| if other.score() > best.score() { other } else { best });
        best.expect("the last step finishes all")
    }
}
