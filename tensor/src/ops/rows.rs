//! Whole rows of the first axis that an I32 tensor names: joined where one is named several times, and
//! updated in place where the others are not to be touched, or not read.
//!
//! ```text
//! sum_rows    [2 0 2], [a b c]   ->   [0 2], [b a+c]
//! ```

use crate::backend::{OtherRows, Target};
use crate::tensor::{check_same, with_views};
use crate::{DType, Formula, Result, Shape, Tensor};

impl Tensor {
    /// The distinct numbers of an I32 tensor in ascending order, and the place of each element among
    /// them: `distinct[places] = self`.
    ///
    /// # Shapes
    /// index [...] (I32) -> distinct `[U]`, places [...] (I32)
    ///
    /// # Errors
    /// A fault of the device; the numbers are compared on the host.
    ///
    /// # Panics
    /// When the tensor is not I32.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let (distinct, places) = Tensor::from([7, -1, 7]).unique().unwrap();
    /// assert_eq!(distinct.to_vec::<i32>().unwrap(), [-1, 7]);
    /// assert_eq!(places.to_vec::<i32>().unwrap(), [1, 0, 1]);
    /// ```
    #[track_caller]
    pub fn unique(&self) -> Result<(Tensor, Tensor)> {
        assert!(
            self.dtype() == DType::I32,
            "unique: the numbers must be i32, not {}",
            self.dtype()
        );
        let numbers = self.to_vec::<i32>()?;
        let mut sorted: Vec<(i32, u32)> = numbers.iter().zip(0..).map(|(&x, i)| (x, i)).collect();
        sorted.sort_unstable();
        let (mut distinct, mut places) = (Vec::new(), numbers);
        for (x, i) in sorted {
            if distinct.last() != Some(&x) {
                distinct.push(x);
            }
            places[i as usize] = distinct.len() as i32 - 1;
        }
        let on_device =
            |numbers: &[i32], shape| Tensor::from_slice_on(numbers, shape, self.device());
        let shape = Shape::from([distinct.len()]);
        Ok((on_device(&distinct, shape), on_device(&places, self.shape())))
    }

    /// [`update`](Tensor::update) at some rows of the first axis: row `index[i]` of each target with row
    /// i of each input. The other rows are neither written nor read.
    ///
    /// # Shapes
    /// targets [N, ...], index `[U]` (I32), inputs [U, ...]
    ///
    /// # Panics
    /// When the numbers of the rows do not ascend or are outside 0..N, shapes are others, dtypes or
    /// devices differ, the formula reduces rows, or the device fails that the numbers are read from.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Tensor, formula};
    /// let mut table = Tensor::from([[1f32, 1.0], [2.0, 2.0], [3.0, 3.0]]);
    /// let (index, gradient) = (Tensor::from([0, 2]), Tensor::from([[1f32, 0.0], [0.0, 1.0]]));
    /// let step = formula!(|p, g; lr| p - lr * g);
    /// Tensor::update_rows(&mut [&mut table], &index, step, &[&gradient], &[0.5]);
    /// assert_eq!(table.to_vec::<f32>().unwrap(), [0.5, 1.0, 2.0, 2.0, 3.0, 2.5]);
    /// ```
    #[track_caller]
    pub fn update_rows(
        targets: &mut [&mut Tensor],
        index: &Tensor,
        formula: &Formula,
        inputs: &[&Tensor],
        scalars: &[f64],
    ) {
        by_rows("update_rows", targets, index, OtherRows::Stay, formula, inputs, scalars);
    }

    /// [`update`](Tensor::update) with inputs of which only some rows are there: row `index[i]` is row i,
    /// all others are 0. As if they had been written to a tensor of zeros first, to the bit, without that
    /// tensor.
    ///
    /// # Shapes
    /// targets [N, ...], index `[U]` (I32), inputs [U, ...]
    ///
    /// # Panics
    /// As [`update_rows`](Tensor::update_rows).
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Tensor, formula};
    /// let mut x = Tensor::from([[1f32], [2.0], [3.0]]);
    /// let sum = formula!(|x, y| 2.0 * x + y);
    /// Tensor::update_sparse(&mut [&mut x], &Tensor::from([1]), sum, &[&Tensor::from([[10f32]])], &[]);
    /// assert_eq!(x.to_vec::<f32>().unwrap(), [2.0, 14.0, 6.0]);
    /// ```
    #[track_caller]
    pub fn update_sparse(
        targets: &mut [&mut Tensor],
        index: &Tensor,
        formula: &Formula,
        inputs: &[&Tensor],
        scalars: &[f64],
    ) {
        by_rows("update_sparse", targets, index, OtherRows::HaveZeros, formula, inputs, scalars);
    }
}

#[track_caller]
fn by_rows(
    operation: &str,
    targets: &mut [&mut Tensor],
    index: &Tensor,
    others: OtherRows,
    formula: &Formula,
    inputs: &[&Tensor],
    scalars: &[f64],
) {
    assert!(
        formula.n_outputs() == targets.len() && !targets.is_empty(),
        "{operation}: {} targets, the formula has {} outputs",
        targets.len(),
        formula.n_outputs()
    );
    assert!(!formula.reduces_rows(), "{operation}: {formula} reduces rows");
    formula.check_arity(targets.len() + inputs.len(), scalars.len());
    assert!(
        index.dtype() == DType::I32 && index.rank() == 1,
        "{operation}: the index must be one axis of i32, not {} {}",
        index.dtype(),
        index.shape()
    );
    let shape = targets[0].shape();
    assert!(!shape.is_empty(), "{operation}: a scalar has no rows");
    for target in targets.iter() {
        check_same(operation, targets[0], target);
        let found = target.shape();
        assert!(found == shape, "{operation}: targets of shapes {shape} and {found}");
    }
    let mut rows = shape;
    rows[0] = index.elem_count();
    for input in inputs {
        check_same(operation, targets[0], input);
        let found = input.shape();
        assert!(found == rows, "{operation}: an input {found} where {rows} is needed");
    }
    let numbers = match index.to_vec::<i32>() {
        Ok(numbers) => numbers,
        Err(fault) => panic!("{operation}: {fault}"),
    };
    for (i, pair) in numbers.windows(2).enumerate() {
        let [x, y] = [pair[0], pair[1]];
        assert!(x < y, "{operation}: row {y} at [{}] after row {x}; they must ascend", i + 1);
    }
    // As they ascend, the first and the last tell of all.
    for x in numbers.first().into_iter().chain(numbers.last()) {
        let is_in = *x >= 0 && (*x as usize) < shape[0];
        assert!(is_in, "{operation}: row {x} is out of range for the {} rows of {shape}", shape[0]);
    }
    if shape.elem_count() == 0 || (rows[0] == 0 && others == OtherRows::Stay) {
        return;
    }
    let numbers: Vec<usize> = numbers.into_iter().map(|x| x as usize).collect();
    for target in targets.iter_mut() {
        if target.is_shared() || !target.is_contiguous() {
            **target = target.copy();
        }
    }
    let inputs: Vec<Tensor> = inputs.iter().map(|input| input.contiguous()).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let device = targets[0].device().clone();
    let mut places: Vec<Target<'_>> = targets.iter_mut().filter_map(|t| t.target()).collect();
    with_views(&inputs, &rows, |views| {
        device.backend().map_rows(formula, &numbers, others, views, scalars, &mut places);
    });
}
