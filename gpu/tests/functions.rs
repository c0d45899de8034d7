use plies_tensor::{DType, Elementwise, Formula, Tensor, Unary};

/// Arguments of a function and the largest error in units in the last place.
const ROWS: &[(Unary, [f64; 2], f64)] = &[
    (Unary::Exp, [-87.0, 88.0], 2.0),
    (Unary::ExpM1, [-17.0, 88.0], 3.0),
    (Unary::Ln, [1e-30, 1e30], 2.0),
    (Unary::Ln, [0.5, 2.0], 2.0),
    (Unary::Ln1p, [-0.99, 1e6], 3.0),
    (Unary::Sin, [-30.0, 30.0], 4.0),
    (Unary::Cos, [-30.0, 30.0], 4.0),
    (Unary::Tanh, [-9.0, 9.0], 4.0),
    (Unary::Sigmoid, [-80.0, 30.0], 4.0),
    (Unary::Erf, [-4.0, 4.0], 4.0),
    (Unary::Sqrt, [0.0, 1e30], 2.0),
];

#[test]
fn functions_are_right_to_the_last_digits_wherever_they_run() {
    let Some(gpu) = super::open() else { return };
    let device = gpu.device();
    const N: usize = 4096;
    for &(op, [low, high], most) in ROWS {
        // Evenly, and near the lower end.
        let at = |i: usize| {
            let t = i as f64 / (N / 2 - 1) as f64;
            let t = if i < N / 2 { t } else { (t - 1.0).powi(8) };
            (low + (high - low) * t.min(1.0)) as f32
        };
        let x: Vec<f32> = (0..N).map(at).collect();
        let there = Tensor::from(&x[..]).to_device(&device).unwrap();
        // Four at a time, and, beginning where no four begin, one.
        let f = |x: &Tensor| Tensor::map(&Formula::new(|[x]| x.unary(op)), &[x], &[]);
        let found = [f(&there), f(&there.slice(0, 1..))].map(|y| y.to_vec::<f32>().unwrap());
        let all = x.iter().zip(&found[0]).chain(x[1..].iter().zip(&found[1]));
        for (&x, &y) in all {
            let exact = op.at(x.into());
            // Near its zeros a sine is as near as its argument's last digit lets it be.
            let size =
                if matches!(op, Unary::Sin | Unary::Cos) { exact.abs().max(0.1) } else { exact };
            let ulp = f64::from((size.abs() as f32).max(1e-37)) * f64::from(f32::EPSILON);
            let error = (f64::from(y) - exact).abs() / ulp;
            assert!(error <= most, "{op:?}({x:e}) = {y:e}, not {exact:e}: {error:.1} ULP");
        }
    }
}

#[test]
fn random_numbers_are_the_cpus() {
    use plies_tensor::{Device, Rng};
    let Some(gpu) = super::open() else { return };
    // The counter's lower half overflows within the tensor.
    for block in [0, u64::from(u32::MAX) - 100] {
        for n in [1, 3, 1000, 4097] {
            let draw = |device: &Device| {
                Rng::from_state(7, block).uniform([n], DType::F32, device).to_vec::<f32>().unwrap()
            };
            assert_eq!(draw(&gpu.device()), draw(&Device::cpu()));
        }
    }
}
