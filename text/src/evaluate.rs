//! How good vectors are: questions about analogies, and people's judgements of similarity.

use crate::corpus::Source;
use crate::similarity::{Directions, Method};
use crate::{Error, Result};

/// A part of a file of questions, and how many of them were answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, after a colon in the file.
    pub name: String,
    /// Questions answered right.
    pub right: usize,
    /// Questions of which all words are known.
    pub asked: usize,
    /// Questions with a word that is not known, or is rarer than the limit.
    pub passed_over: usize,
}

impl Section {
    /// The share answered right, of those asked.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.asked.max(1) as f64
    }

    /// Whether it is about grammar (gram…), rather than meaning.
    pub fn is_syntactic(&self) -> bool {
        self.name.starts_with("gram")
    }
}

/// Asks the questions of a file such as `questions-words.txt`: lines `a b c d`, "a is to b as c is to d",
/// and lines `: name` that begin a section. An answer is one of the first `limit` words; questions with
/// others are passed over. With `lowercase` the questions' capitals are made small.
///
/// # Errors
/// What is wrong with the file, by line; a file without a question that can be asked.
///
/// # Source
/// Mikolov, Chen, Corrado, Dean 2013, and the program `compute-accuracy` of word2vec, whose limit is
/// 30,000 words.
pub fn analogies(
    directions: &Directions<'_>,
    questions: &Source,
    method: Method,
    limit: usize,
    lowercase: bool,
) -> Result<Vec<Section>> {
    let mut lines = questions.lines()?;
    let mut sections: Vec<Section> = Vec::new();
    let mut asked: Vec<([u32; 3], u32, usize)> = Vec::new();
    while let Some((_, line)) = lines.next()? {
        let line = if lowercase { line.to_lowercase() } else { line.to_owned() };
        let words: Vec<&str> = line.split_whitespace().collect();
        let begin =
            |name: &str| Section { name: name.to_owned(), right: 0, asked: 0, passed_over: 0 };
        match words[..] {
            [] => {}
            [":", ..] => sections.push(begin(&words[1..].join(" "))),
            [a, b, c, d] => {
                if sections.is_empty() {
                    sections.push(begin("all"));
                }
                let last = sections.len() - 1;
                let find = |word: &str| {
                    let number = directions.vocabulary().find(word)?;
                    ((number as usize) < limit).then_some(number)
                };
                match [a, b, c, d].map(find) {
                    [Some(a), Some(b), Some(c), Some(d)] => {
                        sections[last].asked += 1;
                        asked.push(([a, b, c], d, last));
                    }
                    _ => sections[last].passed_over += 1,
                }
            }
            _ => {
                let reason = format!("has {} words; a question has 4", words.len());
                return Err(lines.error(reason));
            }
        }
    }
    if asked.is_empty() {
        let reason = "has no question whose words all have vectors; are they in another language, or \
                      capitals?";
        return Err(Error::format(questions.name(), reason));
    }
    let questions: Vec<[u32; 3]> = asked.iter().map(|(words, ..)| *words).collect();
    let answers = directions.answers(&questions, method, limit);
    for (answer, (_, right, section)) in answers.into_iter().zip(asked) {
        sections[section].right += usize::from(answer == right);
    }
    Ok(sections)
}

/// How well the vectors' cosines order pairs of words, compared with people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Spearman's rank correlation.
    pub spearman: f64,
    /// Pairs whose words are both known.
    pub pairs: usize,
    /// Pairs with a word that is not known.
    pub passed_over: usize,
}

/// What headings call people's judgements.
const SCORES: [&str; 3] = ["SimLex999", "Human (mean)", "score"];

/// Compares with a file such as WordSim-353 or SimLex-999: lines of two words and a number, with tabs or
/// commas between them; lines that begin with `#`, and a first line without a number, are headings. The number
/// is in the column that the heading calls `SimLex999`, `Human (mean)` or `score`, otherwise in the first after
/// the words that holds one.
///
/// # Errors
/// What is wrong with the file, by line; fewer than two pairs that can be compared.
pub fn similarity(
    directions: &Directions<'_>,
    pairs: &Source,
    lowercase: bool,
) -> Result<Correlation> {
    let mut lines = pairs.lines()?;
    let (mut ours, mut theirs, mut passed_over) = (Vec::new(), Vec::new(), 0);
    let (mut is_first, mut column) = (true, None);
    let number_in = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    while let Some((_, line)) = lines.next()? {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let line = if lowercase { line.to_lowercase() } else { line.to_owned() };
        let parts: Vec<&str> = line.split(['\t', ',']).map(str::trim).collect();
        let with_number = (2..parts.len()).find(|&at| number_in(parts[at]).is_some());
        if std::mem::take(&mut is_first) && with_number.is_none() {
            let is_score =
                |name: &&str| SCORES.iter().any(|score| name.eq_ignore_ascii_case(score));
            column = parts.iter().position(is_score).filter(|&at| at >= 2);
            continue;
        }
        column = column.or(with_number);
        let judged = column.and_then(|at| parts.get(at)).and_then(|text| number_in(text));
        let Some(judged) = judged else {
            return Err(lines.error("is not two words and a number, with tabs or commas between"));
        };
        match directions.cosine(parts[0], parts[1]) {
            Some(cosine) => {
                ours.push(f64::from(cosine));
                theirs.push(judged);
            }
            None => passed_over += 1,
        }
    }
    if ours.len() < 2 {
        let reason = "has fewer than two pairs of words that both have vectors";
        return Err(Error::format(pairs.name(), reason));
    }
    Ok(Correlation { spearman: spearman(&ours, &theirs), pairs: ours.len(), passed_over })
}

/// The correlation of two lists' ranks; equal numbers share the mean of their ranks. 0 when all are
/// equal.
///
/// # Example
/// ```
/// use plies_text::evaluate::spearman;
/// assert_eq!(spearman(&[1.0, 2.0, 30.0], &[5.0, 6.0, 7.0]), 1.0);
/// assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
/// ```
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (ranks(x), ranks(y));
    let mean = (x.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    let length = (product(&x, &x) * product(&y, &y)).sqrt();
    if length == 0.0 { 0.0 } else { product(&x, &y) / length }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let before = order.partition_point(|&i| values[i].total_cmp(&values[equal[0]]).is_lt());
        let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::WordVectors;

    #[test]
    fn equal_numbers_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        // scipy.stats.spearmanr([1, 2, 2, 4, 5], [5, 6, 7, 8, 7]) = 0.7631578947368421
        let ours = spearman(&[1.0, 2.0, 2.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]);
        assert!((ours - 0.763_157_894_736_842_1).abs() < 1e-12, "{ours}");
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    }

    /// Two columns: royal or not, male or female.
    fn royals() -> WordVectors {
        WordVectors::new(
            3,
            [
                ("man", &[0.0, 1.0, 1.0][..]),
                ("woman", &[0.0, -1.0, 1.0]),
                ("king", &[1.0, 1.0, 1.0]),
                ("queen", &[1.0, -1.0, 1.0]),
                ("apple", &[0.0, 0.1, 3.0]),
            ],
        )
    }

    #[test]
    fn questions_are_answered_and_counted_by_section() {
        let vectors = royals();
        let directions = Directions::new(&vectors);
        let text = ": family\nMan woman king queen\nman king woman apple\nman king woman pear\n\n\
                    : gram1 plural\nking queen man woman\n";
        let questions = Source::bytes("q", text.as_bytes());
        for method in [Method::Add, Method::Mul] {
            let sections = analogies(&directions, &questions, method, 30_000, true).unwrap();
            let rows: Vec<_> = sections
                .iter()
                .map(|s| (&s.name[..], s.right, s.asked, s.passed_over, s.is_syntactic()))
                .collect();
            assert_eq!(rows, [("family", 1, 2, 1, false), ("gram1 plural", 1, 1, 0, true)]);
            let best = directions.analogy(["man", "woman", "king"], method, 2).unwrap();
            assert_eq!((best.len(), best[0].0), (2, "queen"));
        }
        let limited = analogies(&directions, &questions, Method::Add, 2, true).unwrap_err();
        assert!(limited.to_string().starts_with("q: has no question whose words all have vectors"));
        let wrong = Source::bytes("q", *b"a b c d\na b c\n");
        let error = analogies(&directions, &wrong, Method::Add, 9, true).unwrap_err().to_string();
        assert_eq!(error, "q:2: has 3 words; a question has 4");
    }

    #[test]
    fn similarity_is_compared_with_judgements() {
        let vectors = royals();
        let directions = Directions::new(&vectors);
        let text =
            "word 1\tword 2\tmean\nman\tking\t8\nking\tapple\t5\nking\tqueen\t1\nman\tpear\t0\n";
        let found = similarity(&directions, &Source::bytes("p", text.as_bytes()), true).unwrap();
        assert_eq!(found, Correlation { spearman: 1.0, pairs: 3, passed_over: 1 });
        let wrong = Source::bytes("p", *b"king,queen,8\nking,queen\n");
        let error = similarity(&directions, &wrong, true).unwrap_err().to_string();
        assert!(error.starts_with("p:2: is not two words and a number"), "{error}");
    }

    #[test]
    fn judgements_are_in_the_column_that_the_heading_says() {
        let vectors = royals();
        let directions = Directions::new(&vectors);
        let spearman = |text: &str| {
            similarity(&directions, &Source::bytes("p", text.as_bytes()), true).unwrap().spearman
        };
        // SimLex-999.txt as it is published, but for the words; concQ goes down as SimLex999 goes up.
        let simlex = "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\tAssoc(USF)\tSimAssoc333\tSD(SimLex)\n\
                      man\tking\tA\t8.1\t2.72\t2.81\t2\t7.25\t1\t0.41\n\
                      king\tapple\tN\t5\t2.72\t2.81\t3\t7.25\t1\t0.41\n\
                      king\tqueen\tN\t1\t2.72\t2.81\t4\t7.25\t1\t0.41\n";
        assert_eq!(spearman(simlex), 1.0);
        assert_eq!(spearman(simlex.split_once('\n').unwrap().1), 1.0);
        let wordsim = "Word 1,Word 2,Human (mean)\nman,king,8\nking,apple,5\nking,queen,1\n";
        assert_eq!(spearman(wordsim), 1.0);
        let last = "a,b,rank,score\nman,king,1,8\nking,apple,2,5\nking,queen,3,1\n";
        assert_eq!(spearman(last), 1.0);
    }

    #[test]
    fn the_odd_one_is_far_from_the_others() {
        let vectors = royals();
        let directions = Directions::new(&vectors);
        let odd = directions.odd_one_out(&["king", "apple", "man", "unknown"]).unwrap();
        assert_eq!(odd.0, "apple");
        assert_eq!(directions.odd_one_out(&["unknown"]), None);
        assert_eq!(directions.nearest("unknown", 3), None);
        assert_eq!(directions.nearest("king", 100).unwrap().len(), 4);
    }
}
