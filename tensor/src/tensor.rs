//! The tensor: a layout over a shared buffer.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, Buffer, Target, View};
use crate::shape::resolve_axis;
use crate::{DType, Device, Element, Formula, Layout, Result, Shape, formula};

/// An n-dimensional array of numbers: a strided [`Layout`] over a reference-counted [`Buffer`].
///
/// `clone`, `transpose`, `slice`, `broadcast_to` and the other views copy nothing. Values never
/// change under a handle: operations make new tensors, and [`Tensor::update`], which overwrites,
/// writes to a new buffer when anyone else holds the old one.
///
/// # Example
/// ```
/// use plies_tensor::Tensor;
/// let x = Tensor::from([[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(x.t().dims(), [3, 2]);
/// assert_eq!(x.matmul(&x.t()).to_vec::<f32>().unwrap(), [14.0, 32.0, 32.0, 77.0]);
/// assert_eq!((&x * 2.0).sum(&[0], false).to_vec::<f32>().unwrap(), [10.0, 14.0, 18.0]);
/// ```
///
/// A tensor is one pointer, cheap to clone, to move and to keep.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

struct Inner {
    layout: Layout,
    elements: Elements,
}

/// Whose buffer it is. A fresh tensor holds layout and buffer in one piece.
enum Elements {
    Own(Buffer),
    /// That of the tensor this one is a view of, itself no view.
    Of(Tensor),
}

/// Making tensors.
impl Tensor {
    /// A fresh row-major tensor whose elements `fill` writes.
    #[track_caller]
    pub(crate) fn fresh(
        device: &Device,
        dtype: DType,
        shape: Shape,
        fill: impl FnOnce(&dyn Backend, &mut Buffer),
    ) -> Tensor {
        let mut buffer = Buffer::allocate(device, dtype, &shape);
        if !buffer.is_empty() {
            fill(device.backend(), &mut buffer);
        }
        Tensor::from_buffer(buffer, shape)
    }

    /// A row-major tensor of a whole buffer.
    pub(crate) fn from_buffer(buffer: Buffer, shape: Shape) -> Tensor {
        debug_assert_eq!(buffer.len(), shape.elem_count());
        Tensor::with_buffer(buffer, &Layout::contiguous(shape))
    }

    #[inline]
    fn with_buffer(buffer: Buffer, layout: &Layout) -> Tensor {
        Tensor(Arc::new(Inner { layout: *layout, elements: Elements::Own(buffer) }))
    }

    /// Copies a slice in row-major order.
    ///
    /// # Panics
    /// When the number of elements is not that of `dims`.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], dims: impl Into<Shape>) -> Tensor {
        Self::from_slice_on(data, dims, &Device::cpu())
    }

    /// Copies a slice in row-major order to a device.
    ///
    /// # Panics
    /// When the number of elements is not that of `dims`.
    #[track_caller]
    pub fn from_slice_on<T: Element>(
        data: &[T],
        dims: impl Into<Shape>,
        device: &Device,
    ) -> Tensor {
        let shape = dims.into();
        assert!(
            shape.checked_elem_count() == Some(data.len()),
            "from_slice: {} elements do not fill shape {shape}",
            data.len()
        );
        Tensor::fresh(device, T::DTYPE, shape, |backend, buffer| {
            backend.write(buffer, bytemuck::cast_slice(data));
        })
    }

    /// A tensor of the vector's elements in row-major order.
    ///
    /// # Panics
    /// When the number of elements is not that of `dims`.
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, dims: impl Into<Shape>) -> Tensor {
        Self::from_slice(&data, dims)
    }

    /// A scalar: rank 0, one element.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Self::from_slice(&[value], Shape::SCALAR)
    }

    /// Every element the same.
    ///
    /// # Panics
    /// When the dtype is I32 and `value` is no integer in its range.
    #[track_caller]
    pub fn full(dims: impl Into<Shape>, value: f64, dtype: DType, device: &Device) -> Tensor {
        let shape = dims.into();
        dtype.check_holds("full", value);
        Tensor::fresh(device, dtype, shape, |backend, buffer| {
            let layout = &Layout::contiguous(shape);
            backend.map(formula!(|; c| c), &[], &[value], &mut [Target { buffer, layout }], false);
        })
    }

    /// Every element 0.
    #[track_caller]
    pub fn zeros(dims: impl Into<Shape>, dtype: DType, device: &Device) -> Tensor {
        Self::full(dims, 0.0, dtype, device)
    }

    /// Every element 1.
    #[track_caller]
    pub fn ones(dims: impl Into<Shape>, dtype: DType, device: &Device) -> Tensor {
        Self::full(dims, 1.0, dtype, device)
    }

    /// Every element `value`, otherwise like this tensor.
    #[track_caller]
    pub fn full_like(&self, value: f64) -> Tensor {
        Self::full(self.shape(), value, self.dtype(), self.device())
    }

    /// Every element 0, otherwise like this tensor.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Every element 1, otherwise like this tensor.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// `[0, 1, …, n-1]` as I32.
    ///
    /// # Panics
    /// When `n` exceeds the range of I32.
    #[track_caller]
    pub fn arange(n: usize) -> Tensor {
        let Ok(end) = i32::try_from(n) else { panic!("arange: {n} exceeds the range of i32") };
        Self::from_vec((0..end).collect::<Vec<i32>>(), [n])
    }

    /// `n` equally spaced numbers from `start` to `end`, both included.
    #[track_caller]
    pub fn linspace(start: f64, end: f64, n: usize, dtype: DType) -> Tensor {
        let step = if n > 1 { (end - start) / (n - 1) as f64 } else { 0.0 };
        let at = |i: usize| if i + 1 == n && n > 1 { end } else { start + step * i as f64 };
        let mut values = Vec::new();
        assert!(values.try_reserve_exact(n).is_ok(), "linspace: no memory for {n} elements");
        values.extend((0..n).map(at));
        Self::from_vec::<f64>(values, [n]).to_dtype(dtype)
    }

    /// The identity matrix `[n, n]`.
    #[track_caller]
    pub fn eye(n: usize, dtype: DType) -> Tensor {
        Self::arange(n).one_hot(n, dtype)
    }
}

/// Looking at tensors.
impl Tensor {
    /// Dimensions, outermost first.
    #[doc(alias = "size")]
    #[inline]
    pub fn dims(&self) -> &[usize] {
        self.layout().dims()
    }

    /// Dimensions as a [`Shape`].
    #[inline]
    pub fn shape(&self) -> Shape {
        self.layout().shape()
    }

    /// Size of one axis, which may count from the end.
    #[track_caller]
    pub fn dim(&self, axis: isize) -> usize {
        self.dims()[resolve_axis("dim", axis, self.rank())]
    }

    /// Number of axes.
    #[doc(alias = "ndim")]
    #[inline]
    pub fn rank(&self) -> usize {
        self.layout().rank()
    }

    /// Number of elements.
    #[doc(alias = "numel")]
    #[inline]
    pub fn elem_count(&self) -> usize {
        self.layout().elem_count()
    }

    /// Type of the elements.
    #[inline]
    pub fn dtype(&self) -> DType {
        self.buffer().dtype()
    }

    /// Where the elements are.
    #[inline]
    pub fn device(&self) -> &Device {
        self.buffer().device()
    }

    /// Dimensions, strides and offset.
    #[inline]
    pub fn layout(&self) -> &Layout {
        &self.0.layout
    }

    #[inline]
    fn buffer(&self) -> &Buffer {
        match &self.0.elements {
            Elements::Own(buffer) => buffer,
            Elements::Of(whole) => whole.buffer(),
        }
    }

    /// Whether somebody else holds the elements.
    pub(crate) fn is_shared(&self) -> bool {
        let whole_is = match &self.0.elements {
            Elements::Own(_) => false,
            Elements::Of(whole) => whole.is_shared(),
        };
        whole_is || Arc::strong_count(&self.0) > 1
    }

    /// The elements, to be written; `None` when somebody else holds them.
    pub(crate) fn target(&mut self) -> Option<Target<'_>> {
        let Inner { layout, elements } = Arc::get_mut(&mut self.0)?;
        match elements {
            Elements::Own(buffer) => Some(Target { buffer, layout }),
            Elements::Of(whole) => Some(Target { layout, ..whole.target()? }),
        }
    }

    /// Whether the elements lie row-major without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.layout().is_contiguous()
    }

    /// Whether both tensors are views of one buffer.
    pub fn shares_buffer_with(&self, other: &Tensor) -> bool {
        std::ptr::eq(self.buffer(), other.buffer())
    }

    /// The elements in row-major order on the host.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When `T` is not the tensor's dtype.
    #[doc(alias = "tolist")]
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        assert!(
            T::DTYPE == self.dtype(),
            "to_vec: the tensor holds {}, not {}; cast with to_dtype",
            self.dtype(),
            T::DTYPE
        );
        let packed = self.contiguous();
        let mut out = vec![T::default(); packed.elem_count()];
        if !out.is_empty() {
            let bytes = bytemuck::cast_slice_mut(&mut out);
            packed.device().backend().read(packed.buffer(), packed.layout().offset(), bytes)?;
        }
        Ok(out)
    }

    /// The elements in row-major order as F64, of any dtype. They are converted on the host: not every device has
    /// F64.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::Tensor;
    /// assert_eq!(Tensor::from([[1, 2], [3, 4]]).t().to_f64_vec()?, [1.0, 3.0, 2.0, 4.0]);
    /// # plies_tensor::Result::Ok(())
    /// ```
    pub fn to_f64_vec(&self) -> Result<Vec<f64>> {
        Ok(match self.dtype() {
            DType::F32 => self.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
            DType::F64 => self.to_vec()?,
            DType::I32 => self.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        })
    }

    /// The value of a tensor with one element, of any dtype and rank.
    ///
    /// # Errors
    /// A fault of the device.
    ///
    /// # Panics
    /// When there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> Result<f64> {
        assert!(
            self.elem_count() == 1,
            "item: shape {} has {} elements, not 1",
            self.shape(),
            self.elem_count()
        );
        Ok(self.to_f64_vec()?[0])
    }

    /// The same elements, row-major without gaps; itself when it is so already.
    #[track_caller]
    pub fn contiguous(&self) -> Tensor {
        if self.is_contiguous() {
            return self.clone();
        }
        self.copy()
    }

    /// A copy with a buffer of its own.
    #[track_caller]
    pub(crate) fn copy(&self) -> Tensor {
        Self::evaluate(formula!(|x| x), &[self], &[])
    }

    /// Converts the elements: floats to I32 truncate towards zero and saturate, NaN becomes 0.
    #[doc(alias("astype", "cast"))]
    #[track_caller]
    pub fn to_dtype(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        Tensor::fresh(self.device(), dtype, self.shape(), |backend, buffer| {
            backend.cast(self.view(), buffer);
        })
    }

    /// Copies to another device through the host; itself when it is there already.
    ///
    /// # Errors
    /// A fault of the source device.
    #[track_caller]
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if device == self.device() {
            return Ok(self.clone());
        }
        let packed = self.contiguous();
        let mut bytes = vec![0u8; packed.elem_count() * self.dtype().size_in_bytes()];
        if !bytes.is_empty() {
            self.device().backend().read(packed.buffer(), packed.layout().offset(), &mut bytes)?;
        }
        Ok(Tensor::fresh(device, self.dtype(), self.shape(), |backend, buffer| {
            backend.write(buffer, &bytes);
        }))
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { buffer: self.buffer(), layout: self.layout() }
    }

    /// The view broadcast to `shape`; `broadcast` keeps the layout that this may need.
    pub(crate) fn view_as<'a>(
        &'a self,
        shape: &Shape,
        broadcast: &'a OnceCell<Layout>,
    ) -> View<'a> {
        let layout = if self.layout().as_shape() == shape {
            self.layout()
        } else {
            broadcast.get_or_init(|| self.layout().broadcast_to(*shape))
        };
        View { buffer: self.buffer(), layout }
    }

    /// Lends the buffer of a tensor that nobody shares.
    pub(crate) fn with_buffer_mut(&mut self, write: impl FnOnce(&dyn Backend, &mut Buffer)) {
        let device = self.device().clone();
        if let Some(Target { buffer, .. }) = self.target() {
            write(device.backend(), buffer);
        } else {
            debug_assert!(false, "with_buffer_mut: the buffer is shared");
        }
    }

    /// Lends the buffers of row-major tensors that nobody shares.
    pub(crate) fn with_buffers_mut(
        tensors: Vec<Tensor>,
        write: impl FnOnce(&mut [Buffer]),
    ) -> Vec<Tensor> {
        let shapes: Vec<Shape> = tensors.iter().map(Tensor::shape).collect();
        let take = |tensor: Tensor| match Arc::into_inner(tensor.0)?.elements {
            Elements::Own(buffer) => Some(buffer),
            Elements::Of(_) => None,
        };
        let n = tensors.len();
        let mut buffers: Vec<Buffer> = tensors.into_iter().filter_map(take).collect();
        debug_assert!(buffers.len() == n, "with_buffers_mut: a buffer is shared");
        write(&mut buffers);
        buffers.into_iter().zip(shapes).map(|(b, shape)| Tensor::from_buffer(b, shape)).collect()
    }

    pub(crate) fn with_layout(&self, layout: Layout) -> Tensor {
        let whole = match &self.0.elements {
            Elements::Own(_) => self,
            Elements::Of(whole) => whole,
        };
        Tensor(Arc::new(Inner { layout, elements: Elements::Of(whole.clone()) }))
    }
}

/// Formulas over tensors.
impl Tensor {
    /// One pass of a one-output formula over broadcast inputs.
    #[track_caller]
    pub(crate) fn evaluate(formula: &Formula, inputs: &[&Tensor], scalars: &[f64]) -> Tensor {
        assert!(formula.n_outputs() == 1, "map: {} outputs; use map_several", formula.n_outputs());
        let (joint, other) = (OnceCell::new(), OnceCell::new());
        let shape = check_operands(formula, inputs, scalars, &joint);
        // Mostly an operand has the result's layout already.
        let layout = match inputs.iter().find(|x| x.layout().is_row_major(shape)) {
            Some(x) => x.layout(),
            None => other.get_or_init(|| Layout::contiguous(*shape)),
        };
        let device = inputs[0].device();
        let mut buffer = Buffer::allocate(device, inputs[0].dtype(), shape);
        if !buffer.is_empty() {
            let mut targets = [Target { buffer: &mut buffer, layout }];
            with_views(inputs, shape, |views| {
                device.backend().map(formula, views, scalars, &mut targets, false);
            });
        }
        Tensor::with_buffer(buffer, layout)
    }

    /// One pass of a formula with several outputs over broadcast inputs, such as the gates of a
    /// recurrent cell.
    ///
    /// # Panics
    /// When shapes do not broadcast, or dtypes or devices differ.
    #[track_caller]
    pub fn map_several(formula: &Formula, inputs: &[&Tensor], scalars: &[f64]) -> Vec<Tensor> {
        let joint = OnceCell::new();
        let shape = check_operands(formula, inputs, scalars, &joint);
        let (device, dtype) = (inputs[0].device(), inputs[0].dtype());
        let layout = Layout::contiguous(*shape);
        let mut buffers = Vec::with_capacity(formula.n_outputs());
        for _ in 0..formula.n_outputs() {
            buffers.push(Buffer::allocate(device, dtype, shape));
        }
        if shape.elem_count() > 0 {
            let mut targets: Vec<Target<'_>> =
                buffers.iter_mut().map(|buffer| Target { buffer, layout: &layout }).collect();
            with_views(inputs, shape, |views| {
                device.backend().map(formula, views, scalars, &mut targets, false);
            });
        }
        buffers.into_iter().map(|buffer| Tensor::with_buffer(buffer, &layout)).collect()
    }

    /// Overwrites the targets with the formula's outputs in one pass. The formula's first inputs
    /// are the targets' old values, then come `inputs`, broadcast to the targets' shape.
    ///
    /// Where another tensor holds the same buffer the targets get new ones, so nobody else sees the
    /// change.
    ///
    /// # Panics
    /// When targets differ in shape, inputs do not broadcast to it, or dtypes or devices differ.
    ///
    /// # Example
    /// ```
    /// use plies_tensor::{Tensor, formula};
    /// let mut weight = Tensor::from([1f32, 2.0]);
    /// let before = weight.clone();
    /// let gradient = Tensor::from([10f32, -10.0]);
    /// let step = formula!(|w, g; lr| w - lr * g);
    /// Tensor::update(&mut [&mut weight], step, &[&gradient], &[0.5]);
    /// assert_eq!(weight.to_vec::<f32>().unwrap(), [-4.0, 7.0]);
    /// assert_eq!(before.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    /// ```
    #[track_caller]
    pub fn update(
        targets: &mut [&mut Tensor],
        formula: &Formula,
        inputs: &[&Tensor],
        scalars: &[f64],
    ) {
        assert!(
            formula.n_outputs() == targets.len(),
            "update: {} targets, the formula has {} outputs",
            targets.len(),
            formula.n_outputs()
        );
        let all: Vec<&Tensor> =
            targets.iter().map(|t| &**t).chain(inputs.iter().copied()).collect();
        let joint = OnceCell::new();
        let joint = check_operands(formula, &all, scalars, &joint);
        let shape = &targets[0].shape();
        for target in targets.iter() {
            assert!(
                target.shape() == *shape,
                "update: targets of shapes {shape} and {}",
                target.shape()
            );
        }
        assert!(joint == shape, "update: inputs of shape {joint} for targets of shape {shape}");
        if shape.elem_count() == 0 {
            return;
        }
        let keeps = |t: &&mut Tensor| t.is_shared() || t.layout().strides().contains(&0);
        if targets.iter().any(keeps) {
            let fresh = Tensor::map_several(formula, &all, scalars);
            targets.iter_mut().zip(fresh).for_each(|(target, fresh)| **target = fresh);
            return;
        }
        let device = targets[0].device().clone();
        let mut places: Vec<Target<'_>> = targets.iter_mut().filter_map(|t| t.target()).collect();
        with_views(inputs, shape, |views| {
            device.backend().map(formula, views, scalars, &mut places, true);
        });
    }
}

/// Checks arity, dtypes and devices; returns the common shape, which `joint` keeps where no operand
/// has it.
#[track_caller]
pub(crate) fn check_operands<'a>(
    formula: &Formula,
    inputs: &[&'a Tensor],
    scalars: &[f64],
    joint: &'a OnceCell<Shape>,
) -> &'a Shape {
    formula.check_arity(inputs.len(), scalars.len());
    let Some(first) = inputs.first() else {
        panic!("{formula}: a formula without inputs has no shape; use Tensor::full")
    };
    let mut all_equal = true;
    for input in &inputs[1..] {
        check_same(formula, first, input);
        all_equal &= input.layout().as_shape() == first.layout().as_shape();
    }
    if first.dtype() == DType::I32 {
        formula.check_integer(scalars);
    }
    if all_equal {
        return first.layout().as_shape();
    }
    let mut shape = first.shape();
    for input in &inputs[1..] {
        shape = match shape.broadcast(&input.shape()) {
            Some(shape) => shape,
            None => panic!(
                "{formula}: shapes {shape} and {} do not broadcast; axes align at the end and \
                 must be equal or 1",
                input.shape()
            ),
        };
    }
    joint.get_or_init(|| shape)
}

/// Checks that two operands have one dtype and one device.
#[track_caller]
pub(crate) fn check_same(operation: impl fmt::Display, a: &Tensor, b: &Tensor) {
    assert!(
        a.dtype() == b.dtype(),
        "{operation}: dtypes {} and {} differ; cast with to_dtype",
        a.dtype(),
        b.dtype()
    );
    assert!(
        a.shares_buffer_with(b) || a.device() == b.device(),
        "{operation}: tensors on {} and {}; move with to_device",
        a.device().name(),
        b.device().name()
    );
}

/// Calls `f` with the inputs broadcast to `shape`. Up to three, which is what nearly all formulas
/// have, need no list on the heap.
#[track_caller]
pub(crate) fn with_views<R>(
    inputs: &[&Tensor],
    shape: &Shape,
    f: impl FnOnce(&[View<'_>]) -> R,
) -> R {
    let cells = [const { OnceCell::new() }; 3];
    match (inputs, &cells) {
        ([x], [p, ..]) => f(&[x.view_as(shape, p)]),
        ([x, y], [p, q, _]) => f(&[x.view_as(shape, p), y.view_as(shape, q)]),
        ([x, y, z], [p, q, r]) => {
            f(&[x.view_as(shape, p), y.view_as(shape, q), z.view_as(shape, r)])
        }
        _ => {
            let cells = vec![OnceCell::new(); inputs.len()];
            let views = inputs.iter().zip(&cells).map(|(x, cell)| x.view_as(shape, cell));
            f(&views.collect::<Vec<_>>())
        }
    }
}
