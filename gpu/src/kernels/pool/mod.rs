//! The largest element of each window, and where it stands: a thread for each window. Averages are
//! convolutions, and the gradient of a maximum is a `scatter_add`.

use plies_tensor::{DType, Windows};

use super::{Bindings, MOST, THREADS, Usage, code};
use crate::gpu::Shared;
use crate::pipeline::Key;
use crate::shader::{Numbers, Slots, each, fill, head};
use crate::strided::Operand;

/// `operands` are the input [planes, H, W], values and positions [planes, OH, OW]. Of more than a kernel sees,
/// some planes come after the others.
pub(crate) fn max_pool(
    gpu: &Shared,
    dtype: DType,
    windows: Windows,
    [planes, h, w]: [usize; 3],
    operands: &[Operand<'_>; 3],
) {
    let Windows { size, stride, padding, count } = windows;
    let total = planes * count[0] * count[1];
    if total == 0 {
        return;
    }
    let usage = [Usage::read(dtype), Usage::write(dtype), Usage::write(DType::I32)];
    let mut bindings = Bindings::empty();
    let fits = operands.iter().enumerate().all(|(i, operand)| {
        let dims = if i == 0 { [planes, h, w] } else { [planes, count[0], count[1]] };
        bindings.add(operand, &dims, usage[i], gpu.limits()).is_some()
    });
    if !fits || planes * h * w > MOST || total > MOST {
        let half = planes / 2;
        if half == 0 {
            gpu.unsupported(&format!("max_pool over a plane of {h} x {w}"));
        }
        for (start, planes) in [(0, half), (half, planes - half)] {
            let part = [0, 1, 2].map(|i| operands[i].from(0, start));
            max_pool(gpu, dtype, windows, [planes, h, w], &part);
        }
        return;
    }
    let mut numbers = Numbers::default();
    [total, count[0], count[1]].iter().for_each(|&n| numbers.size(n));
    let sizes = [[h, w], size, stride, padding];
    sizes.as_flattened().iter().for_each(|&n| numbers.step(n.min(MOST) as isize));
    bindings.offsets.iter().for_each(|&offset| numbers.step(offset));
    let key = Key { kernel: "max_pool", formula: None, class: vec![code(dtype)] };
    let groups = (total as u64).div_ceil(THREADS);
    gpu.launch(key, &bindings.entries, &numbers, groups, || {
        let mut slots = Slots::default();
        let [count, count_h, count_w] = [(); 3].map(|()| slots.u32());
        let [h, w, size_h, size_w, stride_h, stride_w, padding_h, padding_w] =
            [(); 8].map(|()| slots.i32());
        let [offset, values, positions] = [(); 3].map(|()| slots.i32());
        let better = match dtype {
            DType::I32 => "other > value".to_owned(),
            _ => {
                let is_nan = |x: &str| format!("(bitcast<u32>({x}) & 0x7fffffffu) > 0x7f800000u");
                let [other, value] = ["other", "value"].map(is_nan);
                format!("!({value}) && ({other} || other > value)")
            }
        };
        let words = [
            ("count_h", &*count_h),
            ("count_w", &count_w),
            ("h", &h),
            ("w", &w),
            ("size_h", &size_h),
            ("size_w", &size_w),
            ("stride_h", &stride_h),
            ("stride_w", &stride_w),
            ("padding_h", &padding_h),
            ("padding_w", &padding_w),
            ("offset", &offset),
            ("values", &values),
            ("positions", &positions),
            ("better", &better),
        ];
        let head = head(dtype, 1, &bindings.buffers);
        each(head, &count, &fill(include_str!("max_pool.wgsl"), &words))
    });
}
