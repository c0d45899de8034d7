//! Memory that runs out: what is kept for the next tensors is given up first, and the message says how
//! much was asked for. In a process of its own, where nobody else's tensors are counted.

use std::panic::catch_unwind;

use plies_tensor::{DType, Device, Tensor};

/// Bytes that stay cached in the middle of a test: small blocks.
const LITTLE: usize = 1 << 20;

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::cpu())
}

#[test]
fn a_request_that_cannot_be_met_gives_up_the_cache_and_says_what_it_was() {
    let cpu = Device::cpu();
    let held = zeros(&[1000]);
    let fill = || drop(zeros(&[3000, 1000]));
    fill();
    assert!(cpu.memory_use().cached >= 12_000_000);
    let before = cpu.memory_use();
    let panic = catch_unwind(|| zeros(&[1 << 29, 1 << 29])).unwrap_err();
    let message = panic.downcast::<String>().unwrap();
    let start = "allocate: shape [536870912, 536870912] of f32: 1152921504606846976 bytes, beside ";
    assert!(message.starts_with(start), "{message}");
    let after = cpu.memory_use();
    assert_eq!(after.in_use, before.in_use);
    assert!(after.cached < LITTLE, "{after:?}");
    // The device goes on working, also with what was empty.
    assert_eq!((&held + 1.0).sum_all().item().unwrap(), 1000.0);
    fill();
    assert!(cpu.memory_use().cached >= 12_000_000);
    cpu.empty_cache();
    let after = cpu.memory_use();
    assert!(after.cached < LITTLE, "{after:?}");
    assert!(after.in_use >= 4000 && after.in_use < LITTLE, "{after:?}");
}
