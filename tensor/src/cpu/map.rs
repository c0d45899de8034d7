//! Element-wise formulas: every target element from the input elements at the same place.

use super::evaluate::{BLOCK, Evaluator, Source, Walk, grain};
use super::memory::{Memory, elements};
use super::parallel::{for_each_chunk, for_each_range};
use super::primitive::{Operand, Primitive};
use crate::{Formula, Target, View};

pub(super) fn map<T: Primitive>(
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    targets: &mut [Target<'_>],
    in_place: bool,
) {
    let old = if in_place { targets.len() } else { 0 };
    let n_sources = old + inputs.len();
    // Few enough to need no list on the heap, nearly always.
    let mut few = [Source::Loaded; 6];
    let mut many = Vec::new();
    let sources = if n_sources <= few.len() {
        &mut few[..n_sources]
    } else {
        many.resize(n_sources, Source::Loaded);
        &mut many[..]
    };
    for (source, view) in sources[old..].iter_mut().zip(inputs) {
        *source = Source::new(elements(view), view.layout);
    }
    match targets {
        [target] if target.layout.is_contiguous() => {
            let (first, n) = (target.layout.offset(), target.layout.elem_count());
            let out = target.buffer.memory_mut::<Memory>().as_slice_mut::<T>();
            map_slice(formula, sources, scalars, &mut out[first..first + n], in_place);
        }
        _ => map_places(formula, sources, scalars, targets, old),
    }
}

/// A formula on a slice in place, whose old values are its first input.
pub(super) fn map_old<T: Primitive>(
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    out: &mut [T],
) {
    let others = inputs.iter().map(|view| Source::new(elements(view), view.layout));
    let sources: Vec<Source<'_, T>> = [Source::Loaded].into_iter().chain(others).collect();
    map_slice(formula, &sources, scalars, out, true);
}

/// What nearly every call comes to: one target that is a slice.
fn map_slice<T: Primitive>(
    formula: &Formula,
    sources: &[Source<'_, T>],
    scalars: &[f64],
    out: &mut [T],
    in_place: bool,
) {
    let longest = BLOCK.min(out.len());
    for_each_chunk(out, grain(formula), |first, out| {
        let mut evaluator = Evaluator::new(formula, sources, scalars, longest);
        for (i, out) in out.chunks_mut(BLOCK).enumerate() {
            if in_place {
                evaluator.loaded(0, out.len()).copy_from_slice(out);
            }
            evaluator.run(first + i * BLOCK, out.len(), &mut [&mut *out]);
            match evaluator.output(0) {
                Some(Operand::Slice(values)) => out.copy_from_slice(values),
                Some(Operand::Scalar(value)) => out.fill(value),
                None => {}
            }
        }
    });
}

/// A target that several threads write, each its own elements.
struct Place<T> {
    data: *mut T,
    len: usize,
    offset: usize,
    walk: Walk,
}

// SAFETY: threads touch disjoint elements (see `map`).
unsafe impl<T: Send> Sync for Place<T> {}

impl<T: Copy> Place<T> {
    /// The elements `start..start + len` as a slice, when they are one.
    ///
    /// # Safety
    /// No other thread may touch these elements meanwhile.
    #[allow(clippy::mut_from_ref)] // Disjointness is the caller's promise.
    unsafe fn slice(&self, start: usize, len: usize) -> Option<&mut [T]> {
        let first = self.offset + start;
        assert!(!self.walk.is_contiguous() || first + len <= self.len);
        // SAFETY: in bounds by the assertion, exclusive by the caller's promise.
        self.walk
            .is_contiguous()
            .then(|| unsafe { std::slice::from_raw_parts_mut(self.data.add(first), len) })
    }

    /// Copies the elements `start..` of the walk to `out`.
    ///
    /// # Safety
    /// No other thread may write these elements meanwhile.
    unsafe fn load(&self, start: usize, out: &mut [T]) {
        self.walk.runs(start, out.len(), |place, index, stride, count| {
            self.check(index, stride, count);
            let out = &mut out[place..place + count];
            if stride == 1 {
                // SAFETY: in bounds by the check, initialised, not written by others.
                let run = unsafe { std::slice::from_raw_parts(self.data.offset(index), count) };
                out.copy_from_slice(run);
            } else {
                for (i, x) in out.iter_mut().enumerate() {
                    // SAFETY: as above.
                    *x = unsafe { self.data.offset(index + i as isize * stride).read() };
                }
            }
        });
    }

    /// Writes `values` to the elements `start..` of the walk.
    ///
    /// # Safety
    /// No other thread may touch these elements meanwhile.
    unsafe fn store(&self, start: usize, values: &[T]) {
        self.walk.runs(start, values.len(), |place, index, stride, count| {
            self.check(index, stride, count);
            let values = &values[place..place + count];
            if stride == 1 {
                // SAFETY: in bounds by the check, and exclusive.
                let run = unsafe { std::slice::from_raw_parts_mut(self.data.offset(index), count) };
                run.copy_from_slice(values);
            } else {
                for (i, &x) in values.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { self.data.offset(index + i as isize * stride).write(x) };
                }
            }
        });
    }

    /// Panics unless a run lies within the buffer.
    fn check(&self, index: isize, stride: isize, count: usize) {
        let last = index + (count as isize - 1) * stride;
        let len = self.len as isize;
        assert!(count > 0 && (0..len).contains(&index) && (0..len).contains(&last));
    }
}

/// Several targets, or targets of any strides.
fn map_places<T: Primitive>(
    formula: &Formula,
    sources: &[Source<'_, T>],
    scalars: &[f64],
    targets: &mut [Target<'_>],
    old: usize,
) {
    let n = targets[0].layout.elem_count();
    let place = |target: &mut Target<'_>| {
        let data = target.buffer.memory_mut::<Memory>().as_slice_mut::<T>();
        let (data, len) = (data.as_mut_ptr(), data.len());
        Place { data, len, offset: target.layout.offset(), walk: Walk::new(target.layout) }
    };
    let places: Vec<Place<T>> = targets.iter_mut().map(place).collect();
    let longest = BLOCK.min(n);
    for_each_range(n, grain(formula), |range| {
        let mut evaluator = Evaluator::new(formula, sources, scalars, longest);
        let mut scratch: Vec<Vec<T>> = places
            .iter()
            .map(|place| {
                let size = if place.walk.is_contiguous() { 0 } else { longest };
                vec![T::default(); size]
            })
            .collect();
        for start in range.clone().step_by(BLOCK) {
            let len = BLOCK.min(range.end - start);
            // SAFETY (of the three blocks): targets are different buffers borrowed exclusively, a
            // target's layout visits no element twice, and ranges of different threads are
            // disjoint; so the elements `start..start + len` are ours alone. The slices are not
            // used while `load` reads, which comes first.
            for (j, place) in places.iter().enumerate().take(old) {
                unsafe { place.load(start, evaluator.loaded(j, len)) };
            }
            let mut outputs: Vec<&mut [T]> = places
                .iter()
                .zip(&mut scratch)
                .map(|(place, scratch)| {
                    unsafe { place.slice(start, len) }.unwrap_or(&mut scratch[..])
                })
                .collect();
            evaluator.run(start, len, &mut outputs);
            for (j, out) in outputs.into_iter().enumerate() {
                match evaluator.output(j) {
                    Some(Operand::Slice(values)) => out[..len].copy_from_slice(values),
                    Some(Operand::Scalar(value)) => out[..len].fill(value),
                    None => {}
                }
            }
            for (place, scratch) in places.iter().zip(&scratch) {
                if !scratch.is_empty() {
                    unsafe { place.store(start, &scratch[..len]) };
                }
            }
        }
    });
}
