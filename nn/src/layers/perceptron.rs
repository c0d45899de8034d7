//! The perceptron, which learns from its mistakes alone: no loss, no gradient, no rate.
//!
//! An example x of class y meets the scores s_c = w_c · x + b_c. Of the other classes the one with the largest
//! score, r, is the rival. Unless s_y > s_r, which is a mistake,
//!
//! w_y ← w_y + x, b_y ← b_y + 1, w_r ← w_r - x, b_r ← b_r - 1
//!
//! With two classes w_0 = -w_1, and v = w_1 - w_0 is the weight vector of Rosenblatt's perceptron, which
//! takes v ← v ± 2x whenever the sign of v · x is wrong; the factor changes no sign. More classes are his rule
//! too, for one long vector of all w_c (Kesler's construction).
//!
//! **Convergence** (Novikoff 1962). If some weights u of norm 1, biases included, score every example's class
//! more than the others by at least γ, and no example, with a 1 for the bias, is longer than R, then there
//! are at most 2 R² / γ² mistakes, however often and in whatever order the examples come. For each mistake
//! adds at least γ to w · u, but at most 2 R² to |w|²: after k of them k γ ≤ w · u ≤ |w| ≤ √(2k) R.

use plies_autograd::{Var, linear};
use plies_tensor::{DType, Device, Elementwise, Shape, Tensor, formula};

use crate::onnx::{self, Graph, Value};
use crate::{Module, Pass, Visitor, VisitorMut, check};

/// A vector and a bias for each class, and a rule of its own, [`learn`](Perceptron::learn), by which it goes
/// from example to example.
///
/// Weights begin at 0 and are F64, so that sums of whole numbers are exact. As a [`Module`] its output is
/// the scores; it has a name for each number, so that a checkpoint holds it and learning goes on later.
///
/// # Shapes
/// x [B, I], weight [C, I], bias `[C]` -> scores [B, C]
///
/// # Source
/// Rosenblatt: The perceptron, Psychological Review 65 (1958). Convergence: Novikoff (1962). Several classes:
/// Duda and Hart (1973), section 5.12; Crammer and Singer, JMLR 3 (2003). An equal score counts as a mistake,
/// as it does for two classes with w = 0.
///
/// # Example
/// ```
/// use plies_nn::Perceptron;
/// use plies_tensor::Tensor;
/// let x = Tensor::from([[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
/// let and = Tensor::from([0, 0, 0, 1]);
/// let mut perceptron = Perceptron::new(2, 2);
/// while perceptron.learn(&x, &and) > 0 {} // until a pass without mistakes: some line separates them
/// assert_eq!(perceptron.classify(&x).to_vec::<i32>().unwrap(), [0, 0, 0, 1]);
/// ```
#[derive(Debug)]
pub struct Perceptron {
    weight: Var,
    bias: Var,
    /// Each change times the number of examples before it, added up: what the last weights are ahead of
    /// the sum of all weights.
    weight_lead: Tensor,
    bias_lead: Tensor,
    /// How many examples have been seen.
    examples: Tensor,
}

impl Perceptron {
    /// A perceptron that knows nothing of `inputs` numbers and `classes` classes.
    ///
    /// # Panics
    /// When there are fewer than two classes, or memory cannot address so many weights.
    #[track_caller]
    pub fn new(inputs: usize, classes: usize) -> Self {
        assert!(classes >= 2, "perceptron: {classes} classes are nothing to tell apart");
        check::size("perceptron", &[classes, inputs]);
        let zeros = |dims: Shape| Tensor::zeros(dims, DType::F64, &Device::cpu());
        let (weight, bias) = (zeros([classes, inputs].into()), zeros([classes].into()));
        Perceptron {
            weight_lead: weight.clone(),
            bias_lead: bias.clone(),
            weight: Var::leaf(weight),
            bias: Var::leaf(bias),
            examples: zeros(Shape::SCALAR),
        }
    }

    /// Learns example by example, in their order; returns how many of them were mistakes when they came.
    /// A pass over all examples without a mistake is the end: another would change nothing.
    ///
    /// # Shapes
    /// x [B, I], classes `[B]` (I32)
    ///
    /// # Panics
    /// When the shapes are others, a class does not exist, or a device fails.
    #[track_caller]
    pub fn learn(&mut self, x: &Tensor, classes: &Tensor) -> usize {
        let [n_classes, inputs] = [0, 1].map(|axis| self.weight.dim(axis));
        assert!(
            x.rank() == 2 && x.dim(1) == inputs && classes.dims() == [x.dim(0)],
            "perceptron: inputs {} and classes {}; expected [B, {inputs}] and [B]",
            x.shape(),
            classes.shape()
        );
        assert!(
            classes.dtype() == DType::I32,
            "perceptron: classes are {}, not i32",
            classes.dtype()
        );
        check::numbers("perceptron", "class", classes, n_classes, None);
        let (mut w, mut b) = (numbers(self.weight.value()), numbers(self.bias.value()));
        let (mut w_lead, mut b_lead) = (numbers(&self.weight_lead), numbers(&self.bias_lead));
        let mut seen = numbers(&self.examples)[0];
        let mut mistakes = 0;
        let classes = classes.to_vec::<i32>().unwrap_or_else(|fault| panic!("perceptron: {fault}"));
        for (i, class) in classes.into_iter().enumerate() {
            let x = numbers(&x.select(0, i).to_dtype(DType::F64)); // [I]
            let class = class as usize;
            let score = |c: usize| dot(&w[c * inputs..][..inputs], &x) + b[c];
            let scores: Vec<f64> = (0..n_classes).map(score).collect(); // [C]
            let others = (0..n_classes).filter(|&c| c != class);
            let better = |best: usize, c: usize| if scores[c] > scores[best] { c } else { best };
            let rival = others.reduce(better).unwrap_or(class);
            if scores[class] <= scores[rival] {
                mistakes += 1;
                for (c, sign) in [(class, 1.0), (rival, -1.0)] {
                    add(&mut w[c * inputs..][..inputs], sign, &x);
                    add(&mut w_lead[c * inputs..][..inputs], sign * seen, &x);
                    add(&mut b[c..=c], sign, &[1.0]);
                    add(&mut b_lead[c..=c], sign * seen, &[1.0]);
                }
            }
            seen += 1.0;
        }
        *self.weight.value_mut() = Tensor::from_vec(w, [n_classes, inputs]);
        *self.bias.value_mut() = Tensor::from_vec(b, [n_classes]);
        self.weight_lead = Tensor::from_vec(w_lead, [n_classes, inputs]);
        self.bias_lead = Tensor::from_vec(b_lead, [n_classes]);
        self.examples = Tensor::scalar(seen);
        mistakes
    }

    /// The perceptron whose weights are the average of those after every example seen so far. Weights that
    /// stood for long count for much, which the last ones, made by the last mistake, need not deserve:
    /// where no line separates the classes, the average tells new examples apart better.
    ///
    /// # Source
    /// Freund, Schapire: Large margin classification using the perceptron algorithm (1999), section 2. As
    /// there for prediction, the average stands for the vote.
    pub fn averaged(&self) -> Perceptron {
        let mut averaged = Perceptron::new(self.weight.dim(1), self.weight.dim(0));
        // Σ over n examples of the weights after each: n · last - lead.
        let f = formula!(|last, lead, n| last - n.gt(0.0).select(lead / n, 0.0));
        let average =
            |last: &Var, lead: &Tensor| Tensor::map(f, &[last.value(), lead, &self.examples], &[]);
        *averaged.weight.value_mut() = average(&self.weight, &self.weight_lead);
        *averaged.bias.value_mut() = average(&self.bias, &self.bias_lead);
        averaged
    }

    /// The class with the largest score of each example; the first of equals.
    ///
    /// # Shapes
    /// x [B, I] -> `[B]` (I32)
    ///
    /// # Panics
    /// When x has another width.
    #[track_caller]
    pub fn classify(&self, x: &Tensor) -> Tensor {
        let scores = self.forward(&Var::constant(x.clone()), &mut Pass::eval()); // [B, C]
        scores.argmax(-1, false)
    }

    /// weight [C, I]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// bias `[C]`
    pub fn bias(&self) -> &Var {
        &self.bias
    }
}

#[track_caller]
fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_vec::<f64>().unwrap_or_else(|fault| panic!("perceptron: {fault}"))
}

fn dot(w: &[f64], x: &[f64]) -> f64 {
    w.iter().zip(x).map(|(w, x)| w * x).sum()
}

/// w ← w + scale · x
fn add(w: &mut [f64], scale: f64, x: &[f64]) {
    w.iter_mut().zip(x).for_each(|(w, x)| *w += scale * x);
}

impl Module for Perceptron {
    /// The scores, in F64.
    #[track_caller]
    fn forward(&self, x: &Var, _pass: &mut Pass) -> Var {
        linear(&x.to_dtype(DType::F64), &self.weight, Some(&self.bias))
    }

    fn export(&self, x: &Value, graph: &Graph) -> onnx::Result<Value> {
        let weight = graph.tensor("weight", self.weight.value()).permute(&[1, 0]);
        let bias = graph.tensor("bias", self.bias.value());
        Ok(x.to_dtype(DType::F64).matmul(&weight) + bias)
    }

    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.parameter("weight", &self.weight);
        visitor.parameter("bias", &self.bias);
        visitor.buffer("weight_lead", &self.weight_lead);
        visitor.buffer("bias_lead", &self.bias_lead);
        visitor.buffer("examples", &self.examples);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        visitor.parameter("weight", &mut self.weight);
        visitor.parameter("bias", &mut self.bias);
        visitor.buffer("weight_lead", &mut self.weight_lead);
        visitor.buffer("bias_lead", &mut self.bias_lead);
        visitor.buffer("examples", &mut self.examples);
    }
}
