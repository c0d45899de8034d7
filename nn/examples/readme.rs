//! Exclusive or, which no single neuron can learn, in a few lines. The README of the workspace
//! quotes this program and what it prints.

use plies_autograd::Var;
use plies_nn::optim::{Adam, Optimizer};
use plies_nn::{Activation, Mlp, Module, Pass, loss};
use plies_tensor::{Result, Rng, Tensor};

fn main() -> Result<()> {
    let x = Var::constant(Tensor::from([[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]));
    let targets = Tensor::from([0, 1, 1, 0]); // 1 where one input is 1 and the other is not
    let mut model = Mlp::new(&[2, 8, 2], Activation::Tanh, &mut Rng::new(1));
    let mut optimizer = Adam::new(0.05);
    for step in 0..=100 {
        {
            let logits = model.forward(&x, &mut Pass::eval()); // [4, 2]
            let loss = loss::cross_entropy(&logits, &targets);
            if step % 25 == 0 {
                let classes = logits.argmax(-1, false).to_vec::<i32>()?;
                println!("step {step:3}: loss {:.3}, classes {classes:?}", loss.item()?);
            }
            loss.backward();
        } // The graph ends here, so the step overwrites the parameters in place.
        optimizer.step(&mut model);
        model.zero_grad();
    }
    Ok(())
}
