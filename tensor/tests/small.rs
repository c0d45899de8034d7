//! Every kind of loop on a few elements: little enough for Miri, which looks for undefined behaviour
//! in what is unsafe.
//!
//! ```sh
//! MIRIFLAGS=-Zmiri-env-forward=PLIES_ISA PLIES_ISA=portable \
//!     cargo +nightly miri test -p plies-tensor --no-default-features --test all small::
//! ```

#![allow(clippy::single_range_in_vec_init)] // One state, one matrix that is kept.

use plies_tensor::{
    Conv, DType, Device, Elementwise, Pool, Rng, Steps, Tensor, cells, formula, set_threads,
};

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).to_vec().unwrap()
}

fn ramp(dims: &[usize], dtype: DType) -> Tensor {
    Tensor::arange(dims.iter().product()).reshape(dims).to_dtype(dtype)
}

const DTYPES: [DType; 3] = [DType::F32, DType::F64, DType::I32];

#[test]
fn formulas_over_slices_strides_and_broadcasts() {
    for dtype in DTYPES {
        let (x, row) = (ramp(&[3, 4], dtype), ramp(&[4], dtype));
        assert_eq!(numbers(&(&x + &row))[4..8], [4.0, 6.0, 8.0, 10.0]);
        assert_eq!(numbers(&(&x.t() * 2.0))[..3], [0.0, 8.0, 16.0]);
        let f = formula!(|x, y; s| [(x - s * y).max(y) + x * y.abs(), x.lt(y), y]);
        let outputs = Tensor::map_several(f, &[&x.flip(1), &row], &[2.0]);
        assert_eq!(numbers(&outputs[0])[..4], [3.0, 3.0, 4.0, 3.0]);
        let place = x.slice_step(1, 1.., 2);
        assert_eq!(numbers(&(place + 1.0)), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
    }
    let x = ramp(&[2, 3], DType::F32) * 0.25;
    for y in [x.exp(), x.tanh(), x.sin(), x.cos(), x.erf(), x.ln(), x.powf(1.5), x.sqrt()] {
        assert_eq!(numbers(&y).len(), 6);
    }
    assert_eq!(numbers(&(&x * 1e6).sin())[0], 0.0);
    assert_eq!(numbers(&x.softmax(0).sum(&[0], false)), [1.0; 3]);
    assert_eq!(numbers(&x.log_softmax(-1).exp().sum(&[1], false)).len(), 2);
}

#[test]
fn updates_in_place_and_behind_another_handle() {
    for dtype in DTYPES {
        let g = ramp(&[3], dtype);
        let f = formula!(|p, m, g; s| [p - s * (m + g), m + g]);
        let (mut p, mut m) = (ramp(&[2, 3], dtype), ramp(&[2, 3], dtype));
        let kept = p.clone();
        for _ in 0..2 {
            Tensor::update(&mut [&mut p, &mut m], f, &[&g], &[2.0]);
        }
        Tensor::update(&mut [&mut p], formula!(|p; s| p * s), &[], &[-1.0]);
        let mut part = ramp(&[4, 3], dtype).slice_step(0, .., 2).t();
        Tensor::update(&mut [&mut part], formula!(|p| p + p), &[], &[]);
        assert_eq!(numbers(&part), [0.0, 12.0, 2.0, 14.0, 4.0, 16.0]);
        assert_eq!(numbers(&p)[..3], [0.0, 9.0, 18.0]);
        assert_eq!(numbers(&kept), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}

#[test]
fn reductions_and_lines() {
    for dtype in DTYPES {
        let x = ramp(&[3, 9], dtype);
        for x in [x.clone(), x.t().contiguous().t()] {
            assert_eq!(numbers(&x.sum_all()), [351.0]);
            assert_eq!(numbers(&x.sum(&[1], false)), [36.0, 117.0, 198.0]);
            assert_eq!(numbers(&x.sum(&[0], false))[8], 51.0);
            assert_eq!(numbers(&x.max(&[0], false))[..2], [18.0, 19.0]);
            assert_eq!(numbers(&x.argmax(1, false)), [8.0; 3]);
            assert_eq!(numbers(&x.cumsum(0))[18..20], [27.0, 30.0]);
            let (values, places) = x.topk(2, 1);
            assert_eq!(numbers(&values)[..2], [8.0, 7.0]);
            assert_eq!(numbers(&places)[..2], [8.0, 7.0]);
            assert_eq!(numbers(&x.sort(1, true).0)[0], 8.0);
        }
        assert_eq!(numbers(&Tensor::cat(&[&x, &x], 0).pad(1, 1, 1, 5.0))[11..13], [5.0, 9.0]);
    }
}

#[test]
fn products() {
    for dtype in DTYPES {
        let (a, b) = (ramp(&[5, 3], dtype), ramp(&[3, 7], dtype));
        let y = a.matmul(&b);
        assert_eq!(numbers(&y)[..2], [35.0, 38.0]);
        assert_eq!(numbers(&b.t().matmul(&a.t()).t()), numbers(&y));
        assert_eq!(numbers(&a.matmul(&b.select(1, 0))), numbers(&y.select(1, 0)));
        let f = formula!(|y, b| (y + b).max(40.0));
        assert_eq!(numbers(&a.matmul_then(&b, f, &[&b.select(0, 0)], &[]))[..2], [40.0, 40.0]);
        let batch = ramp(&[2, 2, 3], dtype).matmul(&b);
        assert_eq!(numbers(&batch)[..2], [35.0, 38.0]);
        // More than a panel and a register of each kernel.
        let (a, b) = (ramp(&[19, 11], dtype), ramp(&[11, 37], dtype));
        assert_eq!(numbers(&a.matmul(&b))[0], (0..11).map(|l| f64::from(37 * l * l)).sum());
    }
}

#[test]
fn windows() {
    for dtype in DTYPES {
        let (x, w) = (ramp(&[2, 2, 4, 5], dtype), ramp(&[3, 2, 2, 2], dtype));
        let bias = ramp(&[3], dtype);
        let conv = Conv::default().padding([1, 0]).stride([1, 2]);
        let y = x.conv(&w, Some(&bias), &conv);
        assert_eq!(y.dims(), [2, 3, 5, 2]);
        assert_eq!(y.conv_input_gradient(&w, x.shape(), &conv).dims(), x.dims());
        assert_eq!(x.conv_weight_gradient(&y, w.shape(), &conv).dims(), w.dims());
        let pool = Pool::new(2).stride(1).padding(1);
        assert_eq!(numbers(&x.max_pool(&pool).1)[..2], [0.0, 1.0]);
        assert_eq!(numbers(&x.max_pool(&Pool::new([2, 5])).0)[0], 9.0);
    }
}

#[test]
fn positions() {
    for dtype in DTYPES {
        let x = ramp(&[4, 3], dtype);
        let index = Tensor::from([3, 0, 3]);
        let rows = x.index_select(0, &index);
        assert_eq!(numbers(&rows)[..4], [9.0, 10.0, 11.0, 0.0]);
        assert_eq!(numbers(&x.index_add(0, &index, &rows))[9..], [27.0, 30.0, 33.0]);
        let each = Tensor::from([[2], [0], [1], [2]]);
        let picked = x.gather(1, &each);
        assert_eq!(numbers(&picked), [2.0, 3.0, 7.0, 11.0]);
        assert_eq!(numbers(&x.scatter_add(1, &each, &picked))[2], 4.0);
        assert_eq!(numbers(&index.one_hot(4, dtype))[3], 1.0);
        let (distinct, places) = index.unique().unwrap();
        assert_eq!((numbers(&distinct), numbers(&places)), (vec![0.0, 3.0], vec![1.0, 0.0, 1.0]));
        let (named, sum) = (ramp(&[2, 3], dtype), formula!(|x, y| x + y + 1.0));
        let mut y = x.clone();
        Tensor::update_rows(&mut [&mut y], &distinct, sum, &[&named], &[]);
        assert_eq!(numbers(&y)[2..10], [5.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 13.0]);
        Tensor::update_sparse(&mut [&mut y], &distinct, sum, &[&named], &[]);
        assert_eq!(numbers(&y)[2..10], [8.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 17.0]);
    }
}

#[test]
fn recurrences() {
    let mut rng = Rng::new(1);
    for dtype in [DType::F32, DType::F64] {
        let mut draw = |dims: [usize; 2]| rng.normal(dims, dtype, &Device::cpu());
        let (w, h, c) = (draw([3, 12]), draw([2, 3]), draw([2, 3]));
        let (x, b) = (draw([5, 12]), draw([1, 12]).broadcast_to([5, 12]));
        for backwards in [false, true] {
            let steps = Steps {
                cell: cells::lstm(),
                inputs: &[&x, &b],
                sequences: &[0..2, 2..5],
                backwards,
                states: &[&h, &c],
                next: &[6..7, 7..8],
                kept: &[0..6, 6..7],
            };
            let (kept, states) = w.recur(&steps);
            assert!(kept.iter().chain(&states).all(|x| numbers(x).iter().all(|x| x.is_finite())));
        }
        let cell = formula!(|p, h, x| [x, h, p + x]);
        let steps = Steps {
            cell,
            inputs: &[&x.narrow(1, 0, 3)],
            // One without steps, wherever it lies, keeps its state.
            sequences: &[0..5, 9..9],
            backwards: false,
            states: &[&h],
            next: &[2..3],
            kept: &[1..3, 2..3],
        };
        let (kept, states) = w.narrow(1, 0, 3).recur(&steps);
        assert_eq!(numbers(&kept[1])[12..], numbers(&states[0])[..3]);
        assert_eq!(numbers(&h)[3..], numbers(&states[0])[3..]);
    }
}

#[test]
fn random_numbers_on_several_threads() {
    let _turn = crate::threads::Turn::take();
    set_threads(2);
    let x = Rng::new(2).normal([100], DType::F32, &Device::cpu());
    let held: Vec<Tensor> = (0..4)
        .map(|i| {
            let x = x.clone();
            std::thread::spawn(move || &x * f64::from(i)).join().unwrap()
        })
        .collect();
    assert_eq!(numbers(&held[2]), numbers(&(&x + &x)));
    assert!(numbers(&Rng::new(2).uniform([33], DType::F64, &Device::cpu()))[32] < 1.0);
}
