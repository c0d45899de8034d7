//! Rules that leave alone what was not read.

use plies_tensor::Formula;

use super::{Memory, Rule};

/// A rule that takes its step in the rows of a table that have a gradient, and leaves the other rows and
/// their moments as they are. `Lazy(Adam::new(1e-3))` is PyTorch's `SparseAdam`, which there goes with
/// `Embedding(sparse=True)`; any rule can be lazy.
///
/// A step costs what the batch has read, not what the table holds. It is another rule, though: a word that
/// is not read neither moves on by its momentum nor decays, and its moments wait unchanged for the next
/// time. For plain [`Sgd`](super::Sgd), and [`Adagrad`](super::Adagrad) without decay, there is no
/// difference; they leave rows out by themselves.
///
/// Parameters whose gradient is whole are not concerned: all but embeddings, and an embedding that is the
/// weight of an output layer too. With other parameters under the rule itself this is a group for
/// [`ParameterGroups`](super::ParameterGroups).
///
/// # Source
/// PyTorch, `torch.optim.SparseAdam`; there ε is not divided by the root of 1 - β₂ᵗ.
///
/// # Example
/// ```
/// use plies_nn::optim::{Adam, Lazy, Optimizer};
/// use plies_nn::{Embedding, Module};
/// use plies_tensor::Tensor;
/// let mut table = Embedding::from_weights(Tensor::from([[1f32], [1.0], [1.0]]));
/// let mut adam = Lazy(Adam::new(0.1));
/// for word in [0, 2] {
///     table.of(&Tensor::from([word])).sum_all().backward();
///     adam.step(&mut table);
///     table.zero_grad();
/// }
/// // Under Adam itself the first word would have moved on in the second step.
/// let [first, second, _] = table.weight().value().to_vec::<f32>().unwrap()[..] else { panic!() };
/// assert!((first - 0.9).abs() < 1e-6 && second == 1.0);
/// ```
#[derive(Debug)]
#[doc(alias("SparseAdam", "sparse"))]
pub struct Lazy<R>(pub R);

impl<R: Rule> Rule for Lazy<R> {
    fn lr(&self) -> f64 {
        Rule::lr(&self.0)
    }

    fn set_lr(&mut self, lr: f64) {
        Rule::set_lr(&mut self.0, lr);
    }

    fn describe(&self) -> String {
        format!("lazy {}", Rule::describe(&self.0))
    }

    fn moments(&self) -> &'static [&'static str] {
        self.0.moments()
    }

    fn formula(&self, t: u64) -> (&'static Formula, Vec<f64>) {
        self.0.formula(t)
    }

    fn leaves_rows_out(&self) -> bool {
        true
    }

    fn memory(&self) -> &Memory {
        self.0.memory()
    }

    fn memory_mut(&mut self) -> &mut Memory {
        self.0.memory_mut()
    }
}
