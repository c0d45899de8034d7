//! From bags of n-grams to sparse rows of numbers: which n-grams count, and for how much.
//!
//! With c how often n-gram f is in a document, n documents, and df(f) those that have f:
//!
//!   counts    x_f = c
//!   binary    x_f = 1
//!   tf-idf    x_f = (1 + ln c) · (ln((1 + n) / (1 + df(f))) + 1)
//!
//! and then, if wanted, the row is divided by its length √Σ x_f², or by its sum.
//!
//! # Source
//! scikit-learn's `TfidfVectorizer(sublinear_tf=True)`, whose idf this is.

use super::bags::Bags;
use super::ngrams::NGrams;
use super::parallel::map_parts;
use crate::{Error, Result};

/// How often an n-gram occurs, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// As it is.
    Counts,
    /// Whether it occurs.
    Binary,
    /// Its logarithm, times that of how rare the n-gram is.
    TfIdf,
}

/// What a row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Nothing.
    None,
    /// Its sum.
    Sum,
    /// Its length.
    Length,
}

/// Numbers for n-grams: fingerprint → column, the most frequent n-gram first. So the weights that are
/// read most often lie side by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    fingerprints: Vec<u64>,
    slots: Vec<(u64, u32)>,
}

const EMPTY: u32 = u32::MAX;

/// Slots that are read before the first of them is looked at. Where a table is larger than the caches a
/// processor waits for memory; it waits for many places at once if no branch is in between.
const AHEAD: usize = 32;

fn slot_of(fingerprint: u64, mask: usize) -> usize {
    // Short fingerprints are not spread over all bits.
    (fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize & mask
}

impl Columns {
    pub(crate) fn new(fingerprints: Vec<u64>) -> Columns {
        let size = (2 * fingerprints.len()).next_power_of_two().max(2);
        let mut slots = vec![(0, EMPTY); size];
        for (column, &fingerprint) in fingerprints.iter().enumerate() {
            let mut at = slot_of(fingerprint, size - 1);
            while slots[at].1 != EMPTY {
                at = (at + 1) & (size - 1);
            }
            slots[at] = (fingerprint, column as u32);
        }
        Columns { fingerprints, slots }
    }

    pub(crate) fn len(&self) -> usize {
        self.fingerprints.len()
    }

    pub(crate) fn fingerprints(&self) -> &[u64] {
        &self.fingerprints
    }

    #[inline]
    pub(crate) fn find(&self, fingerprint: u64) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = slot_of(fingerprint, mask);
        loop {
            let (found, column) = self.slots[at];
            if column == EMPTY {
                return None;
            }
            if found == fingerprint {
                return Some(column);
            }
            at = (at + 1) & mask;
        }
    }

    /// The columns of some fingerprints, `EMPTY` where there is none.
    #[inline]
    fn find_some(&self, features: &[(u64, u32)]) -> [u32; AHEAD] {
        let mask = self.slots.len() - 1;
        let mut slots = [(0, EMPTY); AHEAD];
        for (slot, &(fingerprint, _)) in slots.iter_mut().zip(features) {
            *slot = self.slots[slot_of(fingerprint, mask)];
        }
        let mut columns = [EMPTY; AHEAD];
        for ((column, slot), &(fingerprint, _)) in columns.iter_mut().zip(slots).zip(features) {
            *column = match slot {
                (_, EMPTY) => EMPTY,
                (found, column) if found == fingerprint => column,
                _ => self.find(fingerprint).unwrap_or(EMPTY),
            };
        }
        columns
    }

    /// Columns for n-grams of at least `min_documents` documents, and in how many each is.
    fn count(bags: &Bags, min_documents: u32) -> (Columns, Vec<u32>) {
        // Each thread counts the n-grams whose fingerprints are its own.
        let n_threads = plies_tensor::threads() as u64;
        let owner = |fingerprint: u64| {
            let spread = fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            ((spread * n_threads) >> 24) as usize
        };
        let shards = map_parts(n_threads as usize, |mine| {
            let mut counts = Counts::default();
            for document in 0..bags.len() {
                for some in bags.features(document).chunks(AHEAD) {
                    counts.touch(some);
                    for &(fingerprint, _) in some {
                        if n_threads == 1 || mine.contains(&owner(fingerprint)) {
                            counts.add(fingerprint);
                        }
                    }
                }
            }
            let slots = counts.slots.into_iter();
            slots.filter(|slot| slot.1 >= min_documents.max(1)).collect::<Vec<_>>()
        });
        let mut all = shards.concat();
        all.sort_unstable_by_key(|&(fingerprint, n)| (std::cmp::Reverse(n), fingerprint));
        let (fingerprints, counts) = all.into_iter().unzip();
        (Columns::new(fingerprints), counts)
    }
}

/// In how many documents fingerprints are: open addressing, at most half full.
#[derive(Default)]
struct Counts {
    slots: Vec<(u64, u32)>,
    len: usize,
}

impl Counts {
    /// Brings the slots of some fingerprints into the cache.
    fn touch(&self, features: &[(u64, u32)]) {
        if let Some(mask) = self.slots.len().checked_sub(1) {
            let counts = features.iter().map(|&(f, _)| self.slots[slot_of(f, mask)].1);
            std::hint::black_box(counts.fold(0, |all, count| all ^ count));
        }
    }

    #[inline]
    fn add(&mut self, fingerprint: u64) {
        if 2 * self.len >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = slot_of(fingerprint, mask);
        loop {
            let slot = &mut self.slots[at];
            if slot.1 == 0 {
                *slot = (fingerprint, 1);
                self.len += 1;
                return;
            }
            if slot.0 == fingerprint {
                slot.1 += 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let size = (4 * self.slots.len()).max(1 << 12);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for slot in old.into_iter().filter(|slot| slot.1 > 0) {
            let mut at = slot_of(slot.0, size - 1);
            while self.slots[at].1 > 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }
}

/// How documents become rows of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    pub(crate) ngrams: NGrams,
    pub(crate) columns: Columns,
    pub(crate) weighting: Weighting,
    pub(crate) norm: Norm,
    /// By column; empty unless tf-idf is wanted.
    pub(crate) idf: Vec<f32>,
}

impl Features {
    /// Learns columns and idf.
    pub(crate) fn fit(
        bags: &Bags,
        min_documents: u32,
        weighting: Weighting,
        norm: Norm,
    ) -> Result<Features> {
        let (columns, counts) = Columns::count(bags, min_documents);
        if columns.len() == 0 {
            let reason = format!("no n-gram is in {min_documents} documents or more");
            return Err(Error::format(bags.origin(), reason));
        }
        let n = bags.len() as f64;
        let idf = |&df: &u32| (((1.0 + n) / (1.0 + f64::from(df))).ln() + 1.0) as f32;
        let idf = if weighting == Weighting::TfIdf {
            counts.iter().map(idf).collect()
        } else {
            Vec::new()
        };
        Ok(Features { ngrams: bags.ngrams.clone(), columns, weighting, norm, idf })
    }

    /// Appends the row of a document to `row`.
    pub(crate) fn push_row(&self, features: &[(u64, u32)], row: &mut Vec<(u32, f32)>) {
        let start = row.len();
        for some in features.chunks(AHEAD) {
            let columns = self.columns.find_some(some);
            for (&(_, count), &column) in some.iter().zip(&columns) {
                if column == EMPTY {
                    continue;
                }
                let value = match self.weighting {
                    Weighting::Counts => count as f32,
                    Weighting::Binary => 1.0,
                    Weighting::TfIdf if count == 1 => self.idf[column as usize],
                    Weighting::TfIdf => (1.0 + (count as f32).ln()) * self.idf[column as usize],
                };
                row.push((column, value));
            }
        }
        let row = &mut row[start..];
        let size = match self.norm {
            Norm::None => return,
            Norm::Sum => row.iter().map(|entry| entry.1).sum::<f32>(),
            Norm::Length => row.iter().map(|entry| entry.1 * entry.1).sum::<f32>().sqrt(),
        };
        if size > 0.0 {
            row.iter_mut().for_each(|entry| entry.1 /= size);
        }
    }

    /// The rows of all documents.
    pub(crate) fn rows(&self, bags: &Bags) -> Rows {
        let parts = map_parts(bags.len(), |range| {
            // Room for all at once: memory that grows moves, and all threads have to be told.
            let most = range.clone().map(|document| bags.features(document).len()).sum();
            let (mut entries, mut ends) =
                (Vec::with_capacity(most), Vec::with_capacity(range.len()));
            for document in range {
                self.push_row(bags.features(document), &mut entries);
                ends.push(entries.len());
            }
            (entries, ends)
        });
        let mut rows = Rows { starts: vec![0], entries: Vec::new(), n_columns: self.columns.len() };
        for (entries, ends) in parts {
            let base = rows.entries.len();
            if base == 0 {
                rows.entries = entries;
            } else {
                rows.entries.extend_from_slice(&entries);
            }
            rows.starts.extend(ends.into_iter().map(|end| base + end));
        }
        rows
    }
}

/// Sparse rows.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
    n_columns: usize,
}

impl Rows {
    #[cfg(test)]
    pub(crate) fn from_dense(rows: &[Vec<f32>]) -> Rows {
        let mut sparse = Rows { starts: vec![0], entries: Vec::new(), n_columns: rows[0].len() };
        for row in rows {
            let entries = row.iter().enumerate().filter(|(_, x)| **x != 0.0);
            sparse.entries.extend(entries.map(|(i, &x)| (i as u32, x)));
            sparse.starts.push(sparse.entries.len());
        }
        sparse
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(crate) fn n_columns(&self) -> usize {
        self.n_columns
    }

    #[inline]
    pub(crate) fn row(&self, i: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[i]..self.starts[i + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Source;
    use crate::labelled::Labelled;

    fn bags(text: &str, ngrams: &NGrams) -> Bags {
        let source = Source::bytes("f", text.as_bytes());
        Bags::read(&Labelled::new(source).unwrap(), ngrams).unwrap()
    }

    const TEXT: &str = "__label__a b b c\n__label__a c d\n__label__b c\n";

    #[test]
    fn columns_are_numbered_by_how_many_documents_have_them() {
        let ngrams = NGrams { words: 1, ..NGrams::default() };
        let bags = bags(TEXT, &ngrams);
        let (columns, counts) = Columns::count(&bags, 1);
        assert_eq!(counts, [3, 1, 1]);
        let c = bags.features(2)[0].0;
        assert_eq!((columns.find(c), columns.find(c + 1)), (Some(0), None));
        assert_eq!(Columns::count(&bags, 2).1, [3]);
    }

    #[test]
    fn each_weighting_and_norm() {
        let ngrams = NGrams { words: 1, ..NGrams::default() };
        let bags = bags(TEXT, &ngrams);
        let idf = |df: f32| (4.0 / (1.0 + df)).ln() + 1.0;
        let (b, c) = ((1.0 + 2f32.ln()) * idf(1.0), idf(3.0));
        let length = (b * b + c * c).sqrt();
        let rows = [
            (Weighting::Counts, Norm::None, [2.0, 1.0]),
            (Weighting::Binary, Norm::None, [1.0, 1.0]),
            (Weighting::Counts, Norm::Sum, [2.0 / 3.0, 1.0 / 3.0]),
            (Weighting::TfIdf, Norm::Length, [b / length, c / length]),
        ];
        for (weighting, norm, expected) in rows {
            let features = Features::fit(&bags, 1, weighting, norm).unwrap();
            let rows = features.rows(&bags);
            let row: Vec<f32> = rows.row(0).iter().map(|entry| entry.1).collect();
            let is_near = row.iter().zip(expected).all(|(x, y): (&f32, f32)| (x - y).abs() < 1e-6);
            assert!(is_near && row.len() == 2, "{weighting:?} {norm:?} {row:?}");
        }
    }

    #[test]
    fn short_fingerprints_bound_the_vocabulary() {
        let text: String = (0..2000).map(|i| format!("__label__x w{i} v{}\n", i * i)).collect();
        let ngrams = NGrams { bits: 8, ..NGrams::default() };
        let (columns, counts) = Columns::count(&bags(&text, &ngrams), 1);
        assert_eq!(columns.len(), 256);
        assert!(counts.iter().sum::<u32>() > 5900);
    }
}
