//! Matrix products by NumPy's rules.

use std::cell::OnceCell;

use crate::backend::{Backend, Buffer, Epilogue, View};
use crate::tensor::{check_same, with_views};
use crate::{DType, Formula, Layout, Shape, Tensor};

impl Tensor {
    /// The matrix product.
    ///
    /// y\[i, j\] = Σₗ x\[i, l\] · w\[l, j\]
    ///
    /// # Shapes
    /// [..., M, K] · [..., K, N] -> [..., M, N]; the leading dimensions broadcast. A vector on the
    /// left is a row, on the right a column, and its axis disappears: `[K]` · `[K]` is a scalar.
    /// Transposed and otherwise strided operands are packed as they are, not copied first.
    ///
    /// # Panics
    /// When the inner dimensions differ, the leading ones do not broadcast, an operand is a scalar,
    /// or dtypes or devices differ.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// let x = Tensor::from([[1f32, 2.0], [3.0, 4.0]]);
    /// let y = x.matmul(&Tensor::from([1f32, -1.0]));
    /// assert_eq!(y.to_vec::<f32>().unwrap(), [-1.0, -1.0]);
    /// ```
    #[doc(alias("mm", "dot", "bmm"))]
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        self.product(other, &[], |backend, a, b, _, out| backend.matmul(a, b, None, out))
    }

    /// The matrix product followed by a formula on each element, in one operation: input 0 of the
    /// formula is the product, the others are `extra`, broadcast to its shape. A layer's bias and
    /// activation, for example.
    ///
    /// # Panics
    /// As [`matmul`](Tensor::matmul), and when `extra` does not broadcast to the product's shape.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Tensor, formula};
    /// let (x, w) = (Tensor::from([[1f32, 2.0]]), Tensor::from([[3f32], [-4.0]]));
    /// let relu = formula!(|xw, bias| (xw + bias).max(0.0));
    /// let y = x.matmul_then(&w, relu, &[&Tensor::from([1f32])], &[]);
    /// assert_eq!(y.to_vec::<f32>().unwrap(), [0.0]);
    /// ```
    #[track_caller]
    pub fn matmul_then(
        &self,
        other: &Tensor,
        formula: &Formula,
        extra: &[&Tensor],
        scalars: &[f64],
    ) -> Tensor {
        formula.check_arity(extra.len() + 1, scalars.len());
        assert!(formula.n_outputs() == 1, "matmul_then: the formula must have one output");
        if self.dtype() == DType::I32 {
            formula.check_integer(scalars);
        }
        let (row, column) = (self.rank() == 1, other.rank() == 1);
        self.product(other, extra, |backend, a, b, shape, out| {
            let run = |inputs: &[View<'_>], out| {
                backend.matmul(a, b, Some(Epilogue { formula, inputs, scalars }), out);
            };
            with_views(extra, &shape, |inputs| {
                if !row && !column {
                    return run(inputs, out);
                }
                // The backend's product still has the axes that vectors did not have.
                let with_axes = |view: &View<'_>| {
                    let layout = if column { view.layout.unsqueeze(-1) } else { *view.layout };
                    if row { layout.unsqueeze(-2) } else { layout }
                };
                let layouts: Vec<Layout> = inputs.iter().map(with_axes).collect();
                let views = inputs.iter().zip(&layouts);
                let views = views.map(|(view, layout)| View { layout, ..*view });
                run(&views.collect::<Vec<_>>(), out);
            });
        })
    }

    /// Checks shapes, also of what is broadcast to the product, makes both operands matrices of one
    /// batch, and drops the axes that vectors did not have. `run` gets the product's shape as the caller will see it.
    #[track_caller]
    fn product(
        &self,
        other: &Tensor,
        extra: &[&Tensor],
        run: impl FnOnce(&dyn Backend, View<'_>, View<'_>, Shape, &mut Buffer),
    ) -> Tensor {
        check_same("matmul", self, other);
        let (x, y) = (self.shape(), other.shape());
        assert!(
            !x.is_empty() && !y.is_empty(),
            "matmul: {x} x {y}: a scalar has no inner dimension; use * instead"
        );
        let row = (x.len() == 1).then(|| self.unsqueeze(0));
        let column = (y.len() == 1).then(|| other.unsqueeze(1));
        let (a, b) = (row.as_ref().unwrap_or(self), column.as_ref().unwrap_or(other));
        let (m, k, n) = (a.dim(-2), a.dim(-1), b.dim(-1));
        if k != b.dim(-2) {
            let hint = if k == n { "; did you mean .t()?" } else { "" };
            panic!("matmul: inner dimensions differ: {x} x {y}{hint}");
        }
        let lead = |t: &Tensor| Shape::from(&t.dims()[..t.rank() - 2]);
        let Some(batch) = lead(a).broadcast(&lead(b)) else {
            panic!("matmul: batch dimensions do not broadcast: {x} x {y}")
        };
        let with = |rows, columns| {
            let mut shape = batch;
            shape.push(rows);
            shape.push(columns);
            shape
        };
        let broadcast = [const { OnceCell::new() }; 2];
        let a = a.view_as(&with(m, k), &broadcast[0]);
        let b = b.view_as(&with(k, n), &broadcast[1]);
        let mut out = with(m, n);
        if column.is_some() {
            out.remove(out.len() - 1);
        }
        if row.is_some() {
            out.remove(batch.len());
        }
        for e in extra {
            check_same("matmul_then", self, e);
            assert!(
                e.shape().broadcast(&out) == Some(out),
                "matmul_then: {} does not broadcast to the product's shape {out}",
                e.shape()
            );
        }
        Tensor::fresh(self.device(), self.dtype(), out, |backend, buffer| {
            run(backend, a, b, out, buffer);
        })
    }
}
