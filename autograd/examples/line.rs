//! A line through points by gradient descent: gradients, and a step that overwrites parameters in
//! one pass.

use plies_autograd::{Var, grad};
use plies_tensor::{DType, Elementwise, Result, Tensor, formula};

fn main() -> Result<()> {
    let x = Var::constant(Tensor::linspace(-1.0, 1.0, 50, DType::F32)); // [50]
    let y = 3.0 * &x + 2.0; // the line to be found again
    let [mut w, mut b] = [0f32, 0.0].map(|start| Var::leaf(Tensor::scalar(start)));
    for step in 0..=60 {
        let loss = (&x * &w + &b - &y).sqr().mean_all();
        if step % 20 == 0 {
            println!("{step:2}: y = {:.3} x + {:.3}", w.value().item()?, b.value().item()?);
        }
        let gradients = grad(&loss, &[&w, &b], false);
        for (p, d_p) in [&mut w, &mut b].into_iter().zip(gradients) {
            let descend = formula!(|p, d_p; lr| p - lr * d_p); // one pass, in place
            Tensor::update(&mut [p.value_mut()], descend, &[d_p.value()], &[0.2]);
        }
    }
    Ok(())
}
