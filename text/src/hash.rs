//! Two hash functions: a quick one for tables in memory, and fastText's, on which the meaning of its
//! model files depends.

use std::hash::{BuildHasher, Hasher};

const ODD: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xa076_1d64_78bd_642f];

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    wide as u64 ^ (wide >> 64) as u64
}

/// The hash of what begins with one hash and goes on with another; their order matters.
#[inline]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    fold(a ^ ODD[1], b ^ ODD[0]).wrapping_add(a)
}

/// A quick hash of bytes for tables in memory: eight bytes at a time, multiplied to twice the width and
/// folded. Files of classifiers hold such hashes of words.
///
/// # Source
/// The folded multiplication of wyhash (Wang Yi, public domain).
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ ODD[1];
    let mut rest = bytes;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        state = fold(state ^ u64::from_le_bytes(*eight), ODD[0]);
        rest = after;
    }
    let last = rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    fold(state ^ last, ODD[0]) ^ state
}

/// These hashes for the standard library's tables, where keys come from no adversary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick;

impl BuildHasher for Quick {
    type Hasher = QuickHasher;

    fn build_hasher(&self) -> QuickHasher {
        QuickHasher(0)
    }
}

/// The hash of what was written so far.
#[derive(Debug)]
pub(crate) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash(bytes));
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0, number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// fastText's hash of a word or an n-gram, 32-bit FNV-1a over bytes taken for signed:
///
///   h = 2166136261;  for each byte b: h = (h ⊕ sign-extended b) · 16777619
///
/// # Source
/// fastText, `Dictionary::hash`. The extension of the sign, once a compiler's choice, became part of the
/// format.
#[inline]
pub fn fasttext_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |h, &byte| (h ^ byte as i8 as u32).wrapping_mul(16_777_619))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn short_strings_have_hashes_of_their_own_in_both_halves() {
        let strings: Vec<String> = (0..20_000).map(|i| format!("{i}")).collect();
        let (mut low, mut high) = (HashSet::new(), HashSet::new());
        for text in &strings {
            let h = hash(text.as_bytes());
            low.insert(h as u32 & 0xff_ffff);
            high.insert(h >> 40);
        }
        // 20,000 balls in 16.7 million boxes share about 12.
        assert!(low.len() > 19_950 && high.len() > 19_950, "{} {}", low.len(), high.len());
        assert_ne!(hash(b"a"), hash(b"\0a"));
        assert_ne!(hash(b""), hash(b"\0"));
    }

    #[test]
    fn hashes_in_files_keep_their_meaning() {
        assert_eq!(hash(b"a long enough text"), 0x0c3c_589f_4746_f282);
        assert_eq!(mix(hash(b"not"), hash(b"good")), 0x7d22_0dfc_cad5_37c2);
        assert_ne!(mix(1, 2), mix(2, 1));
    }

    #[test]
    fn fasttext_hashes_are_fasttext_s() {
        // FNV-1a's published value, and one whose byte has the highest bit set.
        assert_eq!(fasttext_hash(b""), 2_166_136_261);
        assert_eq!(fasttext_hash(b"a"), 0xe40c_292c);
        let first = (2_166_136_261u32 ^ 0xffff_ffc3).wrapping_mul(16_777_619);
        assert_eq!(fasttext_hash(b"\xc3"), first);
    }
}
