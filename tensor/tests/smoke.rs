//! smoke
use plies_tensor::*;
#[test]
fn sums_and_views() {
    let x = Tensor::arange(24).reshape([2, 3, 4]).to_dtype(DType::F32);
    assert_eq!(
        x.sum(&[0], false).to_vec::<f32>().unwrap(),
        (0..12).map(|i| (2 * i + 12) as f32).collect::<Vec<_>>()
    );
    assert_eq!(
        x.sum(&[1], false).to_vec::<f32>().unwrap(),
        [12., 15., 18., 21., 48., 51., 54., 57.]
    );
    assert_eq!(x.sum(&[2], true).dims(), [2, 3, 1]);
    assert_eq!(x.sum(&[2, 0], false).to_vec::<f32>().unwrap(), [60., 92., 124.]);
    assert_eq!(x.sum_all().item().unwrap(), 276.0);
    let y = x.permute(&[2, 0, 1]);
    assert_eq!(y.sum(&[1, 2], false).to_vec::<f32>().unwrap(), [60., 66., 72., 78.]);
    assert_eq!(
        (&y + &y.flip(0)).select(0, 0).to_vec::<f32>().unwrap(),
        [3., 11., 19., 27., 35., 43.]
    );
    assert_eq!(x.argmax(1, false).to_vec::<i32>().unwrap(), [2; 8]);
    assert_eq!(
        x.cumsum(1).select(1, 2).to_vec::<f32>().unwrap(),
        x.sum(&[1], false).to_vec::<f32>().unwrap()
    );
    assert_eq!(Tensor::cat(&[&x, &x], 1).dims(), [2, 6, 4]);
    assert_eq!(x.pad(2, 1, 2, 9.0).select(2, 0).max_all().item().unwrap(), 9.0);
    let p = x.softmax(-1);
    assert!((p.sum_all().item().unwrap() - 6.0).abs() < 1e-5);
    let i = Tensor::from([1, 0, 1]);
    assert_eq!(x.index_select(0, &i).dims(), [3, 3, 4]);
    assert_eq!(x.zeros_like().index_add(1, &i, &x).sum_all().item().unwrap(), 276.0);
    let (v, at) = Tensor::from([3f32, 1., 2., f32::NAN]).topk(2, 0);
    assert!(v.to_vec::<f32>().unwrap()[0].is_nan());
    assert_eq!(at.to_vec::<i32>().unwrap(), [3, 0]);
    assert_eq!(x.matmul(&x.t()).dims(), [2, 3, 3]);
}
#[test]
fn long_sums() {
    for v in [1.0, 0.1] {
        let t = Tensor::full([10_000_000], v, DType::F32, &Device::cpu());
        let t2 = &t + 0.0;
        let exact = f64::from(v as f32) * 1e7;
        let s = t2.sum_all().item().unwrap();
        assert!(((s - exact) / exact).abs() < 5e-7, "{s}");
        let s = t2.reshape([1_000_000, 10]).sum(&[0], false).sum_all().item().unwrap();
        assert!(((s - exact) / exact).abs() < 1e-6, "{s}");
    }
}
