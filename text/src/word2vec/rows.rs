//! Which rows a block takes, model by model.
//!
//! A block is a dozen neighbouring words of a text, each of which is to be predicted from a window of a
//! random width around it. Say it begins at word 2 and has three words, with windows of 1, 2 and 1:
//!
//! ```text
//!   position     0 1 2 3 4 5
//!   word 2         x . x          the window of each word, and who is in it
//!   word 3         x x . x x
//!   word 4             x . x
//! ```
//!
//! Skip-gram has a hidden row for each position 1 to 5. Word 3 as a target meets rows 1, 2, 4 and 5, a
//! negative sample all five, with a weight for the number of windows that a position is in. CBOW has a hidden
//! row for each of the three words, the mean of its window; word 3 meets the second, a negative sample all.
//!
//! A negative sample that is drawn for a block stands for several that word2vec would draw for one window
//! each. Its weights say for how many, so that what is expected stays the same.

use std::ops::Range;

use super::Architecture;
use super::block::{Block, Rows};
use super::buffer::Buffer;
use super::huffman::Tree;
use super::sampler::Sampler;
use super::subwords::Bags;
use super::weights::Weights;
use crate::random::Stream;

/// Words of a block.
pub(crate) const BLOCK: usize = 16;

/// Of the negative samples that word2vec would draw for a block, the share that is drawn.
const DRAWN: usize = 4;

/// Words in order, each with the line it stands in: windows do not leave it.
#[derive(Default)]
pub(crate) struct Sequence {
    pub(crate) words: Vec<u32>,
    /// First and last + 1 position of the line of each word.
    lines: Vec<Range<u32>>,
}

impl Sequence {
    pub(crate) fn clear(&mut self) {
        self.words.clear();
        self.lines.clear();
    }

    /// Says that a line ends here.
    pub(crate) fn end_line(&mut self) {
        let line = self.lines.len() as u32..self.words.len() as u32;
        self.lines.resize(self.words.len(), line);
    }
}

/// What all threads share.
pub(crate) struct Shared<'a> {
    pub(crate) architecture: Architecture,
    pub(crate) targets: Targets,
    pub(crate) window: usize,
    pub(crate) bags: Option<Bags>,
    pub(crate) input: &'a Weights,
    pub(crate) output: &'a Weights,
}

pub(crate) enum Targets {
    Sampled { sampler: Sampler, negative: usize },
    Ways(Tree),
}

/// One thread's memory.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) block: Block,
    /// The window of each word of the block, as positions of the sequence.
    windows: Vec<Range<usize>>,
    /// The rows of `output` that the block takes.
    outputs: Vec<u32>,
    /// Of hierarchical softmax: where in `outputs` a node is, if the stamp is this block's.
    places: Vec<(u32, u32)>,
    stamp: u32,
    /// Of CBOW: a row for each position, before the mean.
    around: Rows,
    /// Of CBOW: how many rows the word at each position has.
    sizes: Vec<f32>,
    /// In how many windows each hidden row is.
    times: Vec<f32>,
    row: Buffer,
}

impl Worker {
    /// Learns from all words of a sequence.
    pub(crate) fn learn(
        &mut self,
        shared: &Shared<'_>,
        sequence: &Sequence,
        lr: f32,
        random: &mut Stream,
    ) {
        let n = sequence.words.len();
        // Blocks of about the same size.
        let blocks = n.div_ceil(BLOCK);
        for b in 0..blocks {
            let words = n * b / blocks..n * (b + 1) / blocks;
            self.prepare(shared, sequence, words.clone(), random);
            self.block.step(lr);
            self.finish(shared, sequence, words);
        }
    }

    /// Fetches the rows of a block and says which of them meet.
    pub(crate) fn prepare(
        &mut self,
        shared: &Shared<'_>,
        sequence: &Sequence,
        words: Range<usize>,
        random: &mut Stream,
    ) {
        self.windows.clear();
        for at in words.clone() {
            let reach = 1 + random.below(shared.window as u32) as usize;
            let line = &sequence.lines[at];
            let from = at.saturating_sub(reach).max(line.start as usize);
            self.windows.push(from..(at + reach + 1).min(line.end as usize));
        }
        self.choose_outputs(shared, sequence, words.clone(), random);
        let span = self.span();
        let n_hidden = match shared.architecture {
            Architecture::SkipGram => span.len(),
            Architecture::Cbow => words.len(),
        };
        let width = shared.input.width();
        self.block.begin(n_hidden, self.outputs.len(), width);
        let touched =
            self.outputs.iter().fold(0, |all, &row| all ^ shared.output.touch(row as usize));
        let hidden = &sequence.words[span.clone()];
        let touched = match &shared.bags {
            None => hidden.iter().fold(touched, |all, &row| all ^ shared.input.touch(row as usize)),
            Some(bags) => {
                let rows = hidden.iter().flat_map(|&word| bags.of(word));
                rows.fold(touched, |all, &row| all ^ shared.input.touch(row as usize))
            }
        };
        std::hint::black_box(touched);
        for (&row, values) in self
            .outputs
            .iter()
            .zip(self.block.outputs.values.words_mut().chunks_exact_mut(width / 2))
        {
            shared.output.read(row as usize, values);
        }
        match shared.architecture {
            Architecture::SkipGram => {
                let hidden = self.block.hidden.values.words_mut().chunks_exact_mut(width / 2);
                for (&word, values) in sequence.words[span].iter().zip(hidden) {
                    let n = read_bag(shared, word, values, &mut self.row);
                    scale(bytemuck::cast_slice_mut(values), 1.0 / n);
                }
            }
            Architecture::Cbow => self.means(shared, sequence, words.clone(), width),
        }
        self.meet(shared, sequence, words);
    }

    /// The positions that the windows cover.
    fn span(&self) -> Range<usize> {
        let from = self.windows.iter().map(|window| window.start).min().unwrap_or(0);
        let to = self.windows.iter().map(|window| window.end).max().unwrap_or(0);
        from..to
    }

    /// The words themselves and the negative samples after them, or the nodes of their ways.
    fn choose_outputs(
        &mut self,
        shared: &Shared<'_>,
        sequence: &Sequence,
        words: Range<usize>,
        random: &mut Stream,
    ) {
        self.outputs.clear();
        match &shared.targets {
            Targets::Sampled { sampler, negative } => {
                self.outputs.extend(&sequence.words[words.clone()]);
                let drawn = (words.len() * negative).div_ceil(DRAWN).max(*negative);
                self.outputs.extend((0..drawn).map(|_| sampler.draw(random)));
            }
            Targets::Ways(tree) => {
                self.places.resize(tree.nodes(), (0, 0));
                self.stamp += 1;
                for &word in &sequence.words[words] {
                    for &(node, _) in tree.path(word) {
                        let place = &mut self.places[node as usize];
                        if place.0 != self.stamp {
                            *place = (self.stamp, self.outputs.len() as u32);
                            self.outputs.push(node);
                        }
                    }
                }
            }
        }
    }

    /// CBOW's hidden rows: for each word the mean over its window, of all rows of all words in it.
    fn means(
        &mut self,
        shared: &Shared<'_>,
        sequence: &Sequence,
        words: Range<usize>,
        width: usize,
    ) {
        let span = self.span();
        self.around.values.resize(span.len() * width);
        self.sizes.clear();
        for (&word, values) in sequence.words[span.clone()]
            .iter()
            .zip(self.around.values.words_mut().chunks_exact_mut(width / 2))
        {
            self.sizes.push(read_bag(shared, word, values, &mut self.row));
        }
        let hidden = self.block.hidden.values.floats_mut().chunks_exact_mut(width);
        for ((at, window), mean) in words.zip(&self.windows).zip(hidden) {
            mean.fill(0.0);
            let mut n = 0.0;
            for other in window.clone().filter(|&other| other != at) {
                let place = other - span.start;
                add(mean, &self.around.values.floats()[place * width..][..width]);
                n += self.sizes[place];
            }
            scale(mean, 1.0 / f32::max(n, 1.0));
        }
    }

    /// The groups of the block.
    fn meet(&mut self, shared: &Shared<'_>, sequence: &Sequence, words: Range<usize>) {
        let span = self.span();
        let is_cbow = shared.architecture == Architecture::Cbow;
        // The hidden rows that a word is predicted from, and which of them is the word itself.
        let hidden_of = |i: usize, window: &Range<usize>| {
            let at = words.start + i;
            if is_cbow {
                let is_alone = window.len() <= 1;
                (i..if is_alone { i } else { i + 1 }, None)
            } else {
                (window.start - span.start..window.end - span.start, Some(at - window.start))
            }
        };
        match &shared.targets {
            Targets::Sampled { negative, .. } => {
                let n_hidden = if is_cbow { words.len() } else { span.len() };
                let times = &mut self.times;
                times.clear();
                times.resize(n_hidden, 0.0);
                for (i, window) in self.windows.iter().enumerate() {
                    let (hidden, itself) = hidden_of(i, window);
                    times[hidden.clone()].iter_mut().for_each(|n| *n += 1.0);
                    if let Some(itself) = itself {
                        times[hidden.start + itself] -= 1.0;
                    }
                    let weights = self.block.group([(i, true)], hidden);
                    if let Some(itself) = itself {
                        weights[itself] = 0.0;
                    }
                }
                let samples = words.len()..self.outputs.len();
                let each = *negative as f32 / samples.len() as f32;
                let weights =
                    self.block.group(samples.clone().map(|row| (row, false)), 0..n_hidden);
                for (weights, sample) in weights.chunks_exact_mut(n_hidden.max(1)).zip(samples) {
                    weights.iter_mut().zip(times.iter()).for_each(|(v, n)| *v = -each * n);
                    let drawn = self.outputs[sample];
                    // A word is no negative sample for itself.
                    for (i, window) in self.windows.iter().enumerate() {
                        if sequence.words[words.start + i] == drawn {
                            let (hidden, itself) = hidden_of(i, window);
                            let own = itself.map(|itself| hidden.start + itself);
                            hidden.filter(|&j| Some(j) != own).for_each(|j| weights[j] += each);
                        }
                    }
                }
            }
            Targets::Ways(tree) => {
                for (i, window) in self.windows.iter().enumerate() {
                    let (hidden, itself) = hidden_of(i, window);
                    let places = &self.places;
                    let targets = tree
                        .path(sequence.words[words.start + i])
                        .iter()
                        .map(|&(node, code)| (places[node as usize].1 as usize, !code));
                    let n = hidden.len();
                    let weights = self.block.group(targets, hidden);
                    if let Some(itself) = itself {
                        weights.iter_mut().skip(itself).step_by(n).for_each(|w| *w = 0.0);
                    }
                }
            }
        }
    }

    /// Adds the changes to the rows.
    fn finish(&mut self, shared: &Shared<'_>, sequence: &Sequence, words: Range<usize>) {
        let width = shared.input.width();
        let span = self.span();
        let changes = match shared.architecture {
            Architecture::SkipGram => &self.block.hidden.changes,
            Architecture::Cbow => {
                // Every word of a window gets the change of the mean, as in word2vec and fastText, not a share.
                let around = &mut self.around.changes;
                around.resize(span.len() * width);
                let around = around.floats_mut();
                around.fill(0.0);
                let changes = self.block.hidden.changes.floats().chunks_exact(width);
                for ((at, window), change) in words.zip(&self.windows).zip(changes) {
                    for other in window.clone().filter(|&other| other != at) {
                        add(&mut around[(other - span.start) * width..][..width], change);
                    }
                }
                &self.around.changes
            }
        };
        self.row.resize(width);
        let sum = self.row.words_mut();
        for (&word, change) in sequence.words[span].iter().zip(changes.floats().chunks_exact(width))
        {
            match &shared.bags {
                None => shared.input.add(word as usize, change, sum),
                Some(bags) => {
                    for &row in bags.of(word) {
                        shared.input.add(row as usize, change, sum);
                    }
                }
            }
        }
        let changes = self.block.outputs.changes.floats().chunks_exact(width);
        for (&row, change) in self.outputs.iter().zip(changes) {
            shared.output.add(row as usize, change, sum);
        }
    }
}

/// The sum of a word's rows, and how many they are.
#[inline]
fn read_bag(shared: &Shared<'_>, word: u32, sum: &mut [u64], row: &mut Buffer) -> f32 {
    let Some(bags) = &shared.bags else {
        shared.input.read(word as usize, sum);
        return 1.0;
    };
    row.resize(2 * sum.len());
    sum.fill(0);
    let rows = bags.of(word);
    for &number in rows {
        shared.input.read(number as usize, row.words_mut());
        add(bytemuck::cast_slice_mut(sum), row.floats());
    }
    rows.len() as f32
}

#[inline]
fn add(sum: &mut [f32], row: &[f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
}

#[inline]
fn scale(row: &mut [f32], factor: f32) {
    if factor != 1.0 {
        row.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word2vec::Subwords;

    const DIM: usize = 20;

    /// Two lines of a few words out of six.
    fn sequence() -> Sequence {
        let mut sequence = Sequence::default();
        for line in [&[0, 1, 2, 1, 3, 0, 5][..], &[4, 2]] {
            sequence.words.extend(line);
            sequence.end_line();
        }
        sequence
    }

    fn weights(rows: usize, seed: u64) -> Weights {
        let mut random = Stream::new(seed, [0, 0]);
        let rows: Vec<f32> = (0..rows * DIM).map(|_| random.uniform() - 0.5).collect();
        Weights::from_rows(rows, DIM)
    }

    fn with_each_model(mut check: impl FnMut(&Shared<'_>)) {
        let counts = [9, 7, 5, 3, 2, 1];
        let subwords = Subwords { min: 1, max: 2, buckets: 7 };
        let names = ["ab", "b", "cab", "a", "d", "bad"];
        for architecture in [Architecture::SkipGram, Architecture::Cbow] {
            for is_tree in [false, true] {
                for has_bags in [false, true] {
                    let targets = if is_tree {
                        Targets::Ways(Tree::new(&counts))
                    } else {
                        Targets::Sampled { sampler: Sampler::new(&counts, 0.75), negative: 3 }
                    };
                    let bags = has_bags.then(|| Bags::new(names.into_iter(), subwords));
                    let (input, output) = (&weights(13, 1), &weights(6, 2));
                    check(&Shared { architecture, targets, window: 3, bags, input, output });
                }
            }
        }
    }

    #[test]
    fn changes_are_the_gradient_of_the_objective() {
        with_each_model(|shared| {
            let (sequence, mut worker) = (sequence(), Worker::default());
            worker.prepare(shared, &sequence, 1..9, &mut Stream::new(5, [0, 0]));
            let weights = worker.block.weights().to_vec();
            worker.block.step(1.0);
            let changes = [&worker.block.hidden, &worker.block.outputs]
                .map(|rows| rows.changes.floats().to_vec());
            worker.block.weights().copy_from_slice(&weights);
            for (which, changes) in changes.into_iter().enumerate() {
                for (at, change) in changes.into_iter().enumerate() {
                    if at % shared.input.width() >= DIM {
                        assert_eq!(change, 0.0);
                        continue;
                    }
                    let mut moved = |by: f32| {
                        let rows = [&mut worker.block.hidden, &mut worker.block.outputs];
                        let value =
                            &mut rows.into_iter().nth(which).unwrap().values.floats_mut()[at];
                        let before = *value;
                        *value += by;
                        let objective = worker.block.objective().0;
                        let rows = [&mut worker.block.hidden, &mut worker.block.outputs];
                        rows.into_iter().nth(which).unwrap().values.floats_mut()[at] = before;
                        objective
                    };
                    // A power of two, so that little is lost when it is added.
                    let step = 1.0 / 256.0;
                    let slope = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
                    assert!((slope - f64::from(change)).abs() < 2e-4, "{slope} {change}");
                }
            }
        });
    }

    /// word2vec.c's and fastText's loops over pairs, of which all see the rows as they were.
    #[test]
    fn a_step_is_the_sum_of_the_steps_of_word2vec() {
        const LR: f64 = 0.05;
        with_each_model(|shared| {
            let (sequence, mut worker) = (sequence(), Worker::default());
            worker.prepare(shared, &sequence, 1..9, &mut Stream::new(5, [0, 0]));
            let rows = |weights: &Weights, n: usize| -> Vec<Vec<f64>> {
                let row = |row| {
                    let mut buffer = Buffer::default();
                    buffer.resize(weights.width());
                    weights.read(row, buffer.words_mut());
                    buffer.floats()[..DIM].iter().map(|&x| f64::from(x)).collect()
                };
                (0..n).map(row).collect()
            };
            let (syn0, syn1) = (rows(shared.input, 13), rows(shared.output, 6));
            let (mut new0, mut new1) = (syn0.clone(), syn1.clone());
            let drawn = worker.outputs.get(8..).unwrap_or_default().to_vec();
            for (i, at) in (1..9usize).enumerate() {
                let word = sequence.words[at];
                let around: Vec<usize> = worker.windows[i].clone().filter(|&o| o != at).collect();
                let bag = |position: &usize| -> Vec<usize> {
                    let word = sequence.words[*position];
                    match &shared.bags {
                        Some(bags) => bags.of(word).iter().map(|&row| row as usize).collect(),
                        None => vec![word as usize],
                    }
                };
                let inputs: Vec<Vec<usize>> = match shared.architecture {
                    Architecture::SkipGram => around.iter().map(bag).collect(),
                    Architecture::Cbow if around.is_empty() => Vec::new(),
                    Architecture::Cbow => vec![around.iter().flat_map(bag).collect()],
                };
                // Output row, label, weight.
                let targets: Vec<(usize, f64, f64)> = match &shared.targets {
                    Targets::Ways(tree) => {
                        let path = tree.path(word).iter();
                        path.map(|&(node, code)| (node as usize, f64::from(!code), 1.0)).collect()
                    }
                    Targets::Sampled { negative, .. } => {
                        let each = *negative as f64 / drawn.len() as f64;
                        let others = drawn.iter().filter(|&&other| other != word);
                        let others = others.map(|&other| (other as usize, 0.0, each));
                        [(word as usize, 1.0, 1.0)].into_iter().chain(others).collect()
                    }
                };
                for bag in inputs {
                    let mut h = [0.0; DIM];
                    for &row in &bag {
                        (0..DIM).for_each(|k| h[k] += syn0[row][k] / bag.len() as f64);
                    }
                    for &(target, label, weight) in &targets {
                        let score: f64 = (0..DIM).map(|k| h[k] * syn1[target][k]).sum();
                        let g = LR * weight * (label - 1.0 / (1.0 + (-score).exp()));
                        for k in 0..DIM {
                            new1[target][k] += g * h[k];
                            bag.iter().for_each(|&row| new0[row][k] += g * syn1[target][k]);
                        }
                    }
                }
            }
            worker.block.step(LR as f32);
            worker.finish(shared, &sequence, 1..9);
            for (ours, theirs) in [(rows(shared.input, 13), new0), (rows(shared.output, 6), new1)] {
                for (ours, theirs) in ours.iter().flatten().zip(theirs.iter().flatten()) {
                    assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
                }
            }
        });
    }
}
