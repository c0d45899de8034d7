//! Products by matrix units, where a driver has them. Mesa's in software has from version 26 on; on older ones these
//! tests are left out, and say so. With `PLIES_GPU_MATRIX_UNITS` there must be some.

use plies_gpu::{Gpu, Options};
use plies_tensor::{Conv, Elementwise, Tensor, formula};

fn open(options: Options) -> Option<Gpu> {
    let device = super::open()?;
    let Some(units) = device.summary().matrix_units else {
        let summary = device.summary();
        let missing = format!("{} ({}) has no matrix units", summary.name, summary.driver);
        assert!(!Options::from_env().matrix_units, "PLIES_GPU_MATRIX_UNITS: {missing}");
        eprintln!("LEFT OUT: {missing}");
        return None;
    };
    eprintln!("by {units:?}");
    super::open_with(Options { matrix_units: true, ..options })
}

/// The nearest number of 11 bits, of two the even one (F16, where it is normal).
fn rounded(x: f64) -> f64 {
    let unit = 2f64.powi(x.abs().max(2f64.powi(-14)).log2().floor() as i32 - 10);
    (x / unit).round_ties_even() * unit
}

/// Row-major Σ f(a)·f(b), and Σ |a·b|.
fn sums(a: &[f32], b: &[f32], [m, k, n]: [usize; 3], f: fn(f64) -> f64) -> Vec<[f64; 2]> {
    let places = (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
    let terms = |i: usize, j: usize| (0..k).map(move |s| (a[i * k + s], b[s * n + j]));
    let sum = |(i, j)| {
        let of = |f: fn(f64) -> f64| -> f64 {
            terms(i, j).map(|(x, y)| f(x.into()) * f(y.into())).sum()
        };
        [of(f), of(f64::abs)]
    };
    // |x|·|y| is |x·y|.
    places.map(sum).collect()
}

/// What fits the small tile, what does not, and what is computed in parts.
const SIZES: [[usize; 3]; 5] =
    [[32, 32, 32], [33, 45, 31], [64, 64, 192], [70, 50, 130], [20, 1500, 17]];

/// Integers have one sum in any order, so not a bit may differ. Operands lie by rows, or by columns.
fn integers_are_multiplied_to_the_bit(sizes: &[[usize; 3]], by_columns: &[bool]) {
    let Some(gpu) = open(Options::default()) else { return };
    let there = |x: &Tensor| x.to_device(&gpu.device()).unwrap();
    for [m, k, n] in sizes {
        let integers = |seed: u64, dims: [usize; 2]| {
            let [x, _] = super::draw(seed, &dims, &gpu.device());
            (x * 8.0).round()
        };
        let (a, b) = (integers(1, [*m, *k]), integers(2, [*k, *n]));
        let expected = a.matmul(&b).to_vec::<f32>().unwrap();
        for &by_columns in by_columns {
            let lay = |x: &Tensor| match by_columns {
                true => there(&x.t().contiguous()).t(),
                false => there(x),
            };
            let found = lay(&a).matmul(&lay(&b)).to_vec::<f32>().unwrap();
            assert_eq!(found, expected, "{m} {k} {n}, by columns: {by_columns}");
        }
    }
}

#[test]
fn integers_are_multiplied_to_the_bit_by_the_small_tile() {
    integers_are_multiplied_to_the_bit(&SIZES, &[false, true]);
}

/// The middle and the large one, of which there must be 16 and 64, so that no smaller one is taken. In one way only: a
/// driver in software takes a minute to compile such a tile.
#[test]
fn integers_are_multiplied_to_the_bit_by_the_larger_tiles() {
    integers_are_multiplied_to_the_bit(&[[250, 20, 250], [1030, 20, 1030]], &[true]);
}

#[test]
fn operands_are_rounded_to_eleven_bits_and_sums_are_not() {
    let Some(gpu) = open(Options::default()) else { return };
    let mut rounding_shows = false;
    for sizes @ [m, k, n] in SIZES {
        let [a, there] = super::draw(3, &[m, k], &gpu.device());
        let [b, others] = super::draw(4, &[k, n], &gpu.device());
        let found = there.matmul(&others).to_vec::<f32>().unwrap();
        let (a, b) = (a.to_vec::<f32>().unwrap(), b.to_vec::<f32>().unwrap());
        let (exact, of_rounded) = (sums(&a, &b, sizes, |x| x), sums(&a, &b, sizes, rounded));
        for ((x, [exact, size]), [expected, _]) in found.into_iter().zip(exact).zip(of_rounded) {
            let x = f64::from(x);
            // What F32 loses by adding so many.
            let adding = k as f64 * 2f64.powi(-23) * size;
            assert!((x - expected).abs() <= adding, "{sizes:?}: {x} for {expected}");
            assert!((x - exact).abs() <= 2f64.powi(-10) * 1.001 * size + adding, "{x} for {exact}");
            rounding_shows |= (x - exact).abs() > adding;
        }
    }
    assert!(rounding_shows, "no matrix unit was used");
}

#[test]
fn formulas_batches_and_convolutions_are_by_the_same_tiles() {
    let Some(gpu) = open(Options::default()) else { return };
    let device = &gpu.device();
    super::same(device, [&[40, 30], &[30, 50], &[50]], 2e-2, |[x, w, bias]| {
        x.matmul_then(w, formula!(|y, bias| (y + bias).max(0.0)), &[bias], &[])
    });
    super::same(device, [&[2, 3, 9, 20], &[3, 20, 8]], 2e-2, |[a, b]| a.matmul(b));
    let conv = Conv::default().groups(2).stride([2, 3]);
    let (x, w) = ([2, 4, 13, 12], [6, 2, 5, 3]);
    super::same(device, [&x, &w, &[6]], 4e-2, |[x, w, bias]| x.conv(w, Some(bias), &conv));
}

#[test]
fn matrix_units_are_measured_apart_from_what_is_measured_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let with = || Options { tuning: Some(folder.path().into()), ..Options::default() };
    let Some(gpu) = open(with()) else { return };
    let plain = super::open_with(with()).unwrap();
    for gpu in [&gpu, &plain] {
        super::same(&gpu.device(), [&[40, 64], &[64, 36]], 3e-2, |[a, b]| a.matmul(b));
        assert_eq!(gpu.notices(), [""; 0]);
    }
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let texts: Vec<String> = files
        .filter(|file| file.extension().is_some_and(|end| end == "txt"))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let says = texts.iter().filter(|text| text.contains("matrix units of")).count();
    assert_eq!((texts.len(), says), (2, 1), "{texts:?}");
}

#[test]
fn a_device_without_them_is_refused_by_name_when_they_are_asked_for() {
    let Some(gpu) = super::open() else { return };
    if gpu.summary().matrix_units.is_some() {
        return;
    }
    let adapter = std::env::var("PLIES_GPU").ok();
    let asked = Options { adapter, matrix_units: true, ..Options::default() };
    let error = Gpu::open(&asked).unwrap_err().to_string();
    assert!(error.starts_with(&gpu.summary().name), "{error}");
    assert!(error.contains("no matrix units"), "{error}");
}
