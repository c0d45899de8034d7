//! How a product is computed: by which tile, and in how many parts of its inner loop.
//!
//! A large tile reads the operands less often, a small one leaves fewer threads idle at the borders and is more
//! of them; parts occupy a device that has few tiles. What is best depends on the device. A rule of thumb
//! chooses, or what was measured there ([`tuning`](crate::tuning)).
//!
//! One row or one column has no plan: it is a sum that reads each element of the matrix once however it is spread,
//! and [`reduce`](crate::kernels::reduce) spreads it over as many threads as a large device has.

use crate::matrix_units::MatrixUnits;

/// Sizes of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    /// Rows and columns that a thread computes, or with matrix units a subgroup.
    pub(super) each: [usize; 2],
    /// Whether matrix units compute it.
    pub(super) by_units: bool,
}

/// From the largest to the smallest. Operands of a step are brought in by all threads alike, and fit into the
/// 16 KiB that workgroups have everywhere.
pub(super) const TILES: [Tile; 8] = [
    Tile { rows: 128, columns: 128, depth: 16, each: [8, 8], by_units: false },
    Tile { rows: 128, columns: 64, depth: 16, each: [8, 4], by_units: false },
    Tile { rows: 64, columns: 128, depth: 16, each: [4, 8], by_units: false },
    Tile { rows: 64, columns: 64, depth: 16, each: [4, 4], by_units: false },
    Tile { rows: 32, columns: 32, depth: 16, each: [4, 4], by_units: false },
    Tile { rows: 128, columns: 128, depth: 16, each: [64, 64], by_units: true },
    Tile { rows: 64, columns: 64, depth: 16, each: [32, 32], by_units: true },
    Tile { rows: 32, columns: 32, depth: 32, each: [16, 16], by_units: true },
];
/// How many of them each thread computes a part of; the others are by matrix units.
const BY_THREADS: usize = 5;
/// The smallest tile by matrix units.
pub(super) const SMALLEST_BY_UNITS: usize = 7;
/// Subgroups of a workgroup whose matrix units compute a tile.
pub(super) const UNITS_AT_ONCE: usize = 4;

/// The large, the middle and the small square tile of a kind.
fn squares(by_units: bool) -> [usize; 3] {
    if by_units { [5, 6, SMALLEST_BY_UNITS] } else { [0, 3, 4] }
}

impl Tile {
    /// Threads of a workgroup, given the matrix units if they compute it.
    pub(super) fn threads(&self, units: Option<MatrixUnits>) -> usize {
        let threads = units.map_or(1, |units| units.threads as usize);
        (self.rows / self.each[0]) * (self.columns / self.each[1]) * threads
    }

    pub(super) fn count(&self, m: usize, n: usize) -> usize {
        m.div_ceil(self.rows) * n.div_ceil(self.columns)
    }
}

/// Tiles that keep a large device busy.
const BUSY: usize = 256;

/// A tile of the list, and parts of the inner loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) tile: usize,
    pub(crate) parts: usize,
}

impl Plan {
    pub(super) fn tile(&self) -> Tile {
        TILES[self.tile]
    }

    /// Whether there is such a tile, and no more parts than ever pay: a file may say anything.
    pub(crate) fn is_sound(&self, has_units: bool) -> bool {
        let tiles = if has_units { TILES.len() } else { BY_THREADS };
        self.tile < tiles && (1..=BUSY).contains(&self.parts)
    }

    /// The rule of thumb: the largest tile of which there are enough, by matrix units where they may be used.
    pub(super) fn rule([batch, m, k, n]: [usize; 4], by_units: bool) -> Plan {
        let [large, middle, small] = squares(by_units);
        let keeps_busy = |tile: usize, share: usize| {
            let tile = TILES[tile];
            m.min(n) > tile.rows / 2 && batch * tile.count(m, n) >= BUSY / share
        };
        let found = [(large, 4), (middle, 16)].into_iter().find(|(tile, n)| keeps_busy(*tile, *n));
        let tile = found.map_or(small, |(tile, _)| tile);
        let tiles = batch * TILES[tile].count(m, n);
        let parts = (BUSY / tiles).clamp(1, (k / (8 * TILES[tile].depth)).max(1));
        Plan { tile, parts }
    }

    /// What is worth being measured, the rule's choice first. Of tiles by threads, where matrix units may be used, it
    /// is one.
    pub(super) fn candidates(sizes: [usize; 4], by_units: bool) -> Vec<Plan> {
        let [batch, m, k, n] = sizes;
        let mut all = vec![Plan::rule(sizes, by_units)];
        if by_units {
            all.push(Plan::rule(sizes, false));
        }
        let [_, _, small] = squares(by_units);
        let tiles = TILES.into_iter().enumerate().filter(|(_, tile)| tile.by_units == by_units);
        for (tile, Tile { rows, columns, depth, .. }) in tiles {
            // More than half of a tile would lie outside.
            if tile != small && (2 * m < rows || 2 * n < columns) {
                continue;
            }
            let tiles = batch * TILES[tile].count(m, n);
            let most = (4 * BUSY / tiles).min(k / (8 * depth)).clamp(1, 16);
            let plans = (0..5).map(|n| Plan { tile, parts: 1 << n });
            for plan in plans.filter(|plan| plan.parts <= most) {
                if !all.contains(&plan) {
                    all.push(plan);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [Option<MatrixUnits>; 4] = [
        Some(MatrixUnits { side: 8, threads: 8 }),
        Some(MatrixUnits { side: 8, threads: 32 }),
        Some(MatrixUnits { side: 16, threads: 32 }),
        Some(MatrixUnits { side: 16, threads: 64 }),
    ];

    #[test]
    fn tiles_are_brought_in_by_all_threads_and_fit_everywhere() {
        for tile in TILES {
            let Tile { rows, columns, depth, .. } = tile;
            for units in if tile.by_units { &UNITS[..] } else { &[None] } {
                let threads = tile.threads(*units);
                assert!(threads <= 256, "{tile:?}");
                let shared = match units {
                    None => (rows + columns) * depth * 4,
                    Some(MatrixUnits { side, .. }) => {
                        let side = *side as usize;
                        assert!([depth, tile.each[0], tile.each[1]].iter().all(|n| n % side == 0));
                        (rows + columns) * depth * 2 + UNITS_AT_ONCE * side * side * 4
                    }
                };
                assert!(shared <= 16 << 10, "{tile:?}: {shared}");
                for side in [rows, columns] {
                    assert!((side / 4 * depth).is_multiple_of(threads), "{tile:?}");
                }
            }
        }
    }

    #[test]
    fn candidates_are_few_and_sound_and_begin_with_the_rule() {
        for sizes in [[1, 1, 1, 1], [1, 40, 300, 40], [8, 512, 64, 512], [1, 4096, 4096, 4096]] {
            for by_units in [false, true] {
                let all = Plan::candidates(sizes, by_units);
                assert_eq!(all[0], Plan::rule(sizes, by_units));
                let are_sound = all.iter().all(|plan| plan.is_sound(by_units));
                assert!(all.len() <= 20 && are_sound, "{sizes:?}: {all:?}");
            }
        }
    }
}
