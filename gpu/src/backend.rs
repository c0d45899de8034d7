//! The methods of [`Backend`], each as the kernel that does it.

use std::any::Any;

use plies_tensor::{
    ArgReduce, Backend, Buffer, Contraction, DType, Distribution, Epilogue, Error, Formula,
    MemoryUse, OtherRows, OutOfRange, PendingRead, Recurrence, Reduce, Result, Target, View,
    Windows,
};

use crate::fault::Fault;
use crate::gpu::Shared;
use crate::kernels::contract::{Contract, Finish};
use crate::kernels::index::{INDEX_ERROR, Scatter, index_error};
use crate::kernels::map::{Map, MapRows, map_rows};
use crate::kernels::recur::{Matrix, Recur};
use crate::kernels::reduce::Reduction;
use crate::kernels::scan::Line;
use crate::kernels::sort::Sort;
use crate::kernels::{cast, index, pool, random, recur, scan};
use crate::pool::Memory;
use crate::queue::{Note, Readback};
use crate::strided::{ELEMENT, Operand, row_major};

/// A fresh result.
fn whole<'a>(buffer: &'a Buffer, dims: &[usize]) -> Operand<'a> {
    Operand::contiguous(buffer.memory(), buffer.len(), dims)
}

fn operands<'a>(views: &[View<'a>]) -> Vec<Operand<'a>> {
    views.iter().map(|view| Operand::of(*view)).collect()
}

/// An operand without one axis, and its stride there.
fn without(mut operand: Operand<'_>, axis: usize) -> (Operand<'_>, isize) {
    let step = operand.strides.remove(axis);
    (operand, step)
}

/// Dimensions with one of them replaced.
fn with_dim(dims: &[usize], axis: usize, dim: usize) -> Vec<usize> {
    let mut dims = dims.to_vec();
    dims[axis] = dim;
    dims
}

impl Shared {
    fn finish<'a>(epilogue: Option<Epilogue<'a>>) -> Option<Finish<'a>> {
        epilogue.map(|Epilogue { formula, inputs, scalars }| Finish {
            formula,
            inputs: operands(inputs),
            scalars,
        })
    }

    /// The first fault among what was asked for so far.
    fn report(&self, outcome: Outcome<()>) -> Result<()> {
        if let Err(fault) = outcome {
            self.faults.note(fault);
        }
        if !self.faults.any() {
            return Ok(());
        }
        // A lost device shows in many ways, and the driver says it later.
        self.queue.listen();
        let Some(fault) = self.faults.take() else { return Ok(()) };
        let device = self.device_name().to_owned();
        Err(Error::Device { device, operation: fault.operation, reason: fault.reason })
    }

    /// Begins to read elements, and with them what kernels found wrong.
    fn begin_reading(&self, memory: &Memory, start: usize, len: usize) -> Outcome<Readback> {
        if let Some(fault) = memory.fault("read") {
            // Whoever drops what is begun will not tell.
            self.spoil(fault.clone(), &[memory]);
            return Err(fault);
        }
        let faults = self.faults.clone();
        let then = Box::new(move |words: &[u8]| {
            if let Some(fault) = index_error(bytemuck::pod_read_unaligned(words)) {
                faults.note(fault);
            }
        });
        let note = Note { memory: &self.index_error, bytes: INDEX_ERROR as u64, then };
        let part = (memory, ELEMENT * start as u64, ELEMENT * len as u64);
        self.queue.begin_read(part, Some(note)).map_err(unread)
    }

    /// Waits for what was begun.
    fn end_reading(&self, begun: Outcome<Readback>, bytes: &mut [u8]) -> Result<()> {
        self.report(begun.and_then(|read| self.queue.finish_read(read, bytes).map_err(unread)))
    }

    /// Reads numbers from the beginning of memory for this crate's own use, and reports nothing: what is to
    /// be reported waits for whoever reads a tensor. Whether that went well.
    pub(crate) fn read_words(&self, memory: &Memory, words: &mut [i32]) -> bool {
        let part = (memory, 0, size_of_val(words) as u64);
        let begun = self.queue.begin_read(part, None);
        begun.and_then(|read| self.queue.finish_read(read, bytemuck::cast_slice_mut(words))).is_ok()
    }
}

/// What went wrong before the host knows whose fault it is.
type Outcome<T> = std::result::Result<T, Fault>;

/// A fault of reading itself.
fn unread(reason: String) -> Fault {
    Fault { operation: "read", reason }
}

impl Backend for Shared {
    fn name(&self) -> &str {
        self.device_name()
    }

    fn supports(&self, dtype: DType) -> bool {
        dtype != DType::F64
    }

    fn allocate(&self, _: DType, len: usize) -> Box<dyn Any + Send + Sync> {
        Box::new(self.scratch(len))
    }

    fn write(&self, target: &mut Buffer, bytes: &[u8]) {
        Shared::write(self, target.memory(), bytes);
    }

    fn read(&self, source: &Buffer, start: usize, bytes: &mut [u8]) -> Result<()> {
        let len = bytes.len() / ELEMENT as usize;
        self.end_reading(self.begin_reading(source.memory(), start, len), bytes)
    }

    fn begin_read(&self, source: &Buffer, start: usize, len: usize) -> Option<PendingRead> {
        let gpu = self.this.upgrade()?;
        let begun = self.begin_reading(source.memory(), start, len);
        Some(Box::new(move |bytes| gpu.end_reading(begun, bytes)))
    }

    fn map(
        &self,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
        in_place: bool,
    ) {
        let dtype = targets[0].buffer.dtype();
        let dims = targets[0].layout.dims().to_vec();
        let mut all: Vec<Operand<'_>> = targets.iter().map(Operand::of_target).collect();
        all.extend(operands(inputs));
        Map { formula, dtype, dims, operands: all, scalars, in_place }.run(self);
    }

    fn map_rows(
        &self,
        formula: &Formula,
        rows: &[usize],
        others: OtherRows,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
    ) {
        let dims = targets[0].layout.dims();
        let (height, width) = (dims[0], dims[1..].iter().product());
        let flat = |mut operand| {
            let Operand { strides, .. } = &mut operand;
            *strides = vec![width as isize, 1];
            operand
        };
        let work = MapRows {
            formula,
            dtype: targets[0].buffer.dtype(),
            rows,
            others,
            first: 0,
            height,
            width,
            inputs: operands(inputs).into_iter().map(flat).collect(),
            targets: targets.iter().map(Operand::of_target).map(flat).collect(),
            scalars,
        };
        map_rows(self, &work);
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
        let dims = inputs[0].layout.dims();
        let (dtype, out) = (out.dtype(), whole(out, &[]));
        let all = operands(inputs);
        Reduction::new(op, formula, dtype, dims, axes, all, scalars, out).run(self);
    }

    fn arg_reduce(&self, op: ArgReduce, input: View<'_>, axis: usize, out: &mut Buffer) {
        let mut dims = input.layout.dims().to_vec();
        let length = dims.remove(axis);
        let (operand, step) = without(Operand::of(input), axis);
        let line = Line { length, step, out_step: 0 };
        let all = vec![operand, whole(out, &dims)];
        scan::arg_reduce(self, op, input.buffer.dtype(), &line, dims, all);
    }

    fn cumsum(&self, input: View<'_>, axis: usize, out: &mut Buffer) {
        let mut dims = input.layout.dims().to_vec();
        let dtype = out.dtype();
        let (to, out_step) = without(whole(out, &dims), axis);
        let length = dims.remove(axis);
        let (operand, step) = without(Operand::of(input), axis);
        let line = Line { length, step, out_step };
        scan::cumsum(self, dtype, &line, dims, vec![operand, to]);
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
        let dtype = values.dtype();
        let mut dims = input.layout.dims().to_vec();
        let first = with_dim(&dims, axis, k);
        let (values, out_step) = without(whole(values, &first), axis);
        let (indices, _) = without(whole(indices, &first), axis);
        let length = dims.remove(axis);
        let (operand, step) = without(Operand::of(input), axis);
        let line = Line { length, step, out_step };
        let operands = vec![operand, values, indices];
        Sort { dtype, descending, k, line, dims, operands }.run(self);
    }

    fn matmul(&self, a: View<'_>, b: View<'_>, epilogue: Option<Epilogue<'_>>, out: &mut Buffer) {
        let (left, right) = (a.layout.dims(), b.layout.dims());
        let batch = left.len() - 2;
        let [m, k, n] = [left[batch], left[batch + 1], right[batch + 1]];
        let result = [&left[..batch], &[m, n]].concat();
        let mut finish = Shared::finish(epilogue);
        let inputs = finish.iter_mut().flat_map(|finish| &mut finish.inputs);
        // Operands over [batch, rows, inner, columns].
        inputs.for_each(|input| input.strides.insert(batch + 1, 0));
        Contract {
            dtype: out.dtype(),
            dims: [&left[..batch], &[m, k, n]].concat(),
            loops: Contraction { batch, rows: 1, inner: 1, columns: 1, add: false },
            a: spread(Operand::of(a), batch + 2),
            b: spread(Operand::of(b), batch),
            out: spread(whole(out, &result), batch + 1),
            finish,
        }
        .run(self);
    }

    fn contract(
        &self,
        loops: Contraction,
        a: View<'_>,
        b: View<'_>,
        epilogue: Option<Epilogue<'_>>,
        out: Target<'_>,
    ) {
        let dtype = out.buffer.dtype();
        let dims = out.layout.dims().to_vec();
        let finish = Shared::finish(epilogue);
        let out = Operand::of_target(&out);
        Contract { dtype, dims, loops, a: Operand::of(a), b: Operand::of(b), out, finish }
            .run(self);
    }

    fn recur(&self, recurrence: &Recurrence<'_>, states: &mut [Buffer], kept: &mut [Buffer]) {
        let Recurrence { cell, weight, inputs, sequences, backwards, next, width, .. } =
            *recurrence;
        let of_view = |view: &View<'_>| [view.layout.dims()[0], view.layout.dims()[1]];
        let longest = sequences.iter().map(|rows| rows.len()).max().unwrap_or(0);
        let row = |s: usize, t: usize| {
            let rows = &sequences[s];
            let at = |t: usize| if backwards { rows.end - 1 - t } else { rows.start + t };
            (t < rows.len()).then(|| [s as i32, at(t) as i32])
        };
        let steps = (0..longest).map(|t| (0..sequences.len()).filter_map(|s| row(s, t)).collect());
        let own = |buffers: &'_ [Buffer], columns: &[std::ops::Range<usize>]| {
            let sizes = buffers.iter().zip(columns);
            let dims = sizes.map(|(buffer, range)| {
                let columns = range.len() * width;
                [buffer.len().checked_div(columns).unwrap_or(0), columns]
            });
            dims.collect::<Vec<[usize; 2]>>()
        };
        let (of_states, of_kept) = (own(states, next), own(kept, recurrence.kept));
        let work = Recur {
            dtype: weight.buffer.dtype(),
            cell,
            weight: Matrix { operand: Operand::of(weight), dims: of_view(&weight) },
            inputs: inputs
                .iter()
                .map(|view| Matrix { operand: Operand::of(*view), dims: of_view(view) })
                .collect(),
            states: states
                .iter()
                .zip(of_states)
                .map(|(buffer, dims)| Matrix { operand: whole(buffer, &dims), dims })
                .collect(),
            kept: kept
                .iter()
                .zip(of_kept)
                .map(|(buffer, dims)| Matrix { operand: whole(buffer, &dims), dims })
                .collect(),
            steps: steps.collect(),
            first: [next, recurrence.kept].map(|all| all.iter().map(|range| range.start).collect()),
            width,
        };
        recur::recur(self, &work);
    }

    fn gather(
        &self,
        input: View<'_>,
        axis: usize,
        index: View<'_>,
        out: &mut Buffer,
    ) -> std::result::Result<(), OutOfRange> {
        let dims = index.layout.dims().to_vec();
        let size = input.layout.dims()[axis];
        let mut from = Operand::of(input);
        let step = std::mem::take(&mut from.strides[axis]);
        let operands = vec![whole(out, &dims), Operand::of(index), from];
        index::gather(self, out.dtype(), (size, step), dims, operands);
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
        let sizes = [dims[axis], index.layout.dims()[axis]];
        let (to, step) = without(whole(target, dims), axis);
        let (at, index_step) = without(Operand::of(index), axis);
        let (from, source_step) = without(Operand::of(source), axis);
        let mut dims = dims.to_vec();
        dims.remove(axis);
        let steps = [step, index_step, source_step];
        let (dtype, operands) = (target.dtype(), vec![to, at, from]);
        Scatter { dtype, sizes, steps, dims, operands }.run(self);
        Ok(())
    }

    fn max_pool(
        &self,
        input: View<'_>,
        windows: Windows,
        values: &mut Buffer,
        positions: &mut Buffer,
    ) {
        let dtype = values.dtype();
        let &[ref lead @ .., h, w] = input.layout.dims() else { return };
        let planes = lead.iter().product();
        let [oh, ow] = windows.count;
        let mut from = Operand::of(input);
        from.strides = row_major(&[planes, h, w]);
        let dims = [planes, oh, ow];
        let operands = [from, whole(values, &dims), whole(positions, &dims)];
        pool::max_pool(self, dtype, windows, [planes, h, w], &operands);
    }

    fn random(&self, distribution: Distribution, seed: u64, block: u64, out: &mut Buffer) {
        random::random(self, distribution, [seed, block], out.memory(), out.len());
    }

    fn cast(&self, input: View<'_>, out: &mut Buffer) {
        let dtypes = [input.buffer.dtype(), out.dtype()];
        let dims = input.layout.dims().to_vec();
        let operands = vec![Operand::of(input), whole(out, &dims)];
        cast::cast(self, dtypes, dims, operands);
    }

    fn memory_use(&self) -> MemoryUse {
        let counters = self.pool.counters();
        MemoryUse { in_use: counters.in_use, peak: counters.peak, cached: counters.cached }
    }

    fn empty_cache(&self) {
        self.queue.release();
        self.pool.empty();
    }

    fn synchronize(&self) -> Result<()> {
        // What kernels found wrong is on the device, and comes with whatever is read.
        let mut words = [0; INDEX_ERROR];
        let begun = self.begin_reading(&self.index_error, 0, INDEX_ERROR / ELEMENT as usize);
        self.end_reading(begun, &mut words)
    }
}

/// An operand with one more axis, which it does not depend on.
fn spread(mut operand: Operand<'_>, axis: usize) -> Operand<'_> {
    operand.strides.insert(axis, 0);
    operand
}

#[cfg(test)]
mod tests {
    use super::*;
    use plies_tensor::{Device, Tensor};

    /// Whoever records a gather between a read and what its reader does next finds the note empty, and
    /// nobody empties it afterwards.
    #[test]
    fn a_note_is_zeroed_as_it_is_read_and_never_later() {
        let Some(gpu) = crate::gpu::tests::open() else { return };
        let device = Device::new(gpu.clone());
        let there = |x: Tensor| x.to_device(&device).unwrap();
        let (x, index) = (there(Tensor::from([1f32, 2.0, 3.0])), there(Tensor::from([7])));
        let mut words = [0i32; INDEX_ERROR / 4];
        let _first = x.gather(0, &index);
        drop(x.fetch());
        let _second = x.gather(0, &index);
        assert!(gpu.read_words(&gpu.index_error, &mut words));
        assert!(index_error(words).is_some());
        assert!(device.synchronize().is_err());
        assert!(device.synchronize().is_ok());
    }
}
