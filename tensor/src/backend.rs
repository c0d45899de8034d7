//! What a device must be able to do. The trait is object-safe and narrow: everything in
//! [`Tensor`](crate::Tensor) is checked there and composed from these methods, so a backend is
//! some twenty loops (or kernels) and no shape rules.

use std::any::Any;
use std::fmt;

use crate::cpu::{Memory, out_of_memory};
use crate::recurrence::by_definition;
use crate::{DType, Device, Formula, Layout, Recurrence, Result, Shape};

/// Elements on a device, without a shape. The backend that allocated the memory is the only one
/// that knows its form.
pub struct Buffer {
    device: Device,
    dtype: DType,
    len: usize,
    memory: Owned,
}

/// What a backend allocated. The processor's needs no box.
enum Owned {
    Cpu(Memory),
    Other(Box<dyn Any + Send + Sync>),
}

impl Buffer {
    /// Allocates the elements of a shape on `device`, their values unspecified.
    ///
    /// Not public: a backend that put a buffer of its own in a target's place would change what the
    /// tensor's layout was checked against.
    ///
    /// # Panics
    /// When there is not so much memory.
    #[track_caller]
    #[inline]
    pub(crate) fn allocate(device: &Device, dtype: DType, shape: &Shape) -> Self {
        let len = shape.elem_count();
        let memory = match device.is_cpu() {
            true => match Memory::of_elements(dtype, len) {
                Some(memory) => Owned::Cpu(memory),
                None => out_of_memory(format_args!("allocate: shape {shape}"), dtype, len),
            },
            false => {
                let name = device.name();
                assert!(device.supports(dtype), "{name} has no {dtype}; cast with to_dtype first");
                Owned::Other(device.backend().allocate(dtype, len))
            }
        };
        Buffer { device: device.clone(), dtype, len, memory }
    }

    /// The device that owns the memory.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The backend's own memory type.
    ///
    /// # Panics
    /// When the buffer belongs to another backend.
    #[track_caller]
    pub fn memory<M: 'static>(&self) -> &M {
        let memory: &dyn Any = match &self.memory {
            Owned::Cpu(memory) => memory,
            Owned::Other(memory) => &**memory,
        };
        match memory.downcast_ref() {
            Some(memory) => memory,
            None => panic!("buffer of device {} used on another device", self.device.name()),
        }
    }

    /// The backend's own memory type, to be written.
    ///
    /// # Panics
    /// When the buffer belongs to another backend.
    #[track_caller]
    pub fn memory_mut<M: 'static>(&mut self) -> &mut M {
        let memory: &mut dyn Any = match &mut self.memory {
            Owned::Cpu(memory) => memory,
            Owned::Other(memory) => &mut **memory,
        };
        match memory.downcast_mut() {
            Some(memory) => memory,
            None => panic!("buffer of device {} used on another device", self.device.name()),
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} x {} on {})", self.len, self.dtype, self.device.name())
    }
}

/// An operand to read: a layout over a buffer. Layouts that reach a backend stay inside their
/// buffers.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The elements.
    pub buffer: &'a Buffer,
    /// Which of them, in which order.
    pub layout: &'a Layout,
}

/// A place to write. Its layout visits no element twice.
#[derive(Debug)]
pub struct Target<'a> {
    /// The elements, which nobody else can see while they are written.
    pub buffer: &'a mut Buffer,
    /// Which of them, in which order.
    pub layout: &'a Layout,
}

/// What happens in the rows of a target that an update by rows does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtherRows {
    /// Nothing.
    Stay,
    /// The same as in the others, with inputs that are 0.
    HaveZeros,
}

/// How a reduction joins elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Σ x, 0 over nothing. The error must not grow with the number of elements as a running sum's
    /// does: pairwise, compensated or wider accumulation.
    Sum,
    /// Π x, 1 over nothing.
    Prod,
    /// The largest; NaN when any is NaN.
    Max,
    /// The smallest; NaN when any is NaN.
    Min,
}

/// Which position an arg-reduction looks for; the first of equals, and the first NaN if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgReduce {
    /// Position of the largest.
    Max,
    /// Position of the smallest.
    Min,
}

/// A standard distribution that random elements are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Uniform in [0, 1): multiples of 2⁻²⁴ in F32, of 2⁻⁵³ in F64.
    Uniform,
    /// Normal with mean 0 and variance 1, by the Box–Muller transform.
    Normal,
}

/// The nested loops of a contraction: how many of them, from the outside, play which part. A matrix
/// product has one of each but the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contraction {
    /// In both operands and the result: images, groups.
    pub batch: usize,
    /// In the first operand and the result.
    pub rows: usize,
    /// In both operands: these are summed over.
    pub inner: usize,
    /// In the second operand and the result.
    pub columns: usize,
    /// Whether the sums are added to what is there. Only then may the result's layout visit an
    /// element several times, within one place of the batch; all that arrives there is added.
    pub add: bool,
}

/// Windows that move over the last two axes of a tensor, rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Size of a window.
    pub size: [usize; 2],
    /// From one window to the next.
    pub stride: [usize; 2],
    /// How far the first window begins outside.
    pub padding: [usize; 2],
    /// How many windows there are.
    pub count: [usize; 2],
}

/// An element of an index that names nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// What it is.
    pub index: i32,
    /// Where it stands in the index, a number for each axis; the first if there are several.
    pub position: Vec<usize>,
}

/// Element-wise work on a matrix product, done with it, where a backend can while it is in cache.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Input 0 is the product, the others are `inputs`; one output.
    pub formula: &'a Formula,
    /// Further operands, broadcast to the product's shape.
    pub inputs: &'a [View<'a>],
    /// The formula's scalars.
    pub scalars: &'a [f64],
}

/// Bytes of a device's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Held by live tensors now.
    pub in_use: usize,
    /// The largest value of `in_use` so far.
    pub peak: usize,
    /// Kept aside for the next tensors.
    pub cached: usize,
}

/// Waits for the elements that [`Backend::begin_read`] asked for, and copies them to host memory.
pub type PendingRead = Box<dyn FnOnce(&mut [u8]) -> Result<()> + Send>;

/// [`Backend::map_rows`] by [`Backend::map`].
fn map_each_row<B: Backend + ?Sized>(
    backend: &B,
    formula: &Formula,
    rows: &[usize],
    others: OtherRows,
    inputs: &[View<'_>],
    scalars: &[f64],
    targets: &mut [Target<'_>],
) {
    let Target { buffer, layout } = &targets[0];
    let (device, dtype) = (buffer.device().clone(), buffer.dtype());
    let height = layout.dims()[0];
    let mut zero = Buffer::allocate(&device, dtype, &Shape::SCALAR);
    backend.write(&mut zero, &vec![0; dtype.size_in_bytes()]);
    let zeros = Layout::contiguous(Shape::SCALAR).broadcast_to(layout.select(0, 0).shape());
    let mut left = rows.iter().enumerate().peekable();
    for row in 0..height {
        let named = left.next_if(|&(_, &named)| named == row);
        if named.is_none() && others == OtherRows::Stay {
            continue;
        }
        let layouts: Vec<Layout> = match named {
            Some((i, _)) => inputs.iter().map(|view| view.layout.select(0, i)).collect(),
            None => vec![zeros; inputs.len()],
        };
        let both = inputs.iter().zip(&layouts);
        let views: Vec<View<'_>> = both
            .map(|(view, layout)| match named {
                Some(_) => View { buffer: view.buffer, layout },
                None => View { buffer: &zero, layout },
            })
            .collect();
        let layouts: Vec<Layout> = targets.iter().map(|t| t.layout.select(0, row)).collect();
        let both = targets.iter_mut().zip(&layouts);
        let mut targets: Vec<Target<'_>> =
            both.map(|(target, layout)| Target { buffer: &mut *target.buffer, layout }).collect();
        backend.map(formula, &views, scalars, &mut targets, true);
    }
}

/// A device's implementation of the operations.
///
/// Callers guarantee: all operands are on this device; dtypes agree unless stated; layouts are in
/// bounds; views that share an iteration have equal dimensions (broadcast by stride 0); a written
/// buffer is not also read, except through `in_place`. `out` buffers are row-major and exactly as
/// large as the result.
///
/// Implementations rely on that, the CPU with pointers. So a [`Device`] does not give out its backend, and
/// nobody outside this crate can make a [`Buffer`]: the only way to a device's backend is through the
/// checks of [`Tensor`](crate::Tensor).
///
/// ```compile_fail,E0624
/// plies_tensor::Device::cpu().backend();
/// ```
/// ```compile_fail,E0624
/// use plies_tensor::{Buffer, DType, Device};
/// Buffer::allocate(&Device::cpu(), DType::F32, &[1].into());
/// ```
///
/// A backend proves itself by `testing::conformance(&device)` (feature `testing`).
pub trait Backend: Send + Sync + 'static {
    /// The device's name, unique in the process, such as `cpu` or the adapter's name.
    fn name(&self) -> &str;

    /// Whether the device has elements of this type. It is asked for no others.
    fn supports(&self, dtype: DType) -> bool {
        let _ = dtype;
        true
    }

    /// Memory for `len` elements, values unspecified; dropping it gives it back.
    fn allocate(&self, dtype: DType, len: usize) -> Box<dyn Any + Send + Sync>;

    /// Copies host bytes (native endian) to the whole of `target`.
    fn write(&self, target: &mut Buffer, bytes: &[u8]);

    /// Copies elements from index `start` on to host memory, waiting for the device.
    ///
    /// # Errors
    /// A fault of an earlier operation or of the device itself surfaces here.
    fn read(&self, source: &Buffer, start: usize, bytes: &mut [u8]) -> Result<()>;

    /// Begins to copy `len` elements from index `start` on to host memory, without waiting for the device;
    /// nothing that is asked for later changes them. `None` where a [`read`](Backend::read) does not wait.
    fn begin_read(&self, source: &Buffer, start: usize, len: usize) -> Option<PendingRead> {
        let _ = (source, start, len);
        None
    }

    /// Evaluates `formula` at every element of the targets' common dimensions. With `in_place` the
    /// formula's first inputs are the targets' own old values, in order, and `inputs` follow.
    fn map(
        &self,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
        in_place: bool,
    );

    /// Evaluates `formula` in place at row `rows[i]` of the first axis of each target and row i of each
    /// input, and at the other rows of the targets as `others` says. The numbers ascend; targets and
    /// inputs are row-major, and equal in all dimensions but the first; the formula reduces no rows.
    ///
    /// Unless a backend knows better this is a [`map`](Backend::map) for each row.
    fn map_rows(
        &self,
        formula: &Formula,
        rows: &[usize],
        others: OtherRows,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
    ) {
        map_each_row(self, formula, rows, others, inputs, scalars, targets);
    }

    /// Joins the values of a one-output `formula` over the axes marked in `axes`; the other axes
    /// keep their order in `out`.
    fn reduce(
        &self,
        op: Reduce,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        axes: &[bool],
        out: &mut Buffer,
    );

    /// Positions of extremes along a non-empty `axis`, as I32.
    fn arg_reduce(&self, op: ArgReduce, input: View<'_>, axis: usize, out: &mut Buffer);

    /// Running sums along `axis`.
    fn cumsum(&self, input: View<'_>, axis: usize, out: &mut Buffer);

    /// The first `k` elements of each line along `axis` in ascending or descending order, and where
    /// they stood (I32). Equal elements keep their order; NaN counts as larger than every number.
    fn sort(
        &self,
        input: View<'_>,
        axis: usize,
        descending: bool,
        k: usize,
        values: &mut Buffer,
        indices: &mut Buffer,
    );

    /// `out[…, M, N] = a[…, M, K] · b[…, K, N]`, leading dimensions equal (broadcast by stride 0).
    /// Any strides are allowed: transposed operands are packed, not copied first.
    fn matmul(&self, a: View<'_>, b: View<'_>, epilogue: Option<Epilogue<'_>>, out: &mut Buffer);

    /// `out[batch, rows, columns] = Σ a[batch, rows, inner] · b[batch, inner, columns]`, each word a
    /// group of axes. All layouts, those of the epilogue's inputs too, have the dimensions of all
    /// the loops in the order of [`Contraction`], with stride 0 along those that they do not depend
    /// on. Elements may be visited many times: a convolution reads windows that overlap, and the
    /// gradient of its input adds to them.
    fn contract(
        &self,
        loops: Contraction,
        a: View<'_>,
        b: View<'_>,
        epilogue: Option<Epilogue<'_>>,
        out: Target<'_>,
    );

    /// Applies a cell along sequences. `states` [B, ...] hold the values before the first step and
    /// then those after the last; `kept` [R, ...] are written. All are row-major.
    ///
    /// What a step does, and what this method does unless a backend knows better, is told at
    /// [`Recurrence`]: one product and one map for each step of each sequence.
    fn recur(&self, recurrence: &Recurrence<'_>, states: &mut [Buffer], kept: &mut [Buffer]) {
        by_definition(self, recurrence, states, kept);
    }

    /// `out[i, …, j, …] = input[i, …, index[i, …, j, …], …]` with the index at `axis`; `out` has the
    /// dimensions of `index` (I32), which equal the input's except at `axis`.
    ///
    /// # Errors
    /// A backend that can check says which index is out of range, and the operation reports it; one
    /// that cannot must not read outside the buffer.
    fn gather(
        &self,
        input: View<'_>,
        axis: usize,
        index: View<'_>,
        out: &mut Buffer,
    ) -> std::result::Result<(), OutOfRange>;

    /// `target[i, …, index[i, …, j, …], …] += source[i, …, j, …]`, the reverse of gather, over a
    /// row-major target of dimensions `dims`. Repeated indices add up in row-major order of the
    /// source, so that the result does not depend on the number of threads.
    ///
    /// # Errors
    /// As [`gather`](Backend::gather).
    fn scatter_add(
        &self,
        target: &mut Buffer,
        dims: &[usize],
        axis: usize,
        index: View<'_>,
        source: View<'_>,
    ) -> std::result::Result<(), OutOfRange>;

    /// The largest element of each window over the last two axes of a row-major input, and its
    /// position in its plane of H rows and W columns, row · W + column, as I32: the first of equals,
    /// and the first NaN if any. What is outside the plane is not part of a window; each window has
    /// an element inside.
    fn max_pool(
        &self,
        input: View<'_>,
        windows: Windows,
        values: &mut Buffer,
        positions: &mut Buffer,
    );

    /// Fills `out` from Philox4x32-10 with the key `seed`, starting at counter `block`: the element
    /// at position i depends on (seed, block, i) only.
    fn random(&self, distribution: Distribution, seed: u64, block: u64, out: &mut Buffer);

    /// Converts to the dtype of `out`: floats to I32 truncate and saturate, NaN becomes 0.
    fn cast(&self, input: View<'_>, out: &mut Buffer);

    /// Memory in use, its peak, and what is cached.
    fn memory_use(&self) -> MemoryUse {
        MemoryUse::default()
    }

    /// Gives what is cached back to the system, where a backend caches.
    fn empty_cache(&self) {}

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// The first fault among that work.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
