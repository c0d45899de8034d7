use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Tensor, formula};

/// Products in every variant: three sizes of tiles that fit and that do not, a long inner loop in parts,
/// one row or column.
#[test]
fn products_of_all_sizes_and_transposes_are_the_cpus() {
    let Some(gpu) = super::open() else { return };
    let device = &gpu.device();
    let sizes = [
        [33, 40, 31],
        [32, 16, 32],
        [65, 50, 130],
        [64, 32, 128],
        [130, 70, 530],
        [128, 16, 512],
        [20, 3000, 17],
        [1, 300, 70],
        [70, 300, 1],
    ];
    for [m, k, n] in sizes {
        super::same(device, [&[m, k], &[k, n]], 1e-4, |[a, b]| a.matmul(b));
        super::same(device, [&[k, m], &[k, n]], 1e-4, |[a, b]| a.t().matmul(b));
        super::same(device, [&[m, k], &[n, k]], 1e-4, |[a, b]| a.matmul(&b.t()));
        super::same(device, [&[k, m], &[n, k]], 1e-4, |[a, b]| a.t().matmul(&b.t()));
    }
    super::same(device, [&[3, 40, 20], &[20, 30]], 1e-4, |[a, b]| a.matmul(b));
    super::same(device, [&[2, 3, 9, 20], &[3, 20, 8]], 1e-4, |[a, b]| a.matmul(b));
}

#[test]
fn a_bias_and_an_activation_are_part_of_the_product() {
    let Some(gpu) = super::open() else { return };
    let device = &gpu.device();
    super::same(device, [&[40, 30], &[30, 50], &[50]], 1e-4, |[x, w, bias]| {
        let formula = formula!(|y, bias| (y + bias).max(0.0));
        x.matmul_then(w, formula, &[bias], &[])
    });
}

#[test]
fn convolutions_and_their_gradients_are_the_cpus() {
    let Some(gpu) = super::open() else { return };
    let device = &gpu.device();
    let rows: [(&[usize; 4], &[usize; 4], Conv); 4] = [
        (&[5, 3, 12, 11], &[8, 3, 3, 3], Conv::default().padding(1)),
        (&[2, 4, 13, 12], &[6, 2, 5, 3], Conv::default().groups(2).stride([2, 3])),
        (&[3, 6, 9, 9], &[6, 1, 3, 3], Conv::default().groups(6).dilation(2)),
        (&[20, 1, 28, 28], &[40, 1, 5, 5], Conv::default().padding(2)),
    ];
    for (x, w, conv) in rows {
        super::same(device, [x, w, &[w[0]]], 1e-4, |[x, w, bias]| x.conv(w, Some(bias), &conv));
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::cpu());
        let y = zeros(x).conv(&zeros(w), None, &conv).dims().to_vec();
        super::same(device, [&y, w], 1e-4, |[d_y, w]| d_y.conv_input_gradient(w, *x, &conv));
        super::same(device, [x, &y], 1e-4, |[x, d_y]| x.conv_weight_gradient(d_y, *w, &conv));
    }
    super::same(device, [&[2, 3, 8, 8]], 1e-6, |[x]| x.abs().max_pool(&Pool::new(2)).0);
}
