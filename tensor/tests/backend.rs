//! A backend outside the crate: the CPU under another name. Right, it conforms; wrong, it is found
//! out.

use std::any::Any;
use std::sync::Arc;

use plies_tensor::testing::conformance;
use plies_tensor::{
    ArgReduce, Backend, Buffer, Contraction, DType, Device, Distribution, Epilogue, Formula,
    Reduce, Result, Target, Tensor, View, Windows,
};

/// Hands everything to the CPU; with a fault, maximum and minimum are exchanged.
struct Shadow {
    cpu: Device,
    faulty: bool,
}

impl Backend for Shadow {
    fn name(&self) -> &str {
        if self.faulty { "faulty shadow" } else { "shadow" }
    }
    fn allocate(&self, dtype: DType, len: usize) -> Box<dyn Any + Send + Sync> {
        self.cpu.backend().allocate(dtype, len)
    }
    fn write(&self, target: &mut Buffer, bytes: &[u8]) {
        self.cpu.backend().write(target, bytes);
    }
    fn read(&self, source: &Buffer, start: usize, bytes: &mut [u8]) -> Result<()> {
        self.cpu.backend().read(source, start, bytes)
    }
    fn map(
        &self,
        formula: &Formula,
        inputs: &[View<'_>],
        scalars: &[f64],
        targets: &mut [Target<'_>],
        in_place: bool,
    ) {
        self.cpu.backend().map(formula, inputs, scalars, targets, in_place);
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
        self.cpu.backend().reduce(op, formula, inputs, scalars, axes, out);
    }
    fn arg_reduce(&self, op: ArgReduce, input: View<'_>, axis: usize, out: &mut Buffer) {
        self.cpu.backend().arg_reduce(op, input, axis, out);
    }
    fn cumsum(&self, input: View<'_>, axis: usize, out: &mut Buffer) {
        self.cpu.backend().cumsum(input, axis, out);
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
        self.cpu.backend().sort(input, axis, descending, k, values, indices);
    }
    fn matmul(&self, a: View<'_>, b: View<'_>, epilogue: Option<Epilogue<'_>>, out: &mut Buffer) {
        self.cpu.backend().matmul(a, b, epilogue, out);
    }
    fn contract(
        &self,
        loops: Contraction,
        a: View<'_>,
        b: View<'_>,
        epilogue: Option<Epilogue<'_>>,
        out: Target<'_>,
    ) {
        self.cpu.backend().contract(loops, a, b, epilogue, out);
    }
    fn max_pool(
        &self,
        input: View<'_>,
        windows: Windows,
        values: &mut Buffer,
        positions: &mut Buffer,
    ) {
        self.cpu.backend().max_pool(input, windows, values, positions);
    }
    fn gather(&self, input: View<'_>, axis: usize, index: View<'_>, out: &mut Buffer) {
        self.cpu.backend().gather(input, axis, index, out);
    }
    fn scatter_add(
        &self,
        target: &mut Buffer,
        dims: &[usize],
        axis: usize,
        index: View<'_>,
        source: View<'_>,
    ) {
        self.cpu.backend().scatter_add(target, dims, axis, index, source);
    }
    fn random(&self, distribution: Distribution, seed: u64, block: u64, out: &mut Buffer) {
        self.cpu.backend().random(distribution, seed, block, out);
    }
    fn cast(&self, input: View<'_>, out: &mut Buffer) {
        self.cpu.backend().cast(input, out);
    }
}

fn shadow(faulty: bool) -> Device {
    Device::new(Arc::new(Shadow { cpu: Device::cpu(), faulty }))
}

#[test]
fn a_backend_of_another_crate_conforms() {
    conformance(&shadow(false));
}

#[test]
#[should_panic(expected = "faulty shadow: reduce")]
fn a_wrong_backend_is_found_out() {
    conformance(&shadow(true));
}

#[test]
#[should_panic(expected = "(x0 + x1): tensors on cpu and shadow; move with to_device")]
fn devices_do_not_mix_silently() {
    let here = Tensor::from([1f32]);
    let there = here.to_device(&shadow(false)).unwrap();
    let _ = &here + &there;
}
