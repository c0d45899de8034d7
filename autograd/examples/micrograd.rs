//! The scalar graph from micrograd's README (Andrej Karpathy, 2020), with its numbers.
//!
//! `cargo run -p plies-autograd --example micrograd`

use plies_autograd::{Var, grad};
use plies_tensor::{Elementwise, Tensor};

fn main() -> Result<(), plies_tensor::Error> {
    let a = Var::leaf(Tensor::from(-4f64));
    let b = Var::leaf(Tensor::from(2f64));
    let mut c = &a + &b;
    let mut d = &a * &b + b.powi(3);
    c = &c + &c + 1.0;
    c = &c + 1.0 + &c + (-&a);
    d = &d + &d * 2.0 + (&b + &a).relu();
    d = &d + 3.0 * &d + (&b - &a).relu();
    let e = &c - &d;
    let f = e.powi(2);
    let mut g = &f / 2.0;
    g = &g + 10.0 / &f;

    println!("g     = {:9.4}   the value", g.value().item()?);
    g.backward();
    let (d_a, d_b) = (a.grad(), b.grad());
    let number = |x: Option<Var>| x.map_or(Ok(f64::NAN), |x| x.value().item());
    let (d_a, d_b) = (number(d_a)?, number(d_b)?);
    println!("dg/da = {d_a:9.4}   how g grows with a");
    println!("dg/db = {d_b:9.4}   how g grows with b");

    // Beyond micrograd: a gradient is a value like any other and has gradients itself.
    let first = grad(&g, &[&a], true).remove(0);
    let second = grad(&first, &[&a], false).remove(0).value().item()?;
    println!("d²g/da² = {second:7.4}   how dg/da grows with a");

    // The numbers of micrograd's README.
    assert_eq!(format!("{:.4}", g.value().item()?), "24.7041");
    assert_eq!(format!("{d_a:.4} {d_b:.4}"), "138.8338 645.5773");
    Ok(())
}
