//! Exclusive or: why networks have hidden layers.
//!
//! A single neuron answers yes on one side of a line and no on the other, and no line has (0, 1) and
//! (1, 0) on one side, (0, 0) and (1, 1) on the other (Minsky & Papert, Perceptrons, 1969). The least
//! loss it can have is ln 2: it learns to know nothing. One hidden layer of a few neurons is enough.
//!
//! `cargo run -p plies-nn --example xor`

use plies_autograd::Var;
use plies_nn::optim::{Adam, Optimizer};
use plies_nn::{Activation, Mlp, Module, Pass, loss};
use plies_tensor::{Result, Rng, Tensor};

/// Loss after training, and how many of the four answers are right.
fn train(sizes: &[usize], seed: u64) -> Result<(f64, usize)> {
    let x = Var::constant(Tensor::from([[0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]));
    let truth = [0f32, 1.0, 1.0, 0.0];
    let targets = Tensor::from_slice(&truth, [4, 1]);
    let mut model = Mlp::new(sizes, Activation::Tanh, &mut Rng::new(seed));
    let mut optimizer = Adam::new(0.05);
    for _ in 0..500 {
        let logits = model.forward(&x, &mut Pass::eval()); // [4, 1]
        loss::binary_cross_entropy(&logits, &targets).backward();
        optimizer.step(&mut model);
        model.zero_grad();
    }
    let logits = model.forward(&x, &mut Pass::eval());
    let loss = loss::binary_cross_entropy(&logits, &targets).value().item()?;
    let answers = logits.value().to_vec::<f32>()?;
    // A neuron that knows nothing answers with a logit of 0 up to rounding, which is no answer.
    let right =
        |(logit, truth): (&f32, &f32)| logit.abs() > 1e-3 && (*logit > 0.0) == (*truth > 0.5);
    Ok((loss, answers.iter().zip(&truth).filter(|&pair| right(pair)).count()))
}

fn main() -> Result<()> {
    for (name, sizes) in
        [("one neuron", &[2, 1][..]), ("2 hidden neurons", &[2, 2, 1]), ("8 hidden", &[2, 8, 1])]
    {
        let runs = (0..10).map(|seed| train(sizes, seed)).collect::<Result<Vec<_>>>()?;
        let least = runs.iter().map(|run| run.0).fold(f64::INFINITY, f64::min);
        let solved = runs.iter().filter(|run| run.1 == 4).count();
        println!("{name:16}  least loss {least:.3}  solved from {solved:2} of 10 starts");
    }
    println!("ln 2 is {:.3}", 2f64.ln());
    Ok(())
}
