//! What holds for every tensor.

use plies_tensor::testing::{assert_close, broadcastable, view};
use plies_tensor::{Conv, DType, Device, Elementwise, Pool, Rng, Tensor, formula, set_threads};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_view_equals_its_copy_under_every_rearrangement(x in view(4, 6), seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let (view, dense) = (x.view, x.dense);
        let same = |a: &Tensor, b: &Tensor| {
            a.dims() == b.dims() && a.to_vec::<f64>().unwrap() == b.to_vec::<f64>().unwrap()
        };
        prop_assert!(same(&view.contiguous(), &dense));
        prop_assert!(same(&view.flatten(), &dense.flatten()));
        let order: Vec<isize> =
            rng.permutation_vec(view.rank()).into_iter().map(|a| a as isize).collect();
        prop_assert!(same(&view.permute(&order), &dense.permute(&order)));
        for axis in 0..view.rank() as isize {
            let n = view.dim(axis);
            let start = rng.below(n + 1);
            prop_assert!(same(&view.slice(axis, start..), &dense.slice(axis, start..)));
            prop_assert!(same(&view.flip(axis).flip(axis), &dense));
            prop_assert!(view.flip(axis).shares_buffer_with(&view));
            let parts = view.split(axis, &[start, n - start]);
            prop_assert!(same(&Tensor::cat(&[&parts[0], &parts[1]], axis), &dense));
            if n > 0 {
                let rows: Vec<Tensor> = (0..n).map(|i| view.select(axis, i)).collect();
                let rows: Vec<&Tensor> = rows.iter().collect();
                prop_assert!(same(&Tensor::stack(&rows, axis), &dense));
            }
        }
    }

    #[test]
    fn broadcast_operands_give_what_their_repeated_copies_give((a, b) in broadcastable(4, 5)) {
        let mut rng = Rng::new(3);
        let x = rng.normal(&a[..], DType::F64, &Device::cpu());
        let y = rng.normal(&b[..], DType::F64, &Device::cpu());
        let sum = &x * &y;
        let spread = |t: &Tensor| t.broadcast_to(sum.shape()).contiguous();
        assert_close(&sum, &(spread(&x) * spread(&y)), 0.0, 0.0);
        let dot = Tensor::map_reduce(
            plies_tensor::Reduce::Sum, formula!(|x, y| x * y), &[&x, &y], &[],
            &(0..sum.rank() as isize).collect::<Vec<_>>(), false);
        assert_close(&dot, &sum.sum_all(), 1e-12, 1e-12);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit(rows in 1usize..400, columns in 1usize..700) {
        let mut rng = Rng::new(1);
        let x = rng.normal([rows, columns], DType::F32, &Device::cpu());
        let run = || {
            let y = x.gelu();
            [y.sum(&[0], false), y.sum(&[1], false), y.sum_all(), x.matmul(&y.t()), y.t().softmax(0)]
                .map(|t| t.to_vec::<f32>().unwrap())
        };
        let turn = crate::threads::Turn::take();
        set_threads(1);
        let one = run();
        drop(turn);
        prop_assert!(one == run());
    }
}

/// The relative error of a sum is that of about twenty roundings at most, whatever its length.
const SUM_BOUND: f64 = 20.0 * f32::EPSILON as f64 / 2.0;

#[test]
fn sums_of_ten_million_are_right_to_the_stated_bound() {
    for value in [1.0, 0.1] {
        let x = Tensor::full([10_000_000], value, DType::F32, &Device::cpu());
        let exact = f64::from(value as f32) * 1e7;
        let right = |sum: f64| ((sum - exact) / exact).abs() <= SUM_BOUND;
        assert!(right(x.sum_all().item().unwrap()), "flat {value}");
        for columns in [1, 10, 1000] {
            let table = x.reshape([10_000_000 / columns, columns]);
            let by_rows = table.sum(&[0], false).to_vec::<f32>().unwrap();
            assert!(
                right(by_rows.iter().map(|&x| f64::from(x)).sum()),
                "rows of {columns} {value}"
            );
            let by_columns = table.t().sum(&[0], false).to_vec::<f32>().unwrap();
            assert!(right(by_columns.iter().map(|&x| f64::from(x)).sum()), "lines of {columns}");
        }
        assert!(right(x.cumsum(0).select(0, 9_999_999).item().unwrap()), "running {value}");
    }
    let running = (0..10_000_000).fold(0f32, |sum, _| sum + 0.1);
    assert_eq!(running, 1_087_937.0, "what a plain sum of tenths would give");
    let ones = Tensor::ones([10_000_000], DType::F32, &Device::cpu());
    assert_eq!(ones.sum_all().item().unwrap(), 1e7);
}

#[test]
fn special_values_follow_ieee_and_numpy() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = Tensor::from([nan, inf, -inf, 0.0, -0.0, 1.0]);
    let bits =
        |t: Tensor| t.to_vec::<f32>().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let same = |t: Tensor, expected: [f32; 6]| {
        for (found, wanted) in bits(t).into_iter().zip(expected) {
            let found = f32::from_bits(found);
            assert!(
                found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan(),
                "{found:?} instead of {wanted:?}"
            );
        }
    };
    same(x.relu(), [nan, inf, 0.0, 0.0, 0.0, 1.0]);
    same(x.sign(), [nan, 1.0, -1.0, 0.0, 0.0, 1.0]);
    same(x.sqrt(), [nan, inf, nan, 0.0, -0.0, 1.0]);
    same(x.exp(), [nan, inf, 0.0, 1.0, 1.0, std::f32::consts::E]);
    same(x.ln(), [nan, inf, nan, -inf, -inf, 0.0]);
    same(x.sigmoid(), [nan, 1.0, 0.0, 0.5, 0.5, 1.0 / (1.0 + (-1f32).exp())]);
    same(x.clamp(-1.0, 0.5), [nan, 0.5, -1.0, 0.0, -0.0, 0.5].map(|x| x));
    same(x.maximum(&Tensor::from(-0f32)), [nan, inf, -0.0, 0.0, -0.0, 1.0]);
    same(x.minimum(&Tensor::from(0f32)), [nan, 0.0, -inf, 0.0, -0.0, 0.0]);
    same(x.eq(&x), [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    same(x.ne(&x), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    same(x.ceil(), [nan, inf, -inf, 0.0, -0.0, 1.0]);
    same(&x * 0.0, [nan, nan, nan, 0.0, -0.0, 0.0]);
    assert!(x.max_all().item().unwrap().is_nan() && x.min_all().item().unwrap().is_nan());
    assert_eq!(
        Tensor::from([-inf, -inf]).logsumexp(&[0], false).item().unwrap(),
        f64::NEG_INFINITY
    );
    assert_eq!(Tensor::from([inf, 0.0]).logsumexp(&[0], false).item().unwrap(), f64::INFINITY);
}

#[test]
fn scalars_and_empty_tensors_work_everywhere() {
    let scalar = Tensor::from(3f32);
    assert_eq!(scalar.dims(), [0usize; 0]);
    assert_eq!((&scalar + &scalar).sum_all().item().unwrap(), 6.0);
    assert_eq!(scalar.sum(&[], false).exp().rank(), 0);
    let empty = Tensor::zeros([0, 3], DType::F32, &Device::cpu());
    assert_eq!(empty.exp().dims(), [0, 3]);
    assert_eq!(empty.sum(&[0], false).to_vec::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(empty.prod(&[0], false).to_vec::<f32>().unwrap(), [1.0; 3]);
    assert!(empty.mean(&[0], false).is_nan().sum_all().item().unwrap() == 3.0);
    assert_eq!(empty.t().matmul(&empty).to_vec::<f32>().unwrap(), [0.0; 9]);
    assert_eq!(empty.softmax(-1).dims(), [0, 3]);
    assert_eq!(empty.argmax(-1, false).dims(), [0]);
    assert_eq!(empty.sort(0, true).0.dims(), [0, 3]);
    assert_eq!(Tensor::cat(&[&empty, &empty], 0).dims(), [0, 3]);
    assert_eq!(empty.pad(0, 1, 0, 2.0).sum_all().item().unwrap(), 6.0);
    assert_eq!(empty.to_vec::<f32>().unwrap(), [0f32; 0]);
}

#[test]
#[should_panic(
    expected = "matmul: inner dimensions differ: [64, 784] x [512, 784]; did you mean .t()?"
)]
fn a_wrong_product_says_what_to_do() {
    let zeros = |dims: [usize; 2]| Tensor::zeros(dims, DType::F32, &Device::cpu());
    let _ = zeros([64, 784]).matmul(&zeros([512, 784]));
}

#[test]
#[should_panic(expected = "(x0 + x1): shapes [2] and [3] do not broadcast")]
fn shapes_that_do_not_broadcast_are_named() {
    let _ = Tensor::from([1f32, 2.0]) + Tensor::from([1f32, 2.0, 3.0]);
}

#[test]
#[should_panic(
    expected = "index_select: index 3 at [0] is out of range for the 3 elements of axis"
)]
fn an_index_out_of_range_is_named() {
    let _ = Tensor::from([1f32, 2.0, 3.0]).index_select(0, &Tensor::from([3]));
}

#[test]
#[should_panic(expected = "exp: not defined on i32")]
fn a_function_that_integers_lack_is_named() {
    let _ = Tensor::from([1, 2]).exp();
}

#[test]
fn draws_follow_their_distributions() {
    let mut rng = Rng::new(11);
    let cpu = Device::cpu();
    for dtype in [DType::F32, DType::F64] {
        let u = rng.uniform([200_000], dtype, &cpu);
        assert!(u.min_all().item().unwrap() >= 0.0 && u.max_all().item().unwrap() < 1.0);
        assert!((u.mean_all().item().unwrap() - 0.5).abs() < 0.004);
        let n = rng.normal([200_000], dtype, &cpu);
        assert!(n.mean_all().item().unwrap().abs() < 0.01);
        assert!((n.var(&[0], 1, false).item().unwrap() - 1.0).abs() < 0.02);
        let tail = n.abs().gt(&Tensor::from(1.96).to_dtype(dtype)).mean_all().item().unwrap();
        assert!((tail - 0.05).abs() < 0.003, "{tail}");
    }
    let share = rng.bernoulli(0.3, [100_000], DType::F32, &cpu).mean_all().item().unwrap();
    assert!((share - 0.3).abs() < 0.006);
    let mut order = rng.permutation(1000).to_vec::<i32>().unwrap();
    assert!(order.windows(2).any(|w| w[0] > w[1]));
    order.sort_unstable();
    assert_eq!(order, (0..1000).collect::<Vec<i32>>());
    let logits = Tensor::from([0.2f32, 0.5, 0.3]).ln().unsqueeze(0).broadcast_to([60_000, 3]);
    let counts = rng.categorical(&logits).one_hot(3, DType::F32).mean(&[0], false);
    assert_close(&counts, &Tensor::from([0.2f32, 0.5, 0.3]), 0.0, 0.01);
    let (mut a, mut b) = (Rng::new(1), Rng::new(1));
    let (mut split_a, _) = (a.split(), b.split());
    assert_ne!(split_a.next_u32(), a.next_u32());
    assert_eq!(a.state().0, b.state().0);
}

#[test]
fn buffers_are_recycled() {
    let cpu = Device::cpu();
    let x = Tensor::ones([1 << 20], DType::F32, &cpu);
    let step = || drop((&x + 1.0).exp());
    step();
    // Other tests run beside this one; a leak of 100 steps would be 800 MB.
    let before = cpu.memory_use().in_use;
    (0..100).for_each(|_| step());
    let after = cpu.memory_use();
    assert!(after.in_use < before + (400 << 20), "{before} then {after:?}");
    assert!(after.peak >= after.in_use);
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_convolution() {
    let mut rng = Rng::new(5);
    // Images for each thread, one image, few columns, windows that overlap across rows alone, and
    // so few channels that a thread has one.
    let rows = [
        ([24, 8, 24, 24], [24, 8, 3, 3], 1),
        ([1, 16, 40, 41], [40, 16, 3, 5], 2),
        ([96, 32, 6, 6], [64, 32, 3, 3], 1),
        ([3, 1, 90, 70], [30, 1, 9, 7], 1),
        ([1, 3, 128, 128], [512, 3, 1, 1], 2),
    ];
    for (x, w, stride) in rows {
        let conv = Conv::default().stride(stride).padding(1);
        let x = rng.normal(x, DType::F32, &Device::cpu());
        let w = rng.normal(w, DType::F32, &Device::cpu());
        let all = || {
            let y = x.conv(&w, None, &conv);
            let d_x = y.conv_input_gradient(&w, x.shape(), &conv);
            let d_w = x.conv_weight_gradient(&y, w.shape(), &conv);
            let (pooled, at) = x.max_pool(&Pool::new(3).stride(2));
            let results = [y, d_x, d_w, pooled, at.to_dtype(DType::F32)];
            results.map(|result| result.to_vec::<f32>().unwrap())
        };
        let turn = crate::threads::Turn::take();
        set_threads(1);
        let alone = all();
        drop(turn);
        assert!(alone == all(), "{x:?}");
    }
}

#[test]
fn a_stride_beyond_the_input_makes_one_window() {
    let x = Tensor::from([[[[1f32, 5.0, 2.0], [4.0, 3.0, 9.0]]]]);
    for stride in [3, 1 << 40, usize::MAX] {
        let pool = Pool::new(2).stride(stride);
        assert_eq!(x.max_pool(&pool).0.to_vec::<f32>().unwrap(), [5.0]);
        assert_eq!(x.avg_pool(&pool).to_vec::<f32>().unwrap(), [3.25]);
        let w = Tensor::ones([1, 1, 2, 2], DType::F32, &Device::cpu());
        let conv = Conv::default().stride(stride);
        let y = x.conv(&w, None, &conv);
        assert_eq!(y.to_vec::<f32>().unwrap(), [13.0]);
        let d_x = y.conv_input_gradient(&w, x.shape(), &conv).to_vec::<f32>().unwrap();
        assert_eq!(d_x, [13.0, 13.0, 0.0, 13.0, 13.0, 0.0]);
        let d_w = x.conv_weight_gradient(&y, w.shape(), &conv).to_vec::<f32>().unwrap();
        assert_eq!(d_w, [13.0, 65.0, 52.0, 39.0]);
    }
    // Nor does a window of one element look any further.
    let w = Tensor::ones([1, 1, 1, 1], DType::F32, &Device::cpu());
    let y = x.conv(&w, None, &Conv::default().dilation(usize::MAX));
    assert_eq!(y.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
}
