//! A backend outside the crate: every operation by its definition, over lists of F64. Right, it
//! conforms; wrong, it is found out.

use std::any::Any;
use std::sync::Arc;

use plies_tensor::testing::conformance;
use plies_tensor::testing::reference::{self, Array, Sliding, for_each_index};
use plies_tensor::{
    ArgReduce, Backend, Buffer, Contraction, DType, Device, Distribution, Epilogue, Formula,
    Layout, OutOfRange, Reduce, Result, Rng, Target, Tensor, View, Windows,
};

/// With a fault, maximum and minimum are exchanged.
struct Plain {
    faulty: bool,
    has_f64: bool,
}

/// What it allocates.
type Numbers = Vec<f64>;

/// Where the element at an index lies.
fn place(layout: &Layout, at: &[usize]) -> usize {
    let steps = at.iter().zip(layout.strides()).map(|(&i, &stride)| i as isize * stride);
    (layout.offset() as isize + steps.sum::<isize>()) as usize
}

fn array(view: &View<'_>) -> Array {
    elements(view.buffer.memory(), view.layout, view.layout.dims())
}

/// The elements at the indices below `dims`.
fn elements(numbers: &Numbers, layout: &Layout, dims: &[usize]) -> Array {
    let mut data = Vec::new();
    for_each_index(dims, |at| data.push(numbers[place(layout, at)]));
    Array { dims: dims.to_vec(), data }
}

fn arrays(views: &[View<'_>]) -> Vec<Array> {
    views.iter().map(array).collect()
}

/// As the dtype holds it.
fn rounded(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(x as f32),
        DType::F64 => x,
        DType::I32 => f64::from(x as i32),
    }
}

fn set(out: &mut Buffer, numbers: &[f64]) {
    let dtype = out.dtype();
    for (to, &x) in out.memory_mut::<Numbers>().iter_mut().zip(numbers) {
        *to = rounded(x, dtype);
    }
}

/// Writes an array, broadcast to the target's dimensions.
fn set_at(target: &mut Target<'_>, layout: &Layout, x: &Array) {
    let dtype = target.buffer.dtype();
    let numbers: &mut Numbers = target.buffer.memory_mut();
    for_each_index(layout.dims(), |at| {
        numbers[place(layout, at)] = rounded(x.broadcast_at(at), dtype)
    });
}

fn evaluate(formula: &Formula, inputs: &[Array], scalars: &[f64]) -> Vec<Array> {
    reference::map_several(formula, &inputs.iter().collect::<Vec<_>>(), scalars)
}

fn along(input: View<'_>, axis: usize, length: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Numbers {
    reference::along(&array(&input), axis, length, f).data
}

impl Backend for Plain {
    fn name(&self) -> &str {
        if self.faulty { "faulty plain" } else { "plain" }
    }

    fn supports(&self, dtype: DType) -> bool {
        self.has_f64 || dtype != DType::F64
    }

    fn allocate(&self, _: DType, len: usize) -> Box<dyn Any + Send + Sync> {
        Box::new(vec![0.0; len] as Numbers)
    }

    fn write(&self, target: &mut Buffer, bytes: &[u8]) {
        let numbers: Numbers = match target.dtype() {
            DType::F32 => {
                bytemuck::pod_collect_to_vec::<u8, f32>(bytes).into_iter().map(f64::from).collect()
            }
            DType::F64 => bytemuck::pod_collect_to_vec(bytes),
            DType::I32 => {
                bytemuck::pod_collect_to_vec::<u8, i32>(bytes).into_iter().map(f64::from).collect()
            }
        };
        set(target, &numbers);
    }

    fn read(&self, source: &Buffer, start: usize, bytes: &mut [u8]) -> Result<()> {
        let numbers = source.memory::<Numbers>()[start..].iter();
        let size = source.dtype().size_in_bytes();
        for (to, &x) in bytes.chunks_exact_mut(size).zip(numbers) {
            match source.dtype() {
                DType::F32 => to.copy_from_slice(&(x as f32).to_ne_bytes()),
                DType::F64 => to.copy_from_slice(&x.to_ne_bytes()),
                DType::I32 => to.copy_from_slice(&(x as i32).to_ne_bytes()),
            }
        }
        Ok(())
    }

    fn map(
        &self,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
        in_place: bool,
    ) {
        let mut operands = Vec::new();
        if in_place {
            let old = targets.iter().map(|Target { buffer, layout }| View { buffer, layout });
            operands.extend(old.map(|view| array(&view)));
        }
        operands.extend(arrays(inputs));
        for (target, x) in targets.iter_mut().zip(evaluate(formula, &operands, scalars)) {
            set_at(target, target.layout, &x);
        }
    }

    fn reduce(
        &self,
        op: Reduce,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        axes: &[bool],
        out: &mut Buffer,
    ) {
        let op = match op {
            Reduce::Max if self.faulty => Reduce::Min,
            Reduce::Min if self.faulty => Reduce::Max,
            op => op,
        };
        let values = evaluate(formula, &arrays(inputs), scalars);
        let axes: Vec<usize> = (0..values[0].dims.len()).filter(|&axis| axes[axis]).collect();
        set(out, &reference::reduce(op, &values[0], &axes).data);
    }

    fn arg_reduce(&self, op: ArgReduce, input: View<'_>, axis: usize, out: &mut Buffer) {
        set(out, &reference::arg_reduce(op, &array(&input), axis).data);
    }

    fn cumsum(&self, input: View<'_>, axis: usize, out: &mut Buffer) {
        let sums = |line: &[f64]| {
            let mut sum = 0.0;
            let mut add = |x: &f64| {
                sum += x;
                sum
            };
            line.iter().map(&mut add).collect()
        };
        set(out, &along(input, axis, input.layout.dims()[axis], sums));
    }

    fn sort(
        &self,
        input: View<'_>,
        axis: usize,
        descending: bool,
        k: usize,
        values: &mut Buffer,
        indices: &mut Buffer,
    ) {
        let order = |line: &[f64]| reference::argsort(line, descending);
        let sorted = |line: &[f64]| order(line).into_iter().map(|i| line[i]).collect();
        set(values, &along(input, axis, k, sorted));
        let positions = |line: &[f64]| order(line).into_iter().map(|i| i as f64).collect();
        set(indices, &along(input, axis, k, positions));
    }

    fn matmul(&self, a: View<'_>, b: View<'_>, epilogue: Option<Epilogue<'_>>, out: &mut Buffer) {
        let mut product = reference::matmul(&array(&a), &array(&b));
        if let Some(Epilogue { formula, inputs, scalars }) = epilogue {
            let mut operands = vec![product];
            operands.extend(arrays(inputs));
            product = evaluate(formula, &operands, scalars).swap_remove(0);
        }
        set(out, &product.data);
    }

    fn contract(
        &self,
        loops: Contraction,
        a: View<'_>,
        b: View<'_>,
        epilogue: Option<Epilogue<'_>>,
        out: Target<'_>,
    ) {
        let inner = loops.batch + loops.rows..loops.batch + loops.rows + loops.inner;
        let (layout, dtype) = (out.layout, out.buffer.dtype());
        let mut dims = layout.dims().to_vec();
        dims[inner].fill(1);
        let numbers: &mut Numbers = out.buffer.memory_mut();
        if !loops.add {
            for_each_index(&dims, |at| numbers[place(layout, at)] = 0.0);
        }
        let (x, y): (&Numbers, &Numbers) = (a.buffer.memory(), b.buffer.memory());
        for_each_index(layout.dims(), |at| {
            numbers[place(layout, at)] += x[place(a.layout, at)] * y[place(b.layout, at)];
        });
        numbers.iter_mut().for_each(|x| *x = rounded(*x, dtype));
        if let Some(Epilogue { formula, inputs, scalars }) = epilogue {
            let mut operands = vec![elements(numbers, layout, &dims)];
            operands.extend(inputs.iter().map(|x| elements(x.buffer.memory(), x.layout, &dims)));
            let y = evaluate(formula, &operands, scalars).swap_remove(0);
            let numbers: &mut Numbers = out.buffer.memory_mut();
            for_each_index(&dims, |at| numbers[place(layout, at)] = rounded(y.at(at), dtype));
        }
    }

    fn max_pool(
        &self,
        input: View<'_>,
        windows: Windows,
        values: &mut Buffer,
        positions: &mut Buffer,
    ) {
        let Windows { size, stride, padding, count } = windows;
        let sliding = Sliding { stride, padding, dilation: [1, 1], groups: 1 };
        let larger = |a: f64, b: f64| !a.is_nan() && (b.is_nan() || b > a);
        let largest = |window: &[(f64, usize)]| {
            window.iter().fold(window[0], |best, &x| if larger(best.0, x.0) { x } else { best })
        };
        let x = array(&input);
        set(values, &reference::pool(&x, size, &sliding, count, |w| largest(w).0).data);
        set(positions, &reference::pool(&x, size, &sliding, count, |w| largest(w).1 as f64).data);
    }

    fn gather(
        &self,
        input: View<'_>,
        axis: usize,
        index: View<'_>,
        out: &mut Buffer,
    ) -> std::result::Result<(), OutOfRange> {
        set(out, &reference::gather(&array(&input), axis, &array(&index)).data);
        Ok(())
    }

    fn scatter_add(
        &self,
        target: &mut Buffer,
        dims: &[usize],
        axis: usize,
        index: View<'_>,
        source: View<'_>,
    ) -> std::result::Result<(), OutOfRange> {
        let data = target.memory::<Numbers>().clone();
        let x = Array { dims: dims.to_vec(), data };
        set(target, &reference::scatter_add(&x, axis, &array(&index), &array(&source)).data);
        Ok(())
    }

    fn random(&self, distribution: Distribution, seed: u64, block: u64, out: &mut Buffer) {
        let (mut rng, n) = (Rng::from_state(seed, block), out.len());
        let numbers = match distribution {
            Distribution::Uniform => rng.uniform([n], out.dtype(), &Device::cpu()),
            Distribution::Normal => rng.normal([n], out.dtype(), &Device::cpu()),
        };
        set(out, &Array::of(&numbers).data);
    }

    fn cast(&self, input: View<'_>, out: &mut Buffer) {
        set(out, &array(&input).data);
    }
}

fn plain(faulty: bool) -> Device {
    Device::new(Arc::new(Plain { faulty, has_f64: true }))
}

#[test]
fn a_backend_of_another_crate_conforms() {
    conformance(&plain(false));
}

#[test]
#[should_panic(expected = "faulty plain: reduce")]
fn a_wrong_backend_is_found_out() {
    conformance(&plain(true));
}

#[test]
#[should_panic(expected = "plain has no f64; cast with to_dtype first")]
fn a_dtype_that_a_backend_has_not_is_refused_and_not_needed_to_read_a_number() {
    let narrow = Device::new(Arc::new(Plain { faulty: false, has_f64: false }));
    let x = Tensor::from([2f32]).to_device(&narrow).unwrap();
    assert_eq!(x.sum_all().item().unwrap(), 2.0);
    let _ = x.to_dtype(DType::F64);
}

#[test]
#[should_panic(expected = "(x0 + x1): tensors on cpu and plain; move with to_device")]
fn devices_do_not_mix_silently() {
    let here = Tensor::from([1f32]);
    let there = here.to_device(&plain(false)).unwrap();
    let _ = &here + &there;
}
