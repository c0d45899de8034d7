//! Learning merges: the most frequent pair of neighbours becomes one token, again and again.
//!
//! All different pieces of the text lie in one row of tokens, linked to their neighbours. Each pair has its
//! count, the places where it stands, and an entry in a heap. A merge goes to the places of its pair and
//! nowhere else; the row gets one token shorter at each, and at most two pairs appear. So all merges together
//! look at O(n) places of a row of n bytes, O(n log n) with the heap and the sorting of places, however many
//! merges there are and however long a piece is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::hash::Quick;

/// No neighbour on this side.
const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Pair {
    count: i64,
    /// Where its first token stands, or stood.
    places: Vec<u32>,
}

/// The row of tokens.
pub(super) struct Row {
    tokens: Vec<u32>,
    before: Vec<u32>,
    after: Vec<u32>,
    /// How often the piece at a place occurs in the text.
    weights: Vec<i64>,
    pairs: HashMap<[u32; 2], Pair, Quick>,
    /// Counts may be out of date, but never too small.
    heap: BinaryHeap<(i64, Reverse<[u32; 2]>)>,
}

impl Row {
    /// First tokens at most: each has a place of 32 bits, of which one stands for none.
    pub(super) const MOST: usize = NONE as usize;

    /// Pieces of first tokens, and how often they occur; `None` when there are more than `most` first tokens.
    pub(super) fn new(pieces: impl Iterator<Item = (Vec<u32>, u64)>, most: usize) -> Option<Row> {
        let mut row = Row {
            tokens: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            weights: Vec::new(),
            pairs: HashMap::default(),
            heap: BinaryHeap::new(),
        };
        for (piece, count) in pieces {
            let start = row.tokens.len();
            if piece.len() > most - start {
                return None;
            }
            for (i, &token) in piece.iter().enumerate() {
                let at = (start + i) as u32;
                row.tokens.push(token);
                row.before.push(if i == 0 { NONE } else { at - 1 });
                row.after.push(if i + 1 == piece.len() { NONE } else { at + 1 });
                row.weights.push(count as i64);
                if i + 1 < piece.len() {
                    row.add([token, piece[i + 1]], at);
                }
            }
        }
        row.heap = row.pairs.iter().map(|(&pair, found)| (found.count, Reverse(pair))).collect();
        Some(row)
    }

    fn add(&mut self, pair: [u32; 2], at: u32) {
        let found = self.pairs.entry(pair).or_default();
        found.count += self.weights[at as usize];
        found.places.push(at);
    }

    fn take(&mut self, pair: [u32; 2], at: u32) {
        if let Some(found) = self.pairs.get_mut(&pair) {
            found.count -= self.weights[at as usize];
        }
    }

    /// The most frequent pair, of equal ones that of the smallest numbers, and its count.
    pub(super) fn most_frequent(&mut self) -> Option<([u32; 2], i64)> {
        loop {
            let (count, Reverse(pair)) = self.heap.pop()?;
            let now = self.pairs.get(&pair).map_or(0, |found| found.count);
            if now == count && now > 0 {
                return Some((pair, count));
            }
            if now > 0 {
                self.heap.push((now, Reverse(pair)));
            }
        }
    }

    /// Puts `token` in place of a pair wherever that stands, from left to right.
    pub(super) fn merge(&mut self, [left, right]: [u32; 2], token: u32) {
        let Some(Pair { mut places, .. }) = self.pairs.remove(&[left, right]) else { return };
        places.sort_unstable();
        let mut grown = Vec::new();
        for at in places {
            let i = at as usize;
            let next = self.after[i];
            // It may have become part of another token since.
            if self.tokens[i] != left || next == NONE || self.tokens[next as usize] != right {
                continue;
            }
            let (before, after) = (self.before[i], self.after[next as usize]);
            self.tokens[i] = token;
            self.tokens[next as usize] = NONE;
            self.after[i] = after;
            if before != NONE {
                let neighbour = self.tokens[before as usize];
                self.take([neighbour, left], at);
                self.add([neighbour, token], before);
                grown.push([neighbour, token]);
            }
            if after != NONE {
                self.before[after as usize] = at;
                let neighbour = self.tokens[after as usize];
                self.take([right, neighbour], at);
                self.add([token, neighbour], at);
                grown.push([token, neighbour]);
            }
        }
        grown.sort_unstable();
        grown.dedup();
        for pair in grown {
            let count = self.pairs.get(&pair).map_or(0, |found| found.count);
            if count > 0 {
                self.heap.push((count, Reverse(pair)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_first_tokens_than_there_are_places_for_are_refused() {
        let row = |most| Row::new([(vec![1, 2], 1), (vec![1, 2, 3], 1)].into_iter(), most);
        assert!(row(5).is_some() && row(4).is_none() && row(1).is_none());
    }
}
