use plies_tensor::{DType, Elementwise, Tensor, formula};

/// A step that trains nothing, but allocates like one.
fn step(weight: &mut Tensor, x: &Tensor) -> Tensor {
    let y = x.matmul(weight).tanh();
    let gradient = x.t().matmul(&(1.0 - &y * &y));
    Tensor::update(&mut [weight], formula!(|w, g; lr| w - lr * g), &[&gradient], &[1e-3]);
    y.mean_all()
}

#[test]
fn a_steady_state_allocates_nothing_compiles_nothing_and_submits_little() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    let [_, mut weight] = super::draw(1, &[60, 50], &device);
    let [_, x] = super::draw(2, &[40, 60], &device);
    for _ in 0..3 {
        step(&mut weight, &x);
    }
    device.synchronize().unwrap();
    let before = gpu.counters();
    for _ in 0..40 {
        step(&mut weight, &x);
    }
    device.synchronize().unwrap();
    let after = gpu.counters();
    assert_eq!(after.allocations, before.allocations);
    assert_eq!(after.pipelines, before.pipelines);
    assert_eq!((after.in_use, after.peak), (before.in_use, before.peak));
    let [dispatches, submissions] =
        [after.dispatches - before.dispatches, after.submissions - before.submissions];
    assert!(dispatches >= 40 * 6, "{dispatches}");
    assert!(submissions <= dispatches / 100 + 3, "{submissions} for {dispatches}");
}

#[test]
fn what_is_written_by_the_host_does_not_overtake_what_is_recorded() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    let mut sum = Tensor::zeros([64], DType::F32, &device);
    for i in 0..20 {
        // Dropped at once, so that the next one gets its memory while the sum still waits.
        let x = Tensor::from_slice_on(&[i as f32; 64], [64], &device);
        sum = &sum + &x;
    }
    assert_eq!(sum.to_vec::<f32>().unwrap(), [190.0; 64]);
}

#[test]
fn memory_goes_back_to_the_driver_when_asked_to() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    drop(Tensor::zeros([100_000], DType::F32, &device).exp());
    assert!(device.memory_use().cached >= 800_000);
    device.empty_cache();
    assert_eq!(device.memory_use().cached, 0);
}
