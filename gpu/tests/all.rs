//! The device against the CPU. Without a graphics processor these tests are left out, and say so; with
//! the environment variable `PLIES_GPU` there must be the one that it names.

mod faults;
mod functions;
mod matrix_units;
mod products;
mod sizes;
mod steady_state;
mod tuning;

use plies_gpu::{Gpu, Options};
use plies_tensor::testing::{assert_close, conformance};
use plies_tensor::{Device, Rng, Tensor};

fn open_with(options: Options) -> Option<Gpu> {
    let adapter = std::env::var("PLIES_GPU").ok();
    match Gpu::open(&Options { adapter: adapter.clone(), ..options }) {
        Ok(gpu) => Some(gpu),
        Err(reason) if adapter.is_some() => panic!("PLIES_GPU: {reason}"),
        Err(reason) => {
            eprintln!("LEFT OUT: {reason}");
            None
        }
    }
}

fn open() -> Option<Gpu> {
    open_with(Options::default())
}

/// Random numbers on the CPU, and the same on a device.
fn draw(seed: u64, dims: &[usize], device: &Device) -> [Tensor; 2] {
    let x = Rng::new(seed).normal(dims, plies_tensor::DType::F32, &Device::cpu());
    let there = x.to_device(device).unwrap();
    [x, there]
}

/// An operation on a device and on the CPU.
#[track_caller]
fn same<const N: usize>(
    device: &Device,
    shapes: [&[usize]; N],
    tolerance: f64,
    operation: impl Fn([&Tensor; N]) -> Tensor,
) {
    let seeds = 1..;
    let drawn: Vec<[Tensor; 2]> =
        shapes.iter().zip(seeds).map(|(dims, seed)| draw(seed, dims, device)).collect();
    let on = |which: usize| operation(std::array::from_fn(|i| &drawn[i][which]));
    assert_close(&on(1), &on(0), tolerance, tolerance);
}

#[test]
fn every_operation_conforms() {
    let Some(gpu) = open() else { return };
    conformance(&gpu.device());
}
