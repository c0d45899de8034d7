//! A formula over a block of elements: one vectorised loop for each step, all intermediate results
//! in blocks that stay in the first-level cache.
//!
//! Before the first block a formula is linked: each step becomes the address of its loop and the
//! addresses of its operands and result, which move on with the block or stay where they are. Then a
//! step costs a call, which is little beside a thousand elements.
//!
//! A formula that reduces rows runs over whole rows, and reads and writes memory once as well. What a
//! long row is reduced to is one number until the next row. Of short rows a block holds many: what they
//! are reduced to is a short block with a number for each, and is spread over the rows before a step
//! that runs over all elements reads it.

use super::accumulate::{Reducible, fold_lines, reduction, spread};
use super::memory::{Memory, elements};
use super::prefetch;
use super::primitive::{Code, Operand, Singles};
use super::walk::{Rows, Walk, gather, scatter};
use crate::backend::{Target, View};
use crate::expr::{Action, Formula, Node, Place, Schedule, Step};
use crate::{Layout, Reduce};

/// Elements evaluated at once. A handful of such blocks fits the first-level cache.
pub(super) const BLOCK: usize = 1024;

/// An input of a formula.
#[derive(Clone, Copy)]
pub(super) enum Source<'a, T> {
    /// One number.
    One(&'a T),
    /// A slice in the order of the iteration.
    Slice(&'a [T]),
    /// Elements to be gathered block by block.
    Strided(&'a [T], &'a Layout),
    /// Some of the iteration's rows, one after another; the others are 0.
    Sparse(&'a [T], Rows<'a>),
    /// The old values of a target.
    Old(usize),
}

impl<'a, T: Reducible> Source<'a, T> {
    /// The elements of a buffer in the order of a layout.
    pub(super) fn new(data: &'a [T], layout: &'a Layout) -> Self {
        let from = layout.offset();
        if layout.is_contiguous() {
            Source::Slice(&data[from..from + layout.elem_count()])
        } else if layout.strides().iter().all(|&stride| stride == 0) {
            Source::One(&data[from])
        } else {
            layout.assert_inside(data.len());
            Source::Strided(data, layout)
        }
    }
}

/// An output of a formula, which several threads may write, each its own elements.
#[derive(Clone, Copy)]
pub(super) struct Sink<'a, T> {
    data: *mut T,
    len: usize,
    /// `None`: the elements lie in order from `data` on.
    order: Option<Order<'a>>,
}

/// Which elements a sink has.
#[derive(Clone, Copy)]
enum Order<'a> {
    Layout(&'a Layout),
    /// The iteration runs over these rows alone.
    Rows(Rows<'a>),
}

// SAFETY: threads write disjoint elements, as the evaluator's users promise.
unsafe impl<T: Send> Send for Sink<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Sink<'_, T> {}

impl<'a, T: Reducible> Sink<'a, T> {
    pub(super) const NONE: Self = Sink { data: std::ptr::null_mut(), len: 0, order: None };

    /// A slice in the order of the iteration.
    pub(super) fn slice(data: &'a mut [T]) -> Self {
        Sink { data: data.as_mut_ptr(), len: data.len(), order: None }
    }

    /// The elements of a buffer in the order of a layout.
    pub(super) fn new(data: &'a mut [T], layout: &'a Layout) -> Self {
        if layout.is_contiguous() {
            let first = layout.offset();
            let elements = &mut data[first..first + layout.elem_count()];
            return Sink::slice(elements);
        }
        layout.assert_inside(data.len());
        let order = Some(Order::Layout(layout));
        Sink { data: data.as_mut_ptr(), len: layout.elem_count(), order }
    }

    /// Some rows of a matrix that lies row-major from the start of `data`.
    pub(super) fn rows(data: &'a mut [T], rows: Rows<'a>) -> Self {
        rows.assert_inside(data.len());
        Sink { data: data.as_mut_ptr(), len: rows.elem_count(), order: Some(Order::Rows(rows)) }
    }
}

/// Where values are: from `base` on, moving on with the block or not.
struct Address<T> {
    base: *mut T,
    /// 1 where the address moves on by an element for each element of the iteration.
    moves: usize,
}

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Address<T> {}

impl<T> Address<T> {
    const NOWHERE: Self = Address { base: std::ptr::null_mut(), moves: 0 };

    fn fixed(base: *mut T) -> Self {
        Address { base, moves: 0 }
    }

    fn at(self, start: usize) -> *mut T {
        self.base.wrapping_add(self.moves * start)
    }
}

/// A step with its loop and its addresses.
#[derive(Clone, Copy)]
struct Linked<T> {
    code: Code<T>,
    operands: [Address<T>; 3],
    to: Address<T>,
    /// How many values the loop makes.
    extent: Extent,
}

impl<T> Linked<T> {
    const NOTHING: Self = Linked {
        code: nothing::<T>,
        operands: [Address::NOWHERE; 3],
        to: Address::NOWHERE,
        extent: Extent::One,
    };
}

/// How far a loop runs.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// It computes one number,
    One,
    /// a block,
    Block,
    /// one number from all of a block,
    Whole,
    /// or one from each row of a block; from the same number for each row, or not.
    EachRow { op: Reduce, of_one: bool },
    /// It computes a number for each row from such numbers,
    Rows,
    /// or spreads them over the rows.
    Spread,
}

/// Joins an action to its operands, of which some are single numbers.
#[inline]
fn linked<T: Reducible>(
    action: Action,
    mut operands: [(Address<T>, bool); 3],
    to: Address<T>,
    extent: Extent,
    several_rows: bool,
) -> Linked<T> {
    if let (Action::MulAdd(_), (_, false), (_, true)) = (action, operands[0], operands[1]) {
        operands.swap(0, 1);
    }
    let mut singles: Singles = 0;
    for (k, &(_, single)) in operands.iter().enumerate().take(action.arity()) {
        singles |= u8::from(single) << k;
    }
    let operands = operands.map(|(address, _)| address);
    let (code, extent) = match action {
        Action::Reduce(op) => {
            let of_one = singles == 1;
            let extent = if several_rows { Extent::EachRow { op, of_one } } else { Extent::Whole };
            (reduction::<T>(op, of_one), extent)
        }
        action => (T::code(action, singles), extent),
    };
    Linked { code, operands, to, extent }
}

/// Does the work of an [`Evaluator`] for what most formulas of an eager program are, one step from
/// slices to a slice, without preparing anything. Returns whether it was that.
pub(super) fn run_single_step<T: Reducible>(
    formula: &Formula,
    inputs: &[View<'_>],
    scalars: &[f64],
    target: &mut Target<'_>,
    in_place: bool,
) -> bool {
    let schedule = formula.schedule();
    let ([step], []) = (&schedule.steps[..], &schedule.once[..]) else { return false };
    let is_plain = step.to == Place::Output(0) && !matches!(step.action, Action::Reduce(_));
    if !is_plain || !target.layout.is_contiguous() {
        return false;
    }
    let n = target.layout.elem_count();
    let first = target.layout.offset();
    let out = &mut target.buffer.memory_mut::<Memory>().as_slice_mut::<T>()[first..first + n];
    let to = out.as_mut_ptr();
    let mut numbers = [T::default(); 3];
    let mut operands = [std::ptr::null(); 3];
    let mut singles: Singles = 0;
    for k in 0..step.action.arity() {
        let number = match step.operands[k] {
            Place::Input(0) if in_place => {
                operands[k] = to.cast_const();
                continue;
            }
            Place::Input(i) => {
                let view = &inputs[i - usize::from(in_place)];
                let (data, first) = (elements::<T>(view), view.layout.offset());
                if view.layout.is_contiguous() {
                    operands[k] = data[first..first + n].as_ptr();
                    continue;
                }
                if view.layout.strides().iter().any(|&stride| stride != 0) {
                    return false;
                }
                data[first]
            }
            Place::One(node) => match formula.nodes()[node] {
                Node::Scalar(i) => T::from_f64(scalars[i]),
                Node::Const(bits) => T::from_f64(f64::from_bits(bits)),
                _ => return false,
            },
            Place::Row(_) | Place::Register(_) | Place::Output(_) => return false,
        };
        numbers[k] = number;
        operands[k] = &raw const numbers[k];
        singles |= 1 << k;
    }
    if let (Action::MulAdd(_), 0b10) = (step.action, singles & 0b11) {
        operands.swap(0, 1);
        singles ^= 0b11;
    }
    // SAFETY: slices have `n` elements, and so has `out`, which is exclusively borrowed; an operand
    // is either all of it or none.
    unsafe { T::code(step.action, singles)(operands, to, n) };
    true
}

/// A block that is filled before the steps, or written to its place after them.
struct Transfer<'a, T> {
    data: *mut T,
    path: Path<'a>,
    block: *mut T,
}

/// Where the elements of a block are.
enum Path<'a> {
    Walk(Walk),
    Rows(Rows<'a>),
    Sparse(Rows<'a>),
}

impl<'a> Path<'a> {
    fn new(order: Order<'a>) -> Self {
        match order {
            Order::Layout(layout) => Path::Walk(Walk::new(layout)),
            Order::Rows(rows) => Path::Rows(rows),
        }
    }
}

impl<T: Reducible> Transfer<'_, T> {
    /// # Safety
    /// The path stays inside the data; the block has room for `len` elements.
    unsafe fn gather(&self, start: usize, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.path {
                Path::Walk(walk) => gather(self.data, walk, start, self.block, len),
                Path::Rows(rows) => rows.gather(self.data, start, self.block, len),
                Path::Sparse(rows) => rows.spread(self.data, start, self.block, len),
            }
        }
    }

    /// # Safety
    /// The path stays inside the data, which nobody else uses meanwhile.
    unsafe fn scatter(&self, start: usize, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match &self.path {
                Path::Walk(walk) => scatter(self.data, walk, start, self.block, len),
                Path::Rows(rows) => rows.scatter(self.data, start, self.block, len),
                Path::Sparse(_) => unreachable!("is only read"),
            }
        }
    }
}

/// A formula with its inputs and outputs, ready to be evaluated block by block.
pub(super) struct Evaluator<'a, T> {
    formula: &'a Formula,
    sources: &'a [Source<'a, T>],
    sinks: &'a [Sink<'a, T>],
    /// The numbers that are one for the call; those that are one for a row, or a block of each; then
    /// the registers; then a block for each input and each output that needs one.
    scratch: Memory,
    /// Where the second and the third begin.
    rows: usize,
    registers: usize,
    /// Length of a row, and whether a block holds several.
    row: usize,
    several_rows: bool,
    /// From one register or block to the next: whole cache lines.
    stride: usize,
    /// The steps: few are kept here,
    few: [Linked<T>; FEW],
    n_few: usize,
    /// more on the heap.
    many: Vec<Linked<T>>,
    gathers: Vec<Transfer<'a, T>>,
    scatters: Vec<Transfer<'a, T>>,
    /// The longest block, and how many elements there are in all.
    longest: usize,
    n: usize,
}

const FEW: usize = 3;

/// Elements of any type in a cache line, or in several.
const LINE: usize = 16;

impl<'a, T: Reducible> Evaluator<'a, T> {
    /// Links `formula` to its inputs and outputs of `n` elements each, in rows of `row`: all blocks
    /// that will be asked for, the longest of which has `longest` elements, begin with a row. Outputs
    /// that have no sink are found by [`values`](Self::values).
    pub(super) fn new(
        formula: &'a Formula,
        sources: &'a [Source<'a, T>],
        sinks: &'a [Sink<'a, T>],
        scalars: &[f64],
        [n, row, longest]: [usize; 3],
    ) -> Self {
        let schedule = formula.schedule();
        let n_numbers = if schedule.leaves.is_empty() { 0 } else { formula.nodes().len() };
        let rows = n_numbers.next_multiple_of(LINE);
        let stride = longest.next_multiple_of(LINE);
        let lie_in_order = check(formula, sources, sinks, n);
        let n_blocks = if lie_in_order { 0 } else { sources.len() + sinks.len().max(1) };
        let several_rows = longest > row;
        // Of several rows a block of the numbers and one of what they are spread to.
        let each_row = if several_rows { 2 * stride } else { 1 };
        let registers = (rows + schedule.n_rows * each_row).next_multiple_of(LINE);
        let len = registers + (schedule.n_registers + n_blocks) * stride;
        let mut evaluator = Evaluator {
            formula,
            sources,
            sinks,
            scratch: Memory::scratch::<T>(len),
            rows,
            registers,
            row,
            several_rows,
            stride,
            few: [Linked::NOTHING; FEW],
            n_few: 0,
            many: Vec::new(),
            gathers: Vec::new(),
            scatters: Vec::new(),
            longest,
            n,
        };
        evaluator.prepare(schedule, scalars);
        if n_blocks > 0 {
            evaluator.prepare_transfers();
        }
        evaluator.link_all(schedule);
        evaluator
    }

    /// Gives each step its loop and its addresses.
    fn link_all(&mut self, schedule: &Schedule) {
        let steps = match schedule.steps.split_last() {
            // Without a sink there is nothing to copy to.
            Some((Step { action: Action::Copy, .. }, rest)) if self.sinks.is_empty() => rest,
            _ => &schedule.steps[..],
        };
        if self.several_rows && schedule.by_rows() {
            let each = |step| [Some(self.link(step)), self.link_spread(step)];
            self.many = steps.iter().flat_map(each).flatten().collect();
        } else if steps.len() <= FEW {
            self.n_few = steps.len();
            for (i, step) in steps.iter().enumerate() {
                self.few[i] = self.link(step);
            }
        } else {
            self.many = steps.iter().map(|step| self.link(step)).collect();
        }
    }

    /// Puts constants, scalars and what follows from them alone in their places.
    fn prepare(&mut self, schedule: &Schedule, scalars: &[f64]) {
        let numbers = self.scratch.as_slice_mut::<T>();
        for &id in &schedule.leaves {
            numbers[id] = match self.formula.nodes()[id] {
                Node::Scalar(i) => T::from_f64(scalars[i]),
                Node::Const(bits) => T::from_f64(f64::from_bits(bits)),
                _ => continue,
            };
        }
        for step in &schedule.once {
            let Linked { code, operands, to, .. } = self.link(step);
            // SAFETY: all operands are single numbers, and so is the result.
            unsafe { code(operands.map(|x| x.at(0).cast_const()), to.at(0), 1) };
        }
    }

    /// Notes which blocks have to be filled and emptied.
    fn prepare_transfers(&mut self) {
        for (i, source) in self.sources.iter().enumerate() {
            let (data, path) = match *source {
                Source::Strided(data, layout) => {
                    (data.as_ptr().cast_mut(), Path::Walk(Walk::new(layout)))
                }
                Source::Sparse(data, rows) => (data.as_ptr().cast_mut(), Path::Sparse(rows)),
                Source::Old(j) => match self.sinks[j] {
                    Sink { data, order: Some(order), .. } => (data, Path::new(order)),
                    _ => continue,
                },
                _ => continue,
            };
            let transfer = Transfer { data, path, block: self.block(i) };
            let repeats = matches!(&transfer.path, Path::Walk(walk) if walk.repeats(self.row));
            if repeats && !matches!(source, Source::Old(_)) {
                // The same in all blocks.
                // SAFETY: as in `run`.
                unsafe { transfer.gather(0, self.longest.min(self.n)) };
            } else {
                self.gathers.push(transfer);
            }
        }
        for (j, sink) in self.sinks.iter().enumerate() {
            if let Some(order) = sink.order {
                let block = self.block(self.sources.len() + j);
                self.scatters.push(Transfer { data: sink.data, path: Path::new(order), block });
            }
        }
    }

    fn number(&self, node: usize) -> *mut T {
        self.scratch.start::<T>().wrapping_add(node)
    }

    fn register(&self, r: usize) -> *mut T {
        self.number(self.registers + r * self.stride)
    }

    /// The block of an input, or of an output after those of all inputs.
    fn block(&self, i: usize) -> *mut T {
        self.register(self.formula.schedule().n_registers + i)
    }

    /// Where a place is, and whether it holds a single number.
    fn address(&self, place: Place) -> (Address<T>, bool) {
        let moving = |base| Address { base, moves: 1 };
        match place {
            Place::One(node) => (Address::fixed(self.number(node)), true),
            Place::Row(k) if self.several_rows => (Address::fixed(self.spread(k)), false),
            Place::Row(k) => (Address::fixed(self.number(self.rows + k)), true),
            Place::Register(r) => (Address::fixed(self.register(r)), false),
            Place::Input(i) => match self.sources[i] {
                Source::One(x) => (Address::fixed(std::ptr::from_ref(x).cast_mut()), true),
                Source::Slice(data) => (moving(data.as_ptr().cast_mut()), false),
                Source::Old(j) if self.sinks[j].order.is_none() => {
                    (moving(self.sinks[j].data), false)
                }
                Source::Strided(..) | Source::Sparse(..) | Source::Old(_) => {
                    (Address::fixed(self.block(i)), false)
                }
            },
            Place::Output(j) => match self.sinks.get(j) {
                Some(Sink { data, order: None, .. }) => (moving(*data), false),
                _ => (Address::fixed(self.block(self.sources.len() + j)), false),
            },
        }
    }

    /// The block that the k-th of the rows' numbers are spread to; before it, they themselves.
    fn spread(&self, k: usize) -> *mut T {
        self.number(self.rows + (2 * k + 1) * self.stride)
    }

    fn unspread(&self, k: usize) -> Address<T> {
        Address::fixed(self.spread(k).wrapping_sub(self.stride))
    }

    fn link(&self, step: &Step) -> Linked<T> {
        let mut operands = step.operands.map(|place| self.address(place));
        let (mut to, one) = self.address(step.to);
        let mut extent = if one { Extent::One } else { Extent::Block };
        if let (Place::Row(k), true) = (step.to, self.several_rows) {
            (to, extent) = (self.unspread(k), Extent::Rows);
            for (operand, place) in operands.iter_mut().zip(step.operands) {
                if let (Place::Row(k), false) = (place, step.reduces()) {
                    operand.0 = self.unspread(k);
                }
            }
        }
        linked(step.action, operands, to, extent, self.several_rows)
    }

    /// Spreads what a step has computed for each row, if a step over elements will read it.
    fn link_spread(&self, step: &Step) -> Option<Linked<T>> {
        let Place::Row(k) = step.to else { return None };
        let reads = |reader: &Step| {
            let of_rows = matches!(reader.to, Place::Row(_)) && !reader.reduces();
            !of_rows && reader.operands.contains(&step.to)
        };
        self.formula.schedule().steps.iter().any(reads).then(|| Linked {
            code: nothing::<T>,
            operands: [self.unspread(k); 3],
            to: Address::fixed(self.spread(k)),
            extent: Extent::Spread,
        })
    }

    /// Evaluates the elements `start..start + len` and writes them to the sinks.
    ///
    /// # Safety
    /// No other thread uses these elements of the sinks meanwhile.
    #[inline]
    pub(super) unsafe fn run(&mut self, start: usize, len: usize) {
        assert!(start + len <= self.n && len <= self.longest);
        debug_assert!(start.is_multiple_of(self.row));
        for gathered in &self.gathers {
            // SAFETY: layouts were checked against their buffers, blocks have room for `longest`.
            unsafe { gathered.gather(start, len) };
        }
        let steps = if self.many.is_empty() { &self.few[..self.n_few] } else { &self.many };
        if steps.len() > 2 && self.n - (start + len) >= len {
            for source in self.sources {
                if let Source::Slice(data) = source {
                    prefetch::lines(data[start + len..].as_ptr(), len);
                }
            }
        }
        for step in steps {
            let (operands, to) =
                (step.operands.map(|x| x.at(start).cast_const()), step.to.at(start));
            // SAFETY: slices have `n` elements in all, registers and blocks room for `longest`; the
            // caller keeps other threads away; numbers are asked for as such.
            unsafe {
                match step.extent {
                    Extent::Block | Extent::Whole => (step.code)(operands, to, len),
                    Extent::One => (step.code)(operands, to, 1),
                    Extent::Rows => (step.code)(operands, to, len / self.row),
                    Extent::Spread => spread(operands[0], to, [len / self.row, self.row]),
                    Extent::EachRow { op, of_one: false } => {
                        let out = std::slice::from_raw_parts_mut(to, len / self.row);
                        fold_lines(op, std::slice::from_raw_parts(operands[0], len), out);
                    }
                    Extent::EachRow { .. } => {
                        (step.code)(operands, to, self.row);
                        let joined = *to;
                        std::slice::from_raw_parts_mut(to, len / self.row).fill(joined);
                    }
                }
            }
        }
        for scattered in &self.scatters {
            // SAFETY: as for the gathered.
            unsafe { scattered.scatter(start, len) };
        }
    }

    /// Evaluates the elements `start..start + len` of a formula of one output that has no sink.
    pub(super) fn values(&mut self, start: usize, len: usize) -> Operand<'_, T> {
        assert!(self.sinks.is_empty());
        // SAFETY: there are no sinks.
        unsafe { self.run(start, len) };
        let (address, single) = match self.formula.schedule().steps.last() {
            // What was computed, not the copy of it that a sink would get.
            Some(Step { action: Action::Copy, operands: [from, ..], .. }) => self.address(*from),
            Some(step) => self.address(step.to),
            None => unreachable!("an output is computed or copied"),
        };
        let at = address.at(start);
        // SAFETY: as in `run`; what a step has written or a source holds is initialised.
        unsafe {
            if single {
                Operand::Scalar(*at)
            } else {
                Operand::Slice(std::slice::from_raw_parts(at, len))
            }
        }
    }
}

/// The loop of no step.
///
/// # Safety
/// None is needed.
unsafe fn nothing<T>(_: [*const T; 3], _: *mut T, _: usize) {}

/// Panics unless all sources and sinks have `n` elements; says whether they lie in the order of the
/// iteration, so that no block has to be filled or emptied.
fn check<T>(formula: &Formula, sources: &[Source<'_, T>], sinks: &[Sink<'_, T>], n: usize) -> bool {
    let mut lie_in_order = match sinks {
        [] => is_view(formula, sources),
        _ => sinks.iter().all(|sink| sink.order.is_none()),
    };
    for source in sources {
        let len = match source {
            Source::Slice(data) => data.len(),
            Source::One(_) => n,
            Source::Old(j) => sinks[*j].len,
            Source::Strided(_, layout) => {
                lie_in_order = false;
                layout.dims().iter().product()
            }
            Source::Sparse(data, rows) => {
                lie_in_order = false;
                assert!(data.len() >= rows.elem_count());
                n
            }
        };
        assert!(len >= n);
    }
    assert!(sinks.iter().all(|sink| sink.len >= n));
    lie_in_order
}

/// Whether the values of a formula without a sink are those of a slice, as they lie.
pub(super) fn is_view<T>(formula: &Formula, sources: &[Source<'_, T>]) -> bool {
    match formula.schedule().steps[..] {
        [Step { action: Action::Copy, operands: [Place::Input(i), ..], .. }] => {
            matches!(sources[i], Source::Slice(_))
        }
        _ => false,
    }
}

/// Rough cost of one element in units of an addition, to decide what is worth a second thread.
pub(super) fn cost(formula: &Formula) -> usize {
    let nodes = formula.nodes().iter();
    1 + nodes
        .map(|node| match node {
            Node::Unary(op, _) => match op {
                crate::Unary::Neg | crate::Unary::Abs => 1,
                crate::Unary::Floor | crate::Unary::Round | crate::Unary::Sqrt => 2,
                _ => 10,
            },
            Node::Binary(crate::Binary::Pow, ..) => 40,
            Node::Binary(..) | Node::Select(..) | Node::Reduce(..) | Node::Input(_) => 1,
            Node::Scalar(_) | Node::Const(_) => 0,
        })
        .sum::<usize>()
}

/// Elements that one thread should have at least: about 20 microseconds of work.
pub(super) fn grain(formula: &Formula) -> usize {
    (200_000 / cost(formula)).next_multiple_of(BLOCK)
}
