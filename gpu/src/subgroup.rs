//! Threads that exchange values without shared memory.
//!
//! The threads of a subgroup run in step, and a thread can read what another one holds. Which threads are in
//! a subgroup is left to the device. Kernels rely on neighbours being together, so it is tried out once,
//! when the device is opened, and where it is not so they use shared memory.

use plies_tensor::DType;

use crate::gpu::Shared;
use crate::kernels::{Bindings, Usage};
use crate::pipeline::Key;
use crate::shader::{Numbers, head, together};
use crate::strided::Operand;

/// Threads of a workgroup.
const THREADS: usize = 256;

/// `size` if each thread can read that of number `thread ^ half`, for each `half` that is smaller; 1 if not.
pub(crate) fn exchanging(gpu: &Shared, size: u32) -> usize {
    if !(2..=THREADS as u32).contains(&size) || !size.is_power_of_two() {
        return 1;
    }
    let memory = gpu.scratch(THREADS);
    let out = Operand::contiguous(&memory, THREADS, &[THREADS]);
    let mut bindings = Bindings::empty();
    if bindings.add(&out, &[THREADS], Usage::write(DType::I32), gpu.limits()).is_none() {
        return 1;
    }
    let key = Key { kernel: "subgroups", formula: None, class: vec![size] };
    gpu.launch(key, &bindings.entries, &Numbers::default(), 1, || {
        let halves = (0..size.ilog2()).map(|n| 1 << n);
        let test = |half: u32| {
            format!(
                "    let other{half} = subgroupShuffleXor(thread, {half}u);
    wrong = wrong | (other{half} ^ thread ^ {half}u);\n"
            )
        };
        let tests: String = halves.map(test).collect();
        let text = format!(
            "fn together(workgroup: u32, thread: u32) {{
    var wrong = workgroup;
{tests}    b0[thread] = i32(wrong);
}}\n"
        );
        together(head(DType::I32, 1, &bindings.buffers), THREADS, &text)
    });
    let mut words = [-1i32; THREADS];
    let read = gpu.read_words(&memory, &mut words);
    if read && words.iter().all(|&wrong| wrong == 0) { size as usize } else { 1 }
}

#[cfg(test)]
mod tests {
    use crate::Options;
    use crate::gpu::tests::open_with;

    #[test]
    fn threads_exchange_values_unless_they_are_told_not_to() {
        let Some(gpu) = open_with(Options::default()) else { return };
        eprintln!("{} threads exchange values", gpu.subgroup());
        // Mesa's, on which these tests are run everywhere, can.
        assert!(gpu.subgroup() > 1 || !gpu.device_name().contains("llvmpipe"));
        let Some(gpu) = open_with(Options { without_subgroups: true, ..Options::default() }) else {
            return;
        };
        assert_eq!(gpu.subgroup(), 1);
    }
}
