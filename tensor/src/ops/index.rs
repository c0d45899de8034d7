//! Reading and adding at positions that an I32 tensor names. The other dimensions of an index equal
//! the operand's, or come from broadcasting with stride 0: [`index_select`](crate::Tensor::index_select)
//! is [`gather`](crate::Tensor::gather) with an index that is broadcast over whole rows.

use crate::backend::OutOfRange;
use crate::shape::resolve_axis;
use crate::tensor::check_same;
use crate::{DType, Shape, Tensor, formula};

/// What a backend found wrong with the index of an operation on `x`, at its caller's line.
#[track_caller]
fn check_range(operation: &str, x: &Tensor, axis: usize, outcome: Result<(), OutOfRange>) {
    let Err(OutOfRange { index, position }) = outcome else { return };
    // An index of whole parts has one axis.
    let position = match operation {
        "index_select" | "index_add" => &position[axis..=axis],
        _ => &position[..],
    };
    panic!(
        "{operation}: index {index} at {position:?} is out of range for the {} elements of axis {axis} \
         of {}",
        x.dims()[axis],
        x.shape()
    );
}

impl Tensor {
    #[track_caller]
    fn check_index_kind(&self, operation: &str, index: &Tensor) {
        assert!(
            index.dtype() == DType::I32,
            "{operation}: the index must be i32, not {}",
            index.dtype()
        );
        assert!(
            index.device() == self.device(),
            "{operation}: the index is on {}, the tensor on {}",
            index.device().name(),
            self.device().name()
        );
    }

    #[track_caller]
    fn check_index(&self, operation: &str, axis: isize, index: &Tensor) -> usize {
        self.check_index_kind(operation, index);
        let a = resolve_axis(operation, axis, self.rank());
        let fits = index.rank() == self.rank()
            && (0..self.rank()).all(|i| i == a || index.dims()[i] == self.dims()[i]);
        assert!(
            fits,
            "{operation}: index {} must have the shape {} outside axis {axis}",
            index.shape(),
            self.shape()
        );
        a
    }

    /// y\[…, j, …\] = x\[…, index\[…, j, …\], …\] with the index at `axis`.
    ///
    /// # Shapes
    /// x [..., N, ...], index [..., M, ...] (I32) -> [..., M, ...]
    ///
    /// # Panics
    /// When an index is outside 0..N.
    #[doc(alias = "take_along_axis")]
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Tensor {
        self.gathered("gather", axis, index)
    }

    #[track_caller]
    fn gathered(&self, operation: &str, axis: isize, index: &Tensor) -> Tensor {
        let a = self.check_index(operation, axis, index);
        let mut outcome = Ok(());
        let y = Tensor::fresh(self.device(), self.dtype(), index.shape(), |backend, buffer| {
            outcome = backend.gather(self.view(), a, index.view(), buffer);
        });
        check_range(operation, self, a, outcome);
        y
    }

    /// The parts of an axis that `index` names, in its order and as often.
    ///
    /// # Shapes
    /// `x [..., N, ...], index [M] (I32) -> [..., M, ...]`
    ///
    /// # Panics
    /// When an index is outside 0..N.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let table = Tensor::from([[0f32, 1.0], [10.0, 11.0], [20.0, 21.0]]);
    /// let rows = table.index_select(0, &Tensor::from([2, 0]));
    /// assert_eq!(rows.to_vec::<f32>().unwrap(), [20.0, 21.0, 0.0, 1.0]);
    /// ```
    #[doc(alias("take", "embedding"))]
    #[track_caller]
    pub fn index_select(&self, axis: isize, index: &Tensor) -> Tensor {
        self.gathered("index_select", axis, &self.spread("index_select", axis, index))
    }

    /// An index [M] of whole parts of `axis` as one of each element.
    #[track_caller]
    fn spread(&self, operation: &str, axis: isize, index: &Tensor) -> Tensor {
        self.check_index_kind(operation, index);
        assert!(
            index.rank() == 1,
            "{operation}: the index has shape {}, not one axis",
            index.shape()
        );
        let a = resolve_axis(operation, axis, self.rank());
        let (mut lengthened, mut shape) = (Shape::from(vec![1; self.rank()]), self.shape());
        lengthened[a] = index.elem_count();
        shape[a] = index.elem_count();
        index.reshape(lengthened).broadcast_to(shape)
    }

    /// y = x, then y\[…, index\[…, j, …\], …\] += source\[…, j, …\] with the index at `axis`, the
    /// reverse of [`gather`](Tensor::gather). Repeated indices add up.
    ///
    /// # Shapes
    /// x [..., N, ...], index and source [..., M, ...] -> [..., N, ...]
    ///
    /// # Panics
    /// When an index is outside 0..N.
    #[track_caller]
    pub fn scatter_add(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        check_same("scatter_add", self, source);
        assert!(
            index.shape() == source.shape(),
            "scatter_add: index {} and source {} differ in shape",
            index.shape(),
            source.shape()
        );
        self.scattered("scatter_add", axis, index, source)
    }

    #[track_caller]
    fn scattered(&self, operation: &str, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let a = self.check_index(operation, axis, index);
        let (mut out, mut outcome) = (self.copy(), Ok(()));
        out.with_buffer_mut(|backend, buffer| {
            outcome = backend.scatter_add(buffer, self.dims(), a, index.view(), source.view());
        });
        check_range(operation, self, a, outcome);
        out
    }

    /// y = x, then y\[…, index\[j\], …\] += source\[…, j, …\] along `axis`: whole parts at once, the
    /// reverse of [`index_select`](Tensor::index_select).
    ///
    /// # Shapes
    /// `x [..., N, ...], index [M] (I32), source [..., M, ...] -> [..., N, ...]`
    ///
    /// # Panics
    /// When an index is outside 0..N.
    #[track_caller]
    pub fn index_add(&self, axis: isize, index: &Tensor, source: &Tensor) -> Tensor {
        let index = self.spread("index_add", axis, index);
        check_same("index_add", self, source);
        assert!(
            source.shape() == index.shape(),
            "index_add: source {} must have the shape {}",
            source.shape(),
            index.shape()
        );
        self.scattered("index_add", axis, &index, source)
    }

    /// A last axis of `n_classes` that is 1 at the class and 0 elsewhere; all 0 for a class outside
    /// `0..n_classes`.
    ///
    /// # Shapes
    /// classes [...] (I32) -> [..., N]
    ///
    /// # Panics
    /// When the classes are not I32, or `n_classes` exceeds its range.
    #[track_caller]
    pub fn one_hot(&self, n_classes: usize, dtype: DType) -> Tensor {
        assert!(self.dtype() == DType::I32, "one_hot: classes must be i32, not {}", self.dtype());
        let Ok(n) = i32::try_from(n_classes) else {
            panic!("one_hot: {n_classes} classes exceed the range of i32")
        };
        let classes: Vec<i32> = (0..n).collect();
        let classes = Tensor::from_slice_on(&classes, [n_classes], self.device());
        let hot = Tensor::evaluate(formula!(|x, c| x.eq(c)), &[&self.unsqueeze(-1), &classes], &[]);
        hot.to_dtype(dtype)
    }
}
