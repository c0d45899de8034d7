//! Two crescents: different starts end in different minima.
//!
//! A network of three hidden neurons is just large enough for the task, and its loss has many
//! minima. Where gradient descent ends depends on where it began, that is, on the seed of the first
//! weights; data, order and everything else are the same here. A wider network has better minima
//! everywhere, so that the start hardly matters.
//!
//! `cargo run -p plies-nn --example moons`

use std::f64::consts::PI;

use plies_autograd::{Var, no_grad};
use plies_nn::optim::{Adam, Optimizer};
use plies_nn::{Activation, Mlp, Module, Pass, loss, metrics};
use plies_tensor::{Result, Rng, Tensor};

const WIDTH: usize = 48;
const HEIGHT: usize = 16;

/// `n` points of two interleaved half circles with noise: x [N, 2], classes `[N]`.
fn moons(n: usize, noise: f64, rng: &mut Rng) -> (Tensor, Tensor) {
    let mut bell =
        || (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt() * (2.0 * PI * rng.next_f64()).cos();
    let (mut points, mut classes) = (Vec::new(), Vec::new());
    for i in 0..n {
        let angle = PI * (i / 2) as f64 / (n / 2 - 1) as f64;
        let (x, y) = match i % 2 {
            0 => (angle.cos(), angle.sin()),
            _ => (1.0 - angle.cos(), 0.5 - angle.sin()),
        };
        points.extend([(x + noise * bell()) as f32, (y + noise * bell()) as f32]);
        classes.push((i % 2) as i32);
    }
    (Tensor::from_vec(points, [n, 2]), Tensor::from(classes))
}

struct Run {
    seed: u64,
    loss: f64,
    accuracy: f64,
    model: Mlp,
}

fn train(hidden: usize, seed: u64, x: &Tensor, targets: &Tensor) -> Result<Run> {
    let x = Var::constant(x.clone());
    let mut model = Mlp::new(&[2, hidden, 2], Activation::Tanh, &mut Rng::new(seed));
    let mut optimizer = Adam::new(0.03);
    for _ in 0..600 {
        let logits = model.forward(&x, &mut Pass::eval()); // [N, 2]
        loss::cross_entropy(&logits, targets).backward();
        optimizer.step(&mut model);
        model.zero_grad();
    }
    let logits = no_grad(|| model.forward(&x, &mut Pass::eval()));
    let loss = loss::cross_entropy(&logits, targets).value().item()?;
    Ok(Run { seed, loss, accuracy: metrics::accuracy(logits.value(), targets)?, model })
}

/// The plane from (-1.5, 1.5) at the upper left to (2.5, -1): the class that the model gives to each
/// place, and the examples as digits.
fn draw(model: &Mlp, x: &Tensor, targets: &Tensor) -> Result<()> {
    let (left, top, wide, high) = (-1.5f32, 1.5f32, 4.0, 2.5);
    let mut places = Vec::new();
    for row in 0..HEIGHT {
        for column in 0..WIDTH {
            places.push(left + wide * (column as f32 + 0.5) / WIDTH as f32);
            places.push(top - high * (row as f32 + 0.5) / HEIGHT as f32);
        }
    }
    let places = Var::constant(Tensor::from_vec(places, [WIDTH * HEIGHT, 2]));
    let logits = no_grad(|| model.forward(&places, &mut Pass::eval()));
    let classes = logits.value().argmax(-1, false).to_vec::<i32>()?;
    let mut picture: Vec<char> = classes.iter().map(|&c| if c == 0 { '.' } else { ' ' }).collect();
    for (point, class) in x.to_vec::<f32>()?.chunks(2).zip(targets.to_vec::<i32>()?) {
        let column = ((point[0] - left) / wide * WIDTH as f32) as usize;
        let row = ((top - point[1]) / high * HEIGHT as f32) as usize;
        if column < WIDTH && row < HEIGHT {
            picture[row * WIDTH + column] = if class == 0 { '0' } else { '1' };
        }
    }
    picture.chunks(WIDTH).for_each(|row| println!("  {}", String::from_iter(row).trim_end()));
    Ok(())
}

fn main() -> Result<()> {
    let (x, targets) = moons(200, 0.1, &mut Rng::new(0));
    for hidden in [3, 16] {
        println!("{hidden} hidden neurons");
        let mut runs =
            (1..=10).map(|seed| train(hidden, seed, &x, &targets)).collect::<Result<Vec<_>>>()?;
        for run in &runs {
            let (seed, loss, percent) = (run.seed, run.loss, 100.0 * run.accuracy);
            println!("  start {seed:2}: loss {loss:.3}, {percent:5.1} % right");
        }
        runs.sort_by(|a, b| a.loss.total_cmp(&b.loss));
        let (best, worst) = (&runs[0], &runs[runs.len() - 1]);
        println!("\n  where start {}, the best, says 0:", best.seed);
        draw(&best.model, &x, &targets)?;
        if worst.accuracy < best.accuracy - 0.01 {
            println!("\n  where start {}, the worst, says 0:", worst.seed);
            draw(&worst.model, &x, &targets)?;
        }
        println!();
    }
    Ok(())
}
