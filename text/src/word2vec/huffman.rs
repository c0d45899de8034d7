//! A binary tree with a word at each leaf, the frequent ones near the root.
//!
//! Hierarchical softmax gives each inner node a row, and takes for the probability of a word the product
//! over the nodes on the way from the root
//!
//!   p(w | h) = Π σ(±y_node · h)      + where the way goes on with code 0, − with code 1
//!
//! so that it costs log₂ V rows instead of V.
//!
//! # Source
//! Morin and Bengio 2005; Mikolov et al. 2013 for Huffman's tree. Node numbers and codes are those of
//! word2vec.c, `CreateBinaryTree`, for the same counts.

use std::cmp::Reverse;

/// For each word the inner nodes from the root to it, and at each of them which way to go.
pub(crate) struct Tree {
    /// Node and code, word after word.
    steps: Vec<(u32, bool)>,
    /// Where each word's way ends.
    ends: Vec<usize>,
}

impl Tree {
    /// For any counts; one of 0 stands for 1, since a tree of nothing but zeros would be as deep as it has
    /// leaves.
    pub(crate) fn new(counts: &[u64]) -> Tree {
        let n = counts.len();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|&word| Reverse(counts[word]));
        let mut leaf_of = vec![0; n];
        order.iter().enumerate().for_each(|(leaf, &word)| leaf_of[word] = leaf);
        let mut parent = vec![0u32; (2 * n).saturating_sub(1)];
        let mut is_one = vec![false; parent.len()];
        // Wide enough for the sum of however many counts.
        let mut sums: Vec<u128> =
            order.iter().map(|&word| u128::from(counts[word].max(1))).collect();
        // Leaves from the rarest on, and inner nodes as they are made, are both in order of count.
        let (mut leaf, mut inner) = (n, n);
        let mut smallest = |sums: &[u128], made: usize| {
            let take_leaf = leaf > 0 && (inner >= made || sums[leaf - 1] < sums[inner]);
            if take_leaf {
                leaf -= 1;
                leaf
            } else {
                inner += 1;
                inner - 1
            }
        };
        for made in n..parent.len() {
            let first = smallest(&sums, made);
            let second = smallest(&sums, made);
            sums.push(sums[first] + sums[second]);
            parent[first] = made as u32;
            parent[second] = made as u32;
            is_one[second] = true;
        }
        let (mut steps, mut ends, root) = (Vec::new(), Vec::new(), parent.len().saturating_sub(1));
        for leaf in leaf_of {
            let start = steps.len();
            let mut at = leaf;
            while at != root {
                let up = parent[at] as usize;
                steps.push(((up - n) as u32, is_one[at]));
                at = up;
            }
            steps[start..].reverse();
            ends.push(steps.len());
        }
        Tree { steps, ends }
    }

    /// The way to a word.
    #[inline]
    pub(crate) fn path(&self, word: u32) -> &[(u32, bool)] {
        let word = word as usize;
        let start = if word == 0 { 0 } else { self.ends[word - 1] };
        &self.steps[start..self.ends[word]]
    }

    /// Number of inner nodes.
    pub(crate) fn nodes(&self) -> usize {
        self.ends.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_word2vec_s() {
        // Worked out by hand after CreateBinaryTree: 2 + 3 = 5 (node 0), 4 + 5 = 9 (node 1) and so on.
        let tree = Tree::new(&[10, 4, 3, 2]);
        let expected: [&[(u32, bool)]; 4] = [
            &[(2, true)],
            &[(2, false), (1, false)],
            &[(2, false), (1, true), (0, true)],
            &[(2, false), (1, true), (0, false)],
        ];
        for (word, path) in expected.into_iter().enumerate() {
            assert_eq!(tree.path(word as u32), path, "{word}");
        }
        assert_eq!(tree.nodes(), 3);
        let unsorted = Tree::new(&[2, 10, 3, 4]);
        for (word, sorted) in [(0, 3), (1, 0), (2, 2), (3, 1)] {
            assert_eq!(unsorted.path(word), tree.path(sorted), "{word}");
        }
        for counts in [[0; 1000], [u64::MAX; 1000]] {
            let tree = Tree::new(&counts);
            assert!((0..1000).all(|word| tree.path(word).len() <= 10));
        }
        assert_eq!(Tree::new(&[7]).path(0), []);
        assert_eq!(Tree::new(&[]).nodes(), 0);
    }

    proptest! {
        #[test]
        fn codes_are_prefix_free_and_as_short_as_huffman_s(counts in prop::collection::vec(1u64..1000, 1..60)) {
            let tree = Tree::new(&counts);
            // Kraft's equality: the tree has no leaf missing.
            let kraft: f64 = (0..counts.len()).map(|w| 0.5f64.powi(tree.path(w as u32).len() as i32)).sum();
            prop_assert!((kraft - 1.0).abs() < 1e-9);
            let cost: u64 = counts.iter().enumerate().map(|(w, c)| c * tree.path(w as u32).len() as u64).sum();
            let mut heap: Vec<u64> = counts.clone();
            let mut best = 0;
            while heap.len() > 1 {
                heap.sort_by_key(|&count| std::cmp::Reverse(count));
                let sum = heap.pop().unwrap() + heap.pop().unwrap();
                best += sum;
                heap.push(sum);
            }
            prop_assert_eq!(cost, best);
        }
    }
}
