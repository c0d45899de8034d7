//! How a product is computed: by which tile, and in how many parts of its inner loop.
//!
//! A large tile reads the operands less often, a small one leaves fewer threads idle at the borders and is more
//! of them; parts occupy a device that has few tiles. What is best depends on the device. A rule of thumb
//! chooses, or what was measured there ([`tuning`](crate::tuning)).
//!
//! One row or one column has no plan: it is a sum that reads each element of the matrix once however it is spread,
//! and [`reduce`](crate::kernels::reduce) spreads it over as many threads as a large device has.

/// Sizes of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    /// Rows and columns that a thread computes.
    pub(super) each: [usize; 2],
}

/// From the largest to the smallest. Operands of a step are brought in by all threads alike, and fit into the
/// 16 KiB that workgroups have everywhere.
pub(super) const TILES: [Tile; 5] = [
    Tile { rows: 128, columns: 128, depth: 16, each: [8, 8] },
    Tile { rows: 128, columns: 64, depth: 16, each: [8, 4] },
    Tile { rows: 64, columns: 128, depth: 16, each: [4, 8] },
    Tile { rows: 64, columns: 64, depth: 16, each: [4, 4] },
    Tile { rows: 32, columns: 32, depth: 16, each: [4, 4] },
];
const LARGE: usize = 0;
const MIDDLE: usize = 3;
const SMALL: usize = 4;

impl Tile {
    pub(super) fn threads(&self) -> usize {
        (self.rows / self.each[0]) * (self.columns / self.each[1])
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
    pub(crate) fn is_sound(&self) -> bool {
        self.tile < TILES.len() && (1..=BUSY).contains(&self.parts)
    }

    /// The rule of thumb: the largest tile of which there are enough.
    pub(super) fn rule([batch, m, k, n]: [usize; 4]) -> Plan {
        let keeps_busy = |tile: usize, share: usize| {
            let tile = TILES[tile];
            m.min(n) > tile.rows / 2 && batch * tile.count(m, n) >= BUSY / share
        };
        let found = [(LARGE, 4), (MIDDLE, 16)].into_iter().find(|(tile, n)| keeps_busy(*tile, *n));
        let tile = found.map_or(SMALL, |(tile, _)| tile);
        let tiles = batch * TILES[tile].count(m, n);
        let parts = (BUSY / tiles).clamp(1, (k / (8 * TILES[tile].depth)).max(1));
        Plan { tile, parts }
    }

    /// What is worth being measured, the rule's choice first.
    pub(super) fn candidates(sizes: [usize; 4]) -> Vec<Plan> {
        let [batch, m, k, n] = sizes;
        let mut all = vec![Plan::rule(sizes)];
        for (tile, Tile { rows, columns, depth, .. }) in TILES.into_iter().enumerate() {
            // More than half of a tile would lie outside.
            if tile != SMALL && (2 * m < rows || 2 * n < columns) {
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

    #[test]
    fn tiles_are_brought_in_by_all_threads_and_fit_everywhere() {
        for tile in TILES {
            let Tile { rows, columns, depth, .. } = tile;
            assert!(tile.threads() <= 256, "{tile:?}");
            assert!((rows + columns) * depth * 4 <= 16 << 10, "{tile:?}");
            for side in [rows, columns] {
                assert!((side / 4 * depth).is_multiple_of(tile.threads()), "{tile:?}");
            }
        }
    }

    #[test]
    fn candidates_are_few_and_sound_and_begin_with_the_rule() {
        for sizes in [[1, 1, 1, 1], [1, 40, 300, 40], [8, 512, 64, 512], [1, 4096, 4096, 4096]] {
            let all = Plan::candidates(sizes);
            assert_eq!(all[0], Plan::rule(sizes));
            assert!(all.len() <= 20 && all.iter().all(Plan::is_sound), "{sizes:?}: {all:?}");
        }
    }
}
