//! Quick gradient checks.
use plies_autograd::gradcheck::{gradcheck, gradgradcheck};
use plies_autograd::{Var, checkpoint, linear};
use plies_tensor::{DType, Device, Elementwise, Rng, Tensor};

fn both(name: &str, f: impl Fn(&[Var]) -> Var, shapes: &[&[usize]]) {
    let mut rng = Rng::new(3);
    let inputs: Vec<Tensor> =
        shapes.iter().map(|&s| rng.uniform(s, DType::F64, &Device::cpu()) + 0.3).collect();
    gradcheck(&f, &inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
    gradgradcheck(&f, &inputs).unwrap_or_else(|e| panic!("{name} (second): {e}"));
}

#[test]
fn everything() {
    let index = Tensor::from([2, 0, 2]);
    both("broadcast", |x| (&x[0] * &x[1]).tanh() / (&x[1] + 1.0), &[&[2, 3], &[3]]);
    both("gelu", |x| x[0].gelu(), &[&[5]]);
    both("pow", |x| x[0].pow(&x[1]), &[&[2, 1], &[3]]);
    both("matmul", |x| x[0].matmul(&x[1]), &[&[2, 1, 3, 4], &[5, 4, 2]]);
    both("matvec", |x| x[0].matmul(&x[1]), &[&[3, 4], &[4]]);
    both("vecmat", |x| x[0].matmul(&x[1]), &[&[3], &[2, 3, 4]]);
    both("dot", |x| x[0].matmul(&x[1]), &[&[3], &[3]]);
    both("linear", |x| linear(&x[0], &x[1], Some(&x[2])), &[&[2, 3, 4], &[5, 4], &[5]]);
    both("var", |x| x[0].var(&[0], 1, false), &[&[4, 3]]);
    both("max", |x| x[0].max(&[-1], false), &[&[4, 3]]);
    both("prod", |x| x[0].prod(&[0], false), &[&[5, 3]]);
    both("softmax", |x| x[0].softmax(-1), &[&[2, 4]]);
    both("log_softmax", |x| x[0].log_softmax(0), &[&[2, 4]]);
    both("logsumexp", |x| x[0].logsumexp(&[0, 1], false), &[&[2, 4]]);
    both("norm", |x| x[0].norm(&[1], false), &[&[2, 4]]);
    both("cumsum", |x| x[0].cumsum(0), &[&[4, 2]]);
    both("sort", |x| x[0].sort(-1, true).0, &[&[2, 4]]);
    both("slice", |x| x[0].slice_step(1, 1..6, 2).flip(1), &[&[2, 7]]);
    both("permute", |x| x[0].permute(&[2, 0, 1]).reshape([4, 6]), &[&[2, 3, 4]]);
    both("cat", |x| Var::cat(&[&x[0], &x[1], &x[0]], 1), &[&[2, 3], &[2, 1]]);
    both("stack", |x| Var::stack(&[&x[0], &x[1]], -1), &[&[2, 3], &[2, 3]]);
    both("pad", |x| x[0].pad(0, 1, 2, 7.0), &[&[2, 3]]);
    both("index_select", |x| x[0].index_select(0, &index), &[&[3, 2]]);
    both("index_add", |x| x[0].index_add(0, &index, &x[1]), &[&[3, 2], &[3, 2]]);
    both("broadcast_to", |x| x[0].broadcast_to([3, 2, 4]), &[&[2, 1]]);
    both(
        "checkpoint",
        |x| checkpoint(|x| (&x[0] * &x[1]).exp().sin(), &[&x[0], &x[1]]),
        &[&[2, 3], &[3]],
    );
}

#[test]
fn a_chain_of_100_000_and_a_million_nodes() {
    let run = || {
        let x = Var::leaf(Tensor::from(1f32));
        let mut y = x.clone();
        for _ in 0..100_000 {
            y = &y + 1.0;
        }
        y.backward();
        assert_eq!(x.grad().unwrap().value().item().unwrap(), 1.0);
        let mut sum = x.clone();
        for _ in 0..500_000 {
            sum = sum + &x * 2.0;
        }
        x.zero_grad();
        sum.backward();
        assert_eq!(x.grad().unwrap().value().item().unwrap(), 1_000_001.0);
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}
