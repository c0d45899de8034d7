//! Pictures a second that one core changes: digits of 28 by 28 pixels, in batches of 64.
//!
//! `cargo bench -p plies-nn --bench augment -- --max-time 2`

use divan::Bencher;
use divan::counter::ItemsCount;
use plies_nn::data::{Augment, Batch, Draws, Erase};
use plies_tensor::{DType, Device, Rng, Tensor, set_threads};

const BATCH: usize = 64;

fn main() {
    divan::main();
}

fn pictures(bencher: Bencher<'_, '_>, dims: [usize; 4], augment: Augment) {
    set_threads(1);
    let images = Rng::new(1).uniform(dims, DType::F32, &Device::cpu());
    let targets = Tensor::arange(dims[0]);
    let numbers: Vec<usize> = (0..dims[0]).collect();
    let mut epoch = 0;
    bencher.counter(ItemsCount::new(dims[0])).bench_local(|| {
        epoch += 1;
        let batch = Batch::new(images.clone(), targets.clone());
        augment.apply(batch, &Draws::new(1, epoch, 0, &numbers))
    });
}

fn affine() -> Augment {
    Augment::new().rotate(15.0).scale(0.9, 1.1).shear(10.0).shift(2.0)
}

/// Four moves, one pass.
#[divan::bench]
fn moves(bencher: Bencher<'_, '_>) {
    pictures(bencher, [BATCH, 1, 28, 28], affine());
}

/// The same and a field of displacements, still one pass.
#[divan::bench]
fn moves_and_elastic(bencher: Bencher<'_, '_>) {
    pictures(bencher, [BATCH, 1, 28, 28], affine().elastic(34.0, 4.0));
}

#[divan::bench]
fn noise(bencher: Bencher<'_, '_>) {
    pictures(bencher, [BATCH, 1, 28, 28], Augment::new().noise(0.1));
}

#[divan::bench]
fn erase(bencher: Bencher<'_, '_>) {
    pictures(bencher, [BATCH, 1, 28, 28], Augment::new().erase(Erase::default()));
}

/// What is usual for photographs of 32 by 32 pixels in three colours.
#[divan::bench]
fn crop_and_flip(bencher: Bencher<'_, '_>) {
    pictures(bencher, [BATCH, 3, 32, 32], Augment::new().crop([32, 32], 4).flip(0.5));
}
