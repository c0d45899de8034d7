use plies_gpu::Options;
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};

/// A kernel sees four kilobytes at most, as if tensors were a hundred thousand times as large.
#[test]
fn tensors_that_a_kernel_does_not_see_whole_are_cut() {
    let options = Options { binding: Some(4096), ..Options::default() };
    let Some(gpu) = super::open_with(options) else { return };
    let device = &gpu.device();
    super::same(device, [&[50, 101], &[50, 101]], 1e-6, |[x, y]| x * y + x.tanh());
    super::same(device, [&[101, 50], &[101, 1]], 1e-6, |[x, y]| x.t() + y.t());
    super::same(device, [&[50, 101]], 1e-5, |[x]| x.softmax(1));
    super::same(device, [&[50, 101]], 1e-5, |[x]| x.sum_all());
    super::same(device, [&[50, 101]], 1e-5, |[x]| x.sum(&[0], false));
    super::same(device, [&[50, 101]], 1e-5, |[x]| x.sum(&[1], false));
    // The results are larger than that, too.
    super::same(device, [&[5000, 2]], 1e-5, |[x]| x.sum(&[1], false));
    super::same(device, [&[2, 5000]], 1e-5, |[x]| x.sum(&[0], false));
    super::same(device, [&[3, 2, 1500]], 1e-5, |[x]| x.max(&[1], false));
    super::same(device, [&[8, 20, 30], &[8, 30, 20]], 1e-5, |[a, b]| a.matmul(b));
    super::same(device, [&[60, 20], &[20, 60]], 1e-5, |[a, b]| a.matmul(b));
    super::same(device, [&[7000]], 0.0, |[x]| x.to_dtype(DType::I32));
    let random = |device: &Device| Rng::new(3).uniform([5000], DType::F32, device);
    let cpu = random(&Device::cpu());
    assert_eq!(random(device).to_vec::<f32>().unwrap(), cpu.to_vec::<f32>().unwrap());
}

/// A dispatch has at most 65 535 workgroups along a dimension, and these sums have 70 000.
#[test]
fn more_workgroups_than_a_dimension_has_are_folded() {
    let Some(gpu) = super::open() else { return };
    super::same(&gpu.device(), [&[1, 1024]], 1e-5, |[x]| {
        x.broadcast_to([70_000, 1024]).sum(&[1], false)
    });
}

#[test]
fn long_lines_are_sorted_and_summed_like_short_ones() {
    let Some(gpu) = super::open() else { return };
    let device = &gpu.device();
    for n in [100, 2048, 2049, 5000] {
        super::same(device, [&[n, 2]], 0.0, |[x]| x.sort(0, false).0);
        super::same(device, [&[2, n]], 0.0, |[x]| x.topk(7, 1).0);
        // Many equal ones keep their order.
        super::same(device, [&[n]], 0.0, |[x]| x.sign().sort(0, true).1);
        super::same(device, [&[3, n]], 1e-4, |[x]| x.cumsum(1));
        super::same(device, [&[n, 3]], 0.0, |[x]| x.argmax(0, false));
    }
    // Few lines, for which each place looks for what leads to it, and many.
    for lines in [3, 2000] {
        super::same(device, [&[10, lines], &[64, lines]], 1e-5, |[x, source]| {
            let rows: Vec<i32> = (0..64).map(|i| i * i % 10).collect();
            let index = Tensor::from(rows).to_device(x.device()).unwrap();
            x.index_add(0, &index, source)
        });
    }
    super::same(device, [&[1_000_000]], 1e-5, |[x]| (x + 1.0).sum_all());
}
