//! A model of characters: it reads a rhyme in parts, by truncated backpropagation through time, and then
//! writes on from its beginning.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Optimizer};
use plies_nn::{Embedding, Gru, Linear, Module, Pass, RecurrentState, Visitor, VisitorMut, loss};
use plies_tensor::{Result, Rng, Tensor};

const RHYME: &str = "\
This is the malt that lay in the house that Jack built.
This is the rat that ate the malt that lay in the house that Jack built.
This is the cat that killed the rat that ate the malt that lay in the house that Jack built.
This is the dog that worried the cat that killed the rat that ate the malt that lay in the house \
that Jack built.
";
/// The text is read at several places at once.
const LANES: usize = 3;
/// Steps after which gradients are cut off.
const PART: usize = 18;

struct Model {
    embedding: Embedding,
    gru: Gru,
    linear: Linear,
}

impl Model {
    /// The logits of the characters that come next: [B, T] -> [B, T, V]
    fn read(&self, characters: &Tensor, state: &mut RecurrentState, pass: &mut Pass) -> Var {
        let h = self.gru.resume(&self.embedding.of(characters), None, state, pass);
        self.linear.forward(&h, pass)
    }

    /// The characters that are most likely to follow `start`.
    fn write(&self, start: &[i32], n: usize) -> Result<Vec<i32>> {
        let (mut state, pass) = (RecurrentState::new(), &mut Pass::eval());
        let start = Tensor::from_slice(start, [1, start.len()]);
        let mut logits =
            self.read(&start, &mut state, pass).slice(1, start.dim(1) - 1..).squeeze(1);
        let mut written = Vec::new();
        for _ in 0..n {
            let next = logits.argmax(-1, false); // [1]
            written.extend(next.to_vec::<i32>()?);
            let h = self.gru.step(&self.embedding.of(&next), &mut state, pass); // [1, H]
            logits = self.linear.forward(&h, pass);
        }
        Ok(written)
    }
}

impl Module for Model {
    fn forward(&self, x: &Var, pass: &mut Pass) -> Var {
        self.read(x.value(), &mut RecurrentState::new(), pass)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.child("embedding", &self.embedding);
        visitor.child("gru", &self.gru);
        visitor.child("linear", &self.linear);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.child("embedding", &mut self.embedding);
        visitor.child("gru", &mut self.gru);
        visitor.child("linear", &mut self.linear);
    }
}

fn main() -> Result<()> {
    let mut alphabet: Vec<char> = RHYME.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    let number = |c: char| alphabet.binary_search(&c).unwrap_or_default() as i32;
    let text: Vec<i32> = RHYME.chars().map(number).collect();
    let lane = (text.len() - 1) / LANES;
    let lanes = |from: usize| Tensor::from_slice(&text[from..from + LANES * lane], [LANES, lane]);
    let (inputs, targets) = (lanes(0), lanes(1));

    let mut rng = Rng::new(1);
    let mut model = Model {
        embedding: Embedding::new(alphabet.len(), 16, &mut rng),
        gru: Gru::new(16, 64, &mut rng),
        linear: Linear::new(64, alphabet.len(), &mut rng),
    };
    let (mut adam, pass) = (Adam::new(0.005), &mut Pass::eval());
    for epoch in 0..=20 {
        let (mut state, mut sum) = (RecurrentState::new(), 0.0);
        for start in (0..lane).step_by(PART) {
            let n = PART.min(lane - start);
            {
                let logits = model.read(&inputs.narrow(1, start, n), &mut state, pass);
                let rows = logits.reshape([LANES * n, alphabet.len()]);
                let targets = targets.narrow(1, start, n).reshape([LANES * n]);
                let loss = loss::cross_entropy(&rows, &targets);
                loss.backward();
                sum += loss.item()? * n as f64;
            }
            state.detach();
            adam.step(&mut model);
            model.zero_grad();
        }
        if [0, 2, 5, 10, 20].contains(&epoch) {
            let text = model.write(&[number('T'), number('h')], 59)?;
            let text: String = text.into_iter().map(|c| alphabet[c as usize]).collect();
            println!("{epoch:2}  loss {:.2}  Th{}", sum / lane as f64, text.replace('\n', "/"));
        }
    }
    Ok(())
}
