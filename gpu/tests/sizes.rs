use plies_gpu::Options;
use plies_tensor::{DType, Device, Elementwise, Pool, Rng, Tensor, formula};

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

/// Lines, planes and axes that are cut, and such of which a kernel does not see a single one.
#[test]
fn walks_along_axes_that_a_kernel_does_not_see_whole_are_cut() {
    let options = Options { binding: Some(4096), ..Options::default() };
    let Some(gpu) = super::open_with(options) else { return };
    let device = &gpu.device();
    let shapes: [(&[usize], isize); 4] =
        [(&[40, 30], 1), (&[40, 30], 0), (&[2, 3000], 1), (&[3000, 2], 0)];
    for (dims, axis) in shapes {
        super::same(device, [dims], 0.0, |[x]| x.argmax(axis, false));
        super::same(device, [dims], 0.0, |[x]| x.sign().argmin(axis, false));
        super::same(device, [dims], 1e-4, |[x]| x.cumsum(axis));
        super::same(device, [dims], 0.0, |[x]| x.sort(axis, true).0);
        super::same(device, [dims], 0.0, |[x]| x.sign().topk(700.min(dims[axis as usize]), axis).1);
        super::same(device, [dims], 1e-5, |[x]| x.softmax(axis));
    }
    // The same bits as in one part.
    let Some(whole) = super::open() else { return };
    let sums = [device, &whole.device()].map(|device| {
        let [_, x] = super::draw(1, &[3000], device);
        x.cumsum(0).to_vec::<f32>().unwrap()
    });
    assert_eq!(sums[0], sums[1]);
    super::same(device, [&[9, 20, 24]], 0.0, |[x]| {
        x.reshape([9, 1, 20, 24]).max_pool(&Pool::new(2)).1
    });
    // A long table, many columns, a long index.
    for [rows, columns, n] in [[3000, 3, 40], [20, 700, 9], [10, 2, 3000]] {
        let index = |x: &Tensor| {
            let index: Vec<i32> = (0..n).map(|i| (i * i * 7 % rows) as i32).collect();
            Tensor::from(index).to_device(x.device()).unwrap()
        };
        super::same(device, [&[rows, columns]], 0.0, |[x]| x.index_select(0, &index(x)));
        super::same(device, [&[rows, columns], &[n, columns]], 1e-5, |[x, source]| {
            x.index_add(0, &index(x), source)
        });
        let there = Tensor::zeros([rows, columns], DType::F32, device);
        let wrong = Tensor::from([-1i32, rows as i32]).to_device(device).unwrap();
        let fault = there.index_select(0, &wrong).to_vec::<f32>().unwrap_err().to_string();
        assert!(fault.contains("is out of range for an axis"), "{fault}");
        assert!(there.to_vec::<f32>().is_ok());
    }
    for rows in [vec![0, 3, 700, 999], vec![500]] {
        super::same(device, [&[1000, 3], &[rows.len(), 3]], 1e-6, |[x, y]| {
            let index = Tensor::from(&rows[..]).to_device(x.device()).unwrap();
            let f = formula!(|x, y| 0.5 * x + y);
            let (mut some, mut all) = (x.clone(), x.clone());
            Tensor::update_rows(&mut [&mut some], &index, f, &[y], &[]);
            Tensor::update_sparse(&mut [&mut all], &index, f, &[y], &[]);
            some + all * 3.0
        });
    }
}

#[test]
fn subgroups_change_no_bit() {
    let plain = Options { without_subgroups: true, ..Options::default() };
    let (Some(gpu), Some(plain)) = (super::open(), super::open_with(plain)) else { return };
    let run = |device: &Device| {
        let [_, x] = super::draw(1, &[7, 300], device);
        let [_, y] = super::draw(2, &[300, 9], device);
        let results = [
            x.sum(&[1], false),
            x.sum_all(),
            y.max(&[0], false),
            y.sum(&[0], false),
            x.softmax(1),
            x.slice(1, 0..13).softmax(1),
            x.argmin(1, false).to_dtype(DType::F32),
            x.slice(1, 0..13).argmax(1, false).to_dtype(DType::F32),
            x.prod(&[1], false),
        ];
        results.map(|result| result.to_vec::<f32>().unwrap())
    };
    assert_eq!(run(&gpu.device()), run(&plain.device()));
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
