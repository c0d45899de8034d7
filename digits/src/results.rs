//! What trials have measured, in a file that grows row by row, and as a table.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use plies_console::duration;
use plies_nn::metrics::{student_interval, wilson_interval};
use plies_tensor::{lock_file, replace_file};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::recipes::Row;

/// A longer file than this is none of ours.
const MAX_BYTES: u64 = 16 << 20;

/// What is kept of a trial.
pub trait Record: Serialize + DeserializeOwned {
    /// Whether it is the same trial: everything but what came out is equal.
    fn is_trial(&self, other: &Self) -> bool;

    /// What about it cannot be.
    fn fault(&self) -> Option<String>;
}

/// One trial of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The row's name.
    pub row: String,
    /// Where its random numbers started; 0 where there are none.
    pub seed: u64,
    /// What it ran on: "MNIST", or a folder.
    pub data: String,
    /// Examples that it learnt from.
    pub train_examples: usize,
    /// Examples that it read.
    pub test_examples: usize,
    /// The share of its epochs that was run.
    pub effort: f64,
    /// How many of the test examples it misread.
    pub misread: usize,
    /// Learning and reading, in seconds.
    pub seconds: f64,
    /// Threads that it had.
    pub threads: usize,
    /// Other figures, in per cent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, f64>,
}

impl Measured {
    /// The test error in per cent.
    pub fn error(&self) -> f64 {
        100.0 * self.misread as f64 / self.test_examples as f64
    }
}

impl Record for Measured {
    fn is_trial(&self, other: &Measured) -> bool {
        let trial = |m: &Measured| {
            (m.row.clone(), m.seed, m.data.clone(), m.train_examples, m.test_examples)
        };
        trial(self) == trial(other) && self.effort == other.effort
    }

    fn fault(&self) -> Option<String> {
        let Measured { misread, test_examples, row, seconds, .. } = self;
        if misread > test_examples || *test_examples == 0 {
            return Some(format!("{misread} of {test_examples} misread in row {row}"));
        }
        (!possible_seconds(*seconds)).then(|| format!("{seconds} seconds in row {row}"))
    }
}

/// Whether something can have taken so long.
pub(crate) fn possible_seconds(seconds: f64) -> bool {
    (0.0..1e9).contains(&seconds)
}

/// All that has been measured, and the file that holds it.
#[derive(Clone, Debug)]
pub struct Results<R> {
    /// In the order in which they came.
    pub all: Vec<R>,
}

impl<R> Default for Results<R> {
    fn default() -> Results<R> {
        Results { all: Vec::new() }
    }
}

/// What is wrong with a file of results.
#[derive(Debug, Error)]
#[error("{file}: {reason}")]
pub struct ResultsError {
    file: String,
    reason: String,
}

impl<R: Record> Results<R> {
    /// Reads a file; one that is not there holds nothing yet.
    ///
    /// # Errors
    /// A file of something else.
    pub fn load(file: &Path) -> Result<Results<R>, ResultsError> {
        let wrong = |reason: String| ResultsError { file: file.display().to_string(), reason };
        match fs::metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Results::default()),
            Err(error) => return Err(wrong(error.to_string())),
            Ok(found) if !found.is_file() => return Err(wrong("is not a regular file".into())),
            Ok(found) if found.len() > MAX_BYTES => {
                return Err(wrong("is too long for results of this program".into()));
            }
            Ok(_) => {}
        }
        let other = |error: &dyn std::fmt::Display| {
            wrong(format!("does not hold results of this program ({error}); name another file"))
        };
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(other(&error)),
            text => text.map_err(|error| wrong(error.to_string()))?,
        };
        // As `mktemp` makes it.
        if text.trim().is_empty() {
            return Ok(Results::default());
        }
        Results::parse(&text).map_err(|error| other(&error))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Results<R>, serde_json::Error> {
        let all: Vec<R> = serde_json::from_str(text)?;
        match all.iter().find_map(R::fault) {
            None => Ok(Results { all }),
            Some(fault) => Err(serde::de::Error::custom(fault)),
        }
    }

    /// What came out of a trial, if it has been made.
    pub fn find(&self, trial: &R) -> Option<&R> {
        self.all.iter().find(|known| known.is_trial(trial))
    }

    /// Puts a result in place of an older one of the same trial, and saves all, with what other programs have put
    /// into the file in the meantime.
    ///
    /// # Errors
    /// A file that cannot be written, or holds something else now.
    pub fn add(&mut self, measured: R, file: &Path) -> Result<(), ResultsError> {
        let wrong = |error: io::Error| ResultsError {
            file: file.display().to_string(),
            reason: format!("cannot be written ({error})"),
        };
        let _lock = lock_file(file).map_err(wrong)?;
        for known in Results::load(file)?.all {
            self.put(known);
        }
        self.put(measured);
        // A line for each, so that two versions of the file can be compared.
        let lines = self.all.iter().map(|m| Ok(format!(" {}", serde_json::to_string(m)?)));
        let lines = lines.collect::<Result<Vec<_>, serde_json::Error>>();
        let lines = lines.map_err(|error| wrong(error.into()))?;
        let text = format!("[\n{}\n]\n", lines.join(",\n"));
        replace_file(file, |new| io::Write::write_all(new, text.as_bytes())).map_err(wrong)
    }

    fn put(&mut self, record: R) {
        match self.all.iter_mut().find(|older| older.is_trial(&record)) {
            Some(older) => *older = record,
            None => self.all.push(record),
        }
    }
}

/// What is known of a row: the mean over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The row's name.
    pub row: &'static str,
    /// What the table calls it.
    pub method: &'static str,
    /// The mean test error in per cent.
    pub error: f64,
    /// Its 95 % interval: over seeds where there are some, otherwise over test sets.
    pub interval: [f64; 2],
    /// How many trials.
    pub trials: usize,
    /// Seconds of a trial, the mean.
    pub seconds: f64,
    /// The published test error in per cent.
    pub published: Option<f64>,
    /// Where it was published.
    pub source: &'static str,
    /// Other figures, in per cent.
    pub notes: BTreeMap<String, f64>,
}

impl Summary {
    /// Of all `trials` of a row, if there are any.
    ///
    /// Several seeds give Student's interval of the mean, which says how much chance there is in the training.
    /// A single trial gives Wilson's interval of a share, which says how much there is in the test set.
    pub fn of(row: &Row, trials: &[&Measured]) -> Option<Summary> {
        let n = trials.len() as f64;
        let mean = |of: fn(&Measured) -> f64| trials.iter().map(|m| of(m)).sum::<f64>() / n;
        let error = mean(Measured::error);
        let interval = match trials {
            [] => return None,
            [one] => {
                let (low, high) = wilson_interval(one.misread, one.test_examples, 1.96);
                [100.0 * low, 100.0 * high]
            }
            _ => {
                let errors: Vec<f64> = trials.iter().map(|m| m.error()).collect();
                let (low, high) = student_interval(&errors, 0.95);
                [low.max(0.0), high]
            }
        };
        Some(Summary {
            row: row.name,
            method: row.method,
            error,
            interval,
            trials: trials.len(),
            seconds: mean(|m| m.seconds),
            published: row.published,
            source: row.source,
            notes: trials[0].notes.clone(),
        })
    }

    /// Whether the published figure is met: ours is better, or it lies in our interval, or ours in the interval
    /// that 10,000 test examples leave it.
    pub fn meets(&self) -> Option<bool> {
        let published = self.published?;
        let misread = (published * 100.0).round() as usize;
        let (_, high) = wilson_interval(misread, 10_000, 1.96);
        Some(self.interval[0] <= published || self.error <= 100.0 * high)
    }
}

/// The table in 80 columns, sources below it.
pub fn table(summaries: &[Summary]) -> String {
    let mut text = format!(
        "{:<33}{:>7}  {:>14}  {:>9}  {:>10}\n",
        "method", "error %", "95 % interval", "published", "time"
    );
    let mut sources: Vec<&str> = Vec::new();
    for s in summaries {
        let published = s.published.map_or("-".to_owned(), |published| {
            let known = sources.iter().position(|&source| source == s.source);
            let number = known.unwrap_or_else(|| {
                sources.push(s.source);
                sources.len() - 1
            });
            format!("{published:.2} [{}]", number + 1)
        });
        let [low, high] = s.interval.map(|bound| format!("{bound:.2}"));
        let _ = writeln!(
            text,
            "{:<33}{:>7.2}  {:>14}  {published:>9}  {:>10}",
            s.method,
            s.error,
            format!("{low} to {high}"),
            duration(s.seconds)
        );
        for (what, percent) in &s.notes {
            let _ = writeln!(text, "  {what:<31}{percent:>7.2}");
        }
    }
    text.push('\n');
    for (i, source) in sources.iter().enumerate() {
        let _ = writeln!(text, "[{}] {source}", i + 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipes::LADDER;

    fn measured(row: &str, seed: u64, misread: usize) -> Measured {
        Measured {
            row: row.to_owned(),
            seed,
            data: "MNIST".to_owned(),
            train_examples: 60_000,
            test_examples: 10_000,
            effort: 1.0,
            misread,
            seconds: 90.0,
            threads: 2,
            notes: BTreeMap::from([("shifted".to_owned(), 12.5)]),
        }
    }

    #[test]
    fn results_come_back_from_their_file_and_replace_their_like() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let mut results = Results::<Measured>::load(&file).unwrap();
        for (seed, misread) in [(1, 100), (2, 120), (1, 110)] {
            results.add(measured("800", seed, misread), &file).unwrap();
        }
        let loaded = Results::<Measured>::load(&file).unwrap();
        assert_eq!(loaded.all, [measured("800", 1, 110), measured("800", 2, 120)]);
    }

    #[test]
    fn two_programs_with_one_file_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let add = |seeds: std::ops::Range<u64>| {
            let mut results = Results::<Measured>::load(&file).unwrap();
            for seed in seeds {
                results.add(measured("800", seed, 100), &file).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| add(0..20));
            scope.spawn(|| add(20..40));
        });
        let mut seeds: Vec<u64> =
            Results::<Measured>::load(&file).unwrap().all.iter().map(|m| m.seed).collect();
        seeds.sort_unstable();
        assert!(seeds.into_iter().eq(0..40));
    }

    #[test]
    fn a_file_of_something_else_is_refused_by_name_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        let more_than_all = serde_json::to_string(&[measured("800", 1, 10_001)]).unwrap();
        let never = Measured { seconds: -1.0, ..measured("800", 1, 100) };
        let never = serde_json::to_string(&[never]).unwrap();
        for (text, part) in [
            ("{}", "line 1"),
            ("[", "line 1"),
            ("[\n {\"row\": 3}]", "line 2"),
            (&more_than_all, "10001 of 10000 misread in row 800"),
            (&never, "-1 seconds in row 800"),
        ] {
            fs::write(&file, text).unwrap();
            let error = Results::<Measured>::load(&file).unwrap_err().to_string();
            assert!(error.contains("results.json: ") && error.contains(part), "{error}");
        }
        assert!(
            Results::<Measured>::load(folder.path())
                .unwrap_err()
                .to_string()
                .contains("not a regular")
        );
    }

    #[test]
    fn several_seeds_have_students_interval_and_one_has_wilsons() {
        let row = LADDER.iter().find(|row| row.name == "800").unwrap();
        let trials = [100, 110, 120].map(|misread| measured("800", 1, misread));
        let of = |trials: &[&Measured]| Summary::of(row, trials);
        let summary = of(&trials.each_ref()).unwrap();
        // s = 0.1, n = 3: 4.303 * 0.1 / √3
        assert!((summary.error - 1.1).abs() < 1e-12);
        assert!((summary.interval[0] - (1.1 - 0.24843)).abs() < 1e-4, "{:?}", summary.interval);
        let (low, high) = wilson_interval(100, 10_000, 1.96);
        assert_eq!(of(&[&trials[0]]).unwrap().interval, [100.0 * low, 100.0 * high]);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_published_figure_is_met_within_what_chance_allows() {
        let row = LADDER.iter().find(|row| row.name == "800").unwrap(); // 1.60 %
        let meets = |misread| Summary::of(row, &[&measured("800", 1, misread)]).unwrap().meets();
        assert_eq!(
            [150, 160, 184, 230].map(meets),
            [Some(true), Some(true), Some(true), Some(false)]
        );
        let rules = Summary::of(&LADDER[0], &[&measured("rules", 0, 3100)]).unwrap();
        assert_eq!(rules.meets(), None);
    }

    #[test]
    fn the_table_has_80_columns_at_most() {
        let all: Vec<Summary> = LADDER
            .iter()
            .map(|row| Summary::of(row, &[&measured(row.name, 1, 3645)]).unwrap())
            .collect();
        let text = table(&all);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("[2] Wilder, on LeCun's page\n"), "{text}");
        assert!(text.contains("  shifted                          12.50\n"), "{text}");
    }
}
