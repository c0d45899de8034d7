//! What graphs hold in memory, and let go. The counters are those of the whole process, so the tests of
//! this file take turns.

use std::sync::{Mutex, PoisonError};

use plies_autograd::{Var, checkpoint};
use plies_tensor::{DType, Device, Elementwise, Tensor};

static TURN: Mutex<()> = Mutex::new(());

fn item(x: &Var) -> f64 {
    x.value().item().unwrap()
}

#[test]
fn a_million_nodes_are_walked_and_freed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let run = || {
        let before = Device::cpu().memory_use().in_use;
        let x = Var::leaf(Tensor::from(1f32));
        let mut sum = x.clone();
        for _ in 0..500_000 {
            sum = sum + &x * 2.0;
        }
        sum.backward();
        assert_eq!(item(&x.grad().unwrap()), 1_000_001.0);
        drop((sum, x));
        let after = Device::cpu().memory_use().in_use;
        assert!(after < before + (1 << 20), "{before} bytes before, {after} after");
    };
    let small = std::thread::Builder::new().stack_size(256 << 10);
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_checkpoint_keeps_no_value_between_its_ends() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |f: fn(&Var) -> Var| {
        let x = Var::leaf(Tensor::zeros([1 << 20], DType::F32, &Device::cpu()));
        let before = Device::cpu().memory_use().in_use;
        let y = f(&x);
        let held = Device::cpu().memory_use().in_use.saturating_sub(before);
        (y, held).1 >> 20
    };
    // Four MB each.
    assert!(run(|x| x.sin().sin().sin().sin()) >= 15);
    assert!(run(|x| checkpoint(|x| x[0].sin().sin().sin().sin(), &[x])) < 8);
}

#[test]
fn values_that_no_gradient_reads_are_not_kept() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let x = Var::leaf(Tensor::zeros([1 << 20], DType::F32, &Device::cpu()));
    let before = Device::cpu().memory_use().in_use;
    let mut y = x.clone();
    for _ in 0..8 {
        y = (&y + 1.0) * 2.0 - &x;
    }
    let held = Device::cpu().memory_use().in_use.saturating_sub(before) >> 20;
    assert!(held < 12, "{held} MB of which 4 are the result");
    y.sum_all().backward();
    assert_eq!(item(&x.grad().unwrap().slice(0, ..1)), 256.0 - 255.0);
}
