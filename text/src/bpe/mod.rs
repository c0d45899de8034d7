//! Byte-pair encoding: tokens between characters and words, learned from a text.
//!
//! ```text
//! l o w e s t   ->   lo w e s t   ->   low e s t   ->   low e st   ->   low est
//! ```
//!
//! It is GPT-2's: a text is cut into [`Pieces`], a piece into bytes, and then the merges that were learned
//! are applied to neighbours, in the order in which they were learned. As the first 256 tokens are the bytes,
//! no text is unknown, and tokens put one after the other are the text to the last byte. Files are GPT-2's,
//! too: `merges.txt` says all, and HuggingFace's tokenizers open it with the `vocab.json` that follows from
//! it.

mod pieces;
mod train;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use plies_tensor::replace_file;

pub use pieces::Pieces;

use crate::corpus::{Chunk, Source};
use crate::hash::Quick;
use crate::tokenize::Tokenizer;
use crate::vocabulary::Counter;
use crate::{Error, Result};

/// The most pieces whose tokens are remembered.
const REMEMBERED: usize = 1 << 16;

/// Bytes of the longest piece that is remembered.
const LONGEST: usize = 64;

/// The largest vocabulary: GPT-4o's is half as large.
const MOST: usize = 1 << 19;
/// Bytes of the longest token.
const LONGEST_TOKEN: usize = 1 << 12;

/// A vocabulary of byte sequences, and how texts become its numbers.
///
/// # Source
/// Sennrich, Haddow, Birch: Neural machine translation of rare words with subword units (2016); of bytes as
/// in Radford et al.: Language models are unsupervised multitask learners (2019). Of pairs that are as
/// frequent, that of the smallest numbers is merged first, as in HuggingFace's tokenizers, which learn the
/// same merges.
///
/// # Example
/// ```
/// use plies_text::{bpe::Bpe, corpus::Source, tokenize::Tokenizer};
/// let text = Source::bytes("text", "low lower lowest newest widest ".repeat(9).into_bytes());
/// let bpe = Bpe::train(&text, 265, 2)?;
/// assert_eq!(bpe.tokens("slowest"), ["s", "low", "est"]);
/// let numbers = bpe.encode("Größe ☃\n");
/// assert_eq!(bpe.decode(&numbers), "Größe ☃\n".as_bytes());
/// # Ok::<(), plies_text::Error>(())
/// ```
#[doc(alias("BPE", "subword", "merges.txt"))]
pub struct Bpe {
    /// In the order in which they were learned.
    merges: Vec<[u32; 2]>,
    /// The bytes of each token; of the first 256 one each.
    tokens: Vec<Box<[u8]>>,
    /// When a pair is merged, and what it becomes.
    ranks: HashMap<[u32; 2], (u32, u32), Quick>,
    /// Tokens of pieces that were met.
    memory: Mutex<HashMap<Box<str>, Box<[u32]>, Quick>>,
}

/// Each byte as a character that can be seen: those of Latin-1 that can be are themselves, the others follow
/// from U+0100 on. The numbers of tokens follow the order of these characters.
fn visible(byte: u8) -> char {
    match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
        0..=b' ' => char::from_u32(0x100 + u32::from(byte)).expect("below surrogates"),
        0x7f..=0xa0 => char::from_u32(0x121 + u32::from(byte - 0x7f)).expect("below surrogates"),
        0xad => '\u{143}',
    }
}

/// The bytes in the order of their characters.
fn bytes_in_order() -> [u8; 256] {
    let mut bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    bytes.sort_by_key(|&byte| visible(byte));
    bytes
}

/// The token of each byte.
const NUMBERS: [u8; 256] = {
    let mut numbers = [0; 256];
    let (mut number, mut byte) = (0u8, 0);
    // Those that can be seen first, then the others: `visible` in a form that is computed by the compiler.
    while byte < 512 {
        let b = (byte % 256) as u8;
        let is_visible = matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        if is_visible == (byte < 256) {
            numbers[b as usize] = number;
            number = number.wrapping_add(1);
        }
        byte += 1;
    }
    numbers
};

impl Bpe {
    /// The 256 bytes, and no merge.
    fn bytes() -> Bpe {
        Bpe {
            merges: Vec::new(),
            tokens: bytes_in_order().map(|byte| Box::from([byte])).into(),
            ranks: HashMap::default(),
            memory: Mutex::default(),
        }
    }

    /// Whether there can be so many tokens.
    ///
    /// # Errors
    /// A vocabulary below 256 or above 2¹⁹.
    pub fn check(vocabulary: usize) -> Result<()> {
        if !(256..=MOST).contains(&vocabulary) {
            let reason = format!("is {vocabulary}; it may be 256 (the bytes) to {MOST}");
            return Err(Error::setting("vocabulary", reason));
        }
        Ok(())
    }

    /// Learns merges from a text until there are `vocabulary` tokens, or no pair occurs `min_count` times.
    ///
    /// Memory holds the different pieces, and some twenty bytes for each of their bytes. The text is cut into
    /// chunks ([`Source::chunks`]), between which there are no pieces.
    ///
    /// # Errors
    /// A vocabulary below 256 or above 2¹⁹, and what is wrong with the text; one with 2³² bytes or more of
    /// different pieces, or so many that frequent ones had to be forgotten.
    pub fn train(source: &Source, vocabulary: usize, min_count: u64) -> Result<Bpe> {
        Self::check(vocabulary)?;
        let mut counter = Counter::new();
        let (mut chunks, mut chunk) = (source.chunks()?, Chunk::default());
        while chunks.next(&mut chunk)? {
            Pieces.for_each(&chunk.text(source)?, &mut |piece| counter.add(piece));
        }
        counter.check(min_count, source.name())?;
        Self::from_pieces(&counter, vocabulary, min_count).ok_or_else(|| {
            let reason =
                "has different pieces of more than 2³² bytes; learn from a part of the text";
            Error::format(source.name(), reason)
        })
    }

    fn from_pieces(counter: &Counter, vocabulary: usize, min_count: u64) -> Option<Bpe> {
        let pieces = counter.iter().map(|(piece, count)| {
            (piece.bytes().map(|byte| u32::from(NUMBERS[usize::from(byte)])).collect(), count)
        });
        let (mut bpe, mut row) = (Self::bytes(), train::Row::new(pieces, train::Row::MOST)?);
        let mut known: HashMap<Box<[u8]>, u32> = bpe.known();
        while bpe.tokens.len() < vocabulary {
            let Some((pair, count)) = row.most_frequent() else { break };
            if (count as u64) < min_count {
                break;
            }
            // Of a run of one character the pair that would be longer than a file may hold is left apart.
            if pair.iter().map(|&token| bpe.token(token).len()).sum::<usize>() > LONGEST_TOKEN {
                continue;
            }
            let token = match bpe.ranks.get(&pair) {
                // Another way to one of its tokens was found since.
                Some(&(_, token)) => token,
                None => bpe.push(pair, &mut known),
            };
            row.merge(pair, token);
        }
        Some(bpe)
    }

    fn known(&self) -> HashMap<Box<[u8]>, u32> {
        self.tokens.iter().cloned().zip(0..).collect()
    }

    /// Adds a merge. What it makes may be there already.
    fn push(&mut self, pair: [u32; 2], known: &mut HashMap<Box<[u8]>, u32>) -> u32 {
        let [left, right] = pair.map(|token| &*self.tokens[token as usize]);
        let bytes: Box<[u8]> = [left, right].concat().into();
        let token = *known.entry(bytes.clone()).or_insert(self.tokens.len() as u32);
        if token as usize == self.tokens.len() {
            self.tokens.push(bytes);
        }
        self.ranks.insert(pair, (self.merges.len() as u32, token));
        self.merges.push(pair);
        token
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Never: the bytes are always there.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The bytes of a token.
    ///
    /// # Panics
    /// When there is no such token.
    #[track_caller]
    pub fn token(&self, number: u32) -> &[u8] {
        &self.tokens[number as usize]
    }

    /// A token as files and people see it: each byte a character, a blank `Ġ`, the end of a line `Ċ`.
    ///
    /// # Panics
    /// When there is no such token.
    #[track_caller]
    pub fn visible(&self, number: u32) -> String {
        self.token(number).iter().map(|&byte| visible(byte)).collect()
    }

    /// The numbers of the tokens of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(text.len() / 3);
        self.encode_into(text, &mut numbers);
        numbers
    }

    /// Appends the numbers of the tokens of a text.
    pub fn encode_into(&self, text: &str, numbers: &mut Vec<u32>) {
        // Whoever finds the memory taken does without.
        let mut memory = self.memory.try_lock().ok();
        Pieces.for_each(text, &mut |piece| match &mut memory {
            Some(memory) if piece.len() <= LONGEST => {
                if let Some(found) = memory.get(piece) {
                    numbers.extend_from_slice(found);
                    return;
                }
                let start = numbers.len();
                self.merge_piece(piece, numbers);
                if memory.len() == REMEMBERED {
                    memory.clear();
                }
                memory.insert(piece.into(), numbers[start..].into());
            }
            _ => self.merge_piece(piece, numbers),
        });
    }

    /// Applies merges to the bytes of a piece, the first learned first, of equal ones the leftmost. With a
    /// heap of the pairs that can be merged, so that a piece of n bytes takes O(n log n).
    fn merge_piece(&self, piece: &str, numbers: &mut Vec<u32>) {
        const GONE: u32 = u32::MAX;
        let mut row: Vec<u32> =
            piece.bytes().map(|byte| u32::from(NUMBERS[usize::from(byte)])).collect();
        let n = row.len();
        let mut before: Vec<u32> = (0..n as u32).map(|i| i.wrapping_sub(1)).collect();
        let mut after: Vec<u32> = (1..=n as u32).collect();
        let rank = |row: &[u32], at: u32, next: u32| {
            let (left, right) = (row[at as usize], *row.get(next as usize)?);
            let (rank, _) = self.ranks.get(&[left, right])?;
            Some(Reverse((*rank, at)))
        };
        let mut heap: BinaryHeap<Reverse<(u32, u32)>> =
            (1..n as u32).filter_map(|next| rank(&row, next - 1, next)).collect();
        while let Some(Reverse((merge, at))) = heap.pop() {
            let (i, next) = (at as usize, after[at as usize]);
            let [left, right] = self.merges[merge as usize];
            if row[i] != left || row.get(next as usize) != Some(&right) {
                continue;
            }
            row[i] = self.ranks[&[left, right]].1;
            row[next as usize] = GONE;
            let beyond = after[next as usize];
            after[i] = beyond;
            if let Some(back) = before.get_mut(beyond as usize) {
                *back = at;
            }
            if before[i] != GONE {
                heap.extend(rank(&row, before[i], at));
            }
            heap.extend(rank(&row, at, beyond));
        }
        numbers.extend(row.into_iter().filter(|&token| token != GONE));
    }

    /// The bytes of tokens one after the other; of all tokens of a text they are the text, others may begin
    /// or end inside a character.
    ///
    /// # Panics
    /// When there is no such token.
    #[track_caller]
    pub fn decode(&self, numbers: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * numbers.len());
        for &number in numbers {
            bytes.extend_from_slice(self.token(number));
        }
        bytes
    }

    /// The merges as GPT-2's `merges.txt`: a line for each, two tokens as [`visible`](Bpe::visible) shows
    /// them.
    pub fn to_merges(&self) -> String {
        let mut text = "#version: 0.2\n".to_owned();
        for &[left, right] in &self.merges {
            text += &format!("{} {}\n", self.visible(left), self.visible(right));
        }
        text
    }

    /// The numbers of all tokens as GPT-2's `vocab.json`, for other programs; here they follow from the
    /// merges.
    pub fn to_vocabulary(&self) -> String {
        let rows = (0..self.len() as u32).map(|number| {
            let token = serde_json::Value::String(self.visible(number));
            format!("{token}:{number}")
        });
        format!("{{{}}}", rows.collect::<Vec<_>>().join(","))
    }

    /// Writes [`to_merges`](Bpe::to_merges); what is found under `path` is all of the old file or all of the
    /// new one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        replace_file(path, |file| file.write_all(self.to_merges().as_bytes()))
            .map_err(Error::io(path))
    }

    /// Reads a `merges.txt`, of this program or of another that merges bytes.
    ///
    /// # Errors
    /// What the operating system says; as [`from_merges`](Bpe::from_merges).
    pub fn load(path: &Path) -> Result<Bpe> {
        let size = fs::metadata(path).map_err(Error::io(path))?;
        let origin = path.display().to_string();
        // Half a million merges take some ten megabytes.
        if !size.is_file() || size.len() > 1 << 28 {
            return Err(Error::format(origin, "is no file of merges"));
        }
        let bytes = fs::read(path).map_err(Error::io(path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::format(&origin, "is not UTF-8, as files of merges are"))?;
        Self::from_merges(&text, &origin)
    }

    /// Reads the text of a `merges.txt`; `origin` names it in errors.
    ///
    /// # Errors
    /// A line that is not two tokens, or a token that neither is a byte nor was made before.
    pub fn from_merges(text: &str, origin: &str) -> Result<Bpe> {
        let of_char: HashMap<char, u8> = (0..=255).map(|byte| (visible(byte), byte)).collect();
        let mut bpe = Self::bytes();
        let mut known = bpe.known();
        for (line, text) in (1..).zip(text.lines()) {
            if line == 1 && text.starts_with("#version") || text.is_empty() {
                continue;
            }
            let wrong = |reason: String| Error::line(origin, line, reason);
            let Some((left, right)) = text.split_once(' ') else {
                return Err(wrong(format!("{text:?} is not two tokens with a blank between them")));
            };
            let number = |token: &str| {
                let bytes: Option<Vec<u8>> =
                    token.chars().map(|c| of_char.get(&c).copied()).collect();
                let found = bytes.and_then(|bytes| known.get(&*bytes).copied());
                found.ok_or_else(|| {
                    wrong(format!("{token:?} is neither a byte nor the result of a line above"))
                })
            };
            let pair = [number(left)?, number(right)?];
            if bpe.ranks.contains_key(&pair) {
                return Err(wrong(format!("{text:?} is there twice")));
            }
            let length = pair.iter().map(|&token| bpe.token(token).len()).sum::<usize>();
            if bpe.len() == MOST || length > LONGEST_TOKEN {
                return Err(wrong(format!(
                    "makes a token of {length} bytes or more than {MOST} tokens; is it damaged?"
                )));
            }
            bpe.push(pair, &mut known);
        }
        Ok(bpe)
    }
}

/// Tokens as slices of the text: those that share a character, as two halves of "é" may, are one here.
impl Tokenizer for Bpe {
    fn for_each<'t>(&self, text: &'t str, each: &mut dyn FnMut(&'t str)) {
        let (mut start, mut end) = (0, 0);
        for number in self.encode(text) {
            end += self.token(number).len();
            if text.is_char_boundary(end) {
                each(&text[start..end]);
                start = end;
            }
        }
    }
}

impl Clone for Bpe {
    fn clone(&self) -> Bpe {
        let Bpe { merges, tokens, ranks, .. } = self;
        Bpe {
            merges: merges.clone(),
            tokens: tokens.clone(),
            ranks: ranks.clone(),
            memory: Mutex::default(),
        }
    }
}

impl fmt::Debug for Bpe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bpe({} tokens)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn learned() -> Bpe {
        Bpe::train(&crate::embedded::sentences(), 600, 2).unwrap()
    }

    #[test]
    fn bytes_are_numbered_in_the_order_of_their_characters() {
        for (number, byte) in bytes_in_order().into_iter().enumerate() {
            assert_eq!(usize::from(NUMBERS[usize::from(byte)]), number);
        }
        assert_eq!([b' ', b'\n', 0xad, 0x7f, 0xa0].map(visible), ['Ġ', 'Ċ', 'Ń', 'ġ', 'ł']);
    }

    /// Each time the pair that is the most frequent among all neighbours of all pieces.
    fn naive(pieces: &[(&str, u64)], merges: usize) -> Vec<[u32; 2]> {
        let mut rows: Vec<(Vec<u32>, u64)> = pieces
            .iter()
            .map(|(piece, n)| {
                (piece.bytes().map(|b| u32::from(NUMBERS[usize::from(b)])).collect(), *n)
            })
            .collect();
        let mut learned = Vec::new();
        while learned.len() < merges {
            let mut counts: HashMap<[u32; 2], u64> = HashMap::new();
            for (row, n) in &rows {
                for pair in row.windows(2) {
                    *counts.entry([pair[0], pair[1]]).or_default() += n;
                }
            }
            let Some((&pair, _)) = counts.iter().max_by_key(|(pair, n)| (**n, Reverse(**pair)))
            else {
                break;
            };
            let token = 256 + learned.len() as u32;
            learned.push(pair);
            for (row, _) in &mut rows {
                let mut merged = Vec::new();
                let mut i = 0;
                while i < row.len() {
                    let is_pair = row[i..].starts_with(&pair);
                    merged.push(if is_pair { token } else { row[i] });
                    i += if is_pair { 2 } else { 1 };
                }
                *row = merged;
            }
        }
        learned
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn merges_are_those_of_counting_all_pairs_each_time(
            pieces in prop::collection::btree_map("[ab]{1,9}|[abc]{1,5}", 1u64..9, 1..8)
        ) {
            let pieces: Vec<(&str, u64)> = pieces.iter().map(|(p, n)| (p.as_str(), *n)).collect();
            let mut counter = Counter::new();
            pieces.iter().for_each(|(piece, n)| counter.add_times(piece, *n));
            let bpe = Bpe::from_pieces(&counter, 256 + 6, 1).unwrap();
            // Up to where two ways lead to one token, which the naive loop knows nothing of.
            let expected = naive(&pieces, bpe.merges.len());
            let plain = bpe.merges.iter().zip(256..).take_while(|(pair, token)| bpe.ranks[*pair].1 == *token);
            let plain = plain.count();
            prop_assert_eq!(&bpe.merges[..plain], &expected[..plain]);
        }

        #[test]
        fn tokens_are_the_whole_text(text in any::<String>()) {
            let bpe = Bpe::train(&Source::bytes("t", b"the then there \xc3\xa9\xc3\xa9 ".repeat(5)), 300, 2).unwrap();
            let numbers = bpe.encode(&text);
            prop_assert_eq!(bpe.decode(&numbers), text.as_bytes());
            prop_assert_eq!(bpe.encode(&text), numbers);
            prop_assert_eq!(bpe.tokens(&text).concat(), text);
        }

        #[test]
        fn a_file_is_read_or_refused(at in 0usize..300, with in any::<char>(), cut in 0usize..300) {
            let text = Bpe::train(&Source::bytes("t", b"low lower lowest \xc3\xa9\xc3\xa9 ".repeat(5)), 290, 2).unwrap().to_merges();
            let mutated: String = text.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
            let cut: String = text.chars().take(cut).collect();
            for text in [mutated, cut] {
                if let Ok(bpe) = Bpe::from_merges(&text, "memory") {
                    prop_assert_eq!(bpe.decode(&bpe.encode("lowest é")), "lowest é".as_bytes());
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bpe = learned();
        let read = Bpe::from_merges(&bpe.to_merges(), "memory").unwrap();
        assert_eq!((bpe.len(), &read.merges, &read.tokens), (600, &bpe.merges, &bpe.tokens));
        let json: HashMap<String, u32> = serde_json::from_str(&bpe.to_vocabulary()).unwrap();
        assert!((0..600).all(|number| json[&bpe.visible(number)] == number));
    }

    #[test]
    fn mistakes_in_files_are_named() {
        let rows = [
            ("#version: 0.2\nt h\nq\n", "m:3: \"q\" is not two tokens"),
            ("t h\nhe r\n", "m:2: \"he\" is neither a byte nor the result of a line above"),
            ("t h\nt h\n", "m:2: \"t h\" is there twice"),
        ];
        for (text, message) in rows {
            let error = Bpe::from_merges(text, "m").unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let error = Bpe::train(&crate::embedded::novel(), 255, 2).unwrap_err().to_string();
        assert_eq!(error, "vocabulary: is 255; it may be 256 (the bytes) to 524288");
    }

    #[test]
    fn a_long_piece_takes_no_longer_for_each_byte() {
        // Quadratic loops would take hours.
        let text = "ab".repeat(200_000);
        let bpe = Bpe::train(&Source::bytes("t", text.clone().into_bytes()), 270, 2).unwrap();
        assert!(bpe.encode(&text).len() < 200);
    }

    /// `text/tests/golden/bpe.py` made the file with HuggingFace's tokenizers.
    #[test]
    fn merges_and_numbers_are_those_of_huggingface() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/bpe.json")).unwrap();
        let source = crate::embedded::sentences();
        let mut text = String::new();
        let mut lines = source.lines().unwrap();
        while let Some((_, line)) = lines.next().unwrap() {
            text += line.rsplit('\t').next().unwrap();
            text.push('\n');
        }
        text.truncate(100_000);
        let bpe = Bpe::train(&Source::bytes("sentences", text.into_bytes()), 500, 2).unwrap();
        let merges: Vec<&str> =
            golden["merges"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        let ours = bpe.to_merges();
        assert_eq!(ours.lines().skip(1).collect::<Vec<_>>(), merges);
        for (text, numbers) in golden["encoded"].as_object().unwrap() {
            let numbers: Vec<u32> = serde_json::from_value(numbers.clone()).unwrap();
            assert_eq!(bpe.encode(text), numbers, "{text:?}");
        }
    }
}
