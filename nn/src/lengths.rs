//! Sequences of different lengths in one batch.
//!
//! Sequence b of a batch [B, T, ...] has `lengths[b]` steps, in any order of lengths; the places beyond are
//! padding. A layer takes the steps together as the rows of one matrix, so that padding is neither read nor
//! paid for, and spreads its results out again, with 0 where there is no step.

use std::ops::Range;

use plies_autograd::Var;
use plies_tensor::{DType, Device, Shape, Tensor};

/// Which places of a batch are steps.
pub(crate) struct Lengths {
    batch: usize,
    time: usize,
    /// The rows of each sequence, once those that are not steps are left out.
    pub(crate) sequences: Vec<Range<usize>>,
    /// The rows of the batch that are steps, unless all are.
    kept: Option<Tensor>,
}

impl Lengths {
    /// Of a batch x [B, T, ...], where every place is a step if there are no lengths.
    ///
    /// # Panics
    /// When there are not B lengths, or one is above T.
    #[track_caller]
    pub(crate) fn new(layer: &str, x: &Var, lengths: Option<&[usize]>) -> Lengths {
        let (batch, time) = (x.dim(0), x.dim(1));
        let Some(lengths) = lengths else {
            let sequences = (0..batch).map(|b| b * time..(b + 1) * time).collect();
            return Lengths { batch, time, sequences, kept: None };
        };
        check(layer, lengths, [batch, time]);
        let (mut sequences, mut kept) = (Vec::with_capacity(batch), Vec::new());
        for (b, &length) in lengths.iter().enumerate() {
            sequences.push(kept.len()..kept.len() + length);
            kept.extend((b * time..b * time + length).map(|row| row as i32));
        }
        let is_full = kept.len() == batch * time;
        let kept =
            (!is_full).then(|| Tensor::from_slice_on(&kept, [kept.len()], x.value().device()));
        Lengths { batch, time, sequences, kept }
    }

    /// The lengths, unless all places are steps.
    pub(crate) fn if_different(&self) -> Option<Vec<usize>> {
        self.kept.as_ref().map(|_| self.sequences.iter().map(Range::len).collect())
    }

    /// The steps of a batch, one below the other: [B, T, N] -> [R, N].
    #[track_caller]
    pub(crate) fn pack(&self, x: &Var) -> Var {
        let rows = x.reshape([self.batch * self.time, x.dim(2)]);
        match &self.kept {
            Some(kept) => rows.index_select(0, kept),
            None => rows,
        }
    }

    /// Steps in their places, and 0 in the others: [R, N] -> [B, T, N].
    pub(crate) fn spread(&self, rows: &Var) -> Var {
        let (places, width) = (self.batch * self.time, rows.dim(1));
        let all = match &self.kept {
            Some(kept) => {
                let zeros = Tensor::zeros([], rows.dtype(), rows.device());
                let zeros = Var::constant(zeros.broadcast_to([places, width]));
                zeros.index_add(0, kept, rows)
            }
            None => rows.clone(),
        };
        all.reshape([self.batch, self.time, width])
    }
}

/// Checks that each of B sequences has a length, of at most T steps.
#[track_caller]
pub(crate) fn check(layer: &str, lengths: &[usize], [batch, time]: [usize; 2]) {
    assert!(
        lengths.len() == batch,
        "{layer}: {} lengths for a batch of {batch} sequences",
        lengths.len()
    );
    for (b, &length) in lengths.iter().enumerate() {
        assert!(
            length <= time,
            "{layer}: sequence {b} has a length of {length}, more than the {time} steps of the batch"
        );
    }
}

/// Counts of steps, or their positions, for formulas to compare.
pub(crate) fn counts(
    counts: impl IntoIterator<Item = usize>,
    shape: impl Into<Shape>,
    dtype: DType,
    device: &Device,
) -> Tensor {
    // Exact: a batch of 2²⁴ steps a sequence does not fit into memory.
    let counts: Vec<f32> = counts.into_iter().map(|count| count as f32).collect();
    Tensor::from_slice_on(&counts, shape, device).to_dtype(dtype)
}
