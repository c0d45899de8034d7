//! Points on a plane, far ones taken together.

/// A square with points in it.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The mean of its points.
    centre: [f64; 2],
    /// How many there are.
    count: f64,
    /// The square of its side; 0 for a point, or points in one place.
    area: f64,
    /// The node that comes when this one's squares are passed over.
    skip: u32,
}

/// A tree of squares, each before its quarters, so that a walk is one loop.
///
/// Points are sorted along Morton's curve first: the points of a square then lie beside each other, and its
/// quarters are found by where the next two bits change.
///
/// # Source
/// Barnes, Hut: A hierarchical O(N log N) force-calculation algorithm (Nature, 1986).
#[derive(Debug)]
pub(super) struct Quadtree {
    nodes: Vec<Node>,
}

/// Halvings of the square that holds all points; what is nearer to each other counts as one place.
const LEVELS: u32 = 26;

impl Quadtree {
    pub(super) fn new(points: &[[f64; 2]]) -> Quadtree {
        let bound = |pick: fn(f64, f64) -> f64, start: f64| {
            [0, 1].map(|axis| points.iter().map(|p| p[axis]).fold(start, pick))
        };
        let (low, high) = (bound(f64::min, f64::INFINITY), bound(f64::max, f64::NEG_INFINITY));
        let side = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        let scale = f64::from((1u32 << LEVELS) - 1) / side;
        let mut sorted: Vec<(u64, [f64; 2])> = points
            .iter()
            .map(|p| {
                let [x, y] = [0, 1].map(|axis| spread(((p[axis] - low[axis]) * scale) as u32));
                (x | y << 1, *p)
            })
            .collect();
        sorted.sort_unstable_by_key(|point| point.0);
        let mut tree = Quadtree { nodes: Vec::with_capacity(2 * points.len()) };
        if !sorted.is_empty() {
            tree.grow(&sorted, LEVELS, side);
        }
        tree
    }

    /// Adds the square of these points, which agree in all bits above `level`.
    fn grow(&mut self, points: &[(u64, [f64; 2])], mut level: u32, mut side: f64) {
        let is_one_place = points[0].0 == points[points.len() - 1].0;
        // A square of which one quarter holds all is that quarter.
        while !is_one_place && (points[0].0 ^ points[points.len() - 1].0) >> (2 * (level - 1)) == 0
        {
            (level, side) = (level - 1, side / 2.0);
        }
        let number = self.nodes.len();
        let mean =
            |axis: usize| points.iter().map(|p| p.1[axis]).sum::<f64>() / points.len() as f64;
        let area = if is_one_place { 0.0 } else { side * side };
        self.nodes.push(Node {
            centre: [mean(0), mean(1)],
            count: points.len() as f64,
            area,
            skip: 0,
        });
        if !is_one_place {
            let quarter = |code: u64| code >> (2 * (level - 1)) & 3;
            for part in points.chunk_by(|a, b| quarter(a.0) == quarter(b.0)) {
                self.grow(part, level - 1, side / 2.0);
            }
        }
        self.nodes[number].skip = self.nodes.len() as u32;
    }

    /// Sums of q = 1 / (1 + d²) and of q² (p − r) over all points r, p itself included. A square whose side is less
    /// than θ times its distance is taken for so many points at its centre; with θ = 0 the sums are exact.
    pub(super) fn repulsion(&self, p: [f64; 2], theta: f64) -> (f64, [f64; 2]) {
        let (mut z, mut force, mut at) = (0.0, [0.0; 2], 0);
        let theta = theta * theta;
        while let Some(node) = self.nodes.get(at) {
            let d = [p[0] - node.centre[0], p[1] - node.centre[1]];
            let square = d[0] * d[0] + d[1] * d[1];
            if node.area > theta * square || (node.area > 0.0 && square == 0.0) {
                at += 1;
                continue;
            }
            let q = 1.0 / (1.0 + square);
            z += node.count * q;
            force[0] += node.count * q * q * d[0];
            force[1] += node.count * q * q * d[1];
            at = node.skip as usize;
        }
        (z, force)
    }
}

/// A zero before each bit.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        x = (x | x << shift) & mask;
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(points: &[[f64; 2]], p: [f64; 2]) -> (f64, [f64; 2]) {
        points.iter().fold((0.0, [0.0; 2]), |(z, force), r| {
            let d = [p[0] - r[0], p[1] - r[1]];
            let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
            (z + q, [force[0] + q * q * d[0], force[1] + q * q * d[1]])
        })
    }

    proptest! {
        #[test]
        fn sums_are_exact_without_theta_and_near_with_it(
            points in prop::collection::vec([-30i8..30, -30i8..30], 1..80),
        ) {
            // Many places are taken twice.
            let points: Vec<[f64; 2]> = points.iter().map(|p| p.map(|x| f64::from(x) / 4.0)).collect();
            let tree = Quadtree::new(&points);
            prop_assert_eq!(tree.nodes[0].count as usize, points.len());
            prop_assert!(tree.nodes.len() < 2 * points.len());
            for &p in &points {
                let (z, force) = naive(&points, p);
                let (exact, exactly) = tree.repulsion(p, 0.0);
                prop_assert!((exact - z).abs() < 1e-9 * z);
                prop_assert!((0..2).all(|axis| (exactly[axis] - force[axis]).abs() < 1e-6));
                let (near, _) = tree.repulsion(p, 0.5);
                prop_assert!((near - z).abs() < 0.05 * z, "{} {}", near, z);
            }
        }
    }
}
