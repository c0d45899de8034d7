//! Which plan is the fastest for a product: each candidate computes it, by the device's clock or, where not all of
//! them are timed by that, by the host's ([`clock`](crate::clock)). A candidate is trusted when it has computed small products right: of small integers,
//! whose sums are exact in any order, so that not a bit may differ.

use plies_tensor::{Contraction, DType};

use super::Contract;
use super::kernel::is_along;
use super::plan::{Plan, SMALLEST_BY_UNITS, Tile};
use crate::clock::Times;
use crate::fault::Fault;
use crate::gpu::Shared;
use crate::pool::Memory;
use crate::strided::Operand;
use crate::tuning::{Class, Tuning};

/// Rounds, of which the fastest counts.
const ROUNDS: usize = 3;

impl Contract<'_> {
    /// The measured plan of a product of this class, or the rule of thumb.
    pub(super) fn plan(&self, gpu: &Shared) -> Plan {
        // Only floats are worth it.
        let tuning = gpu.tuning().filter(|_| self.dtype == DType::F32);
        let measured = tuning.and_then(|tuning| {
            if self.operands().iter().any(|operand| operand.memory.fault("").is_some()) {
                return None;
            }
            tuning.plan(self.class(), || self.measure(gpu, tuning))
        });
        measured.unwrap_or_else(|| Plan::rule(self.sizes(), self.by_units(gpu)))
    }

    /// Whether matrix units may compute it.
    fn by_units(&self, gpu: &Shared) -> bool {
        self.dtype == DType::F32 && gpu.matrix_units().is_some()
    }

    fn along(&self) -> [bool; 2] {
        let groups = self.groups();
        [is_along(&groups.inner, &groups.rows, 0), is_along(&groups.inner, &groups.columns, 1)]
    }

    fn class(&self) -> Class {
        let log = |n: usize| n.next_power_of_two().ilog2() as u8;
        let [batch, m, k, n] = self.sizes().map(log);
        let kind = u8::from(self.name() != "matmul");
        let [a, b] = self.along().map(u8::from);
        [kind, a, b, batch, m, k, n]
    }

    fn measure(&self, gpu: &Shared, tuning: &Tuning) -> Option<Plan> {
        let along = self.along();
        let mut tried: Vec<(Times, Plan)> = Vec::new();
        for plan in Plan::candidates(self.sizes(), self.by_units(gpu)) {
            let variant = [plan.tile, along[0].into(), along[1].into()];
            let name = || format!("a kernel with tiles of {:?}", plan.tile());
            if !tuning.is_right(variant, name, || is_right(gpu, plan.tile, along))? {
                continue;
            }
            match self.time(gpu, plan)? {
                Ok(times) => tried.push((times, plan)),
                Err(reason) => tuning.notice(format!("{} {reason} and is not used", name())),
            }
        }
        let by_device = tried.iter().all(|(times, _)| times.device.is_some());
        let time = |times: &Times| times.device.filter(|_| by_device).unwrap_or(times.host);
        tried.into_iter().min_by_key(|(times, _)| time(times)).map(|(_, plan)| plan)
    }

    /// The shortest of some times, or why the driver has not even tried; `None` where there is no room or the device
    /// failed.
    fn time(&self, gpu: &Shared, plan: Plan) -> Option<Result<Times, String>> {
        let [batch, m, _, n] = self.sizes();
        let memory = gpu.room(batch * m * n).ok()?;
        let out = self.row_major(&memory, batch * m * n);
        let product: Contract<'_> = Contract { out, finish: None, ..self.clone() };
        let once = || gpu.time(|| product.clone().compute(gpu, plan));
        once()?; // The first one compiles.
        if let Some(reason) = refusal(gpu, &memory) {
            return Some(Err(reason));
        }
        let mut least = once()?;
        for _ in 1..ROUNDS {
            least = least.least(once()?);
        }
        // What was left out took no time.
        memory.fault("").is_none().then_some(Ok(least))
    }
}

/// Whether matrix units multiply small integers right, by the smallest tile, or what is the matter with them.
pub(crate) fn units_are_right(gpu: &Shared) -> Result<(), String> {
    let no_room = || Err("finds no room to be tried in".into());
    is_right(gpu, SMALLEST_BY_UNITS, [true, false]).unwrap_or_else(no_room)
}

/// Whether the driver refused a kernel that should have written this, which is then no fault of the program's.
fn refusal(gpu: &Shared, memory: &Memory) -> Option<String> {
    let fault = memory.fault("").filter(Fault::is_refused_kernel)?;
    gpu.faults.withdraw(&fault);
    Some(format!("is refused by the driver ({})", fault.reason))
}

/// Whether products by this tile are right to the bit: such that fit it and such that do not, in one part and
/// in two, of operands that lie so. `None` where there is no room to find out.
fn is_right(gpu: &Shared, tile: usize, along: [bool; 2]) -> Option<Result<(), String>> {
    let Tile { rows, columns, depth, .. } = Plan { tile, parts: 1 }.tile();
    let sizes = [[rows, 16 * depth, columns], [rows + 4, 17 * depth + 3, columns + 3]];
    for (sizes, parts) in sizes.into_iter().flat_map(|sizes| [(sizes, 1), (sizes, 2)]) {
        if let Err(reason) = is_exact(gpu, Plan { tile, parts }, sizes, along)? {
            return Some(Err(reason));
        }
    }
    Some(Ok(()))
}

fn is_exact(
    gpu: &Shared,
    plan: Plan,
    [m, k, n]: [usize; 3],
    along: [bool; 2],
) -> Option<Result<(), String>> {
    // −4 to 4, in no order.
    let number = |i: usize| ((i * i + 3 * i) % 9) as i32 - 4;
    let (left, right) =
        (|i: usize, s: usize| number(i * k + s), |s: usize, j: usize| number(s * n + j + 1));
    let fill = |dims: [usize; 2], at: &dyn Fn(usize, usize) -> i32| {
        let places = (0..dims[0]).flat_map(|i| (0..dims[1]).map(move |j| (i, j)));
        let values: Vec<f32> = places.map(|(i, j)| at(i, j) as f32).collect();
        let memory = gpu.room(values.len()).ok()?;
        gpu.write(&memory, bytemuck::cast_slice(&values));
        Some(memory)
    };
    let a = if along[0] { fill([m, k], &left) } else { fill([k, m], &|s, i| left(i, s)) }?;
    let b = if along[1] { fill([n, k], &|j, s| right(s, j)) } else { fill([k, n], &right) }?;
    let out = gpu.room(m * n).ok()?;
    let [m_, k_, n_] = [m, k, n].map(|n| n as isize);
    let operand = |memory, len, strides: [isize; 3]| Operand {
        memory,
        len,
        offset: 0,
        strides: strides.to_vec(),
    };
    Contract {
        dtype: DType::F32,
        dims: vec![m, k, n],
        loops: Contraction { batch: 0, rows: 1, inner: 1, columns: 1, add: false },
        a: operand(&a, m * k, if along[0] { [k_, 1, 0] } else { [1, m_, 0] }),
        b: operand(&b, k * n, if along[1] { [0, 1, k_] } else { [0, n_, 1] }),
        out: operand(&out, m * n, [n_, 0, 1]),
        finish: None,
    }
    .compute(gpu, plan);
    if let Some(reason) = refusal(gpu, &out) {
        return Some(Err(reason));
    }
    let mut found = vec![-1i32; m * n];
    let read = gpu.read_words(&out, &mut found);
    let right_at = |at: usize| {
        let sum: i32 = (0..k).map(|s| left(at / n, s) * right(s, at % n)).sum();
        found[at] == (sum as f32).to_bits() as i32
    };
    let is_right = read && (0..m * n).all(right_at);
    Some(if is_right { Ok(()) } else { Err("computes wrong products here".into()) })
}
