//! Products that are added to elements several times: the gradient of a convolution's input, where a
//! window's products go to where the window read.
//!
//! Two threads must not add to one element at once, and the order of additions should not be chance. So
//! the products are computed first, each in its own place, and then a thread for each element of the result
//! looks for those that lead to it. The result's place is Σ index · stride over the axes. Some axes (a
//! window's rows and columns) are walked; what then is left of the place names the index of every other
//! axis, like the digits of a number, because none of them can reach as far as one step of the next.
//!
//! The products of a whole batch could be large, so a part of the batch at a time has them.

use plies_tensor::Contraction;

use super::Contract;
use crate::gpu::Shared;
use crate::kernels::{Bindings, THREADS, Usage, code};
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, coordinates, each, fill, head, place};
use crate::strided::{ELEMENT, Operand};

/// Bytes of products at a time, at least those of one place of the batch.
const AT_ONCE: u64 = 64 << 20;

pub(super) fn run(gpu: &Shared, contract: Contract<'_>) {
    let [_, m, _, n] = contract.sizes();
    let Contraction { batch, .. } = contract.loops;
    // Cut along the first axis of the batch that has several places.
    let axis = (0..batch).find(|&axis| contract.dims[axis] > 1);
    let size: usize = contract.dims[..batch].iter().product::<usize>() * m * n;
    let most = AT_ONCE.min(gpu.limits().largest);
    if size as u64 * ELEMENT > most
        && let Some(axis) = axis
    {
        let half = contract.dims[axis] / 2;
        for (start, size) in [(0, half), (half, contract.dims[axis] - half)] {
            let mut part = contract.clone();
            part.dims[axis] = size;
            for operand in [&mut part.a, &mut part.b, &mut part.out] {
                operand.offset += start as isize * operand.strides[axis];
            }
            if let Some(finish) = &mut part.finish {
                let shift = |o: &mut Operand<'_>| o.offset += start as isize * o.strides[axis];
                finish.inputs.iter_mut().for_each(shift);
            }
            run(gpu, part);
        }
        return;
    }
    let memory = gpu.scratch(size);
    let products = contract.row_major(&memory, size);
    let loops = Contraction { add: false, ..contract.loops };
    let product: Contract<'_> =
        Contract { out: products.clone(), finish: None, loops, ..contract.clone() };
    product.run(gpu);
    spread(gpu, &contract, &products);
    // The formula wants every element once, which an overlapping layout does not offer.
    if contract.finish.is_some() {
        gpu.unsupported("a formula after a sum over windows that overlap");
    }
}

/// An axis of the rows or the columns.
#[derive(Clone, Copy)]
struct Axis {
    dim: usize,
    /// In the result, and among the products.
    steps: [isize; 2],
}

fn spread(gpu: &Shared, contract: &Contract<'_>, products: &Operand<'_>) {
    let [batch, rows, inner, columns] = contract.ends();
    let axes: Vec<Axis> = (batch..rows)
        .chain(inner..columns)
        .filter(|&i| contract.dims[i] > 1)
        .map(|i| Axis {
            dim: contract.dims[i],
            steps: [contract.out.strides[i], products.strides[i]],
        })
        .collect();
    let Some(digits) = digits(&axes) else {
        gpu.unsupported("a sum over windows whose axes have no order")
    };
    let chosen = |of_digits: bool| -> Vec<Axis> {
        let axes = axes.iter().enumerate();
        axes.filter(|(i, _)| digits.contains(i) == of_digits).map(|(_, axis)| *axis).collect()
    };
    let walked = chosen(false);
    let mut named = chosen(true);
    named.sort_by_key(|axis| std::cmp::Reverse(axis.steps[0]));
    let reach = 1 + axes.iter().map(|axis| (axis.dim - 1) * axis.steps[0] as usize).sum::<usize>();
    let dims = &contract.dims[..batch];
    let places: usize = dims.iter().product();
    let window: usize = walked.iter().map(|axis| axis.dim).product();
    let mut bindings = Bindings::empty();
    let sees =
        bindings.add(products, &contract.dims, Usage::read(contract.dtype), gpu.limits()).is_some()
            && bindings
                .add(&contract.out, &contract.dims, Usage::write(contract.dtype), gpu.limits())
                .is_some();
    if !sees || places * reach > crate::kernels::MOST {
        gpu.unsupported("a sum over windows of more than a kernel sees");
    }
    let mut numbers = Numbers::default();
    [places * reach, reach, window].iter().for_each(|&n| numbers.size(n));
    dims.iter().for_each(|&dim| numbers.size(dim));
    contract.out.strides[..batch].iter().for_each(|&stride| numbers.step(stride));
    products.strides[..batch].iter().for_each(|&stride| numbers.step(stride));
    walked.iter().for_each(|axis| numbers.size(axis.dim));
    (0..2).for_each(|i| walked.iter().for_each(|axis| numbers.step(axis.steps[i])));
    for axis in &named {
        numbers.size(axis.dim);
        axis.steps.iter().for_each(|&step| numbers.step(step));
    }
    bindings.offsets.iter().for_each(|&offset| numbers.step(offset));
    let sizes = [batch, walked.len(), named.len()];
    let mut class = vec![code(contract.dtype)];
    class.extend(sizes.map(|n| n as u32));
    let key = Key { kernel: "sum over windows", formula: None, class };
    let groups = ((places * reach) as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || text(contract, &bindings, sizes));
}

/// The axes that what is left of a place names: each step of one is longer than all smaller ones of them
/// reach. Of all such sets the one that leaves the fewest places to be walked.
fn digits(axes: &[Axis]) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|&i| axes[i].steps[0]);
    let valid = |set: u32| {
        let mut reach = 0;
        order.iter().filter(|&&i| set >> i & 1 == 1).all(|&i| {
            let Axis { dim, steps: [step, _] } = axes[i];
            let above = step > reach;
            reach += (dim as isize - 1) * step;
            above
        })
    };
    let walked = |set: u32| -> usize {
        (0..axes.len()).filter(|&i| set >> i & 1 == 0).map(|i| axes[i].dim).product()
    };
    let best = (0..1u32 << axes.len()).filter(|&set| valid(set)).min_by_key(|&set| walked(set))?;
    Some((0..axes.len()).filter(|&i| best >> i & 1 == 1).collect())
}

fn text(
    contract: &Contract<'_>,
    bindings: &Bindings<'_>,
    [batch, walked, named]: [usize; 3],
) -> String {
    let mut slots = Slots::default();
    let [count, reach, window] = [(); 3].map(|()| slots.u32());
    let dims: Vec<String> = (0..batch).map(|_| slots.u32()).collect();
    let [out, from] = [(); 2].map(|()| (0..batch).map(|_| slots.i32()).collect::<Vec<_>>());
    let sizes: Vec<String> = (0..walked).map(|_| slots.u32()).collect();
    let [step, within] = [(); 2].map(|()| (0..walked).map(|_| slots.i32()).collect::<Vec<_>>());
    let mut decode = String::new();
    for _ in 0..named {
        let (dim, [step, within]) = (slots.u32(), [(); 2].map(|()| slots.i32()));
        decode += &format!(
            "        {{
            let digit = rest / {step};
            fits = fits && digit < i32({dim});
            rest -= digit * {step};
            at += digit * {within};
        }}\n"
        );
    }
    let [from_offset, out_offset] = [(); 2].map(|()| slots.i32());
    let batch = format!(
        "{}    let base = {};\n    let start = {from_offset} + {};\n",
        coordinates("i", &dims),
        place("i", &out),
        place("i", &from)
    );
    let steps = format!(
        "{}        let step = {};\n        let within = {};\n",
        coordinates("w", &sizes),
        place("w", &step),
        place("w", &within)
    );
    let words = [
        ("reach", &*reach),
        ("window", &window),
        ("batch", &batch),
        ("steps", &steps),
        ("decode", &decode),
        ("out_offset", &out_offset),
    ];
    let head = head(contract.dtype, 1, &bindings.buffers);
    each(head, &count, &fill(include_str!("overlap.wgsl"), &words))
}
