//! A line search: how far to go along a direction.
//!
//! φ(t) = f(x + td); found is a t with φ(t) ≤ φ(0) + c₁ t φ'(0) and |φ'(t)| ≤ c₂ |φ'(0)|: low enough, and
//! level enough that the next step learns the curvature.

use plies_tensor::Result;

use super::point::Point;

const C1: f64 = 1e-4;
const C2: f64 = 0.9;

/// Where a bracket times the largest number of the direction is too short to matter.
const SHORTEST: f64 = 1e-9;

/// A place on the line.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) t: f64,
    /// φ(t)
    pub(super) loss: f64,
    /// φ'(t)
    pub(super) slope: f64,
    /// The gradient there.
    pub(super) gradient: Point,
}

/// The best place found with at most `trials` after the first one at `t`. `length` is the largest number of
/// the direction.
///
/// # Source
/// Nocedal, Wright: Numerical optimization (2006), algorithms 3.5 and 3.6, with the safeguards of Schmidt's
/// minFunc (2005), which PyTorch has too.
pub(super) fn strong_wolfe(
    origin: Trial,
    t: f64,
    length: f64,
    trials: usize,
    mut evaluate: impl FnMut(f64) -> Result<Trial>,
) -> Result<Trial> {
    let too_high = |trial: &Trial| {
        // Not a number is too high as well.
        let low_enough = trial.loss <= origin.loss + C1 * trial.t * origin.slope;
        !low_enough
    };
    let level = |trial: &Trial| trial.slope.abs() <= -C2 * origin.slope;
    let (mut before, mut new) = (origin.clone(), evaluate(t)?);
    let mut left = trials;

    // Farther and farther, until there is a good place between two trials.
    let mut bracket = loop {
        if left == 0 {
            return Ok(if new.loss < origin.loss { new } else { origin });
        }
        if too_high(&new) || (trials - left > 1 && new.loss >= before.loss) {
            break [before, new];
        }
        if level(&new) {
            return Ok(new);
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let bounds = (new.t + 0.01 * (new.t - before.t), 10.0 * new.t);
        let t = cubic_minimum(&before, &new, bounds);
        before = std::mem::replace(&mut new, evaluate(t)?);
        left -= 1;
    };

    // Closer and closer.
    let lower = |bracket: &[Trial; 2]| usize::from(bracket[1].loss < bracket[0].loss);
    let mut low = lower(&bracket);
    let mut near_the_end = false;
    while left > 0 {
        let (from, to) = ends(&bracket);
        if (to - from) * length < SHORTEST {
            break;
        }
        let mut t = cubic_minimum(&bracket[0], &bracket[1], (from, to));
        let margin = 0.1 * (to - from);
        if (to - t).min(t - from) < margin {
            // Near an end twice, or at it: the cubic does not help.
            if near_the_end || t >= to || t <= from {
                t = if to - t < t - from { to - margin } else { from + margin };
                near_the_end = false;
            } else {
                near_the_end = true;
            }
        } else {
            near_the_end = false;
        }
        let new = evaluate(t)?;
        left -= 1;
        let high = 1 - low;
        if too_high(&new) || new.loss >= bracket[low].loss {
            bracket[high] = new;
            low = lower(&bracket);
            continue;
        }
        let done = level(&new);
        if !done && new.slope * (bracket[high].t - bracket[low].t) >= 0.0 {
            bracket.swap(low, high);
        }
        bracket[low] = new;
        if done {
            break;
        }
    }
    let [first, second] = bracket;
    Ok(if low == 0 { first } else { second })
}

fn ends([a, b]: &[Trial; 2]) -> (f64, f64) {
    (a.t.min(b.t), a.t.max(b.t))
}

/// Where the cubic through two trials, with their slopes, is least; within bounds, and in their middle when
/// it is nowhere (equation 3.59).
fn cubic_minimum(a: &Trial, b: &Trial, (least, most): (f64, f64)) -> f64 {
    let (a, b) = if a.t <= b.t { (a, b) } else { (b, a) };
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    let d2 = square.sqrt();
    let t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    if square >= 0.0 && !t.is_nan() { t.clamp(least, most) } else { f64::midpoint(least, most) }
}
