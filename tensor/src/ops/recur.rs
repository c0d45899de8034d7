//! Cells applied along sequences.

use std::ops::Range;

use crate::backend::{Buffer, View};
use crate::tensor::check_same;
use crate::{Formula, Recurrence, Shape, Tensor};

/// What a call of [`Tensor::recur`] reads besides the tensor that it is called on.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// What happens in a step; see [`Recurrence`].
    pub cell: &'a Formula,
    /// Matrices [R, ...] with a row for each step of each sequence.
    pub inputs: &'a [&'a Tensor],
    /// The rows of each of B sequences; together they are 0..R.
    pub sequences: &'a [Range<usize>],
    /// From the last step to the first.
    pub backwards: bool,
    /// The states before the first step, [B, ...].
    pub states: &'a [&'a Tensor],
    /// For each state the outputs of the cell that are its next value.
    pub next: &'a [Range<usize>],
    /// For each result the outputs of the cell that it keeps.
    pub kept: &'a [Range<usize>],
}

impl Tensor {
    /// Applies a cell along sequences; between the steps the first state is multiplied by this
    /// matrix. Returns a matrix for each entry of `kept`, and the states after the last step. What a
    /// step does is told at [`Recurrence`].
    ///
    /// # Shapes
    /// weight [K, P], inputs [R, a·H], states [B, b·H] -> kept [R, c·H], states [B, b·H], where H is
    /// K divided by the number of outputs that make the first state
    ///
    /// # Panics
    /// When the shapes are others, the sequences are not exactly the rows, or dtypes or devices
    /// differ.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Steps, Tensor, formula};
    /// // hₜ = 2 hₜ₋₁ + xₜ along two sequences, of three steps and of one
    /// let weight = Tensor::from([[2f32]]);
    /// let steps = Steps {
    ///     cell: formula!(|p, h, x| p + x + 0.0 * h),
    ///     inputs: &[&Tensor::from([[1f32], [1.0], [1.0], [5.0]])],
    ///     sequences: &[0..3, 3..4],
    ///     backwards: false,
    ///     states: &[&Tensor::from([[0f32], [1.0]])],
    ///     next: &[0..1],
    ///     kept: &[0..1],
    /// };
    /// let (kept, states) = weight.recur(&steps);
    /// assert_eq!(kept[0].to_vec::<f32>().unwrap(), [1.0, 3.0, 7.0, 7.0]);
    /// assert_eq!(states[0].to_vec::<f32>().unwrap(), [7.0, 7.0]);
    /// ```
    #[track_caller]
    pub fn recur(&self, steps: &Steps<'_>) -> (Vec<Tensor>, Vec<Tensor>) {
        let Steps { cell, sequences, backwards, next, kept, .. } = *steps;
        assert!(
            self.rank() == 2 && next.first().is_some_and(|n| !n.is_empty()),
            "recur: a weight [K, P] and a state to multiply it by are needed, not {}",
            self.shape()
        );
        assert!(
            !cell.reduces_rows(),
            "recur: {cell} reduces rows, which a cell sees block by block"
        );
        for range in next.iter().chain(kept) {
            assert!(
                range.start < range.end && range.end <= cell.n_outputs(),
                "recur: outputs {range:?} of a cell with {}",
                cell.n_outputs()
            );
        }
        let width = self.dim(0) / next[0].len();
        let n = sequences.len();
        let total = n_rows(sequences);
        let mut blocks = self.dim(1) / width.max(1);
        assert!(
            width > 0 && self.dim(0) == next[0].len() * width && self.dim(1) == blocks * width,
            "recur: weight {} is not made of blocks of {width} columns",
            self.shape()
        );
        assert!(steps.states.len() == next.len(), "recur: as many states as entries of `next`");
        for (state, next) in steps.states.iter().zip(next) {
            check_same("recur", self, state);
            assert!(
                state.dims() == [n, next.len() * width],
                "recur: a state {} where [{n}, {}] is needed",
                state.shape(),
                next.len() * width
            );
            blocks += next.len();
        }
        for input in steps.inputs {
            check_same("recur", self, input);
            assert!(
                input.rank() == 2 && input.dim(0) == total && input.dim(1) % width == 0,
                "recur: an input {} where [{total}, n · {width}] is needed",
                input.shape()
            );
            blocks += input.dim(1) / width;
        }
        cell.check_arity(blocks, 0);
        if !self.dtype().is_float() {
            cell.check_integer(&[]);
        }
        let side_by_side = |x: &&Tensor| match x.dims()[1] <= 1 || x.layout().strides()[1] == 1 {
            true => Tensor::clone(x),
            false => x.contiguous(),
        };
        let inputs: Vec<Tensor> = steps.inputs.iter().map(side_by_side).collect();
        let mut finals: Vec<Tensor> = steps.states.iter().map(|state| state.copy()).collect();
        let mut shapes = Vec::with_capacity(kept.len());
        let mut buffers = Vec::with_capacity(kept.len());
        for range in kept {
            let shape = Shape::from([total, range.len() * width]);
            buffers.push(Buffer::allocate(self.device(), self.dtype(), &shape));
            shapes.push(shape);
        }
        if total > 0 {
            let views: Vec<View<'_>> = inputs.iter().map(Tensor::view).collect();
            let recurrence = Recurrence {
                cell,
                weight: self.view(),
                inputs: &views,
                sequences,
                backwards,
                next,
                kept,
                width,
            };
            let backend = self.device().backend();
            finals = Tensor::with_buffers_mut(finals, |states| {
                backend.recur(&recurrence, states, &mut buffers);
            });
        }
        let kept = buffers.into_iter().zip(shapes);
        (kept.map(|(buffer, shape)| Tensor::from_buffer(buffer, shape)).collect(), finals)
    }
}

/// How many rows the sequences have, which must be all rows from the first on, each in one sequence.
#[track_caller]
fn n_rows(sequences: &[Range<usize>]) -> usize {
    let with_steps = sequences.iter().filter(|rows| rows.start != rows.end);
    let mut in_order: Vec<&Range<usize>> = with_steps.collect();
    in_order.sort_by_key(|rows| rows.start);
    let mut total = 0;
    for rows in in_order {
        assert!(
            rows.start == total && rows.start < rows.end,
            "recur: a sequence of the rows {rows:?} where row {total} is next; together sequences \
             are all rows, each in one"
        );
        total = rows.end;
    }
    total
}
