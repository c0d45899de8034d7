//! What copying costs: the same work on the CPU, on a graphics processor that holds the data, and on one
//! that is sent the data and asked for the result each time.
//!
//!     cargo run --release -p plies-gpu --example copying [LARGEST]
//!
//! `PLIES_GPU` chooses the adapter. LARGEST is the largest number of elements of an operand, 65536 unless
//! said otherwise (`cargo xtask bench gpu` says 4194304). Times are the least of several runs, each waited for.

use std::time::{Duration, Instant};

use plies_gpu::Gpu;
use plies_tensor::{Conv, DType, Device, Elementwise, Rng, Tensor, set_threads, threads};

/// Work on two operands whose shapes follow from a number of elements.
struct Work {
    name: &'static str,
    shapes: fn(usize) -> [Vec<usize>; 2],
    run: fn(&Tensor, &Tensor) -> Tensor,
    /// Operations of the work, for the last column.
    operations: fn([&[usize]; 2]) -> f64,
}

const WORKS: &[Work] = &[
    Work {
        name: "element-wise, y = tanh(a·b) + b",
        shapes: |n| [vec![n], vec![n]],
        run: |a, b| {
            let formula = plies_tensor::formula!(|a, b| (a * b).tanh() + b);
            Tensor::map(formula, &[a, b], &[])
        },
        operations: |[a, _]| 3.0 * a[0] as f64,
    },
    Work {
        name: "matmul, square",
        shapes: |n| {
            let side = n.isqrt();
            [vec![side, side], vec![side, side]]
        },
        run: |a, b| a.matmul(b),
        operations: |[a, _]| 2.0 * (a[0] as f64).powi(3),
    },
    Work {
        name: "convolution, 32 images, 16 channels to 16, windows of 3 x 3",
        shapes: |n| {
            let side = (n / 512).isqrt().max(3);
            [vec![32, 16, side, side], vec![16, 16, 3, 3]]
        },
        run: |x, w| x.conv(w, None, &Conv::default().padding(1)),
        operations: |[x, w]| 2.0 * x.iter().product::<usize>() as f64 * (w[0] * w[2] * w[3]) as f64,
    },
];

/// The least time of a run: one to be warm, then as many as a twentieth of a second holds, at least two.
fn least(run: &mut dyn FnMut()) -> Duration {
    run();
    let (start, mut least) = (Instant::now(), Duration::MAX);
    for i in 0.. {
        if i >= 2 && start.elapsed() > Duration::from_millis(50) {
            break;
        }
        let begin = Instant::now();
        run();
        least = least.min(begin.elapsed());
    }
    least
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let largest = match std::env::args().nth(1) {
        None => 1 << 16,
        Some(text) => {
            text.parse::<usize>().map_err(|_| format!("{text}: not a number of elements"))?
        }
    };
    let gpu = match Gpu::open_from_env() {
        Ok(gpu) => gpu,
        Err(reason) => {
            println!("{reason}");
            return Ok(());
        }
    };
    let device = gpu.device();
    let all_threads = threads();
    println!("{} beside {all_threads} threads of the CPU; milliseconds\n", gpu.summary().name);
    for work in WORKS {
        println!("{}", work.name);
        println!(
            "{:>10} {:>10} {:>10} {:>10} {:>10}  {:>8} {:>8}",
            "elements", "1 thread", "threads", "resident", "copied", "resident", "copied"
        );
        let mut curve = Vec::new();
        let mut n = 1 << 10;
        while n <= largest {
            let [a, b] = (work.shapes)(n);
            n *= 4;
            // Small images are all of one size.
            let size = a.iter().product();
            if curve.last().is_some_and(|(last, _)| *last == size) {
                continue;
            }
            let mut rng = Rng::new(1);
            let mut draw = |dims: &[usize]| rng.normal(dims, DType::F32, &Device::cpu());
            let (x, y) = (draw(&a), draw(&b));
            let on = [x.to_device(&device)?, y.to_device(&device)?];
            set_threads(1);
            let one = least(&mut || drop((work.run)(&x, &y)));
            set_threads(all_threads);
            let many = least(&mut || drop((work.run)(&x, &y)));
            let resident = least(&mut || {
                let result = (work.run)(&on[0], &on[1]);
                device.synchronize().expect("the device works");
                drop(result);
            });
            let copied = least(&mut || {
                let here = |t: &Tensor| t.to_device(&device).expect("the device works");
                let result = (work.run)(&here(&x), &here(&y));
                drop(result.to_vec::<f32>().expect("the device works"));
            });
            let ms = |t: Duration| t.as_secs_f64() * 1e3;
            let times = [one, many, resident, copied].map(ms);
            let gains = [times[1] / times[2], times[1] / times[3]];
            println!(
                "{:>10} {:>10.3} {:>10.3} {:>10.3} {:>10.3}  {:>7.2}x {:>7.2}x  {:>8.1} GFLOP/s",
                x.elem_count(),
                times[0],
                times[1],
                times[2],
                times[3],
                gains[0],
                gains[1],
                (work.operations)([&a, &b]) / times[2] / 1e6
            );
            curve.push((size, gains));
        }
        plot(&curve);
    }
    Ok(())
}

/// Gains over all threads of the CPU, each a column twice as high as the one a line below; `|` is where
/// both take as long.
fn plot(curve: &[(usize, [f64; 2])]) {
    const HALF: i32 = 24;
    println!("\n  gain over the CPU's threads: r resident, c copied; a step is a factor of 1.3");
    for (n, gains) in curve {
        let mut line = vec![' '; 2 * HALF as usize + 1];
        line[HALF as usize] = '|';
        for (mark, gain) in ['r', 'c'].iter().zip(gains) {
            let at = (gain.ln() / 1.3f64.ln()).round() as i32;
            line[(at.clamp(-HALF, HALF) + HALF) as usize] = *mark;
        }
        println!("{n:>10}  {}", line.iter().collect::<String>().trim_end());
    }
    println!("{:>10}  slower{:>18}faster\n", "", "");
}
