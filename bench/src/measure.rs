//! Contenders for the same work, timed in turns.
//!
//! A shared machine changes its speed from second to second. So contenders are not timed one after
//! the other but round by round, each for a fiftieth of a second, and compared within the round: the
//! ratio is the median of the rounds' ratios, its spread the quartiles. On one thread the clock is
//! the process's CPU time, which stands still while other programs run; on several it is the wall's.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

/// What some iterations took.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall_s: f64,
    pub cpu_s: f64,
}

/// One way to do the work of a case.
pub struct Contender<'a> {
    pub name: String,
    run: Box<dyn FnMut(u64) -> Option<Cost> + 'a>,
}

impl<'a> Contender<'a> {
    /// Work in this process: `work` is one iteration.
    pub fn new(name: &str, mut work: impl FnMut() + 'a) -> Self {
        Self::timed_by(name, move |iterations| {
            let (wall, cpu) = (Instant::now(), ProcessTime::now());
            for _ in 0..iterations {
                work();
            }
            Some(Cost { wall_s: wall.elapsed().as_secs_f64(), cpu_s: cpu.elapsed().as_secs_f64() })
        })
    }

    /// Work that says itself what its iterations took, or that it failed and takes part no longer.
    pub fn timed_by(name: &str, run: impl FnMut(u64) -> Option<Cost> + 'a) -> Self {
        Contender { name: name.to_owned(), run: Box::new(run) }
    }
}

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub round_s: f64,
    pub warm_up_s: f64,
}

impl Effort {
    pub const FULL: Effort = Effort { rounds: 21, round_s: 0.02, warm_up_s: 0.1 };
    pub const QUICK: Effort = Effort { rounds: 7, round_s: 0.01, warm_up_s: 0.03 };
}

/// Times of one contender: seconds for an iteration, in each round.
pub struct Times {
    pub name: String,
    pub seconds: Vec<f64>,
}

/// Times all contenders in turns; who fails is left out.
pub fn race(contenders: Vec<Contender<'_>>, threads: usize, effort: Effort) -> Vec<Times> {
    let seconds = |cost: Cost| if threads == 1 { cost.cpu_s } else { cost.wall_s };
    let mut racers: Vec<Racer<'_>> = contenders
        .into_iter()
        .filter_map(|mut contender| {
            let (mut n, mut spent) = (1u64, 0.0);
            loop {
                let s = seconds((contender.run)(n)?);
                spent += s;
                if s >= effort.round_s / 2.0 && spent >= effort.warm_up_s {
                    let iterations = ((n as f64 * effort.round_s / s).round() as u64).max(1);
                    return Some(Racer { contender, iterations, seconds: Vec::new() });
                }
                let longer = (n as f64 * effort.round_s / s.max(1e-9)).ceil() as u64;
                n = longer.clamp(1, 16 * n);
            }
        })
        .collect();
    let n = racers.len();
    for round in 0..effort.rounds {
        for turn in 0..n {
            // Nobody always follows the same neighbour's traces in the caches.
            let turn = if round % 2 == 0 { turn } else { n - 1 - turn };
            let racer = &mut racers[(turn + round / 2) % n];
            if threads > 1 {
                // Many libraries' threads go on spinning for a while when they have nothing to do.
                std::thread::sleep(Duration::from_millis(15));
            }
            if let Some(cost) = (racer.contender.run)(racer.iterations) {
                racer.seconds.push(seconds(cost) / racer.iterations as f64);
            }
        }
    }
    racers
        .into_iter()
        .filter(|racer| racer.seconds.len() == effort.rounds)
        .map(|racer| Times { name: racer.contender.name, seconds: racer.seconds })
        .collect()
}

struct Racer<'a> {
    contender: Contender<'a>,
    /// As many as take one round.
    iterations: u64,
    seconds: Vec<f64>,
}

/// The value below which a share of `values` lies.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * at.fract()
}
